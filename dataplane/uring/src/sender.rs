//! From a batch to the kernel: the same for every engine that sends through sockets.
//!
//! Runs become messages; refused messages become [`Failure`]s, or, when only the segmentation was
//! refused, single packets. The engine's own part is to hand messages over ([`Carrier`]).

use crate::batch::{Batch, Run, SocketId};
use crate::gso::{GsoRefusals, may_be_refusal};
use crate::outbox::{OUTBOX_MESSAGES, Outbox, Refused};
use crate::pool::PoolTable;
use crate::tally::{Failure, Tally};

/// How an engine hands messages to the kernel.
pub(crate) trait Carrier {
    /// Whether the socket is attached.
    fn is_attached(&self, socket: SocketId) -> bool;

    /// Hands over every message of the outbox, in order, and names those which were refused.
    /// On return the kernel reads none of their bytes any more.
    fn carry(&mut self, outbox: &mut Outbox, refused: &mut Vec<Refused>);
}

/// The engine-independent half of sending.
pub(crate) struct Sender {
    outbox: Outbox,
    refused: Vec<Refused>,
    refusals: GsoRefusals,
    /// Runs whose segmented send was refused just now.
    again: Vec<u32>,
}

/// One call of `send`.
struct Account<'a> {
    batch: &'a Batch,
    failures: &'a mut Vec<Failure>,
    tally: &'a mut Tally,
}

impl Sender {
    /// `pieces`: how many a batch may have without an allocation.
    pub(crate) fn new(pieces: usize) -> Self {
        Self {
            outbox: Outbox::new(pieces),
            refused: Vec::with_capacity(OUTBOX_MESSAGES),
            refusals: GsoRefusals::new(),
            again: Vec::with_capacity(OUTBOX_MESSAGES),
        }
    }

    /// Sends a batch and clears it.
    pub(crate) fn send<C: Carrier>(
        &mut self,
        carrier: &mut C,
        pools: &PoolTable,
        batch: &mut Batch,
        failures: &mut Vec<Failure>,
        tally: &mut Tally,
    ) {
        self.outbox.begin(batch, pools);
        let mut account = Account { batch, failures, tally };
        for (index, run) in account.batch.runs().iter().enumerate() {
            account.count(run);
            if !carrier.is_attached(run.socket) {
                account.fail(run, run.packets, run.bytes, libc::EBADF);
                continue;
            }
            let mut cut = run.packets > 1 && self.refusals.refuses(run);
            if !self.push(index as u32, run, cut) {
                self.flush(carrier, &mut account);
                // The flush may have learned that this route refuses segments.
                cut = cut || run.packets > 1 && self.refusals.refuses(run);
                assert!(self.push(index as u32, run, cut), "an empty outbox takes any run");
            }
            account.tally.single_runs += u64::from(cut);
        }
        self.flush(carrier, &mut account);
        batch.clear();
    }

    fn push(&mut self, index: u32, run: &Run, cut: bool) -> bool {
        if cut { self.outbox.push_cut(index, run) } else { self.outbox.push_whole(index, run) }
    }

    /// Hands over what the outbox holds, then what must go again packet by packet. Packets that
    /// follow such a run in the same outbox overtake it, once per refusing route.
    fn flush<C: Carrier>(&mut self, carrier: &mut C, account: &mut Account<'_>) {
        self.hand_over(carrier, account);
        for place in 0..self.again.len() {
            let index = self.again[place];
            let run = &account.batch.runs()[index as usize];
            if !self.outbox.push_cut(index, run) {
                self.hand_over(carrier, account);
                assert!(self.outbox.push_cut(index, run), "an empty outbox takes any run");
            }
        }
        self.hand_over(carrier, account);
        self.again.clear();
    }

    fn hand_over<C: Carrier>(&mut self, carrier: &mut C, account: &mut Account<'_>) {
        if self.outbox.notes().is_empty() {
            return;
        }
        account.tally.messages += self.outbox.notes().len() as u64;
        self.refused.clear();
        carrier.carry(&mut self.outbox, &mut self.refused);
        for Refused { message, errno } in &self.refused {
            let note = self.outbox.notes()[*message as usize];
            let run = &account.batch.runs()[note.run as usize];
            if note.segmented && may_be_refusal(*errno) {
                account.tally.gso_fallbacks += 1;
                self.refusals.remember(run);
                self.again.push(note.run);
            } else {
                account.fail(run, note.packets, note.bytes, *errno);
            }
        }
        self.outbox.clear();
    }
}

impl Account<'_> {
    /// Counts a run as sent; `fail` takes back what was not.
    fn count(&mut self, run: &Run) {
        self.tally.runs += 1;
        self.tally.packets += u64::from(run.packets);
        self.tally.bytes += u64::from(run.bytes);
    }

    fn fail(&mut self, run: &Run, packets: u16, bytes: u32, errno: i32) {
        self.tally.packets -= u64::from(packets);
        self.tally.bytes -= u64::from(bytes);
        self.tally.failed_packets += u64::from(packets);
        let tag = run.tag;
        match self.failures.last_mut() {
            // The packets of one run fail one after the other: one entry for all of them.
            Some(last) if last.tag == tag && last.errno == errno => {
                last.packets = last.packets.saturating_add(packets);
                last.bytes = last.bytes.saturating_add(bytes);
            }
            _ => self.failures.push(Failure { tag, packets, bytes, errno }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Target;
    use crate::batch::Piece;
    use std::net::SocketAddr;

    /// Refuses what it is told to, and remembers what it was given: (run, packets, bytes).
    struct Fake {
        refuse_segments: i32,
        refuse_packets_over: (u32, i32),
        carried: Vec<(u32, u16, u32)>,
    }

    impl Carrier for Fake {
        fn is_attached(&self, socket: SocketId) -> bool {
            socket.slot() == 0
        }

        fn carry(&mut self, outbox: &mut Outbox, refused: &mut Vec<Refused>) {
            for (message, note) in outbox.notes().iter().enumerate() {
                let message = message as u32;
                self.carried.push((note.run, note.packets, note.bytes));
                if note.segmented && self.refuse_segments != 0 {
                    refused.push(Refused { message, errno: self.refuse_segments });
                } else if !note.segmented && note.bytes > self.refuse_packets_over.0 {
                    refused.push(Refused { message, errno: self.refuse_packets_over.1 });
                }
            }
        }
    }

    struct Fixture {
        sender: Sender,
        pools: std::sync::Arc<PoolTable>,
        batch: Batch,
        failures: Vec<Failure>,
        tally: Tally,
    }

    impl Fixture {
        fn new() -> Self {
            Self {
                sender: Sender::new(16),
                pools: PoolTable::new(1, 32, 2048).unwrap(),
                batch: Batch::with_capacity(1000, 16, 0),
                failures: Vec::new(),
                tally: Tally::default(),
            }
        }

        fn run(&mut self, slot: u32, tag: u32, segment: u16, lens: &[u32]) {
            let to = Target::from(SocketAddr::from(([127, 0, 0, 1], 9)));
            let mut next = self.batch.pieces().len() as u32;
            let first = next;
            for len in lens {
                next = 1 + self.batch.push_piece(Piece { pool: 0, offset: 0, len: *len }).unwrap();
            }
            let bytes = lens.iter().sum();
            let packets =
                if segment == 0 { 1 } else { u32::div_ceil(bytes, segment.into()) as u16 };
            let socket = SocketId::new(slot, 0);
            let run = Run { socket, to, first, end: next, segment, packets, bytes, tag };
            assert!(self.batch.push_run(run));
        }

        fn send(&mut self, fake: &mut Fake) {
            let Self { sender, pools, batch, failures, tally } = self;
            sender.send(fake, pools, batch, failures, tally);
            assert!(batch.is_empty());
        }
    }

    fn fake(refuse_segments: i32) -> Fake {
        let refuse_packets_over = (u32::MAX, 0);
        Fake { refuse_segments, refuse_packets_over, carried: Vec::new() }
    }

    #[test]
    fn refused_segments_go_again_packet_by_packet() {
        for errno in [libc::EIO, libc::EINVAL, libc::EMSGSIZE] {
            let mut fixture = Fixture::new();
            let mut fake = fake(errno);
            fixture.run(0, 1, 100, &[30, 170, 50]);
            fixture.run(0, 2, 0, &[70]);
            fixture.send(&mut fake);
            let whole = [(0, 3, 250), (1, 1, 70)];
            let singles = [(0, 1, 100), (0, 1, 100), (0, 1, 50)];
            assert_eq!(fake.carried, [&whole[..], &singles[..]].concat());
            assert_eq!(fixture.failures, []);
            let tally = fixture.tally;
            assert_eq!((tally.gso_fallbacks, tally.single_runs, tally.packets), (1, 0, 4));

            fake.carried.clear();
            fixture.run(0, 1, 100, &[150]);
            fixture.send(&mut fake);
            assert_eq!(fake.carried, [(0, 1, 100), (0, 1, 50)], "the route is remembered");
            assert_eq!((fixture.tally.gso_fallbacks, fixture.tally.single_runs), (1, 1));
        }
    }

    #[test]
    fn other_errors_are_reported_by_run() {
        let mut fixture = Fixture::new();
        fixture.run(0, 1, 100, &[250]);
        fixture.run(1, 2, 100, &[150]);
        fixture.run(0, 3, 0, &[70]);
        fixture.send(&mut fake(libc::ENOBUFS));
        let failed = |tag, packets, bytes, errno| Failure { tag, packets, bytes, errno };
        let expect = [failed(2, 2, 150, libc::EBADF), failed(1, 3, 250, libc::ENOBUFS)];
        assert_eq!(fixture.failures, expect);
        let tally = fixture.tally;
        assert_eq!((tally.runs, tally.messages), (3, 2));
        assert_eq!((tally.packets, tally.bytes, tally.failed_packets), (1, 70, 5));
    }

    #[test]
    fn packets_of_a_cut_run_that_fail_are_one_failure() {
        let mut fixture = Fixture::new();
        let mut fake = fake(libc::EMSGSIZE);
        fake.refuse_packets_over = (60, libc::EMSGSIZE);
        fixture.run(0, 9, 100, &[250]);
        fixture.send(&mut fake);
        let failure = Failure { tag: 9, packets: 2, bytes: 200, errno: libc::EMSGSIZE };
        assert_eq!(fixture.failures, [failure], "the last packet of 50 bytes passed");
        assert_eq!((fixture.tally.packets, fixture.tally.bytes), (1, 50));
    }

    #[test]
    fn more_runs_than_the_outbox_holds_keep_their_order() {
        for errno in [0, libc::EINVAL] {
            let mut fixture = Fixture::new();
            let mut fake = fake(errno);
            fixture.run(0, 0, 100, &[6400]);
            for tag in 1..1000 {
                let run = Run { tag, ..fixture.batch.runs()[0] };
                assert!(fixture.batch.push_run(run));
            }
            fixture.send(&mut fake);
            let expect_messages = if errno == 0 { 1000 } else { OUTBOX_MESSAGES + 64 * 1000 };
            assert_eq!(fake.carried.len(), expect_messages);
            assert_eq!((fixture.tally.packets, fixture.failures.len()), (64_000, 0));
            fake.carried.retain(|(_, packets, _)| errno == 0 || *packets == 1);
            assert!(fake.carried.is_sorted_by_key(|(run, ..)| *run));
        }
    }
}
