//! `GET /openapi.json`: the description of the API, for people and generators.

use axum::Router;
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;

use crate::app::App;

/// The document, as written by hand in `openapi.json`.
pub const DOCUMENT: &str = include_str!("openapi.json");

/// The paths of this API.
pub fn routes() -> Router<App> {
    Router::new().route("/openapi.json", get(document))
}

async fn document() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringway_room::draft::{DestinationPatch, DestinationsDraft, ForwardDraft, ForwardPatch};
    use serde_json::Value;

    /// Every example of a request is one that the parser takes.
    #[test]
    fn examples_are_requests() {
        let document: Value = serde_json::from_str(DOCUMENT).unwrap();
        let mut seen = 0;
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let content = &operation["requestBody"]["content"]["application/json"];
                let examples = content["examples"].as_object();
                for (name, example) in examples.into_iter().flatten() {
                    let text = example["value"].to_string();
                    let bytes = text.as_bytes();
                    let many = crate::json::has_key(bytes, "destinations");
                    let one = || crate::json::parse::<ringway_room::draft::DestinationDraft>(bytes);
                    let result = match (path.contains("destinations"), method.as_str()) {
                        (false, "post") => crate::json::parse::<ForwardDraft>(bytes).err(),
                        (false, _) => crate::json::parse::<ForwardPatch>(bytes).err(),
                        (true, "patch") => crate::json::parse::<DestinationPatch>(bytes).err(),
                        _ if many => crate::json::parse::<DestinationsDraft>(bytes).err(),
                        _ => one().err(),
                    };
                    assert_eq!(result, None, "{method} {path} {name}");
                    seen += 1;
                }
            }
        }
        assert!(seen >= 6, "only {seen} examples");
    }

    #[test]
    fn the_version_is_this_release() {
        let document: Value = serde_json::from_str(DOCUMENT).unwrap();
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    }
}
