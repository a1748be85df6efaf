//! Seeds of the fuzz target `region`: memory as it really is, and slightly broken. From rubbish a
//! fuzzer takes long to find what passes the first check.
//!
//! They lie in `tests/fuzz/corpus/region`. A change of the contract makes them stale, which the
//! test here notices; it writes them anew when the environment says `RINGWAY_WRITE_SEEDS=1`.

use std::fs;
use std::path::Path;

use crate::boot::{Boot, BootShard, EngineKind, Limits};
use crate::counters::Counter;
use crate::handover::{self, JoinRefusal, Role};
use crate::hostile::{self, SLOTS};
use crate::lane::{Message, Receiver, Sender, lane_words};
use crate::latency::latency_histogram;
use crate::layout::HEADER_WORDS;
use crate::memory::Words;
use crate::message::{
    Bound, Command, DestinationSpec, Event, ForwardSpec, InputPolicy, Outcome, Refusal, Rewrite,
    RtcpInput, SourcePolicy,
};
use crate::pages::PagesOwner;
use crate::slot::SLOT_BYTES;
use crate::stats::{DestinationStats, ForwardStats};
use crate::sync::{LINE_WORDS, Ordering};

/// Where a lane's slots begin, bytes.
const SLOTS_AT: usize = 3 * LINE_WORDS * 8;

fn spec() -> ForwardSpec {
    let source = SourcePolicy::Exact("[2001:db8::1]:4000".parse().expect("an address"));
    ForwardSpec {
        key: 7,
        address: "::".parse().expect("an address"),
        rtp_port: 5004,
        rtcp: RtcpInput::Port(5009),
        policy: InputPolicy { source, ssrc: Some(9) },
    }
}

fn destination() -> DestinationSpec {
    let rtp = "192.0.2.1:6000".parse().expect("an address");
    let rewrite = Rewrite { ssrc: Some(1), payload_type: Some(96), contiguous: true };
    DestinationSpec { key: 8, shard: 0, rtp, rtcp: rtp, rewrite }
}

fn commands() -> [Command; 3] {
    [
        Command::CreateForward { request: 1, spec: spec() },
        Command::AddDestination { request: 2, forward: 7, spec: destination() },
        Command::Snapshot { request: 3 },
    ]
}

fn events() -> [Event; 3] {
    let at = "[::]:5004".parse().expect("an address");
    let bound = Bound { rtp: at, rtcp: at, stats_slot: 0 };
    let refused = Outcome::Refused { reason: Refusal::PortInUse, errno: 98 };
    [
        Event::ForwardIs { request: 1, spec: spec(), bound },
        Event::DestinationIs { request: 1, forward: 7, spec: destination(), stats_slot: 0 },
        Event::Done { request: 2, outcome: refused },
    ]
}

fn bytes_of(words: &Words) -> Vec<u8> {
    words.iter().flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes()).collect()
}

/// A lane with these messages in it.
fn lane<M: Message>(messages: &[M]) -> Vec<u8> {
    let words = Words::zeroed(lane_words::<M>(SLOTS));
    let mut sender = Sender::new(words.clone());
    messages.iter().for_each(|message| sender.try_send(message).expect("room"));
    bytes_of(&words)
}

/// The pages of a data plane with one shard, without their header.
fn pages() -> Vec<u8> {
    let boot = Boot {
        pid: 1,
        boot_id: 1,
        started_unix_ns: 1,
        version: "0".to_owned(),
        limits: Limits { shards: 1, forwards_per_shard: 1, destinations_per_shard: 1 },
        port_first: 30_000,
        port_last: 39_999,
        shards: vec![BootShard { core: Some(0), engine: EngineKind::Uring }],
    };
    let owner = PagesOwner::create(&boot).expect("memory");
    let mut shard = owner.shard(0);
    shard.beat(1);
    shard.publish_counters(&[5; Counter::COUNT]);
    shard.publish_forward(0, &ForwardStats { key: 1, packets: 9, ..ForwardStats::default() });
    let to = DestinationStats { key: 1, forward: 1, ..DestinationStats::default() };
    shard.publish_destination(0, &to);
    let mut histogram = latency_histogram();
    histogram.record_n(20_000, 99).expect("within its bounds");
    shard.publish_latency(&histogram);
    let mut bytes = bytes_of(owner.words());
    bytes.drain(..HEADER_WORDS * 8);
    bytes
}

/// The histogram alone, as its page holds it behind the length.
fn histogram() -> Vec<u8> {
    let mut histogram = latency_histogram();
    for ns in [1, 900, 20_000, 150_000, 9_000_000_000] {
        histogram.record_n(ns, ns).expect("within its bounds");
    }
    let mut encoder = crate::latency::Encoder::new();
    let words = encoder.encode(&histogram);
    let length = words[0] as usize;
    words[1..].iter().flat_map(|word| word.to_le_bytes()).take(length).collect()
}

fn packet(words: [u64; 8]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn with(mut bytes: Vec<u8>, changes: &[(usize, u8)]) -> Vec<u8> {
    changes.iter().for_each(|(at, byte)| bytes[*at] = *byte);
    bytes
}

fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let (commands, events) = (lane(&commands()), lane(&events()));
    let slot = |n: usize| SLOTS_AT + n * SLOT_BYTES;
    let histogram = histogram();
    // Word 3 of the boot page behind its sequence number.
    let shards_at = 8 + 3 * 8;
    vec![
        ("lane-of-commands", commands.clone()),
        ("lane-of-commands-wrong-tag", with(commands.clone(), &[(slot(0), 0x7f), (slot(1), 0xff)])),
        ("lane-of-commands-wrong-ends", with(commands, &[(slot(1) - 1, 9), (slot(2) - 1, 0x80)])),
        ("lane-of-events", events.clone()),
        ("lane-of-events-half-written", with(events, &[(slot(0) + 9, 0xff), (slot(1) + 17, 2)])),
        ("pages-of-one-shard", pages()),
        ("pages-that-claim-64-shards", with(pages(), &[(shards_at, 64)])),
        ("histogram", histogram.clone()),
        ("histogram-huge-counts", with(histogram.clone(), &[(41, 0xff), (42, 0xff), (43, 0xff)])),
        ("histogram-wrong-length", with(histogram, &[(7, 0xff)])),
        ("hello", packet(handover::hello(Role::Control))),
        ("welcome", packet(handover::welcome(64, 7))),
        ("refusal", packet(handover::refusal(JoinRefusal::ControlTaken { pid: 4711 }))),
    ]
}

fn find(name: &str) -> Vec<u8> {
    let found = seeds().into_iter().find(|(seed, _)| *seed == name);
    found.unwrap_or_else(|| panic!("no seed {name}")).1
}

#[test]
fn the_corpus_holds_them() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fuzz/corpus/region");
    let write = std::env::var_os("RINGWAY_WRITE_SEEDS").is_some();
    for (name, bytes) in seeds() {
        let path = folder.join(name);
        if write {
            fs::write(&path, &bytes).expect("write a seed");
        }
        let current = fs::read(&path).is_ok_and(|there| there == bytes);
        assert!(current, "seed {name} is stale: RINGWAY_WRITE_SEEDS=1 cargo test -p ringway-abi");
        hostile::all(&bytes);
    }
}

/// A seed that fails the first check is as good as rubbish.
#[test]
fn valid_ones_get_all_the_way() {
    let received = |name: &str| {
        let values: Vec<u64> = find(name)
            .chunks(8)
            .map(|bytes| u64::from_le_bytes(bytes.try_into().expect("whole words")))
            .collect();
        Words::from_values(&values)
    };
    let mut lane = Receiver::<Command>::new(received("lane-of-commands"));
    let said: Vec<Command> =
        std::iter::from_fn(|| lane.try_receive()).map(|command| command.expect("valid")).collect();
    assert_eq!(said, commands());
    let mut lane = Receiver::<Event>::new(received("lane-of-events"));
    let said: Vec<Event> =
        std::iter::from_fn(|| lane.try_receive()).map(|event| event.expect("valid")).collect();
    assert_eq!(said, events());
    let view = hostile::view_of(&find("pages-of-one-shard")).expect("good pages");
    assert_eq!(view.forward(0, 0, 1).map(|stats| stats.packets), Some(9));
    assert_eq!(view.latency(0).map(|histogram| histogram.len()), Some(99));
    assert!(hostile::view_of(&find("pages-that-claim-64-shards")).is_none());
}
