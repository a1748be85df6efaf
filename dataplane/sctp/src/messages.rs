//! The messages that are on their way out: each once, however many chunks of it are under way.

/// Slots that an idle association keeps, with their buffers up to [`BUFFER_KEPT`]: short messages
/// then cost no allocation. Raised, idle associations are larger.
const SLOTS_KEPT: usize = 4;
/// The largest buffer that is kept for the next message, bytes.
const BUFFER_KEPT: usize = 512;

/// A message that goes out.
#[derive(Debug, Default)]
pub(crate) struct Outgoing {
    pub(crate) payload: Vec<u8>,
    pub(crate) ppid: u32,
    pub(crate) stream: u16,
    /// Given when its first chunk goes: those that expire before leave no hole.
    pub(crate) ssn: u16,
    pub(crate) unordered: bool,
    pub(crate) max_retransmissions: Option<u16>,
    pub(crate) expires_ns: u64,
    /// Bytes of it, and how many became chunks.
    pub(crate) len: usize,
    pub(crate) taken: usize,
    /// It is given up.
    pub(crate) abandoned: bool,
    /// Chunks that are not cumulatively acknowledged.
    pub(crate) chunks: u32,
    /// No further chunk will be made of it.
    pub(crate) complete: bool,
}

impl Outgoing {
    /// Bytes that are not in chunks yet.
    #[inline]
    pub(crate) fn left(&self) -> usize {
        self.len - self.taken
    }
}

/// All of them, in slots.
#[derive(Debug, Default)]
pub(crate) struct Messages {
    slots: Vec<Outgoing>,
    free: Vec<u32>,
}

impl Messages {
    /// Takes a message; its payload is copied.
    pub(crate) fn insert(&mut self, payload: &[u8], mut message: Outgoing) -> u32 {
        message.len = payload.len();
        if let Some(slot) = self.free.pop() {
            let place = &mut self.slots[slot as usize];
            std::mem::swap(&mut message.payload, &mut place.payload);
            message.payload.extend_from_slice(payload);
            *place = message;
            return slot;
        }
        message.payload.extend_from_slice(payload);
        self.slots.push(message);
        self.slots.len() as u32 - 1
    }

    #[inline]
    pub(crate) fn get(&self, slot: u32) -> &Outgoing {
        &self.slots[slot as usize]
    }

    /// `len` more bytes of it are in a chunk; gives whether these were the last.
    #[inline]
    pub(crate) fn note_chunk(&mut self, slot: u32, len: usize) -> bool {
        let message = &mut self.slots[slot as usize];
        message.taken += len;
        message.chunks += 1;
        message.complete = message.taken == message.len;
        message.complete
    }

    pub(crate) fn set_ssn(&mut self, slot: u32, ssn: u16) {
        self.slots[slot as usize].ssn = ssn;
    }

    /// A chunk of it is acknowledged.
    #[inline]
    pub(crate) fn release_chunk(&mut self, slot: u32) {
        let message = &mut self.slots[slot as usize];
        message.chunks -= 1;
        if message.chunks == 0 && message.complete {
            self.release(slot);
        }
    }

    /// It will not be sent again: what it says is forgotten, its numbers are not.
    pub(crate) fn forget_payload(&mut self, slot: u32) {
        let message = &mut self.slots[slot as usize];
        message.payload = Vec::new();
        message.abandoned = true;
    }

    /// One chunk more stands for what was left of a message that is given up.
    pub(crate) fn note_abandoned(&mut self, slot: u32) {
        let message = &mut self.slots[slot as usize];
        message.chunks += 1;
        message.complete = true;
    }

    /// It is gone. Nothing refers to it any more.
    pub(crate) fn release(&mut self, slot: u32) {
        let payload = &mut self.slots[slot as usize].payload;
        payload.clear();
        if payload.capacity() > BUFFER_KEPT {
            *payload = Vec::new();
        }
        self.free.push(slot);
        if self.free.len() == self.slots.len() && self.slots.len() > SLOTS_KEPT {
            self.slots.truncate(SLOTS_KEPT);
            self.slots.shrink_to(SLOTS_KEPT);
            self.free.clear();
            self.free.shrink_to(SLOTS_KEPT);
            self.free.extend((0..SLOTS_KEPT as u32).rev());
        }
    }

    /// How many there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Bytes of memory behind them.
    pub(crate) fn memory(&self) -> usize {
        self.slots.iter().map(|slot| slot.payload.capacity()).sum::<usize>()
            + self.slots.capacity() * size_of::<Outgoing>()
            + self.free.capacity() * 4
    }
}
