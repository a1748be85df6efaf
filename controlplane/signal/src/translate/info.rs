//! Rooms, participants and tracks as clients are told of them.

use livekit_protocol as proto;
use ringway_room::calls::{
    DataEncoding, DataSchema, DataTrackInfo, ParticipantInfo, Permission, RoomInfo, TrackCodec,
    TrackInfo, VideoLayer,
};

/// A room.
pub fn room(info: &RoomInfo, enabled_codecs: &[proto::Codec]) -> proto::Room {
    proto::Room {
        sid: info.sid.to_string(),
        name: info.name.clone(),
        empty_timeout: info.empty_timeout_s,
        departure_timeout: info.departure_timeout_s,
        max_participants: info.max_participants,
        creation_time: (info.created_at_ms / 1000) as i64,
        creation_time_ms: info.created_at_ms as i64,
        enabled_codecs: enabled_codecs.to_vec(),
        metadata: info.metadata.clone(),
        num_participants: info.num_participants,
        num_publishers: info.num_publishers,
        active_recording: info.active_recording,
        ..proto::Room::default()
    }
}

/// A participant with its tracks.
pub fn participant(info: &ParticipantInfo) -> proto::ParticipantInfo {
    proto::ParticipantInfo {
        sid: info.sid.to_string(),
        identity: info.identity.clone(),
        state: info.state.number(),
        tracks: info.tracks.iter().map(|info| track(info)).collect(),
        data_tracks: info.data_tracks.iter().map(|info| data_track(info)).collect(),
        metadata: info.metadata.clone(),
        joined_at: (info.joined_at_ms / 1000) as i64,
        joined_at_ms: info.joined_at_ms as i64,
        name: info.name.clone(),
        version: info.version,
        region: info.region.clone(),
        permission: Some(permission(&info.permission)),
        is_publisher: info.is_publisher,
        kind: info.kind.number(),
        kind_details: info.kind_details.clone(),
        attributes: info.attributes.clone().into_iter().collect(),
        disconnect_reason: info.disconnect_reason.number(),
        client_protocol: info.client_protocol,
        capabilities: info.capabilities.clone(),
    }
}

// Old clients read the deprecated fields.
#[allow(deprecated)]
fn permission(permission: &Permission) -> proto::ParticipantPermission {
    let sources = permission.can_publish_sources.iter().map(|source| source.number());
    proto::ParticipantPermission {
        can_subscribe: permission.can_subscribe,
        can_publish: permission.can_publish,
        can_publish_data: permission.can_publish_data,
        can_publish_sources: sources.collect(),
        hidden: permission.hidden,
        recorder: permission.recorder,
        can_update_metadata: permission.can_update_metadata,
        agent: permission.agent,
        can_subscribe_metrics: permission.can_subscribe_metrics,
        can_manage_agent_session: permission.can_manage_agent_session,
    }
}

/// A track.
#[allow(deprecated)]
pub fn track(info: &TrackInfo) -> proto::TrackInfo {
    let version = info.version;
    let timed = proto::TimedVersion { unix_micro: version.unix_us, ticks: version.ticks };
    proto::TrackInfo {
        sid: info.sid.to_string(),
        r#type: info.kind.number(),
        name: info.name.clone(),
        muted: info.muted,
        width: info.width,
        height: info.height,
        simulcast: info.simulcast,
        disable_dtx: info.disable_dtx,
        source: info.source.number(),
        layers: info.layers.iter().map(layer).collect(),
        mime_type: info.mime_type.clone(),
        mid: info.mid.clone(),
        codecs: info.codecs.iter().map(codec).collect(),
        stereo: info.stereo,
        disable_red: info.disable_red,
        encryption: info.encryption.number(),
        stream: info.stream.clone(),
        version: (version.unix_us != 0).then_some(timed),
        audio_features: info.audio_features.iter().map(|feature| feature.number()).collect(),
        backup_codec_policy: info.backup_codec_policy.number(),
        packet_trailer_features: info.packet_trailer_features.clone(),
    }
}

/// A data track.
pub(super) fn data_track(info: &DataTrackInfo) -> proto::DataTrackInfo {
    proto::DataTrackInfo {
        pub_handle: info.handle.into(),
        sid: info.sid.to_string(),
        name: info.name.clone(),
        encryption: info.encryption.number(),
        frame_encoding: info.frame_encoding.as_ref().map(frame_encoding),
        schema: info.schema.as_ref().map(schema),
    }
}

pub(super) fn frame_encoding(encoding: &DataEncoding) -> proto::DataTrackFrameEncoding {
    use proto::data_track_frame_encoding::Value;
    proto::DataTrackFrameEncoding {
        value: Some(match encoding {
            DataEncoding::WellKnown(number) => Value::WellKnown(*number),
            DataEncoding::Custom(name) => Value::Custom(name.clone()),
        }),
    }
}

pub(super) fn schema(schema: &DataSchema) -> proto::DataTrackSchemaId {
    use proto::data_track_schema_encoding::Value;
    let encoding = schema.encoding.as_ref().map(|encoding| proto::DataTrackSchemaEncoding {
        value: Some(match encoding {
            DataEncoding::WellKnown(number) => Value::WellKnown(*number),
            DataEncoding::Custom(name) => Value::Custom(name.clone()),
        }),
    });
    proto::DataTrackSchemaId { name: schema.name.clone(), encoding }
}

fn codec(codec: &TrackCodec) -> proto::SimulcastCodecInfo {
    proto::SimulcastCodecInfo {
        mime_type: codec.mime_type.clone(),
        mid: codec.mid.clone(),
        cid: codec.cid.clone(),
        layers: codec.layers.iter().map(layer).collect(),
        video_layer_mode: codec.mode.map_or(0, |mode| mode.number()),
        sdp_cid: codec.sdp_cid.clone(),
    }
}

pub(super) fn layer(layer: &VideoLayer) -> proto::VideoLayer {
    proto::VideoLayer {
        quality: layer.quality.number(),
        width: layer.width,
        height: layer.height,
        bitrate: layer.bitrate_bps,
        ssrc: layer.ssrc,
        spatial_layer: layer.spatial_layer,
        rid: layer.rid.clone(),
        repair_ssrc: layer.repair_ssrc,
    }
}
