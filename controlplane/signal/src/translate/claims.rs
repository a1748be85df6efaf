//! Tokens and what clients say of themselves, to the room's words and back.

use livekit_protocol as proto;
use ringway_room::calls::{
    ClientInfo, Grants, Join, ParticipantKind, Reconnect, RoomConfig, Sdk, TokenClaims,
};

use crate::client::Client;
use crate::grants::{Claims, VideoGrant};
use crate::join;

/// What a client brings to its room: its token and its join request together.
pub fn join_of(claims: &Claims, join: &join::Join, client: &Client) -> Join {
    let video = claims.video.clone().unwrap_or_default();
    let identity = [&claims.identity, &claims.jti].into_iter().find(|text| !text.is_empty());
    let reconnect = join.reconnect.as_ref();
    Join {
        room: video.room.clone(),
        identity: identity.cloned().unwrap_or_default(),
        name: claims.name.clone(),
        metadata: claims.metadata.clone(),
        attributes: claims.attributes.clone(),
        own_metadata: Some(join.metadata.clone()).filter(|text| !text.is_empty()),
        // An empty value would remove what the token says, which joining may not.
        own_attributes: join
            .attributes
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
        kind: ParticipantKind::from_number(claims.kind() as i32)
            .unwrap_or(ParticipantKind::Standard),
        kind_details: claims.kind_details(),
        grants: grants(&video),
        room_config: claims.room_config.as_ref().map(room_config),
        room_preset: claims.room_preset.clone(),
        token_expires_s: claims.expires_s,
        client: client_info(&client.info),
        auto_subscribe: join.auto_subscribe,
        auto_subscribe_hidden: true,
        // LiveKit's default: data tracks come to who asks for them.
        auto_subscribe_data: join.auto_subscribe_data.unwrap_or(false),
        adaptive_stream: join.adaptive_stream,
        publish_only: join.publish.clone(),
        reconnect: reconnect.map(|old| Reconnect { sid: old.sid.parse().ok() }),
    }
}

fn grants(video: &VideoGrant) -> Grants {
    Grants {
        room_join: video.room_join,
        room: video.room.clone(),
        room_create: video.room_create,
        room_list: video.room_list,
        room_record: video.room_record,
        room_admin: video.room_admin,
        ingress_admin: video.ingress_admin,
        destination_room: video.destination_room.clone(),
        can_publish: video.can_publish,
        can_subscribe: video.can_subscribe,
        can_publish_data: video.can_publish_data,
        can_publish_sources: video.sources(),
        can_update_own_metadata: video.can_update_own_metadata,
        can_subscribe_metrics: video.can_subscribe_metrics,
        can_manage_agent_session: video.can_manage_agent_session,
        hidden: video.hidden,
        recorder: video.recorder,
        agent: video.agent,
    }
}

fn room_config(config: &proto::RoomConfiguration) -> RoomConfig {
    RoomConfig {
        empty_timeout_s: config.empty_timeout,
        departure_timeout_s: config.departure_timeout,
        max_participants: config.max_participants,
        metadata: config.metadata.clone(),
        min_playout_delay_ms: config.min_playout_delay,
        max_playout_delay_ms: config.max_playout_delay,
        sync_streams: config.sync_streams,
    }
}

fn room_configuration(config: &RoomConfig) -> proto::RoomConfiguration {
    proto::RoomConfiguration {
        empty_timeout: config.empty_timeout_s,
        departure_timeout: config.departure_timeout_s,
        max_participants: config.max_participants,
        metadata: config.metadata.clone(),
        min_playout_delay: config.min_playout_delay_ms,
        max_playout_delay: config.max_playout_delay_ms,
        sync_streams: config.sync_streams,
        ..proto::RoomConfiguration::default()
    }
}

fn client_info(info: &proto::ClientInfo) -> ClientInfo {
    ClientInfo {
        sdk: Sdk::from_number(info.sdk).unwrap_or(Sdk::Unknown),
        version: info.version.clone(),
        protocol: info.protocol,
        client_protocol: info.client_protocol,
        os: info.os.clone(),
        os_version: info.os_version.clone(),
        device_model: info.device_model.clone(),
        browser: info.browser.clone(),
        browser_version: info.browser_version.clone(),
        address: info.address.clone(),
        network: info.network.clone(),
        capabilities: info.capabilities.clone(),
    }
}

/// The claims of a token that the server mints for a participant.
pub fn token_claims(claims: &TokenClaims) -> Claims {
    let grants = &claims.grants;
    let sources = grants.can_publish_sources.iter();
    let names = sources.filter_map(|source| proto::TrackSource::try_from(source.number()).ok());
    let kind = proto::participant_info::Kind::try_from(claims.kind.number()).unwrap_or_default();
    let video = VideoGrant {
        room_create: grants.room_create,
        room_list: grants.room_list,
        room_record: grants.room_record,
        room_admin: grants.room_admin,
        room_join: grants.room_join,
        room: grants.room.clone(),
        destination_room: grants.destination_room.clone(),
        can_publish: grants.can_publish,
        can_subscribe: grants.can_subscribe,
        can_publish_data: grants.can_publish_data,
        can_publish_sources: names.map(|name| name.as_str_name().to_ascii_lowercase()).collect(),
        can_update_own_metadata: grants.can_update_own_metadata,
        ingress_admin: grants.ingress_admin,
        hidden: grants.hidden,
        recorder: grants.recorder,
        agent: grants.agent,
        can_subscribe_metrics: grants.can_subscribe_metrics,
        can_manage_agent_session: grants.can_manage_agent_session,
    };
    Claims {
        identity: claims.identity.clone(),
        name: claims.name.clone(),
        kind: kind.as_str_name().to_ascii_lowercase(),
        metadata: claims.metadata.clone(),
        attributes: claims.attributes.clone(),
        video: Some(video),
        room_config: claims.room_config.as_ref().map(room_configuration),
        room_preset: claims.room_preset.clone(),
        ..Claims::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_token_and_a_request_make_a_join() {
        let claims: Claims = serde_json::from_value(json!({
            "jti": "me", "name": "Me", "kind": "agent", "metadata": "m",
            "video": {"roomJoin": true, "room": "r", "canPublishSources": ["camera"]},
            "roomConfig": {"maxParticipants": 2}, "exp": 1_800_000_000.5,
        }))
        .unwrap();
        let pairs = [("a", "1"), ("b", "")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        let asked = join::Join {
            attributes: pairs.into(),
            reconnect: Some(join::Reconnect { sid: "PA_none".into(), reason: 1 }),
            ..join::Join::default()
        };
        let join = join_of(&claims, &asked, &Client::default());
        assert_eq!((join.room.as_str(), join.identity.as_str()), ("r", "me"));
        assert_eq!(join.kind, ParticipantKind::Agent);
        assert_eq!(join.room_config.map(|config| config.max_participants), Some(2));
        assert_eq!(join.token_expires_s, 1_800_000_000);
        assert!(join.own_attributes.keys().eq(["a"]) && join.own_metadata.is_none());
        // An id that is none of ours is as good as none.
        assert_eq!(join.reconnect, Some(Reconnect { sid: None }));
        assert!(join.grants.room_join && join.grants.permission().can_publish);
    }

    #[test]
    fn a_minted_token_says_the_same() {
        let grants = Grants {
            room_join: true,
            room: "r".into(),
            can_publish: Some(false),
            can_publish_sources: vec![ringway_room::calls::TrackSource::ScreenShareAudio],
            ..Grants::default()
        };
        let config = RoomConfig {
            empty_timeout_s: 1,
            departure_timeout_s: 2,
            max_participants: 3,
            metadata: "m".into(),
            min_playout_delay_ms: 4,
            max_playout_delay_ms: 5,
            sync_streams: true,
        };
        let minted = TokenClaims {
            identity: "me".into(),
            name: String::new(),
            kind: ParticipantKind::Standard,
            metadata: String::new(),
            attributes: [("a".to_owned(), "1".to_owned())].into(),
            grants: grants.clone(),
            room_config: Some(config.clone()),
            room_preset: "large".into(),
            ttl_s: 600,
        };
        let claims = token_claims(&minted);
        let text = serde_json::to_string(&claims).unwrap();
        assert_eq!(claims.kind, "standard");
        let read: Claims = serde_json::from_str(&text).unwrap();
        let join = join_of(&read, &join::Join::default(), &Client::default());
        assert_eq!((join.grants, join.identity.as_str()), (grants, "me"));
        assert_eq!((join.room_config, join.room_preset.as_str()), (Some(config), "large"));
    }
}
