//! Tokens that open a room, as any LiveKit-compatible server takes them.

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

/// Longer than any test.
const VALID_S: u64 = 600;

/// Who may enter which room, and do what there.
#[derive(Debug, Clone)]
pub struct Pass {
    identity: String,
    video: Value,
    kind: Option<&'static str>,
}

impl Pass {
    /// `identity` may join `room` and do there what everybody may.
    pub fn new(room: &str, identity: &str) -> Self {
        let video = json!({ "roomJoin": true, "room": room });
        Self { identity: identity.to_owned(), video, kind: None }
    }

    /// Sets a field of the `video` claim, such as `canPublish`.
    #[must_use]
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.video[name] = value;
        self
    }

    /// Sets the claim `kind`, such as `agent`.
    #[must_use]
    pub fn of_kind(mut self, kind: &'static str) -> Self {
        self.kind = Some(kind);
        self
    }

    /// The token, signed with this key.
    pub fn sign(&self, key: &str, secret: &str) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is after 1970");
        let mut claims = json!({
            "iss": key,
            "sub": self.identity,
            "nbf": now.as_secs() - 10,
            "exp": now.as_secs() + VALID_S,
            "video": self.video,
        });
        if let Some(kind) = self.kind {
            claims["kind"] = json!(kind);
        }
        let secret = EncodingKey::from_secret(secret.as_bytes());
        encode(&Header::new(Algorithm::HS256), &claims, &secret).expect("HS256 signs anything")
    }
}
