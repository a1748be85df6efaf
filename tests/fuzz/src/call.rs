//! The call path of a shard, driven by a peer that is authentic and hostile: whatever it seals, and
//! whatever the control plane asks meanwhile, what goes to the others is valid, no number of an
//! SSRC stands for two packets, and what a datagram sets off is bounded.
//!
//! The input is a list of steps: an octet that says which, an octet of length, and that many
//! octets.

mod steps;
mod world;

use std::cell::RefCell;

use world::World;

thread_local! {
    /// A handshake costs more than everything else here, so a world lasts. Each input begins with
    /// all sources and routes anew.
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
}

/// Steps of one input, at most.
const MAX_STEPS: usize = 200;

/// Takes the steps of `data`.
pub fn call(data: &[u8]) {
    WORLD.with_borrow_mut(|slot| {
        // Whoever panics leaves nothing behind.
        let mut world = slot.take().unwrap_or_else(World::new);
        world.begin();
        let mut rest = data;
        for _ in 0..MAX_STEPS {
            let Some((&[kind, len], after)) = rest.split_first_chunk::<2>() else { break };
            let (bytes, after) = after.split_at(usize::from(len).min(after.len()));
            rest = after;
            steps::take(&mut world, kind, bytes);
            world.turn();
        }
        world.end();
        // Numbers and tables that fill up over many inputs must not make one input fail alone.
        if world.is_fresh_enough() {
            *slot = Some(world);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_reaches_whom_it_is_for() {
        let chat = [10, 3, 0, 0x4a, 0];
        let frame = [10, 13, 9, 0x18, 0, 0, 1, 0, 1, 0, 1, 0, 0, 0, 9];
        let mut world = World::new();
        world.begin();
        for step in [&chat[..], &frame[..]] {
            steps::take(&mut world, step[0], &step[2..]);
            world.turn();
            world.pass(10);
        }
        // The line of chat to both, the frame to who subscribes.
        assert_eq!(world.messages(), 3);
        world.end();
    }

    #[test]
    fn what_is_published_reaches_the_subscribers() {
        // A key frame of the highest layer, and sound.
        let video = [2, 12, 2, 0x90, 0xf0, 0, 1, 1, 1, 0, 0, b'k', b'e', b'y'];
        let sound = [0, 9, 6, 111, 0, 0, 1, b'o', b'p', b'u', b's'];
        let mut world = World::new();
        world.begin();
        for step in [&video[..], &sound[..]] {
            steps::take(&mut world, step[0], &step[2..]);
            world.turn();
        }
        // Each to both.
        assert_eq!(world.sent(), 4);
        world.end();
    }
}
