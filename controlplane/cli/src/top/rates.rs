//! What happened between two looks at the shards. No clock and no shared memory here.

use hdrhistogram::Histogram;
use ringway_abi::counters::Counter;
use serde::Serialize;

/// A shard that has not beaten for so long is stuck.
const STUCK_MS: u64 = 1_000;

/// A look at all shards.
pub(crate) struct Sample {
    /// When, ns of CLOCK_MONOTONIC.
    pub(crate) taken_ns: u64,
    pub(crate) shards: Vec<ShardSample>,
}

/// A look at one shard.
pub(crate) struct ShardSample {
    /// Its last heartbeat, ns of CLOCK_MONOTONIC; 0 before the first.
    pub(crate) beat_ns: u64,
    /// None if the page could not be read.
    pub(crate) counters: Option<[u64; Counter::COUNT]>,
    /// Since the shard started; ns.
    pub(crate) latency: Option<Histogram<u64>>,
}

/// What one shard did in a second.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct ShardRates {
    pub(crate) shard: usize,
    pub(crate) packets_in_per_s: f64,
    pub(crate) packets_out_per_s: f64,
    pub(crate) bits_in_per_s: f64,
    pub(crate) bits_out_per_s: f64,
    /// CPU time per packet sent; None while nothing is sent.
    pub(crate) ns_per_packet: Option<f64>,
    /// Share of its core that the shard used.
    pub(crate) busy: f64,
    pub(crate) sends_per_s: f64,
    pub(crate) packets_per_send: Option<f64>,
    pub(crate) syscalls_per_s: f64,
    /// Share of the send operations by length of the run.
    pub(crate) runs: Vec<Share>,
    /// Packets dropped a second by reason, without the reasons that did not occur.
    pub(crate) drops_per_s: Vec<Rate>,
    /// Datagrams a second that the kernel dropped before the shard saw them.
    pub(crate) overflow_per_s: f64,
    pub(crate) latency: Option<Latency>,
    pub(crate) buffers_free: u64,
    pub(crate) buffers: u64,
    pub(crate) forwards: u64,
    pub(crate) destinations: u64,
    /// None before the first heartbeat.
    pub(crate) heartbeat_age_ms: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Share {
    pub(crate) packets: &'static str,
    pub(crate) share: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Rate {
    pub(crate) reason: &'static str,
    pub(crate) per_s: f64,
}

/// Kernel receive to send submitted, of the packets in between the looks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Latency {
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
    pub(crate) max_us: f64,
}

impl ShardRates {
    /// Whether the shard gives no sign of life.
    pub(crate) fn is_stuck(&self) -> bool {
        self.heartbeat_age_ms.is_none_or(|age| age > STUCK_MS)
    }

    /// Packets dropped a second, for whatever reason.
    pub(crate) fn dropped_per_s(&self) -> f64 {
        self.drops_per_s.iter().map(|rate| rate.per_s).sum::<f64>() + self.overflow_per_s
    }
}

/// The rates of every shard between two looks at the same data plane.
pub(crate) fn rates(before: &Sample, after: &Sample) -> Vec<ShardRates> {
    let seconds = after.taken_ns.saturating_sub(before.taken_ns) as f64 / 1e9;
    let shards = after.shards.iter().enumerate();
    shards
        .map(|(shard, now)| {
            let age_ns = (now.beat_ns > 0).then(|| after.taken_ns.saturating_sub(now.beat_ns));
            let mut rates = match (before.shards.get(shard), &now.counters) {
                (Some(then), Some(counters)) if seconds > 0.0 => {
                    between(then.counters.as_ref(), counters, seconds)
                }
                _ => ShardRates::default(),
            };
            rates.shard = shard;
            rates.heartbeat_age_ms = age_ns.map(|ns| ns / 1_000_000);
            let then = before.shards.get(shard).and_then(|s| s.latency.as_ref());
            rates.latency = now.latency.as_ref().and_then(|now| latency(then, now));
            rates
        })
        .collect()
}

fn between(
    then: Option<&[u64; Counter::COUNT]>,
    now: &[u64; Counter::COUNT],
    seconds: f64,
) -> ShardRates {
    let gauge = |counter: Counter| now[counter as usize];
    // Without a first look all that is known is where the counters stand.
    let grown = |counter: Counter| {
        then.map_or(0, |then| gauge(counter).saturating_sub(then[counter as usize])) as f64
    };
    let per_s = |counter| grown(counter) / seconds;
    let sent = grown(Counter::PacketsSent);
    let sends = grown(Counter::Sends);
    ShardRates {
        packets_in_per_s: per_s(Counter::PacketsReceived),
        packets_out_per_s: per_s(Counter::PacketsSent),
        bits_in_per_s: per_s(Counter::BytesReceived) * 8.0,
        bits_out_per_s: per_s(Counter::BytesSent) * 8.0,
        ns_per_packet: (sent > 0.0).then(|| grown(Counter::BusyNs) / sent),
        busy: per_s(Counter::BusyNs) / 1e9,
        sends_per_s: per_s(Counter::Sends),
        packets_per_send: (sends > 0.0).then(|| sent / sends),
        syscalls_per_s: per_s(Counter::Syscalls),
        runs: shares(&grown),
        drops_per_s: drops(&per_s),
        overflow_per_s: per_s(Counter::SocketOverflow),
        buffers_free: gauge(Counter::BuffersFree),
        buffers: gauge(Counter::BuffersTotal),
        forwards: gauge(Counter::Forwards),
        destinations: gauge(Counter::Destinations),
        ..ShardRates::default()
    }
}

/// The members of a counter family with the value of their label.
fn family(name: &str) -> impl Iterator<Item = (Counter, &'static str)> {
    let members = Counter::ALL.iter().filter(move |counter| counter.info().name == name);
    members.filter_map(|counter| Some((*counter, counter.info().label?.1)))
}

fn shares(grown: &dyn Fn(Counter) -> f64) -> Vec<Share> {
    let name = Counter::Runs1.info().name;
    let total: f64 = family(name).map(|(counter, _)| grown(counter)).sum();
    let share = |counter| if total > 0.0 { grown(counter) / total } else { 0.0 };
    family(name).map(|(counter, packets)| Share { packets, share: share(counter) }).collect()
}

fn drops(per_s: &dyn Fn(Counter) -> f64) -> Vec<Rate> {
    let mut drops: Vec<Rate> = family(Counter::DropShort.info().name)
        .map(|(counter, reason)| Rate { reason, per_s: per_s(counter) })
        .filter(|rate| rate.per_s > 0.0)
        .collect();
    drops.sort_by(|a, b| b.per_s.total_cmp(&a.per_s));
    drops
}

fn latency(then: Option<&Histogram<u64>>, now: &Histogram<u64>) -> Option<Latency> {
    let mut window = now.clone();
    if let Some(then) = then {
        // A histogram that shrank belongs to another start: then all of it is new.
        if window.subtract(then).is_err() {
            window = now.clone();
        }
    }
    let us = |quantile| window.value_at_quantile(quantile) as f64 / 1e3;
    (!window.is_empty()).then(|| Latency {
        p50_us: us(0.5),
        p99_us: us(0.99),
        p999_us: us(0.999),
        max_us: window.max() as f64 / 1e3,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(taken_ms: u64, set: &[(Counter, u64)]) -> Sample {
        let mut counters = [0; Counter::COUNT];
        for (counter, value) in set {
            counters[*counter as usize] = *value;
        }
        let taken_ns = taken_ms * 1_000_000;
        let shard = ShardSample { beat_ns: taken_ns, counters: Some(counters), latency: None };
        Sample { taken_ns, shards: vec![shard] }
    }

    #[track_caller]
    fn check(then: &[(Counter, u64)], now: &[(Counter, u64)], expect: ShardRates) {
        let runs = rates(&sample(1000, then), &sample(3000, now)).remove(0);
        let expect = ShardRates {
            heartbeat_age_ms: Some(0),
            runs: if expect.runs.is_empty() { runs.runs.clone() } else { expect.runs },
            ..expect
        };
        assert_eq!(runs, expect);
    }

    #[test]
    fn rates_are_per_second() {
        check(&[], &[], ShardRates::default());
        check(
            &[(Counter::PacketsReceived, 100), (Counter::PacketsSent, 0)],
            &[
                (Counter::PacketsReceived, 300),
                (Counter::BytesReceived, 1000),
                (Counter::PacketsSent, 2000),
                (Counter::BytesSent, 500),
                (Counter::Sends, 400),
                (Counter::BusyNs, 2_000_000),
                (Counter::Forwards, 3),
                (Counter::BuffersFree, 9),
            ],
            ShardRates {
                packets_in_per_s: 100.0,
                packets_out_per_s: 1000.0,
                bits_in_per_s: 4000.0,
                bits_out_per_s: 2000.0,
                ns_per_packet: Some(1000.0),
                busy: 0.001,
                sends_per_s: 200.0,
                packets_per_send: Some(5.0),
                forwards: 3,
                buffers_free: 9,
                ..ShardRates::default()
            },
        );
        // A counter that went back is no negative rate.
        check(&[(Counter::PacketsSent, 9)], &[], ShardRates::default());
    }

    #[test]
    fn drops_and_runs_by_name() {
        let now = [
            (Counter::DropSsrc, 2),
            (Counter::DropShardLane, 8),
            (Counter::Runs1, 1),
            (Counter::Runs8, 3),
        ];
        let got = rates(&sample(0, &[]), &sample(1000, &now)).remove(0);
        let drops: Vec<_> = got.drops_per_s.iter().map(|d| (d.reason, d.per_s)).collect();
        assert_eq!(drops, [("shard_lane", 8.0), ("ssrc", 2.0)]);
        let runs: Vec<_> =
            got.runs.iter().filter(|r| r.share > 0.0).map(|r| (r.packets, r.share)).collect();
        assert_eq!(runs, [("1", 0.25), ("5-8", 0.75)]);
    }

    #[test]
    fn latency_is_of_the_window() {
        let mut then = Histogram::<u64>::new(3).unwrap();
        then.record_n(1_000_000, 1000).unwrap();
        let mut now = then.clone();
        assert_eq!(latency(Some(&then), &now), None);
        now.record_n(20_000, 999).unwrap();
        now.record(80_000).unwrap();
        let got = latency(Some(&then), &now).unwrap();
        assert!((got.p50_us - 20.0).abs() < 0.1, "{got:?}");
        assert!((got.max_us - 80.0).abs() < 0.1, "{got:?}");
        assert!(latency(Some(&now), &then).unwrap().p50_us > 900.0);
        assert!(latency(None, &then).unwrap().p50_us > 900.0);
    }

    #[test]
    fn stuck_shards() {
        let check = |beat_ms: u64, expect| {
            let mut after = sample(5000, &[]);
            after.shards[0].beat_ns = beat_ms * 1_000_000;
            assert_eq!(rates(&sample(4000, &[]), &after)[0].is_stuck(), expect, "{beat_ms}");
        };
        check(0, true);
        check(3000, true);
        check(4900, false);
        check(9000, false);
    }

    #[test]
    fn unreadable_pages_are_no_rates() {
        let mut after = sample(5000, &[(Counter::PacketsSent, 1)]);
        after.shards[0].counters = None;
        assert_eq!(rates(&sample(4000, &[]), &after)[0].packets_out_per_s, 0.0);
        assert!(rates(&after, &Sample { taken_ns: 0, shards: vec![] }).is_empty());
    }
}
