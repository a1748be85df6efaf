//! What a participant asks of its room, or its session reports about it.

use crate::calls::{
    AnnouncedCodec, Attributes, AudioFeature, BackupCodecPolicy, DataBlobKey, DisconnectReason,
    Encryption, LayerMode, PublishDataTrack, SubscriptionError, TrackKind, TrackPermission,
    TrackSettings, TrackSource, VideoLayer,
};
use crate::id::{DataTrackSid, ParticipantSid, TrackSid};

/// One thing that a participant's session asks or reports.
///
/// `request_id` is the client's number; 0 asks for no answer where all is well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// The client will send a track. Answered by `Notice::TrackPublished`, or by
    /// `Notice::RequestResponse` with `answers` [`Asked::AddTrack`].
    AddTrack(Box<AddTrack>),
    /// Media of an announced track is there: others may hear of it.
    MediaPublished(Box<MediaPublished>),
    /// The client no longer sends a track.
    MediaEnded {
        /// Which.
        track: TrackSid,
    },
    /// The client mutes or unmutes its own track.
    SetMuted {
        /// Which.
        track: TrackSid,
        /// Whether it is muted from now on.
        muted: bool,
    },
    /// Begin or end subscriptions.
    UpdateSubscription {
        /// Tracks by id; those of `participant_tracks` are to be among them, whose ids suffice.
        tracks: Vec<TrackSid>,
        /// Begin rather than end.
        subscribe: bool,
    },
    /// How tracks are shown.
    TrackSettings {
        /// Which.
        tracks: Vec<TrackSid>,
        /// How.
        settings: TrackSettings,
    },
    /// Who may receive this participant's tracks.
    SubscriptionPermission {
        /// Everybody.
        all_participants: bool,
        /// These, if not everybody.
        permissions: Vec<TrackPermission>,
    },
    /// Change one's own name, metadata or attributes. Answered by `Notice::RequestResponse`.
    UpdateMetadata {
        /// The client's number.
        request_id: u32,
        /// The new name, if any.
        name: Option<String>,
        /// The new metadata, if any.
        metadata: Option<String>,
        /// Keys to set; an empty value removes the key.
        attributes: Attributes,
    },
    /// Say what is special about an audio track.
    UpdateAudioTrack {
        /// The client's number.
        request_id: u32,
        /// Which.
        track: TrackSid,
        /// All its features.
        features: Vec<AudioFeature>,
    },
    /// Say how large a video track is.
    UpdateVideoTrack {
        /// The client's number.
        request_id: u32,
        /// Which.
        track: TrackSid,
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
    },
    /// Say which layers a video track has.
    UpdateVideoLayers {
        /// Which.
        track: TrackSid,
        /// All layers of its first codec.
        layers: Vec<VideoLayer>,
    },
    /// The client will send a data track. Answered by `Notice::DataTrackPublished`, or by
    /// `Notice::RequestResponse` with [`Asked::PublishDataTrack`].
    PublishDataTrack(Box<PublishDataTrack>),
    /// The client no longer sends a data track. Answered by `Notice::DataTrackUnpublished`, or by
    /// `Notice::RequestResponse` with [`Asked::UnpublishDataTrack`].
    UnpublishDataTrack {
        /// The client's handle of it.
        handle: u32,
    },
    /// Begin (true) or end subscriptions of data tracks.
    UpdateDataSubscription {
        /// Which.
        updates: Vec<(DataTrackSid, bool)>,
    },
    /// Keep a data blob for others. Answered by `Notice::DataBlobStored`, or by
    /// `Notice::RequestResponse` with [`Asked::DataBlob`].
    StoreDataBlob {
        /// The client's number.
        request_id: u32,
        /// What it is called; one of the same name is replaced.
        key: Option<DataBlobKey>,
        /// It.
        contents: Vec<u8>,
    },
    /// Get one. Answered by `Notice::DataBlob`, or by `Notice::RequestResponse` with
    /// [`Asked::DataBlob`].
    GetDataBlob {
        /// The client's number.
        request_id: u32,
        /// Who left it.
        owner: String,
        /// What it is called.
        key: Option<DataBlobKey>,
    },
    /// The client leaves.
    Leave {
        /// Why; nearly always [`DisconnectReason::ClientInitiated`].
        reason: DisconnectReason,
    },
    /// A peer connection came up or broke.
    PeerConnection {
        /// The one that decides whether the participant is active: the only one, or the
        /// subscriber's where that is primary, or else the publisher's.
        primary: bool,
        /// How it is now.
        state: ConnectionState,
    },
    /// What became of `Notice::Subscribe`.
    SubscribedMedia {
        /// Which track.
        track: TrackSid,
        /// Media flows, or will never.
        outcome: Result<(), SubscriptionError>,
    },
    /// Which codec of a track the client receives, if that is not the first one, nor the one of
    /// `Notice::ReceiveCodec`: the publisher is asked to send it.
    ReceiveCodec {
        /// Which track.
        track: TrackSid,
        /// One of the track's codecs, for instance `video/VP8`.
        mime_type: String,
    },
    /// The signalling connection ended without `leave`; the client may resume.
    SignalClosed,
    /// A simulation: others are told that the participant speaks, and after so long that it does
    /// not.
    PretendToSpeak {
        /// s.
        seconds: u32,
    },
}

/// LiveKit's `AddTrackRequest`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddTrack {
    /// The client's id of it.
    pub cid: String,
    /// The client's name for it.
    pub name: String,
    /// What it carries.
    pub kind: TrackKind,
    /// Where it comes from.
    pub source: TrackSource,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Begins muted.
    pub muted: bool,
    /// Layers of the first codec.
    pub layers: Vec<VideoLayer>,
    /// Codecs, the first choice first.
    pub codecs: Vec<AnnouncedCodec>,
    /// Adds `codecs` to this track rather than publish one.
    pub sid: Option<TrackSid>,
    /// Two channels.
    pub stereo: bool,
    /// Sends during silence too.
    pub disable_dtx: bool,
    /// Sends without redundancy.
    pub disable_red: bool,
    /// Encryption between the ends.
    pub encryption: Encryption,
    /// Tracks of one stream are played in step.
    pub stream: String,
    /// What to do when a subscriber cannot decode the first codec.
    pub backup_codec_policy: BackupCodecPolicy,
    /// What is special about it.
    pub audio_features: Vec<AudioFeature>,
    /// LiveKit's numbers of what its packet trailers carry.
    pub packet_trailer_features: Vec<i32>,
}

/// Media of a track as its session sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaPublished {
    /// Which track, see `Calls::match_media`.
    pub track: TrackSid,
    /// Its codec, for instance `video/VP8`.
    pub mime_type: String,
    /// The media section that carries it.
    pub mid: String,
    /// The client's id of it, as it stands in the session description.
    pub sdp_cid: String,
    /// Its layers as the session description names them, the lowest first: rids or SSRCs; empty
    /// keeps what was announced.
    pub layers: Vec<VideoLayer>,
    /// Whether it has several layers.
    pub simulcast: bool,
    /// How its layers are sent; `None` keeps what was announced.
    pub mode: Option<LayerMode>,
}

/// How a peer connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// Media can flow.
    Connected,
    /// It broke; the client may restart ICE.
    Failed,
    /// The client closed it.
    Closed,
}

/// An administrator's or a participant's request that a response is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// [`Request::AddTrack`].
    AddTrack(Box<AddTrack>),
    /// [`Request::SetMuted`].
    Mute {
        /// Which track.
        track: TrackSid,
        /// Whether it was to be muted.
        muted: bool,
    },
    /// [`Request::PublishDataTrack`].
    PublishDataTrack(Box<PublishDataTrack>),
    /// [`Request::UnpublishDataTrack`].
    UnpublishDataTrack {
        /// The client's handle.
        handle: u32,
    },
    /// [`Request::StoreDataBlob`] or [`Request::GetDataBlob`]: answers do not repeat them.
    DataBlob,
    /// [`Request::UpdateMetadata`].
    UpdateMetadata {
        /// The name that was asked for.
        name: Option<String>,
        /// The metadata that was asked for.
        metadata: Option<String>,
        /// The attributes that were asked for.
        attributes: Attributes,
    },
    /// [`Request::UpdateAudioTrack`].
    UpdateAudioTrack {
        /// Which track.
        track: TrackSid,
        /// The features that were asked for.
        features: Vec<AudioFeature>,
    },
    /// [`Request::UpdateVideoTrack`].
    UpdateVideoTrack {
        /// Which track.
        track: TrackSid,
        /// The width that was asked for, pixels.
        width: u32,
        /// The height that was asked for, pixels.
        height: u32,
    },
}

/// What the data plane says about a room's media, in the room's own words.
#[derive(Clone, Debug, PartialEq)]
pub enum MediaEvent {
    /// How loud tracks are: those that are active, and those that just ceased to be. Others are as
    /// they were.
    AudioLevels(Vec<AudioLevel>),
    /// How well tracks of a room travelled in the last 5 s. Not told of what is muted, or has not
    /// begun.
    Quality(Vec<TrackQuality>),
    /// Which layers of a track come, and what their pictures are like.
    SourceLayers(SourceLayers),
    /// A route was paused for want of bandwidth, or goes on.
    RouteState {
        /// Who receives.
        subscriber: ParticipantSid,
        /// What.
        track: TrackSid,
        /// Whether it is held back.
        paused: bool,
    },
}

/// How loud a track is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AudioLevel {
    /// Which.
    pub track: TrackSid,
    /// 0 is silence, 1 the loudest.
    pub level: f32,
    /// Whether somebody speaks.
    pub active: bool,
}

/// Which layers of one codec of a track come, and what their pictures are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceLayers {
    /// Of which track.
    pub track: TrackSid,
    /// Of which of its codecs, for instance `video/VP8`.
    pub mime_type: &'static str,
    /// Those that come, the lowest is bit 0.
    pub live: u8,
    /// The pictures of each, the lowest first; also of layers that do not come now.
    pub pictures: [Picture; 3],
}

/// What the pictures of a layer are like, as they come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Picture {
    /// Pixels; 0 is not known.
    pub width: u32,
    /// Pixels; 0 is not known.
    pub height: u32,
    /// Pictures in a second for who gets up to each temporal layer; 0 is not known.
    pub fps: [u8; 4],
}

/// How well a track travelled between the server and one participant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrackQuality {
    /// Between the server and whom.
    pub participant: ParticipantSid,
    /// Which track: `participant`'s own, or one that it receives.
    pub track: TrackSid,
    /// Of `participant`'s own track the codec, for instance `video/VP8`.
    pub mime_type: &'static str,
    /// Packets that should have come in the window. 0: none did, or nothing is known of those that
    /// were sent.
    pub expected: u32,
    /// Of those, lost and not repaired.
    pub lost: u32,
    /// Something came from the peer, whatever it was.
    pub heard: bool,
    /// Of a track that it receives: layers that it lacks for want of bandwidth, ‰ of a layer.
    pub lacking_permille: u16,
}
