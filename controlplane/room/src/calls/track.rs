//! A published track as clients are told of it.

use crate::calls::number::numbered;
use crate::id::TrackSid;

numbered! {
    /// What a track carries.
    TrackKind {
        /// Sound.
        Audio = 0,
        /// Pictures.
        Video = 1,
        /// Data.
        Data = 2,
    }
}

numbered! {
    /// Where a track comes from.
    TrackSource {
        /// Not said.
        Unknown = 0,
        /// A camera.
        Camera = 1,
        /// A microphone.
        Microphone = 2,
        /// A shared screen.
        ScreenShare = 3,
        /// The sound of a shared screen.
        ScreenShareAudio = 4,
    }
}

numbered! {
    /// Qualities of a video track, the lowest first.
    VideoQuality {
        /// The smallest layer.
        Low = 0,
        /// The middle layer.
        Medium = 1,
        /// The largest layer.
        High = 2,
        /// Nothing.
        Off = 3,
    }
}

numbered! {
    /// How a track is encrypted between its ends.
    Encryption {
        /// It is not.
        None = 0,
        /// AES-GCM.
        Gcm = 1,
        /// In the application's way.
        Custom = 2,
    }
}

numbered! {
    /// What to do when a subscriber cannot decode the first codec.
    BackupCodecPolicy {
        /// Fall back to the second codec for all, if the room is small.
        PreferRegression = 0,
        /// Send both.
        Simulcast = 1,
        /// Fall back to the second codec for all.
        Regression = 2,
    }
}

numbered! {
    /// How layers of a codec are sent.
    LayerMode {
        /// One layer, or not said.
        Unused = 0,
        /// Simulcast.
        OnePerStream = 1,
        /// Scalable coding.
        MultiplePerStream = 2,
        /// Simulcast of a sender whose sender reports are incomplete.
        OnePerStreamIncompleteReports = 3,
    }
}

numbered! {
    /// What is special about an audio track.
    AudioFeature {
        /// Two channels.
        Stereo = 0,
        /// Sends during silence too.
        NoDtx = 1,
        /// Automatic gain control.
        AutoGainControl = 2,
        /// Echo cancellation.
        EchoCancellation = 3,
        /// Noise suppression.
        NoiseSuppression = 4,
        /// A better noise suppression.
        EnhancedNoiseCancellation = 5,
        /// What was said before the connection stood is sent as data.
        PreconnectBuffer = 6,
    }
}

/// LiveKit's `VideoLayer`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VideoLayer {
    /// Which quality it is.
    pub quality: VideoQuality,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Target, bit/s.
    pub bitrate_bps: u32,
    /// The SSRC, if layers are told apart by it.
    pub ssrc: u32,
    /// Place among the spatial layers, the lowest is 0.
    pub spatial_layer: i32,
    /// The RTP stream id, if layers are told apart by it.
    pub rid: String,
    /// The SSRC of retransmissions.
    pub repair_ssrc: u32,
}

/// LiveKit's `SimulcastCodec`: a codec that a publisher announces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnnouncedCodec {
    /// `vp8`, or a MIME type.
    pub codec: String,
    /// The client's id of the track that carries it.
    pub cid: String,
    /// Its layers.
    pub layers: Vec<VideoLayer>,
    /// How layers are sent.
    pub mode: LayerMode,
}

/// LiveKit's `SimulcastCodecInfo`: a codec of a published track.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrackCodec {
    /// For instance `video/VP8`.
    pub mime_type: String,
    /// The media section that carries it.
    pub mid: String,
    /// The client's id of it, as it was announced.
    pub cid: String,
    /// Its layers.
    pub layers: Vec<VideoLayer>,
    /// How layers are sent; `None` is [`LayerMode::Unused`].
    pub mode: Option<LayerMode>,
    /// The client's id of it, as it stands in the session description.
    pub sdp_cid: String,
}

/// When something was changed, and a counter for changes in the same instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimedVersion {
    /// Unix time, µs.
    pub unix_us: i64,
    /// Counts changes within the microsecond.
    pub ticks: i32,
}

/// LiveKit's `TrackInfo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackInfo {
    /// Its id.
    pub sid: TrackSid,
    /// What it carries.
    pub kind: TrackKind,
    /// The publisher's name for it.
    pub name: String,
    /// Whether it is muted.
    pub muted: bool,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Whether it has several layers.
    pub simulcast: bool,
    /// Where it comes from.
    pub source: TrackSource,
    /// Layers of the first codec; clients read them in `codecs` nowadays.
    pub layers: Vec<VideoLayer>,
    /// Of the first codec, for instance `video/VP8`.
    pub mime_type: String,
    /// The media section of the first codec.
    pub mid: String,
    /// The codecs, the publisher's first choice first.
    pub codecs: Vec<TrackCodec>,
    /// Two channels.
    pub stereo: bool,
    /// Sends during silence too.
    pub disable_dtx: bool,
    /// Sent without redundancy.
    pub disable_red: bool,
    /// Encryption between the ends.
    pub encryption: Encryption,
    /// The stream that it belongs to; tracks of one stream are played in step.
    pub stream: String,
    /// Of the last change.
    pub version: TimedVersion,
    /// What is special about it.
    pub audio_features: Vec<AudioFeature>,
    /// What to do when a subscriber cannot decode the first codec.
    pub backup_codec_policy: BackupCodecPolicy,
    /// LiveKit's numbers of what its packet trailers carry.
    pub packet_trailer_features: Vec<i32>,
}
