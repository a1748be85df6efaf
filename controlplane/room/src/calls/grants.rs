//! What a token allows: the part of LiveKit's claims that rooms decide by, and the permission that
//! a participant has because of it.

use std::collections::BTreeMap;

use crate::calls::{ParticipantKind, RoomConfig, TrackSource};

/// Keys and values that applications attach to a participant.
pub type Attributes = BTreeMap<String, String>;

/// The `video` claims of a token, as they stand in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    /// `roomJoin`.
    pub room_join: bool,
    /// `room`: the room that the token is for; empty is any room that the request names.
    pub room: String,
    /// `roomCreate`: joining may create the room even when `auto_create` is off.
    pub room_create: bool,
    /// `roomList`.
    pub room_list: bool,
    /// `roomRecord`.
    pub room_record: bool,
    /// `roomAdmin`.
    pub room_admin: bool,
    /// `ingressAdmin`.
    pub ingress_admin: bool,
    /// `destinationRoom`.
    pub destination_room: String,
    /// `canPublish`; absent is yes.
    pub can_publish: Option<bool>,
    /// `canSubscribe`; absent is yes.
    pub can_subscribe: Option<bool>,
    /// `canPublishData`; absent is as `canPublish`.
    pub can_publish_data: Option<bool>,
    /// `canPublishSources`; empty is all.
    pub can_publish_sources: Vec<TrackSource>,
    /// `canUpdateOwnMetadata`; absent is no.
    pub can_update_own_metadata: Option<bool>,
    /// `canSubscribeMetrics`; absent is no.
    pub can_subscribe_metrics: Option<bool>,
    /// `canManageAgentSession`; absent is no.
    pub can_manage_agent_session: Option<bool>,
    /// `hidden`.
    pub hidden: bool,
    /// `recorder`.
    pub recorder: bool,
    /// `agent`.
    pub agent: bool,
}

impl Grants {
    /// The permission that a participant with these claims begins with.
    pub fn permission(&self) -> Permission {
        let can_publish = self.can_publish.unwrap_or(true);
        Permission {
            can_subscribe: self.can_subscribe.unwrap_or(true),
            can_publish,
            can_publish_data: self.can_publish_data.unwrap_or(can_publish),
            can_publish_sources: self.can_publish_sources.clone(),
            hidden: self.hidden,
            recorder: self.recorder,
            can_update_metadata: self.can_update_own_metadata.unwrap_or(false),
            agent: self.agent,
            can_subscribe_metrics: self.can_subscribe_metrics.unwrap_or(false),
            can_manage_agent_session: self.can_manage_agent_session.unwrap_or(false),
        }
    }

    /// These claims with `permission` in place of what they said.
    pub fn with_permission(&self, permission: &Permission) -> Self {
        Self {
            can_publish: Some(permission.can_publish),
            can_subscribe: Some(permission.can_subscribe),
            can_publish_data: Some(permission.can_publish_data),
            can_publish_sources: permission.can_publish_sources.clone(),
            can_update_own_metadata: Some(permission.can_update_metadata),
            can_subscribe_metrics: Some(permission.can_subscribe_metrics),
            can_manage_agent_session: Some(permission.can_manage_agent_session),
            hidden: permission.hidden,
            recorder: permission.recorder,
            agent: permission.agent,
            ..self.clone()
        }
    }
}

/// LiveKit's `ParticipantPermission`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permission {
    /// May receive tracks.
    pub can_subscribe: bool,
    /// May publish tracks.
    pub can_publish: bool,
    /// May send data messages.
    pub can_publish_data: bool,
    /// Sources that may be published; empty is all.
    pub can_publish_sources: Vec<TrackSource>,
    /// Others do not learn of this participant.
    pub hidden: bool,
    /// Records the room: publishers cannot refuse it their tracks.
    pub recorder: bool,
    /// May change its own name, metadata and attributes.
    pub can_update_metadata: bool,
    /// Is an agent.
    pub agent: bool,
    /// May receive metrics.
    pub can_subscribe_metrics: bool,
    /// May steer agents' sessions.
    pub can_manage_agent_session: bool,
}

impl Permission {
    /// Whether a track from `source` may be published.
    pub fn may_publish(&self, source: TrackSource) -> bool {
        let sources = &self.can_publish_sources;
        self.can_publish && (sources.is_empty() || sources.contains(&source))
    }
}

/// What goes into a token that the server mints for a participant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenClaims {
    /// The claim `sub`.
    pub identity: String,
    /// The claim `name`.
    pub name: String,
    /// The claim `kind`.
    pub kind: ParticipantKind,
    /// The claim `metadata`.
    pub metadata: String,
    /// The claim `attributes`.
    pub attributes: Attributes,
    /// The claim `video`, with `room_join` and `room` set.
    pub grants: Grants,
    /// The claim `roomConfig`.
    pub room_config: Option<RoomConfig>,
    /// The claim `roomPreset`; empty is none.
    pub room_preset: String,
    /// How long it is good for, s.
    pub ttl_s: u32,
}
