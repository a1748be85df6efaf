//! What waits for a peer that reads slowly: whole messages, in order, up to a bound.

/// Octets that wait, besides those that the kernel keeps. Raised: media is older when it comes.
/// Lowered: a key frame is lost on the way to a healthy peer.
const WAITING_BYTES: usize = 128 * 1024;

/// The octets for one peer.
#[derive(Debug, Default)]
pub struct Waiting {
    octets: Vec<u8>,
    written: usize,
}

impl Waiting {
    /// Takes the parts of one message; `false`: it was dropped, as too much waits already.
    pub fn queue(&mut self, parts: &[&[u8]]) -> bool {
        let waiting = self.octets.len() - self.written;
        let len: usize = parts.iter().map(|part| part.len()).sum();
        if waiting + len > WAITING_BYTES {
            return false;
        }
        if self.written > 0 && self.written >= waiting {
            self.octets.drain(..self.written);
            self.written = 0;
        }
        parts.iter().for_each(|part| self.octets.extend_from_slice(part));
        true
    }

    /// What is to be written next.
    pub fn unwritten(&self) -> &[u8] {
        self.octets.get(self.written..).unwrap_or(&[])
    }

    /// So much of it was.
    pub fn wrote(&mut self, bytes: usize) {
        self.written += bytes;
        if self.written >= self.octets.len() {
            self.written = 0;
            // A peer that reads well costs nothing between its packets.
            self.octets = Vec::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_has_a_bound_and_stays_in_order() {
        let mut waiting = Waiting::default();
        let (mut expect, mut seen, mut dropped) = (Vec::new(), Vec::new(), 0);
        for round in 0..2000_usize {
            let packet = vec![round as u8; 1 + round % 1200];
            match waiting.queue(&[&[7, 7], &packet]) {
                true => expect.extend([&[7, 7][..], &packet].concat()),
                false => dropped += 1,
            }
            let part = waiting.unwritten().len().min(300);
            seen.extend_from_slice(&waiting.unwritten()[..part]);
            waiting.wrote(part);
            assert!(waiting.octets.capacity() <= 4 * WAITING_BYTES);
        }
        assert!(dropped > 100, "{dropped} dropped");
        seen.extend_from_slice(waiting.unwritten());
        waiting.wrote(waiting.unwritten().len());
        assert_eq!((seen == expect, waiting.octets.capacity()), (true, 0));
    }
}
