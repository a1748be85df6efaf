//! Where shard 0 brings what relays need: ports that it has opened, keys, and how to serve.

use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use ringway_abi::call::{Network, RELAY_SECRET_BYTES, RelaySpec};
use ringway_proto::turn::{TurnConfig, TurnSecret};
use ringway_shard::sockets::OpenError;
use ringway_uring::{SocketOptions, bind, listen};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;

use crate::kernel::bind_error;
use crate::shards::Together;

/// A private key, our certificate, and those that vouch for it.
const PLACES: usize = 9;
/// Octets of one of them: RSA with 16,384 bits has keys of 9 kB.
const PLACE_BYTES: usize = 16 * 1024;

/// What becomes of a socket.
#[derive(Debug)]
pub(crate) enum Change<T> {
    /// It stays.
    Same,
    /// This one takes its place, or none.
    Now(Option<T>),
}

/// What the gateway is to serve with from now on.
pub(crate) struct Opening {
    pub(crate) config: TurnConfig,
    pub(crate) udp: Change<Arc<UdpSocket>>,
    pub(crate) tcp: Change<TcpListener>,
    pub(crate) tls: Change<TcpListener>,
    /// `None`: somebody else has ended TLS.
    pub(crate) keys: Option<Arc<ServerConfig>>,
    /// Where the proxies are that alone may connect to the port of TLS; `None`: clients do.
    pub(crate) proxies: Option<Vec<Network>>,
}

/// Shard 0's way to the gateway's relays.
pub(crate) struct Desk {
    openings: Sender<Opening>,
    together: Arc<Together>,
    /// The key and the certificates, as far as they were said.
    parts: Vec<Vec<u8>>,
    /// Where proxies are.
    proxies: Vec<Network>,
    /// Where UDP, TCP and TLS are served.
    open: [Option<SocketAddr>; 3],
}

impl Desk {
    /// The desk, and where what is brought to it comes out.
    pub(super) fn new(together: Arc<Together>) -> (Self, Receiver<Opening>) {
        let (openings, receiver) = channel();
        (
            Self { openings, together, parts: Vec::new(), proxies: Vec::new(), open: [None; 3] },
            receiver,
        )
    }

    /// Keeps a part of the key or of a certificate.
    pub(crate) fn keep_tls(
        &mut self,
        place: u8,
        first: bool,
        part: &[u8],
    ) -> Result<(), OpenError> {
        if first {
            self.parts.clear();
        }
        let place = usize::from(place);
        // In order, so that none is left out.
        if place > self.parts.len() || place >= PLACES {
            return Err(OpenError::Invalid);
        }
        if place == self.parts.len() {
            self.parts.push(Vec::new());
        }
        let whole = self.parts.get_mut(place).ok_or(OpenError::Invalid)?;
        if whole.len() + part.len() > PLACE_BYTES {
            return Err(OpenError::Invalid);
        }
        whole.extend_from_slice(part);
        Ok(())
    }

    /// Keeps where proxies are.
    pub(crate) fn keep_proxies(&mut self, networks: &[Option<Network>]) {
        self.proxies = networks.iter().flatten().copied().collect();
    }

    /// Opens what `spec` asks for, and closes the rest; nothing changes when something fails.
    pub(crate) fn open(
        &mut self,
        spec: &RelaySpec,
        options: &SocketOptions,
    ) -> Result<(), OpenError> {
        let config = config_of(spec).ok_or(OpenError::Invalid)?;
        let keys = match spec.tls_port != 0 && !spec.external_tls {
            true => Some(self.keys()?),
            false => None,
        };
        let [udp, tcp, tls] = [spec.udp_port, spec.tcp_port, spec.tls_port]
            .map(|port| (port != 0).then_some(SocketAddr::new(spec.bind, port)));
        let opening = Opening {
            config,
            udp: change(self.open[0], udp, |address| {
                Ok(bind(address, options).map_err(bind_error)?.socket)
            })?,
            tcp: change(self.open[1], tcp, listener)?,
            tls: change(self.open[2], tls, listener)?,
            keys,
            proxies: spec.proxied.then(|| self.proxies.clone()),
        };
        self.open = [udp, tcp, tls];
        // An error means that the program is stopping.
        let _ = self.openings.send(opening);
        self.together.gateway.ring();
        Ok(())
    }

    fn keys(&self) -> Result<Arc<ServerConfig>, OpenError> {
        let (key, chain) = self.parts.split_first().ok_or(OpenError::Invalid)?;
        server_config(key, chain).map_err(|error| {
            // The library says what is wrong with them, never what they are.
            tracing::error!(%error, "no TLS for relays: the key and the certificate do not do");
            OpenError::Invalid
        })
    }
}

fn server_config(key: &[u8], chain: &[Vec<u8>]) -> Result<Arc<ServerConfig>, rustls::Error> {
    let key = PrivateKeyDer::try_from(key).map(|key| key.clone_key());
    let key = key.map_err(|reason| rustls::Error::General(reason.to_owned()))?;
    let chain = chain.iter().map(|one| CertificateDer::from(one.clone())).collect();
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    // Clients of calls connect once.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

fn config_of(spec: &RelaySpec) -> Option<TurnConfig> {
    let secret: &[u8; RELAY_SECRET_BYTES] = spec.secret.as_bytes().try_into().ok()?;
    let addresses: Vec<IpAddr> = spec.addresses.iter().flatten().copied().collect();
    let (first, last) = spec.relayed_ports;
    let makes_sense = !addresses.is_empty() && 0 < first && first <= last && spec.per_user > 0;
    makes_sense.then(|| TurnConfig {
        secret: TurnSecret::new(secret),
        addresses,
        ports: (first, last),
        per_user: spec.per_user.into(),
    })
}

fn listener(address: SocketAddr) -> Result<TcpListener, OpenError> {
    Ok(listen(address).map_err(bind_error)?.listener)
}

fn change<T>(
    before: Option<SocketAddr>,
    wanted: Option<SocketAddr>,
    open: impl FnOnce(SocketAddr) -> Result<T, OpenError>,
) -> Result<Change<T>, OpenError> {
    if before == wanted {
        return Ok(Change::Same);
    }
    wanted.map(open).transpose().map(Change::Now)
}
