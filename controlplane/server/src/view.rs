//! Forwards and destinations as JSON.

use std::net::{IpAddr, SocketAddr};

use ringway_room::spec::{Destination, Rtcp, Source};
use ringway_room::{DestinationId, ForwardId, View, patch};
use serde::Serialize;

use crate::link::{Delivered, Plane, Received};
use crate::timestamp::rfc3339;

/// A forward.
#[derive(Serialize)]
pub(crate) struct ForwardJson {
    id: ForwardId,
    name: String,
    state: &'static str,
    error: Option<String>,
    shard: u16,
    created_at: String,
    input: InputJson,
    destinations: Vec<DestinationJson>,
    stats: ReceivedJson,
}

#[derive(Serialize)]
struct InputJson {
    address: IpAddr,
    port: u16,
    rtcp: Rtcp,
    source: String,
    latch_silence_ms: Option<u32>,
    ssrc: Option<u32>,
}

/// A destination.
#[derive(Serialize)]
pub(crate) struct DestinationJson {
    id: DestinationId,
    address: IpAddr,
    port: u16,
    rtcp: Rtcp,
    ssrc: Option<u32>,
    payload_type: Option<u8>,
    contiguous: bool,
    shard: u16,
    stats: DeliveredJson,
}

#[derive(Serialize)]
struct ReceivedJson {
    packets: u64,
    bytes: u64,
    lost: u64,
    fraction_lost: f64,
    jitter: u64,
    rtcp_packets: u64,
    refused: u64,
    malformed: u64,
    ssrc: Option<u64>,
    payload_type: Option<u64>,
    source: Option<SocketAddr>,
    last_packet_at: Option<String>,
    source_changes: u64,
}

#[derive(Serialize)]
struct DeliveredJson {
    packets: u64,
    bytes: u64,
    dropped: u64,
    rtcp_packets: u64,
    reported: ReportedJson,
}

#[derive(Serialize)]
struct ReportedJson {
    fraction_lost: f64,
    lost: u64,
    jitter: u64,
    round_trip_us: Option<u64>,
    at: Option<String>,
}

/// The whole forward with the statistics of this moment.
pub(crate) fn forward(view: &View, plane: &Plane) -> ForwardJson {
    let forward = &view.forward;
    let slot = view.slot.and_then(|slot| plane.received(forward.shard, slot, forward.key));
    let destinations = forward.destinations.values();
    ForwardJson {
        id: forward.id,
        name: forward.name.clone(),
        state: view.state.word(),
        error: view.error.clone(),
        shard: forward.shard,
        created_at: rfc3339(forward.created_at_ms),
        input: InputJson {
            address: forward.input.address,
            port: forward.input.port,
            rtcp: forward.input.rtcp,
            source: patch::text_of(forward.input.policy.source),
            latch_silence_ms: match forward.input.policy.source {
                Source::Latch { silence_ms } => Some(silence_ms),
                Source::Any | Source::Address(_) | Source::Exact(_) => None,
            },
            ssrc: forward.input.policy.ssrc,
        },
        destinations: destinations.map(|to| destination(to, view, plane)).collect(),
        stats: received(slot.unwrap_or_default(), view.source),
    }
}

/// One destination of a forward with the statistics of this moment.
pub(crate) fn destination(to: &Destination, view: &View, plane: &Plane) -> DestinationJson {
    let slot = view.slots.get(&to.key);
    let stats = slot.and_then(|slot| plane.delivered(to.shard, *slot, to.key)).unwrap_or_default();
    DestinationJson {
        id: to.id,
        address: to.address,
        port: to.port,
        rtcp: to.rtcp,
        ssrc: to.ssrc,
        payload_type: to.payload_type,
        contiguous: to.contiguous,
        shard: to.shard,
        stats: delivered(stats),
    }
}

fn received(stats: Received, source: Option<SocketAddr>) -> ReceivedJson {
    ReceivedJson {
        packets: stats.packets,
        bytes: stats.bytes,
        lost: stats.lost,
        fraction_lost: stats.fraction_lost,
        jitter: stats.jitter,
        rtcp_packets: stats.rtcp_packets,
        refused: stats.refused,
        malformed: stats.malformed,
        ssrc: stats.stream.map(|(ssrc, _)| ssrc),
        payload_type: stats.stream.map(|(_, payload_type)| payload_type),
        source,
        last_packet_at: stats.last_packet_ms.map(rfc3339),
        source_changes: stats.source_changes,
    }
}

fn delivered(stats: Delivered) -> DeliveredJson {
    DeliveredJson {
        packets: stats.packets,
        bytes: stats.bytes,
        dropped: stats.dropped,
        rtcp_packets: stats.rtcp_packets,
        reported: ReportedJson {
            fraction_lost: stats.fraction_lost,
            lost: stats.lost,
            jitter: stats.jitter,
            round_trip_us: stats.round_trip_us,
            at: stats.reported_ms.map(rfc3339),
        },
    }
}
