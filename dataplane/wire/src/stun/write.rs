//! A writer of STUN messages into a buffer of the caller.

use std::net::SocketAddr;

use super::attribute::{
    ERROR_CODE, FINGERPRINT, ICE_CONTROLLED, ICE_CONTROLLING, IceRole, MESSAGE_INTEGRITY, PRIORITY,
    SOFTWARE, UNKNOWN_ATTRIBUTES, USE_CANDIDATE, USERNAME, XOR_MAPPED_ADDRESS,
};
use super::fingerprint::fingerprint;
use super::{
    HEADER_BYTES, INTEGRITY_BYTES, MAGIC_COOKIE, MAX_UNKNOWN, MessageType, TransactionId, address,
};

/// The buffer was too small for the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a STUN message does not fit into {available} bytes")]
pub struct StunRoomError {
    /// Bytes of the buffer.
    pub available: usize,
}

/// Writes one message, attribute by attribute, in the order of the calls.
///
/// What does not fit is remembered, and [`StunWriter::finish`] says so; the calls between need no
/// checks. The length field is right after every call, so a signature is computed over what is
/// there.
#[derive(Debug)]
pub struct StunWriter<'a> {
    out: &'a mut [u8],
    transaction: TransactionId,
    len: usize,
    full: bool,
}

impl<'a> StunWriter<'a> {
    /// Begins a message at the start of `out`.
    pub fn new(out: &'a mut [u8], message_type: MessageType, transaction: TransactionId) -> Self {
        let mut writer = Self { out, transaction, len: HEADER_BYTES, full: false };
        let Some(header) = writer.out.first_chunk_mut::<HEADER_BYTES>() else {
            writer.full = true;
            return writer;
        };
        header[..2].copy_from_slice(&message_type.bits().to_be_bytes());
        header[2..4].fill(0);
        header[4..8].copy_from_slice(&MAGIC_COOKIE.to_be_bytes());
        header[8..].copy_from_slice(&transaction.0);
        writer
    }

    /// Makes room for an attribute of `length` bytes, zeroed, and counts it in the header.
    fn reserve(&mut self, kind: u16, length: usize) -> Option<&mut [u8]> {
        let padded = length.next_multiple_of(4);
        let end = self.len + 4 + padded;
        let total = u16::try_from(end - HEADER_BYTES).ok().filter(|_| !self.full);
        let (Some(total), Some(space)) = (total, self.out.get_mut(self.len..end)) else {
            self.full = true;
            return None;
        };
        space.fill(0);
        space[..2].copy_from_slice(&kind.to_be_bytes());
        space[2..4].copy_from_slice(&(length as u16).to_be_bytes());
        self.out[2..4].copy_from_slice(&total.to_be_bytes());
        let at = self.len + 4;
        self.len = end;
        self.out.get_mut(at..at + length)
    }

    /// An attribute of any type.
    pub fn attribute(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        if let Some(space) = self.reserve(kind, value.len()) {
            space.copy_from_slice(value);
        }
        self
    }

    /// USERNAME of a check: the ufrag of who will receive it, a colon, the ufrag of who sends it.
    pub fn username(&mut self, receiver_ufrag: &[u8], sender_ufrag: &[u8]) -> &mut Self {
        let colon = receiver_ufrag.len();
        if let Some(space) = self.reserve(USERNAME, colon + 1 + sender_ufrag.len()) {
            space[..colon].copy_from_slice(receiver_ufrag);
            space[colon] = b':';
            space[colon + 1..].copy_from_slice(sender_ufrag);
        }
        self
    }

    /// PRIORITY.
    pub fn priority(&mut self, priority: u32) -> &mut Self {
        self.attribute(PRIORITY, &priority.to_be_bytes())
    }

    /// USE-CANDIDATE.
    pub fn use_candidate(&mut self) -> &mut Self {
        self.attribute(USE_CANDIDATE, &[])
    }

    /// ICE-CONTROLLING or ICE-CONTROLLED.
    pub fn role(&mut self, role: IceRole) -> &mut Self {
        let (kind, tie_breaker) = match role {
            IceRole::Controlling(tie_breaker) => (ICE_CONTROLLING, tie_breaker),
            IceRole::Controlled(tie_breaker) => (ICE_CONTROLLED, tie_breaker),
        };
        self.attribute(kind, &tie_breaker.to_be_bytes())
    }

    /// XOR-MAPPED-ADDRESS: where the request came from.
    pub fn mapped_address(&mut self, address: SocketAddr) -> &mut Self {
        self.address(XOR_MAPPED_ADDRESS, address)
    }

    /// An attribute of any type whose value has the form of XOR-MAPPED-ADDRESS.
    pub fn address(&mut self, kind: u16, address: SocketAddr) -> &mut Self {
        let (value, length) = address::encode(address, &self.transaction);
        self.attribute(kind, &value[..length])
    }

    /// ERROR-CODE; `code` is 300–699.
    pub fn error_code(&mut self, code: u16, reason: &str) -> &mut Self {
        if let Some(space) = self.reserve(ERROR_CODE, 4 + reason.len()) {
            space[2] = (code / 100) as u8;
            space[3] = (code % 100) as u8;
            space[4..].copy_from_slice(reason.as_bytes());
        }
        self
    }

    /// UNKNOWN-ATTRIBUTES: what the request had that must be understood and was not.
    pub fn unknown_attributes(&mut self, kinds: &[u16]) -> &mut Self {
        let kinds = &kinds[..kinds.len().min(MAX_UNKNOWN)];
        if let Some(space) = self.reserve(UNKNOWN_ATTRIBUTES, 2 * kinds.len()) {
            for (pair, kind) in space.chunks_exact_mut(2).zip(kinds) {
                pair.copy_from_slice(&kind.to_be_bytes());
            }
        }
        self
    }

    /// SOFTWARE: the sender's name for itself.
    pub fn software(&mut self, name: &str) -> &mut Self {
        self.attribute(SOFTWARE, name.as_bytes())
    }

    /// MESSAGE-INTEGRITY: `hmac` gets the message up to here and gives its HMAC-SHA1.
    pub fn integrity(&mut self, hmac: impl FnOnce(&[u8]) -> [u8; INTEGRITY_BYTES]) -> &mut Self {
        let before = self.len;
        if self.reserve(MESSAGE_INTEGRITY, INTEGRITY_BYTES).is_some() {
            let tag = hmac(&self.out[..before]);
            self.out[before + 4..before + 4 + INTEGRITY_BYTES].copy_from_slice(&tag);
        }
        self
    }

    /// FINGERPRINT; nothing may follow.
    pub fn fingerprint(&mut self) -> &mut Self {
        let before = self.len;
        if self.reserve(FINGERPRINT, 4).is_some()
            && let Some((header, attributes)) = self.out[..before].split_first_chunk()
        {
            let crc = fingerprint(header, attributes);
            self.out[before + 4..before + 8].copy_from_slice(&crc.to_be_bytes());
        }
        self
    }

    /// The length of the message, a multiple of 4.
    pub fn finish(&self) -> Result<usize, StunRoomError> {
        if self.full {
            return Err(StunRoomError { available: self.out.len() });
        }
        Ok(self.len)
    }
}
