//! A client of ours, for tests: it asks as browsers do, once for the nonce and once with it.

use std::net::SocketAddr;

use ringway_wire::stun::{Class, MessageType, StunView, StunWriter, TransactionId};

use super::attribute::{
    ALLOCATE, CHANNEL_BIND, CHANNEL_NUMBER, CREATE_PERMISSION, DATA_ATTRIBUTE, LIFETIME, NONCE,
    REALM, REFRESH, REQUESTED_TRANSPORT, SEND, UDP, XOR_PEER_ADDRESS, XOR_RELAYED_ADDRESS,
};
use super::channel_data;
use super::credentials::LongTermKey;

/// A client with credentials.
#[derive(Debug)]
pub struct TurnClient {
    username: Box<[u8]>,
    key: LongTermKey,
    nonce: Vec<u8>,
    requests: u64,
}

/// What a server answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TurnAnswer {
    /// 0 for success, else the error's code.
    pub code: u16,
    /// The client's relayed address, in the answer to [`TurnClient::allocate`].
    pub relayed: Option<SocketAddr>,
    /// The client's own address as the server sees it.
    pub mapped: Option<SocketAddr>,
    /// It is signed with our key.
    pub signed: bool,
}

impl TurnClient {
    /// A client with these credentials, such as [`super::TurnSecret`] makes.
    pub fn new(username: &[u8], password: &[u8]) -> Self {
        let key = LongTermKey::new(username, super::REALM.as_bytes(), password);
        Self { username: username.into(), key, nonce: Vec::new(), requests: 0 }
    }

    /// Asks for an allocation.
    pub fn allocate(&mut self) -> Vec<u8> {
        self.ask(ALLOCATE, |writer| {
            writer.attribute(REQUESTED_TRANSPORT, &[UDP, 0, 0, 0]);
        })
    }

    /// Prolongs the allocation; 0 ends it.
    pub fn refresh(&mut self, lifetime_s: u32) -> Vec<u8> {
        self.ask(REFRESH, |writer| {
            writer.attribute(LIFETIME, &lifetime_s.to_be_bytes());
        })
    }

    /// Asks that packets may pass from and to an address.
    pub fn permit(&mut self, peer: SocketAddr) -> Vec<u8> {
        self.ask(CREATE_PERMISSION, |writer| {
            writer.address(XOR_PEER_ADDRESS, peer);
        })
    }

    /// Asks for a channel to a peer.
    pub fn bind(&mut self, channel: u16, peer: SocketAddr) -> Vec<u8> {
        let [high, low] = channel.to_be_bytes();
        self.ask(CHANNEL_BIND, |writer| {
            writer.attribute(CHANNEL_NUMBER, &[high, low, 0, 0]).address(XOR_PEER_ADDRESS, peer);
        })
    }

    /// A packet for a peer without a channel.
    pub fn indication(&mut self, peer: SocketAddr, packet: &[u8]) -> Vec<u8> {
        self.requests += 1;
        let kind = MessageType { class: Class::Indication, method: SEND };
        self.write(kind, |writer| {
            writer.address(XOR_PEER_ADDRESS, peer).attribute(DATA_ATTRIBUTE, packet);
        })
    }

    /// A packet for the peer behind a channel, padded as streams want it.
    pub fn channel_data(channel: u16, packet: &[u8]) -> Vec<u8> {
        let mut out = vec![0; channel_data::HEADER_BYTES + packet.len() + 3];
        let len = channel_data::write(channel, packet, true, &mut out).unwrap_or(0);
        out.truncate(len);
        out
    }

    /// Takes an answer; `None` is none, or one to another question. After a 401 or a 438 the same
    /// question is to be asked again.
    pub fn handle_answer(&mut self, bytes: &[u8]) -> Option<TurnAnswer> {
        let view = StunView::parse(bytes).ok()?;
        let class = view.message_type().class;
        if view.transaction() != self.transaction() || class == Class::Indication {
            return None;
        }
        let code = view.error().map_or(0, |error| error.code);
        let value =
            |wanted| view.attributes().find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
        if let Some(nonce) = value(NONCE).filter(|_| matches!(code, 401 | 438)) {
            self.nonce = nonce.to_vec();
        }
        Some(TurnAnswer {
            code,
            relayed: value(XOR_RELAYED_ADDRESS).and_then(|value| view.plain_address(value)),
            mapped: view.mapped_address(),
            signed: view.signed().is_some_and(|signed| self.key.verify(&signed)),
        })
    }

    fn transaction(&self) -> TransactionId {
        let mut transaction = TransactionId([7; 12]);
        transaction.0[4..].copy_from_slice(&self.requests.to_be_bytes());
        transaction
    }

    fn ask(&mut self, method: u16, write: impl FnOnce(&mut StunWriter<'_>)) -> Vec<u8> {
        self.requests += 1;
        self.write(MessageType { class: Class::Request, method }, |writer| {
            write(writer);
            // The first question is how to ask.
            if !self.nonce.is_empty() {
                writer
                    .attribute(0x0006, &self.username)
                    .attribute(REALM, super::REALM.as_bytes())
                    .attribute(NONCE, &self.nonce)
                    .integrity(|message| self.key.sign(message));
            }
        })
    }

    fn write(&self, kind: MessageType, write: impl FnOnce(&mut StunWriter<'_>)) -> Vec<u8> {
        let mut out = vec![0; super::MAX_MESSAGE_BYTES];
        let mut writer = StunWriter::new(&mut out, kind, self.transaction());
        write(&mut writer);
        let len = writer.finish().unwrap_or(0);
        out.truncate(len);
        out
    }
}
