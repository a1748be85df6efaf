//! What the data plane publishes, read for metrics and statistics.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use ringway_abi::{Counter, PagesView, counters::Kind};

use super::translate;

/// Upper ends of the latency buckets, ns. Dense around the 150 µs that the 99th percentile may
/// take.
const LATENCY_BUCKETS_NS: [u64; 16] = [
    5_000,
    10_000,
    20_000,
    50_000,
    75_000,
    100_000,
    150_000,
    200_000,
    300_000,
    500_000,
    1_000_000,
    2_000_000,
    5_000_000,
    10_000_000,
    100_000_000,
    1_000_000_000,
];

/// What can be read of the data plane; empty while it is away.
#[derive(Clone, Default)]
pub struct Plane(Arc<Known>);

#[derive(Default)]
struct Known {
    view: RwLock<Option<Arc<PagesView>>>,
    /// Its ports for calls are open, or will not be.
    settled: AtomicBool,
}

/// What a forward has received.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Received {
    /// RTP packets accepted.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// RTP packets that did not come.
    pub lost: u64,
    /// Share of them since the last report, 0 to 1.
    pub fraction_lost: f64,
    /// Interarrival jitter, timestamp units.
    pub jitter: u64,
    /// RTCP datagrams accepted.
    pub rtcp_packets: u64,
    /// Packets that the policy refused.
    pub refused: u64,
    /// Packets that could not be parsed.
    pub malformed: u64,
    /// SSRC and payload type followed now, if a packet has come.
    pub stream: Option<(u64, u64)>,
    /// When the last RTP packet came, ms since the Unix epoch.
    pub last_packet_ms: Option<u64>,
    /// How often the source changed.
    pub source_changes: u64,
}

/// What a destination was sent and what it reported.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Delivered {
    /// RTP packets sent.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Packets dropped on the way.
    pub dropped: u64,
    /// RTCP datagrams sent.
    pub rtcp_packets: u64,
    /// Share lost that it reported last, 0 to 1.
    pub fraction_lost: f64,
    /// Packets lost that it reported last.
    pub lost: u64,
    /// Jitter that it reported last, timestamp units.
    pub jitter: u64,
    /// Round trip from its last report.
    pub round_trip_us: Option<u64>,
    /// When its last report came, ms since the Unix epoch.
    pub reported_ms: Option<u64>,
}

/// One counter or gauge of a shard.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Prometheus family.
    pub name: &'static str,
    /// What distinguishes it inside the family.
    pub label: Option<(&'static str, &'static str)>,
    /// Help text of the family.
    pub help: &'static str,
    /// It only grows.
    pub is_counter: bool,
    /// Its value.
    pub value: u64,
}

/// What is published about a shard.
#[derive(Clone, Debug)]
pub struct Shard {
    /// The core that it is pinned to.
    pub core: Option<u16>,
    /// How it talks to the kernel.
    pub engine: &'static str,
    /// How long ago it said that it lives; `None` if it never did.
    pub beat_age_s: Option<f64>,
    /// Its counters in the order of the table.
    pub metrics: Vec<Metric>,
    /// Packets by latency at most so many ns, cumulative.
    pub latency: Vec<(u64, u64)>,
    /// Packets measured.
    pub latency_count: u64,
    /// Their latency in all, ns.
    pub latency_sum_ns: f64,
}

impl Plane {
    pub(super) fn set(&self, view: Option<PagesView>) {
        self.0.settled.store(false, Ordering::Relaxed);
        *self.0.view.write().unwrap_or_else(PoisonError::into_inner) = view.map(Arc::new);
    }

    /// Whoever is told from now on that all works finds that it does.
    pub(super) fn settle(&self) {
        self.0.settled.store(true, Ordering::Relaxed);
    }

    fn view(&self) -> Option<Arc<PagesView>> {
        self.0.view.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the data plane has joined and lives.
    pub fn is_joined(&self) -> bool {
        self.view().is_some()
    }

    /// Whether it has also opened its ports for calls, as far as it ever will.
    pub fn is_settled(&self) -> bool {
        self.is_joined() && self.0.settled.load(Ordering::Relaxed)
    }

    /// Release of the data plane.
    pub fn version(&self) -> Option<String> {
        Some(self.view()?.boot().version.clone())
    }

    pub(super) fn beat_ns(&self, shard: u16) -> Option<u64> {
        Some(self.view()?.beat_ns(shard))
    }

    /// CPU time of the shard's thread.
    pub fn busy_ns(&self, shard: u16) -> Option<u64> {
        Some(self.view()?.counters(shard)?[Counter::BusyNs as usize])
    }

    /// Bytes of datagrams that all shards have received and sent.
    pub(super) fn bytes(&self) -> u64 {
        let Some(view) = self.view() else { return 0 };
        let shards = (0..view.boot().limits.shards).filter_map(|shard| view.counters(shard));
        let both = [Counter::BytesReceived as usize, Counter::BytesSent as usize];
        shards.map(|counters| both.iter().map(|at| counters[*at]).sum::<u64>()).sum()
    }

    /// Everything that the shards publish about themselves.
    pub fn shards(&self) -> Vec<Shard> {
        let Some(view) = self.view() else { return Vec::new() };
        (0..view.boot().limits.shards).map(|shard| describe(&view, shard)).collect()
    }

    /// The record of a forward.
    pub fn received(&self, shard: u16, slot: u32, key: u64) -> Option<Received> {
        let stats = self.view()?.forward(shard, slot, key)?;
        Some(Received {
            packets: stats.packets,
            bytes: stats.bytes,
            lost: stats.lost,
            fraction_lost: fraction(stats.fraction_lost),
            jitter: stats.jitter,
            rtcp_packets: stats.rtcp_packets,
            refused: stats.refused,
            malformed: stats.malformed,
            stream: (stats.packets > 0).then_some((stats.ssrc, stats.payload_type)),
            last_packet_ms: time_ms(stats.last_packet_ns),
            source_changes: stats.source_changes,
        })
    }

    /// The record of a destination.
    pub fn delivered(&self, shard: u16, slot: u32, key: u64) -> Option<Delivered> {
        let stats = self.view()?.destination(shard, slot, key)?;
        Some(Delivered {
            packets: stats.packets,
            bytes: stats.bytes,
            dropped: stats.dropped,
            rtcp_packets: stats.rtcp_packets,
            fraction_lost: fraction(stats.fraction_lost),
            lost: stats.lost,
            jitter: stats.jitter,
            round_trip_us: Some(stats.round_trip_us).filter(|us| *us != 0),
            reported_ms: time_ms(stats.last_report_ns),
        })
    }
}

fn describe(view: &PagesView, shard: u16) -> Shard {
    let boot = view.boot().shards.get(usize::from(shard));
    let beat_ns = Some(view.beat_ns(shard)).filter(|beat_ns| *beat_ns != 0);
    let counters = view.counters(shard);
    let metrics = counters.iter().flat_map(|values| {
        Counter::ALL.iter().zip(values).map(|(counter, value)| {
            let info = counter.info();
            let is_counter = info.kind == Kind::Counter;
            let (name, label, help) = (info.name, info.label, info.help);
            Metric { name, label, help, is_counter, value: *value }
        })
    });
    let mut described = Shard {
        core: boot.and_then(|shard| shard.core),
        engine: boot.map_or("unknown", |shard| shard.engine.name()),
        beat_age_s: beat_ns.map(|ns| translate::age_ns(ns) as f64 / 1e9),
        metrics: metrics.collect(),
        latency: Vec::new(),
        latency_count: 0,
        latency_sum_ns: 0.0,
    };
    if let Some(histogram) = view.latency(shard) {
        let mut through = 0;
        let mut rest = histogram.iter_recorded().peekable();
        for end_ns in LATENCY_BUCKETS_NS {
            // A recorded value stands for all that the histogram cannot tell from it.
            while let Some(value) = rest.next_if(|value| value.value_iterated_to() <= end_ns) {
                through += value.count_at_value();
            }
            described.latency.push((end_ns, through));
        }
        described.latency_count = histogram.len();
        described.latency_sum_ns = histogram.mean() * histogram.len() as f64;
    }
    described
}

/// RFC 3550 6.4.1: the fraction lost has the binary point at its left edge.
fn fraction(byte: u64) -> f64 {
    byte as f64 / 256.0
}

fn time_ms(unix_ns: u64) -> Option<u64> {
    (unix_ns != 0).then_some(unix_ns / 1_000_000)
}
