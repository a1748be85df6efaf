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

/// Columns that a narrow terminal does without, the first one first; the details have them too.
const DISPENSABLE: [&str; 11] = [
    "BIT/S IN",
    "BIT/S OUT",
    "BUFFERS",
    "ENGINE",
    "CORE",
    "P99.9",
    "MAX",
    "FWD/DEST",
    "P50",
    "NS/PKT",
    "DROPS/S",
];

/// Columns of words; figures stand at the right of theirs.
const WORDS: [&str; 2] = ["SHARD", "ENGINE"];

/// Which columns of these widths fit into `room`, one column of space between two, in their order.
/// A figure that is cut reads as another figure, so columns are left out as a whole.
pub(super) fn columns_in(room: usize, widths: &[usize; HEADER.len()]) -> Vec<usize> {
    let mut columns: Vec<usize> = (0..HEADER.len()).collect();
    for name in DISPENSABLE {
        let width: usize = columns.iter().map(|column| widths[*column] + 1).sum();
        if width <= room + 1 {
            break;
        }
        columns.retain(|column| HEADER[*column] != name);
    }
    columns
}

/// Whether a column holds words.
pub(super) fn is_word(column: usize) -> bool {
    WORDS.contains(&HEADER[column])
}

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

/// What it is and what it has.
pub(super) fn place(boot: &Boot, rates: &ShardRates) -> String {
    let shard = boot.shards.get(rates.shard);
    let core = shard.and_then(|shard| shard.core).map_or(String::new(), |core| format!("{core}"));
    let engine = shard.map_or("", |shard| shard.engine.name());
    format!(
        "core {core}, {engine}; forwards {}, destinations {}",
        rates.forwards, rates.destinations
    )
}

/// How much goes through it.
pub(super) fn traffic(rates: &ShardRates) -> String {
    format!(
        "{}bit/s in, {}bit/s out, buffers {}/{}",
        short(rates.bits_in_per_s.round()),
        short(rates.bits_out_per_s.round()),
        rates.buffers_free,
        rates.buffers,
    )
}

/// How long packets took in the last interval.
pub(super) fn latency(rates: &ShardRates) -> String {
    let Some(latency) = &rates.latency else { return "nothing measured".to_owned() };
    format!(
        "P50 {}  P99 {}  P99.9 {}  MAX {}",
        micros(latency.p50_us),
        micros(latency.p99_us),
        micros(latency.p999_us),
        micros(latency.max_us),
    )
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
        us if us < 99.95 => format!("{us:.1}µs"),
        us if us < 999.5 => format!("{us:.0}µs"),
        us if us < 99_950.0 => format!("{:.1}ms", us / 1e3),
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
            "20.0ms",
            "4000/4096",
            "shard 0: heartbeat 12 ms ago\n",
            "  runs   5-8: 100.0%  (5.0 packets a send)\n",
            "  drops  ssrc: 3/s  full receive socket: 1/s\n",
        ] {
            assert!(page.contains(part), "{page}\nlacks {part:?}");
        }
    }

    #[test]
    fn times() {
        let check = |us: f64, expect: &str| assert_eq!(micros(us), expect, "{us}");
        check(0.0, "0.0µs");
        check(99.94, "99.9µs");
        check(99.96, "100µs");
        check(999.4, "999µs");
        check(999.6, "1.0ms");
        check(2048.0, "2.0ms");
        check(99_960.0, "100ms");
        check(1.5e6, "1500ms");
    }

    #[test]
    fn columns_are_left_out_as_a_whole() {
        let widths = HEADER.map(|name| name.len().max(6));
        let whole: usize = widths.iter().sum::<usize>() + HEADER.len() - 1;
        let names = |room| -> Vec<&str> {
            columns_in(room, &widths).into_iter().map(|column| HEADER[column]).collect()
        };
        assert_eq!(names(whole), HEADER);
        assert_eq!(names(whole - 1).len(), HEADER.len() - 1);
        assert!(!names(whole - 1).contains(&"BIT/S IN"));
        assert_eq!(names(0), ["SHARD", "IN/S", "OUT/S", "BUSY", "P99"]);
        for name in DISPENSABLE.iter().chain(&WORDS) {
            assert!(HEADER.contains(name), "{name}");
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
