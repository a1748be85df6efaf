//! Which layer a subscriber gets: what it shows, mapped to what the track has, as LiveKit does.

use super::codecs::LAYERS_MAX;
use super::measured::layers_of;
use crate::calls::{
    Picture, RouteSettings, TrackInfo, TrackKind, TrackSettings, TrackSource, VideoLayer,
    VideoQuality,
};

/// Of a wanted size, ‰ that suffice. LiveKit's: one pixel too many must not cost a whole layer.
const TOLERANCE_PERMILLE: u64 = 900;
/// Heights of the lower layers of a track that does not say them.
const DEFAULT_HEIGHTS: [u32; 2] = [180, 360];
/// The highest temporal layer that any codec has.
const TEMPORAL_MAX: u8 = 3;

/// What settings come to for one codec of a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// What is wanted of the publisher; [`VideoQuality::Off`] while a picture is disabled.
    pub(super) quality: VideoQuality,
    pub(super) route: RouteSettings,
}

/// What `settings` come to for the codec at `codec` of a track whose pictures are like `pictures`.
pub(super) fn target(
    info: &TrackInfo,
    codec: usize,
    pictures: &[Picture],
    settings: &TrackSettings,
) -> Target {
    let layers = layers_of(info, codec);
    let mut quality = settings.quality;
    if info.kind == TrackKind::Video && settings.width > 0 {
        quality = for_size(info, layers, pictures, settings.width, settings.height);
    }
    let off = settings.disabled || quality == VideoQuality::Off;
    let spatial = spatial(layers, quality);
    let screen = info.source == TrackSource::ScreenShare;
    let priority = match settings.priority {
        0 if screen => u8::MAX,
        0 => 1,
        said => u8::try_from(said).unwrap_or(u8::MAX),
    };
    let wanted = match info.kind {
        // Whoever pauses sound has it back at once, as from a LiveKit server.
        TrackKind::Audio => VideoQuality::High,
        _ if off => VideoQuality::Off,
        // The publisher is asked for the layer that is sent, whatever it calls that.
        _ => layers.get(usize::from(spatial)).map_or(quality, |layer| layer.quality),
    };
    Target {
        quality: wanted,
        route: RouteSettings {
            paused: off,
            max_spatial: if off { 0 } else { spatial },
            max_temporal: temporal(settings.fps, pictures.get(usize::from(spatial))),
            priority,
        },
    }
}

const QUALITIES: [VideoQuality; 3] = [VideoQuality::Low, VideoQuality::Medium, VideoQuality::High];

/// The lowest quality that is large enough.
fn for_size(
    info: &TrackInfo,
    layers: &[VideoLayer],
    pictures: &[Picture],
    width: u32,
    height: u32,
) -> VideoQuality {
    let mut sizes = sizes(layers, pictures);
    if sizes.is_empty() && info.height == 0 {
        return VideoQuality::High;
    }
    if sizes.is_empty() {
        let portrait = info.width < info.height;
        let (full, wanted) = if portrait { (info.width, width) } else { (info.height, height) };
        let sizes = [DEFAULT_HEIGHTS[0], DEFAULT_HEIGHTS[1], full];
        return QUALITIES[lowest_enough(&sizes, wanted)];
    }
    sizes.sort_unstable();
    let heights: Vec<u32> = sizes.iter().map(|(height, _)| *height).collect();
    // LiveKit takes the place among the sizes for the quality, and so never gives the better one of
    // a middle and a high layer to who asks by size.
    sizes[lowest_enough(&heights, height)].1
}

/// Heights and qualities: as announced, or else as they come. Nothing while neither is known.
fn sizes(layers: &[VideoLayer], pictures: &[Picture]) -> Vec<(u32, VideoQuality)> {
    if layers.first().is_some_and(|layer| layer.height > 0) {
        return layers.iter().map(|layer| (layer.height, layer.quality)).collect();
    }
    let Some(last) = pictures.iter().rposition(|picture| picture.height > 0) else {
        return Vec::new();
    };
    let count = if layers.is_empty() { last + 1 } else { layers.len() };
    let quality = |place: usize| layers.get(place).map_or(QUALITIES[place], |layer| layer.quality);
    let all = pictures.iter().take(count).enumerate();
    all.map(|(place, picture)| (picture.height, quality(place))).collect()
}

/// Which of `sizes`, the smallest first, suffices for what is `wanted`.
fn lowest_enough(sizes: &[u32], wanted: u32) -> usize {
    let enough = u64::from(wanted) * TOLERANCE_PERMILLE / 1000;
    // Of layers of the same size the last is the best one.
    let fits =
        |(i, size): (usize, &u32)| u64::from(*size) >= enough && sizes.get(i + 1) != Some(size);
    sizes.iter().enumerate().position(fits).unwrap_or(sizes.len() - 1)
}

/// Where the layer of `quality` stands among the layers, the lowest is 0.
fn spatial(layers: &[VideoLayer], quality: VideoQuality) -> u8 {
    if layers.is_empty() {
        // Nobody said what there is: layers are named by their qualities.
        return quality.number().clamp(0, LAYERS_MAX as i32 - 1) as u8;
    }
    // As LiveKit has it: of low and high, who wants the middle gets high; what exceeds all layers
    // gets the best.
    let enough = layers.iter().position(|layer| layer.quality >= quality);
    enough.unwrap_or(layers.len() - 1).min(LAYERS_MAX - 1) as u8
}

/// The lowest temporal layer that has enough pictures; all while nobody has counted them.
fn temporal(fps: u32, picture: Option<&Picture>) -> u8 {
    let Some(picture) = picture.filter(|_| fps > 0) else { return TEMPORAL_MAX };
    let enough = u64::from(fps) * TOLERANCE_PERMILLE / 1000;
    let is_enough = |rate: &u8| *rate > 0 && u64::from(*rate) >= enough;
    picture.fps.iter().position(is_enough).map_or(TEMPORAL_MAX, |temporal| temporal as u8)
}
