//! Who may ask: LiveKit's access tokens, HS256 JWTs whose issuer is the API key.

use std::collections::BTreeMap;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::dangerous::insecure_decode_claims;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use ringway_settings::Secret;
use ringway_signal::null::or_default;
use serde::Deserialize;

use crate::app::App;
use crate::config::MetricsAccess;
use crate::error::ApiError;

/// Clocks of clients are this far off: LiveKit's value, so that tokens work here as they do there.
const LEEWAY_S: u64 = 60;
/// Longer tokens are refused unread: ours have a few hundred bytes.
const TOKEN_BYTES_MAX: usize = 16 * 1024;

/// What a token allows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Grants {
    /// Who the bearer is.
    pub sub: Option<String>,
    /// The grants of LiveKit's `video` claim.
    #[serde(deserialize_with = "or_default")]
    pub video: VideoGrants,
}

/// LiveKit's `video` claim, as far as it is used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct VideoGrants {
    /// May administer what comes in.
    #[serde(deserialize_with = "or_default")]
    pub ingress_admin: bool,
}

#[derive(Deserialize)]
struct Issuer {
    iss: String,
}

/// The API keys.
pub struct Keys {
    keys: BTreeMap<String, DecodingKey>,
    /// Verified against when the key is unknown, so that time does not tell which keys exist.
    nobody: DecodingKey,
    validation: Validation,
}

impl Keys {
    /// Takes the configured keys.
    pub fn new(keys: &BTreeMap<String, Secret>) -> Self {
        let decoding = |secret: &Secret| DecodingKey::from_secret(secret.expose().as_bytes());
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = LEEWAY_S;
        validation.validate_nbf = true;
        validation.validate_aud = false;
        validation.set_required_spec_claims(&["exp", "iss"]);
        Self {
            keys: keys.iter().map(|(key, secret)| (key.clone(), decoding(secret))).collect(),
            nobody: DecodingKey::from_secret(&[0; 32]),
            validation,
        }
    }

    /// What the token allows, if it is genuine and valid now.
    pub fn verify(&self, token: &str) -> Result<Grants, ApiError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(unauthorized("the token is too long"));
        }
        let issuer: Issuer = insecure_decode_claims(token)
            .map_err(|_| unauthorized("the token is not a JWT with an `iss`"))?;
        let key = self.keys.get(&issuer.iss);
        let decoded = decode::<Grants>(token, key.unwrap_or(&self.nobody), &self.validation);
        match (decoded, key) {
            (Ok(data), Some(_)) => Ok(data.claims),
            // Whether the key or its secret is wrong is nobody's business.
            (_, None) => Err(unauthorized("the token's key or signature is wrong")),
            (Err(error), Some(_)) => Err(unauthorized(match error.kind() {
                ErrorKind::ExpiredSignature => "the token has expired: make a new one",
                ErrorKind::ImmatureSignature => "the token is not valid yet: compare the clocks",
                ErrorKind::MissingRequiredClaim(_) => "the token has no `exp`",
                ErrorKind::InvalidAlgorithm => "the token is not signed with HS256",
                ErrorKind::InvalidSignature => "the token's key or signature is wrong",
                _ => "the token's claims cannot be read",
            })),
        }
    }
}

fn unauthorized(message: &str) -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, "unauthorized", message)
}

/// Admits requests that may administer ingress. Their [`Grants`] go along as an extension.
pub async fn require_ingress_admin(
    State(app): State<App>,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let token = bearer(request.headers()).ok_or_else(|| {
        unauthorized(
            "a token is needed: send Authorization: Bearer TOKEN (ringway token makes one)",
        )
    })?;
    let grants = app.keys.verify(token)?;
    if !grants.video.ingress_admin {
        let message =
            "the token lacks the grant video.ingressAdmin (ringway token --ingress-admin)";
        return Err(ApiError::new(StatusCode::FORBIDDEN, "permission_denied", message));
    }
    request.extensions_mut().insert(grants);
    Ok(next.run(request).await)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// Whether the headers carry the user name and password that `/metrics` wants, if it wants any.
pub fn may_read_metrics(access: &MetricsAccess, headers: &HeaderMap) -> bool {
    let (Some(username), Some(password)) = (&access.username, &access.password) else {
        return true;
    };
    let sent = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let basic = sent.and_then(|text| text.split_once(' '));
    let encoded = basic.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"));
    let decoded = encoded.and_then(|(_, text)| STANDARD.decode(text.trim()).ok());
    let expected = format!("{username}:{}", password.expose());
    decoded.is_some_and(|sent| same(&sent, expected.as_bytes()))
}

/// Compares without telling by its time where the first difference is.
fn same(a: &[u8], b: &[u8]) -> bool {
    let difference = a.iter().zip(b).fold(0u8, |all, (a, b)| std::hint::black_box(all | (a ^ b)));
    a.len() == b.len() && difference == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsonwebtoken::{EncodingKey, Header, encode, get_current_timestamp};
    use serde_json::{Value, json};

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn keys() -> Keys {
        Keys::new(&BTreeMap::from([("devkey".to_owned(), Secret::from(SECRET))]))
    }

    fn token(algorithm: Algorithm, secret: &str, claims: &Value) -> String {
        let key = EncodingKey::from_secret(secret.as_bytes());
        encode(&Header::new(algorithm), claims, &key).unwrap()
    }

    #[test]
    fn tokens() {
        let now = get_current_timestamp();
        let check = |algorithm, secret: &str, claims: Value, part: &str| {
            let result = keys().verify(&token(algorithm, secret, &claims));
            let told = result.err().map(|error| error.message).unwrap_or_default();
            let matches = if part.is_empty() { told.is_empty() } else { told.contains(part) };
            assert!(matches, "{claims}: {told}");
        };
        let (hs256, video) = (Algorithm::HS256, json!({"ingressAdmin": true}));
        let good = json!({"iss": "devkey", "exp": now + 60, "nbf": now, "video": video});
        let with = |key: &str, value: Value| {
            let mut claims = good.clone();
            claims[key] = value;
            claims
        };
        check(hs256, SECRET, good.clone(), "");
        check(hs256, SECRET, with("exp", json!(now - 30)), "");
        check(hs256, SECRET, with("video", Value::Null), "");
        check(hs256, SECRET, with("video", json!({"ingressAdmin": null})), "");
        check(hs256, SECRET, with("nbf", Value::Null), "");
        check(hs256, SECRET, with("nbf", json!(now + 30)), "");
        check(hs256, SECRET, with("exp", json!(now - 90)), "expired");
        check(hs256, SECRET, with("nbf", json!(now + 90)), "not valid yet");
        check(hs256, SECRET, with("exp", Value::Null), "the token");
        check(hs256, SECRET, with("iss", json!("other")), "key or signature");
        check(hs256, SECRET, with("iss", Value::Null), "not a JWT");
        check(hs256, SECRET, with("video", json!("x")), "cannot be read");
        check(hs256, "another-secret-that-is-long-enough", good.clone(), "key or signature");
        check(Algorithm::HS512, SECRET, good, "HS256");
    }

    #[test]
    fn grants_come_out() {
        let claims = json!({"iss": "devkey", "sub": "me", "exp": get_current_timestamp() + 9,
            "video": {"ingressAdmin": true, "roomJoin": true}, "metadata": "x"});
        let grants = keys().verify(&token(Algorithm::HS256, SECRET, &claims)).unwrap();
        let expect = Grants { sub: Some("me".into()), video: VideoGrants { ingress_admin: true } };
        assert_eq!(grants, expect);
        assert!(keys().verify("a.b.c").is_err());
        assert!(keys().verify("").is_err());
        assert!(keys().verify(&"x".repeat(20_000)).is_err());
    }

    #[test]
    fn metrics_access() {
        let closed =
            MetricsAccess { username: Some("u".into()), password: Some(Secret::from("p")) };
        let check = |access: &MetricsAccess, sent: Option<&str>, expect: bool| {
            let mut headers = HeaderMap::new();
            if let Some(sent) = sent {
                headers.insert(header::AUTHORIZATION, sent.parse().unwrap());
            }
            assert_eq!(may_read_metrics(access, &headers), expect, "{sent:?}");
        };
        check(&MetricsAccess::default(), None, true);
        check(&closed, None, false);
        check(&closed, Some("Basic dTpw"), true);
        check(&closed, Some("basic dTpw"), true);
        check(&closed, Some("Basic dTpx"), false);
        check(&closed, Some("Basic dTo="), false);
        check(&closed, Some("Bearer dTpw"), false);
        check(&closed, Some("Basic !"), false);
    }
}
