#![allow(unsafe_code)] // A global allocator is unsafe to implement.
//! After the start an engine allocates nothing per packet: asserted by counting.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Duration;

use ringway_uring::{
    Batch, Engine, EngineConfig, EngineKind, PoolTable, Run, SocketOptions, Tally, Target, bind,
    new_bell, probe,
};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(memory, layout, bytes) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn packets_cost_no_allocation() {
    check(EngineKind::Plain);
    if probe().uring.is_ok() {
        check(EngineKind::Uring);
    }
}

const BUFFERS: u32 = 256;
const ROUNDS: u32 = 200;
const PACKETS_PER_ROUND: u16 = 40;

/// Forwards packets from an input to itself, in runs and with new headers, and to an address that
/// fails, and holds on to buffers for a while, as a history does.
fn check(kind: EngineKind) {
    let local = "127.0.0.1:0".parse().unwrap();
    let pools = PoolTable::new(1, BUFFERS, 2048).unwrap();
    let config = EngineConfig { sockets: 4, ..EngineConfig::new(pools, 0, new_bell().unwrap()) };
    let mut engine = Engine::new(kind, config).unwrap();
    let input = bind(local, &SocketOptions::default()).unwrap();
    let socket = engine.attach(Arc::clone(&input.socket), true).unwrap();
    let output = bind(local, &SocketOptions::default()).unwrap();
    let peer = UdpSocket::bind(local).unwrap();
    let mut batch = Batch::with_capacity(512, 1024, 65_536);
    let (mut failures, mut tally) = (Vec::with_capacity(512), Tally::default());
    let mut held = Vec::with_capacity(BUFFERS as usize);
    let mut before = 0;
    let mut forwarded = 0;
    for round in 0..ROUNDS {
        if round == 2 {
            before = ALLOCATIONS.get();
        }
        for _ in 0..PACKETS_PER_ROUND {
            peer.send_to(&[7; 1200], input.local).unwrap();
        }
        let mut left = PACKETS_PER_ROUND;
        while left > 0 {
            engine.wait(Some(Duration::from_secs(20))).unwrap();
            while let Some(arrival) = engine.next_arrival() {
                let header = batch.push_scratch(&[1; 12]).unwrap();
                let first = batch.push_piece(header).unwrap();
                batch.push_piece(arrival.piece(0)).unwrap();
                for (tag, to) in [(0, output.local), (1, "255.255.255.255:9".parse().unwrap())] {
                    let run = Run {
                        socket,
                        to: Target::from(to),
                        first,
                        end: first + 2,
                        segment: 404,
                        packets: 3,
                        bytes: 1212,
                        tag,
                    };
                    assert!(batch.push_run(run));
                }
                held.push(arrival.buffer);
                left -= 1;
                forwarded += 1;
            }
            engine.send(&mut batch, &mut failures, &mut tally);
            failures.clear();
        }
        if held.len() + usize::from(PACKETS_PER_ROUND) > BUFFERS as usize {
            for buffer in held.drain(..) {
                engine.release(buffer);
            }
        }
    }
    assert_eq!(ALLOCATIONS.get() - before, 0, "{kind:?}");
    assert_eq!(forwarded, ROUNDS * u32::from(PACKETS_PER_ROUND));
    assert_eq!(tally.failed_packets, u64::from(3 * forwarded), "{kind:?}");
    assert_eq!(tally.packets, u64::from(3 * forwarded), "{kind:?}");
}
