//! A receiver that checks its stream: every number once, time that goes on, frames that can be
//! decoded.

use std::collections::{BTreeMap, HashMap, HashSet};

use ringway_wire::payload::vp8;
use ringway_wire::rtp::RtpView;
use ringway_wire::sequence::distance;

use crate::network::LATE_FRAMES;
use crate::publisher::{CLOCK_HZ, Content, FRAME_NS, FrameId, Made};

/// No packet is under way for longer.
const LATE_NS: u64 = LATE_FRAMES * FRAME_NS;

/// How far a receiver's clock may step wrongly where nothing tells how layers stand to each other,
/// so that only the times of arrival do.
const MAX_TIME_ERROR: i32 = LATE_FRAMES as i32 * 3000;

/// A packet as the receiver got it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Got {
    pub(crate) timestamp: u32,
    pub(crate) numbers: vp8::Numbers,
    /// `None`: padding.
    pub(crate) content: Option<Content>,
}

#[derive(Default)]
pub(crate) struct Receiver {
    /// By extended number.
    pub(crate) got: BTreeMap<u64, Got>,
    highest: Option<u64>,
    /// Frames of which something was sent.
    pub(crate) frames: HashSet<FrameId>,
}

impl Receiver {
    /// Takes the octets of a packet.
    pub(crate) fn handle(&mut self, bytes: &[u8]) -> Result<u64, String> {
        let view = RtpView::parse(bytes).map_err(|error| error.to_string())?;
        let extended = match self.highest {
            None => 0x1_0000 + u64::from(view.sequence()),
            Some(highest) => {
                let step = distance(highest as u16, view.sequence());
                highest.wrapping_add_signed(i64::from(step))
            }
        };
        self.highest = self.highest.max(Some(extended));
        if (view.ssrc(), view.payload_type()) != (77, 100) {
            return Err(format!("ssrc {} type {}", view.ssrc(), view.payload_type()));
        }
        let payload = view.payload();
        let (numbers, content) = if payload.is_empty() {
            (vp8::Numbers::default(), None)
        } else {
            let descriptor = vp8::Descriptor::read(payload).ok_or("no descriptor")?;
            let content = Content::read(&payload[usize::from(descriptor.len)..]);
            if descriptor.frame_start != (content.packet == 0) {
                return Err("the descriptor is not the payload's".into());
            }
            self.frames.insert(content.frame);
            (descriptor.numbers(), Some(content))
        };
        let got = Got { timestamp: view.timestamp(), numbers, content };
        if let Some(before) = self.got.insert(extended, got) {
            return Err(format!("{extended} twice: {before:?} and {got:?}"));
        }
        Ok(extended)
    }

    /// The numbers that never came, between the first and the last.
    pub(crate) fn holes(&self) -> Vec<u64> {
        let first = self.got.keys().next().copied().unwrap_or(1);
        let last = self.got.keys().next_back().copied().unwrap_or(0);
        (first..=last).filter(|number| !self.got.contains_key(number)).collect()
    }

    /// Checks the order of frames against what is known of them.
    pub(crate) fn check_frames(&self, truth: &Truth<'_>) -> Result<(), String> {
        let order = self.frames_in_order()?;
        let mut before: Option<(FrameId, Got)> = None;
        for &(frame, got, packets) in &order {
            let content = got.content.expect("only frames are here");
            if let Some((last, last_got)) = before {
                truth.check_step((last, &last_got), (frame, &got))?;
            }
            let changed = before.is_none_or(|(last, _)| last.layer != frame.layer);
            if changed && !(content.key && content.packet == 0) {
                return Err(format!("changes layer at {content:?}"));
            }
            // What a frame needs was sent too, unless it never came or lies before a pause, after
            // which there was a key frame.
            let needs = FrameId { layer: frame.layer, number: content.needs };
            if !content.key && truth.delivered.contains(&needs) && !self.frames.contains(&needs) {
                return Err(format!("{content:?} needs a frame that was left out"));
            }
            before = Some((frame, got));
            if truth.complete && packets < usize::from(content.packets) {
                return Err(format!("{packets} packets of {content:?}"));
            }
        }
        Ok(())
    }

    /// Each frame of which something came, with its first packet and how many came, in the order
    /// of the numbers.
    fn frames_in_order(&self) -> Result<Vec<(FrameId, Got, usize)>, String> {
        let mut seen: HashMap<FrameId, (u32, vp8::Numbers)> = HashMap::new();
        let mut order: Vec<(FrameId, Got, usize)> = Vec::new();
        for got in self.got.values() {
            let Some(content) = got.content else { continue };
            let facts = (got.timestamp, got.numbers);
            match seen.insert(content.frame, facts) {
                None => order.push((content.frame, *got, 1)),
                Some(before) if before != facts => {
                    return Err(format!("{:?} as {before:?} and {facts:?}", content.frame));
                }
                Some(_) => match order.last_mut() {
                    Some((frame, _, packets)) if *frame == content.frame => *packets += 1,
                    _ => return Err(format!("{:?} is torn apart", content.frame)),
                },
            }
        }
        Ok(order)
    }
}

/// What became of the frames on their way to the server.
pub(crate) struct Truth<'a> {
    /// By layer, all that were made.
    pub(crate) made: [&'a [Made]; 3],
    /// Something of them came, while the route was not paused.
    pub(crate) delivered: &'a HashSet<FrameId>,
    /// Something of them came, and it was not late.
    pub(crate) in_order: &'a HashSet<FrameId>,
    /// Nothing was lost, late or doubled.
    pub(crate) complete: bool,
}

impl Truth<'_> {
    fn of(&self, frame: FrameId) -> Made {
        self.made[usize::from(frame.layer)][frame.number as usize - 1]
    }

    /// Frames of the layer of `last` that may have kept their numbers between it and `next`,
    /// because it was not known in time that they would not be sent.
    fn lost(&self, last: FrameId, next: FrameId) -> impl Iterator<Item = Made> {
        let end = match last.layer == next.layer {
            true => next.number,
            // The layer was followed until the other one's key frame had come.
            false => {
                let late_ns = self.of(next).at_ns + LATE_NS;
                let made = self.made[usize::from(last.layer)].iter();
                made.filter(|made| made.at_ns <= late_ns).count() as u32 + 1
            }
        };
        (last.number + 1..end)
            .map(move |number| FrameId { layer: last.layer, number })
            .filter(|frame| !self.in_order.contains(frame))
            .map(|frame| self.of(frame))
    }

    /// Numbers go on by one for each frame that is sent, and for those that were lost.
    fn check_step(
        &self,
        (last, last_got): (FrameId, &Got),
        (frame, got): (FrameId, &Got),
    ) -> Result<(), String> {
        let (made, last_made) = (self.of(frame), self.of(last));
        let step = |what: &str, step: u16, least: u16, kept: &dyn Fn(&Made) -> bool| {
            let most = least + self.lost(last, frame).filter(|made| kept(made)).count() as u16;
            match (least..=most).contains(&step) {
                true => Ok(()),
                false => Err(format!("{step} {what} from {last:?} to {frame:?}, not {most}")),
            }
        };
        let (from, to) = (last_got.numbers, got.numbers);
        let pictures = to.picture_id.wrapping_sub(from.picture_id) & 0x7fff;
        step("pictures", pictures, 1, &|_| true)?;
        let base = u16::from(to.tl0_index.wrapping_sub(from.tl0_index));
        step("base frames", base, u16::from(made.temporal == 0), &|made| made.temporal == 0)?;
        let keys = u16::from(to.key_index.wrapping_sub(from.key_index) & 0x1f);
        step("key frames", keys, u16::from(made.key), &|made| made.key)?;

        let time = got.timestamp.wrapping_sub(last_got.timestamp) as i32;
        let ideal = made.timestamp.wrapping_sub(last_made.timestamp) as i32;
        let elapsed_ns = made.at_ns.wrapping_sub(last_made.at_ns) as i64;
        let elapsed = (elapsed_ns * i64::from(CLOCK_HZ) / 1_000_000_000) as i32;
        // Within a layer time is the publisher's to the tick, unless a pause lies between, after
        // which there is a key frame.
        let exact = last.layer == frame.layer && !made.key;
        if time <= 0 || exact && time != ideal || (time - elapsed).abs() > MAX_TIME_ERROR {
            return Err(format!(
                "time goes on by {time}, not {elapsed}, from {last:?} to {frame:?}"
            ));
        }
        Ok(())
    }
}
