//! What a room tells, as far as a client hears it without its session adding to it.

use livekit_protocol as proto;
use livekit_protocol::request_response::Request as Echo;
use livekit_protocol::signal_response::Message;
use ringway_room::calls::{
    AddTrack, AnnouncedCodec, Asked, ConnectionQualityInfo, DataBlobKey, DataTrackHandle,
    DisconnectReason, LeaveAction, Notice, PublishDataTrack, SpeakerInfo, VideoQuality,
};

use super::info;
use crate::client::Client;

/// The response that a notice is, for a client that gets it at all. `codecs` are those that the
/// server has. `None` for notices about media
/// and those that need the session.
pub fn respond(notice: &Notice, codecs: &[proto::Codec]) -> Option<Message> {
    Some(match notice {
        Notice::ParticipantUpdate(all) => Message::Update(proto::ParticipantUpdate {
            participants: all.iter().map(|one| info::participant(one)).collect(),
        }),
        Notice::TrackPublished { cid, track } => {
            let track = Some(info::track(track));
            Message::TrackPublished(proto::TrackPublishedResponse { cid: cid.clone(), track })
        }
        Notice::TrackUnpublished { track } => {
            Message::TrackUnpublished(proto::TrackUnpublishedResponse {
                track_sid: track.to_string(),
            })
        }
        Notice::TrackMuted { track, muted, remote: true } => {
            Message::Mute(proto::MuteTrackRequest { sid: track.to_string(), muted: *muted })
        }
        Notice::TrackSubscribed { track } => {
            Message::TrackSubscribed(proto::TrackSubscribed { track_sid: track.to_string() })
        }
        Notice::SubscribedQuality { track, codecs } => {
            Message::SubscribedQualityUpdate(qualities(track.to_string(), codecs))
        }
        Notice::SubscribedAudioCodecs { track, codecs } => {
            Message::SubscribedAudioCodecUpdate(audio_codecs(track.to_string(), codecs))
        }
        Notice::StreamState { publisher, track, state } => {
            let info = proto::StreamStateInfo {
                participant_sid: publisher.to_string(),
                track_sid: track.to_string(),
                state: state.number(),
            };
            Message::StreamStateUpdate(proto::StreamStateUpdate { stream_states: vec![info] })
        }
        Notice::SubscriptionPermissionUpdate { .. } | Notice::SubscriptionResponse { .. } => {
            return subscriptions(notice);
        }
        Notice::DataTrackPublished(_)
        | Notice::DataTrackUnpublished(_)
        | Notice::DataTrackHandles(_)
        | Notice::DataPermissionUpdate { .. }
        | Notice::DataBlobStored { .. }
        | Notice::DataBlob { .. } => return data(notice),
        Notice::SpeakersChanged(all) => speakers(all),
        Notice::RoomUpdate(room) => {
            Message::RoomUpdate(proto::RoomUpdate { room: Some(info::room(room, codecs)) })
        }
        Notice::ConnectionQuality(all) => connection_quality(all),
        Notice::RequestResponse { request_id, reason, message, asked } => {
            Message::RequestResponse(proto::RequestResponse {
                request_id: *request_id,
                reason: reason.number(),
                message: message.clone(),
                request: echo(*request_id, asked),
            })
        }
        Notice::SourceEnded { .. }
        | Notice::TrackMuted { .. }
        | Notice::Subscribe(_)
        | Notice::Unsubscribe { .. }
        | Notice::SubscribedTrackChanged { .. }
        | Notice::ReceiveCodec { .. }
        | Notice::RouteSettings { .. }
        | Notice::RefreshToken(_)
        | Notice::CloseSignal
        | Notice::Leave { .. } => return None,
    })
}

/// The same for notices about what the client may or cannot receive.
fn subscriptions(notice: &Notice) -> Option<Message> {
    Some(match notice {
        Notice::SubscriptionPermissionUpdate { publisher, track, allowed } => {
            Message::SubscriptionPermissionUpdate(proto::SubscriptionPermissionUpdate {
                participant_sid: publisher.to_string(),
                track_sid: track.to_string(),
                allowed: *allowed,
            })
        }
        Notice::SubscriptionResponse { track, error } => {
            let track_sid = track.to_string();
            let err = error.number();
            Message::SubscriptionResponse(proto::SubscriptionResponse { track_sid, err })
        }
        _ => return None,
    })
}

/// The same for notices about data tracks and data blobs.
fn data(notice: &Notice) -> Option<Message> {
    Some(match notice {
        Notice::DataTrackPublished(track) => {
            let info = Some(info::data_track(track));
            Message::PublishDataTrackResponse(proto::PublishDataTrackResponse { info })
        }
        Notice::DataTrackUnpublished(track) => {
            let info = Some(info::data_track(track));
            Message::UnpublishDataTrackResponse(proto::UnpublishDataTrackResponse { info })
        }
        Notice::DataBlobStored { request_id, key } => {
            let (request_id, key) = (*request_id, Some(data_blob_key(key)));
            Message::StoreDataBlobResponse(proto::StoreDataBlobResponse { request_id, key })
        }
        Notice::DataBlob { request_id, blob } => {
            let key = Some(data_blob_key(&blob.key));
            let blob = Some(proto::DataBlob { key, contents: blob.contents.clone() });
            let request_id = *request_id;
            Message::GetDataBlobResponse(proto::GetDataBlobResponse { request_id, blob })
        }
        Notice::DataTrackHandles(all) => data_handles(all),
        Notice::DataPermissionUpdate { publisher, track, allowed } => {
            Message::SubscriptionPermissionUpdate(proto::SubscriptionPermissionUpdate {
                participant_sid: publisher.to_string(),
                track_sid: track.to_string(),
                allowed: *allowed,
            })
        }
        _ => return None,
    })
}

/// What packets of data tracks are called on their way to a client.
pub(crate) fn data_handles(all: &[DataTrackHandle]) -> Message {
    use proto::data_track_subscriber_handles::PublishedDataTrack;
    let sub_handles = all.iter().map(|one| {
        let track = PublishedDataTrack {
            publisher_identity: one.publisher_identity.to_string(),
            publisher_sid: one.publisher.to_string(),
            track_sid: one.track.to_string(),
        };
        (one.handle.into(), track)
    });
    Message::DataTrackSubscriberHandles(proto::DataTrackSubscriberHandles {
        sub_handles: sub_handles.collect(),
    })
}

fn speakers(all: &[SpeakerInfo]) -> Message {
    let speakers = all.iter().map(|speaker| proto::SpeakerInfo {
        sid: speaker.sid.to_string(),
        level: speaker.level,
        active: speaker.active,
    });
    Message::SpeakersChanged(proto::SpeakersChanged { speakers: speakers.collect() })
}

fn connection_quality(all: &[ConnectionQualityInfo]) -> Message {
    let updates = all.iter().map(|one| proto::ConnectionQualityInfo {
        participant_sid: one.participant.to_string(),
        quality: one.quality.number(),
        score: one.score,
    });
    Message::ConnectionQuality(proto::ConnectionQualityUpdate { updates: updates.collect() })
}

// Old clients read `subscribed_qualities`.
#[allow(deprecated)]
fn qualities(
    track_sid: String,
    codecs: &[(String, VideoQuality)],
) -> proto::SubscribedQualityUpdate {
    let of = |highest: VideoQuality| {
        let each = [VideoQuality::Low, VideoQuality::Medium, VideoQuality::High];
        let quality = |quality: VideoQuality| proto::SubscribedQuality {
            quality: quality.number(),
            enabled: highest != VideoQuality::Off && quality <= highest,
        };
        each.map(quality).to_vec()
    };
    let first = codecs.first().map(|(_, highest)| of(*highest)).unwrap_or_default();
    let codecs = codecs.iter().map(|(mime, highest)| proto::SubscribedCodec {
        codec: bare(mime),
        qualities: of(*highest),
    });
    proto::SubscribedQualityUpdate {
        track_sid,
        subscribed_qualities: first,
        subscribed_codecs: codecs.collect(),
    }
}

fn audio_codecs(track_sid: String, codecs: &[(String, bool)]) -> proto::SubscribedAudioCodecUpdate {
    let codec = |(mime, enabled): &(String, bool)| proto::SubscribedAudioCodec {
        codec: bare(mime),
        enabled: *enabled,
    };
    let subscribed_audio_codecs = codecs.iter().map(codec).collect();
    proto::SubscribedAudioCodecUpdate { track_sid, subscribed_audio_codecs }
}

/// Clients compare with `vp8`, not with `video/VP8`.
fn bare(mime: &str) -> String {
    mime.rsplit('/').next().unwrap_or_default().to_ascii_lowercase()
}

fn data_blob_key(key: &DataBlobKey) -> proto::DataBlobKey {
    use proto::data_blob_key::Key;
    let key = match key {
        DataBlobKey::Generic(text) => Key::Generic(text.clone()),
        DataBlobKey::Schema(id) => Key::SchemaId(info::schema(id)),
    };
    proto::DataBlobKey { key: Some(key) }
}

/// What was asked, where LiveKit's answers repeat it.
fn echo(request_id: u32, asked: &Asked) -> Option<Echo> {
    Some(match asked {
        Asked::DataBlob => return None,
        Asked::AddTrack(add) => Echo::AddTrack(add_track(add)),
        Asked::Mute { track, muted } => {
            Echo::Mute(proto::MuteTrackRequest { sid: track.to_string(), muted: *muted })
        }
        Asked::UpdateMetadata { name, metadata, attributes } => {
            Echo::UpdateMetadata(proto::UpdateParticipantMetadata {
                metadata: metadata.clone().unwrap_or_default(),
                name: name.clone().unwrap_or_default(),
                attributes: attributes.clone().into_iter().collect(),
                request_id,
            })
        }
        Asked::PublishDataTrack(wish) => Echo::PublishDataTrack(publish_data_track(wish)),
        Asked::UnpublishDataTrack { handle } => {
            Echo::UnpublishDataTrack(proto::UnpublishDataTrackRequest { pub_handle: *handle })
        }
        Asked::UpdateAudioTrack { track, features } => {
            Echo::UpdateAudioTrack(proto::UpdateLocalAudioTrack {
                track_sid: track.to_string(),
                features: features.iter().map(|feature| feature.number()).collect(),
            })
        }
        Asked::UpdateVideoTrack { track, width, height } => {
            Echo::UpdateVideoTrack(proto::UpdateLocalVideoTrack {
                track_sid: track.to_string(),
                width: *width,
                height: *height,
            })
        }
    })
}

fn publish_data_track(wish: &PublishDataTrack) -> proto::PublishDataTrackRequest {
    proto::PublishDataTrackRequest {
        pub_handle: wish.handle,
        name: wish.name.clone(),
        encryption: wish.encryption.number(),
        frame_encoding: wish.frame_encoding.as_ref().map(info::frame_encoding),
        schema: wish.schema.as_ref().map(info::schema),
    }
}

#[allow(deprecated)]
fn add_track(add: &AddTrack) -> proto::AddTrackRequest {
    let codec = |codec: &AnnouncedCodec| proto::SimulcastCodec {
        codec: codec.codec.clone(),
        cid: codec.cid.clone(),
        layers: codec.layers.iter().map(info::layer).collect(),
        video_layer_mode: codec.mode.number(),
    };
    proto::AddTrackRequest {
        cid: add.cid.clone(),
        name: add.name.clone(),
        r#type: add.kind.number(),
        width: add.width,
        height: add.height,
        muted: add.muted,
        disable_dtx: add.disable_dtx,
        source: add.source.number(),
        layers: add.layers.iter().map(info::layer).collect(),
        simulcast_codecs: add.codecs.iter().map(codec).collect(),
        sid: add.sid.map(|sid| sid.to_string()).unwrap_or_default(),
        stereo: add.stereo,
        disable_red: add.disable_red,
        encryption: add.encryption.number(),
        stream: add.stream.clone(),
        backup_codec_policy: add.backup_codec_policy.number(),
        audio_features: add.audio_features.iter().map(|feature| feature.number()).collect(),
        packet_trailer_features: add.packet_trailer_features.clone(),
    }
}

/// A leave request as this client understands it.
pub fn leave(client: &Client, reason: DisconnectReason, action: LeaveAction) -> Message {
    // `can_reconnect` is what clients before the action read; there, a resume cannot be said.
    let old = !client.takes_leave_action();
    Message::Leave(proto::LeaveRequest {
        can_reconnect: old && action != LeaveAction::Disconnect,
        reason: reason.number(),
        action: if old { 0 } else { action.number() },
        regions: None,
    })
}
