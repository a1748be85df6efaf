//! The command line of `perf/compare`.

use std::path::PathBuf;

use anyhow::{bail, ensure};
use clap::Parser;
use ringway_loadgen::kernel;

use crate::path::PathKind;
use crate::servers::Server;

/// Runs servers against each other on one scenario and prints one row per server.
///
/// Server and load generator have a core each. In every round each server is started afresh,
/// loaded, billed for its CPU time over the packets that its receivers counted, and ended. Rows
/// are medians over the rounds. The floor is the least server that this kernel allows.
#[derive(Parser, Clone, Debug)]
#[command(
    name = "perf/compare",
    version,
    after_help = "Examples:\n  \
    perf/compare rtp-1x100-video\n  \
    perf/compare rtp-1000x1-audio --servers ringway,rtpengine --rounds 7 --json\n  \
    perf/compare rtp-1000x1-audio --latency\n  \
    perf/compare rtp-1x100-video --path veth\n  \
    perf/compare livestream-1x200\n  \
    perf/compare meeting-8x8 --servers ringway,livekit,livekit-batch --rounds 7 --json"
)]
pub struct Options {
    /// Scenario: the name of a file in perf/scenarios, without .yaml.
    pub scenario: String,
    /// Servers to run, in this order.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub servers: Vec<Server>,
    /// Rounds of all servers.
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// Length of each measured window; below 5 the figures are rough.
    #[arg(long, default_value_t = 5.0)]
    pub seconds: f64,
    /// Load before each window, in seconds.
    #[arg(long, default_value_t = 1.0)]
    pub warmup: f64,
    /// One JSON object per server instead of a table.
    #[arg(long)]
    pub json: bool,
    /// Core of the servers and core of the load generator [default: the last two allowed].
    #[arg(long, value_delimiter = ',', value_name = "A,B")]
    pub cores: Vec<usize>,
    /// Leave the floor out.
    #[arg(long)]
    pub no_floor: bool,
    /// Load at half of what ringway can do on its core, which is measured first.
    #[arg(long, conflicts_with = "load_pps")]
    pub latency: bool,
    /// Packets per second to deliver, instead of the scenario's rate.
    #[arg(long)]
    pub load_pps: Option<f64>,
    /// What lies between servers and generator.
    #[arg(long, value_enum, default_value = "loopback")]
    pub path: PathKind,
    /// A line of ringway's dataplane.yaml, to measure another setting: `--set 'coalesce_us: 0'`.
    #[arg(long, value_name = "KEY: VALUE")]
    pub set: Vec<String>,
    /// Calls: participants that begin to join in a second.
    #[arg(long, default_value_t = 50.0)]
    pub join_per_second: f64,
    /// Never install a missing peer.
    #[arg(long)]
    pub no_install: bool,
    /// Folder of the scenarios.
    #[arg(long, default_value = "perf/scenarios", hide = true)]
    pub scenarios: PathBuf,
    /// Folder of our programs [default: where this one is].
    #[arg(long, hide = true)]
    pub programs: Option<PathBuf>,
}

impl Options {
    /// Checks what clap cannot.
    pub fn check(&self) -> anyhow::Result<()> {
        ensure!(self.rounds >= 1, "--rounds must be at least 1");
        ensure!(self.seconds > 0.0 && self.seconds < 3600.0, "--seconds must be above 0");
        ensure!(self.warmup >= 0.0 && self.warmup < 3600.0, "--warmup must not be negative");
        ensure!(self.load_pps.is_none_or(|pps| pps > 0.0), "--load-pps must be above 0");
        ensure!(self.join_per_second > 0.0, "--join-per-second must be above 0");
        Ok(())
    }

    /// Core of the servers and core of the generator.
    pub fn cores(&self) -> anyhow::Result<(usize, usize)> {
        let allowed = kernel::allowed_cores()?;
        let (server, generator) = match (&self.cores[..], &allowed[..]) {
            ([], [.., generator, server]) => (*server, *generator),
            ([], _) => bail!("two cores are needed, and only one is allowed here"),
            ([server, generator], _) => (*server, *generator),
            _ => bail!("--cores takes two cores: A,B"),
        };
        ensure!(server != generator, "--cores takes two different cores");
        for core in [server, generator] {
            ensure!(allowed.contains(&core), "core {core} is not among the allowed {allowed:?}");
        }
        Ok((server, generator))
    }

    /// Servers in order, the floor first unless it was switched off.
    pub fn servers(&self, calls: bool) -> Vec<Server> {
        let usual = [Server::Ringway, Server::RingwayUring, Server::RingwayPlain];
        let peers = if calls {
            [Server::Livekit, Server::LivekitBatch]
        } else {
            [Server::Rtpengine, Server::Janus]
        };
        let mut listed = self.servers.clone();
        if listed.is_empty() {
            listed.extend(usual);
            // Peers cannot carry half of what ringway can.
            listed.extend(peers.into_iter().filter(|_| !self.latency));
        }
        if !self.no_floor && !listed.contains(&Server::Floor) {
            listed.insert(0, Server::Floor);
        }
        let mut once = Vec::new();
        for server in listed {
            if !once.contains(&server) {
                once.push(server);
            }
        }
        once
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(arguments: &str, expect: &[Server]) {
        let all = ["compare", "x"].into_iter().chain(arguments.split_whitespace());
        assert_eq!(Options::parse_from(all).servers(false), expect, "{arguments}");
    }

    #[test]
    fn calls_have_peers_of_their_own() {
        let servers = Options::parse_from(["compare", "x", "--no-floor"]).servers(true);
        assert_eq!(servers[3..], [Server::Livekit, Server::LivekitBatch]);
    }

    #[test]
    fn servers_are_chosen() {
        use Server::{Floor, Janus, Ringway, RingwayPlain, RingwayUring, Rtpengine};
        check("", &[Floor, Ringway, RingwayUring, RingwayPlain, Rtpengine, Janus]);
        check("--latency", &[Floor, Ringway, RingwayUring, RingwayPlain]);
        check("--servers ringway,rtpengine", &[Floor, Ringway, Rtpengine]);
        check("--servers ringway,floor,ringway", &[Ringway, Floor]);
        check("--servers janus --no-floor", &[Janus]);
    }
}
