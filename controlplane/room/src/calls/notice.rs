//! What a participant's session is told: for its client, for its media, or for both.

use std::sync::Arc;

use crate::calls::number::numbered;
use crate::calls::{
    Asked, DataBlob, DataBlobKey, DataTrackHandle, DataTrackInfo, DisconnectReason,
    ParticipantInfo, RoomInfo, RouteSettings, StreamState, SubscriptionError, TokenClaims,
    TrackInfo, VideoQuality,
};
use crate::id::{DataTrackSid, ParticipantSid, TrackSid};

numbered! {
    /// What a client does after `leave`.
    LeaveAction {
        /// Stays away.
        Disconnect = 0,
        /// Resumes the session.
        Resume = 1,
        /// Begins a new session.
        Reconnect = 2,
    }
}

numbered! {
    /// How a request ended.
    RequestReason {
        /// As asked.
        Ok = 0,
        /// What it names does not exist.
        NotFound = 1,
        /// Not permitted.
        NotAllowed = 2,
        /// Too large or too many.
        LimitExceeded = 3,
        /// Later.
        Queued = 4,
        /// Of a type that is not served.
        UnsupportedType = 5,
        /// Otherwise.
        UnclassifiedError = 6,
        /// A data track's handle is none.
        InvalidHandle = 7,
        /// A data track's name is none.
        InvalidName = 8,
        /// A data track's handle is another one's.
        DuplicateHandle = 9,
        /// A data track's name is another one's.
        DuplicateName = 10,
        /// It contradicts itself.
        InvalidRequest = 11,
    }
}

numbered! {
    /// How well a participant is connected.
    ConnectionQuality {
        /// Badly.
        Poor = 0,
        /// Well.
        Good = 1,
        /// Very well.
        Excellent = 2,
        /// Not at all.
        Lost = 3,
    }
}

/// One thing that a session is told. Lists are shared between all that are told the same, so
/// whoever encodes them may do it once per list.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// `update`: participants as they are now.
    ParticipantUpdate(Arc<Vec<Arc<ParticipantInfo>>>),
    /// `track_published`: the answer to `add_track`. Media with this cid belongs to this track.
    TrackPublished {
        /// The client's id.
        cid: String,
        /// As it will be published.
        track: Arc<TrackInfo>,
    },
    /// `track_unpublished`: the server ended one of the client's tracks, or gave up waiting for
    /// it. Drop its source.
    TrackUnpublished {
        /// Which.
        track: TrackSid,
    },
    /// Drop the source of a track that the client itself ended. Nothing for the client.
    SourceEnded {
        /// Which.
        track: TrackSid,
    },
    /// A track is muted or not. For the plane; for the client too (`mute`) if `remote`.
    TrackMuted {
        /// Which.
        track: TrackSid,
        /// Whether it is muted.
        muted: bool,
        /// An administrator did it.
        remote: bool,
    },
    /// `track_subscribed`: somebody who is not hidden receives this track of the client's, for the
    /// first time.
    TrackSubscribed {
        /// Which.
        track: TrackSid,
    },
    /// `subscribed_quality_update`: which layers of the client's track anybody wants.
    SubscribedQuality {
        /// Which.
        track: TrackSid,
        /// Per codec: its MIME type and the highest quality that is wanted, or `Off`.
        codecs: Vec<(String, VideoQuality)>,
    },
    /// `subscribed_audio_codec_update`: which codecs of the client's sound anybody wants, of a track
    /// that was announced with several.
    SubscribedAudioCodecs {
        /// Which.
        track: TrackSid,
        /// Per codec: its MIME type and whether it is wanted.
        codecs: Vec<(String, bool)>,
    },
    /// Negotiate and route a track to the client, then report `Request::SubscribedMedia`.
    Subscribe(Box<Subscribe>),
    /// Drop the route of a track and its media section.
    Unsubscribe {
        /// Which.
        track: TrackSid,
    },
    /// A subscribed track has other codecs, layers or sizes than `Subscribe` said.
    SubscribedTrackChanged {
        /// As it is now.
        track: Arc<TrackInfo>,
    },
    /// Receive a subscribed track in this codec, if the client can decode it; if not, say so with
    /// `Request::ReceiveCodec`.
    ReceiveCodec {
        /// Which.
        track: TrackSid,
        /// One of the track's codecs, for instance `video/VP8`.
        mime_type: String,
    },
    /// Serve the route of a subscribed track like this from now on.
    RouteSettings {
        /// Which.
        track: TrackSid,
        /// How.
        settings: RouteSettings,
    },
    /// `stream_state_update`.
    StreamState {
        /// Whose.
        publisher: ParticipantSid,
        /// Which.
        track: TrackSid,
        /// How it is now.
        state: StreamState,
    },
    /// `subscription_permission_update`: a publisher allows a track or no longer does.
    SubscriptionPermissionUpdate {
        /// Whose.
        publisher: ParticipantSid,
        /// Which.
        track: TrackSid,
        /// Whether it is allowed.
        allowed: bool,
    },
    /// `subscription_response`: a subscription failed.
    SubscriptionResponse {
        /// Which.
        track: TrackSid,
        /// Why.
        error: SubscriptionError,
    },
    /// `publish_data_track_response`: a data track of the client's is published.
    DataTrackPublished(Arc<DataTrackInfo>),
    /// `unpublish_data_track_response`: one no longer is, by whosever wish.
    DataTrackUnpublished(Arc<DataTrackInfo>),
    /// `store_data_blob_response`: a blob of the client's is kept.
    DataBlobStored {
        /// The client's number.
        request_id: u32,
        /// What it is called.
        key: DataBlobKey,
    },
    /// `get_data_blob_response`: a blob that the client asked for.
    DataBlob {
        /// The client's number.
        request_id: u32,
        /// It.
        blob: Arc<DataBlob>,
    },
    /// `data_track_subscriber_handles`: all data tracks that the client receives from now on.
    DataTrackHandles(Arc<[DataTrackHandle]>),
    /// `subscription_permission_update` for a data track.
    DataPermissionUpdate {
        /// Whose.
        publisher: ParticipantSid,
        /// Which.
        track: DataTrackSid,
        /// Whether it is allowed.
        allowed: bool,
    },
    /// `speakers_changed`: the speakers whose state changed, the loudest first.
    SpeakersChanged(Arc<Vec<SpeakerInfo>>),
    /// `room_update`.
    RoomUpdate(Arc<RoomInfo>),
    /// `connection_quality`.
    ConnectionQuality(Arc<Vec<ConnectionQualityInfo>>),
    /// `refresh_token`: mint a token with these claims.
    RefreshToken(Box<TokenClaims>),
    /// `request_response`.
    RequestResponse {
        /// The client's number.
        request_id: u32,
        /// How it ended.
        reason: RequestReason,
        /// In words.
        message: String,
        /// What was asked.
        asked: Asked,
    },
    /// A peer connection failed. Send `leave` with reason CONNECTION_TIMEOUT and action RESUME if
    /// the client's protocol is above 12, and close the signalling connection either way: the
    /// client resumes and restarts ICE. The session stays.
    CloseSignal,
    /// `leave`: the session is over. Send it, close everything, forget the participant. After
    /// [`DisconnectReason::ClientInitiated`] the client needs no message.
    Leave {
        /// Why.
        reason: DisconnectReason,
        /// What the client does next.
        action: LeaveAction,
    },
}

/// A track that a client is to receive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe {
    /// The track; its codecs say what the client must be able to decode.
    pub track: Arc<TrackInfo>,
    /// Whose it is.
    pub publisher: ParticipantSid,
    /// Whose it is.
    pub publisher_identity: String,
    /// Least delay at the receiver, ms; both 0 is off.
    pub min_playout_delay_ms: u32,
    /// Greatest delay at the receiver, ms.
    pub max_playout_delay_ms: u32,
    /// How the route is served from the beginning.
    pub settings: RouteSettings,
}

/// LiveKit's `SpeakerInfo`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SpeakerInfo {
    /// Who.
    pub sid: ParticipantSid,
    /// 0 is silence, 1 the loudest; in eighths.
    pub level: f32,
    /// Whether it speaks.
    pub active: bool,
}

/// LiveKit's `ConnectionQualityInfo`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConnectionQualityInfo {
    /// Who.
    pub participant: ParticipantSid,
    /// How well.
    pub quality: ConnectionQuality,
    /// Mean opinion score, 1 to 4.5.
    pub score: f32,
}
