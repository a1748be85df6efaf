//! The TURN servers that clients are told of, and their credentials: made for each participant, so
//! that nothing that is told is good for long or for others.

use std::net::IpAddr;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ringway_settings::Secret;
use ringway_signal::proto::IceServer;

use crate::config::{ExternalTurn, Protocol, Turn};

/// Octets of the secret that we share with the data plane.
pub const SECRET_BYTES: usize = 32;

/// Where clients connect to a load balancer that ends TLS for us.
const BALANCER_PORT: u16 = 443;

/// What makes lists of servers.
#[derive(Clone, Debug, Default)]
pub struct Relays {
    own: Option<Own>,
    external: Vec<External>,
}

/// Our own server.
#[derive(Clone, Debug)]
struct Own {
    urls: Vec<String>,
    key: hmac::Key,
    ttl_s: u32,
}

/// Somebody else's.
#[derive(Clone, Debug)]
struct External {
    url: String,
    access: Access,
}

#[derive(Clone, Debug)]
enum Access {
    Fixed { username: String, credential: Secret },
    Made { key: Box<hmac::Key>, ttl_s: u32 },
}

impl Relays {
    /// Those of the configuration; `secret` is what our own server knows, `addresses` are those
    /// that clients are told.
    pub fn new(
        turn: &Turn,
        external: &[ExternalTurn],
        secret: &[u8; SECRET_BYTES],
        addresses: &[IpAddr],
    ) -> Self {
        let own = turn.enabled.then(|| Own {
            urls: urls(turn, addresses),
            key: hmac::Key::new(hmac::HMAC_SHA256, secret),
            ttl_s: turn.ttl_seconds,
        });
        Self { own, external: external.iter().filter_map(External::new).collect() }
    }

    /// Servers for one participant. Who wants TLS is told of nothing else of our own, if that has
    /// TLS at all.
    pub fn of(&self, participant: &str, unix_s: u64, tls: bool) -> Vec<IceServer> {
        let own = self.own.iter().map(|own| own.of(participant, unix_s, tls));
        own.chain(self.external.iter().map(|one| one.of(participant, unix_s))).collect()
    }
}

impl Own {
    fn of(&self, participant: &str, unix_s: u64, tls: bool) -> IceServer {
        let username = format!("{}:{participant}", unix_s + u64::from(self.ttl_s));
        let tag = hmac::sign(&self.key, username.as_bytes());
        let credential = tag.as_ref().iter().map(|octet| format!("{octet:02x}")).collect();
        let mut urls = self.urls.clone();
        if tls && urls.iter().any(|url| is_tls(url)) {
            urls.retain(|url| is_tls(url));
        }
        IceServer { urls, username, credential }
    }
}

impl External {
    fn new(server: &ExternalTurn) -> Option<Self> {
        let ExternalTurn { host, port, username, .. } = server;
        let host = bracketed(host);
        let url = match server.protocol {
            Protocol::Udp => format!("turn:{host}:{port}?transport=udp"),
            Protocol::Tcp => format!("turn:{host}:{port}?transport=tcp"),
            Protocol::Tls => format!("turns:{host}:{port}?transport=tcp"),
        };
        let made = |secret: &Secret| {
            let key = secret.expose().as_bytes();
            let key = Box::new(hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key));
            Access::Made { key, ttl_s: server.ttl }
        };
        let access = match (&server.credential, &server.secret) {
            (Some(credential), _) => {
                Access::Fixed { username: username.clone(), credential: credential.clone() }
            }
            (None, secret) => made(secret.as_ref()?),
        };
        Some(Self { url, access })
    }

    // What coturn calls `use-auth-secret`: draft-uberti-behave-turn-rest-00.
    fn of(&self, participant: &str, unix_s: u64) -> IceServer {
        let (username, credential) = match &self.access {
            Access::Fixed { username, credential } => {
                (username.clone(), credential.expose().to_owned())
            }
            Access::Made { key, ttl_s } => {
                let username = format!("{}:{participant}", unix_s + u64::from(*ttl_s));
                let credential = STANDARD.encode(hmac::sign(key, username.as_bytes()));
                (username, credential)
            }
        };
        IceServer { urls: vec![self.url.clone()], username, credential }
    }
}

/// Our own server's, the quickest way first: at the first address of each family, and by name where
/// a certificate must fit.
fn urls(turn: &Turn, addresses: &[IpAddr]) -> Vec<String> {
    let v4 = addresses.iter().find(|ip| ip.is_ipv4());
    let v6 = addresses.iter().find(|ip| ip.is_ipv6());
    let mut urls = Vec::new();
    for (port, transport) in [(turn.udp_port, "udp"), (turn.tcp_port, "tcp")] {
        if port != 0 {
            let hosts = v4.into_iter().chain(v6).map(|ip| bracketed(&ip.to_string()));
            urls.extend(hosts.map(|host| format!("turn:{host}:{port}?transport={transport}")));
        }
    }
    if turn.tls_port != 0 {
        let port = if turn.external_tls { BALANCER_PORT } else { turn.tls_port };
        urls.push(format!("turns:{}:{port}?transport=tcp", turn.domain));
    }
    urls
}

fn is_tls(url: &str) -> bool {
    url.starts_with("turns:")
}

fn bracketed(host: &str) -> String {
    if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_server() {
        let addresses: Vec<IpAddr> =
            ["10.0.0.1", "10.0.0.2", "2001:db8::1"].map(|ip| ip.parse().unwrap()).to_vec();
        let turn = Turn {
            enabled: true,
            tcp_port: 3479,
            tls_port: 5349,
            domain: "turn.example.com".to_owned(),
            ..Turn::default()
        };
        let servers =
            |turn: &Turn| Relays::new(turn, &[], &[7; 32], &addresses).of("PA_x", 1000, false);
        let [server] = &servers(&turn)[..] else { panic!("one server") };
        let expect = [
            "turn:10.0.0.1:3478?transport=udp",
            "turn:[2001:db8::1]:3478?transport=udp",
            "turn:10.0.0.1:3479?transport=tcp",
            "turn:[2001:db8::1]:3479?transport=tcp",
            "turns:turn.example.com:5349?transport=tcp",
        ];
        assert_eq!(server.urls, expect);
        assert_eq!(server.username, "1300:PA_x");
        // Python: hmac.new(b'\x07' * 32, b'1300:PA_x', 'sha256').hexdigest()
        let expect = "f633477082e8843427b4fdd474cc27d096509b3660eefdf80feb2db781ac62b1";
        assert_eq!(server.credential, expect);
        let tls = Relays::new(&turn, &[], &[7; 32], &addresses).of("PA_x", 1000, true);
        assert_eq!(tls[0].urls, ["turns:turn.example.com:5349?transport=tcp"]);
        let plain = Turn { tls_port: 0, ..turn.clone() };
        let plain = Relays::new(&plain, &[], &[7; 32], &addresses).of("PA_x", 1000, true);
        assert_eq!(plain[0].urls, server.urls[..4]);
        let balanced = Turn { external_tls: true, udp_port: 0, tcp_port: 0, ..turn };
        assert_eq!(servers(&balanced)[0].urls, ["turns:turn.example.com:443?transport=tcp"]);
        assert!(servers(&Turn::default()).is_empty());
    }

    #[test]
    fn other_servers() {
        let server = |protocol, secret: Option<&str>| ExternalTurn {
            host: "2001:db8::7".to_owned(),
            port: 443,
            protocol,
            username: secret.map_or("user", |_| "").to_owned(),
            credential: secret.is_none().then(|| "password".into()),
            secret: secret.map(Secret::from),
            ..ExternalTurn::default()
        };
        let servers = [server(Protocol::Tls, None), server(Protocol::Tcp, Some("north"))];
        let relays = Relays::new(&Turn::default(), &servers, &[0; 32], &[]);
        let told = relays.of("PA_x", 1000, true);
        let [fixed, made] = &told[..] else { panic!("two servers") };
        assert_eq!(fixed.urls, ["turns:[2001:db8::7]:443?transport=tcp"]);
        assert_eq!((&*fixed.username, &*fixed.credential), ("user", "password"));
        assert_eq!(made.urls, ["turn:[2001:db8::7]:443?transport=tcp"]);
        // `printf 15400:PA_x | openssl dgst -sha1 -hmac north -binary | base64`
        assert_eq!(made.username, "15400:PA_x");
        assert_eq!(made.credential, "1I1uho/v6+aXA7IS0XuJcDEyxQ0=");
        assert!(!format!("{relays:?}").contains("north"));
    }
}
