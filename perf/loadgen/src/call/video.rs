//! VP8 as a server sees it: payload descriptors, frame headers, packets of equal size.
//!
//! No picture is encoded. The first bytes of a frame are what a decoder would find there, and what
//! follows is a stamp and filling.

use super::stamp::{CallStamp, STAMP_BYTES, VIDEO_OFFSET};

/// Bytes of the descriptor that libwebrtc writes for a simulcast layer: flags, a picture id of 15
/// bits, TL0PICIDX and the temporal layer (RFC 7741 4.2).
pub const DESCRIPTOR_BYTES: usize = 6;

/// The shortest payload that holds a stamp.
pub const MIN_PAYLOAD_BYTES: usize = DESCRIPTOR_BYTES + VIDEO_OFFSET + STAMP_BYTES;

const EXTENDED: u8 = 0x80;
const START: u8 = 0x10;
// I, L and T: picture id, TL0PICIDX, temporal layer.
const FIELDS: u8 = 0xe0;

/// A key frame over an inter frame of the same layer, in bytes.
pub const KEY_FRAME_FACTOR: usize = 4;

/// What the packets of a frame have in common.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// Whether it can be decoded alone.
    pub key: bool,
    /// Number of the picture, 15 bits.
    pub picture_id: u16,
    /// Number of the frame of temporal layer 0; all are.
    pub tl0_index: u8,
    /// Pixels.
    pub width: u16,
    /// Pixels.
    pub height: u16,
}

/// The sizes of the payloads of a frame of `frame_bytes`: as few as `payload_bytes` allows, equal
/// but for one octet, the longer ones last, as libwebrtc's packetiser splits.
pub fn split(frame_bytes: usize, payload_bytes: usize) -> impl Iterator<Item = usize> + Clone {
    let room = payload_bytes - DESCRIPTOR_BYTES;
    let packets = frame_bytes.div_ceil(room).max(1);
    let (each, longer) = (frame_bytes / packets, frame_bytes % packets);
    (0..packets).map(move |at| {
        let body = each + usize::from(at >= packets - longer);
        (DESCRIPTOR_BYTES + body).max(MIN_PAYLOAD_BYTES)
    })
}

impl Frame {
    /// Fills `payload`, the `at`-th of the frame.
    pub fn write(&self, at: usize, stamp: &CallStamp, payload: &mut [u8]) {
        payload[0] = EXTENDED | if at == 0 { START } else { 0 };
        payload[1] = FIELDS;
        payload[2..4].copy_from_slice(&(self.picture_id | 0x8000).to_be_bytes());
        payload[4] = self.tl0_index;
        payload[5] = 0;
        let body = &mut payload[DESCRIPTOR_BYTES..];
        // Never all zeros, so that nothing on the way compresses or skips it.
        body.fill(0x5a);
        if at == 0 {
            // RFC 6386 9.1: bit 0 is clear in key frames, bit 4 shows the frame, the rest is the
            // length of the first partition; then start code, width and height.
            let tag = u32::from(!self.key) | 1 << 4 | 200 << 5;
            body[..3].copy_from_slice(&tag.to_le_bytes()[..3]);
            if self.key {
                body[3..6].copy_from_slice(&[0x9d, 0x01, 0x2a]);
                body[6..8].copy_from_slice(&self.width.to_le_bytes());
                body[8..10].copy_from_slice(&self.height.to_le_bytes());
            }
        }
        stamp.write(&mut body[VIDEO_OFFSET..]);
    }
}

/// The stamp of a received payload, wherever its descriptor ends.
pub fn read_stamp(payload: &[u8]) -> Option<CallStamp> {
    let descriptor = ringway_wire::payload::vp8::Descriptor::read(payload)?;
    CallStamp::read(payload.get(usize::from(descriptor.len) + VIDEO_OFFSET..)?)
}

#[cfg(test)]
mod tests {
    use ringway_wire::payload::vp8::Descriptor;

    use super::*;

    #[test]
    fn packets_are_equal_but_for_one_octet() {
        for (frame, payload, expect) in [
            (6250, 1106, vec![1047, 1047, 1048, 1048, 1048, 1048]),
            (1100, 1106, vec![1106]),
            (1101, 1106, vec![556, 557]),
            (5, 1106, vec![MIN_PAYLOAD_BYTES]),
        ] {
            assert_eq!(split(frame, payload).collect::<Vec<_>>(), expect, "{frame}");
        }
    }

    #[test]
    fn headers_are_read_as_vp8() {
        let stamp = CallStamp { layer: 1, frame: 9, ..CallStamp::default() };
        for (at, key) in [(0, true), (0, false), (1, true)] {
            let frame = Frame { key, picture_id: 300, tl0_index: 7, width: 640, height: 360 };
            let mut payload = vec![0; 100];
            frame.write(at, &stamp, &mut payload);
            let read = Descriptor::read(&payload).unwrap();
            assert_eq!(usize::from(read.len), DESCRIPTOR_BYTES);
            assert_eq!((read.frame_start, read.key_frame), (at == 0, at == 0 && key));
            assert_eq!(read.picture_id.map(|id| (id.value, id.wide)), Some((300, true)));
            assert_eq!((read.tl0_index, read.temporal), (Some(7), Some(0)));
            assert_eq!(read_stamp(&payload), Some(stamp));
        }
    }
}
