//! The claims of a LiveKit-style access token, and signing them.
//!
//! Tokens are JWTs signed with HS256: `iss` is the API key, `sub` the identity, `exp` and `nbf`
//! bound it in time, `video` says what it opens. Names and meanings are LiveKit's, so its tools
//! accept these tokens and its tokens are accepted here.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::{Deserialize, Serialize};

/// What a token says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Claims {
    /// End of validity, seconds since the Unix epoch.
    pub exp: u64,
    /// Begin of validity, seconds since the Unix epoch.
    pub nbf: u64,
    /// The API key whose secret signed the token.
    pub iss: String,
    /// Identity of the participant.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sub: String,
    /// Name shown to others.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Kind of participant; absent means `standard`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Free text of the participant.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub metadata: String,
    /// Free key-value pairs of the participant.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// What the token opens.
    pub video: VideoGrant,
}

/// The `video` claim. An absent permission of a participant (`Option`) means granted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct VideoGrant {
    /// Create and delete rooms.
    #[serde(skip_serializing_if = "is_false")]
    pub room_create: bool,
    /// List rooms.
    #[serde(skip_serializing_if = "is_false")]
    pub room_list: bool,
    /// Record rooms.
    #[serde(skip_serializing_if = "is_false")]
    pub room_record: bool,
    /// Moderate the room.
    #[serde(skip_serializing_if = "is_false")]
    pub room_admin: bool,
    /// Join the room.
    #[serde(skip_serializing_if = "is_false")]
    pub room_join: bool,
    /// The room that the room permissions are for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub room: String,
    /// Publish tracks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_publish: Option<bool>,
    /// Subscribe to tracks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_subscribe: Option<bool>,
    /// Publish data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_publish_data: Option<bool>,
    /// The only sources that may be published, unless empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub can_publish_sources: Vec<String>,
    /// Change one's own name, metadata and attributes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub can_update_own_metadata: Option<bool>,
    /// Manage ingress, and with it forwards.
    #[serde(skip_serializing_if = "is_false")]
    pub ingress_admin: bool,
    /// Join unseen by others.
    #[serde(skip_serializing_if = "is_false")]
    pub hidden: bool,
}

// serde's `skip_serializing_if` hands out references.
#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_false(value: &bool) -> bool {
    !*value
}

impl Claims {
    /// Claims of `key`, valid from `now` on for `valid_for`, which open nothing yet.
    pub fn new(key: &str, now: SystemTime, valid_for: Duration) -> Self {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self {
            exp: now.saturating_add(valid_for).as_secs(),
            nbf: now.as_secs(),
            iss: key.to_owned(),
            ..Self::default()
        }
    }

    /// The token: these claims signed with `secret`.
    pub fn sign(&self, secret: &str) -> Result<String, jsonwebtoken::errors::Error> {
        let key = EncodingKey::from_secret(secret.as_bytes());
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), self, &key)
    }
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{DecodingKey, Validation};

    use super::*;

    const SECRET: &str = "a secret that has thirty-two characters";

    #[test]
    fn only_what_is_said_is_written() {
        let mut claims = Claims::new("key", SystemTime::UNIX_EPOCH, Duration::from_secs(60));
        claims.video.ingress_admin = true;
        claims.video.can_publish = Some(false);
        assert_eq!(
            serde_json::to_string(&claims).unwrap(),
            r#"{"exp":60,"nbf":0,"iss":"key","video":{"canPublish":false,"ingressAdmin":true}}"#
        );
    }

    #[test]
    fn tokens_verify_with_their_secret_only() {
        let claims = Claims::new("key", SystemTime::now(), Duration::from_secs(60));
        let token = claims.sign(SECRET).unwrap();
        let decode = |secret: &str| {
            let key = DecodingKey::from_secret(secret.as_bytes());
            jsonwebtoken::decode::<Claims>(&token, &key, &Validation::new(Algorithm::HS256))
        };
        assert_eq!(decode(SECRET).unwrap().claims, claims);
        assert!(decode("another").is_err());
    }
}
