//! Which of the receiver's numbers stands for which of the source's.
//!
//! Between two changes (a layer switched, a frame left out) both count by one, so a constant added
//! says it all. A [`Segment`] is such a stretch; a [`Trail`] remembers the last of them, in less
//! memory than a table of packets, and answers both ways: where does a late packet go, and what was
//! it that the receiver lost?

use ringway_wire::payload::vp8;

use super::prepared::StreamId;

/// Stretches remembered, a power of two. A stream of three temporal layers of which one is left out
/// begins about 15 a second; lowered, requests for older packets find nothing.
const SEGMENTS: usize = 64;

/// Numbers of the receiver that are looked back on. Histories hold fewer packets; raised towards
/// half of the number space, numbers of an earlier round are taken for these.
const MAX_BEHIND: u16 = 8192;

/// A stretch in which what is added does not change. All additions wrap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The source's numbering.
    pub stream: StreamId,
    /// Its first number in this stretch.
    pub first_in: u16,
    /// The receiver's first number in this stretch.
    pub first_out: u16,
    /// How many numbers it has; 0 while it is not closed.
    pub len: u16,
    /// Added to timestamps.
    pub timestamp: u32,
    /// Added to VP8 picture ids.
    pub picture_id: u16,
    /// Added to frame numbers of dependency descriptors.
    pub frame: u16,
    /// Added to TL0PICIDX.
    pub tl0_index: u8,
    /// Added to KEYIDX.
    pub key_index: u8,
    /// Highest temporal layer that passes.
    pub temporal: u8,
    /// Highest spatial layer that passes of a stream that holds several.
    pub spatial: u8,
    /// The receiver gets less than there is of such a stream, or did once, and is told so.
    pub restricted: bool,
}

impl Segment {
    /// Before anything was sent.
    pub const NONE: Self = Self {
        stream: StreamId::NONE,
        first_in: 0,
        first_out: 0,
        len: 0,
        timestamp: 0,
        picture_id: 0,
        frame: 0,
        tl0_index: 0,
        key_index: 0,
        temporal: 0,
        spatial: u8::MAX,
        restricted: false,
    };

    /// The receiver's number for the source's `sequence`.
    #[inline]
    pub fn out_of(&self, sequence: u16) -> u16 {
        sequence.wrapping_sub(self.first_in).wrapping_add(self.first_out)
    }

    /// The source's number for the receiver's `sequence`.
    pub fn in_of(&self, sequence: u16) -> u16 {
        sequence.wrapping_sub(self.first_out).wrapping_add(self.first_in)
    }

    /// The VP8 numbers that the receiver shall see.
    #[inline]
    pub fn numbers(&self, descriptor: &vp8::Descriptor) -> vp8::Numbers {
        let came = descriptor.numbers();
        vp8::Numbers {
            picture_id: came.picture_id.wrapping_add(self.picture_id) & 0x7fff,
            tl0_index: came.tl0_index.wrapping_add(self.tl0_index),
            key_index: came.key_index.wrapping_add(self.key_index) & 0x1f,
        }
    }
}

/// The stretches before the current one.
#[derive(Clone, Debug)]
pub struct Trail {
    segments: Box<[Segment; SEGMENTS]>,
    /// Stretches ever closed.
    closed: usize,
}

impl Default for Trail {
    fn default() -> Self {
        Self { segments: Box::new([Segment::NONE; SEGMENTS]), closed: 0 }
    }
}

impl Trail {
    /// Closes a stretch at the receiver's number `next_out`, which is no longer in it. One without
    /// any number in it is not kept.
    pub fn close(&mut self, segment: Segment, next_out: u16) {
        let len = next_out.wrapping_sub(segment.first_out);
        if segment.stream != StreamId::NONE && len != 0 {
            self.segments[self.closed % SEGMENTS] = Segment { len, ..segment };
            self.closed += 1;
        }
    }

    /// Forgets all stretches: their numbers are about to come round.
    pub fn clear(&mut self) {
        self.closed = 0;
    }

    /// The closed stretch with the source's number `sequence` of `stream`. `first_out` is the
    /// receiver's first number of the stretch that is not closed yet.
    pub fn by_in(&self, first_out: u16, stream: StreamId, sequence: u16) -> Option<&Segment> {
        self.find(first_out, |segment| {
            segment.stream == stream && sequence.wrapping_sub(segment.first_in) < segment.len
        })
    }

    /// The closed stretch with the receiver's number `sequence`.
    pub fn by_out(&self, first_out: u16, sequence: u16) -> Option<&Segment> {
        self.find(first_out, |segment| sequence.wrapping_sub(segment.first_out) < segment.len)
    }

    /// The newest stretch for which `fits` holds, not too far back.
    fn find(&self, first_out: u16, fits: impl Fn(&Segment) -> bool) -> Option<&Segment> {
        let mut behind = 0_u16;
        let mut end = first_out;
        for back in 1..=self.closed.min(SEGMENTS) {
            let segment = &self.segments[(self.closed - back) % SEGMENTS];
            if fits(segment) {
                return Some(segment);
            }
            behind = behind.saturating_add(end.wrapping_sub(segment.first_out));
            if behind > MAX_BEHIND {
                return None;
            }
            end = segment.first_out;
        }
        None
    }
}
