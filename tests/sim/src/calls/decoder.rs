//! What a decoder makes of a stream, and whether it could have been otherwise.

use std::collections::{HashMap, HashSet};

use super::camera::CLOCK_HZ;
use super::frame::{Coding, FrameId, Stamp, Vp8Numbers};
use super::microphone;
use super::stream::Stream;

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// Frames of which something came, in the order of their numbers.
    pub frames: Vec<FrameId>,
    /// Frames before the first key frame, which was lost before there were keys.
    pub skipped: usize,
    /// Of the frames, those that a decoder could show.
    pub decoded: usize,
    /// When the first and the last of those were captured, ms.
    pub captured_ms: Option<(u32, u32)>,
    /// The longest time between two of those, ms of capture.
    pub longest_pause_ms: u32,
    /// How often the layer changed.
    pub changes: usize,
    /// Numbers that never came.
    pub holes: usize,
    /// How far the clock of the stream was off at most, from one frame to the next, ms.
    pub clock_error_ms: u32,
}

struct Frame {
    first: u64,
    last: u64,
    stamp: Stamp,
    numbers: Vp8Numbers,
    timestamp: u32,
    packets: HashSet<u8>,
    marker: bool,
}

/// Shows a video stream.
///
/// # Panics
/// If a decoder could not show it, and nothing that is missing explains why.
pub fn show(stream: &Stream) -> Shown {
    let mut frames = frames(stream);
    let begin = frames.iter().position(|frame| frame.stamp.key).unwrap_or(frames.len());
    frames.drain(..begin);
    let holes: Vec<u64> = stream.holes();
    let mut shown = Shown { holes: holes.len(), skipped: begin, ..Shown::default() };
    let mut decoded: HashSet<FrameId> = HashSet::new();
    let mut seen: HashMap<FrameId, u64> = HashMap::new();
    for (at, frame) in frames.iter().enumerate() {
        let id = frame.stamp.frame;
        let before = at.checked_sub(1).map(|at| &frames[at]);
        let after = frames.get(at + 1);
        check_whole(frame, before.is_none(), after, &holes);
        check_needs(frame, &seen, &holes);
        if let Some(before) = before {
            // Where all of a key frame was lost, its numbers are missing.
            let lost = holes.contains(&(frame.first - 1));
            check_step((stream.coding, lost), before, frame, &mut shown);
        }
        seen.insert(id, frame.last);
        shown.frames.push(id);
        let needs = FrameId { number: frame.stamp.needs, ..id };
        let whole = frame.packets.len() == usize::from(frame.stamp.packets);
        if whole && (frame.stamp.key || decoded.contains(&needs)) {
            decoded.insert(id);
            shown.decoded += 1;
            let at_ms = frame.stamp.captured_ms;
            let (first, last) = shown.captured_ms.unwrap_or((at_ms, at_ms));
            shown.longest_pause_ms = shown.longest_pause_ms.max(at_ms.saturating_sub(last));
            shown.captured_ms = Some((first, at_ms));
        }
    }
    if stream.coding == Some(Coding::Vp8) {
        check_base_frames(&frames);
    }
    shown
}

/// The frames in the order of their numbers; what is of one frame must agree and lie together.
fn frames(stream: &Stream) -> Vec<Frame> {
    let mut frames: Vec<Frame> = Vec::new();
    let mut known: HashSet<FrameId> = HashSet::new();
    for (&number, got) in &stream.got {
        let Some((stamp, numbers)) = got.content else { continue };
        let same = frames.last_mut().filter(|frame| frame.stamp.frame == stamp.frame);
        let Some(frame) = same else {
            assert!(known.insert(stamp.frame), "{:?} is torn apart at {number}", stamp.frame);
            let packets = HashSet::from([stamp.packet]);
            let (timestamp, marker) = (got.timestamp, got.marker);
            let (first, last) = (number, number);
            frames.push(Frame { first, last, stamp, numbers, timestamp, packets, marker });
            continue;
        };
        let facts = (numbers, got.timestamp);
        assert_eq!(facts, (frame.numbers, frame.timestamp), "{:?} at {number}", stamp.frame);
        let ahead = u64::from(stamp.packet - frame.stamp.packet);
        assert_eq!(number - frame.first, ahead, "{stamp:?} is {number}");
        assert!(frame.packets.insert(stamp.packet), "{stamp:?} twice");
        (frame.last, frame.marker) = (number, got.marker);
    }
    frames
}

/// What is missing of a frame has a number that never came; only where another layer or, after a
/// pause, the same one begins may a frame end early.
fn check_whole(frame: &Frame, first: bool, after: Option<&Frame>, holes: &[u64]) {
    let last_packet = frame.stamp.packets - 1;
    let end = frame.first + u64::from(last_packet - frame.stamp.packet);
    // What was lost before anything came has no number that anybody could miss.
    let begins = frame.stamp.packet == 0 || first || holes.contains(&(frame.first - 1));
    assert!(begins, "{:?}", frame.stamp);
    assert_eq!(frame.marker, frame.last == end, "the marker of {:?}", frame.stamp);
    if let Some(after) = after {
        let cut = after.first <= end;
        assert!(!cut || after.stamp.key, "{:?} is cut off by {:?}", frame.stamp, after.stamp);
    }
}

/// The frame that another needs was sent before it: it is there, or something is missing.
fn check_needs(frame: &Frame, seen: &HashMap<FrameId, u64>, holes: &[u64]) {
    if frame.stamp.key {
        return;
    }
    let needs = FrameId { number: frame.stamp.needs, ..frame.stamp.frame };
    let older = |id: &&FrameId| id.layer == needs.layer && id.number < needs.number;
    let floor = seen.keys().filter(older).filter_map(|id| seen.get(id)).max().copied();
    let explained = holes.iter().any(|hole| *hole < frame.first && Some(*hole) > floor);
    assert!(seen.contains_key(&needs) || explained, "{:?} needs what was left out", frame.stamp);
}

fn check_step(
    (coding, lost): (Option<Coding>, bool),
    before: &Frame,
    frame: &Frame,
    shown: &mut Shown,
) {
    let (from, to) = (before.stamp, frame.stamp);
    if from.frame.layer != to.frame.layer {
        assert!(to.key || lost, "changes layer at {to:?}");
        shown.changes += 1;
    } else {
        assert!(to.frame.number > from.frame.number, "{from:?} before {to:?}");
    }
    if coding == Some(Coding::Vp8) {
        let pictures = frame.numbers.picture_id.wrapping_sub(before.numbers.picture_id) & 0x7fff;
        assert!((1..0x1000).contains(&pictures), "{pictures} pictures from {from:?} to {to:?}");
    }
    let time = frame.timestamp.wrapping_sub(before.timestamp) as i32;
    assert!(time > 0, "time goes on by {time} from {from:?} to {to:?}");
    let ideal = (to.captured_ms.wrapping_sub(from.captured_ms) as i32) * (CLOCK_HZ as i32 / 1000);
    let error_ms = (time - ideal).unsigned_abs() / (CLOCK_HZ as u32 / 1000);
    shown.clock_error_ms = shown.clock_error_ms.max(error_ms);
    if from.frame.layer == to.frame.layer && !to.key {
        assert_eq!(error_ms, 0, "time from {from:?} to {to:?}");
    }
}

/// RFC 7741 4.2: TL0PICIDX names the base frame that a frame hangs on; the next base frame has the
/// next one.
fn check_base_frames(frames: &[Frame]) {
    let mut base: Option<&Frame> = None;
    let of = |frame: &Frame| FrameId { number: frame.stamp.base, ..frame.stamp.frame };
    for frame in frames {
        let known = base.filter(|base| base.stamp.frame.layer == frame.stamp.frame.layer);
        if frame.stamp.temporal > 0 {
            if let Some(base) = known {
                let same = base.stamp.frame == of(frame);
                let named = base.numbers.tl0_index == frame.numbers.tl0_index;
                assert_eq!(same, named, "{:?} and {:?}", base.stamp, frame.stamp);
            }
            continue;
        }
        if let Some(base) = known
            && !frame.stamp.key
            && base.stamp.frame.number == frame.stamp.needs
        {
            let step = frame.numbers.tl0_index.wrapping_sub(base.numbers.tl0_index);
            assert_eq!(step, 1, "base frames from {:?} to {:?}", base.stamp, frame.stamp);
        }
        base = Some(frame);
    }
}

/// Plays a sound: each packet once, in order, at its time. Gives packets and holes.
///
/// # Panics
/// If time does not go on as it did for the publisher.
pub fn play(stream: &Stream) -> (usize, usize) {
    let mut before: Option<(Stamp, u32)> = None;
    for got in stream.got.values() {
        let Some((stamp, _)) = got.content else { continue };
        if let Some((last, timestamp)) = before {
            assert!(stamp.frame.number > last.frame.number, "{last:?} before {stamp:?}");
            let time = got.timestamp.wrapping_sub(timestamp) as i32;
            let ms = stamp.captured_ms.wrapping_sub(last.captured_ms) as i32;
            let error = (time - ms * (microphone::CLOCK_HZ as i32 / 1000)).abs();
            let gap = stamp.frame.number - last.frame.number > 1;
            assert!(time > 0 && error <= if gap { 48 * 250 } else { 0 }, "{last:?} to {stamp:?}");
        }
        before = Some((stamp, got.timestamp));
    }
    (stream.got.len(), stream.holes().len())
}
