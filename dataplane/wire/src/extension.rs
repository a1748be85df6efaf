//! RTP header extensions (RFC 8285): which kinds there are, under which ids a transport knows them,
//! and where they lie in a packet.
//!
//! [`Located`] walks a packet's extension once and remembers an offset and a length for each kind,
//! so that every later question costs one table access. What the octets mean is
//! [`crate::extension_value`]'s affair; [`crate::head`] writes extensions for the next hop.

use crate::rtp::RtpView;

/// The profile that announces one-byte elements (RFC 8285 section 4.2).
pub const ONE_BYTE_PROFILE: u16 = 0xbede;
/// The profile that announces two-byte elements, the lowest four bits cleared (section 4.3).
pub const TWO_BYTE_PROFILE: u16 = 0x1000;

/// The largest id that fits a one-byte element (RFC 8285 section 4.2: 15 is reserved).
pub const MAX_ONE_BYTE_ID: u8 = 14;

/// Elements looked at in one packet. Senders use fewer than ten; a hostile header of one-byte
/// elements could hold thousands. Lowered below the number of kinds, honest elements are missed.
const MAX_ELEMENTS: usize = 32;

/// A header extension that we know, named for what its URI means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum ExtensionKind {
    /// `urn:ietf:params:rtp-hdrext:sdes:mid`, RFC 9143.
    Mid,
    /// `urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id`, RFC 8852.
    Rid,
    /// `urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id`, RFC 8852.
    RepairedRid,
    /// `urn:ietf:params:rtp-hdrext:ssrc-audio-level`, RFC 6464.
    AudioLevel,
    /// `http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time`.
    AbsSendTime,
    /// `http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01`.
    TransportSequence,
    /// `http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time`.
    AbsCaptureTime,
    /// `http://www.webrtc.org/experiments/rtp-hdrext/playout-delay`.
    PlayoutDelay,
    /// `https://aomediacodec.github.io/av1-rtp-spec/#dependency-descriptor-rtp-header-extension`.
    DependencyDescriptor,
    /// `urn:3gpp:video-orientation`, TS 26.114.
    VideoOrientation,
    /// `urn:ietf:params:rtp-hdrext:framemarking`, RFC 9626.
    FrameMarking,
}

impl ExtensionKind {
    /// How many kinds there are.
    pub const COUNT: usize = 11;

    /// All kinds in the order of their numbers.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Mid,
        Self::Rid,
        Self::RepairedRid,
        Self::AudioLevel,
        Self::AbsSendTime,
        Self::TransportSequence,
        Self::AbsCaptureTime,
        Self::PlayoutDelay,
        Self::DependencyDescriptor,
        Self::VideoOrientation,
        Self::FrameMarking,
    ];

    const fn bit(self) -> u16 {
        1 << self as u8
    }
}

/// A set of kinds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KindSet(u16);

impl KindSet {
    /// No kind.
    pub const EMPTY: Self = Self(0);

    /// This set and `kind`.
    #[must_use]
    pub const fn with(self, kind: ExtensionKind) -> Self {
        Self(self.0 | kind.bit())
    }

    /// Whether `kind` is in the set.
    #[inline]
    pub const fn contains(self, kind: ExtensionKind) -> bool {
        self.0 & kind.bit() != 0
    }

    /// The kinds in both sets.
    #[inline]
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether no kind is in the set.
    #[inline]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The kinds, in the order of their numbers.
    #[inline]
    pub fn iter(self) -> impl Iterator<Item = ExtensionKind> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let kind = *ExtensionKind::ALL.get(left.trailing_zeros() as usize)?;
            left &= left - 1;
            Some(kind)
        })
    }
}

/// Ids and kinds of one transport: what SDP agreed on (RFC 8285 section 5).
#[derive(Clone, PartialEq, Eq)]
pub struct ExtensionMap {
    /// By kind; 0 where the transport does not have it.
    ids: [u8; ExtensionKind::COUNT],
    /// By id; the kind's number plus one, 0 where the id has no meaning here.
    kinds: [u8; 256],
    set: KindSet,
    two_byte: bool,
}

impl std::fmt::Debug for ExtensionMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.set.iter().map(|kind| (kind, self.id(kind)))).finish()
    }
}

impl Default for ExtensionMap {
    fn default() -> Self {
        let ids = [0; ExtensionKind::COUNT];
        Self { ids, kinds: [0; 256], set: KindSet::EMPTY, two_byte: false }
    }
}

impl ExtensionMap {
    /// Gives `kind` the id `id`, 1–255; `false` for id 0, for 15, which RFC 8285 section 4.2
    /// reserves, and for an id that another kind has.
    pub fn insert(&mut self, id: u8, kind: ExtensionKind) -> bool {
        let number = kind as u8 + 1;
        let taken = self.kinds[usize::from(id)];
        if id == 0 || id == 15 || taken != 0 && taken != number {
            return false;
        }
        let before = std::mem::replace(&mut self.ids[kind as usize], id);
        if before != id {
            self.kinds[usize::from(before)] = 0;
        }
        self.kinds[usize::from(id)] = number;
        self.set = self.set.with(kind);
        self.two_byte = self.ids.iter().any(|&id| id > MAX_ONE_BYTE_ID);
        true
    }

    /// The id of `kind`, if the transport has it.
    #[inline]
    pub fn id(&self, kind: ExtensionKind) -> Option<u8> {
        match self.ids[kind as usize] {
            0 => None,
            id => Some(id),
        }
    }

    /// The ids by kind; 0 where the transport does not have it.
    #[inline]
    pub fn ids(&self) -> &[u8; ExtensionKind::COUNT] {
        &self.ids
    }

    /// What `id` means.
    #[inline]
    pub fn kind(&self, id: u8) -> Option<ExtensionKind> {
        let number = self.kinds[usize::from(id)];
        ExtensionKind::ALL.get(usize::from(number).wrapping_sub(1)).copied()
    }

    /// The kinds that have an id.
    #[inline]
    pub fn set(&self) -> KindSet {
        self.set
    }

    /// Whether some id fits only two-byte elements.
    #[inline]
    pub fn needs_two_byte(&self) -> bool {
        self.two_byte
    }
}

/// One element of an extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element<'a> {
    /// The id, 1–255.
    pub id: u8,
    /// Where its data begins, octets from the start of the extension's data.
    pub offset: usize,
    /// The data.
    pub data: &'a [u8],
}

/// The elements of an extension of either form, in order. Ends early at what cannot be read.
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    data: &'a [u8],
    at: usize,
    form: Form,
}

/// How elements begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    OneByte,
    TwoByte,
    Unknown,
}

impl<'a> Elements<'a> {
    /// The elements of `data`, announced by `profile`; none for a profile of another RFC.
    #[inline]
    pub fn new(profile: u16, data: &'a [u8]) -> Self {
        let form = match profile {
            ONE_BYTE_PROFILE => Form::OneByte,
            // RFC 8285 4.3: "appbits" are the lowest four and mean nothing here.
            other if other & 0xfff0 == TWO_BYTE_PROFILE => Form::TwoByte,
            _ => Form::Unknown,
        };
        Self { data, at: 0, form }
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    #[inline]
    fn next(&mut self) -> Option<Element<'a>> {
        loop {
            let first = *self.data.get(self.at)?;
            let (id, offset, len) = match self.form {
                // RFC 8285 4.2: "If the ID value 15 is used, its length field should be ignored,
                // processing of the entire extension should terminate".
                Form::OneByte if first >> 4 == 15 => return None,
                Form::OneByte => (first >> 4, self.at + 1, usize::from(first & 0x0f) + 1),
                Form::TwoByte if first == 0 => (0, self.at + 1, 0),
                Form::TwoByte => (first, self.at + 2, usize::from(*self.data.get(self.at + 1)?)),
                Form::Unknown => return None,
            };
            if id == 0 {
                // RFC 8285 4.2: a padding octet; with a length it is nothing that can be read.
                if first != 0 {
                    return None;
                }
                self.at += 1;
                continue;
            }
            let data = self.data.get(offset..offset + len)?;
            self.at = offset + len;
            return Some(Element { id, offset, data });
        }
    }
}

/// Where the extensions of one packet lie, by kind. Holds no reference, so it can stand beside the
/// packet while that is passed on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Located {
    /// Offset in the packet and length, by kind.
    places: [(u16, u8); ExtensionKind::COUNT],
    set: KindSet,
}

impl Located {
    /// Finds what `map` knows in `packet`. Of an element that comes twice the first counts.
    #[inline]
    pub fn find(packet: &RtpView<'_>, map: &ExtensionMap) -> Self {
        let mut located = Self::default();
        let Some(extension) = packet.extension() else { return located };
        let base = packet.header_len() - extension.data.len();
        let elements = Elements::new(extension.profile, extension.data);
        for element in elements.take(MAX_ELEMENTS) {
            let Some(kind) = map.kind(element.id) else { continue };
            let Ok(offset) = u16::try_from(base + element.offset) else { break };
            if !located.set.contains(kind) {
                // Both forms count the length in one octet.
                located.places[kind as usize] = (offset, element.data.len() as u8);
                located.set = located.set.with(kind);
            }
        }
        located
    }

    /// The kinds that were found.
    #[inline]
    pub fn set(&self) -> KindSet {
        self.set
    }

    /// Where the data of `kind` lies in the packet.
    #[inline]
    pub fn range(&self, kind: ExtensionKind) -> Option<std::ops::Range<usize>> {
        if !self.set.contains(kind) {
            return None;
        }
        let (offset, len) = self.places[kind as usize];
        Some(usize::from(offset)..usize::from(offset) + usize::from(len))
    }

    /// The data of `kind` in `packet`, the octets that were searched.
    #[inline]
    pub fn get<'a>(&self, packet: &'a [u8], kind: ExtensionKind) -> Option<&'a [u8]> {
        packet.get(self.range(kind)?)
    }

    /// Replaces the data of `kind` in place, where it is there and has the same length.
    #[inline]
    pub fn overwrite(&self, packet: &mut [u8], kind: ExtensionKind, data: &[u8]) -> bool {
        match self.range(kind).and_then(|range| packet.get_mut(range)) {
            Some(place) if place.len() == data.len() => {
                place.copy_from_slice(data);
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
#[path = "extension_tests.rs"]
mod tests;
