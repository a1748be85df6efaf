//! LiveKit's `DataPacket`, seen through its outermost fields only: who it is for, of which kind it
//! is, and who claims to have sent it. Payloads are never looked into.
//!
//! Protobuf: a packet is a row of fields, each a tag (number and wire type) and a value. What is
//! appended to a packet counts as the last word of a plain field and is merged into a message, so
//! enforcing the sender needs no rewriting of what is there.

mod destinations;

use std::ops::Range;

use destinations::{Destinations, Naming};

/// Identities that one packet may name. LiveKit has no bound but the length of a message. Raised:
/// one packet costs more comparisons; lowered: a message to all of a large room is refused.
pub const DESTINATIONS: usize = 4_096;
/// Fields of one packet that are looked at: the names, and what else there is.
const FIELDS: usize = DESTINATIONS + 256;
/// Octets of a nonce, which is a UUID.
const NONCE_BYTES: usize = 16;

mod field {
    pub(super) const KIND: u32 = 1;
    pub(super) const USER: u32 = 2;
    pub(super) const SPEAKER: u32 = 3;
    pub(super) const IDENTITY: u32 = 4;
    pub(super) const DESTINATION: u32 = 5;
    pub(super) const SEQUENCE: u32 = 16;
    pub(super) const SID: u32 = 17;
    /// Of a user packet.
    pub(super) const USER_SID: u32 = 1;
    pub(super) const USER_PAYLOAD: u32 = 2;
    pub(super) const USER_DESTINATION_SID: u32 = 3;
    pub(super) const USER_IDENTITY: u32 = 5;
    pub(super) const USER_DESTINATION: u32 = 6;
    pub(super) const USER_NONCE: u32 = 11;
    pub(super) const CHAT: u32 = 9;
    /// Of a line of chat.
    pub(super) const CHAT_GENERATED: u32 = 6;
    pub(super) const STREAM_HEADER: u32 = 13;
    /// Of the header of a stream.
    pub(super) const TEXT_HEADER: u32 = 9;
    pub(super) const BYTE_HEADER: u32 = 10;
    /// Of what is special about text.
    pub(super) const TEXT_GENERATED: u32 = 5;
}

/// What a packet carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Bytes of the application's, with a topic.
    User,
    /// Tones of telephony.
    SipDtmf,
    /// Words that an agent heard.
    Transcription,
    /// Measurements.
    Metrics,
    /// A line of chat.
    Chat,
    /// A call of a remote procedure, its acknowledgement or its answer.
    Rpc,
    /// A part of a stream of text or bytes.
    Stream,
    /// Any of these, encrypted between the ends.
    Encrypted,
    /// What a later version of the protocol adds.
    Newer,
}

impl Content {
    fn of(number: u32) -> Option<Self> {
        Some(match number {
            2 => Self::User,
            6 => Self::SipDtmf,
            7 => Self::Transcription,
            8 => Self::Metrics,
            9 => Self::Chat,
            10..=12 => Self::Rpc,
            13..=15 => Self::Stream,
            18 => Self::Encrypted,
            _ => return None,
        })
    }
}

/// The channel that a packet takes, as packets name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// In order, and again until it arrives.
    Reliable = 0,
    /// As it comes.
    Lossy = 1,
}

/// Why a packet is not passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DataPacketError {
    /// Not Protobuf, or more fields than any honest sender has.
    #[error("a data packet that is not well formed")]
    Malformed,
    /// No content, several kinds of it, or one that no client may send.
    #[error("a data packet without a content that clients may send")]
    Content,
    /// More destinations than [`DESTINATIONS`].
    #[error("a data packet with too many destinations")]
    Destinations,
}

/// Who sends a packet.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sender<'a> {
    /// Its identity.
    pub identity: &'a [u8],
    /// And its sid.
    pub sid: &'a [u8],
    /// Others do not learn who it is.
    pub hidden: bool,
    /// It may speak for others in chat and in streams of text.
    pub agent: bool,
}

/// A packet that was looked at.
#[derive(Debug)]
pub struct DataPacketView<'a> {
    /// What it carries.
    pub content: Content,
    /// The sender's number; 0 is none.
    pub sequence: u32,
    /// What tells repetitions of a user packet from others. What is no UUID is none.
    pub nonce: Option<&'a [u8; NONCE_BYTES]>,
    /// Of a user packet, the application's bytes; empty otherwise.
    pub payload: &'a [u8],
    bytes: &'a [u8],
    destinations: Destinations<'a>,
    /// The channel that it claims to take.
    kind: u64,
    /// The identity that it claims to be from; empty is none.
    claimed: &'a [u8],
    /// It begins a stream of text.
    begins_text: bool,
    /// Claims about the sender, to be left out.
    claims: [Range<usize>; 4],
    claim_count: usize,
}

impl<'a> DataPacketView<'a> {
    /// Looks at a packet.
    ///
    /// # Errors
    /// It must not be passed on.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, DataPacketError> {
        let mut view = Self {
            content: Content::User,
            sequence: 0,
            nonce: None,
            payload: &[],
            bytes,
            destinations: Destinations::new(),
            kind: 0,
            claimed: &[],
            begins_text: false,
            claims: std::array::from_fn(|_| 0..0),
            claim_count: 0,
        };
        let (mut content, mut newer) = (None, false);
        let mut fields = Fields::new(bytes);
        while let Some(found) = fields.next()? {
            match (found.number, found.value) {
                (field::IDENTITY | field::SID, Value::Bytes(claim)) => {
                    if found.number == field::IDENTITY {
                        view.claimed = claim;
                    }
                    let place = view.claims.get_mut(view.claim_count);
                    *place.ok_or(DataPacketError::Malformed)? = found.range;
                    view.claim_count += 1;
                }
                (field::DESTINATION, Value::Bytes(name)) => view.add(Naming::Identity, name)?,
                (field::SEQUENCE, Value::Number(number)) => view.sequence = number as u32,
                (field::KIND, Value::Number(kind)) => view.kind = kind,
                // Only servers say who speaks.
                (field::SPEAKER, Value::Bytes(_)) => return Err(DataPacketError::Content),
                (number, Value::Bytes(value)) => {
                    let Some(found) = Content::of(number) else {
                        newer |= !matches!(number, field::KIND | field::SEQUENCE);
                        continue;
                    };
                    // The same once more is merged into the first: so ours are made.
                    if content.replace((number, found)).is_some_and(|(one, _)| one != number) {
                        return Err(DataPacketError::Content);
                    }
                    match number {
                        field::USER => view.look_into_user(value)?,
                        field::STREAM_HEADER => view.look_into_header(value)?,
                        _ => {}
                    }
                }
                // What a later version of the protocol adds.
                _ => {}
            }
        }
        view.content = match content {
            Some((_, content)) => content,
            None if newer => Content::Newer,
            None => return Err(DataPacketError::Content),
        };
        view.destinations.order();
        Ok(view)
    }

    fn look_into_user(&mut self, user: &'a [u8]) -> Result<(), DataPacketError> {
        let mut fields = Fields::new(user);
        while let Some(found) = fields.next()? {
            match (found.number, found.value) {
                (field::USER_DESTINATION, Value::Bytes(name)) => {
                    self.add(Naming::UserIdentity, name)?;
                }
                (field::USER_DESTINATION_SID, Value::Bytes(sid)) => {
                    self.add(Naming::UserSid, sid)?;
                }
                (field::USER_PAYLOAD, Value::Bytes(payload)) => self.payload = payload,
                (field::USER_NONCE, Value::Bytes(nonce)) => self.nonce = nonce.try_into().ok(),
                _ => {}
            }
        }
        Ok(())
    }

    fn look_into_header(&mut self, header: &'a [u8]) -> Result<(), DataPacketError> {
        let mut fields = Fields::new(header);
        while let Some(found) = fields.next()? {
            match (found.number, found.value) {
                (field::TEXT_HEADER, Value::Bytes(_)) => self.begins_text = true,
                (field::BYTE_HEADER, Value::Bytes(_)) => self.begins_text = false,
                _ => {}
            }
        }
        Ok(())
    }

    fn add(&mut self, naming: Naming, name: &'a [u8]) -> Result<(), DataPacketError> {
        if self.destinations.count() == DESTINATIONS {
            return Err(DataPacketError::Destinations);
        }
        self.destinations.add(naming, name);
        Ok(())
    }

    /// Whether it is for this participant.
    pub fn is_for(&self, identity: &[u8], sid: &[u8]) -> bool {
        self.destinations.include(identity, sid)
    }

    /// How many names it has; 0 is for everybody.
    pub fn names(&self) -> usize {
        self.destinations.count()
    }

    /// Writes the packet with its true sender and the channel that it takes into `out`.
    pub fn write_from(&self, sender: &Sender<'_>, kind: Kind, out: &mut Vec<u8>) {
        let Sender { sid, .. } = *sender;
        let own: &[u8] = if sender.hidden { &[] } else { sender.identity };
        // LiveKit lets agents say whose words these are.
        let for_another = sender.agent
            && (self.content == Content::Chat || self.begins_text)
            && !self.claimed.is_empty()
            && self.claimed != sender.identity;
        let identity = if for_another { self.claimed } else { own };
        out.clear();
        let mut start = 0;
        for claim in &self.claims[..self.claim_count] {
            out.extend_from_slice(&self.bytes[start..claim.start]);
            start = claim.end;
        }
        out.extend_from_slice(&self.bytes[start..]);
        if self.kind != kind as u64 {
            out.extend_from_slice(&[(field::KIND << 3) as u8, kind as u8]);
        }
        put(out, field::IDENTITY, identity);
        put(out, field::SID, sid);
        if self.content == Content::User {
            // Merged into the user packet that is there. Older clients look here.
            let sid: &[u8] = if sender.hidden { &[] } else { sid };
            let length =
                length_of(field::USER_SID, sid) + length_of(field::USER_IDENTITY, identity);
            put_varint(out, field::USER << 3 | 2);
            put_varint(out, length as u32);
            put(out, field::USER_SID, sid);
            put(out, field::USER_IDENTITY, identity);
        }
        if for_another {
            // Merged into what is there too.
            let said = |number: u32| [(number << 3) as u8, 1];
            match self.content {
                Content::Chat => put(out, field::CHAT, &said(field::CHAT_GENERATED)),
                _ => {
                    let [tag, value] = said(field::TEXT_GENERATED);
                    let header = [(field::TEXT_HEADER << 3 | 2) as u8, 2, tag, value];
                    put(out, field::STREAM_HEADER, &header);
                }
            }
        }
    }
}

/// A packet with bytes of the application's, as LiveKit makes one of what came over a channel that
/// is none of the protocol's.
pub fn user_packet(payload: &[u8]) -> Vec<u8> {
    let length = length_of(field::USER_PAYLOAD, payload);
    let mut packet = Vec::with_capacity(length + 8);
    put_varint(&mut packet, field::USER << 3 | 2);
    put_varint(&mut packet, length as u32);
    put(&mut packet, field::USER_PAYLOAD, payload);
    packet
}

fn put(out: &mut Vec<u8>, number: u32, value: &[u8]) {
    put_varint(out, number << 3 | 2);
    put_varint(out, value.len() as u32);
    out.extend_from_slice(value);
}

fn put_varint(out: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn length_of(number: u32, value: &[u8]) -> usize {
    let varint = |number: u32| (32 - (number | 1).leading_zeros()).div_ceil(7) as usize;
    varint(number << 3 | 2) + varint(value.len() as u32) + value.len()
}

enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Fixed,
}

struct Found<'a> {
    number: u32,
    value: Value<'a>,
    /// With its tag.
    range: Range<usize>,
}

/// The fields of a message, at most [`FIELDS`].
struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
    left: usize,
}

impl<'a> Fields<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0, left: FIELDS }
    }

    fn next(&mut self) -> Result<Option<Found<'a>>, DataPacketError> {
        if self.at == self.bytes.len() {
            return Ok(None);
        }
        self.left = self.left.checked_sub(1).ok_or(DataPacketError::Malformed)?;
        let start = self.at;
        let tag = u32::try_from(self.varint()?).map_err(|_| DataPacketError::Malformed)?;
        if tag >> 3 == 0 {
            return Err(DataPacketError::Malformed);
        }
        let value = match tag & 7 {
            0 => Value::Number(self.varint()?),
            1 => self.take(8).map(|_| Value::Fixed)?,
            2 => {
                let length = self.varint()?;
                let length = usize::try_from(length).map_err(|_| DataPacketError::Malformed)?;
                Value::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Value::Fixed)?,
            _ => return Err(DataPacketError::Malformed),
        };
        Ok(Some(Found { number: tag >> 3, value, range: start..self.at }))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], DataPacketError> {
        let end = self.at.checked_add(length).ok_or(DataPacketError::Malformed)?;
        let taken = self.bytes.get(self.at..end).ok_or(DataPacketError::Malformed)?;
        self.at = end;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, DataPacketError> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let [octet] = *self.take(1)? else { return Err(DataPacketError::Malformed) };
            number |= u64::from(octet & 0x7f) << shift;
            if octet < 0x80 {
                return Ok(number);
            }
        }
        Err(DataPacketError::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(fields: &[(u32, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        fields.iter().for_each(|(number, value)| put(&mut out, *number, value));
        out
    }

    #[test]
    fn the_sender_is_who_it_is() {
        let nonce = b"sixteen octets..";
        let user = packet(&[(2, b"payload"), (4, b"topic"), (5, b"mallory"), (11, nonce)]);
        let bytes = packet(&[(4, b"mallory"), (2, &user), (17, b"PA_m"), (5, b"bob")]);
        let view = DataPacketView::parse(&bytes).unwrap();
        assert_eq!((view.content, view.nonce, view.sequence), (Content::User, Some(nonce), 0));
        assert_eq!(view.payload, b"payload");
        assert!(view.is_for(b"bob", b"PA_b") && !view.is_for(b"carol", b"PA_c"));
        let mut out = Vec::new();
        view.write_from(&alice(), Kind::Reliable, &mut out);
        let patch = packet(&[(1, b"PA_a"), (5, b"alice")]);
        let expect = packet(&[(2, &user), (5, b"bob"), (4, b"alice"), (17, b"PA_a"), (2, &patch)]);
        assert_eq!(out, expect);
        // It may be kept and looked at again.
        let again = DataPacketView::parse(&out).unwrap();
        assert_eq!((again.content, again.nonce), (Content::User, Some(nonce)));
        assert_eq!(again.payload, b"payload");
        assert!(again.is_for(b"bob", b"PA_b") && !again.is_for(b"carol", b"PA_c"));
    }

    fn alice() -> Sender<'static> {
        Sender { identity: b"alice", sid: b"PA_a", ..Sender::default() }
    }

    #[test]
    fn hidden_senders_stay_unknown() {
        let bytes = packet(&[(2, b""), (4, b"mallory")]);
        let mut out = Vec::new();
        let sender = Sender { hidden: true, ..alice() };
        DataPacketView::parse(&bytes).unwrap().write_from(&sender, Kind::Reliable, &mut out);
        let patch = packet(&[(1, b""), (5, b"")]);
        assert_eq!(out, packet(&[(2, b""), (4, b""), (17, b"PA_a"), (2, &patch)]));
    }

    #[test]
    fn what_is_encrypted_passes_as_it_is() {
        let secret = packet(&[(2, b"initial vector"), (4, b"secret")]);
        let bytes = packet(&[(4, b"mallory"), (18, &secret), (17, b"PA_m"), (5, b"bob")]);
        let view = DataPacketView::parse(&bytes).unwrap();
        assert_eq!(view.content, Content::Encrypted);
        assert!(view.is_for(b"bob", b"PA_b") && !view.is_for(b"carol", b"PA_c"));
        for agent in [false, true] {
            let mut out = Vec::new();
            view.write_from(&Sender { agent, ..alice() }, Kind::Reliable, &mut out);
            let expect = packet(&[(18, &secret), (5, b"bob"), (4, b"alice"), (17, b"PA_a")]);
            assert_eq!(out, expect);
        }
    }

    #[test]
    fn agents_speak_for_others() {
        let check = |agent: bool, content: &[(u32, &[u8])], as_bob: bool, said: &[(u32, &[u8])]| {
            let bytes = packet(&[&[(4, &b"bob"[..])][..], content].concat());
            let mut out = Vec::new();
            let sender = Sender { agent, ..alice() };
            DataPacketView::parse(&bytes).unwrap().write_from(&sender, Kind::Reliable, &mut out);
            let from = if as_bob { &b"bob"[..] } else { b"alice" };
            let expect = [content, &[(4, from), (17, &b"PA_a"[..])], said].concat();
            assert_eq!(out, packet(&expect), "{content:?}");
        };
        let text = packet(&[(3, b"topic"), (9, b"")]);
        let bytes = packet(&[(10, b"")]);
        check(true, &[(9, b"")], true, &[(9, &[0x30, 1])]);
        check(false, &[(9, b"")], false, &[]);
        check(true, &[(13, &text)], true, &[(13, &[0x4a, 2, 0x28, 1])]);
        check(true, &[(13, &bytes)], false, &[]);
        check(true, &[(14, b"")], false, &[]);
        check(true, &[(7, b"")], false, &[]);
    }

    #[test]
    fn refusals() {
        let check = |bytes: &[u8], expect| {
            assert_eq!(DataPacketView::parse(bytes).err(), Some(expect), "{bytes:?}");
        };
        check(b"", DataPacketError::Content);
        check(&packet(&[(3, b"")]), DataPacketError::Content);
        check(&packet(&[(9, b""), (7, b"")]), DataPacketError::Content);
        check(&[0x12, 5, 1], DataPacketError::Malformed);
        check(
            &[0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1],
            DataPacketError::Malformed,
        );
        check(&[0xff; 12], DataPacketError::Malformed);
        check(&[3], DataPacketError::Malformed);
        let many: Vec<(u32, &[u8])> = vec![(5, b"x"); DESTINATIONS + 1];
        check(&packet(&many), DataPacketError::Destinations);
    }

    #[test]
    fn what_a_later_version_adds_passes() {
        let check = |fields: &[(u32, &[u8])], content| {
            let bytes = packet(fields);
            let view = DataPacketView::parse(&bytes).unwrap();
            assert_eq!(view.content, content, "{fields:?}");
            let mut out = Vec::new();
            view.write_from(&alice(), Kind::Reliable, &mut out);
            assert!(out.starts_with(&bytes), "{fields:?}");
        };
        check(&[(19, b"new")], Content::Newer);
        check(&[(300, b"new"), (20, b"too")], Content::Newer);
        check(&[(9, b""), (19, b"new")], Content::Chat);
    }

    #[test]
    fn the_channel_says_of_which_kind_it_is() {
        let check = |claimed: &[u8], kind, said: &[u8]| {
            let bytes = [claimed, &packet(&[(9, b"")])].concat();
            let mut out = Vec::new();
            DataPacketView::parse(&bytes).unwrap().write_from(&alice(), kind, &mut out);
            let expect = [&bytes, said, &packet(&[(4, b"alice"), (17, b"PA_a")])].concat();
            assert_eq!(out, expect, "{claimed:?} {kind:?}");
        };
        check(&[], Kind::Reliable, &[]);
        check(&[], Kind::Lossy, &[8, 1]);
        check(&[8, 1], Kind::Lossy, &[]);
        check(&[8, 1], Kind::Reliable, &[8, 0]);
        check(&[8, 1, 8, 0], Kind::Lossy, &[8, 1]);
        check(&[8, 7], Kind::Lossy, &[8, 1]);
    }

    /// The packet's own names count for more than those within, as in LiveKit.
    #[test]
    fn whom_it_names() {
        let check = |own: &[&str], user: &[(u32, &[u8])], expect: &[&str]| {
            let mut bytes = packet(&[(2, &packet(user))]);
            own.iter().for_each(|name| put(&mut bytes, 5, name.as_bytes()));
            let view = DataPacketView::parse(&bytes).unwrap();
            let everybody = ["a", "b", "c"];
            let is_for =
                |name: &&&str| view.is_for(name.as_bytes(), &[b"PA_", name.as_bytes()].concat());
            let found: Vec<&str> = everybody.iter().filter(is_for).copied().collect();
            assert_eq!(found, expect, "{own:?} {user:?}");
        };
        check(&[], &[], &["a", "b", "c"]);
        check(&["c", "a"], &[], &["a", "c"]);
        check(&[], &[(6, b"c"), (6, b"b")], &["b", "c"]);
        check(&["a"], &[(6, b"b")], &["a"]);
        check(&["a"], &[(3, b"PA_b")], &["a", "b"]);
        check(&[], &[(6, b"a"), (3, b"PA_b")], &["a", "b"]);
        // Sids are no identities, nor the other way round.
        check(&["PA_a"], &[(3, b"b")], &[]);
        let many: Vec<String> = (0..DESTINATIONS).map(|at| format!("x{at}")).collect();
        let mut many: Vec<&str> = many.iter().map(String::as_str).collect();
        many[DESTINATIONS / 2] = "b";
        check(&many, &[], &["b"]);
    }

    #[test]
    fn nonces_are_uuids() {
        for (nonce, counts) in [(&b"0123456789abcdef"[..], true), (b"n1", false), (b"", false)] {
            let bytes = packet(&[(2, &packet(&[(11, nonce)]))]);
            let view = DataPacketView::parse(&bytes).unwrap();
            assert_eq!(view.nonce.map(|nonce| &nonce[..]), counts.then_some(nonce));
        }
    }

    #[test]
    fn sequences_are_read() {
        let mut bytes = packet(&[(13, &packet(&[(3, b"topic")]))]);
        bytes.extend_from_slice(&[0x80, 1, 0xac, 2]);
        let view = DataPacketView::parse(&bytes).unwrap();
        assert_eq!((view.content, view.sequence), (Content::Stream, 300));
        assert!(view.is_for(b"anybody", b""));
    }
}
