//! LiveKit's access tokens with everything that they say of a participant, read and minted.
//!
//! [`crate::auth`] guards the forwards' API and knows only what that needs.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, header};
use jsonwebtoken::dangerous::insecure_decode_claims;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use ringway_room::calls::TokenClaims;
use ringway_settings::Secret;
use ringway_signal::grants::Claims;
use ringway_signal::translate::token_claims;
use serde::{Deserialize, Serialize};

/// Clocks of clients are this far off: LiveKit's value.
const LEEWAY_S: u64 = 60;
/// Longer tokens are refused unread. A room's configuration fits; headers bound the rest.
const TOKEN_BYTES_MAX: usize = 32 * 1024;

/// Why a bearer's token is not taken: HTTP 401 with this sentence, LiveKit's words where it has
/// some.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// No token came.
    #[error("permissions denied")]
    Missing,
    /// The header has another form.
    #[error("invalid authorization header. Must start with Bearer ")]
    NotBearer,
    /// Not a token, or not genuine, or not valid now.
    #[error("invalid authorization token")]
    Invalid,
    /// Nobody has this key.
    #[error("invalid API key")]
    Key,
}

/// The API keys, to verify and to mint.
pub struct Tokens {
    keys: BTreeMap<String, DecodingKey>,
    /// Verified against when the key is unknown, so that time does not tell which keys exist.
    nobody: DecodingKey,
    validation: Validation,
    /// The first key, which mints, as at LiveKit.
    mint: Option<(String, EncodingKey)>,
}

#[derive(Deserialize)]
struct Issuer {
    #[serde(default)]
    iss: String,
}

#[derive(Serialize)]
struct Minted<'a> {
    iss: &'a str,
    nbf: u64,
    exp: u64,
    #[serde(flatten)]
    claims: Claims,
}

impl Tokens {
    /// Takes the configured keys.
    pub fn new(keys: &BTreeMap<String, Secret>) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = LEEWAY_S;
        validation.validate_nbf = true;
        validation.validate_aud = false;
        validation.set_required_spec_claims(&["exp", "iss"]);
        let bytes = |secret: &Secret| secret.expose().as_bytes().to_vec();
        let decoding = |secret: &Secret| DecodingKey::from_secret(&bytes(secret));
        let mint = keys.iter().next();
        Self {
            keys: keys.iter().map(|(key, secret)| (key.clone(), decoding(secret))).collect(),
            nobody: DecodingKey::from_secret(&[0; 32]),
            validation,
            mint: mint.map(|(key, secret)| (key.clone(), EncodingKey::from_secret(&bytes(secret)))),
        }
    }

    /// What a token says, if it is genuine and valid now.
    pub fn verify(&self, token: &str) -> Result<Claims, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::Invalid);
        }
        let issuer: Issuer = insecure_decode_claims(token).map_err(|_| TokenError::Invalid)?;
        let key = self.keys.get(&issuer.iss);
        let decoded = decode::<Claims>(token, key.unwrap_or(&self.nobody), &self.validation);
        match (decoded, key) {
            (Ok(data), Some(_)) => Ok(data.claims),
            (_, None) => Err(TokenError::Key),
            (Err(_), Some(_)) => Err(TokenError::Invalid),
        }
    }

    /// The claims of a request's token: of its header, or else of its query's `access_token`.
    pub fn of_request(&self, headers: &HeaderMap, query: &str) -> Result<Claims, TokenError> {
        if let Some(value) = headers.get(header::AUTHORIZATION) {
            let text = value.to_str().map_err(|_| TokenError::NotBearer)?;
            let (scheme, token) = text.split_once(' ').ok_or(TokenError::NotBearer)?;
            if !scheme.eq_ignore_ascii_case("bearer") {
                return Err(TokenError::NotBearer);
            }
            return self.verify(token.trim());
        }
        let mut fields = query.split('&').filter_map(|field| field.split_once('='));
        // A token has no character that is written otherwise in a query.
        match fields.find(|(name, _)| *name == "access_token") {
            Some((_, token)) if !token.is_empty() => self.verify(token),
            _ => Err(TokenError::Missing),
        }
    }

    /// A token for a participant, valid from `now_s`, Unix time. `None` without keys.
    pub fn mint(&self, claims: &TokenClaims, now_s: u64) -> Option<String> {
        let (key, secret) = self.mint.as_ref()?;
        let exp = now_s.saturating_add(u64::from(claims.ttl_s));
        let minted = Minted { iss: key, nbf: now_s, exp, claims: token_claims(claims) };
        encode(&Header::new(Algorithm::HS256), &minted, secret).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsonwebtoken::get_current_timestamp;
    use ringway_room::calls::{Grants, ParticipantKind};
    use serde_json::{Value, json};

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn tokens() -> Tokens {
        Tokens::new(&BTreeMap::from([("devkey".to_owned(), Secret::from(SECRET))]))
    }

    fn token(claims: &Value) -> String {
        encode(&Header::new(Algorithm::HS256), claims, &EncodingKey::from_secret(SECRET.as_bytes()))
            .unwrap()
    }

    #[test]
    fn tokens_are_judged() {
        let now = get_current_timestamp();
        let check = |claims: Value, expect: Result<&str, TokenError>| {
            let result = tokens().verify(&token(&claims)).map(|claims| claims.identity);
            assert_eq!(result, expect.map(str::to_owned), "{claims}");
        };
        check(json!({"iss": "devkey", "exp": now + 9, "sub": "a"}), Ok("a"));
        check(json!({"iss": "devkey", "exp": now - 50, "sub": "a"}), Ok("a"));
        let nulls = json!({"metadata": null, "nbf": null, "video": {"roomCreate": null}});
        let mut hand_made = json!({"iss": "devkey", "exp": now + 9, "sub": "a"});
        hand_made.as_object_mut().unwrap().extend(nulls.as_object().unwrap().clone());
        check(hand_made, Ok("a"));
        check(json!({"iss": "devkey", "exp": now - 70, "sub": "a"}), Err(TokenError::Invalid));
        check(json!({"iss": "devkey", "exp": now + 9, "nbf": now + 90}), Err(TokenError::Invalid));
        check(json!({"iss": "devkey"}), Err(TokenError::Invalid));
        check(json!({"iss": "other", "exp": now + 9}), Err(TokenError::Key));
        check(json!({"exp": now + 9}), Err(TokenError::Key));
        check(json!({"iss": "devkey", "exp": now + 9, "video": 7}), Err(TokenError::Invalid));
    }

    #[test]
    fn where_a_token_stands() {
        let now = get_current_timestamp();
        let good = token(&json!({"iss": "devkey", "exp": now + 9, "sub": "a"}));
        let check = |header: &str, query: &str, expect: Result<&str, TokenError>| {
            let mut headers = HeaderMap::new();
            if !header.is_empty() {
                headers.insert(header::AUTHORIZATION, header.parse().unwrap());
            }
            let result = tokens().of_request(&headers, query).map(|claims| claims.identity);
            assert_eq!(result, expect.map(str::to_owned), "{header} {query}");
        };
        check(&format!("Bearer {good}"), "", Ok("a"));
        check("", &format!("x=y&access_token={good}&z"), Ok("a"));
        // The header wins, even when it is wrong.
        check("Bearer x", &format!("access_token={good}"), Err(TokenError::Invalid));
        check("Basic x", "", Err(TokenError::NotBearer));
        check("", "access_token=", Err(TokenError::Missing));
        check("", "", Err(TokenError::Missing));
    }

    #[test]
    fn minted_tokens_are_taken() {
        let claims = TokenClaims {
            identity: "me".into(),
            name: "Me".into(),
            kind: ParticipantKind::Standard,
            metadata: String::new(),
            attributes: Default::default(),
            grants: Grants { room_join: true, room: "r".into(), ..Grants::default() },
            room_config: None,
            room_preset: String::new(),
            ttl_s: 600,
        };
        let now_s = get_current_timestamp();
        let text = tokens().mint(&claims, now_s).unwrap();
        let read = tokens().verify(&text).unwrap();
        assert_eq!((read.identity.as_str(), read.name.as_str()), ("me", "Me"));
        assert_eq!(read.expires_s, now_s + 600);
        assert!(read.video.is_some_and(|video| video.room_join && video.room == "r"));
        assert!(Tokens::new(&BTreeMap::new()).mint(&claims, 0).is_none());
    }
}
