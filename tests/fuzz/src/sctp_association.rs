//! Two honest associations with a malicious network between them: it loses, doubles, reorders and
//! delays whatever it likes, and both may do anything at any time. What is reliable arrives once
//! and in order, what is lossy at most once, nobody ends for any reason but silence, and when the
//! network behaves at last, everything reliable has arrived.
//!
//! The input begins with an octet that says who connects, and goes on with steps of two octets:
//! which, and how.

use std::collections::{BTreeSet, VecDeque};

use ringway_sctp::{Association, Config, EndReason, Event, SendOptions, State};

/// Steps of one input, at most.
const MAX_STEPS: usize = 2_000;
/// Packets of one direction that the network holds, at most; more are lost.
const PACKETS_MAX: usize = 300;
/// What one association may hold, bytes: what waits to be sent and is under way, what came and was
/// not taken (in vectors that may be twice as large), and what it takes to know all that.
const HELD_MAX: usize = 2_000_000 + 3 * 400_000 + 1_000_000;
const MS: u64 = 1_000_000;

/// The first two streams are reliable, the last is unordered and not repeated.
const STREAMS: [SendOptions; 4] = [
    SendOptions { unordered: false, max_retransmissions: None, lifetime_ns: None },
    SendOptions { unordered: false, max_retransmissions: None, lifetime_ns: None },
    SendOptions { unordered: false, max_retransmissions: Some(1), lifetime_ns: Some(200 * MS) },
    SendOptions { unordered: true, max_retransmissions: Some(0), lifetime_ns: None },
];

/// Takes the steps of `data`.
pub fn sctp_association(data: &[u8]) {
    let Some((&first, rest)) = data.split_first() else { return };
    let mut world = World::new(first);
    for [kind, how] in rest.as_chunks::<2>().0.iter().take(MAX_STEPS) {
        world.take(*kind, *how);
        world.settle();
    }
    world.finish();
}

/// One association, and what its peer shall get.
struct End {
    association: Association,
    held: bool,
    ended: Option<EndReason>,
    /// By stream: how many messages were sent, and which arrived at the other.
    sent: [u32; STREAMS.len()],
    arrived: [BTreeSet<u32>; STREAMS.len()],
    /// Packets on their way from here.
    air: VecDeque<Vec<u8>>,
}

struct World {
    now_ns: u64,
    ends: [End; 2],
}

/// A message says which it is; the rest follows from that.
fn message(number: u32, len: usize) -> Vec<u8> {
    let mut bytes = number.to_be_bytes().to_vec();
    bytes.extend((0..len).map(|at| (at as u32 ^ number) as u8));
    bytes
}

impl World {
    fn new(first: u8) -> Self {
        let end = |number: u32| End {
            // TSNs that soon wrap.
            association: Association::new(0, Config::new(number, u32::MAX - 5 * number)),
            held: false,
            ended: None,
            sent: [0; STREAMS.len()],
            arrived: Default::default(),
            air: VecDeque::new(),
        };
        let mut world = Self { now_ns: 0, ends: [end(1), end(2)] };
        if first & 3 != 1 {
            world.ends[0].association.connect();
        }
        if first & 3 != 0 {
            world.ends[1].association.connect();
        }
        world.settle();
        // Some inputs begin when both know each other.
        if first & 4 != 0 {
            for _ in 0..8 {
                world.deliver(0);
                world.deliver(1);
            }
            assert!(world.ends.iter().all(|end| end.association.is_connected()));
        }
        world
    }

    fn take(&mut self, kind: u8, how: u8) {
        let from = usize::from(how & 1);
        match kind % 10 {
            0 | 1 => self.deliver(usize::from(kind & 1)),
            2 => drop(self.ends[from].air.pop_front()),
            3 => {
                let copy = self.ends[from].air.front().cloned();
                self.ends[from].air.extend(copy);
            }
            4 => self.ends[from].air.rotate_left(usize::from(self.ends[from].air.len() > 1)),
            5 => self.pass(u64::from(how) * u64::from(how) * MS / 16),
            6 | 7 => {
                let stream = usize::from(how >> 1 & 3);
                let len = usize::from(how >> 3) * if kind & 0x80 == 0 { 10 } else { 400 };
                self.send(from, stream, len);
            }
            8 => self.ends[from].association.reset_streams(&[u16::from(how >> 1 & 3)]),
            _ => self.ends[from].held = how & 2 != 0,
        }
    }

    fn deliver(&mut self, from: usize) {
        let Some(packet) = self.ends[from].air.pop_front() else { return };
        self.ends[1 - from].association.handle_packet(self.now_ns, &packet);
        self.settle();
    }

    fn pass(&mut self, ns: u64) {
        self.now_ns += ns;
        for end in &mut self.ends {
            if end.association.deadline().is_some_and(|at_ns| at_ns <= self.now_ns) {
                end.association.handle_timeout(self.now_ns);
            }
        }
    }

    fn send(&mut self, from: usize, stream: usize, len: usize) {
        let end = &mut self.ends[from];
        let payload = message(end.sent[stream], len);
        let options = STREAMS[stream];
        let sent = end.association.send(self.now_ns, stream as u16, 53, &payload, options);
        end.sent[stream] += u32::from(sent.is_ok());
    }

    /// What follows a step is taken.
    fn settle(&mut self) {
        for at in 0..2 {
            self.take_messages(at);
            let end = &mut self.ends[at];
            while let Some(event) = end.association.poll_event() {
                match event {
                    Event::Ended(reason) => end.ended = Some(reason),
                    Event::Restarted => panic!("nobody began anew"),
                    Event::Connected | Event::StreamsReset(_) => {}
                }
            }
            let mut out = Vec::new();
            while end.association.poll_packet(self.now_ns, &mut out) {
                assert!(out.len() <= 1_191, "a packet of {} octets", out.len());
                if end.air.len() < PACKETS_MAX {
                    end.air.push_back(std::mem::take(&mut out));
                }
            }
            assert!(end.association.held_bytes() < HELD_MAX);
            if end.association.state() == State::Ended {
                assert_eq!(end.association.deadline(), None);
                let reason = end.ended.expect("said");
                let silence = [EndReason::Dead, EndReason::Unanswered, EndReason::Aborted];
                assert!(silence.contains(&reason), "{reason:?}");
            }
        }
    }

    fn take_messages(&mut self, at: usize) {
        let [one, other] = &mut self.ends;
        let (end, sender) = if at == 0 { (one, other) } else { (other, one) };
        while !end.held
            && let Some(message_in) = end.association.poll_message()
        {
            let stream = usize::from(message_in.stream);
            let (head, rest) = message_in.payload.split_first_chunk::<4>().expect("a number");
            let number = u32::from_be_bytes(*head);
            assert!(number < sender.sent[stream], "it was sent");
            assert_eq!(message_in.payload, message(number, rest.len()), "it is whole");
            let arrived = &mut sender.arrived[stream];
            if !STREAMS[stream].unordered {
                assert!(arrived.last().is_none_or(|last| *last < number), "it is in order");
            }
            if STREAMS[stream].max_retransmissions.is_none() {
                assert_eq!(arrived.len() as u32, number, "none is left out");
            }
            assert!(arrived.insert(number), "it comes once");
        }
    }

    /// The network behaves.
    fn finish(&mut self) {
        self.ends.iter_mut().for_each(|end| end.held = false);
        self.settle();
        for _ in 0..5_000 {
            if self.ends.iter().any(|end| end.ended.is_some()) {
                return;
            }
            while self.ends.iter().any(|end| !end.air.is_empty()) {
                self.deliver(0);
                self.deliver(1);
            }
            let done = |end: &End| (0..2).all(|at| end.arrived[at].len() as u32 == end.sent[at]);
            if self.ends.iter().all(done) {
                return;
            }
            self.pass(50 * MS);
            self.settle();
        }
        panic!("what is reliable does not arrive");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_pass() {
        let mut world = World::new(4);
        for stream in 0..STREAMS.len() {
            world.send(0, stream, 5_000);
        }
        world.finish();
        assert!((0..STREAMS.len()).all(|at| world.ends[0].arrived[at].len() == 1));
    }
}
