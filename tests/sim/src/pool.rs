//! A shard's receive buffers, and the rules by which they are counted.
//!
//! A buffer is held once by the arrival in it and once more for every loan. Whoever reads one that
//! nobody holds, or lets go once too often, has a bug, and so has whoever reads stale bytes: a free
//! buffer holds nothing but [`FREED`].

/// What free buffers are filled with.
pub const FREED: u8 = 0xdd;

/// Where payloads start inside a buffer, as the kernel's headers would have it.
const PAYLOAD_OFFSET: usize = 48;

/// The buffers of one shard.
#[derive(Debug)]
pub struct Pool {
    memory: Vec<u8>,
    buffer_bytes: usize,
    holders: Vec<u32>,
    free: Vec<u32>,
}

impl Pool {
    /// `buffers` free buffers with room for payloads of `payload_bytes`.
    pub fn new(buffers: usize, payload_bytes: usize) -> Self {
        let buffer_bytes = PAYLOAD_OFFSET + payload_bytes;
        Self {
            memory: vec![FREED; buffers * buffer_bytes],
            buffer_bytes,
            holders: vec![0; buffers],
            free: (0..buffers as u32).collect(),
        }
    }

    /// Receives a datagram: its buffer, where it starts in the pool, how much of it fits. `None`:
    /// no buffer is free and the kernel keeps it.
    pub fn receive(&mut self, bytes: &[u8]) -> Option<(u32, u32, usize)> {
        let buffer = self.free.pop()?;
        let index = buffer as usize;
        assert_eq!(self.holders[index], 0, "buffer {buffer} was free and held");
        self.holders[index] = 1;
        let offset = index * self.buffer_bytes + PAYLOAD_OFFSET;
        let len = bytes.len().min(self.buffer_bytes - PAYLOAD_OFFSET);
        self.memory[offset..offset + len].copy_from_slice(&bytes[..len]);
        Some((buffer, offset as u32, len))
    }

    /// Holds a buffer once more.
    pub fn retain(&mut self, buffer: u32) {
        let holders = &mut self.holders[buffer as usize];
        assert!(*holders > 0, "buffer {buffer} is retained, but nobody holds it");
        *holders += 1;
    }

    /// Lets go of a buffer.
    pub fn release(&mut self, buffer: u32) {
        let index = buffer as usize;
        assert!(self.holders[index] > 0, "buffer {buffer} is released, but nobody holds it");
        self.holders[index] -= 1;
        if self.holders[index] == 0 {
            self.memory[index * self.buffer_bytes..][..self.buffer_bytes].fill(FREED);
            self.free.push(buffer);
        }
    }

    /// The octets of a piece.
    pub fn octets(&self, offset: u32, len: u32) -> &[u8] {
        let (offset, len) = (offset as usize, len as usize);
        let buffer = offset / self.buffer_bytes;
        assert!(self.holders[buffer] > 0, "buffer {buffer} is read, but nobody holds it");
        assert!(
            offset + len <= (buffer + 1) * self.buffer_bytes,
            "{len} octets from {offset} on reach beyond buffer {buffer}"
        );
        &self.memory[offset..offset + len]
    }

    /// Buffers that nobody holds.
    pub fn free(&self) -> usize {
        self.free.len()
    }

    /// Buffers in all.
    pub fn buffers(&self) -> usize {
        self.holders.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_wiped_when_its_last_holder_lets_go() {
        let mut pool = Pool::new(1, 8);
        let (buffer, offset, len) = pool.receive(&[1; 10]).expect("one is free");
        assert_eq!((len, pool.free()), (8, 0));
        assert!(pool.receive(&[2]).is_none());
        pool.retain(buffer);
        pool.release(buffer);
        assert_eq!(pool.octets(offset, 8), [1; 8]);
        pool.release(buffer);
        assert_eq!(pool.free(), 1);
        assert!(pool.memory.iter().all(|octet| *octet == FREED));
    }

    #[test]
    #[should_panic(expected = "nobody holds it")]
    fn a_free_buffer_is_not_read() {
        let mut pool = Pool::new(1, 8);
        let (buffer, offset, _) = pool.receive(&[1; 8]).expect("one is free");
        pool.release(buffer);
        pool.octets(offset, 1);
    }
}
