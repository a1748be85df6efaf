//! A peer that knows the tags and numbers, and is hostile: nothing panics, and memory and work are
//! bounded.

use ringway_sctp::{Association, Config, EndReason, Event, SendOptions, State};

const MS: u64 = 1_000_000;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }
}

const OURS: u32 = 0x1111_0000;
const THEIRS: u32 = 0x2222_0000;
/// Near the wrap.
const FIRST_TSN: u32 = u32::MAX - 20;

/// An association, and its peer played by hand.
struct World {
    ours: Association,
    now_ns: u64,
    tag: u32,
    out: Vec<u8>,
    /// Payload that came out.
    taken: usize,
    ended: Option<EndReason>,
    resets: usize,
}

fn chunk(kind: u8, flags: u8, body: &[u8]) -> Vec<u8> {
    let mut chunk = vec![kind, flags];
    chunk.extend((body.len() as u16 + 4).to_be_bytes());
    chunk.extend(body);
    chunk.resize(chunk.len().next_multiple_of(4), 0);
    chunk
}

fn data(flags: u8, tsn: u32, stream: u16, ssn: u16, payload: &[u8]) -> Vec<u8> {
    let mut body = FIRST_TSN.wrapping_add(tsn).to_be_bytes().to_vec();
    body.extend(stream.to_be_bytes());
    body.extend(ssn.to_be_bytes());
    body.extend([0, 0, 0, 53]);
    body.extend(payload);
    chunk(0, flags, &body)
}

fn sack(cumulative: u32, window: u32, gaps: &[(u16, u16)]) -> Vec<u8> {
    let mut body = cumulative.to_be_bytes().to_vec();
    body.extend(window.to_be_bytes());
    body.extend((gaps.len() as u16).to_be_bytes());
    body.extend([0, 0]);
    for (from, to) in gaps {
        body.extend(from.to_be_bytes());
        body.extend(to.to_be_bytes());
    }
    chunk(3, 0, &body)
}

impl World {
    fn new() -> Self {
        Self::with(Config::new(OURS, FIRST_TSN))
    }

    fn with(config: Config) -> Self {
        let mut world = Self {
            ours: Association::new(0, config),
            now_ns: 0,
            tag: 0,
            out: Vec::new(),
            taken: 0,
            ended: None,
            resets: 0,
        };
        let mut init = THEIRS.to_be_bytes().to_vec();
        init.extend(1_000_000_u32.to_be_bytes());
        init.extend([4, 0, 4, 0]);
        init.extend(FIRST_TSN.to_be_bytes());
        // Forward TSN, resets and zero checksums.
        init.extend([0xc0, 0, 0, 4, 0x80, 8, 0, 6, 130, 192, 0, 0]);
        init.extend([0x80, 1, 0, 8, 0, 0, 0, 1]);
        world.receive(&[chunk(1, 0, &init)], true);
        assert!(world.ours.poll_packet(0, &mut world.out));
        // The cookie is behind the fixed part and the parameters of 4, 8 and 8 bytes.
        let answer = world.out.clone();
        let at = answer.windows(4).position(|four| four == [0, 7, 0, 40]).expect("a cookie");
        world.tag = OURS;
        world.receive(&[chunk(10, 0, &answer[at + 4..at + 40])], true);
        assert_eq!(world.ours.state(), State::Established);
        world.settle();
        world
    }

    fn packet(&self, chunks: &[Vec<u8>], summed: bool) -> Vec<u8> {
        let mut packet = vec![0x13, 0x88, 0x13, 0x88];
        packet.extend(self.tag.to_be_bytes());
        packet.extend([0; 4]);
        chunks.iter().for_each(|chunk| packet.extend(chunk));
        if summed {
            let sum = crc32c(&packet).to_le_bytes();
            packet[8..12].copy_from_slice(&sum);
        }
        packet
    }

    fn receive(&mut self, chunks: &[Vec<u8>], summed: bool) {
        let packet = self.packet(chunks, summed);
        self.ours.handle_packet(self.now_ns, &packet);
    }

    /// Chunks of a packet; what follows is taken.
    fn take(&mut self, chunks: &[Vec<u8>]) -> usize {
        self.receive(chunks, false);
        self.settle()
    }

    /// Gives how many packets followed.
    fn settle(&mut self) -> usize {
        while let Some(message) = self.ours.poll_message() {
            self.taken += message.payload.len();
        }
        let mut packets = 0;
        while self.ours.poll_packet(self.now_ns, &mut self.out) {
            assert!(self.out.len() <= 1_191, "a packet of {} bytes", self.out.len());
            packets += 1;
            assert!(packets <= 40, "{packets} packets after one step");
        }
        let mut events = 0;
        while let Some(event) = self.ours.poll_event() {
            events += 1;
            assert!(events <= 8);
            match event {
                Event::Ended(reason) => self.ended = Some(reason),
                Event::StreamsReset(_) => self.resets += 1,
                Event::Connected | Event::Restarted => {}
            }
        }
        packets
    }
}

/// RFC 9260 appendix A.
fn crc32c(bytes: &[u8]) -> u32 {
    let mut sum = !0_u32;
    for byte in bytes {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = sum >> 1 ^ if sum & 1 == 1 { 0x82f6_3b78 } else { 0 };
        }
    }
    !sum
}

#[test]
fn sums_are_checked_where_they_are_not_waived() {
    let hello = || data(3, 0, 1, 0, b"hello");
    let mut world = World::new();
    world.receive(&[hello()], true);
    world.settle();
    assert_eq!(world.taken, 5);
    for (waived, wrong, expect) in [(true, false, 5), (true, true, 0), (false, false, 0)] {
        let mut config = Config::new(OURS, FIRST_TSN);
        config.zero_checksum = waived;
        let mut world = World::with(config);
        let mut packet = world.packet(&[hello()], false);
        packet[8] = u8::from(wrong);
        world.ours.handle_packet(0, &packet);
        world.settle();
        assert_eq!(world.taken, expect, "waived {waived}, wrong {wrong}");
    }
}

#[test]
fn peers_that_break_rules_are_left() {
    let whole = |tsn, payload: &[u8]| data(3, tsn, 1, tsn as u16, payload);
    // (chunks of one packet, how it ends)
    for (name, chunks, expect) in [
        ("a message", vec![whole(0, b"a")], None),
        ("one without payload", vec![whole(0, b"")], Some(EndReason::Violation)),
        (
            "a fragment elsewhere",
            vec![data(2, 0, 1, 0, b"a"), data(1, 1, 2, 0, b"a")],
            Some(EndReason::Violation),
        ),
        (
            "a begun one that is not gone on with",
            vec![data(2, 0, 1, 0, b"a"), whole(1, b"b")],
            None,
        ),
        ("a stream that is not there", vec![data(3, 0, 1_024, 0, b"a")], None),
        ("half a DATA", vec![chunk(0, 3, &[0; 7])], Some(EndReason::Violation)),
        ("half a SACK", vec![chunk(3, 0, &[0; 7])], None),
        ("a SACK of what was not sent", vec![sack(FIRST_TSN + 9, 0, &[(1, 9)])], None),
        ("half a FORWARD TSN", vec![chunk(192, 0, &[0; 3])], None),
        ("half a RE-CONFIG", vec![chunk(130, 0, &[0, 13, 0, 9, 1])], None),
        ("an unknown one", vec![chunk(63, 0, &[1; 9]), chunk(255, 0, &[1; 9])], None),
        ("an ABORT", vec![chunk(6, 0, &[])], Some(EndReason::Aborted)),
        ("an INIT with a tag", vec![chunk(1, 0, &[1; 16])], None),
        ("an INIT ACK", vec![chunk(2, 0, &[1; 40])], None),
        ("a wrong cookie", vec![chunk(10, 0, &[1; 36])], None),
    ] {
        let mut world = World::new();
        world.take(&chunks);
        assert_eq!(world.ended, expect, "{name}");
    }
}

#[test]
fn fragments_that_make_no_message_are_bounded() {
    // In order, backwards, every second; towards one message, or towards none.
    for (name, order, flags, ends) in [
        ("rising", (|at, _| at) as fn(u32, u32) -> u32, 0, true),
        ("falling", |at, count| count - at, 0, false),
        ("every second", |at, _| 2 * at + 1, 0, false),
        ("begun again and again", |at, _| at, 2, true),
    ] {
        let mut world = World::new();
        for at in 0..60_000_u32 {
            let tsn = order(at, 60_000);
            world.receive(&[data(flags, tsn, 1, 0, &[7])], false);
            assert!(world.ours.held_bytes() < 2_000_000, "{name}");
            if at % 64 == 0 {
                world.settle();
            }
        }
        world.settle();
        assert_eq!(world.ended == Some(EndReason::TooMuch), ends, "{name}");
        assert_eq!(world.taken, 0, "{name}");
    }
}

#[test]
fn a_message_that_is_too_long_ends_it() {
    let mut world = World::new();
    for at in 0..300_u32 {
        world.take(&[data(if at == 0 { 2 } else { 0 }, at, 1, 0, &[7; 1_100])]);
    }
    assert_eq!(world.ended, Some(EndReason::TooMuch));
}

/// 300,000 fragments of one byte in messages of 4,000 each.
#[test]
fn tiny_fragments_are_cheap() {
    let mut world = World::new();
    let mut tsn = 0;
    for number in 0..75_u16 {
        for at in 0..4_000_u32 {
            let flags = if at == 0 { 2 } else { u8::from(at == 3_999) };
            world.receive(&[data(flags, tsn, 1, number, &[7])], false);
            tsn += 1;
        }
        world.settle();
    }
    assert_eq!((world.taken, world.ended), (300_000, None));
}

#[test]
fn messages_that_are_not_taken_close_the_window() {
    for len in [1, 100, 1_000] {
        let mut world = World::new();
        let mut accepted = 0;
        for tsn in 0..20_000 {
            let before = world.ours.refused();
            world.receive(&[data(3, tsn, 1, tsn as u16, &vec![7; len])], false);
            if world.ours.refused() > before {
                break;
            }
            accepted += 1;
        }
        assert!(accepted == 4_096 || accepted == 400 * 1_000 / len, "{accepted} of {len}");
        assert!(world.ours.poll_packet(0, &mut world.out));
        let at = world.out.windows(3).position(|three| three == [3, 0, 0]).expect("a SACK");
        assert_eq!(world.out[at + 8..at + 12], [0; 4], "the window is closed");
        world.settle();
        assert_eq!(world.taken, accepted * len);
        world.take(&[data(3, accepted as u32, 1, accepted as u16, &vec![7; len])]);
        assert_eq!((world.taken, world.ended), ((accepted + 1) * len, None));
    }
}

/// Lossy messages whose rest never comes are forgotten when the peer goes on.
#[test]
fn what_the_peer_gave_up_is_forgotten() {
    let mut world = World::new();
    for round in 0..5_000_u32 {
        let tsn = round * 4;
        world.take(&[data(6, tsn, 1, 0, &[7; 300]), data(4, tsn + 2, 1, 0, &[7; 300])]);
        let forward = FIRST_TSN.wrapping_add(tsn + 3).to_be_bytes();
        world.take(&[chunk(192, 0, &forward)]);
        assert!(world.ours.held_bytes() < 10_000);
    }
    assert_eq!(world.ended, None);
    world.take(&[data(3, 20_000, 1, 0, b"there")]);
    assert_eq!(world.taken, 5);
}

#[test]
fn sacks_without_order_cost_little_and_break_nothing() {
    let mut world = World::new();
    let mut random = Random(1);
    for round in 0..3_000_u32 {
        let _ = world.ours.send(world.now_ns, 1, 53, &[7; 40], SendOptions::default());
        let gaps: Vec<(u16, u16)> =
            (0..200).map(|_| (random.below(300) as u16, random.below(300) as u16)).collect();
        let cumulative = FIRST_TSN.wrapping_add((random.below(u64::from(round) + 2)) as u32);
        world.take(&[sack(cumulative.wrapping_sub(1), random.next() as u32, &gaps)]);
        world.now_ns += MS;
    }
    assert!(world.ended.is_none() && world.ours.held_bytes() < 2_000_000);
}

/// A clock that stands still measures a round trip of nothing; [`World::settle`] ends all the same,
/// also where what waits behind finds no window.
#[test]
fn what_is_given_up_is_told_once_an_instant() {
    let mut world = World::new();
    world.ours.send(0, 1, 53, b"there", SendOptions::default()).expect("taken");
    assert_eq!(world.settle(), 1);
    world.take(&[sack(FIRST_TSN, 0, &[])]);
    let once = SendOptions { max_retransmissions: Some(0), ..SendOptions::default() };
    world.ours.send(0, 1, 53, b"lost", once).expect("taken");
    let told = |world: &World| world.out.windows(4).any(|four| four == [192, 0, 0, 12]);
    while !told(&world) {
        world.now_ns = world.ours.deadline().expect("it may be lost");
        world.ours.handle_timeout(world.now_ns);
        world.settle();
    }
    for _ in 0..50 {
        world.ours.send(world.now_ns, 1, 53, &[7; 1_000], SendOptions::default()).expect("taken");
        world.settle();
        world.take(&[sack(FIRST_TSN, 0, &[])]);
        world.now_ns += 1;
    }
}

/// Requests in numbers; one is answered each, and the events do not pile up.
#[test]
fn resets_are_bounded() {
    let mut world = World::new();
    for round in 0..2_000_u32 {
        let mut body = vec![0, 13, 0, 18];
        body.extend(FIRST_TSN.wrapping_add(round).to_be_bytes());
        body.extend([0; 4]);
        body.extend(FIRST_TSN.wrapping_sub(1).to_be_bytes());
        body.extend([0, (round % 200) as u8, 0, 0]);
        world.receive(&[chunk(130, 0, &body)], false);
        if round % 50 == 0 {
            world.settle();
        }
    }
    world.settle();
    assert!(world.resets > 0 && world.resets <= 41, "{}", world.resets);
    assert!(world.ours.held_bytes() < 10_000);
}

/// Whole chunks with random fields, near enough to be believed; then random bytes.
#[test]
fn nothing_panics() {
    let kinds = [0, 0, 0, 0, 0, 1, 2, 3, 3, 3, 4, 5, 6, 7, 8, 9, 10, 11, 14, 130, 130, 192, 192];
    for seed in 0..1_500 {
        let mut random = Random(seed);
        let mut world = World::new();
        for _ in 0..random.below(60) {
            let mut chunks = Vec::new();
            for _ in 0..1 + random.below(4) {
                let kind = kinds[random.below(kinds.len() as u64) as usize];
                let kind = if kind == 6 && random.below(20) > 0 { 0 } else { kind };
                let near = FIRST_TSN.wrapping_add(random.below(40) as u32).wrapping_sub(4);
                let mut body = near.to_be_bytes().to_vec();
                if kind == 130 {
                    let name = 13 + random.below(6) as u8;
                    body = vec![0, name, 0, 4 + random.below(30) as u8];
                    body.extend(near.to_be_bytes());
                    body.extend(near.to_be_bytes());
                    body.extend(near.to_be_bytes());
                }
                // Half a DATA ends it: seldom.
                let least = if kind == 0 && random.below(50) > 0 { 9 } else { 0 };
                let len = least + random.below(40);
                body.extend((0..len).map(|_| random.below(4) as u8));
                // Whole messages mostly: fragments that do not fit end it too.
                let whole = if kind == 0 && random.below(4) > 0 { 3 } else { 0 };
                chunks.push(chunk(kind, random.below(16) as u8 | whole, &body));
            }
            let mut packet = world.packet(&chunks, false);
            if random.below(4) == 0 {
                let at = random.below(packet.len() as u64) as usize;
                packet[at] = random.next() as u8;
                packet.truncate(packet.len() - random.below(8) as usize);
            }
            world.ours.handle_packet(world.now_ns, &packet);
            if random.below(3) == 0 {
                let options = SendOptions {
                    unordered: random.below(2) == 0,
                    max_retransmissions: (random.below(2) == 0).then_some(0),
                    lifetime_ns: (random.below(2) == 0).then(|| random.below(300) * MS),
                };
                let len = random.below(5_000) as usize;
                let stream = random.below(4) as u16;
                let _ = world.ours.send(world.now_ns, stream, 53, &vec![7; len], options);
            }
            if random.below(9) == 0 {
                world.ours.reset_streams(&[random.below(4) as u16]);
            }
            world.settle();
            let most = random.below(2_000);
            world.now_ns += random.below(most) * MS;
            if world.ours.deadline().is_some_and(|at_ns| at_ns <= world.now_ns) {
                world.ours.handle_timeout(world.now_ns);
            }
            world.settle();
            assert!(world.ours.held_bytes() < 3_000_000, "seed {seed}");
            if world.ended.is_some() {
                assert_eq!(world.ours.deadline(), None, "seed {seed}");
            }
        }
    }
}

#[test]
fn many_tiny_messages_wait_cheaply() {
    let mut world = World::new();
    let options = SendOptions::default();
    for _ in 0..32_000 {
        world.ours.send(0, 1, 53, &[7; 8], options).expect("taken");
    }
    assert_eq!(world.ours.buffered_bytes(1), 256_000);
    let mut acknowledged = FIRST_TSN.wrapping_sub(1);
    for _ in 0..4_000 {
        world.settle();
        // The TSN of the last chunk that went; all are 24 bytes long.
        if let Some(at) = world.out.len().checked_sub(20)
            && world.out[at - 4] == 0
        {
            acknowledged = u32::from_be_bytes(world.out[at..at + 4].try_into().expect("four"));
        }
        world.now_ns += MS;
        world.receive(&[sack(acknowledged, 1_000_000, &[])], false);
    }
    assert_eq!(world.ours.buffered_bytes(1), 0);
    assert_eq!(acknowledged, FIRST_TSN.wrapping_add(31_999));
    assert!(world.ours.held_bytes() < 5_000, "{}", world.ours.held_bytes());
}
