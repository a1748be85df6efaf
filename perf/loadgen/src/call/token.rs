//! Access tokens of synthetic participants.

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{EncodingKey, Header};
use serde_json::json;

/// What identifies the generator to a server.
#[derive(Clone, Debug)]
pub struct Account {
    /// API key.
    pub key: String,
    /// Its secret.
    pub secret: String,
}

impl Account {
    /// A token with which `identity` may join `room`, publish and subscribe.
    pub fn token(&self, room: &str, identity: &str) -> Result<String, jsonwebtoken::errors::Error> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let claims = json!({
            "iss": self.key, "sub": identity, "name": identity,
            "nbf": now.saturating_sub(60), "exp": now + 6 * 3600,
            "video": {
                "roomJoin": true, "room": room, "canPublish": true, "canSubscribe": true,
            },
        });
        let key = EncodingKey::from_secret(self.secret.as_bytes());
        jsonwebtoken::encode(&Header::default(), &claims, &key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_signed() {
        let account = Account { key: "key".into(), secret: "secret".into() };
        assert_eq!(account.token("room", "anna").unwrap().split('.').count(), 3);
    }
}
