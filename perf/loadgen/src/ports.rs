//! Which addresses a scenario uses: one even port per input and one per receiver.
//!
//! Even ports only, because servers put RTCP on the next one. Everything lies below the usual
//! ephemeral range, so that no outgoing socket is in the way.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::scenario::Scenario;

/// First port of the inputs, where the server's choice of port is ours.
pub const FIRST_INPUT_PORT: u16 = 8_000;
/// First port of the receivers.
pub const FIRST_RECEIVER_PORT: u16 = 10_100;

/// The two ends of the path between a server and the generator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Where servers receive.
    pub server: IpAddr,
    /// Where receivers are, and where inputs come from.
    pub generator: IpAddr,
}

impl Ends {
    /// Both on the loopback device.
    pub const LOOPBACK: Self = Self {
        server: IpAddr::V4(Ipv4Addr::LOCALHOST),
        generator: IpAddr::V4(Ipv4Addr::LOCALHOST),
    };
}

/// The addresses of one run.
#[derive(Clone, Debug)]
pub struct Targets {
    /// Where each input is sent.
    pub inputs: Vec<SocketAddr>,
    /// What the receivers bind; those of input 0 first.
    pub receivers: Vec<SocketAddr>,
    /// SSRC of the first input.
    pub first_ssrc: u32,
    /// Added per input; 0 gives all inputs the same SSRC, as some servers want it.
    pub ssrc_step: u32,
}

impl Targets {
    /// The usual layout, with the inputs on ports that the server is told.
    pub fn for_scenario(scenario: &Scenario, ends: Ends) -> Self {
        Self::at(scenario, ends, FIRST_INPUT_PORT, FIRST_RECEIVER_PORT)
    }

    /// No addresses: what is loaded is told otherwise.
    pub fn none() -> Self {
        let (inputs, receivers) = (Vec::new(), Vec::new());
        Self { inputs, receivers, first_ssrc: 0, ssrc_step: 0 }
    }

    /// The same layout from other ports on.
    pub fn at(
        scenario: &Scenario,
        ends: Ends,
        first_input_port: u16,
        first_receiver_port: u16,
    ) -> Self {
        Self {
            inputs: addresses(ends.server, first_input_port, scenario.inputs),
            receivers: addresses(ends.generator, first_receiver_port, scenario.receivers()),
            first_ssrc: 0x5257_0000,
            ssrc_step: 1,
        }
    }

    /// The receivers of one input.
    pub fn receivers_of(&self, input: usize) -> &[SocketAddr] {
        let each = self.receivers.len() / self.inputs.len().max(1);
        self.receivers.get(input * each..(input + 1) * each).unwrap_or(&[])
    }
}

/// `count` even ports of one address from `first` on.
fn addresses(ip: IpAddr, first: u16, count: u32) -> Vec<SocketAddr> {
    let port = |index| u16::try_from(u32::from(first) + 2 * index);
    (0..count)
        .map(|index| port(index).expect("a checked scenario fits into the ports"))
        .map(|port| SocketAddr::from((ip, port)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receivers_belong_to_their_input() {
        let ip = Ends::LOOPBACK.server;
        let targets = Targets {
            inputs: addresses(ip, 8000, 2),
            receivers: addresses(ip, 9000, 6),
            first_ssrc: 1,
            ssrc_step: 1,
        };
        let ports: Vec<u16> = targets.receivers_of(1).iter().map(SocketAddr::port).collect();
        assert_eq!(ports, [9006, 9008, 9010]);
        assert_eq!(targets.receivers_of(2), []);
    }
}
