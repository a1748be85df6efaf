//! What a message of TURN says, besides what every STUN message says.

use std::net::SocketAddr;

use ringway_wire::stun::{MAX_UNKNOWN, StunView};

use super::attribute::{
    CHANNEL_NUMBER, DATA_ATTRIBUTE, DONT_FRAGMENT, EVEN_PORT, LIFETIME, NONCE, OF_STUN, REALM,
    REQUESTED_ADDRESS_FAMILY, REQUESTED_TRANSPORT, RESERVATION_TOKEN, XOR_PEER_ADDRESS,
};

/// Peers of one request that are looked at.
pub(super) const MAX_PEERS: usize = 16;

/// The fields of a message. Of those that occur more than once the first counts, but for peers.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Request<'a> {
    pub(super) realm: Option<&'a [u8]>,
    pub(super) nonce: Option<&'a [u8]>,
    pub(super) lifetime_s: Option<u32>,
    pub(super) channel: Option<u16>,
    pub(super) data: Option<&'a [u8]>,
    pub(super) transport: Option<u8>,
    pub(super) family: Option<u8>,
    /// Another port is to be kept for later, or one that was kept is asked for.
    pub(super) reserves: bool,
    peers: [Option<SocketAddr>; MAX_PEERS],
    peer_count: usize,
    unknown: [u16; MAX_UNKNOWN],
    unknown_count: usize,
}

impl<'a> Request<'a> {
    /// Reads the attributes; `None` when one has not the form that its type demands.
    pub(super) fn read(view: &StunView<'a>) -> Option<Self> {
        let mut request = Self::default();
        for (kind, value) in view.attributes() {
            match kind {
                REALM => request.realm = request.realm.or(Some(value)),
                NONCE => request.nonce = request.nonce.or(Some(value)),
                DATA_ATTRIBUTE => request.data = request.data.or(Some(value)),
                LIFETIME => {
                    let lifetime = u32::from_be_bytes(exact(value)?);
                    request.lifetime_s = request.lifetime_s.or(Some(lifetime));
                }
                CHANNEL_NUMBER => {
                    let [high, low, _, _] = exact(value)?;
                    request.channel = request.channel.or(Some(u16::from_be_bytes([high, low])));
                }
                REQUESTED_TRANSPORT => {
                    let [protocol, _, _, _] = exact(value)?;
                    request.transport = request.transport.or(Some(protocol));
                }
                REQUESTED_ADDRESS_FAMILY => {
                    let [family, _, _, _] = exact(value)?;
                    request.family = request.family.or(Some(family));
                }
                XOR_PEER_ADDRESS => request.note_peer(view.plain_address(value)?),
                EVEN_PORT | RESERVATION_TOKEN => request.reserves = true,
                // Nothing of ours is ever put into fragments.
                DONT_FRAGMENT => {}
                _ if OF_STUN.contains(&kind) || kind >= 0x8000 => {}
                _ => request.note_unknown(kind),
            }
        }
        Some(request)
    }

    fn note_peer(&mut self, peer: SocketAddr) {
        if let Some(free) = self.peers.get_mut(self.peer_count) {
            *free = Some(peer);
        }
        self.peer_count += 1;
    }

    fn note_unknown(&mut self, kind: u16) {
        if let Some(free) = self.unknown.get_mut(self.unknown_count) {
            *free = kind;
            self.unknown_count += 1;
        }
    }

    /// The peers that it names; `None` when there are more than [`MAX_PEERS`].
    pub(super) fn peers(&self) -> Option<impl Iterator<Item = SocketAddr> + '_> {
        self.peers.get(..self.peer_count).map(|peers| peers.iter().flatten().copied())
    }

    /// The only peer that it names.
    pub(super) fn peer(&self) -> Option<SocketAddr> {
        if self.peer_count == 1 { self.peers[0] } else { None }
    }

    /// Attributes that must be understood and are not, at most [`MAX_UNKNOWN`] of them.
    pub(super) fn unknown(&self) -> &[u16] {
        self.unknown.get(..self.unknown_count).unwrap_or_default()
    }
}

fn exact<const N: usize>(value: &[u8]) -> Option<[u8; N]> {
    value.try_into().ok()
}
