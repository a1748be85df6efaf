//! What a token says of its bearer, as LiveKit's tokens say it.

use std::collections::BTreeMap;

use livekit_protocol::RoomConfiguration;
use livekit_protocol::participant_info::{Kind, KindDetail};
use ringway_room::calls::TrackSource;
use serde::{Deserialize, Deserializer, Serialize};

use crate::null;

/// The claims of a token; of those that make it valid, its end alone. Reads and writes as LiveKit's
/// JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Claims {
    /// The participant's identity; an empty one is looked for in `jti`.
    #[serde(
        rename = "sub",
        skip_serializing_if = "String::is_empty",
        deserialize_with = "null::or_default"
    )]
    pub identity: String,
    /// The token's own name, an identity to some old clients.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null::or_default")]
    pub jti: String,
    /// When the token ends, Unix time, s. Who mints says it.
    #[serde(rename = "exp", deserialize_with = "seconds", skip_serializing)]
    pub expires_s: u64,
    /// The participant's name.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null::or_default")]
    pub name: String,
    /// What kind of participant this is, in lower case.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null::or_default")]
    pub kind: String,
    /// More about the kind.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null::in_list")]
    pub kind_details: Vec<String>,
    /// The participant's metadata.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null::or_default")]
    pub metadata: String,
    /// The participant's attributes.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null::in_map")]
    pub attributes: BTreeMap<String, String>,
    /// What may be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video: Option<VideoGrant>,
    /// How the room is to be, if this participant creates it.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "null::in_room")]
    pub room_config: Option<RoomConfiguration>,
    /// The name of such a description.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null::or_default")]
    pub room_preset: String,
    /// A hash of a webhook's body.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null::or_default")]
    pub sha256: String,
}

/// LiveKit's `video` claim.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct VideoGrant {
    /// May create rooms.
    #[serde(skip_serializing_if = "is_false", deserialize_with = "null::or_default")]
    pub room_create: bool,
    /// May list rooms.
    #[serde(skip_serializing_if = "is_false", deserialize_with = "null::or_default")]
    pub room_list: bool,
    /// May record.
    #[serde(skip_serializing_if = "is_false", deserialize_with = "null::or_default")]
    pub room_record: bool,
    /// May administer `room`.
    #[serde(skip_serializing_if = "is_false", deserialize_with = "null::or_default")]
    pub room_admin: bool,
    /// May join `room`.
    #[serde(skip_serializing_if = "is_false", deserialize_with = "null::or_default")]
    pub room_join: bool,
    /// The room that this is about.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null::or_default")]
    pub room: String,
    /// The room that a participant may be forwarded to.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "null::or_default")]
    pub destination_room: String,
    /// Granted when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_publish: Option<bool>,
    /// Granted when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_subscribe: Option<bool>,
    /// As publishing when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_publish_data: Option<bool>,
    /// Only these sources; empty: all.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null::in_list")]
    pub can_publish_sources: Vec<String>,
    /// Denied when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_update_own_metadata: Option<bool>,
    /// May administer what comes in.
    #[serde(skip_serializing_if = "is_false", deserialize_with = "null::or_default")]
    pub ingress_admin: bool,
    /// Others do not see the participant.
    #[serde(skip_serializing_if = "is_false", deserialize_with = "null::or_default")]
    pub hidden: bool,
    /// The participant records.
    #[serde(skip_serializing_if = "is_false", deserialize_with = "null::or_default")]
    pub recorder: bool,
    /// May register as a worker.
    #[serde(skip_serializing_if = "is_false", deserialize_with = "null::or_default")]
    pub agent: bool,
    /// Denied when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_subscribe_metrics: Option<bool>,
    /// Denied when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_manage_agent_session: Option<bool>,
}

/// RFC 7519 2: a `NumericDate` may have a fraction.
fn seconds<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    // What is no number at all is refused by those who judge whether the token is valid.
    let date = serde_json::Value::deserialize(from)?;
    Ok(date.as_u64().or(date.as_f64().map(|date| date as u64)).unwrap_or_default())
}

fn is_false(value: &bool) -> bool {
    !value
}

impl Claims {
    /// What kind of participant this is.
    pub fn kind(&self) -> Kind {
        match self.kind.to_ascii_lowercase().as_str() {
            "ingress" => Kind::Ingress,
            "egress" => Kind::Egress,
            "sip" => Kind::Sip,
            "agent" => Kind::Agent,
            "connector" => Kind::Connector,
            "bridge" => Kind::Bridge,
            _ => Kind::Standard,
        }
    }

    /// More about the kind.
    pub fn kind_details(&self) -> Vec<i32> {
        let details = self.kind_details.iter().map(|name| name.to_ascii_uppercase());
        details.filter_map(|name| Some(KindDetail::from_str_name(&name)? as i32)).collect()
    }
}

impl VideoGrant {
    /// The sources that may be published; empty: all.
    pub fn sources(&self) -> Vec<TrackSource> {
        self.can_publish_sources.iter().map(|name| source_of(name)).collect()
    }
}

/// A source that we do not know is one that nobody publishes.
fn source_of(name: &str) -> TrackSource {
    let known = livekit_protocol::TrackSource::from_str_name(&name.to_ascii_uppercase());
    known.and_then(|known| TrackSource::from_number(known as i32)).unwrap_or(TrackSource::Unknown)
}

#[cfg(test)]
#[path = "grants_tests.rs"]
mod tests;
