//! Keys of LiveKit's `rtc` that do not exist here: whoever brings a file of LiveKit's is told why
//! each of them can go, one after the other.

use ringway_settings::SettingsError;

use super::ConfigError;

/// What can be said of several.
const BOUNDS: &str = "bounds of data channels are fixed (docs/data.md)";
const WAYS: &str = "clients are told of UDP, TCP and relays at once and take what works";
const NO_SWITCH: &str = "it is always so";
const NO_RECONNECT: &str = "nobody is made to reconnect for it";
const RATES: &str = "a subscriber's rate follows its own reports, and nothing is paused";

/// Keys, and why they do not exist.
const KEYS: &[(&str, &str)] = &[
    ("skip_external_ip_validation", "what STUN servers say is not tried out"),
    ("use_ice_lite", "clients that can do with ICE lite get it, others do not"),
    ("ips", "filter by rtc.interfaces, or name the addresses in rtc.node_ip"),
    ("use_mdns", "names of clients' own addresses are not looked up, and need not be"),
    ("use_stun_port_as_ice", "set rtc.udp_port"),
    ("batch_io", NO_SWITCH),
    ("sctp_min_cwnd", BOUNDS),
    ("sctp_fast_rtx_wnd", BOUNDS),
    ("sctp_cwnd_ca_step", BOUNDS),
    ("packet_buffer_size", "packets are kept for a second"),
    ("packet_buffer_size_video", "packets are kept for a second"),
    ("packet_buffer_size_audio", "packets are kept for a second"),
    ("pli_throttle", "of each layer a key frame is asked for at most once in 500 ms"),
    ("congestion_control", RATES),
    ("rtx_budget", RATES),
    ("allow_tcp_fallback", WAYS),
    ("tcp_fallback_rtt_threshold", WAYS),
    ("allow_udp_unstable_fallback", WAYS),
    ("reconnect_on_publication_error", NO_RECONNECT),
    ("reconnect_on_subscription_error", NO_RECONNECT),
    ("reconnect_on_data_channel_error", NO_RECONNECT),
    ("data_channel_max_buffered_amount", BOUNDS),
    ("datachannel_lossy_target_latency", BOUNDS),
    ("datachannel_data_track_target_latency", BOUNDS),
    ("forward_stats", "GET /metrics has them (docs/monitor.md)"),
    ("enable_rtp_stream_restart_detection", NO_SWITCH),
    ("strict_acks", "it has no use here"),
    ("enable_warp", "it is an experiment of LiveKit's"),
];

impl From<SettingsError> for ConfigError {
    /// Says more of keys that LiveKit has.
    fn from(error: SettingsError) -> Self {
        if let SettingsError::UnknownKey { place, key, .. } = &error
            && let Some(name) = key.strip_prefix("rtc.")
            && let Some(&(_, why)) = KEYS.iter().find(|(known, _)| *known == name)
        {
            return Self::LiveKit { place: place.clone(), key: key.clone(), why };
        }
        Self::Settings(error)
    }
}
