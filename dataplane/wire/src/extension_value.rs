//! What the octets of a header extension mean: readers and writers of single values.
//!
//! Readers take the data of one element and give `None` where its length does not fit. Writers give
//! the octets. [`crate::extension`] finds elements, [`crate::head`] places them.

/// How loud a packet is (RFC 6464 section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioLevel {
    /// Level in -dBov: 0 is the loudest, 127 is silence.
    pub level: u8,
    /// The sender believes it is speech.
    pub voice: bool,
}

impl AudioLevel {
    /// Reads the one- or two-byte form (RFC 6464 sections 3.1 and 3.2: the second octet pads).
    #[inline]
    pub fn read(data: &[u8]) -> Option<Self> {
        match *data {
            [first] | [first, _] => Some(Self { level: first & 0x7f, voice: first & 0x80 != 0 }),
            _ => None,
        }
    }

    /// The octet.
    pub const fn octets(self) -> [u8; 1] {
        [(self.voice as u8) << 7 | self.level & 0x7f]
    }
}

/// The 24 bits of abs-send-time: 6.18 fixed point seconds, wrapping every 64 s.
#[inline]
pub const fn abs_send_time(now_ns: u64) -> [u8; 3] {
    // Split at the second, so that it stays within 64 bits.
    let seconds = now_ns / 1_000_000_000;
    let fraction = ((now_ns % 1_000_000_000) << 18) / 1_000_000_000;
    let [_, a, b, c] = (((seconds & 0x3f) << 18 | fraction) as u32).to_be_bytes();
    [a, b, c]
}

/// Reads abs-send-time as its 24 bits.
#[inline]
pub fn read_abs_send_time(data: &[u8]) -> Option<u32> {
    let &[a, b, c] = data else { return None };
    Some(u32::from_be_bytes([0, a, b, c]))
}

/// Reads a transport-wide sequence number (two octets; the four of its second version ask for
/// feedback too, which we send anyway).
#[inline]
pub fn read_transport_sequence(data: &[u8]) -> Option<u16> {
    match *data {
        [a, b] | [a, b, _, _] => Some(u16::from_be_bytes([a, b])),
        _ => None,
    }
}

/// When a frame was captured, by the clock of who captured it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbsCaptureTime {
    /// 64-bit NTP; [`crate::ntp`] reads it.
    pub ntp: u64,
    /// What the sender believes to be its capturer's clock minus its own, 32.32 seconds.
    pub clock_offset: Option<i64>,
}

impl AbsCaptureTime {
    /// Reads the 8-octet or the 16-octet form.
    pub fn read(data: &[u8]) -> Option<Self> {
        let (&ntp, rest) = data.split_first_chunk::<8>()?;
        let clock_offset = match rest {
            [] => None,
            offset => Some(i64::from_be_bytes(offset.try_into().ok()?)),
        };
        Some(Self { ntp: u64::from_be_bytes(ntp), clock_offset })
    }

    /// The octets, 8 or 16 of them.
    pub fn write(self, out: &mut [u8; 16]) -> &[u8] {
        out[..8].copy_from_slice(&self.ntp.to_be_bytes());
        match self.clock_offset {
            None => &out[..8],
            Some(offset) => {
                out[8..].copy_from_slice(&offset.to_be_bytes());
                &out[..]
            }
        }
    }
}

/// How long a receiver should buffer, both in 10 ms, 0–4095.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PlayoutDelay {
    /// At least, 10 ms.
    pub min_10ms: u16,
    /// At most, 10 ms.
    pub max_10ms: u16,
}

impl PlayoutDelay {
    /// The largest value of either field.
    pub const MAX: u16 = 0xfff;

    /// Reads the three octets.
    #[inline]
    pub fn read(data: &[u8]) -> Option<Self> {
        let &[a, b, c] = data else { return None };
        let both = u32::from_be_bytes([0, a, b, c]);
        Some(Self { min_10ms: (both >> 12) as u16, max_10ms: (both & 0xfff) as u16 })
    }

    /// The octets; larger values are cut to [`Self::MAX`].
    pub const fn octets(self) -> [u8; 3] {
        let min = if self.min_10ms > Self::MAX { Self::MAX } else { self.min_10ms } as u32;
        let max = if self.max_10ms > Self::MAX { Self::MAX } else { self.max_10ms } as u32;
        let [_, a, b, c] = (min << 12 | max).to_be_bytes();
        [a, b, c]
    }
}

/// The mandatory fields of a dependency descriptor (AV1 RTP payload specification, A.8.2). The rest
/// needs the template structure of the last key frame and is passed on unread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DependencyDescriptor {
    /// First packet of its frame in this layer.
    pub start_of_frame: bool,
    /// Last packet of its frame in this layer.
    pub end_of_frame: bool,
    /// Frame dependency template id, 0–63.
    pub template: u8,
    /// Frame number; wraps.
    pub frame: u16,
}

impl DependencyDescriptor {
    /// Octets of the mandatory fields: the shortest descriptor.
    pub const MANDATORY_BYTES: usize = 3;

    /// Where the frame number lies in the descriptor.
    pub const FRAME_OFFSET: usize = 1;

    /// Reads the mandatory fields.
    #[inline]
    pub fn read(data: &[u8]) -> Option<Self> {
        let &[first, high, low, ..] = data else { return None };
        Some(Self {
            start_of_frame: first & 0x80 != 0,
            end_of_frame: first & 0x40 != 0,
            template: first & 0x3f,
            frame: u16::from_be_bytes([high, low]),
        })
    }

    /// Writes another frame number into the descriptor `data`, which must hold the mandatory
    /// fields.
    #[inline]
    pub fn renumber(data: &mut [u8], frame: u16) {
        if let Some([_, place @ ..]) = data.first_chunk_mut::<{ Self::MANDATORY_BYTES }>() {
            *place = frame.to_be_bytes();
        }
    }
}

/// How a picture must be turned before it is shown (3GPP TS 26.114 section 7.4.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VideoOrientation {
    /// The back camera took it.
    pub back_camera: bool,
    /// It must be flipped horizontally.
    pub flip: bool,
    /// Quarter turns clockwise, 0–3.
    pub quarter_turns: u8,
}

impl VideoOrientation {
    /// Reads the octet.
    pub fn read(data: &[u8]) -> Option<Self> {
        let &[octet] = data else { return None };
        Some(Self {
            back_camera: octet & 0x08 != 0,
            flip: octet & 0x04 != 0,
            quarter_turns: octet & 0x03,
        })
    }
}

/// What a frame is good for, without a look into its payload (RFC 9626 section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameMarking {
    /// S: first packet of its frame.
    pub start_of_frame: bool,
    /// E: last packet of its frame.
    pub end_of_frame: bool,
    /// I: can be decoded without any other frame.
    pub independent: bool,
    /// D: no other frame needs it.
    pub discardable: bool,
    /// B: needs the base layer only. Meaningless in the short form.
    pub base_layer_sync: bool,
    /// TID: temporal layer, 0–7; 0 in the short form.
    pub temporal: u8,
}

impl FrameMarking {
    /// Reads the short form for streams without layers, or the first octet of the long one.
    #[inline]
    pub fn read(data: &[u8]) -> Option<Self> {
        let (&first, rest) = data.split_first()?;
        let scalable = !rest.is_empty();
        Some(Self {
            start_of_frame: first & 0x80 != 0,
            end_of_frame: first & 0x40 != 0,
            independent: first & 0x20 != 0,
            discardable: first & 0x10 != 0,
            base_layer_sync: scalable && first & 0x08 != 0,
            temporal: if scalable { first & 0x07 } else { 0 },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn audio_levels() {
        let level = |level, voice| Some(AudioLevel { level, voice });
        let rows: [(&[u8], Option<AudioLevel>); 5] = [
            (&[0x85], level(5, true)),
            (&[0x7f], level(127, false)),
            (&[0x00, 0xff], level(0, false)),
            (&[], None),
            (&[1, 2, 3], None),
        ];
        for (data, expect) in rows {
            assert_eq!(AudioLevel::read(data), expect, "{data:02x?}");
        }
        assert_eq!(AudioLevel { level: 5, voice: true }.octets(), [0x85]);
    }

    #[test]
    fn send_times_wrap_every_64_s() {
        let check = |now_ns, expect| {
            let octets = abs_send_time(now_ns);
            assert_eq!(read_abs_send_time(&octets), Some(expect), "{now_ns}");
        };
        check(0, 0);
        check(1_000_000_000, 1 << 18);
        check(500_000_000, 1 << 17);
        check(64_000_000_000, 0);
        check(63_999_999_999, 0xff_ffff);
        check(u64::MAX, 9 << 18 | 186_004); // 18446744073.709551615 s
        assert_eq!(read_abs_send_time(&[1, 2]), None);
    }

    #[test]
    fn transport_sequences() {
        assert_eq!(read_transport_sequence(&[1, 2]), Some(0x102));
        assert_eq!(read_transport_sequence(&[1, 2, 0x80, 1]), Some(0x102));
        assert_eq!(read_transport_sequence(&[1]), None);
    }

    #[test]
    fn capture_times_round_trip() {
        for (ntp, clock_offset, len) in [(7, None, 8), (u64::MAX, Some(-3), 16)] {
            let time = AbsCaptureTime { ntp, clock_offset };
            let mut out = [0; 16];
            let data = time.write(&mut out);
            assert_eq!(data.len(), len);
            assert_eq!(AbsCaptureTime::read(data), Some(time));
        }
        for len in [0, 7, 9, 15, 17] {
            assert_eq!(AbsCaptureTime::read(&[0; 17][..len]), None, "{len}");
        }
    }

    #[test]
    fn playout_delays_round_trip() {
        let delay = PlayoutDelay { min_10ms: 0x123, max_10ms: 0xabc };
        assert_eq!(delay.octets(), [0x12, 0x3a, 0xbc]);
        assert_eq!(PlayoutDelay::read(&delay.octets()), Some(delay));
        let beyond = PlayoutDelay { min_10ms: 0xffff, max_10ms: 0x1000 };
        assert_eq!(beyond.octets(), [0xff; 3]);
        assert_eq!(PlayoutDelay::read(&[0; 4]), None);
    }

    #[test]
    fn descriptors() {
        let mut data = [0x8a, 0x01, 0x02, 0xff];
        let found = DependencyDescriptor::read(&data).expect("long enough");
        assert!(found.start_of_frame && !found.end_of_frame);
        assert_eq!((found.template, found.frame), (10, 0x102));
        DependencyDescriptor::renumber(&mut data, 0xfffe);
        assert_eq!(data, [0x8a, 0xff, 0xfe, 0xff]);
        DependencyDescriptor::renumber(&mut data[..2], 0);
        assert_eq!(data, [0x8a, 0xff, 0xfe, 0xff]);
        assert_eq!(DependencyDescriptor::read(&data[..2]), None);
    }

    #[test]
    fn orientation_and_marking() {
        let orientation = VideoOrientation::read(&[0x0d]).expect("one octet");
        assert!(orientation.back_camera && orientation.flip);
        assert_eq!(orientation.quarter_turns, 1);
        assert_eq!(VideoOrientation::read(&[]), None);
        let short = FrameMarking::read(&[0xef]).expect("one octet");
        assert!(short.start_of_frame && short.end_of_frame && short.independent);
        assert!(!short.base_layer_sync && short.temporal == 0);
        let long = FrameMarking::read(&[0x1a, 0, 7]).expect("three octets");
        assert!(long.discardable && long.base_layer_sync && !long.start_of_frame);
        assert_eq!(long.temporal, 2);
        assert_eq!(FrameMarking::read(&[]), None);
    }
}
