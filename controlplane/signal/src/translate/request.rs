//! What a client asks, as far as the room decides it.

use livekit_protocol as proto;
use livekit_protocol::signal_request::Message;
use ringway_room::calls::{
    AddTrack, AnnouncedCodec, AudioFeature, BackupCodecPolicy, DataBlobKey, DataEncoding,
    DataSchema, DisconnectReason, Encryption, LayerMode, PublishDataTrack, Request, TrackKind,
    TrackPermission, TrackSettings, TrackSid, TrackSource, VideoLayer, VideoQuality,
};

/// What became of a message.
#[derive(Debug)]
pub(crate) enum Translated {
    /// For the room.
    Room(Request),
    /// Not for the room, or not known.
    Other(Message),
    /// A track's id is none of ours: nothing has it.
    NoSuchTrack(Message),
}

// Old clients send `update_layers`.
#[allow(deprecated)]
pub(crate) fn request(message: Message) -> Translated {
    let translated = match &message {
        Message::Mute(mute) => {
            sid(&mute.sid).map(|track| Request::SetMuted { track, muted: mute.muted })
        }
        Message::Subscription(update) => Some(subscription(update)),
        Message::TrackSetting(update) => Some(settings(update)),
        Message::SubscriptionPermission(update) => Some(permission(update)),
        Message::UpdateMetadata(update) => Some(metadata(update)),
        Message::UpdateAudioTrack(update) => {
            let features = update.features.iter().copied();
            let features = features.filter_map(AudioFeature::from_number).collect();
            let track = sid(&update.track_sid);
            track.map(|track| Request::UpdateAudioTrack { request_id: 0, track, features })
        }
        Message::UpdateVideoTrack(update) => {
            let proto::UpdateLocalVideoTrack { width, height, .. } = *update;
            let track = sid(&update.track_sid);
            track.map(|track| Request::UpdateVideoTrack { request_id: 0, track, width, height })
        }
        Message::UpdateLayers(update) => {
            let layers = update.layers.iter().map(layer).collect();
            sid(&update.track_sid).map(|track| Request::UpdateVideoLayers { track, layers })
        }
        Message::PublishDataTrackRequest(wish) => Some(publish_data_track(wish)),
        Message::UnpublishDataTrackRequest(wish) => {
            Some(Request::UnpublishDataTrack { handle: wish.pub_handle })
        }
        Message::UpdateDataSubscription(update) => Some(data_subscription(update)),
        Message::StoreDataBlobRequest(wish) => Some(store_data_blob(wish)),
        Message::GetDataBlobRequest(wish) => Some(Request::GetDataBlob {
            request_id: wish.request_id,
            owner: wish.participant_identity.clone(),
            key: wish.key.as_ref().and_then(data_blob_key),
        }),
        Message::Leave(leave) => Some(Request::Leave { reason: reason(leave.reason) }),
        _ => return Translated::Other(message),
    };
    translated.map_or(Translated::NoSuchTrack(message), Translated::Room)
}

fn sid(text: &str) -> Option<TrackSid> {
    text.parse().ok()
}

fn sids<'a>(texts: impl IntoIterator<Item = &'a String>) -> Vec<TrackSid> {
    texts.into_iter().filter_map(|text| sid(text)).collect()
}

fn subscription(update: &proto::UpdateSubscription) -> Request {
    let nested = update.participant_tracks.iter().flat_map(|tracks| &tracks.track_sids);
    let tracks = sids(update.track_sids.iter().chain(nested));
    Request::UpdateSubscription { tracks, subscribe: update.subscribe }
}

pub(crate) fn data_subscription(update: &proto::UpdateDataSubscription) -> Request {
    // LiveKit's server does nothing with the options of a subscription either.
    let updates = update.updates.iter();
    let updates = updates.filter_map(|one| Some((one.track_sid.parse().ok()?, one.subscribe)));
    Request::UpdateDataSubscription { updates: updates.collect() }
}

fn publish_data_track(wish: &proto::PublishDataTrackRequest) -> Request {
    use proto::data_track_frame_encoding as frame;
    let frame_encoding = wish.frame_encoding.as_ref().and_then(|encoding| {
        Some(match encoding.value.as_ref()? {
            frame::Value::WellKnown(number) => {
                // Others are told of it, and could not be in JSON if nobody knows it.
                let known = frame::WellKnownFrameEncoding::try_from(*number);
                DataEncoding::WellKnown(known.unwrap_or_default() as i32)
            }
            frame::Value::Custom(name) => DataEncoding::Custom(name.clone()),
        })
    });
    Request::PublishDataTrack(Box::new(PublishDataTrack {
        handle: wish.pub_handle,
        name: wish.name.clone(),
        encryption: Encryption::from_number(wish.encryption).unwrap_or(Encryption::Custom),
        frame_encoding,
        schema: wish.schema.as_ref().map(schema),
    }))
}

fn schema(id: &proto::DataTrackSchemaId) -> DataSchema {
    use proto::data_track_schema_encoding::{Value, WellKnownSchemaEncoding};
    let encoding = id.encoding.as_ref().and_then(|encoding| {
        Some(match encoding.value.as_ref()? {
            Value::WellKnown(number) => {
                let known = WellKnownSchemaEncoding::try_from(*number);
                DataEncoding::WellKnown(known.unwrap_or_default() as i32)
            }
            Value::Custom(name) => DataEncoding::Custom(name.clone()),
        })
    });
    DataSchema { name: id.name.clone(), encoding }
}

fn store_data_blob(wish: &proto::StoreDataBlobRequest) -> Request {
    let blob = wish.blob.as_ref();
    Request::StoreDataBlob {
        request_id: wish.request_id,
        key: blob.and_then(|blob| data_blob_key(blob.key.as_ref()?)),
        contents: blob.map(|blob| blob.contents.clone()).unwrap_or_default(),
    }
}

fn data_blob_key(key: &proto::DataBlobKey) -> Option<DataBlobKey> {
    use proto::data_blob_key::Key;
    Some(match key.key.as_ref()? {
        Key::Generic(text) => DataBlobKey::Generic(text.clone()),
        Key::SchemaId(id) => DataBlobKey::Schema(schema(id)),
    })
}

fn settings(update: &proto::UpdateTrackSettings) -> Request {
    let settings = TrackSettings {
        disabled: update.disabled,
        quality: VideoQuality::from_number(update.quality).unwrap_or(VideoQuality::High),
        width: update.width,
        height: update.height,
        fps: update.fps,
        priority: update.priority,
    };
    Request::TrackSettings { tracks: sids(&update.track_sids), settings }
}

fn permission(update: &proto::SubscriptionPermission) -> Request {
    let permissions = update.track_permissions.iter().map(|permission| TrackPermission {
        sid: permission.participant_sid.parse().ok(),
        identity: permission.participant_identity.clone(),
        all_tracks: permission.all_tracks,
        tracks: sids(&permission.track_sids),
        data_tracks: permission.track_sids.iter().filter_map(|text| text.parse().ok()).collect(),
    });
    Request::SubscriptionPermission {
        all_participants: update.all_participants,
        permissions: permissions.collect(),
    }
}

fn metadata(update: &proto::UpdateParticipantMetadata) -> Request {
    let given = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    let attributes = update.attributes.iter();
    Request::UpdateMetadata {
        request_id: update.request_id,
        name: given(&update.name),
        metadata: given(&update.metadata),
        attributes: attributes.map(|(key, value)| (key.clone(), value.clone())).collect(),
    }
}

/// Reasons that a client may give; any other is its own wish.
fn reason(number: i32) -> DisconnectReason {
    match DisconnectReason::from_number(number) {
        Some(
            known @ (DisconnectReason::UserUnavailable
            | DisconnectReason::UserRejected
            | DisconnectReason::SipTrunkFailure
            | DisconnectReason::AgentError),
        ) => known,
        _ => DisconnectReason::ClientInitiated,
    }
}

/// An announcement; `Err` if the room has no such kind of track, or it names a track that is none.
#[allow(deprecated)]
pub(crate) fn add_track(add: &proto::AddTrackRequest) -> Result<AddTrack, BadTrack> {
    let sid = match add.sid.as_str() {
        "" => None,
        text => Some(sid(text).ok_or(BadTrack::NotFound)?),
    };
    let codecs = add.simulcast_codecs.iter().map(|codec| AnnouncedCodec {
        codec: codec.codec.clone(),
        cid: codec.cid.clone(),
        layers: codec.layers.iter().map(layer).collect(),
        mode: LayerMode::from_number(codec.video_layer_mode).unwrap_or(LayerMode::Unused),
    });
    let features = add.audio_features.iter().copied().filter_map(AudioFeature::from_number);
    let policy = BackupCodecPolicy::from_number(add.backup_codec_policy);
    // Others are told of them, and could not be in JSON if nobody knows them.
    let known = |feature: &i32| proto::PacketTrailerFeature::try_from(*feature).is_ok();
    let trailers = add.packet_trailer_features.iter().copied().filter(known);
    Ok(AddTrack {
        cid: add.cid.clone(),
        name: add.name.clone(),
        kind: TrackKind::from_number(add.r#type).ok_or(BadTrack::UnsupportedType)?,
        source: TrackSource::from_number(add.source).unwrap_or(TrackSource::Unknown),
        width: add.width,
        height: add.height,
        muted: add.muted,
        layers: add.layers.iter().map(layer).collect(),
        codecs: codecs.collect(),
        sid,
        stereo: add.stereo,
        disable_dtx: add.disable_dtx,
        disable_red: add.disable_red,
        encryption: Encryption::from_number(add.encryption).unwrap_or(Encryption::Custom),
        stream: add.stream.clone(),
        backup_codec_policy: policy.unwrap_or(BackupCodecPolicy::PreferRegression),
        audio_features: features.collect(),
        packet_trailer_features: trailers.collect(),
    })
}

/// Why an announcement is refused before the room sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadTrack {
    NotFound,
    UnsupportedType,
}

fn layer(layer: &proto::VideoLayer) -> VideoLayer {
    VideoLayer {
        quality: VideoQuality::from_number(layer.quality).unwrap_or(VideoQuality::High),
        width: layer.width,
        height: layer.height,
        bitrate_bps: layer.bitrate,
        ssrc: layer.ssrc,
        spatial_layer: layer.spatial_layer,
        rid: layer.rid.clone(),
        repair_ssrc: layer.repair_ssrc,
    }
}
