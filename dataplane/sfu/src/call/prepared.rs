//! One packet of a source, read once, ready to be offered to any number of routes.

use std::ops::Range;

use ringway_wire::extension::{ExtensionKind, ExtensionMap, Located};
use ringway_wire::extension_value::{AudioLevel, DependencyDescriptor};
use ringway_wire::payload::{Codec, Entry, inspect, red, vp8};
use ringway_wire::rtp::RtpView;

use super::scaled::{Scaled, Told};
use super::timeline::Alignment;

/// Names one numbering of one layer: routes compare it with the one that they follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamId(u32);

impl StreamId {
    /// No stream.
    pub const NONE: Self = Self(u32::MAX);

    /// Numbering `epoch` of `layer`.
    pub const fn new(layer: u8, epoch: u32) -> Self {
        Self(epoch << 2 | layer as u32 & 3)
    }

    /// The layer.
    pub const fn layer(self) -> u8 {
        (self.0 & 3) as u8
    }
}

/// What routes need to know of a packet.
#[derive(Clone, Copy, Debug)]
pub struct Prepared {
    /// Which numbering of which layer it belongs to.
    pub stream: StreamId,
    /// How many numbers it is ahead of the highest before it; 0 where it is late.
    pub ahead: u16,
    /// Sequence number as it came.
    pub sequence: u16,
    /// Timestamp as it came.
    pub timestamp: u32,
    /// When it came, ns.
    pub now_ns: u64,
    /// Clock of its timestamps, Hz.
    pub clock_hz: u32,
    /// Marker bit.
    pub marker: bool,
    /// Its codec.
    pub codec: Codec,
    /// A receiver that has seen nothing yet can begin with it.
    pub entry: bool,
    /// It is the first packet of its frame.
    pub frame_start: bool,
    /// Temporal layer.
    pub temporal: u8,
    /// Its frame needs only temporal layer 0.
    pub layer_sync: bool,
    /// It has no payload: padding that probes the path.
    pub empty: bool,
    /// What it tells about the layers that its stream holds, where it holds several.
    pub scaled: Option<Scaled>,
    /// Its VP8 descriptor.
    pub vp8: Option<vp8::Descriptor>,
    /// The frame number of its dependency descriptor.
    pub frame: Option<u16>,
    /// How loud it is.
    pub audio_level: Option<AudioLevel>,
    /// Where its extensions lie.
    pub extensions: Located,
    /// How its layer's clock stands to those of the other layers.
    pub alignment: Alignment,
    /// Contributing sources in its header.
    csrcs: u8,
    /// Where its payload begins, and ends before any padding.
    payload: (u16, u16),
    /// Where the newest frame of a RED payload lies in the packet.
    primary: Option<(u16, u16)>,
}

/// The facts of a packet that depend on nothing but its octets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub(super) prepared: Prepared,
    pub(super) entry: Entry,
    pub(super) frame_start: Option<bool>,
}

impl Prepared {
    /// Reads `packet` with the publisher's `extensions`. Order, stream and alignment are still
    /// those of a late packet of no stream. `None` for a packet longer than any datagram.
    pub(super) fn read(
        packet: &RtpView<'_>,
        extensions: &ExtensionMap,
        (codec, clock_hz): (Codec, u32),
        now_ns: u64,
    ) -> Option<Facts> {
        let located = Located::find(packet, extensions);
        let bytes = packet.bytes();
        let payload = packet.payload();
        let range = packet.payload_range();
        let small = |range: &Range<usize>| {
            Some((u16::try_from(range.start).ok()?, u16::try_from(range.end).ok()?))
        };
        let found = inspect(codec, payload);
        let primary = match codec {
            Codec::Red => red::Red::parse(payload).map(|red| red.primary()),
            _ => None,
        };
        let primary = primary.and_then(|r| small(&(r.start + range.start..r.end + range.start)));
        let value = |kind| located.get(bytes, kind);
        let prepared = Self {
            stream: StreamId::NONE,
            ahead: 0,
            sequence: packet.sequence(),
            timestamp: packet.timestamp(),
            now_ns,
            clock_hz,
            marker: packet.marker(),
            codec,
            entry: false,
            frame_start: found.frame_start.unwrap_or(false),
            temporal: found.temporal,
            layer_sync: found.layer_sync,
            empty: payload.is_empty(),
            scaled: found.vp9.as_ref().and_then(Scaled::of_vp9),
            vp8: found.vp8,
            frame: value(ExtensionKind::DependencyDescriptor)
                .and_then(DependencyDescriptor::read)
                .map(|descriptor| descriptor.frame),
            audio_level: value(ExtensionKind::AudioLevel).and_then(AudioLevel::read),
            extensions: located,
            alignment: Alignment::default(),
            csrcs: packet.csrc_count() as u8,
            payload: small(&range)?,
            primary,
        };
        Some(Facts { prepared, entry: found.entry, frame_start: found.frame_start })
    }

    /// The layer that it belongs to.
    #[inline]
    pub fn layer(&self) -> u8 {
        self.stream.layer()
    }

    /// Where the payload lies in the packet, padding excluded.
    #[inline]
    pub fn payload(&self) -> Range<usize> {
        usize::from(self.payload.0)..usize::from(self.payload.1)
    }

    /// The dependency descriptor in its octets, where that tells more than its payload.
    #[inline]
    pub(super) fn dependencies<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let kind = ExtensionKind::DependencyDescriptor;
        if self.is_described() { self.extensions.get(bytes, kind) } else { None }
    }

    /// Whether a picture, or a layer of it, may end here.
    pub fn may_end_frame(&self) -> bool {
        self.marker || self.scaled.is_some()
    }

    /// Whether what is known of it depends on a structure, which may be another one later.
    #[inline]
    pub fn is_described(&self) -> bool {
        let kind = ExtensionKind::DependencyDescriptor;
        let tells_nothing = match self.codec {
            Codec::Av1 | Codec::Vp9 | Codec::H264 | Codec::H265 => true,
            // VP8 tells its temporal layers itself; but libwebrtc leaves out what it does not need
            // where it sends the descriptor.
            Codec::Vp8 => {
                self.vp8.is_some_and(|vp8| vp8.picture_id.is_none() && vp8.temporal.is_none())
            }
            Codec::Opus | Codec::Red | Codec::Pcmu | Codec::Pcma => false,
        };
        tells_nothing && self.extensions.set().contains(kind)
    }

    /// Whether it has a descriptor that nobody can read.
    #[inline]
    pub fn is_malformed(&self) -> bool {
        self.scaled.is_some_and(|scaled| scaled.told == Told::Malformed)
    }

    /// Where the newest frame of a RED payload lies in the packet.
    #[inline]
    pub fn primary(&self) -> Option<Range<usize>> {
        self.primary.map(|(start, end)| usize::from(start)..usize::from(end))
    }

    /// Where the contributing sources lie in the packet.
    #[inline]
    pub fn csrcs(&self) -> Range<usize> {
        12..12 + 4 * usize::from(self.csrcs)
    }
}
