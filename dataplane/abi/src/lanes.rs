//! The lanes region: the command and event lanes of one control peer, two for each shard.
//!
//! **Where.** Header, then for each shard in order its command lane and its event lane; see
//! [`crate::lane`] for what is in a lane.
//!
//! **Who.** The door makes a fresh region for each control peer that joins, keeps one end of every
//! lane for the shards and sends the descriptor to the peer, which takes the other ends. Both map
//! it writable: what comes out of it is an allegation to both.
//!
//! **Death and restart.** The region dies with the peer: shards drop their ends when the door says
//! that control left, and the next control peer gets zeroed memory.

use std::os::fd::BorrowedFd;

use crate::lane::{Receiver, Sender, lane_words};
use crate::layout::{COMMAND_SLOTS, EVENT_SLOTS, HEADER_WORDS};
use crate::memory::Words;
use crate::message::{Command, Event};
use crate::region::{self, Region, RegionError, RegionKind};

const COMMAND_LANE_WORDS: usize = lane_words::<Command>(COMMAND_SLOTS);
const EVENT_LANE_WORDS: usize = lane_words::<Event>(EVENT_SLOTS);

/// A shard's ends of its two lanes.
pub(crate) type ShardEnds = (Receiver<Command>, Sender<Event>);
/// The control plane's ends of the same.
pub(crate) type ControlEnds = (Sender<Command>, Receiver<Event>);

/// Makes the lanes of a control peer: the region to send to it and the shards' ends.
pub(crate) fn create(shards: u16, boot_id: u64) -> Result<(Region, Vec<ShardEnds>), RegionError> {
    let region = Region::create(RegionKind::Lanes, region_words(shards), boot_id)?;
    let ends = lanes(region.words(), shards)
        .map(|(commands, events)| (Receiver::new(commands), Sender::new(events)))
        .collect();
    Ok((region, ends))
}

/// Maps the lanes behind `fd` and takes the control plane's ends.
pub(crate) fn join(
    fd: BorrowedFd<'_>,
    shards: u16,
    boot_id: u64,
) -> Result<Vec<ControlEnds>, RegionError> {
    let (words, found) = region::join(fd, RegionKind::Lanes)?;
    if found != boot_id {
        return Err(RegionError::OtherBoot);
    }
    if words.len() != region_words(shards) {
        return Err(RegionError::Size {
            found: words.len() as u64 * 8,
            expected: region_words(shards) as u64 * 8,
        });
    }
    Ok(lanes(&words, shards)
        .map(|(commands, events)| (Sender::new(commands), Receiver::new(events)))
        .collect())
}

fn region_words(shards: u16) -> usize {
    HEADER_WORDS + usize::from(shards) * (COMMAND_LANE_WORDS + EVENT_LANE_WORDS)
}

/// The words of each shard's command and event lane.
fn lanes(words: &Words, shards: u16) -> impl Iterator<Item = (Words, Words)> {
    (0..usize::from(shards)).map(move |shard| {
        let commands = HEADER_WORDS + shard * (COMMAND_LANE_WORDS + EVENT_LANE_WORDS);
        let events = commands + COMMAND_LANE_WORDS;
        (words.part(commands..events), words.part(events..events + EVENT_LANE_WORDS))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(miri, ignore = "memfd")]
    fn every_shard_has_lanes_of_its_own() {
        let (region, mut shards) = create(3, 9).expect("memory");
        let mut control = join(region.fd(), 3, 9).expect("lanes");
        for (n, (commands, _)) in control.iter_mut().enumerate() {
            commands.try_send(&Command::Snapshot { request: n as u64 }).expect("room");
        }
        for (n, (commands, events)) in shards.iter_mut().enumerate() {
            let command = commands.try_receive();
            assert_eq!(command, Some(Ok(Command::Snapshot { request: n as u64 })));
            assert_eq!(commands.try_receive(), None);
            for _ in 0..EVENT_SLOTS {
                events.try_send(&Event::Resync).expect("room");
            }
            assert!(events.try_send(&Event::Resync).is_err());
        }
        for (_, events) in &mut control {
            assert_eq!(std::iter::from_fn(|| events.try_receive()).count(), EVENT_SLOTS);
        }
        assert!(matches!(join(region.fd(), 3, 8), Err(RegionError::OtherBoot)));
        assert!(matches!(join(region.fd(), 2, 9), Err(RegionError::Size { .. })));
    }
}
