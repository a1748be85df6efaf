//! What a receiver gets where nothing comes: a moment of silence, or a black picture.
//!
//! When a sound is muted the receiver would draw out its last noise; when a subscription ends, its
//! last picture could be seen once more when the section carries another track. A few packets of
//! our own prevent that. They are in the clear, and end in the trailer of their room, by which
//! receivers of end-to-end encrypted media know that there is nothing to decrypt.
//!
//! LiveKit's clients in browsers know silence and the black of VP8 octet for octet and take nothing
//! else in the clear; of H.264 they take none at all, and neither does its client in Python, which
//! says that it cannot decrypt it. So there is none for who decrypts, and no trailer behind it.

use ringway_wire::payload::{opus, vp8};

use super::route::Sent;

/// How long a pause is filled with silence: so long may a decoder make noise of what it heard last.
/// LiveKit's value, as the others are.
const PAUSE_NS: u64 = 1_000_000_000;
/// How long the end of a stream is made known, against loss. Raised, the section is busy for longer
/// with what nobody wants; the control plane empties it after that (`signal/session/fading`).
const END_NS: u64 = 200_000_000;
/// A receiver that waits for packets gets some from so long after its subscription on, for so long,
/// unless the source sends any.
const ANNOUNCE_AFTER_NS: u64 = 100_000_000;
const ANNOUNCE_NS: u64 = 5_000_000_000;
const PADDING_INTERVAL_NS: u64 = 100_000_000;
/// Packets of silence are 20 ms long.
const SILENT_INTERVAL_NS: u64 = 20_000_000;
const BLACK_INTERVAL_NS: u64 = 33_000_000;

/// A frame of 20 ms of silence in G.711: 160 samples of a positive zero.
const SILENT_PCMU: [u8; 160] = [0xff; 160];
const SILENT_PCMA: [u8; 160] = [0xd5; 160];

/// A key frame of 8 by 8 black pixels: the one that clients know.
const BLACK_VP8: [u8; 31] = [
    0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0x08, 0x00, 0x08, 0x00, 0x00, 0x47, 0x08, 0x85, 0x85, 0x88,
    0x85, 0x84, 0x88, 0x02, 0x02, 0x00, 0x0c, 0x0d, 0x60, 0x00, 0xfe, 0xff, 0xab, 0x50, 0x80,
];

/// A key frame of 16 by 16 black pixels, constrained baseline, made with x264: parameter sets and
/// picture in one STAP-A (RFC 6184 section 5.7.1).
const BLACK_H264: [u8; 48] = [
    0x78, // STAP-A, NRI 3
    0, 22, 0x67, 0x42, 0xc0, 0x0a, 0xd9, 0x1e, 0xc0, 0x44, 0x00, 0x00, 0x03, 0x00, 0x04, 0x00,
    0x00, 0x03, 0x00, 0x08, 0x3c, 0x48, 0x99, 0x20, // sequence parameters
    0, 5, 0x68, 0xcb, 0x83, 0xcb, 0x20, // picture parameters
    0, 14, 0x65, 0x88, 0x84, 0x05, 0x7f, 0xff, 0xff, 0x0f, 0x45, 0x00, 0x01, 0x42, 0xdf,
    0x80, // picture
];

/// RFC 3550 5.1: the last octet of padding says how many there are.
const PADDING: [u8; 4] = [0, 0, 0, 4];

/// The longest trailer.
pub const MAX_TRAILER_BYTES: usize = 12;
/// The longest payload of ours.
pub const MAX_BLANK_BYTES: usize = SILENT_PCMU.len();

const _: () = assert!(1 + opus::SILENCE.len() + MAX_TRAILER_BYTES <= MAX_BLANK_BYTES);
const _: () = assert!(vp8::MAX_DESCRIPTOR_BYTES + BLACK_VP8.len() <= 1 + opus::SILENCE.len());
const _: () = assert!(BLACK_H264.len() <= MAX_BLANK_BYTES);

/// What fills a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlankKind {
    /// Silence in Opus; with the payload type of Opus inside RED where the receiver gets RED.
    Opus {
        /// That payload type.
        inside_red: Option<u8>,
    },
    /// Silence in G.711 µ-law.
    Pcmu,
    /// Silence in G.711 A-law.
    Pcma,
    /// Black in VP8.
    Vp8,
    /// Black in H.264.
    H264,
    /// Nothing but padding.
    Padding,
}

impl BlankKind {
    /// Whether it is sound.
    pub fn is_silence(self) -> bool {
        !matches!(self, Self::Vp8 | Self::H264 | Self::Padding)
    }

    /// Whether receivers that decrypt know it for what it is.
    pub fn is_known_in_the_clear(self) -> bool {
        matches!(self, Self::Opus { .. } | Self::Vp8)
    }

    /// Whether it goes out under the payload type of RED.
    pub fn is_red(self) -> bool {
        matches!(self, Self::Opus { inside_red: Some(_) })
    }

    fn interval_ns(self) -> u64 {
        match self {
            Self::Padding => PADDING_INTERVAL_NS,
            Self::Vp8 | Self::H264 => BLACK_INTERVAL_NS,
            _ => SILENT_INTERVAL_NS,
        }
    }

    /// Writes the payload, which ends in `trailer` where receivers may decrypt; gives its length, 0
    /// where `out` is too small. `shape` is the VP8 descriptor that the receiver saw last: the same
    /// fields come again, with the numbers of `sent`.
    pub fn write(
        self,
        sent: &Sent,
        shape: Option<vp8::Descriptor>,
        trailer: &[u8],
        out: &mut [u8],
    ) -> usize {
        let mut head = [0; vp8::MAX_DESCRIPTOR_BYTES];
        let (head, body, trailer): (&[u8], &[u8], &[u8]) = match self {
            // RFC 2198 section 3: one block, and it is the last.
            Self::Opus { inside_red: Some(payload_type) } => {
                head[0] = payload_type & 0x7f;
                (&head[..1], &opus::SILENCE, trailer)
            }
            Self::Opus { inside_red: None } => (&[], &opus::SILENCE, trailer),
            // All octets are samples: a trailer would be heard.
            Self::Pcmu => (&[], &SILENT_PCMU, &[]),
            Self::Pcma => (&[], &SILENT_PCMA, &[]),
            Self::Vp8 => {
                let len = shape.unwrap_or_default().write_key_frame(sent.numbers, &mut head);
                (&head[..len], &BLACK_VP8, trailer)
            }
            // Behind the last unit of the aggregate nothing may stand that is none.
            Self::H264 => (&[], &BLACK_H264, &[]),
            Self::Padding => (&[], &PADDING, &[]),
        };
        let mut len = 0;
        for part in [head, body, trailer] {
            let Some(room) = out.get_mut(len..len + part.len()) else { return 0 };
            room.copy_from_slice(part);
            len += part.len();
        }
        len
    }
}

/// A pause being filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blank {
    kind: BlankKind,
    announces: bool,
    left: u16,
    next_ns: u64,
}

impl Blank {
    /// Fills a pause from now on.
    pub fn pause(kind: BlankKind, now_ns: u64) -> Self {
        Self::new(kind, PAUSE_NS, now_ns)
    }

    /// Makes an end known from now on.
    pub fn end(kind: BlankKind, now_ns: u64) -> Self {
        Self::new(kind, END_NS, now_ns)
    }

    /// Lets a receiver that was subscribed to just now hear of the stream.
    pub fn announcement(kind: BlankKind, now_ns: u64) -> Self {
        let announcement = Self::new(kind, ANNOUNCE_NS, now_ns + ANNOUNCE_AFTER_NS);
        Self { announces: true, ..announcement }
    }

    fn new(kind: BlankKind, lasting_ns: u64, next_ns: u64) -> Self {
        let left = (lasting_ns / kind.interval_ns()) as u16;
        Self { kind, announces: false, left, next_ns }
    }

    /// Whether it fills no pause, but the time before anything came.
    pub fn announces(&self) -> bool {
        self.announces
    }

    /// When the next packet is due; `None` after the last.
    pub fn deadline(&self) -> Option<u64> {
        (self.left > 0).then_some(self.next_ns)
    }

    /// What is due now, if anything is.
    pub fn poll(&mut self, now_ns: u64) -> Option<BlankKind> {
        if self.deadline()? > now_ns {
            return None;
        }
        self.left -= 1;
        self.next_ns = now_ns + self.kind.interval_ns();
        Some(self.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringway_wire::payload::{Codec, Entry, inspect, red};

    #[test]
    fn payloads_are_what_they_say() {
        let mut out = [0; MAX_BLANK_BYTES];
        let numbers = vp8::Numbers { picture_id: 0x1234, tl0_index: 7, key_index: 3 };
        let sent = Sent { numbers, ..Sent::default() };
        for shape in [&[0x90, 0xf0, 0x80, 1, 2, 0x43, 0][..], &[0x10, 1], &[0x90, 0x80, 5, 1]] {
            let shape = vp8::Descriptor::read(shape).expect("a descriptor");
            let len = BlankKind::Vp8.write(&sent, Some(shape), &[], &mut out);
            let found = inspect(Codec::Vp8, &out[..len]);
            let after = found.vp8.expect("a descriptor");
            assert_eq!(found.entry, Entry::Full);
            assert_eq!(after.picture_id.is_some(), shape.picture_id.is_some());
            assert!(after.picture_id.is_none_or(|id| id.value == 0x1234 & id.mask()));
            assert_eq!(after.tl0_index, shape.tl0_index.map(|_| 7));
            assert_eq!(after.key_index, shape.key_index.map(|_| 3));
            assert_eq!(after.temporal, shape.temporal.map(|_| 0));
            assert_eq!(out[usize::from(after.len)..len], BLACK_VP8);
        }
        let len = BlankKind::H264.write(&sent, None, &[], &mut out);
        assert_eq!(inspect(Codec::H264, &out[..len]).entry, Entry::Full);
        let len = BlankKind::Opus { inside_red: Some(111) }.write(&sent, None, &[], &mut out);
        let red = red::Red::parse(&out[..len]).expect("RED");
        assert_eq!((red.primary_type(), &out[red.primary()]), (111, &opus::SILENCE[..]));
        assert_eq!(BlankKind::Opus { inside_red: None }.write(&sent, None, &[], &mut out), 80);
        assert_eq!(BlankKind::H264.write(&sent, None, &[], &mut out[..47]), 0);
    }

    #[test]
    fn payloads_end_in_the_trailer() {
        let trailer = *b"twelve bytes";
        let mut out = [0; MAX_BLANK_BYTES];
        for (kind, expect) in [
            (BlankKind::Opus { inside_red: Some(111) }, [&[111][..], &opus::SILENCE].concat()),
            (BlankKind::Opus { inside_red: None }, opus::SILENCE.to_vec()),
            (BlankKind::Vp8, [&[0x10][..], &BLACK_VP8].concat()),
        ] {
            let len = kind.write(&Sent::default(), None, &trailer, &mut out);
            assert_eq!(out[..len], [&expect[..], &trailer].concat(), "{kind:?}");
        }
        // All octets of these are samples.
        for (kind, zero) in [(BlankKind::Pcmu, 0xff), (BlankKind::Pcma, 0xd5)] {
            let len = kind.write(&Sent::default(), None, &trailer, &mut out);
            assert_eq!(out[..len], [zero; 160]);
        }
        // The aggregate consists of whole units.
        let len = BlankKind::H264.write(&Sent::default(), None, &trailer, &mut out);
        assert_eq!(out[..len], BLACK_H264);
    }

    #[test]
    fn pauses_and_ends_are_filled_for_a_moment() {
        let opus = BlankKind::Opus { inside_red: None };
        for (mut blank, kind, packets, last_ms) in [
            (Blank::pause(opus, 5), opus, 50, 980),
            (Blank::pause(BlankKind::Pcmu, 5), BlankKind::Pcmu, 50, 980),
            (Blank::end(BlankKind::Pcma, 5), BlankKind::Pcma, 10, 180),
            (Blank::end(BlankKind::Vp8, 5), BlankKind::Vp8, 6, 165),
            (Blank::end(BlankKind::H264, 5), BlankKind::H264, 6, 165),
            (Blank::announcement(opus, 5), opus, 250, 5_080),
            (Blank::announcement(BlankKind::Padding, 5), BlankKind::Padding, 50, 5_000),
        ] {
            let mut sent = 0;
            let mut at_ns = 0;
            while let Some(due_ns) = blank.deadline() {
                assert_eq!(blank.poll(due_ns - 1), None);
                assert_eq!(blank.poll(due_ns), Some(kind));
                sent += 1;
                at_ns = due_ns;
            }
            assert_eq!((sent, at_ns), (packets, 5 + last_ms * 1_000_000), "{kind:?}");
        }
    }
}
