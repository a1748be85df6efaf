//! A checked view of one STUN message.

use std::net::SocketAddr;

use super::attribute::{
    ERROR_CODE, ErrorCode, FINGERPRINT, ICE_CONTROLLED, ICE_CONTROLLING, IceRole,
    MESSAGE_INTEGRITY, MESSAGE_INTEGRITY_SHA256, PRIORITY, SOFTWARE, Signed, UNKNOWN_ATTRIBUTES,
    USE_CANDIDATE, USERNAME, XOR_MAPPED_ADDRESS, must_be_understood,
};
use super::fingerprint::fingerprint;
use super::{
    HEADER_BYTES, INTEGRITY_BYTES, MAGIC_COOKIE, MAX_ATTRIBUTES, MAX_UNKNOWN, MAX_USERNAME_BYTES,
    MessageType, StunError, TransactionId, address,
};

/// Bytes of type and length before the value of an attribute.
const ATTRIBUTE_HEADER_BYTES: usize = 4;

/// A STUN message all of whose lengths were checked, and whose FINGERPRINT is right if it has one.
///
/// Its sender is not known before [`StunView::signed`] was verified.
#[derive(Clone, Copy, Debug)]
pub struct StunView<'a> {
    bytes: &'a [u8],
    message_type: MessageType,
    transaction: TransactionId,
    username: Option<&'a [u8]>,
    software: Option<&'a [u8]>,
    error: Option<ErrorCode<'a>>,
    mapped: Option<SocketAddr>,
    role: Option<IceRole>,
    priority: Option<u32>,
    use_candidate: bool,
    // Where the attribute begins.
    integrity_at: Option<usize>,
    has_fingerprint: bool,
    unknown: [u16; MAX_UNKNOWN],
    unknown_count: usize,
}

impl<'a> StunView<'a> {
    /// Checks `bytes`, one whole datagram.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, StunError> {
        let Some((header, attributes)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
            return Err(StunError::Length);
        };
        let [t0, t1, l0, l1, c0, c1, c2, c3, id @ ..] = *header;
        let length = usize::from(u16::from_be_bytes([l0, l1]));
        // RFC 8489 5: the first two bits "MUST be zeroes".
        if t0 & 0xc0 != 0 || u32::from_be_bytes([c0, c1, c2, c3]) != MAGIC_COOKIE {
            return Err(StunError::Cookie);
        }
        // RFC 8489 5: "the last 2 bits of this field are always zero", as attributes are padded.
        if length != attributes.len() || length % 4 != 0 {
            return Err(StunError::Length);
        }
        let mut view = Self {
            bytes,
            message_type: MessageType::from_bits(u16::from_be_bytes([t0, t1])),
            transaction: TransactionId(id),
            username: None,
            software: None,
            error: None,
            mapped: None,
            role: None,
            priority: None,
            use_candidate: false,
            integrity_at: None,
            has_fingerprint: false,
            unknown: [0; MAX_UNKNOWN],
            unknown_count: 0,
        };
        view.read_attributes(header, attributes)?;
        Ok(view)
    }

    fn read_attributes(
        &mut self,
        header: &[u8; HEADER_BYTES],
        attributes: &'a [u8],
    ) -> Result<(), StunError> {
        let (mut rest, mut count) = (attributes, 0);
        while !rest.is_empty() {
            let at = attributes.len() - rest.len();
            let (kind, value, behind) = split_attribute(rest).ok_or(StunError::Attribute)?;
            rest = behind;
            count += 1;
            if count > MAX_ATTRIBUTES {
                return Err(StunError::Attribute);
            }
            if kind == FINGERPRINT {
                let before = attributes.get(..at).ok_or(StunError::Attribute)?;
                // RFC 8489 14.7: "the FINGERPRINT attribute MUST be the last attribute".
                if !rest.is_empty() {
                    return Err(StunError::Attribute);
                }
                let claimed = u32::from_be_bytes(exact(value)?);
                if claimed != fingerprint(header, before) {
                    return Err(StunError::Fingerprint);
                }
                self.has_fingerprint = true;
            } else if self.integrity_at.is_none() {
                self.read_attribute(kind, value, HEADER_BYTES + at)?;
            }
            // RFC 8489 14.5: agents "MUST ignore all other attributes that follow" the integrity.
        }
        Ok(())
    }

    // RFC 8489 14: of an attribute that occurs more than once, "only the first occurrence needs to
    // be processed".
    fn read_attribute(&mut self, kind: u16, value: &'a [u8], at: usize) -> Result<(), StunError> {
        match kind {
            USERNAME if value.len() > MAX_USERNAME_BYTES => return Err(StunError::Attribute),
            USERNAME => self.username = self.username.or(Some(value)),
            MESSAGE_INTEGRITY => {
                exact::<INTEGRITY_BYTES>(value)?;
                self.integrity_at = Some(at);
            }
            ERROR_CODE => {
                let error = ErrorCode::decode(value).ok_or(StunError::Attribute)?;
                self.error = self.error.or(Some(error));
            }
            XOR_MAPPED_ADDRESS => {
                let mapped = address::decode(value, &self.transaction);
                self.mapped = self.mapped.or(Some(mapped.ok_or(StunError::Attribute)?));
            }
            PRIORITY => {
                let priority = u32::from_be_bytes(exact(value)?);
                self.priority = self.priority.or(Some(priority));
            }
            USE_CANDIDATE => {
                exact::<0>(value)?;
                self.use_candidate = true;
            }
            ICE_CONTROLLING | ICE_CONTROLLED => {
                let tie_breaker = u64::from_be_bytes(exact(value)?);
                let role = if kind == ICE_CONTROLLING {
                    IceRole::Controlling(tie_breaker)
                } else {
                    IceRole::Controlled(tie_breaker)
                };
                self.role = self.role.or(Some(role));
            }
            SOFTWARE => self.software = self.software.or(Some(value)),
            // Known, and of no use: the list of an answer 420, and the signature that comes with a
            // MESSAGE-INTEGRITY for those who know the newer one.
            UNKNOWN_ATTRIBUTES | MESSAGE_INTEGRITY_SHA256 => {}
            _ if must_be_understood(kind) => self.note_unknown(kind),
            _ => {}
        }
        Ok(())
    }

    fn note_unknown(&mut self, kind: u16) {
        if let Some(free) = self.unknown.get_mut(self.unknown_count) {
            *free = kind;
            self.unknown_count += 1;
        }
    }

    /// Class and method.
    pub fn message_type(&self) -> MessageType {
        self.message_type
    }

    /// What a request and its answer have in common.
    pub fn transaction(&self) -> TransactionId {
        self.transaction
    }

    /// USERNAME, at most [`MAX_USERNAME_BYTES`].
    pub fn username(&self) -> Option<&'a [u8]> {
        self.username
    }

    /// USERNAME of a check, taken apart: the ufrag of who receives it and of who sent it.
    ///
    /// RFC 8445 7.2.2: "formed by concatenating the username fragment provided by the peer with the
    /// username fragment of the ICE agent sending the request, separated by a colon".
    pub fn ufrags(&self) -> Option<(&'a [u8], &'a [u8])> {
        let username = self.username?;
        let colon = username.iter().position(|byte| *byte == b':')?;
        Some((username.get(..colon)?, username.get(colon + 1..)?))
    }

    /// SOFTWARE: the sender's name for itself.
    pub fn software(&self) -> Option<&'a [u8]> {
        self.software
    }

    /// ERROR-CODE.
    pub fn error(&self) -> Option<ErrorCode<'a>> {
        self.error
    }

    /// XOR-MAPPED-ADDRESS, made plain.
    pub fn mapped_address(&self) -> Option<SocketAddr> {
        self.mapped
    }

    /// ICE-CONTROLLING or ICE-CONTROLLED, whichever comes first.
    pub fn role(&self) -> Option<IceRole> {
        self.role
    }

    /// PRIORITY.
    pub fn priority(&self) -> Option<u32> {
        self.priority
    }

    /// Whether USE-CANDIDATE is there.
    pub fn use_candidate(&self) -> bool {
        self.use_candidate
    }

    /// Whether FINGERPRINT is there; then it is right.
    pub fn has_fingerprint(&self) -> bool {
        self.has_fingerprint
    }

    /// Attributes that must be understood and are not known here, at most [`MAX_UNKNOWN`] of them.
    pub fn unknown(&self) -> &[u16] {
        self.unknown.get(..self.unknown_count).unwrap_or_default()
    }

    /// Type and value of every attribute before MESSAGE-INTEGRITY, known here or not.
    pub fn attributes(&self) -> impl Iterator<Item = (u16, &'a [u8])> + use<'a> {
        let mut rest = self.bytes.get(HEADER_BYTES..).unwrap_or(&[]);
        std::iter::from_fn(move || {
            // All lengths were checked.
            let (kind, value, behind) = split_attribute(rest)?;
            rest = behind;
            (kind != MESSAGE_INTEGRITY && kind != FINGERPRINT).then_some((kind, value))
        })
        .fuse()
    }

    /// Makes the value of an attribute of the form of XOR-MAPPED-ADDRESS plain.
    pub fn plain_address(&self, value: &[u8]) -> Option<SocketAddr> {
        address::decode(value, &self.transaction)
    }

    /// What MESSAGE-INTEGRITY signs, if there is one.
    pub fn signed(&self) -> Option<Signed<'a>> {
        let at = self.integrity_at?;
        let mut header = *self.bytes.first_chunk::<HEADER_BYTES>()?;
        // RFC 8489 14.5: the length field counts up to and with MESSAGE-INTEGRITY.
        let end = at + ATTRIBUTE_HEADER_BYTES + INTEGRITY_BYTES;
        let length = u16::try_from(end - HEADER_BYTES).ok()?;
        header[2..4].copy_from_slice(&length.to_be_bytes());
        let tag = self.bytes.get(at + ATTRIBUTE_HEADER_BYTES..end)?.try_into().ok()?;
        Some(Signed { header, attributes: self.bytes.get(HEADER_BYTES..at)?, tag })
    }
}

/// Type and value of the first attribute, and what is behind it and its padding.
fn split_attribute(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let (&[k0, k1, l0, l1], rest) = bytes.split_first_chunk()?;
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    let value = rest.get(..length)?;
    // RFC 8489 14: values are padded to a multiple of 4 bytes, with bytes that mean nothing.
    let behind = rest.get(length.next_multiple_of(4)..)?;
    Some((u16::from_be_bytes([k0, k1]), value, behind))
}

fn exact<const N: usize>(value: &[u8]) -> Result<[u8; N], StunError> {
    value.try_into().map_err(|_| StunError::Attribute)
}
