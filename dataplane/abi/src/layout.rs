//! The numbers that both sides of the shared memory must agree on, and one hash over all of them.
//!
//! A peer built from other numbers is refused at the door, by version where a person has raised it,
//! and by hash where someone forgot to.

use crate::boot::BOOT_WORDS;
use crate::call::{ArchivedDataSpec, ArchivedRelaySpec, ArchivedRouteSpec, ArchivedSourceSpec};
use crate::counters::Counter;
use crate::latency::LATENCY_WORDS;
use crate::message::{ArchivedCommand, ArchivedEvent};
use crate::page::page_words;
use crate::slot::SLOT_BYTES;
use crate::stats::{DestinationStats, ForwardStats, Record};
use crate::sync::LINE_WORDS;

/// First word of every region and of every hello: "ringway" and a zero byte, little-endian.
pub const MAGIC: u64 = u64::from_le_bytes(*b"ringway\0");

/// Version of the contract. Raise it when a message, record or page changes its *meaning*; a change
/// of size or of names changes [`LAYOUT_HASH`] by itself.
pub const ABI_VERSION: u32 = 1;

/// Words of a region's header.
pub const HEADER_WORDS: usize = LINE_WORDS;

/// Most shards of a data plane. One bit each in a word, one bell each in the hand-over message, of
/// which the kernel carries 253 descriptors at most.
pub const MAX_SHARDS: u16 = 64;

/// Most forwards and destinations per shard that a region is laid out for. Larger numbers are taken
/// for a mistake or a lie, not for a size of memory to map.
pub const MAX_RECORDS: u32 = 1 << 20;

/// Slots of a shard's command lane. The control plane waits when it is full, so this only bounds
/// how many commands one turn of the shard can find: fewer makes re-creating thousands of forwards
/// after a restart slower, more lets a burst of them delay packets.
pub const COMMAND_SLOTS: usize = 256;

/// Slots of a shard's event lane. Events are lost when it is full and then a snapshot is due, so it
/// holds the answers to a full command lane and a good part of a snapshot besides. More costs
/// memory (256 bytes each), fewer makes snapshots repeat.
pub const EVENT_SLOTS: usize = 1024;

const _: () = assert!(COMMAND_SLOTS >= 64 && COMMAND_SLOTS.is_power_of_two());
const _: () = assert!(EVENT_SLOTS >= 2 * COMMAND_SLOTS && EVENT_SLOTS.is_power_of_two());

/// Words from one record of a shard to the next: a record's page on a line of its own, so that two
/// records never share one.
pub const RECORD_STRIDE_WORDS: usize = LINE_WORDS;

const _: () = assert!(page_words(ForwardStats::WORDS) <= RECORD_STRIDE_WORDS);
const _: () = assert!(page_words(DestinationStats::WORDS) <= RECORD_STRIDE_WORDS);

/// Hash (FNV-1a) over sizes, slots, counters and record fields.
pub const LAYOUT_HASH: u64 = layout_hash();

const fn layout_hash() -> u64 {
    let sizes = [
        HEADER_WORDS,
        SLOT_BYTES,
        COMMAND_SLOTS,
        EVENT_SLOTS,
        RECORD_STRIDE_WORDS,
        BOOT_WORDS,
        LATENCY_WORDS,
        size_of::<ArchivedCommand>(),
        size_of::<ArchivedEvent>(),
        size_of::<ArchivedRouteSpec>(),
        size_of::<ArchivedSourceSpec>(),
        size_of::<ArchivedDataSpec>(),
        size_of::<ArchivedRelaySpec>(),
    ];
    let mut hash = 0xcbf2_9ce4_8422_2325;
    let mut n = 0;
    while n < sizes.len() {
        hash = mix(hash, &(sizes[n] as u64).to_le_bytes());
        n += 1;
    }
    n = 0;
    while n < Counter::COUNT {
        let info = Counter::ALL[n].info();
        hash = mix(hash, info.name.as_bytes());
        if let Some((_, value)) = info.label {
            hash = mix(hash, value.as_bytes());
        }
        n += 1;
    }
    hash = mix_all(hash, ForwardStats::FIELDS);
    mix_all(hash, DestinationStats::FIELDS)
}

const fn mix_all(mut hash: u64, names: &[&str]) -> u64 {
    let mut n = 0;
    while n < names.len() {
        hash = mix(hash, names[n].as_bytes());
        n += 1;
    }
    hash
}

const fn mix(mut hash: u64, bytes: &[u8]) -> u64 {
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let mut n = 0;
    while n < bytes.len() {
        hash = (hash ^ bytes[n] as u64).wrapping_mul(PRIME);
        n += 1;
    }
    // Ends a name: "ab", "c" and "a", "bc" are not the same.
    (hash ^ 0xff).wrapping_mul(PRIME)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_tells_names_apart() {
        assert_ne!(LAYOUT_HASH, 0);
        assert_ne!(mix_all(0, &["ab", "c"]), mix_all(0, &["a", "bc"]));
        assert_ne!(mix_all(0, &["a", "b"]), mix_all(0, &["b", "a"]));
    }
}
