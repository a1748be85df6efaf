//! The data plane's configuration file. Every key is documented in `systemd/dataplane.yaml`.

use std::path::PathBuf;

use ringway_settings::{LogFilter, LogFormat};
use ringway_shard::call::MOST_PADDING_OCTETS;
use serde::{Deserialize, Serialize};

/// The whole file.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Unix socket where the control plane and observers join.
    pub(crate) socket: PathBuf,
    /// Cores to run a shard on.
    pub(crate) cores: Cores,
    /// How shards talk to the kernel.
    pub(crate) engine: EngineChoice,
    /// Longest time packets may gather before a shard looks at its sockets again, µs.
    pub(crate) coalesce_us: u32,
    /// Octets that may be added to a packet so that its frame leaves in one run.
    pub(crate) pad_octets: u32,
    /// Longest time that packets of sound wait for each other on a busy shard, µs.
    pub(crate) hold_us: u32,
    /// A shard less busy than this, % of a core, lets no sound wait.
    pub(crate) hold_busy_percent: u32,
    /// Threads that do the handshakes of calls.
    pub(crate) handshake_threads: u16,
    /// Ports for forwards that name none.
    pub(crate) port_range: PortRange,
    /// Receive buffers per shard.
    pub(crate) buffers: u32,
    /// Bytes of each, headers of the kernel included.
    pub(crate) buffer_bytes: u32,
    /// Kernel's receive buffer of each socket.
    pub(crate) receive_buffer_bytes: u32,
    /// Kernel's send buffer of each socket.
    pub(crate) send_buffer_bytes: u32,
    /// Most forwards per shard.
    pub(crate) max_forwards: u32,
    /// Most destinations per shard.
    pub(crate) max_destinations: u32,
    /// Log filter.
    pub(crate) log: String,
    /// Form of log lines.
    pub(crate) log_format: LogFormat,
}

/// Which cores run a shard.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum Cores {
    /// `auto`.
    Word(AutoWord),
    /// By number.
    List(Vec<u16>),
}

/// The word `auto`.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AutoWord {
    Auto,
}

/// Which engine shards use.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EngineChoice {
    /// The faster one that this kernel allows.
    Auto,
    /// io_uring, or do not start.
    Uring,
    /// Plain system calls.
    Plain,
}

/// A range of ports, both ends included.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PortRange {
    pub(crate) first: u16,
    pub(crate) last: u16,
}

impl Default for PortRange {
    fn default() -> Self {
        Self { first: 30_000, last: 39_999 }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            socket: "/run/ringway/dataplane.sock".into(),
            cores: Cores::Word(AutoWord::Auto),
            engine: EngineChoice::Auto,
            coalesce_us: 0,
            pad_octets: MOST_PADDING_OCTETS as u32,
            hold_us: 5_000,
            hold_busy_percent: 50,
            handshake_threads: 1,
            port_range: PortRange::default(),
            buffers: 4096,
            buffer_bytes: 2048,
            receive_buffer_bytes: 4 << 20,
            send_buffer_bytes: 4 << 20,
            max_forwards: 4096,
            max_destinations: 16_384,
            log: "info".into(),
            log_format: LogFormat::default(),
        }
    }
}

impl Config {
    /// Where the door is: the environment wins, so that tools and programs agree without files.
    pub(crate) fn socket(&self) -> PathBuf {
        std::env::var_os("RINGWAY_SOCKET").map_or_else(|| self.socket.clone(), PathBuf::from)
    }

    /// Refuses values out of their range, naming the key.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        let in_range = |key: &str, value: u32, least: u32, most: u32| {
            anyhow::ensure!(
                (least..=most).contains(&value),
                "{key} is {value}, but must be between {least} and {most}"
            );
            Ok(())
        };
        in_range("buffers", self.buffers, 1024, 32_768)?;
        in_range("buffer_bytes", self.buffer_bytes, 2048, 65_536)?;
        anyhow::ensure!(
            self.buffers.is_power_of_two() && self.buffer_bytes.is_power_of_two(),
            "buffers and buffer_bytes must be powers of two"
        );
        in_range("receive_buffer_bytes", self.receive_buffer_bytes, 65_536, 1 << 30)?;
        in_range("send_buffer_bytes", self.send_buffer_bytes, 65_536, 1 << 30)?;
        in_range("coalesce_us", self.coalesce_us, 0, 5_000)?;
        in_range("pad_octets", self.pad_octets, 0, MOST_PADDING_OCTETS as u32)?;
        in_range("hold_us", self.hold_us, 0, 20_000)?;
        in_range("hold_busy_percent", self.hold_busy_percent, 0, 100)?;
        in_range("handshake_threads", self.handshake_threads.into(), 1, 64)?;
        in_range("max_forwards", self.max_forwards, 1, 65_536)?;
        in_range("max_destinations", self.max_destinations, 1, 1 << 20)?;
        let PortRange { first, last } = self.port_range;
        anyhow::ensure!(
            first >= 1024 && first < last,
            "port_range must hold at least two ports, none below 1024, but is {first} to {last}"
        );
        if let Cores::List(cores) = &self.cores {
            anyhow::ensure!(
                !cores.is_empty() && cores.len() <= 64,
                "cores must name between 1 and 64 cores"
            );
        }
        LogFilter::new(&self.log).map_err(|error| anyhow::anyhow!("log: {error}"))?;
        Ok(())
    }
}
