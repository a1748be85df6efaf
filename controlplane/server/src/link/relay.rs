//! Relays over the link: what the data plane is told of TURN, the key and the certificates in DER,
//! part by part.

use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use ringway_abi::call::{
    self as abi, CallCommand, Network, RELAY_ADDRESSES, RELAY_PROXIES, RelaySpec, TLS_PART_BYTES,
};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::{Cidr, PROXIES_MAX, Turn, TurnError, read_closed};
use crate::rtc::relays::SECRET_BYTES;

const _: () = assert!(PROXIES_MAX == RELAY_PROXIES, "all that are configured go over");

/// The private key stands before the certificates.
const KEY_PLACE: u8 = 0;
/// Certificates that the data plane takes.
const CHAIN_MAX: usize = 8;

const CERT: &str = "turn.cert_file";
const KEY: &str = "turn.key_file";

/// What the data plane must know to relay.
#[derive(Clone)]
pub struct RelaySettings {
    secret: [u8; SECRET_BYTES],
    turn: Turn,
    /// The key and the certificates, if TLS is ours to end.
    tls: Vec<Vec<u8>>,
}

impl fmt::Debug for RelaySettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelaySettings").field("turn", &self.turn).finish_non_exhaustive()
    }
}

impl RelaySettings {
    /// Those of the configuration, if it wants relays; `secret` is what credentials are made from.
    pub(crate) fn new(turn: &Turn, secret: [u8; SECRET_BYTES]) -> Result<Option<Self>, TurnError> {
        if !turn.enabled {
            return Ok(None);
        }
        let tls = match (&turn.cert_file, &turn.key_file) {
            (Some(cert), Some(key)) if turn.ends_tls() => load(cert, key)?,
            _ => Vec::new(),
        };
        Ok(Some(Self { secret, turn: turn.clone(), tls }))
    }

    /// Commands for shard 0, in their order; the last one's answer tells how it went.
    pub(super) fn commands(&self, bind: IpAddr, advertised: &[IpAddr]) -> Vec<CallCommand> {
        let mut commands = Vec::new();
        for (place, whole) in (KEY_PLACE..).zip(&self.tls) {
            for part in whole.chunks(TLS_PART_BYTES) {
                let Some(part) = abi::Text::new(part) else { continue };
                let first = commands.is_empty();
                commands.push(CallCommand::RelayTls { place, first, part });
            }
        }
        let mut addresses = [None; RELAY_ADDRESSES];
        for (place, ip) in addresses.iter_mut().zip(advertised) {
            *place = Some(*ip);
        }
        let Turn { udp_port, tcp_port, tls_port, external_tls, proxy_protocol, .. } = self.turn;
        if proxy_protocol {
            let mut networks = [None; RELAY_PROXIES];
            let trusted = &self.turn.proxy_protocol_trusted_cidrs;
            for (place, Cidr { ip, bits }) in networks.iter_mut().zip(trusted) {
                *place = Some(Network { ip: *ip, bits: *bits });
            }
            commands.push(CallCommand::RelayProxies { networks });
        }
        commands.push(CallCommand::Relay(RelaySpec {
            secret: abi::Text::new(&self.secret).unwrap_or(abi::Text::EMPTY),
            bind,
            udp_port,
            tcp_port,
            tls_port,
            external_tls,
            relayed_ports: (self.turn.relay_range_start, self.turn.relay_range_end),
            per_user: self.turn.per_user_relay_allocation_limit,
            addresses,
            proxied: proxy_protocol,
        }));
        commands
    }

    /// The ports, for who reads logs.
    pub(super) fn ports(&self) -> [u16; 3] {
        [self.turn.udp_port, self.turn.tcp_port, self.turn.tls_port]
    }
}

/// Reads key and certificates, and tries whether they belong together.
fn load(cert: &Path, key: &Path) -> Result<Vec<Vec<u8>>, TurnError> {
    let refuse = |name: &'static str, path: &Path, reason: String| TurnError::File {
        key: name,
        path: path.to_owned(),
        reason,
    };
    let text = std::fs::read(cert).map_err(|error| refuse(CERT, cert, error.to_string()))?;
    let chain: Result<Vec<CertificateDer<'static>>, _> =
        CertificateDer::pem_slice_iter(&text).collect();
    let chain = chain.map_err(|error| refuse(CERT, cert, error.to_string()))?;
    if chain.is_empty() || chain.len() > CHAIN_MAX {
        let reason = format!("it has {} certificates, not 1 to {CHAIN_MAX}", chain.len());
        return Err(refuse(CERT, cert, reason));
    }
    let text = read_closed(KEY, key)?;
    let private = PrivateKeyDer::from_pem_slice(text.as_bytes());
    let private = private.map_err(|error| refuse(KEY, key, error.to_string()))?;
    let mut tls = vec![private.secret_der().to_vec()];
    tls.extend(chain.iter().map(|one| one.to_vec()));
    let tried = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private));
    tried.map_err(|error| refuse(CERT, cert, error.to_string()))?;
    Ok(tls)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../dataplane/shard/tests/data");

    fn turn(cert: &Path, key: &Path) -> Turn {
        Turn {
            enabled: true,
            tls_port: 5349,
            cert_file: Some(cert.to_owned()),
            key_file: Some(key.to_owned()),
            ..Turn::default()
        }
    }

    #[test]
    fn keys_go_over_in_parts() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, mode: u32| {
            let path = dir.path().join(name);
            std::fs::copy(Path::new(DATA).join(name), &path).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            path
        };
        let (cert, key) = (file("turn.cert.pem", 0o644), file("turn.key.pem", 0o640));
        let settings = RelaySettings::new(&turn(&cert, &key), [9; 32]).unwrap().unwrap();
        assert!(!format!("{settings:?}").contains("9, 9"), "{settings:?}");
        let commands = settings.commands([0, 0, 0, 0].into(), &[[192, 0, 2, 1].into(); 12]);
        let (last, parts) = commands.split_last().unwrap();
        let mut whole = vec![Vec::new(); 2];
        for (at, part) in parts.iter().enumerate() {
            let CallCommand::RelayTls { place, first, part } = part else { panic!("{part:?}") };
            assert_eq!(*first, at == 0);
            whole[usize::from(*place)].extend_from_slice(part.as_bytes());
        }
        assert_eq!(whole, settings.tls);
        let CallCommand::Relay(spec) = last else { panic!("{last:?}") };
        assert_eq!(spec.addresses, [Some([192, 0, 2, 1].into()); RELAY_ADDRESSES]);
        assert_eq!((spec.udp_port, spec.tls_port, spec.per_user), (3478, 5349, 12));
        assert_eq!(spec.secret.as_bytes(), [9; 32]);

        // What does not do is said with the key of the setting.
        let open = file("turn.key.pem", 0o644);
        for (cert, key, expect) in [
            (&cert, &open, "chmod o="),
            (&key, &key, "it has 0 certificates"),
            (&cert, &dir.path().join("none"), "turn.key_file: cannot use"),
            (&dir.path().join("none"), &key, "turn.cert_file: cannot use"),
        ] {
            let told = RelaySettings::new(&turn(cert, key), [9; 32]).unwrap_err().to_string();
            assert!(told.contains(expect), "{told}");
        }
        // Where somebody else ends TLS, or nobody speaks it, there are no files.
        let balanced = Turn { external_tls: true, ..turn(&cert, &dir.path().join("none")) };
        let settings = RelaySettings::new(&balanced, [9; 32]).unwrap().unwrap();
        assert_eq!(settings.commands([0, 0, 0, 0].into(), &[]).len(), 1);
        let proxied = Turn { proxy_protocol: true, ..balanced };
        let settings = RelaySettings::new(&proxied, [9; 32]).unwrap().unwrap();
        let commands = settings.commands([0, 0, 0, 0].into(), &[]);
        let [CallCommand::RelayProxies { networks }, CallCommand::Relay(spec)] = &commands[..]
        else {
            panic!("{commands:?}");
        };
        assert!(spec.proxied && networks.iter().flatten().count() == 2, "{networks:?}");
        assert!(RelaySettings::new(&Turn::default(), [9; 32]).unwrap().is_none());
    }
}
