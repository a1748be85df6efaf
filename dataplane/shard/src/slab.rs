//! A table of fixed capacity whose ids are slot and generation, so that a stale id is detected and
//! not followed.

/// Names an entry for as long as it lives, and nothing after that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SlotId {
    /// Index in the table; also the entry's record in the shared pages.
    pub slot: u32,
    /// Which life of the slot.
    pub generation: u32,
}

impl SlotId {
    /// As one number.
    pub const fn bits(self) -> u64 {
        (self.generation as u64) << 32 | self.slot as u64
    }

    /// From one number.
    pub const fn from_bits(bits: u64) -> Self {
        Self { slot: bits as u32, generation: (bits >> 32) as u32 }
    }
}

#[derive(Debug)]
struct Cell<T> {
    generation: u32,
    value: Option<T>,
}

/// The table.
#[derive(Debug)]
pub struct Slab<T> {
    cells: Vec<Cell<T>>,
    free: Vec<u32>,
    capacity: u32,
}

impl<T> Slab<T> {
    /// An empty table of at most `capacity` entries.
    pub fn new(capacity: u32) -> Self {
        Self { cells: Vec::new(), free: Vec::new(), capacity }
    }

    /// Puts an entry in; gives it back when the table is full.
    pub fn insert(&mut self, value: T) -> Result<SlotId, T> {
        if let Some(slot) = self.free.pop() {
            let cell = &mut self.cells[slot as usize];
            cell.value = Some(value);
            return Ok(SlotId { slot, generation: cell.generation });
        }
        let slot = self.cells.len() as u32;
        if slot >= self.capacity {
            return Err(value);
        }
        self.cells.push(Cell { generation: 1, value: Some(value) });
        Ok(SlotId { slot, generation: 1 })
    }

    /// Takes an entry out; its id is stale from now on.
    pub fn remove(&mut self, id: SlotId) -> Option<T> {
        let cell = self.cells.get_mut(id.slot as usize)?;
        if cell.generation != id.generation {
            return None;
        }
        let value = cell.value.take()?;
        cell.generation = cell.generation.wrapping_add(1);
        self.free.push(id.slot);
        Some(value)
    }

    /// The id of whatever lives in a slot.
    pub fn id_at(&self, slot: u32) -> Option<SlotId> {
        let cell = self.cells.get(slot as usize)?;
        cell.value.as_ref()?;
        Some(SlotId { slot, generation: cell.generation })
    }

    /// Takes out whatever lives in a slot.
    pub fn remove_at(&mut self, slot: u32) -> Option<T> {
        let generation = self.cells.get(slot as usize)?.generation;
        self.remove(SlotId { slot, generation })
    }

    /// The entry.
    pub fn get(&self, id: SlotId) -> Option<&T> {
        let cell = self.cells.get(id.slot as usize)?;
        if cell.generation == id.generation { cell.value.as_ref() } else { None }
    }

    /// The entry, to change.
    pub fn get_mut(&mut self, id: SlotId) -> Option<&mut T> {
        let cell = self.cells.get_mut(id.slot as usize)?;
        if cell.generation == id.generation { cell.value.as_mut() } else { None }
    }

    /// Whatever lives in a slot.
    pub fn at(&self, slot: u32) -> Option<&T> {
        self.cells.get(slot as usize)?.value.as_ref()
    }

    /// Whatever lives in a slot, to change.
    pub fn at_mut(&mut self, slot: u32) -> Option<&mut T> {
        self.cells.get_mut(slot as usize)?.value.as_mut()
    }

    /// Slots ever used: every living entry's slot is below.
    pub fn slots(&self) -> u32 {
        self.cells.len() as u32
    }

    /// Living entries.
    pub fn len(&self) -> u32 {
        (self.cells.len() - self.free.len()) as u32
    }

    /// Whether nothing lives here.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All living entries with their ids.
    pub fn iter(&self) -> impl Iterator<Item = (SlotId, &T)> {
        self.cells.iter().enumerate().filter_map(|(slot, cell)| {
            let id = SlotId { slot: slot as u32, generation: cell.generation };
            cell.value.as_ref().map(|value| (id, value))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_id_is_not_followed() {
        let mut slab = Slab::new(2);
        let a = slab.insert('a').expect("room");
        let b = slab.insert('b').expect("room");
        assert_eq!(slab.insert('c'), Err('c'));
        assert_eq!(slab.remove(a), Some('a'));
        assert_eq!(slab.remove(a), None);
        let c = slab.insert('c').expect("room");
        assert_eq!(c.slot, a.slot);
        assert_eq!(slab.get(a), None);
        assert_eq!(slab.get(c), Some(&'c'));
        assert_eq!(slab.get(b), Some(&'b'));
        assert_eq!((slab.len(), slab.slots()), (2, 2));
    }
}
