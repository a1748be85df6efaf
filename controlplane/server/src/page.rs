//! The page that a browser gets at `/`: publishes by WHIP and plays the room back by WHEP, with
//! nothing but what this server serves.
//!
//! Its parts lie in `page/`, one noun per file, and become one document when the server starts.

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

const DOCUMENT: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
/// One module: later parts use the names of earlier ones.
const SCRIPT: &str = concat!(
    include_str!("page/server.js"),
    include_str!("page/session.js"),
    include_str!("page/source.js"),
    include_str!("page/figures.js"),
    include_str!("page/player.js"),
    include_str!("page/page.js"),
);
/// The page loads nothing, talks to nobody else, and stands in nobody else's frame.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
                      connect-src 'self'; media-src 'self' blob: mediastream:; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The document.
#[derive(Clone, Debug)]
pub struct Page(Arc<str>);

impl Page {
    /// Puts it together; one for `development` gets its tokens from this server.
    pub fn new(development: bool) -> Self {
        let mode = |name: &str| format!("data-mode=\"{name}\"");
        let mut document = DOCUMENT.to_owned();
        if development {
            document = document.replacen(&mode("production"), &mode("development"), 1);
        }
        let document = document.replacen("@style\n", STYLE, 1).replacen("@script\n", SCRIPT, 1);
        Self(document.into())
    }

    /// The answer to a browser.
    pub fn respond(&self, status: StatusCode) -> Response {
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
            (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
            (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
            (HeaderName::from_static("vary"), HeaderValue::from_static("Accept")),
        ];
        (status, headers, self.0.to_string()).into_response()
    }
}

/// Whether a person's browser asks. Load balancers, probes and curl take anything, and get text.
pub fn is_wanted(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut types = accepted.flat_map(|text| text.split(','));
    types.any(|one| {
        let essence = one.split(';').next().unwrap_or_default();
        essence.trim().eq_ignore_ascii_case("text/html")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_are_known_by_what_they_accept() {
        let check = |accept: &str, expect: bool| {
            let mut headers = HeaderMap::new();
            if !accept.is_empty() {
                headers.insert(header::ACCEPT, accept.parse().unwrap());
            }
            assert_eq!(is_wanted(&headers), expect, "{accept}");
        };
        check("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", true);
        check("application/xml, TEXT/HTML;q=0.9", true);
        // curl, kube-probe, load balancers.
        check("*/*", false);
        check("", false);
        check("text/plain", false);
        check("text/*", false);
    }

    #[test]
    fn the_document_is_whole() {
        for development in [false, true] {
            let Page(document) = Page::new(development);
            assert_eq!(document.contains("data-mode=\"development\""), development);
            assert_eq!(document.contains("data-mode=\"production\""), !development);
            assert!(!document.contains("@style") && !document.contains("@script"));
            // The page must work without any other network, and a string must not end its script.
            for forbidden in ["src=\"", "href=\"http", "import ", "url("] {
                assert!(!document.contains(forbidden), "{forbidden}");
            }
            assert_eq!(document.matches("</script").count(), 1);
            assert_eq!(document.matches("</style").count(), 1);
        }
    }
}
