//! What the data plane has measured of a track: which layers come and which are missing, how large
//! their pictures are, and how many there are.

use super::LiveRoom;
use super::codecs::{self, LAYERS_MAX};
use crate::calls::turn::Turn;
use crate::calls::{
    LayerMode, Picture, SourceLayers, TrackInfo, TrackKind, VideoLayer, VideoQuality,
};

/// What is known of one codec of a track.
#[derive(Clone, Debug, Default)]
pub(super) struct Measured {
    pub(super) pictures: [Picture; LAYERS_MAX],
    /// Layers that come, and those that ever came; the lowest is bit 0.
    live: u8,
    seen: u8,
    missing: Average,
}

impl Measured {
    /// How many of the layers that the publisher was asked for did not come, on average since this
    /// was asked last.
    pub(super) fn take_missing(&mut self, now_ms: u64) -> f64 {
        self.missing.take(now_ms)
    }

    /// Notes from when on so many layers are missing, if the publisher was asked for `wanted`.
    pub(super) fn note_missing(
        &mut self,
        now_ms: u64,
        info: &TrackInfo,
        codec: usize,
        wanted: VideoQuality,
    ) {
        self.missing.set(now_ms, f64::from(self.missing(info, codec, wanted)));
    }

    /// LiveKit's distance to what is desired, without temporal layers.
    fn missing(&self, info: &TrackInfo, codec: usize, wanted: VideoQuality) -> u32 {
        if self.seen == 0 || info.muted || wanted == VideoQuality::Off {
            return 0;
        }
        let layers = layers_of(info, codec);
        let expected = layers.iter().rposition(|layer| layer.quality <= wanted).unwrap_or(0) as u32;
        let expected = match is_named(info, codec, layers) {
            true => expected,
            // Nobody can tell whether one stream holds as many layers as were announced: what never
            // came is not missed.
            false => expected.min(self.seen.ilog2()),
        };
        match self.live.checked_ilog2() {
            Some(best) => expected.saturating_sub(best),
            None => expected + 1,
        }
    }
}

/// Whether each layer has a stream with a name of its own.
fn is_named(info: &TrackInfo, codec: usize, layers: &[VideoLayer]) -> bool {
    let mode = info.codecs.get(codec).and_then(|codec| codec.mode);
    let named = |layer: &VideoLayer| !layer.rid.is_empty() || layer.ssrc != 0;
    mode != Some(LayerMode::MultiplePerStream) && layers.iter().all(named)
}

/// The layers of a codec, or of the track if the codec has none of its own.
pub(super) fn layers_of(info: &TrackInfo, codec: usize) -> &[VideoLayer] {
    match info.codecs.get(codec) {
        Some(codec) if !codec.layers.is_empty() => &codec.layers,
        _ => &info.layers,
    }
}

/// Whether nobody has said how large a video track is.
pub(super) fn is_unsized(info: &TrackInfo) -> bool {
    let layers = info.codecs.iter().flat_map(|codec| &codec.layers).chain(&info.layers);
    info.kind == TrackKind::Video
        && info.height == 0
        && layers.into_iter().all(|layer| layer.height == 0)
}

/// A number over time.
#[derive(Clone, Copy, Debug, Default)]
struct Average {
    value: f64,
    since_ms: Option<u64>,
    /// Value times ms, and ms, before `since_ms`.
    sum: f64,
    over_ms: u64,
}

impl Average {
    fn set(&mut self, now_ms: u64, value: f64) {
        // Before the first value there is nothing to average.
        let since_ms = self.since_ms.replace(now_ms).unwrap_or(now_ms);
        let passed_ms = now_ms.saturating_sub(since_ms);
        self.sum += self.value * passed_ms as f64;
        self.over_ms += passed_ms;
        self.value = value;
    }

    /// The average since it was taken last.
    fn take(&mut self, now_ms: u64) -> f64 {
        self.set(now_ms, self.value);
        let (sum, over_ms) = (std::mem::take(&mut self.sum), std::mem::take(&mut self.over_ms));
        if over_ms == 0 { self.value } else { sum / over_ms as f64 }
    }
}

impl LiveRoom {
    /// Layers of a track come or no longer do, or their pictures are others than before.
    pub(crate) fn source_layers(&mut self, turn: &mut Turn<'_>, layers: &SourceLayers) {
        let Some(track) = self.tracks.get_mut(&layers.track) else { return };
        let only = (track.info.codecs.len() <= 1).then_some(0);
        let codec = codecs::position(&track.info, layers.mime_type).or(only);
        let Some(codec) = codec.filter(|_| track.info.kind == TrackKind::Video) else { return };
        let wanted = track.demand.told(codec);
        if track.measured.len() <= codec {
            track.measured.resize_with(codec + 1, Measured::default);
        }
        let measured = &mut track.measured[codec];
        measured.live = layers.live;
        measured.seen |= layers.live;
        measured.note_missing(turn.now_ms, &track.info, codec, wanted);
        let before = std::mem::replace(&mut measured.pictures, layers.pictures);
        if before == layers.pictures {
            return;
        }
        if track.is_unsized && is_resized(&track.info, codec, &layers.pictures) {
            track.change(turn, |info| resize(info, codec, &layers.pictures));
            return self.track_changed(turn, layers.track, false);
        }
        let subscribers: Vec<_> = track.subscribers.iter().copied().collect();
        for subscriber in subscribers {
            self.reroute(turn, subscriber, layers.track);
        }
    }
}

fn is_resized(info: &TrackInfo, codec: usize, pictures: &[Picture]) -> bool {
    let mut resized = info.clone();
    resize(&mut resized, codec, pictures);
    resized != *info
}

/// Takes the sizes of a track that nobody announced from its pictures.
fn resize(info: &mut TrackInfo, codec: usize, pictures: &[Picture]) {
    let known = pictures.iter().filter(|picture| picture.height > 0);
    if let Some(largest) = known.max_by_key(|picture| picture.width) {
        (info.width, info.height) = (largest.width, largest.height);
    }
    let fill = |layers: &mut [VideoLayer]| {
        let measured = layers.iter_mut().zip(pictures).filter(|(_, picture)| picture.height > 0);
        for (layer, picture) in measured {
            (layer.width, layer.height) = (picture.width, picture.height);
        }
    };
    if let Some(codec) = info.codecs.get_mut(codec) {
        fill(&mut codec.layers);
    }
    if codec == 0 {
        fill(&mut info.layers);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_averaged_over_time() {
        let mut average = Average::default();
        assert_eq!(average.take(0), 0.0);
        average.set(1_000, 2.0);
        average.set(1_000, 1.0);
        average.set(4_000, 0.0);
        let found = average.take(5_000);
        assert!((found - 3_000.0 / 5_000.0).abs() < 1e-9, "{found}");
        average.set(5_000, 2.0);
        assert_eq!(average.take(5_000), 2.0, "no time at all");
        assert_eq!((average.take(9_000), average.take(8_000)), (2.0, 2.0));
    }
}
