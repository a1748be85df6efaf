//! The configuration: file, environment, defaults; what is missing or contradictory in a sentence.

mod limit;
mod room;
mod turn;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use ringway_settings::{LogFilter, LogFormat, Ports, Secret, SettingsError};
use serde::{Deserialize, Serialize};

use crate::link::UdpPorts;
use crate::names::Names;

pub use limit::Limit;
pub use room::{EnabledCodec, PlayoutDelay, Room, RoomConfiguration};
pub(crate) use turn::read_closed;
pub use turn::{ExternalTurn, Protocol, Turn, TurnError};

/// Overrides the keys of the file: `KEY: SECRET`, one a line.
const KEYS_VARIABLE: &str = "RINGWAY_KEYS";
/// Overrides `socket`.
const SOCKET_VARIABLE: &str = "RINGWAY_SOCKET";
/// HS256 keys shorter than its hash weaken it (RFC 7518 3.2).
const SECRET_CHARS_MIN: usize = 32;
/// UDP port of the first shard where nothing else is said; what LiveKit's documentation has.
pub const UDP_PORT: u16 = 7882;

/// What an operator can set; each key is described in `systemd/controlplane.yaml`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// TCP port of everything.
    pub port: u16,
    /// Addresses to listen on.
    pub bind_addresses: Vec<IpAddr>,
    /// API keys and their secrets.
    pub keys: BTreeMap<String, Secret>,
    /// A file with more of them.
    pub key_file: Option<PathBuf>,
    /// The page at `/` gets its tokens here.
    pub development: bool,
    /// Where the data plane listens.
    pub socket: PathBuf,
    /// Where the store lives.
    pub data_dir: PathBuf,
    /// What is logged.
    pub log: LogFilter,
    /// How it is logged.
    pub log_format: LogFormat,
    /// Basic authentication of `/metrics`.
    pub metrics: MetricsAccess,
    /// What a client may ask for.
    pub limits: Limits,
    /// Media of calls.
    pub rtc: Rtc,
    /// Relays for clients whose networks let only some ports through.
    pub turn: Turn,
    /// How rooms are made and end.
    pub room: Room,
    /// What clients of calls may bring.
    pub limit: Limit,
}

/// Media of calls; the names are LiveKit's.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rtc {
    /// UDP ports of the shards. A single one is that of the first shard, and the others take those
    /// that follow; of several each takes the next that is free. None: [`UDP_PORT`], unless there
    /// is a range.
    pub udp_port: Option<Ports>,
    /// Lowest of further UDP ports; 0: none.
    pub port_range_start: u16,
    /// Highest of them, included.
    pub port_range_end: u16,
    /// TCP port of all shards, for clients that cannot use UDP; 0: none.
    pub tcp_port: u16,
    /// Addresses that clients are told; empty finds them out.
    pub node_ip: Vec<IpAddr>,
    /// Tell clients the address that STUN servers see, in place of this machine's own.
    pub use_external_ip: bool,
    /// Tell them its own all the same.
    pub advertise_internal_ip: bool,
    /// STUN servers to ask, and for clients to use; `HOST:PORT`.
    pub stun_servers: Vec<String>,
    /// TURN servers of others, for clients to use.
    pub turn_servers: Vec<ExternalTurn>,
    /// Interfaces whose addresses clients are told.
    pub interfaces: Names,
    /// Tell clients the loopback address too.
    pub enable_loopback_candidate: bool,
}

/// Basic authentication of `/metrics`; both or none.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetricsAccess {
    /// User name.
    pub username: Option<String>,
    /// Password.
    pub password: Option<Secret>,
}

/// What a client may ask for.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Forwards in all.
    pub max_forwards: usize,
    /// Destinations of one forward.
    pub max_destinations_per_forward: usize,
    /// Bytes of a request body.
    pub body_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            port: 7880,
            bind_addresses: vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
            keys: BTreeMap::new(),
            key_file: None,
            development: false,
            socket: crate::link::DEFAULT_SOCKET.into(),
            data_dir: "/var/lib/ringway".into(),
            log: LogFilter::default(),
            log_format: LogFormat::default(),
            metrics: MetricsAccess::default(),
            limits: Limits::default(),
            rtc: Rtc::default(),
            turn: Turn::default(),
            room: Room::default(),
            limit: Limit::default(),
        }
    }
}

impl Default for Rtc {
    fn default() -> Self {
        Self {
            udp_port: None,
            port_range_start: 0,
            port_range_end: 0,
            tcp_port: 7881,
            node_ip: Vec::new(),
            use_external_ip: false,
            advertise_internal_ip: false,
            stun_servers: Vec::new(),
            turn_servers: Vec::new(),
            interfaces: Names::default(),
            enable_loopback_candidate: false,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_forwards: 4096, max_destinations_per_forward: 10_000, body_bytes: 1_048_576 }
    }
}

/// Why the program cannot run like this.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read or understood.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// Nobody could ever use the API.
    #[error(
        "no API key is configured: set `keys` or `key_file` in the configuration, or \
         RINGWAY_KEYS=\"KEY: SECRET\""
    )]
    NoKeys,
    /// A secret that can be guessed.
    #[error(
        "the secret of API key {key:?} is shorter than {SECRET_CHARS_MIN} characters: make one \
         with `openssl rand -base64 32`"
    )]
    ShortSecret {
        /// Whose.
        key: String,
    },
    /// Secrets that everybody may read.
    #[error("{} may be read by everybody: chmod o= {}", path.display(), path.display())]
    OpenKeyFile {
        /// The file.
        path: PathBuf,
    },
    /// Not a file that can be looked at.
    #[error("cannot read the key file {}: {source}", path.display())]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Relays that cannot work.
    #[error(transparent)]
    Turn(#[from] TurnError),
    /// Half of a pair.
    #[error("metrics needs both username and password, or neither")]
    HalfMetricsAccess,
    /// A list that must have something in it.
    #[error("bind_addresses is empty: give at least one, such as \"127.0.0.1\"")]
    NoAddress,
    /// A server without its port.
    #[error("rtc.stun_servers: {server:?} must be HOST:PORT, such as \"stun.example.com:3478\"")]
    StunServer {
        /// As it was given.
        server: String,
    },
    /// Half a range, or one that ends before it begins.
    #[error(
        "rtc.port_range_start is {start}, rtc.port_range_end is {end}: set both, the lower one \
         first"
    )]
    PortRange {
        /// As it was given.
        start: u16,
        /// As it was given.
        end: u16,
    },
    /// Any port is no list.
    #[error("rtc.udp_port: 0 stands for any port, so it must stand alone")]
    AnyPort,
    /// A delay that ends before it begins.
    #[error("room.playout_delay and the delays of room_configurations: min must not exceed max")]
    PlayoutDelay,
    /// A number out of its range.
    #[error("{key} must be between {least} and {most}")]
    NotWithin {
        /// Which.
        key: &'static str,
        /// The lowest.
        least: usize,
        /// The highest.
        most: usize,
    },
    /// A number that allows nothing.
    #[error("{key} must be at least {least}")]
    TooSmall {
        /// Which.
        key: &'static str,
        /// What makes sense.
        least: usize,
    },
}

impl Config {
    /// Reads the file, the key file and the environment.
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        let mut config: Self = ringway_settings::load(path, "controlplane")?;
        if let Some(socket) = std::env::var_os(SOCKET_VARIABLE).filter(|value| !value.is_empty()) {
            config.socket = socket.into();
        }
        match std::env::var(KEYS_VARIABLE).ok().filter(|text| !text.trim().is_empty()) {
            Some(text) => {
                config.keys = ringway_settings::parse(&text, Path::new(KEYS_VARIABLE))?;
                config.key_file = None;
            }
            None => config.read_key_file()?,
        }
        config.rtc.turn_servers.iter_mut().try_for_each(ExternalTurn::read_secret)?;
        Ok(config)
    }

    fn read_key_file(&mut self) -> Result<(), ConfigError> {
        let Some(path) = &self.key_file else { return Ok(()) };
        let refuse = |source| ConfigError::KeyFile { path: path.clone(), source };
        let mode = std::fs::metadata(path).map_err(refuse)?.permissions().mode();
        if mode & 0o007 != 0 {
            return Err(ConfigError::OpenKeyFile { path: path.clone() });
        }
        let text = std::fs::read_to_string(path).map_err(refuse)?;
        let more: BTreeMap<String, Secret> = ringway_settings::parse(&text, path)?;
        self.keys.extend(more);
        Ok(())
    }

    /// Says what keeps the program from running like this.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.keys.is_empty() {
            return Err(ConfigError::NoKeys);
        }
        let short = |secret: &Secret| secret.expose().chars().count() < SECRET_CHARS_MIN;
        if let Some((key, _)) = self.keys.iter().find(|(_, secret)| short(secret)) {
            return Err(ConfigError::ShortSecret { key: key.clone() });
        }
        if self.metrics.username.is_some() != self.metrics.password.is_some() {
            return Err(ConfigError::HalfMetricsAccess);
        }
        if self.bind_addresses.is_empty() {
            return Err(ConfigError::NoAddress);
        }
        let no_port = |server: &&String| {
            let port = server.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
            port.is_none_or(|port| port == 0)
        };
        if let Some(server) = self.rtc.stun_servers.iter().find(no_port) {
            return Err(ConfigError::StunServer { server: server.clone() });
        }
        self.rtc.check_ports()?;
        self.limit.check()?;
        self.room.check()?;
        self.turn.check()?;
        self.rtc.turn_servers.iter().try_for_each(ExternalTurn::check)?;
        let least = [
            ("limits.max_forwards", self.limits.max_forwards, 1),
            ("limits.max_destinations_per_forward", self.limits.max_destinations_per_forward, 1),
            ("limits.body_bytes", self.limits.body_bytes, 1024),
        ];
        match least.into_iter().find(|(_, value, least)| value < least) {
            Some((key, _, least)) => Err(ConfigError::TooSmall { key, least }),
            None => Ok(()),
        }
    }

    /// The configuration in force as YAML, secrets masked.
    pub fn print(&self) -> String {
        ringway_settings::print(self)
    }
}

impl Rtc {
    /// The UDP ports of media.
    pub(crate) fn udp_ports(&self) -> UdpPorts {
        let has_range = self.port_range_start != 0;
        if !has_range && let Some(first) = self.single_port() {
            return if first == 0 { UdpPorts::Any } else { UdpPorts::From(first) };
        }
        let mut ports = self.udp_port.clone().unwrap_or_default();
        if has_range {
            ports.add(self.port_range_start, self.port_range_end);
        }
        UdpPorts::Among(ports.iter().collect())
    }

    fn single_port(&self) -> Option<u16> {
        self.udp_port.as_ref().map_or(Some(UDP_PORT), Ports::single)
    }

    fn check_ports(&self) -> Result<(), ConfigError> {
        let (start, end) = (self.port_range_start, self.port_range_end);
        if (start == 0) != (end == 0) || start > end {
            return Err(ConfigError::PortRange { start, end });
        }
        match self.udp_ports() {
            UdpPorts::Among(ports) if ports.contains(&0) => Err(ConfigError::AnyPort),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    /// What is wrong with a file, or "".
    fn check(yaml: &str, part: &str) {
        let parsed = ringway_settings::parse::<Config>(yaml, Path::new("x.yaml"));
        let result = parsed.map_err(ConfigError::from).and_then(|config| config.check());
        let told = result.err().map(|error| error.to_string()).unwrap_or_default();
        let matches = if part.is_empty() { told.is_empty() } else { told.contains(part) };
        assert!(matches, "{yaml}: {told}");
    }

    #[test]
    fn files() {
        let keys = format!("keys: {{k: {SECRET}}}\n");
        check("", "no API key");
        check(&keys, "");
        check("keys: {k: short}", "API key \"k\" is shorter");
        check(&format!("{keys}prot: 1"), "did you mean \"port\"?");
        check(&format!("{keys}limits: {{max_forward: 1}}"), "limits.max_forwards");
        check(&format!("{keys}limits: {{body_bytes: 10}}"), "limits.body_bytes must be");
        check(&format!("{keys}limit: {{num_track: 1}}"), "limit.num_tracks");
        check(&format!("{keys}limit: {{signal_message_size_limit: 9}}"), "between 65536 and");
        check(&format!("{keys}room: {{playout_delay: {{min: 9, max: 8}}}}"), "room.playout_delay");
        check(&format!("{keys}metrics: {{username: a}}"), "both username and password");
        check(&format!("{keys}rtc: {{stun_servers: [stun.example.com]}}"), "must be HOST:PORT");
        check(&format!("{keys}rtc: {{stun_servers: [\"[2001:db8::1]:3478\"]}}"), "");
        check(&format!("{keys}rtc: {{udp_port: 7882-7892}}"), "");
        check(&format!("{keys}rtc: {{udp_port: 7892-7882}}"), "rtc.udp_port");
        check(&format!("{keys}rtc: {{udp_port: 0-9}}"), "must stand alone");
        check(&format!("{keys}rtc: {{port_range_start: 50000}}"), "set both");
        check(&format!("{keys}rtc: {{port_range_start: 9, port_range_end: 8}}"), "lower one first");
        check(&format!("{keys}rtc: {{port_range_start: 9, port_range_end: 9}}"), "");
        check(&format!("{keys}turn: {{enabled: true, udp_port: 0}}"), "without a port");
        check(&format!("{keys}rtc: {{turn_servers: [{{host: a}}]}}"), "host and port");
        check(&format!("{keys}rtc: {{turn_servers: [{{hots: a}}]}}"), "turn_servers[0].host\"?");
        check(&format!("{keys}bind_addresses: []"), "bind_addresses is empty");
        check(&format!("{keys}bind_addresses: [here]"), "bind_addresses");
    }

    #[test]
    fn ports_of_media() {
        let check = |yaml: &str, expect: UdpPorts| {
            let rtc: Rtc = ringway_settings::parse(yaml, Path::new("x.yaml")).unwrap();
            assert_eq!(rtc.udp_ports(), expect, "{yaml}");
        };
        check("", UdpPorts::From(7882));
        check("udp_port: 9000", UdpPorts::From(9000));
        check("udp_port: 0", UdpPorts::Any);
        check("udp_port: 9000-9002", UdpPorts::Among(vec![9000, 9001, 9002]));
        check("udp_port: [9000, 8000]", UdpPorts::Among(vec![9000, 8000]));
        // LiveKit's way: only a range.
        check(
            "{port_range_start: 50000, port_range_end: 50001}",
            UdpPorts::Among(vec![50000, 50001]),
        );
        check(
            "{udp_port: 7882, port_range_start: 7881, port_range_end: 7883}",
            UdpPorts::Among(vec![7882, 7881, 7883]),
        );
    }

    #[test]
    fn secrets_are_not_printed() {
        let yaml = format!("keys: {{k: {SECRET}}}\nmetrics: {{username: u, password: hidden}}");
        let config: Config = ringway_settings::parse(&yaml, Path::new("x.yaml")).unwrap();
        for shown in [config.print(), format!("{config:?}")] {
            assert!(!shown.contains(SECRET) && !shown.contains("hidden"), "{shown}");
            assert!(shown.contains('k') && shown.contains("7880"), "{shown}");
        }
    }

    #[test]
    fn the_documented_file_has_the_defaults() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../systemd/controlplane.yaml");
        let text = std::fs::read_to_string(&path).unwrap();
        let documented: Config = ringway_settings::parse(&text, &path).unwrap();
        let shown = Config { key_file: None, ..documented }.print();
        assert_eq!(shown, Config::default().print());
    }

    #[test]
    fn key_files_must_be_closed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys.yaml");
        std::fs::write(&path, format!("a: {SECRET}")).unwrap();
        let config = || Config { key_file: Some(path.clone()), ..Config::default() };
        for (mode, open) in [(0o600, false), (0o640, false), (0o644, true)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let mut config = config();
            let refused = matches!(config.read_key_file(), Err(ConfigError::OpenKeyFile { .. }));
            assert_eq!(refused, open, "{mode:o}");
            assert_eq!(config.keys.contains_key("a"), !open);
        }
    }
}
