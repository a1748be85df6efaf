//! What all sessions of a server have in common, and what it tells every client of it.

use livekit_protocol as proto;
use livekit_protocol::server_info::Edition;
use ringway_sdp::EnabledCodec;

use crate::client::{Client, PROTOCOL};
use crate::wire::MESSAGE_BYTES_MAX;

/// The LiveKit release that clients shall take us for. Above 1.13.6, JavaScript clients may send
/// VP9 and AV1 as simulcast by rid.
pub const SERVER_VERSION: &str = "1.13.7";

/// The version of the protocol that agents' workers speak.
const AGENT_PROTOCOL: i32 = 1;
/// Seconds between a client's pings; LiveKit's value.
const PING_INTERVAL_S: i32 = 5;
/// Seconds without an answer after which a client reconnects; LiveKit's value.
const PING_TIMEOUT_S: i32 = 15;

/// Settings of a server.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Unix time when `now_ms` was 0, ms.
    pub unix_start_ms: u64,
    /// The name of this machine.
    pub node_id: String,
    /// Where this machine is.
    pub region: String,
    /// STUN servers, and others whose credentials are for everybody, that clients shall use.
    pub ice_servers: Vec<proto::IceServer>,
    /// `room.enabled_codecs`.
    pub enabled_codecs: Vec<proto::Codec>,
    /// The data plane can check too, for clients that cannot do with ICE lite.
    pub full_ice: bool,
    /// Clients may connect over TCP.
    pub ice_tcp: bool,
    /// `rtc.flexfec.upstream_enabled`: publishers may send FlexFEC repairs.
    pub flexfec: bool,
    /// `rtc.datachannel_slow_threshold`: senders of reliable messages wait for receivers that take
    /// at least so many bits a second; 0: for the fastest alone.
    pub slow_bps: u32,
    /// `limit.signal_message_size_limit`: the longest message of a client, bytes.
    pub message_bytes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        let codecs = [
            "audio/PCMU",
            "audio/PCMA",
            "audio/opus",
            "audio/red",
            "video/VP8",
            "video/H264",
            "video/VP9",
            "video/AV1",
            "video/H265",
            "video/rtx",
        ];
        let codec = |mime: &str| proto::Codec { mime: mime.to_owned(), ..Default::default() };
        Self {
            unix_start_ms: 0,
            node_id: String::new(),
            region: String::new(),
            ice_servers: Vec::new(),
            enabled_codecs: codecs.map(codec).to_vec(),
            full_ice: true,
            ice_tcp: true,
            flexfec: false,
            slow_bps: 0,
            message_bytes: MESSAGE_BYTES_MAX,
        }
    }
}

impl Settings {
    pub(crate) fn server_info(&self) -> proto::ServerInfo {
        proto::ServerInfo {
            edition: Edition::Standard as i32,
            version: SERVER_VERSION.to_owned(),
            protocol: PROTOCOL,
            region: self.region.clone(),
            node_id: self.node_id.clone(),
            agent_protocol: AGENT_PROTOCOL,
            ..proto::ServerInfo::default()
        }
    }

    /// The parts of a join response that do not depend on the room.
    pub(crate) fn join_response(&self, client: &Client) -> proto::JoinResponse {
        proto::JoinResponse {
            server_version: SERVER_VERSION.to_owned(),
            client_configuration: client.configuration(),
            server_region: self.region.clone(),
            ping_timeout: PING_TIMEOUT_S,
            ping_interval: PING_INTERVAL_S,
            server_info: Some(self.server_info()),
            enabled_publish_codecs: self.publish_codecs(client),
            ..proto::JoinResponse::default()
        }
    }

    pub(crate) fn reconnect_response(&self, client: &Client) -> proto::ReconnectResponse {
        proto::ReconnectResponse {
            client_configuration: client.configuration(),
            server_info: Some(self.server_info()),
            ..proto::ReconnectResponse::default()
        }
    }

    pub(crate) fn for_sdp(&self) -> Vec<EnabledCodec<'_>> {
        let codecs = self.enabled_codecs.iter();
        codecs
            .map(|codec| EnabledCodec { mime: &codec.mime, fmtp_line: &codec.fmtp_line })
            .collect()
    }

    /// Codecs that the client may publish, those that most can decode first, audio last.
    fn publish_codecs(&self, client: &Client) -> Vec<proto::Codec> {
        let disabled = client.configuration().and_then(|told| told.disabled_codecs);
        let disabled = disabled.unwrap_or_default();
        let off = |codec: &proto::Codec| {
            let mut all = disabled.codecs.iter().chain(&disabled.publish);
            all.any(|off| off.mime.eq_ignore_ascii_case(&codec.mime))
        };
        let place = |codec: &proto::Codec| match codec.mime.to_ascii_lowercase().as_str() {
            "video/vp8" => Some(0),
            "video/h264" => Some(1),
            "video/rtx" => None,
            mime if mime.starts_with("video/") => Some(2),
            _ => Some(3),
        };
        let mut codecs: Vec<_> = self.enabled_codecs.iter().filter(|codec| !off(codec)).collect();
        codecs.retain(|codec| place(codec).is_some());
        codecs.sort_by_key(|codec| place(codec));
        codecs.into_iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn publish_codecs_are_in_livekits_order() {
        let check = |browser: &str, expect: &[&str]| {
            let info = proto::ClientInfo { browser: browser.to_owned(), ..Default::default() };
            let codecs = Settings::default().publish_codecs(&Client { info });
            let mimes: Vec<_> = codecs.iter().map(|codec| codec.mime.as_str()).collect();
            assert_eq!(mimes, expect, "{browser}");
        };
        let audio = ["audio/PCMU", "audio/PCMA", "audio/opus", "audio/red"];
        let video = ["video/VP8", "video/H264", "video/VP9", "video/AV1", "video/H265"];
        check("chrome", &[&video[..], &audio].concat());
        check("firefox", &[&video[..3], &video[4..], &audio].concat());
    }
}
