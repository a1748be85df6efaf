//! Which layers of a track anybody wants, so that its publisher need not send the others
//! ("dynacast"). A layer is asked for at once and given up after a while. Sound has no layers, but
//! may have several codecs.

use super::LiveRoom;
use crate::calls::turn::{Timer, Turn};
use crate::calls::{Notice, TrackInfo, TrackKind, VideoQuality};
use crate::id::TrackSid;

/// What is wanted of one codec.
#[derive(Clone, Debug)]
struct Wanted {
    /// Subscribers per quality.
    counts: [u32; 3],
    /// What the publisher was told.
    told: VideoQuality,
    /// When less may be told.
    lower_at_ms: Option<u64>,
    /// It has been wanted, or is the first codec of pictures: the publisher is told of it.
    known: bool,
}

/// What is wanted of a track, codec by codec.
#[derive(Clone, Debug, Default)]
pub(super) struct Demand(Vec<Wanted>);

impl Demand {
    /// Of a new track: its publisher sends all layers of the first codec until told otherwise. Of
    /// several codecs of sound it sends what somebody wants.
    pub(super) fn new(info: &TrackInfo) -> Self {
        let mut demand = Self::default();
        demand.resize(info);
        demand
    }

    /// Follows the number of codecs.
    pub(super) fn resize(&mut self, info: &TrackInfo) {
        while self.0.len() < info.codecs.len() {
            let first = self.0.is_empty() && info.kind == TrackKind::Video;
            let told = if first { VideoQuality::High } else { VideoQuality::Off };
            self.0.push(Wanted { counts: [0; 3], told, lower_at_ms: None, known: first });
        }
    }

    pub(super) fn add(&mut self, codec: usize, quality: VideoQuality) {
        if let Some(wanted) = self.0.get_mut(codec)
            && let Some(count) = wanted.counts.get_mut(quality as usize)
        {
            *count += 1;
            wanted.known = true;
        }
    }

    pub(super) fn remove(&mut self, codec: usize, quality: VideoQuality) {
        let wanted = self.0.get_mut(codec);
        if let Some(count) = wanted.and_then(|wanted| wanted.counts.get_mut(quality as usize)) {
            *count = count.saturating_sub(1);
        }
    }

    /// What the publisher was told to send of a codec.
    pub(super) fn told(&self, codec: usize) -> VideoQuality {
        self.0.get(codec).map_or(VideoQuality::Off, |wanted| wanted.told)
    }

    /// Compares what is wanted with what was told: whether the publisher is to be told, and when
    /// to look again.
    fn settle(&mut self, now_ms: u64, pause_ms: u64) -> (bool, bool) {
        let (mut tell, mut wait) = (false, false);
        for wanted in &mut self.0 {
            let highest = wanted.highest();
            let due = wanted.lower_at_ms.is_some_and(|at_ms| at_ms <= now_ms);
            if rank(highest) == rank(wanted.told) {
                wanted.lower_at_ms = None;
            } else if rank(highest) > rank(wanted.told) || due {
                wanted.told = highest;
                wanted.lower_at_ms = None;
                tell = true;
            } else if wanted.lower_at_ms.is_none() {
                wanted.lower_at_ms = Some(now_ms.saturating_add(pause_ms));
                wait = true;
            }
        }
        (tell, wait)
    }
}

impl Wanted {
    fn highest(&self) -> VideoQuality {
        const QUALITIES: [VideoQuality; 3] =
            [VideoQuality::Low, VideoQuality::Medium, VideoQuality::High];
        let highest = self.counts.iter().rposition(|count| *count > 0);
        highest.map_or(VideoQuality::Off, |index| QUALITIES[index])
    }
}

/// Qualities in their order, nothing first.
fn rank(quality: VideoQuality) -> i32 {
    if quality == VideoQuality::Off { -1 } else { quality.number() }
}

impl LiveRoom {
    /// What is wanted of a track has changed.
    pub(super) fn settle_demand(&mut self, turn: &mut Turn<'_>, sid: TrackSid) {
        let Some(track) = self.tracks.get_mut(&sid) else { return };
        let sound = track.info.kind != TrackKind::Video;
        if sound && track.info.codecs.len() < 2 {
            return;
        }
        let pause_ms = turn.config.dynacast_pause_ms;
        let active = track.active_codec();
        let before = track.demand.told(active);
        let (tell, wait) = track.demand.settle(turn.now_ms, pause_ms);
        let told = track.demand.told(active);
        if wait {
            turn.after(pause_ms, Timer::Demand(sid));
        }
        if tell {
            let pairs = track.info.codecs.iter().zip(&track.demand.0);
            let known = pairs.filter(|(_, wanted)| wanted.known);
            let codecs = known.map(|(codec, wanted)| (codec.mime_type.clone(), wanted.told));
            let wanted = |(codec, told)| (codec, told != VideoQuality::Off);
            let notice = match sound {
                true => {
                    let codecs = codecs.map(wanted).collect();
                    Notice::SubscribedAudioCodecs { track: sid, codecs }
                }
                false => Notice::SubscribedQuality { track: sid, codecs: codecs.collect() },
            };
            turn.tell(track.publisher, notice);
        }
        if told != before {
            self.rejudge_wanted(turn.now_ms, sid, before);
        }
    }

    /// Layers may have been unwanted for long enough.
    pub(super) fn check_demand(&mut self, turn: &mut Turn<'_>, sid: TrackSid) {
        self.settle_demand(turn, sid);
    }
}
