//! Packets kept and forgotten.

use proptest::prelude::*;

use super::*;

const MS: u64 = 1_000_000;

fn packet(sequence: u16, len: usize) -> Vec<u8> {
    (0..len).map(|at| (at as u16 ^ sequence) as u8).collect()
}

#[test]
fn packets_are_found_by_their_number() {
    let mut pool = HistoryPool::new(8);
    let mut history = History::new(16);
    for sequence in [65_534, 65_535, 1, 0] {
        assert!(history.push(0, &mut pool, sequence, &packet(sequence, 1200)));
    }
    for sequence in [65_534, 65_535, 0, 1] {
        assert_eq!(history.get(&pool, sequence), Some(&packet(sequence, 1200)[..]));
    }
    assert_eq!(history.get(&pool, 2), None);
    // Sixteen more take the slots over.
    for sequence in 2..18 {
        assert!(history.push(0, &mut pool, sequence, &packet(sequence, 10)));
    }
    assert_eq!(history.get(&pool, 1), None);
    assert_eq!(history.get(&pool, 17), Some(&packet(17, 10)[..]));
    assert!(!history.push(0, &mut pool, 18, &[0; BLOCK_BYTES + 1]));
    assert!(history.push(0, &mut pool, 18, &[]));
    assert_eq!(history.get(&pool, 18), Some(&[][..]));
}

#[test]
fn blocks_go_back_when_they_are_old() {
    let mut pool = HistoryPool::new(8);
    let mut history = History::new(512);
    for sequence in 0..9 {
        assert!(history.push(u64::from(sequence) * 100 * MS, &mut pool, sequence, &[1; 1300]));
    }
    assert_eq!((history.blocks(), pool.free_blocks()), (3, 5));
    history.expire(1200 * MS, &mut pool);
    assert_eq!(history.get(&pool, 0), Some(&[1; 1300][..]));
    history.expire(1201 * MS, &mut pool);
    assert_eq!((history.blocks(), history.get(&pool, 2)), (2, None));
    assert!(history.get(&pool, 3).is_some());
    history.expire(u64::MAX, &mut pool);
    assert_eq!((history.blocks(), pool.free_blocks()), (0, 8));
    // It goes on afterwards.
    assert!(history.push(9000 * MS, &mut pool, 20, &[7; 5]));
    assert_eq!(history.get(&pool, 20), Some(&[7; 5][..]));
    assert_eq!(history.get(&pool, 8), None);
    history.clear(&mut pool);
    assert_eq!((history.get(&pool, 20), pool.free_blocks()), (None, 8));
}

#[test]
fn an_empty_pool_costs_the_oldest() {
    let mut pool = HistoryPool::new(2);
    let mut one = History::new(64);
    let mut other = History::new(64);
    assert!(other.push(0, &mut pool, 0, &[1; 4000]));
    for sequence in 0..9 {
        assert!(one.push(0, &mut pool, sequence, &[2; 1300]));
    }
    assert_eq!((one.get(&pool, 5), one.get(&pool, 6)), (None, Some(&[2; 1300][..])));
    assert!(other.push(0, &mut pool, 1, &[1; 4000]));
    assert_eq!((other.get(&pool, 0), other.get(&pool, 1).map(<[u8]>::len)), (None, Some(4000)));
    // Who has none gets none.
    let mut third = History::new(64);
    assert!(!third.push(0, &mut pool, 0, &[3; 10]));
    assert_eq!(third.get(&pool, 0), None);
}

#[test]
fn packets_may_be_written_where_they_are_kept() {
    let mut pool = HistoryPool::new(2);
    let mut history = History::new(64);
    assert_eq!(history.place(&pool, BLOCK_BYTES + 1), None);
    // A place that is not used costs nothing.
    assert!(history.place(&pool, 100).is_some());
    assert_eq!((history.blocks(), pool.free_blocks()), (0, 2));
    for sequence in 0..4 {
        let place = history.place(&pool, 1400).expect("room");
        pool.room(&place).fill(sequence as u8);
        history.keep(0, &mut pool, place, sequence, 2..1300);
    }
    for sequence in 0..4 {
        assert_eq!(history.get(&pool, sequence), Some(&[sequence as u8; 1298][..]));
    }
    // What would cost an older packet is the other way's.
    assert!(history.push(0, &mut pool, 4, &[4; 1300]) && history.push(0, &mut pool, 5, &[5; 1000]));
    assert_eq!((history.place(&pool, 1400), pool.free_blocks()), (None, 0));
    assert!(history.push(0, &mut pool, 6, &[6; 1400]));
    assert_eq!(history.get(&pool, 0), None);
    // Old blocks go back also this way.
    let place = history.place(&pool, 1400).expect("room in the newest block");
    history.keep(2000 * MS, &mut pool, place, 7, 0..1400);
    history.expire(2000 * MS, &mut pool);
    assert_eq!((history.blocks(), pool.free_blocks()), (1, 1));
}

#[test]
fn requests_are_answered_three_times() {
    let mut resends = Resends::default();
    let rows = [
        (0, 5, true),
        (50, 5, false),
        (99, 6, true),
        (110, 5, true),
        (150, 5, false),
        (230, 5, true),
        (350, 5, false),
        (10_000, 5, true), // another packet by now
    ];
    for (now_ms, sequence, expect) in rows {
        assert_eq!(resends.allow(now_ms * MS, sequence), expect, "{sequence} at {now_ms} ms");
    }
}

proptest! {
    /// What is found is what was put there last under that number, and no block is lost.
    #[test]
    fn never_another_packet(
        steps in prop::collection::vec((0u16..40, 1usize..1500, 0u64..200), 1..300),
    ) {
        let mut pool = HistoryPool::new(6);
        let mut history = History::new(16);
        let mut model = std::collections::HashMap::new();
        let mut now_ns = 0;
        for (count, (sequence, len, wait_ms)) in steps.into_iter().enumerate() {
            now_ns += wait_ms * MS;
            let bytes = vec![count as u8; len];
            prop_assert!(history.push(now_ns, &mut pool, sequence, &bytes));
            model.insert(sequence, bytes);
            prop_assert_eq!(history.get(&pool, sequence), model.get(&sequence).map(Vec::as_slice));
            for sequence in 0..40 {
                if let Some(found) = history.get(&pool, sequence) {
                    prop_assert_eq!(Some(found), model.get(&sequence).map(Vec::as_slice));
                }
            }
            prop_assert_eq!(history.blocks() + pool.free_blocks(), 6);
        }
    }
}
