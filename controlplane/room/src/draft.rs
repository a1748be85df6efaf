//! Requests as a client writes them, before anybody has judged them.
//!
//! Numbers are wide and addresses are text here, so that [`crate::validate`] can name the field and
//! say what it should be, where a parser could only say that something does not fit.

use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::spec::Rtcp;

/// Body of "create a forward".
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForwardDraft {
    /// A name of the client's choice: makes the request safe to repeat.
    pub id: Option<String>,
    /// What the operator calls it.
    pub name: Option<String>,
    /// Where packets come in.
    #[serde(default, deserialize_with = "object")]
    pub input: Option<InputDraft>,
    /// Where packets go.
    #[serde(default, deserialize_with = "objects")]
    pub destinations: Option<Vec<DestinationDraft>>,
}

/// `input` of a forward.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputDraft {
    /// Local address.
    pub address: Option<String>,
    /// Local port; 0 or absent: any.
    pub port: Option<i64>,
    /// Where RTCP comes in.
    pub rtcp: Option<Rtcp>,
    /// `any`, `latch`, an address, or an address and port.
    pub source: Option<String>,
    /// How long a latched source must be silent before another takes over.
    pub latch_silence_ms: Option<i64>,
    /// The only SSRC admitted.
    pub ssrc: Option<i64>,
}

/// One destination.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DestinationDraft {
    /// A name of the client's choice.
    pub id: Option<String>,
    /// Remote address.
    pub address: Option<String>,
    /// Remote port.
    pub port: Option<i64>,
    /// Where RTCP goes.
    pub rtcp: Option<Rtcp>,
    /// SSRC rewrite.
    pub ssrc: Option<i64>,
    /// Payload type rewrite.
    pub payload_type: Option<i64>,
    /// Sequence number rewrite.
    pub contiguous: Option<bool>,
}

/// Body of "add many destinations".
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DestinationsDraft {
    /// The destinations.
    #[serde(default, deserialize_with = "objects")]
    pub destinations: Option<Vec<DestinationDraft>>,
}

/// A field of a patch: absent leaves it, `null` sets the default, a value sets the value.
pub type Change<T> = Option<Option<T>>;

/// Body of "change a forward".
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForwardPatch {
    /// New name.
    #[serde(default, deserialize_with = "present")]
    pub name: Change<String>,
    /// New input policy.
    #[serde(default, deserialize_with = "object")]
    pub input: Option<InputPatch>,
}

/// `input` of a [`ForwardPatch`]. What the socket is bound to can be repeated but not changed.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputPatch {
    /// Must be what it is.
    pub address: Option<String>,
    /// Must be what it is.
    pub port: Option<i64>,
    /// Must be what it is.
    pub rtcp: Option<Rtcp>,
    /// Who may send.
    #[serde(default, deserialize_with = "present")]
    pub source: Change<String>,
    /// See [`InputDraft::latch_silence_ms`].
    #[serde(default, deserialize_with = "present")]
    pub latch_silence_ms: Change<i64>,
    /// The only SSRC admitted.
    #[serde(default, deserialize_with = "present")]
    pub ssrc: Change<i64>,
}

/// Body of "change a destination".
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DestinationPatch {
    /// Remote address.
    pub address: Option<String>,
    /// Remote port.
    pub port: Option<i64>,
    /// Where RTCP goes.
    #[serde(default, deserialize_with = "present")]
    pub rtcp: Change<Rtcp>,
    /// SSRC rewrite.
    #[serde(default, deserialize_with = "present")]
    pub ssrc: Change<i64>,
    /// Payload type rewrite.
    #[serde(default, deserialize_with = "present")]
    pub payload_type: Change<i64>,
    /// Sequence number rewrite.
    #[serde(default, deserialize_with = "present")]
    pub contiguous: Change<bool>,
}

/// A `T` that is written as an object: serde takes a list of a structure's fields as well, which no
/// client means.
#[derive(Clone, Debug, Default)]
pub struct Object<T>(pub T);

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

fn object<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    let object = Option::<Object<T>>::deserialize(deserializer)?;
    Ok(object.map(|object| object.0))
}

fn objects<'de, T, D>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    let list = Option::<Vec<Object<T>>>::deserialize(deserializer)?;
    Ok(list.map(|list| list.into_iter().map(|object| object.0).collect()))
}

fn present<'de, T, D>(deserializer: D) -> Result<Change<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_no_objects() {
        let check = |json: &str, valid: bool| {
            let read = serde_json::from_str::<Object<ForwardDraft>>(json);
            assert_eq!(read.is_ok(), valid, "{json} {read:?}");
        };
        check(r#"{"input":{},"destinations":[{}]}"#, true);
        check(r#"{"input":null,"destinations":null}"#, true);
        check("[]", false);
        check(r#"{"input":[]}"#, false);
        check(r#"{"destinations":[[]]}"#, false);
        check(r#"{"destinations":{}}"#, false);
    }

    #[test]
    fn absent_null_and_value_differ() {
        let read = |json: &str| serde_json::from_str::<InputPatch>(json).unwrap().ssrc;
        assert_eq!(read("{}"), None);
        assert_eq!(read(r#"{"ssrc":null}"#), Some(None));
        assert_eq!(read(r#"{"ssrc":7}"#), Some(Some(7)));
    }
}
