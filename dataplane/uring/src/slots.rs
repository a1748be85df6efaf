//! The sockets of one engine by slot and generation, so that a stale id is detected, not followed.

use std::collections::VecDeque;

use crate::batch::SocketId;

/// A table of fixed capacity. A freed slot is used again as late as possible.
pub(crate) struct Slots<T> {
    slots: Vec<Slot<T>>,
    free: VecDeque<u32>,
}

struct Slot<T> {
    generation: u32,
    entry: Option<T>,
}

impl<T> Slots<T> {
    pub(crate) fn new(capacity: u32) -> Self {
        let slots = (0..capacity).map(|_| Slot { generation: 0, entry: None }).collect();
        Self { slots, free: (0..capacity).collect() }
    }

    /// Takes a free slot; gives the entry back if there is none.
    pub(crate) fn insert(&mut self, entry: T) -> Result<SocketId, T> {
        let Some(index) = self.free.pop_front() else { return Err(entry) };
        let slot = &mut self.slots[index as usize];
        slot.entry = Some(entry);
        Ok(SocketId::new(index, slot.generation))
    }

    pub(crate) fn get(&self, id: SocketId) -> Option<&T> {
        let slot = self.slots.get(id.slot() as usize)?;
        if slot.generation == id.generation() { slot.entry.as_ref() } else { None }
    }

    pub(crate) fn get_mut(&mut self, id: SocketId) -> Option<&mut T> {
        let slot = self.slots.get_mut(id.slot() as usize)?;
        if slot.generation == id.generation() { slot.entry.as_mut() } else { None }
    }

    /// Empties a slot; its id is stale from now on.
    pub(crate) fn remove(&mut self, id: SocketId) -> Option<T> {
        self.get(id)?;
        let slot = &mut self.slots[id.slot() as usize];
        slot.generation = (slot.generation + 1) & SocketId::GENERATION_MASK;
        self.free.push_back(id.slot());
        slot.entry.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stale_ids_find_nothing() {
        let mut slots = Slots::new(1);
        let first = slots.insert('a').unwrap();
        assert_eq!(slots.insert('b'), Err('b'));
        assert_eq!(slots.remove(first), Some('a'));
        assert_eq!(slots.remove(first), None);
        let second = slots.insert('c').unwrap();
        assert_eq!((first.slot(), second.slot()), (0, 0));
        assert_eq!((slots.get(first), slots.get(second)), (None, Some(&'c')));
        assert_eq!(slots.get_mut(SocketId::new(9, 0)), None);
    }
}
