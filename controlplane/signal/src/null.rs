//! `null` in the JSON of a token: Go takes it for what is absent, and so do LiveKit's servers, for
//! which some minters of tokens write every claim that there is.

use std::collections::BTreeMap;

use livekit_protocol::RoomConfiguration;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Reads a value, the default of its type for `null`.
pub fn or_default<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// Reads a list of texts, of which each may be `null`.
pub(crate) fn in_list<'de, D>(from: D) -> Result<Vec<String>, D::Error>
where
    D: Deserializer<'de>,
{
    let texts: Vec<Option<String>> = or_default(from)?;
    Ok(texts.into_iter().map(Option::unwrap_or_default).collect())
}

/// Reads keys and texts, of which each text may be `null`.
pub(crate) fn in_map<'de, D>(from: D) -> Result<BTreeMap<String, String>, D::Error>
where
    D: Deserializer<'de>,
{
    let texts: BTreeMap<String, Option<String>> = or_default(from)?;
    Ok(texts.into_iter().map(|(key, text)| (key, text.unwrap_or_default())).collect())
}

/// Reads a room's description, of which every field may be `null`.
pub(crate) fn in_room<'de, D>(from: D) -> Result<Option<RoomConfiguration>, D::Error>
where
    D: Deserializer<'de>,
{
    let room: Option<Value> = Option::deserialize(from)?;
    let room = room.map(|room| serde_json::from_value(without(room)));
    room.transpose().map_err(serde::de::Error::custom)
}

/// The same value without fields that are `null`.
fn without(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let said = fields.into_iter().filter(|(_, value)| !value.is_null());
            said.map(|(name, value)| (name, without(value))).collect()
        }
        Value::Array(values) => values.into_iter().map(without).collect(),
        value => value,
    }
}
