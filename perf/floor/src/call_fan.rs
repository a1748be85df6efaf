//! What the least server of a call does with packets: open once, seal for every subscriber.
//!
//! No ICE, no DTLS, no RTCP, no layers to choose from: the generator and the floor were told the
//! same keys, and which SSRCs are forwarded.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use ringway_loadgen::call::fixed::{self, KeyUse};
use ringway_loadgen::call::scenario::CallScenario;
use ringway_loadgen::kernel;
use ringway_proto::srtp::{OpenedRtp, PacketIndex, RtpParts, SrtpOpener, SrtpSealer};

/// Packets of a run: the kernel takes 128, and 64 KiB.
pub const MAX_RUN_PACKETS: usize = 50;
/// Room for a run.
pub const MAX_RUN_BYTES: usize = 65_000;

const INPUT_BUFFER_BYTES: usize = 4 << 20;
const PADDING_BIT: u8 = 0x20;

/// A subscriber: its socket, connected, and its keys.
pub struct Outlet {
    /// Number of the participant.
    pub number: usize,
    /// Where its packets go.
    pub socket: UdpSocket,
    sealer: SrtpSealer,
}

/// The least server of a call.
pub struct CallFan {
    /// Where everything arrives.
    pub input: UdpSocket,
    openers: Vec<SrtpOpener>,
    /// All subscribers.
    pub outlets: Vec<Outlet>,
}

/// An opened packet that is to be forwarded.
#[derive(Clone, Copy, Debug)]
pub struct Plain {
    /// Number of the publisher.
    pub publisher: usize,
    /// What was opened.
    pub rtp: OpenedRtp,
    /// The last packet of its frame.
    pub marked: bool,
}

impl CallFan {
    /// Sockets and keys for a scenario.
    pub fn open(scenario: &CallScenario, server: IpAddr, generator: IpAddr) -> io::Result<Self> {
        let address = SocketAddr::new(server, fixed::SERVER_PORT);
        let publishers = scenario.publishers as usize;
        let first = if scenario.publishers_subscribe { 0 } else { publishers };
        let outlet = |number| -> io::Result<Outlet> {
            // A connected socket spares the kernel a route lookup per send.
            let socket = kernel::connected(fixed::subscriber_address(generator, number), 0)?;
            let sealer = SrtpSealer::new(&fixed::key(KeyUse::Subscriber, number));
            Ok(Outlet { number, socket, sealer })
        };
        let outlets = (first..scenario.participants() as usize).map(outlet);
        let opener = |number| SrtpOpener::new(&fixed::key(KeyUse::Publisher, number));
        Ok(Self {
            input: kernel::bound(address, INPUT_BUFFER_BYTES)?,
            openers: (0..publishers).map(opener).collect(),
            outlets: outlets.collect::<io::Result<_>>()?,
        })
    }

    /// Opens a packet in place; `None` for what is not forwarded.
    pub fn open_packet(&mut self, packet: &mut [u8]) -> Option<Plain> {
        let ssrc = u32::from_be_bytes(*packet.get(8..)?.first_chunk()?);
        let (publisher, forwarded) = fixed::owner(ssrc);
        let publisher = usize::from(publisher);
        let marked = packet.get(1)? & 0x80 != 0;
        // Every layer is opened, whether it is forwarded or not: a server has to look.
        let rtp = self.openers.get_mut(publisher)?.open_rtp(packet).ok()?;
        forwarded.then_some(Plain { publisher, rtp, marked })
    }
}

impl Outlet {
    /// Seals packets one after the other into `out`, all of one length: shorter ones get an octet
    /// of padding, so that the run can be sent in one go. Gives the bytes and the length of each.
    pub fn seal<'a>(
        &self,
        packets: impl Iterator<Item = (&'a Plain, &'a [u8])> + Clone,
        out: &mut [u8],
    ) -> (usize, usize) {
        let longest = packets.clone().map(|(plain, _)| plain.rtp.len).max().unwrap_or(0);
        let (mut used, mut segment) = (0, 0);
        for (plain, bytes) in packets {
            let (head, payload) = bytes[..plain.rtp.len].split_at(plain.rtp.header_len);
            let mut header = [0; 64];
            let header = &mut header[..head.len()];
            header.copy_from_slice(head);
            let short = longest - plain.rtp.len;
            if short > 0 {
                header[0] |= PADDING_BIT;
            }
            let mut padding = [0; 255];
            let padding = &mut padding[..short.min(255)];
            if let Some(count) = padding.last_mut() {
                *count = short as u8;
            }
            let parts = RtpParts { header, payload, suffix: padding, ..RtpParts::default() };
            let index = plain.rtp.index;
            let index = PacketIndex::new((index >> 16) as u32, index as u16);
            let Ok(len) = self.sealer.seal_parts_into(index, &parts, &mut out[used..]) else {
                continue;
            };
            used += len;
            segment = len;
        }
        (used, segment)
    }
}

/// Whether two neighbours can be in one run: the same stream, nearly the same length.
pub fn belong_together(one: &Plain, next: &Plain) -> bool {
    one.rtp.ssrc == next.rtp.ssrc && !one.marked && one.rtp.len.abs_diff(next.rtp.len) <= 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(len: usize, marked: bool) -> Plain {
        let rtp = OpenedRtp { len, header_len: 12, ssrc: 1, index: 7 };
        Plain { publisher: 0, rtp, marked }
    }

    #[test]
    fn runs_end_with_frames() {
        for (one, next, expect) in [
            (plain(100, false), plain(101, true), true),
            (plain(100, false), plain(102, false), false),
            (plain(100, true), plain(100, false), false),
        ] {
            assert_eq!(belong_together(&one, &next), expect, "{one:?} {next:?}");
        }
    }

    #[test]
    fn sealed_packets_are_equally_long() {
        let number = 3;
        let outlet = Outlet {
            number,
            socket: kernel::bound(([127, 0, 0, 1], 0).into(), 1 << 16).unwrap(),
            sealer: SrtpSealer::new(&fixed::key(KeyUse::Subscriber, number)),
        };
        let mut short = vec![0x80, 96, 0, 7, 0, 0, 0, 0, 0, 0, 0, 1];
        short.extend([5; 88]);
        let mut long = short.clone();
        (long[1], long[3]) = (0x80 | 96, 8);
        long.push(5);
        let mut plains = [plain(100, false), plain(101, true)];
        plains[1].rtp.index = 8;
        let mut out = vec![0; 4096];
        let (used, segment) = outlet.seal(plains.iter().zip([&short[..], &long[..]]), &mut out);
        assert_eq!((used, segment), (2 * 117, 117));
        let mut opener = SrtpOpener::new(&fixed::key(KeyUse::Subscriber, number));
        for packet in out[..used].chunks_mut(segment) {
            assert_eq!(opener.open_rtp(packet).map(|rtp| rtp.len), Ok(101));
        }
    }
}
