//! What an announced track will look like: LiveKit's `AddTrackRequest` turned into a `TrackInfo`.

use crate::calls::{
    AddTrack, AnnouncedCodec, AudioFeature, BackupCodecPolicy, Config, LayerMode, MediaPublished,
    TimedVersion, TrackCodec, TrackInfo, TrackKind, TrackSource, VideoLayer,
};
use crate::id::TrackSid;

/// Layers of one codec: as many as a route can choose from.
pub(super) const LAYERS_MAX: usize = 3;
/// Codecs of one track. No client sends more than two.
const CODECS_MAX: usize = 4;
/// LiveKit has four kinds of trailers.
const TRAILER_FEATURES_MAX: usize = 16;

/// The track that `add` announces.
pub(super) fn announced(config: &Config, add: AddTrack, sid: TrackSid) -> TrackInfo {
    let codecs = match add.codecs.is_empty() {
        true => vec![TrackCodec {
            cid: add.cid,
            layers: sorted(&add.layers),
            mode: Some(LayerMode::OnePerStream),
            ..TrackCodec::default()
        }],
        false => codecs(config, add.kind, &add.codecs, &add.layers),
    };
    let several = |codec: &TrackCodec| {
        codec.mode != Some(LayerMode::MultiplePerStream) && codec.layers.len() > 1
    };
    let policy = match (add.kind, add.backup_codec_policy) {
        (TrackKind::Audio, BackupCodecPolicy::PreferRegression) => BackupCodecPolicy::Simulcast,
        (_, policy) => policy,
    };
    let stream = if add.stream.is_empty() { stream_of(add.source).to_owned() } else { add.stream };
    let mut trailer_features = add.packet_trailer_features;
    trailer_features.truncate(TRAILER_FEATURES_MAX);
    let first = codecs.first();
    TrackInfo {
        sid,
        kind: add.kind,
        name: add.name,
        muted: add.muted,
        width: add.width,
        height: add.height,
        simulcast: first.is_some_and(several),
        source: add.source,
        layers: sorted(&add.layers),
        mime_type: first.map(|codec| codec.mime_type.clone()).unwrap_or_default(),
        mid: String::new(),
        codecs,
        stereo: add.stereo,
        disable_dtx: add.disable_dtx,
        disable_red: add.disable_red,
        encryption: add.encryption,
        stream,
        version: TimedVersion::default(),
        audio_features: features(add.audio_features, add.stereo, add.disable_dtx),
        backup_codec_policy: policy,
        packet_trailer_features: trailer_features,
    }
}

/// Adds codecs to a track that exists.
pub(super) fn add_codecs(config: &Config, info: &mut TrackInfo, added: &[AnnouncedCodec]) {
    for codec in codecs(config, info.kind, added, &info.layers) {
        let at = info.codecs.iter().position(|known| is_mime(&known.mime_type, &codec.mime_type));
        match at {
            Some(at) => {
                let known = &mut info.codecs[at];
                if known.cid != codec.cid && !known.cid.is_empty() {
                    // Sent anew: its media is yet to come.
                    known.mid.clear();
                    known.sdp_cid.clear();
                }
                known.cid = codec.cid;
                known.layers = codec.layers;
                known.mode = codec.mode;
            }
            None if info.codecs.len() < CODECS_MAX => info.codecs.push(codec),
            None => {}
        }
    }
}

/// Notes what a session description and the first media say about a track.
pub(super) fn seen(info: &mut TrackInfo, media: MediaPublished) {
    let by_mime = info.codecs.iter().position(|c| is_mime(&c.mime_type, &media.mime_type));
    let by_cid = || {
        let cid = &media.sdp_cid;
        info.codecs.iter().position(|c| !cid.is_empty() && (c.cid == *cid || c.sdp_cid == *cid))
    };
    let unnamed = || info.codecs.iter().position(|codec| codec.mime_type.is_empty());
    let only = || (info.codecs.len() == 1).then_some(0);
    let index = by_mime.or_else(by_cid).or_else(unnamed).or_else(only).unwrap_or_else(|| {
        if info.codecs.len() < CODECS_MAX {
            info.codecs.push(TrackCodec::default());
        }
        info.codecs.len() - 1
    });
    let codec = &mut info.codecs[index];
    codec.mime_type = media.mime_type;
    codec.mid = media.mid;
    codec.sdp_cid = media.sdp_cid;
    if !media.layers.is_empty() {
        codec.layers = sorted(&media.layers);
    }
    codec.mode = media.mode.or(codec.mode);
    if index == 0 {
        info.mime_type.clone_from(&codec.mime_type);
        info.mid.clone_from(&codec.mid);
        info.layers.clone_from(&codec.layers);
        info.simulcast |= media.simulcast;
    }
}

/// Layers in the order of their qualities.
pub(super) fn sorted(layers: &[VideoLayer]) -> Vec<VideoLayer> {
    let mut layers: Vec<VideoLayer> = layers.iter().take(LAYERS_MAX).cloned().collect();
    layers.sort_by_key(|layer| layer.quality);
    layers
}

/// Where a codec stands among those of a track.
pub(super) fn position(info: &TrackInfo, mime_type: &str) -> Option<usize> {
    info.codecs.iter().position(|codec| is_mime(&codec.mime_type, mime_type))
}

/// Whether two MIME types are the same.
pub(super) fn is_mime(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

fn codecs(
    config: &Config,
    kind: TrackKind,
    announced: &[AnnouncedCodec],
    shared: &[VideoLayer],
) -> Vec<TrackCodec> {
    let mut codecs: Vec<TrackCodec> = Vec::new();
    for codec in announced.iter().take(CODECS_MAX) {
        let mime_type = mime_type(config, kind, &codec.codec);
        if mime_type.is_empty() || codecs.iter().any(|known| is_mime(&known.mime_type, &mime_type))
        {
            continue;
        }
        let layers = if codec.layers.is_empty() { shared } else { &codec.layers };
        codecs.push(TrackCodec {
            mode: Some(mode(kind, &mime_type, codec.mode)),
            mime_type,
            cid: codec.cid.clone(),
            layers: sorted(layers),
            ..TrackCodec::default()
        });
    }
    codecs
}

fn mode(kind: TrackKind, mime_type: &str, asked: LayerMode) -> LayerMode {
    let scalable = ["video/VP9", "video/AV1"].iter().any(|mime| is_mime(mime, mime_type));
    match (asked, kind, scalable) {
        (LayerMode::Unused, TrackKind::Video, true) => LayerMode::MultiplePerStream,
        (LayerMode::Unused, TrackKind::Video, false) => LayerMode::OnePerStream,
        (asked, _, _) => asked,
    }
}

/// The enabled codec that `codec` names, else another one of the same kind.
fn mime_type(config: &Config, kind: TrackKind, codec: &str) -> String {
    let prefix = if kind == TrackKind::Audio { "audio/" } else { "video/" };
    let wanted = match codec.get(..prefix.len()) {
        Some(start) if is_mime(start, prefix) => codec.to_owned(),
        _ => format!("{prefix}{codec}"),
    };
    let enabled = |mime: &&str| config.enabled_codecs.iter().any(|known| is_mime(known, mime));
    let known = config.enabled_codecs.iter().find(|known| is_mime(known, &wanted));
    let common: &[&str] = match kind {
        TrackKind::Audio => &["audio/opus", "audio/PCMU", "audio/PCMA"],
        _ => &["video/VP8", "video/H264", "video/VP9", "video/AV1", "video/H265"],
    };
    match known {
        Some(known) => known.clone(),
        None => common.iter().copied().find(enabled).unwrap_or_default().to_owned(),
    }
}

fn features(mut features: Vec<AudioFeature>, stereo: bool, no_dtx: bool) -> Vec<AudioFeature> {
    features.extend(stereo.then_some(AudioFeature::Stereo));
    features.extend(no_dtx.then_some(AudioFeature::NoDtx));
    features.sort_unstable();
    features.dedup();
    features
}

/// LiveKit's default streams.
fn stream_of(source: TrackSource) -> &'static str {
    match source {
        TrackSource::Camera | TrackSource::Microphone => "camera",
        TrackSource::ScreenShare | TrackSource::ScreenShareAudio => "screen",
        TrackSource::Unknown => "unknown",
    }
}
