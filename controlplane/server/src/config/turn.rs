//! `turn` and `rtc.turn_servers`: relays for clients whose networks let only some ports through.
//! The names are LiveKit's, but for `tcp_port`.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use ringway_settings::Secret;
use serde::{Deserialize, Serialize};

use super::Cidr;

/// Networks that proxies may be in: what the data plane takes.
pub(crate) const PROXIES_MAX: usize = 12;
/// The longest that credentials of others' servers may be good for, s. LiveKit's value.
const EXTERNAL_TTL_MAX_S: u32 = 86_400;

/// The TURN server of our own.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Turn {
    /// Relay at all.
    pub enabled: bool,
    /// The name in the certificate, by which clients connect over TLS.
    pub domain: String,
    /// The certificate and those that vouch for it, PEM.
    pub cert_file: Option<PathBuf>,
    /// Its private key, PEM.
    pub key_file: Option<PathBuf>,
    /// TCP port with TLS; 0: none.
    pub tls_port: u16,
    /// UDP port; 0: none.
    pub udp_port: u16,
    /// TCP port without TLS; 0: none.
    pub tcp_port: u16,
    /// A load balancer ends TLS on port 443 and passes TCP on to `tls_port`.
    pub external_tls: bool,
    /// First of the ports that clients get for their own. None of them is opened.
    pub relay_range_start: u16,
    /// Last of them.
    pub relay_range_end: u16,
    /// Relays of one participant.
    pub per_user_relay_allocation_limit: u16,
    /// How long after it was told a client may begin to use a relay, s.
    pub ttl_seconds: u32,
    /// Who connects to `tls_port` is a proxy, which says first whose connection it passes on.
    pub proxy_protocol: bool,
    /// Where such proxies are; everybody else is refused there.
    pub proxy_protocol_trusted_cidrs: Vec<Cidr>,
}

/// Somebody else's TURN server.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExternalTurn {
    /// Name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How it is reached.
    pub protocol: Protocol,
    /// A user name for everybody.
    pub username: String,
    /// Its password.
    pub credential: Option<Secret>,
    /// A file with both, where they are not given here.
    pub credentials_file: Option<PathBuf>,
    /// A secret that user names and passwords are made from, as coturn's `static-auth-secret`.
    pub secret: Option<Secret>,
    /// A file with that secret.
    pub secret_file: Option<PathBuf>,
    /// How long those are good for, s.
    pub ttl: u32,
}

/// What is in [`ExternalTurn::credentials_file`].
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Credentials {
    username: String,
    credential: Option<Secret>,
}

/// How a TURN server is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// UDP.
    #[default]
    Udp,
    /// TCP.
    Tcp,
    /// TLS over TCP.
    Tls,
}

impl Default for Turn {
    fn default() -> Self {
        Self {
            enabled: false,
            domain: String::new(),
            cert_file: None,
            key_file: None,
            tls_port: 0,
            udp_port: 3478,
            tcp_port: 0,
            external_tls: false,
            relay_range_start: 30_000,
            relay_range_end: 40_000,
            per_user_relay_allocation_limit: 12,
            ttl_seconds: 300,
            proxy_protocol: false,
            proxy_protocol_trusted_cidrs: Cidr::loopback(),
        }
    }
}

impl Default for ExternalTurn {
    fn default() -> Self {
        Self {
            host: String::new(),
            port: 0,
            protocol: Protocol::Udp,
            username: String::new(),
            credential: None,
            credentials_file: None,
            secret: None,
            secret_file: None,
            ttl: 14_400,
        }
    }
}

/// What is wrong with these settings.
#[derive(Debug, thiserror::Error)]
pub enum TurnError {
    /// Nobody could be relayed.
    #[error("turn is enabled without a port: set turn.udp_port, turn.tcp_port or turn.tls_port")]
    NoPort,
    /// Clients check the name in the certificate.
    #[error("turn.tls_port needs turn.domain: the name that the certificate is for")]
    NoDomain,
    /// TLS needs both.
    #[error(
        "turn.tls_port needs turn.cert_file and turn.key_file, or turn.external_tls where somebody \
         else ends TLS"
    )]
    NoCertificate,
    /// An empty range.
    #[error("turn.relay_range_start must be at least 1 and at most turn.relay_range_end")]
    Range,
    /// A number that allows nothing.
    #[error("turn.{0} must be at least 1")]
    TooSmall(&'static str),
    /// Nobody could connect.
    #[error(
        "turn.proxy_protocol needs turn.tls_port and 1 to {PROXIES_MAX} networks in \
         turn.proxy_protocol_trusted_cidrs"
    )]
    NoProxy,
    /// Not a server.
    #[error("rtc.turn_servers: every one needs host and port")]
    NoServer,
    /// Neither or both ways to be let in.
    #[error(
        "rtc.turn_servers: {host} needs either username and credential, or credentials_file, or \
         secret, or secret_file"
    )]
    Credentials {
        /// Whose.
        host: String,
    },
    /// Too short or too long.
    #[error("rtc.turn_servers: ttl of {host} must be between 1 and {EXTERNAL_TTL_MAX_S}")]
    Ttl {
        /// Whose.
        host: String,
    },
    /// A secret that everybody may read.
    #[error("{} may be read by everybody: chmod o= {}", path.display(), path.display())]
    OpenFile {
        /// The file.
        path: PathBuf,
    },
    /// A file that does not do.
    #[error("{key}: cannot use {}: {reason}", path.display())]
    File {
        /// Where it is named.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

impl Turn {
    pub(super) fn check(&self) -> Result<(), TurnError> {
        if !self.enabled {
            return Ok(());
        }
        if [self.udp_port, self.tcp_port, self.tls_port] == [0; 3] {
            return Err(TurnError::NoPort);
        }
        if self.tls_port != 0 && self.domain.is_empty() {
            return Err(TurnError::NoDomain);
        }
        if self.ends_tls() && (self.cert_file.is_none() || self.key_file.is_none()) {
            return Err(TurnError::NoCertificate);
        }
        let proxies = self.proxy_protocol_trusted_cidrs.len();
        if self.proxy_protocol && (self.tls_port == 0 || !(1..=PROXIES_MAX).contains(&proxies)) {
            return Err(TurnError::NoProxy);
        }
        if self.relay_range_start == 0 || self.relay_range_start > self.relay_range_end {
            return Err(TurnError::Range);
        }
        if self.per_user_relay_allocation_limit == 0 {
            return Err(TurnError::TooSmall("per_user_relay_allocation_limit"));
        }
        if self.ttl_seconds == 0 {
            return Err(TurnError::TooSmall("ttl_seconds"));
        }
        Ok(())
    }

    /// Whether TLS is ours to end.
    pub(crate) fn ends_tls(&self) -> bool {
        self.enabled && self.tls_port != 0 && !self.external_tls
    }
}

impl ExternalTurn {
    pub(super) fn check(&self) -> Result<(), TurnError> {
        let host = || self.host.clone();
        if self.host.is_empty() || self.port == 0 {
            return Err(TurnError::NoServer);
        }
        let fixed = !self.username.is_empty() && self.credential.is_some();
        let half = self.username.is_empty() == self.credential.is_some();
        let fixed = fixed || self.credentials_file.is_some();
        let ways = [fixed, self.secret.is_some(), self.secret_file.is_some()];
        if half || ways.into_iter().filter(|way| *way).count() != 1 {
            return Err(TurnError::Credentials { host: host() });
        }
        if !(1..=EXTERNAL_TTL_MAX_S).contains(&self.ttl) {
            return Err(TurnError::Ttl { host: host() });
        }
        Ok(())
    }

    /// Takes secrets out of their files.
    pub(super) fn read_secret(&mut self) -> Result<(), TurnError> {
        let path = self.credentials_file.take();
        if let Some(path) = path.filter(|_| self.credential.is_none()) {
            let key = "rtc.turn_servers.credentials_file";
            let text = read_closed(key, &path)?;
            // The library's error may say what stands there.
            let read: Credentials = ringway_settings::parse(&text, &path).unwrap_or_default();
            if read.username.is_empty() || read.credential.is_none() {
                let reason = "it must have username and credential, and nothing else".to_owned();
                return Err(TurnError::File { key, path, reason });
            }
            (self.username, self.credential) = (read.username, read.credential);
        }
        let path = self.secret_file.as_ref().filter(|_| self.secret.is_none());
        let Some(path) = path else { return Ok(()) };
        let text = read_closed("rtc.turn_servers.secret_file", path)?;
        self.secret = Some(text.trim().into());
        self.secret_file = None;
        Ok(())
    }
}

/// Reads a file that not everybody may read.
pub(crate) fn read_closed(key: &'static str, path: &Path) -> Result<String, TurnError> {
    let refuse = |error: std::io::Error| {
        let reason = error.to_string();
        TurnError::File { key, path: path.to_owned(), reason }
    };
    let mode = std::fs::metadata(path).map_err(refuse)?.permissions().mode();
    if mode & 0o007 != 0 {
        return Err(TurnError::OpenFile { path: path.to_owned() });
    }
    std::fs::read_to_string(path).map_err(refuse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default, Deserialize, Serialize)]
    #[serde(default)]
    struct Both {
        turn: Turn,
        servers: Vec<ExternalTurn>,
    }

    #[test]
    fn settings() {
        let servers = |fields: &str| format!("servers: [{{host: a, port: 1, {fields}}}]");
        for (yaml, expect) in [
            ("turn: {}".to_owned(), ""),
            ("turn: {enabled: true}".to_owned(), ""),
            ("turn: {enabled: true, udp_port: 0}".to_owned(), "without a port"),
            ("turn: {enabled: true, tls_port: 5349}".to_owned(), "needs turn.domain"),
            ("turn: {enabled: true, tls_port: 1, domain: a}".to_owned(), "turn.cert_file"),
            ("turn: {enabled: true, tls_port: 1, domain: a, external_tls: true}".to_owned(), ""),
            (
                "turn: {enabled: true, tls_port: 1, domain: a, cert_file: b, key_file: c}"
                    .to_owned(),
                "",
            ),
            ("turn: {enabled: true, relay_range_end: 1}".to_owned(), "relay_range_start"),
            ("turn: {enabled: true, ttl_seconds: 0}".to_owned(), "turn.ttl_seconds"),
            ("turn: {enabled: true, proxy_protocol: true}".to_owned(), "needs turn.tls_port"),
            (
                "turn: {enabled: true, tls_port: 1, domain: a, external_tls: true, \
                 proxy_protocol: true}"
                    .to_owned(),
                "",
            ),
            (
                "turn: {enabled: true, tls_port: 1, domain: a, external_tls: true, \
                 proxy_protocol: true, proxy_protocol_trusted_cidrs: []}"
                    .to_owned(),
                "1 to 12 networks",
            ),
            ("servers: [{host: a}]".to_owned(), "host and port"),
            (servers(""), "needs either"),
            (servers("username: u"), "needs either"),
            (servers("credential: c"), "needs either"),
            (servers("username: u, credential: c"), ""),
            (servers("username: u, credential: c, secret: s"), "needs either"),
            (servers("credentials_file: f"), ""),
            (servers("credentials_file: f, username: u"), "needs either"),
            (servers("credentials_file: f, username: u, credential: c"), ""),
            (servers("credentials_file: f, secret: s"), "needs either"),
            (servers("secret: s, protocol: tls"), ""),
            (servers("secret: s, ttl: 90000"), "between 1 and 86400"),
            (servers("secret: s, secret_file: f"), "needs either"),
        ] {
            let both: Both = ringway_settings::parse(&yaml, "x.yaml".as_ref()).unwrap();
            let turn = both.turn.check();
            let result = turn.and_then(|()| both.servers.iter().try_for_each(ExternalTurn::check));
            let told = result.err().map(|error| error.to_string()).unwrap_or_default();
            assert_eq!(told.is_empty(), expect.is_empty(), "{yaml}: {told}");
            assert!(told.contains(expect), "{yaml}: {told}");
        }
    }

    #[test]
    fn secrets_come_out_of_closed_files() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        std::fs::write(&path, "hidden\n").unwrap();
        let mut server = ExternalTurn { secret_file: Some(path.clone()), ..Default::default() };
        for (mode, open) in [(0o644, true), (0o640, false)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let read = server.read_secret();
            assert_eq!(matches!(read, Err(TurnError::OpenFile { .. })), open, "{mode:o}");
        }
        assert_eq!(server.secret.as_ref().map(Secret::expose), Some("hidden"));
        assert!(!format!("{server:?}").contains("hidden"));
    }

    #[test]
    fn credentials_come_out_of_closed_files_unless_they_are_given() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("credentials.yaml");
        let read = |mut server: ExternalTurn, text: &str, mode| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            server.credentials_file = Some(path.clone());
            let read = server.read_secret().map_err(|error| error.to_string());
            read.map(|()| (server.username, server.credential.unwrap().expose().to_owned()))
        };
        let pair = |name: &str, word: &str| Ok((name.to_owned(), word.to_owned()));
        let bare = ExternalTurn::default;
        let good = "username: me\ncredential: hidden\n";
        assert_eq!(read(bare(), good, 0o600), pair("me", "hidden"));
        let given =
            ExternalTurn { username: "us".to_owned(), credential: Some("ours".into()), ..bare() };
        assert_eq!(read(given, good, 0o600), pair("us", "ours"));
        for (text, mode, expect) in [
            (good, 0o604, "read by everybody"),
            ("username: me\n", 0o600, "must have username and credential"),
            ("username: ''\ncredential: hidden\n", 0o600, "must have"),
            ("username: me\ncredential: hidden\nhost: a\n", 0o600, "nothing else"),
            ("me:hidden", 0o600, "credentials.yaml"),
        ] {
            let told = read(bare(), text, mode).unwrap_err();
            assert!(told.contains(expect) && !told.contains("hidden"), "{text}: {told}");
        }
    }
}
