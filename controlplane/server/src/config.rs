//! The configuration: file, environment, defaults; what is missing or contradictory in a sentence.

mod cidr;
mod limit;
mod livekit;
mod room;
mod rtc;
mod turn;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use ringway_settings::{LogFilter, LogFormat, Place, Secret, SettingsError};
use serde::{Deserialize, Serialize};

pub use cidr::{Cidr, NotCidr};
pub use limit::Limit;
pub use room::{EnabledCodec, PlayoutDelay, Room, RoomConfiguration};
pub use rtc::{Rtc, UDP_PORT};
pub use turn::{ExternalTurn, Protocol, Turn, TurnError};
pub(crate) use turn::{PROXIES_MAX, read_closed};

/// Overrides the keys of the file: `KEY: SECRET`, one a line.
const KEYS_VARIABLE: &str = "RINGWAY_KEYS";
/// Overrides `socket`.
const SOCKET_VARIABLE: &str = "RINGWAY_SOCKET";
/// HS256 keys shorter than its hash weaken it (RFC 7518 3.2).
const SECRET_CHARS_MIN: usize = 32;

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
    /// Where this server is, as clients are told; empty: not said.
    pub region: String,
    /// Participants may publish data tracks.
    pub enable_data_tracks: bool,
    /// Participants may leave data blobs for others.
    pub enable_participant_data_blob: bool,
    /// Media of calls.
    pub rtc: Rtc,
    /// Relays for clients whose networks let only some ports through.
    pub turn: Turn,
    /// How rooms are made and end.
    pub room: Room,
    /// What clients of calls may bring.
    pub limit: Limit,
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
            region: String::new(),
            enable_data_tracks: true,
            enable_participant_data_blob: false,
            rtc: Rtc::default(),
            turn: Turn::default(),
            room: Room::default(),
            limit: Limit::default(),
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
    Settings(SettingsError),
    /// A key that LiveKit has.
    #[error("{place}: \"{key}\" is a key of LiveKit's that does not exist here: {why}")]
    LiveKit {
        /// Where it stands.
        place: Place,
        /// Which.
        key: String,
        /// Why it does not exist.
        why: &'static str,
    },
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
    /// Nobody could send media here.
    #[error("rtc.force_tcp leaves no way for media: set rtc.tcp_port, too")]
    NoTcpPort,
    /// Relays send over UDP.
    #[error("turn is enabled with rtc.force_tcp: it relays to UDP ports, which are closed then")]
    RelayWithoutUdp,
    /// Any port is no list.
    #[error("rtc.udp_port: 0 stands for any port, so it must stand alone")]
    AnyPort,
    /// A delay that ends before it begins.
    #[error("room.playout_delay and the delays of room_configurations: min must not exceed max")]
    PlayoutDelay,
    /// A limit that nothing could keep to.
    #[error("{key} must be 0, which is no limit, or at least {least}")]
    NeitherNoneNorAtLeast {
        /// Which.
        key: &'static str,
        /// The lowest.
        least: usize,
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
        if self.rtc.force_tcp && self.turn.enabled {
            return Err(ConfigError::RelayWithoutUdp);
        }
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
        check(&format!("{keys}webhook: {{urls: [http://a]}}"), "unknown key \"webhook\"");
        check(&format!("{keys}limits: {{max_forward: 1}}"), "limits.max_forwards");
        check(&format!("{keys}limits: {{body_bytes: 10}}"), "limits.body_bytes must be");
        check(&format!("{keys}limit: {{num_track: 1}}"), "limit.num_tracks");
        check(&format!("{keys}limit: {{signal_message_size_limit: 9}}"), "or at least 1024");
        check(&format!("{keys}limit: {{signal_message_size_limit: 0}}"), "");
        check(&format!("{keys}limit: {{signal_message_size_limit: 100000000}}"), "");
        check(&format!("{keys}room: {{playout_delay: {{min: 9, max: 8}}}}"), "room.playout_delay");
        check(&format!("{keys}room: {{playout_delay: {{min: 9}}}}"), "");
        check(&format!("{keys}metrics: {{username: a}}"), "both username and password");
        check(&format!("{keys}rtc: {{stun_servers: [stun.example.com]}}"), "must be HOST:PORT");
        check(&format!("{keys}rtc: {{stun_servers: [\"[2001:db8::1]:3478\"]}}"), "");
        check(&format!("{keys}rtc: {{udp_port: 7882-7892}}"), "");
        check(&format!("{keys}rtc: {{udp_port: 7892-7882}}"), "rtc.udp_port");
        check(&format!("{keys}rtc: {{udp_port: 0-9}}"), "must stand alone");
        check(&format!("{keys}rtc: {{port_range_start: 50000}}"), "set both");
        check(&format!("{keys}rtc: {{port_range_start: 9, port_range_end: 8}}"), "lower one first");
        check(&format!("{keys}rtc: {{port_range_start: 9, port_range_end: 9}}"), "");
        check(&format!("{keys}rtc: {{force_tcp: true}}"), "");
        check(&format!("{keys}rtc: {{force_tcp: true, tcp_port: 0}}"), "set rtc.tcp_port");
        let relayed = "rtc: {force_tcp: true}\nturn: {enabled: true}";
        check(&format!("{keys}{relayed}"), "relays to UDP ports");
        check(&format!("{keys}rtc: {{use_ice_lite: true}}"), "\"rtc.use_ice_lite\" is a key of");
        check(&format!("{keys}rtc: {{pli_throttle: {{low_quality: 1s}}}}"), "500 ms");
        check(&format!("{keys}rtc: {{forse_tcp: true}}"), "did you mean \"rtc.force_tcp\"?");
        check(&format!("{keys}rtc: {{flexfec: {{upstream_enabled: true}}}}"), "");
        check(
            &format!("{keys}rtc: {{flexfec: {{upstream: true}}}}"),
            "rtc.flexfec.upstream_enabled",
        );
        check(&format!("{keys}turn: {{enabled: true, udp_port: 0}}"), "without a port");
        check(&format!("{keys}rtc: {{turn_servers: [{{host: a}}]}}"), "host and port");
        check(&format!("{keys}rtc: {{turn_servers: [{{hots: a}}]}}"), "turn_servers[0].host\"?");
        check(&format!("{keys}bind_addresses: []"), "bind_addresses is empty");
        check(&format!("{keys}bind_addresses: [here]"), "bind_addresses");
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
