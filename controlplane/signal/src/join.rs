//! What a client says when it comes: the query parameters of v0, or the join request of v1.

use std::collections::BTreeMap;
use std::io::Read;

use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use flate2::read::MultiGzDecoder;
use livekit_protocol::client_info::{Capability, Sdk};
use livekit_protocol::wrapped_join_request::Compression;
use livekit_protocol::{
    AddTrackRequest, ClientInfo, JoinRequest, SessionDescription, SyncState, WrappedJoinRequest,
};
use prost::Message;

/// The longest decoded join request, bytes. LiveKit's value.
pub const JOIN_BYTES_MAX: usize = 1 << 20;

/// Clients differ in whether they pad.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Why a client cannot be understood: HTTP 400 with this sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinError {
    /// v1 without a join request.
    #[error("join_request is required")]
    Missing,
    /// Not base64.
    #[error("cannot base64 decode wrapped join request")]
    NotBase64,
    /// Not a `WrappedJoinRequest`.
    #[error("cannot unmarshal wrapped join request")]
    NotWrapped,
    /// A compression that nobody has agreed on.
    #[error("unknown compression of the join request")]
    Compression,
    /// Longer than [`JOIN_BYTES_MAX`] when decoded.
    #[error("join request too large")]
    TooLong,
    /// Broken gzip.
    #[error("cannot read decompressed join request")]
    NotGzip,
    /// Not a `JoinRequest`.
    #[error("cannot unmarshal join request")]
    NotJoin,
    /// Attributes that are not base64 of a JSON object of strings.
    #[error("cannot decode attributes")]
    Attributes,
}

/// A client that wants its old session back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconnect {
    /// Its participant's sid.
    pub sid: String,
    /// LiveKit's `ReconnectReason`.
    pub reason: i32,
}

/// What a client says when it comes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Join {
    /// One peer connection for both directions (v1).
    pub single: bool,
    /// What the client is.
    pub client: ClientInfo,
    /// Subscribe to everything.
    pub auto_subscribe: bool,
    /// The same for data tracks; `None`: the server's default.
    pub auto_subscribe_data: Option<bool>,
    /// The client tells the sizes in which it shows videos.
    pub adaptive_stream: bool,
    /// Videos may be paused for want of bandwidth; `None`: the server's default.
    pub allow_pause: Option<bool>,
    /// Full ICE is asked for.
    pub disable_ice_lite: bool,
    /// Metadata that replaces the token's.
    pub metadata: String,
    /// Attributes that add to the token's.
    pub attributes: BTreeMap<String, String>,
    /// A publish-only session under another identity.
    pub publish: Option<String>,
    /// Tracks to publish at once.
    pub add_tracks: Vec<AddTrackRequest>,
    /// The publisher's first offer.
    pub offer: Option<SessionDescription>,
    /// The old session is wanted back.
    pub reconnect: Option<Reconnect>,
    /// What the old session had.
    pub sync_state: Option<SyncState>,
}

impl Join {
    /// Reads the query of `/rtc` (`needs_request` false) or `/rtc/v1` (true). Of a repeated name
    /// the first counts. `strict` refuses broken attributes, which `/rtc` itself ignores.
    pub fn from_query<'a>(
        query: impl IntoIterator<Item = (&'a str, &'a str)>,
        needs_request: bool,
        strict: bool,
    ) -> Result<Self, JoinError> {
        let mut values: BTreeMap<&str, &str> = BTreeMap::new();
        for (name, value) in query {
            values.entry(name).or_insert(value);
        }
        let value = |name: &str| values.get(name).copied().unwrap_or_default();
        match value("join_request") {
            "" if needs_request => Err(JoinError::Missing),
            "" => Self::from_values(value, strict),
            wrapped => Self::from_request(decode_request(wrapped)?),
        }
    }

    fn from_values<'a>(value: impl Fn(&str) -> &'a str, strict: bool) -> Result<Self, JoinError> {
        let optional = |name: &str| match value(name) {
            "" => None,
            text => Some(is_true(text)),
        };
        let attributes = match value("attributes") {
            "" => BTreeMap::new(),
            text => match decode_attributes(text) {
                Err(error) if strict => return Err(error),
                read => read.unwrap_or_default(),
            },
        };
        let reconnect = is_true(value("reconnect")).then_some(Reconnect {
            sid: value("sid").to_owned(),
            reason: value("reconnect_reason").parse().unwrap_or_default(),
        });
        Ok(Self {
            client: client_of(&value),
            auto_subscribe: optional("auto_subscribe").unwrap_or(true),
            auto_subscribe_data: optional("auto_subscribe_data_track"),
            adaptive_stream: is_true(value("adaptive_stream")),
            allow_pause: optional("subscriber_allow_pause"),
            disable_ice_lite: is_true(value("disable_ice_lite")),
            publish: Some(value("publish")).filter(|name| !name.is_empty()).map(str::to_owned),
            attributes,
            reconnect,
            ..Self::default()
        })
    }

    fn from_request(request: JoinRequest) -> Result<Self, JoinError> {
        let settings = request.connection_settings.unwrap_or_default();
        let reconnect = request.reconnect.then_some(Reconnect {
            sid: request.participant_sid,
            reason: request.reconnect_reason,
        });
        Ok(Self {
            single: true,
            client: request.client_info.unwrap_or_default(),
            auto_subscribe: settings.auto_subscribe,
            auto_subscribe_data: settings.auto_subscribe_data_track,
            adaptive_stream: settings.adaptive_stream,
            allow_pause: settings.subscriber_allow_pause,
            disable_ice_lite: settings.disable_ice_lite,
            metadata: request.metadata,
            attributes: request.participant_attributes.into_iter().collect(),
            publish: None,
            add_tracks: request.add_track_requests,
            offer: request.publisher_offer.filter(|offer| !offer.sdp.is_empty()),
            reconnect,
            sync_state: request.sync_state,
        })
    }
}

/// Reads base64url of a `WrappedJoinRequest`.
pub fn decode_request(text: &str) -> Result<JoinRequest, JoinError> {
    // Base64 makes 4 characters of 3 bytes; what is longer cannot hold an acceptable request.
    if text.len() > JOIN_BYTES_MAX / 3 * 4 + 1024 {
        return Err(JoinError::TooLong);
    }
    let bytes = BASE64.decode(text).map_err(|_| JoinError::NotBase64)?;
    unwrap_request(WrappedJoinRequest::decode(&bytes[..]).map_err(|_| JoinError::NotWrapped)?)
}

/// Takes the request out of its wrapping.
pub fn unwrap_request(wrapped: WrappedJoinRequest) -> Result<JoinRequest, JoinError> {
    let plain = match Compression::try_from(wrapped.compression) {
        Ok(Compression::None) => wrapped.join_request,
        Ok(Compression::Gzip) => inflate(&wrapped.join_request)?,
        Err(_) => return Err(JoinError::Compression),
    };
    if plain.len() > JOIN_BYTES_MAX {
        return Err(JoinError::TooLong);
    }
    JoinRequest::decode(&plain[..]).map_err(|_| JoinError::NotJoin)
}

/// Decompresses, at most one byte more than may be: a small bomb stays small.
fn inflate(compressed: &[u8]) -> Result<Vec<u8>, JoinError> {
    let mut plain = Vec::new();
    let reader = MultiGzDecoder::new(compressed);
    let read = reader.take(JOIN_BYTES_MAX as u64 + 1).read_to_end(&mut plain);
    read.map(|_| plain).map_err(|_| JoinError::NotGzip)
}

fn decode_attributes(text: &str) -> Result<BTreeMap<String, String>, JoinError> {
    let bytes = BASE64.decode(text).map_err(|_| JoinError::Attributes)?;
    serde_json::from_slice(&bytes).map_err(|_| JoinError::Attributes)
}

fn is_true(text: &str) -> bool {
    text == "1" || text == "true"
}

fn client_of<'a>(value: &impl Fn(&str) -> &'a str) -> ClientInfo {
    let text = |name: &str| value(name).to_owned();
    let names = value("capabilities").split(',').map(str::trim);
    let capabilities = names.filter_map(Capability::from_str_name).map(|known| known as i32);
    ClientInfo {
        sdk: sdk_of(value("sdk")) as i32,
        version: text("version"),
        protocol: value("protocol").parse().unwrap_or_default(),
        os: text("os"),
        os_version: text("os_version"),
        device_model: text("device_model"),
        browser: text("browser"),
        browser_version: text("browser_version"),
        network: text("network"),
        client_protocol: value("client_protocol").parse().unwrap_or_default(),
        capabilities: capabilities.collect(),
        ..ClientInfo::default()
    }
}

fn sdk_of(name: &str) -> Sdk {
    match name {
        "js" => Sdk::Js,
        "ios" | "swift" => Sdk::Swift,
        "android" => Sdk::Android,
        "flutter" => Sdk::Flutter,
        "go" => Sdk::Go,
        "unity" => Sdk::Unity,
        "reactnative" => Sdk::ReactNative,
        "rust" => Sdk::Rust,
        "python" => Sdk::Python,
        "cpp" => Sdk::Cpp,
        "unityweb" => Sdk::UnityWeb,
        "node" => Sdk::Node,
        "unreal" => Sdk::Unreal,
        "esp32" => Sdk::Esp32,
        "dotnet" => Sdk::Dotnet,
        _ => Sdk::Unknown,
    }
}

#[cfg(test)]
#[path = "join_tests.rs"]
mod tests;
