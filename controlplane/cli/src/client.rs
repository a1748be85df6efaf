//! The HTTP side: one request at a time to the control plane's API.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, anyhow};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use ureq::Agent;
use ureq::http::{Method, Request, Uri};
use ureq::tls::{PemItem, RootCerts, TlsConfig};

use crate::claims::Claims;
use crate::credentials::Credentials;
use crate::usage;

/// The server itself answers within 5 s or says 504.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Made anew for every request; long enough for clocks that differ a little.
const TOKEN_VALID: Duration = Duration::from_secs(120);
/// A page of the longest list stays far below.
const ANSWER_BYTES_MAX: u64 = 64 << 20;
/// Where Linux distributions keep the certificates that the machine trusts.
const CERTIFICATES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

/// What the server said was wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ServerError {
    /// HTTP status.
    #[serde(default)]
    pub(crate) status: u16,
    /// The kind of error, `snake_case`.
    #[serde(default)]
    pub(crate) code: String,
    /// What to do, for people.
    pub(crate) message: String,
    /// The field of the request that is to blame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) field: Option<String>,
}

impl std::fmt::Display for ServerError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)?;
        match &self.field {
            Some(field) => write!(f, " (field {field})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ServerError {}

/// Talks to one control plane.
pub(crate) struct Client {
    agent: Agent,
    base: String,
    credentials: Credentials,
}

impl Client {
    pub(crate) fn new(url: &str, credentials: Credentials) -> anyhow::Result<Self> {
        let base = check_url(url)?;
        Ok(Self { agent: agent(&base)?, base, credentials })
    }

    pub(crate) fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.send(Method::GET, path, None)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.send(Method::POST, path, Some(body))
    }

    pub(crate) fn patch(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.send(Method::PATCH, path, Some(body))
    }

    pub(crate) fn delete(&self, path: &str) -> anyhow::Result<Value> {
        self.send(Method::DELETE, path, None)
    }

    fn send(&self, method: Method, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
        let url = format!("{}{path}", self.base);
        let request = Request::builder()
            .method(method)
            .uri(&url)
            .header("authorization", format!("Bearer {}", self.token()?))
            .header("accept", "application/json");
        let answer = match body {
            Some(body) => {
                let request = request.header("content-type", "application/json");
                self.agent.run(request.body(body.to_string())?)
            }
            None => self.agent.run(request.body(())?),
        };
        let mut answer = answer.map_err(|error| self.unreachable(&error))?;
        let status = answer.status().as_u16();
        let text = answer
            .body_mut()
            .with_config()
            .limit(ANSWER_BYTES_MAX)
            .read_to_string()
            .with_context(|| format!("the answer of {url} broke off"))?;
        judge(status, &text, &url)
    }

    fn token(&self) -> anyhow::Result<String> {
        let mut claims = Claims::new(&self.credentials.key, SystemTime::now(), TOKEN_VALID);
        claims.video.ingress_admin = true;
        Ok(claims.sign(&self.credentials.secret)?)
    }

    fn unreachable(&self, error: &ureq::Error) -> anyhow::Error {
        let base = &self.base;
        match error {
            ureq::Error::Io(io) if io.kind() == std::io::ErrorKind::ConnectionRefused => anyhow!(
                "nothing listens at {base}; start the control plane (or `ringway dev`), or name \
                 the right address with --url"
            ),
            ureq::Error::HostNotFound => anyhow!("no host has the name in {base}"),
            ureq::Error::Timeout(_) => {
                anyhow!("{base} did not answer within {} s", TIMEOUT.as_secs())
            }
            other => anyhow!("cannot talk to {base}: {other}"),
        }
    }
}

/// The status of `GET /`, for waiting until a server is ready: no token, short patience.
pub(crate) fn health(base: &str, patience: Duration) -> Option<u16> {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(patience))
        .proxy(None)
        .build();
    let answer = config.new_agent().get(base).call().ok()?;
    Some(answer.status().as_u16())
}

/// The port of `url` if it names this machine's loopback.
pub(crate) fn loopback_port(url: &str) -> Option<u16> {
    let uri: Uri = url.parse().ok()?;
    let host = uri.host()?.trim_start_matches('[').trim_end_matches(']');
    let loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    let standard = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    loopback.then(|| uri.port_u16().unwrap_or(standard))
}

fn check_url(url: &str) -> anyhow::Result<String> {
    let wrong = || usage(format!("--url {url:?} is no address; write http://HOST:PORT"));
    let uri: Uri = url.parse().map_err(|_| wrong())?;
    let known = matches!(uri.scheme_str(), Some("http" | "https"));
    if !known || uri.host().is_none_or(str::is_empty) || uri.query().is_some() {
        return Err(wrong());
    }
    Ok(url.trim_end_matches('/').to_owned())
}

fn agent(base: &str) -> anyhow::Result<Agent> {
    let mut config = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(TIMEOUT))
        .max_redirects(0)
        .user_agent(concat!("ringway/", env!("CARGO_PKG_VERSION")));
    if loopback_port(base).is_some() {
        config = config.proxy(None);
    }
    if base.starts_with("https:") {
        let tls = TlsConfig::builder()
            .unversioned_rustls_crypto_provider(Arc::new(
                rustls::crypto::aws_lc_rs::default_provider(),
            ))
            .root_certs(trusted()?)
            .build();
        config = config.tls_config(tls);
    }
    Ok(config.build().new_agent())
}

/// The certificates that this machine trusts; `SSL_CERT_FILE` names others.
fn trusted() -> anyhow::Result<RootCerts> {
    let named = std::env::var("SSL_CERT_FILE").ok();
    let files = named.iter().map(String::as_str).chain(CERTIFICATES.iter().copied());
    let pem = files.filter_map(|file| std::fs::read(file).ok()).next().context(
        "no trusted certificates on this machine; install ca-certificates or set SSL_CERT_FILE",
    )?;
    let certificates = ureq::tls::parse_pem(&pem).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    let certificates: Vec<_> = certificates.collect();
    Ok(RootCerts::new_with_certs(&certificates))
}

/// The body of a good answer, or what the server says is wrong.
fn judge(status: u16, text: &str, url: &str) -> anyhow::Result<Value> {
    #[derive(Deserialize)]
    struct Envelope {
        error: ServerError,
    }
    if (200..300).contains(&status) {
        if text.trim().is_empty() {
            return Ok(Value::Null);
        }
        return serde_json::from_str(text)
            .map_err(|_| anyhow!("{url} answers, but not as a Ringway control plane"));
    }
    match serde_json::from_str::<Envelope>(text) {
        Ok(Envelope { error }) => Err(ServerError { status, ..error }.into()),
        Err(_) => Err(anyhow!(
            "{url} answers with status {status} and no explanation; is it a Ringway control plane?"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        let check = |status, text: &str, expect: Result<Value, &str>| {
            let got = judge(status, text, "http://x/y").map_err(|error| error.to_string());
            assert_eq!(got, expect.map_err(str::to_owned), "{status} {text}");
        };
        check(200, r#"{"a":1}"#, Ok(serde_json::json!({ "a": 1 })));
        check(204, "", Ok(Value::Null));
        check(200, "<html>", Err("http://x/y answers, but not as a Ringway control plane"));
        check(
            409,
            r#"{"error":{"code":"port_in_use","message":"Port 5.","field":"input.port"}}"#,
            Err("Port 5. (field input.port)"),
        );
        check(401, r#"{"error":{"code":"unauthorized","message":"Bad."}}"#, Err("Bad."));
        check(
            502,
            "Bad gateway",
            Err("http://x/y answers with status 502 and no explanation; is it a Ringway control \
                 plane?"),
        );
    }

    #[test]
    fn loopback_ports() {
        let check = |url: &str, expect| assert_eq!(loopback_port(url), expect, "{url}");
        check("http://127.0.0.1:7880", Some(7880));
        check("http://localhost:1/", Some(1));
        check("http://[::1]:7881", Some(7881));
        check("http://127.0.0.1", Some(80));
        check("https://localhost", Some(443));
        check("http://10.0.0.1:7880", None);
        check("not a url", None);
    }

    #[test]
    fn urls() {
        let check = |url: &str, expect: Option<&str>| {
            assert_eq!(check_url(url).ok().as_deref(), expect, "{url}");
        };
        check("http://a:1/", Some("http://a:1"));
        check("https://a/base", Some("https://a/base"));
        check("a:1", None);
        check("ws://a:1", None);
        check("http://a?b", None);
        check("", None);
    }
}
