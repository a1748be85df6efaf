//! Once connected, short messages cost no allocation to send and one to receive, and an idle
//! association is small.
// A global allocator is `unsafe` to write; this one only counts and passes on to the system's.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use ringway_sctp::{Association, Config, Event, SendOptions};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static BYTES: Cell<i64> = const { Cell::new(0) };
}

struct Counting;

fn count(bytes: i64) {
    // Fails only while the thread ends, when nothing is measured any more.
    let _ = ALLOCATIONS.try_with(|allocations| allocations.set(allocations.get() + 1));
    add(bytes);
}

fn add(bytes: i64) {
    let _ = BYTES.try_with(|sum| sum.set(sum.get() + bytes));
}

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: the caller keeps the contract of this very function.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        add(-(layout.size() as i64));
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as i64 - layout.size() as i64);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(run: impl FnOnce()) -> u64 {
    let before = ALLOCATIONS.get();
    run();
    ALLOCATIONS.get() - before
}

/// Carries what there is both ways, in a buffer that stays.
fn carry(now_ns: u64, ends: &mut [Association; 2], buffer: &mut Vec<u8>) {
    loop {
        let mut quiet = true;
        for from in 0..2 {
            while ends[from].poll_packet(now_ns, buffer) {
                quiet = false;
                ends[1 - from].handle_packet(now_ns, buffer);
            }
        }
        if quiet {
            return;
        }
    }
}

fn pair() -> [Association; 2] {
    let mut ends = [1, 2].map(|seed| Association::new(0, Config::new(seed, seed)));
    ends[0].connect();
    carry(0, &mut ends, &mut Vec::with_capacity(1_200));
    for end in &mut ends {
        assert_eq!(end.poll_event(), Some(Event::Connected));
    }
    ends
}

#[test]
fn a_short_message_is_sent_without_allocating() {
    let mut ends = pair();
    let mut buffer = Vec::with_capacity(1_200);
    let mut round = |count: u64, ends: &mut [Association; 2]| {
        for number in 0..count {
            let now_ns = number * 1_000_000;
            ends[0].send(now_ns, 1, 53, &[7; 100], SendOptions::default()).expect("taken");
            carry(now_ns, ends, &mut buffer);
            while ends[1].poll_message().is_some() {}
        }
    };
    round(100, &mut ends);
    let found = allocations(|| round(1_000, &mut ends));
    // What arrived is given away.
    assert_eq!(found, 1_000);
}

#[test]
fn an_idle_association_is_small() {
    let before = BYTES.get();
    let mut ends = pair();
    let size = size_of::<[Association; 2]>() as i64;
    assert!(size + BYTES.get() - before < 2 * 2_000, "{size} + {}", BYTES.get() - before);
    // The same after it had much to do.
    let mut buffer = Vec::with_capacity(1_200);
    let used = BYTES.get();
    for number in 0..3_000_u64 {
        let now_ns = number * 1_000_000;
        for end in &mut ends {
            let _ = end.send(now_ns, 1, 53, &[7; 3_000], SendOptions::default());
        }
        carry(now_ns, &mut ends, &mut buffer);
        if number % 500 == 0 {
            ends.iter_mut().for_each(|end| while end.poll_message().is_some() {});
        }
    }
    for wait in 0..100_u64 {
        ends.iter_mut().for_each(|end| while end.poll_message().is_some() {});
        let now_ns = 3_000_000_000 + wait * 1_000_000_000;
        ends.iter_mut().for_each(|end| end.handle_timeout(now_ns));
        carry(now_ns, &mut ends, &mut buffer);
    }
    assert!(BYTES.get() - used < 2 * 4_000, "{}", BYTES.get() - used);
    assert!(ends.iter().all(|end| end.held_bytes() < 5_000));
}
