//! A receiver that checks its stream: every number once, time that goes on, frames that can be
//! decoded.

use std::collections::{BTreeMap, HashMap, HashSet};

use ringway_wire::payload::vp8;
use ringway_wire::rtp::RtpView;
use ringway_wire::sequence::distance;

use crate::publisher::{Content, FrameId};

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

    /// Checks the order of frames. `complete` says that nothing was lost on the way to the server.
    pub(crate) fn check_frames(
        &self,
        delivered: &HashSet<FrameId>,
        complete: bool,
    ) -> Result<(), String> {
        let mut seen: HashMap<FrameId, (u32, vp8::Numbers)> = HashMap::new();
        let mut order: Vec<(FrameId, Got)> = Vec::new();
        for got in self.got.values() {
            let Some(content) = got.content else { continue };
            let facts = (got.timestamp, got.numbers);
            match seen.insert(content.frame, facts) {
                None => order.push((content.frame, *got)),
                Some(before) if before != facts => {
                    return Err(format!("{:?} as {before:?} and {facts:?}", content.frame));
                }
                Some(_) => {
                    if order.last().map(|(frame, _)| *frame) != Some(content.frame) {
                        return Err(format!("{:?} is torn apart", content.frame));
                    }
                }
            }
        }
        let mut before: Option<(FrameId, Got)> = None;
        for (frame, got) in order {
            let content = got.content.expect("only frames are here");
            if let Some((last, last_got)) = before {
                check_step(&last, &last_got, &frame, &got, complete)?;
            } else if !content.key {
                return Err(format!("begins with {content:?}"));
            }
            let changed = before.is_none_or(|(last, _)| last.layer != frame.layer);
            if changed && !(content.key && content.packet == 0) {
                return Err(format!("changes layer at {content:?}"));
            }
            // What a frame needs was sent too, unless it never came or lies before a pause, after
            // which there was a key frame.
            let needs = FrameId { layer: frame.layer, number: content.needs };
            if !content.key && delivered.contains(&needs) && !self.frames.contains(&needs) {
                return Err(format!("{content:?} needs a frame that was left out"));
            }
            before = Some((frame, got));
        }
        Ok(())
    }
}

fn check_step(
    last: &FrameId,
    last_got: &Got,
    frame: &FrameId,
    got: &Got,
    complete: bool,
) -> Result<(), String> {
    let time = got.timestamp.wrapping_sub(last_got.timestamp) as i32;
    if time <= 0 {
        return Err(format!("time goes from {last:?} by {time} to {frame:?}"));
    }
    let pictures = got.numbers.picture_id.wrapping_sub(last_got.numbers.picture_id) & 0x7fff;
    let base_frames = got.numbers.tl0_index.wrapping_sub(last_got.numbers.tl0_index);
    // Frames lost whole keep their numbers; nothing else may.
    let lost = if last.layer == frame.layer && !complete {
        frame.number.saturating_sub(last.number).min(200)
    } else {
        1
    };
    if pictures == 0 || u32::from(pictures) > lost.max(1) {
        return Err(format!("{pictures} pictures from {last:?} to {frame:?}"));
    }
    if u32::from(base_frames) > lost.max(1) {
        return Err(format!("{base_frames} base frames from {last:?} to {frame:?}"));
    }
    Ok(())
}
