//! The rates as lines of text: what `--once` prints and the live view is made of.

use ringway_abi::Boot;

use crate::table::{Table, short};
use crate::top::rates::ShardRates;

/// Columns of the shards' table.
pub(super) const HEADER: [&str; 16] = [
    "SHARD",
    "CORE",
    "ENGINE",
    "IN/S",
    "OUT/S",
    "BIT/S IN",
    "BIT/S OUT",
    "NS/PKT",
    "BUSY",
    "DROPS/S",
    "P50",
    "P99",
    "P99.9",
    "MAX",
    "BUFFERS",
    "FWD/DEST",
];

/// One line on the data plane as a whole.
pub(super) fn headline(boot: &Boot) -> String {
    format!(
        "ringway-dataplane {}  pid {}  boot {:016x}  shards {}",
        boot.version.chars().filter(|c| !c.is_control()).collect::<String>(),
        boot.pid,
        boot.boot_id,
        boot.shards.len(),
    )
}

/// The cells of one shard, in the order of [`HEADER`].
pub(super) fn cells(boot: &Boot, rates: &ShardRates) -> [String; HEADER.len()] {
    let shard = boot.shards.get(rates.shard);
    let us = |pick: fn(&crate::top::rates::Latency) -> f64| {
        rates.latency.as_ref().map(|latency| micros(pick(latency))).unwrap_or_default()
    };
    [
        rates.shard.to_string(),
        shard.and_then(|shard| shard.core).map(|core| core.to_string()).unwrap_or_default(),
        shard.map(|shard| shard.engine.name().to_owned()).unwrap_or_default(),
        short(rates.packets_in_per_s.round()),
        short(rates.packets_out_per_s.round()),
        short(rates.bits_in_per_s.round()),
        short(rates.bits_out_per_s.round()),
        rates.ns_per_packet.map(|ns| format!("{ns:.0}")).unwrap_or_default(),
        format!("{:.0}%", rates.busy * 100.0),
        short(rates.dropped_per_s().round()),
        us(|latency| latency.p50_us),
        us(|latency| latency.p99_us),
        us(|latency| latency.p999_us),
        us(|latency| latency.max_us),
        format!("{}/{}", rates.buffers_free, rates.buffers),
        format!("{}/{}", rates.forwards, rates.destinations),
    ]
}

/// How long the runs were: `1: 25%  5-8: 75%  (4.2 packets a send)`.
pub(super) fn runs(rates: &ShardRates) -> String {
    let runs = rates.runs.iter().filter(|run| run.share >= 0.0005);
    let mut parts: Vec<String> =
        runs.map(|run| format!("{}: {:.1}%", run.packets, run.share * 100.0)).collect();
    if let Some(mean) = rates.packets_per_send {
        parts.push(format!("({mean:.1} packets a send)"));
    }
    if parts.is_empty() { "nothing sent".to_owned() } else { parts.join("  ") }
}

/// What was dropped and why.
pub(super) fn drops(rates: &ShardRates) -> String {
    let drops = rates.drops_per_s.iter();
    let mut parts: Vec<String> =
        drops.map(|drop| format!("{}: {}/s", drop.reason, short(drop.per_s.round()))).collect();
    if rates.overflow_per_s > 0.0 {
        parts.push(format!("full receive socket: {}/s", short(rates.overflow_per_s.round())));
    }
    if parts.is_empty() { "none".to_owned() } else { parts.join("  ") }
}

/// How alive the shard is.
pub(super) fn pulse(rates: &ShardRates) -> String {
    match rates.heartbeat_age_ms {
        None => "no heartbeat yet".to_owned(),
        Some(age_ms) if rates.is_stuck() => format!("STUCK: no heartbeat for {age_ms} ms"),
        Some(age_ms) => format!("heartbeat {age_ms} ms ago"),
    }
}

/// Everything at once.
pub(super) fn page(boot: &Boot, rates: &[ShardRates]) -> String {
    let mut table = Table::new(&HEADER);
    let mut details = String::new();
    for rates in rates {
        table.row(cells(boot, rates));
        details += &format!(
            "\nshard {}: {}\n  runs   {}\n  drops  {}\n",
            rates.shard,
            pulse(rates),
            runs(rates),
            drops(rates),
        );
    }
    format!("{}\n\n{}{details}", headline(boot), table.render())
}

fn micros(us: f64) -> String {
    match us {
        us if us < 100.0 => format!("{us:.1}µs"),
        us if us < 10_000.0 => format!("{us:.0}µs"),
        us => format!("{:.0}ms", us / 1e3),
    }
}

#[cfg(test)]
mod tests {
    use ringway_abi::{BootShard, EngineKind, Limits};

    use super::*;
    use crate::top::rates::{Latency, Rate, Share};

    fn boot() -> Boot {
        Boot {
            pid: 7,
            boot_id: 0xabc,
            started_unix_ns: 0,
            version: "1.2.3".into(),
            limits: Limits { shards: 1, forwards_per_shard: 1, destinations_per_shard: 1 },
            port_first: 1,
            port_last: 2,
            shards: vec![BootShard { core: Some(3), engine: EngineKind::Plain }],
        }
    }

    #[test]
    fn a_busy_shard() {
        let rates = ShardRates {
            packets_out_per_s: 12_345.0,
            ns_per_packet: Some(1234.5),
            busy: 0.5,
            packets_per_send: Some(5.0),
            runs: vec![Share { packets: "5-8", share: 1.0 }],
            drops_per_s: vec![Rate { reason: "ssrc", per_s: 3.0 }],
            overflow_per_s: 1.0,
            latency: Some(Latency { p50_us: 9.0, p99_us: 120.0, p999_us: 130.0, max_us: 2e4 }),
            buffers_free: 4000,
            buffers: 4096,
            heartbeat_age_ms: Some(12),
            ..ShardRates::default()
        };
        let page = page(&boot(), &[rates]);
        for part in [
            "ringway-dataplane 1.2.3  pid 7  boot 0000000000000abc  shards 1",
            "12.3k",
            " 50% ",
            "9.0µs",
            "120µs",
            "20ms",
            "4000/4096",
            "shard 0: heartbeat 12 ms ago\n",
            "  runs   5-8: 100.0%  (5.0 packets a send)\n",
            "  drops  ssrc: 3/s  full receive socket: 1/s\n",
        ] {
            assert!(page.contains(part), "{page}\nlacks {part:?}");
        }
    }

    #[test]
    fn an_idle_and_a_stuck_shard() {
        let page = page(&boot(), &[ShardRates::default()]);
        assert!(page.contains("no heartbeat yet"), "{page}");
        assert!(page.contains("runs   nothing sent\n  drops  none\n"), "{page}");
        let stuck = ShardRates { heartbeat_age_ms: Some(5000), ..ShardRates::default() };
        assert_eq!(pulse(&stuck), "STUCK: no heartbeat for 5000 ms");
    }
}
