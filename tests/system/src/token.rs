//! API tokens as the control plane wants them, and as it should refuse them.

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

/// API key of every appliance in the tests.
pub const KEY: &str = "APItest";

/// Its secret.
pub const SECRET: &str = "a-secret-for-tests-of-at-least-32-characters";

/// What a token says. The default one opens everything for an hour.
#[derive(Debug, Clone)]
pub struct Claims {
    /// `iss`: the API key.
    pub key: String,
    /// What it is signed with.
    pub secret: String,
    /// The `video` claim.
    pub video: Value,
    /// `nbf` relative to now, s.
    pub valid_after_s: i64,
    /// `exp` relative to now, s.
    pub valid_for_s: i64,
}

impl Default for Claims {
    fn default() -> Self {
        Self {
            key: KEY.to_owned(),
            secret: SECRET.to_owned(),
            video: json!({ "ingressAdmin": true }),
            valid_after_s: -10,
            valid_for_s: 3600,
        }
    }
}

impl Claims {
    /// The signed token.
    pub fn sign(&self) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is after 1970");
        let now_s = i64::try_from(now.as_secs()).expect("the clock is before the year 292 billion");
        let claims = json!({
            "iss": self.key,
            "sub": "tests",
            "nbf": now_s + self.valid_after_s,
            "exp": now_s + self.valid_for_s,
            "video": self.video,
        });
        let key = EncodingKey::from_secret(self.secret.as_bytes());
        encode(&Header::new(Algorithm::HS256), &claims, &key).expect("HS256 signs anything")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_three_parts() {
        assert_eq!(Claims::default().sign().split('.').count(), 3);
    }
}
