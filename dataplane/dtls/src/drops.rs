//! Why bytes from outside were thrown away. None of these ends a session.

/// A reason to drop a datagram or a record of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drop {
    /// No DTLS record, or its end is missing.
    Malformed,
    /// Longer than [`crate::MAX_DATAGRAM_LEN`].
    TooLong,
    /// A content type that DTLS 1.2 does not have.
    UnknownType,
    /// An alert that anybody could have written: it is not encrypted.
    PlaintextAlert,
    /// Application data that anybody could have written.
    PlaintextData,
    /// A record that is not encrypted, after the handshake.
    PlaintextAfterHandshake,
    /// A record that is encrypted, before there is a key.
    TooEarly,
    /// A handshake message that has no place here: its fragments do not fit into it, it is longer
    /// than any real one, or it is not the one that this number has.
    Handshake,
    /// A change of ciphers that is not one byte of 1, or before the first message.
    CipherChange,
    /// A first message that was whole but not acceptable; the session waits for another one.
    Hello,
    /// The session has ended.
    Ended,
    /// A message or datagram found no room as its owner did not look.
    QueueFull,
}

impl Drop {
    /// All of them, in the order of their counters.
    pub const ALL: [Self; 12] = [
        Self::Malformed,
        Self::TooLong,
        Self::UnknownType,
        Self::PlaintextAlert,
        Self::PlaintextData,
        Self::PlaintextAfterHandshake,
        Self::TooEarly,
        Self::Handshake,
        Self::CipherChange,
        Self::Hello,
        Self::Ended,
        Self::QueueFull,
    ];
}

/// How often each happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DropCounts([u32; Drop::ALL.len()]);

impl DropCounts {
    /// How often `reason` happened.
    pub fn get(&self, reason: Drop) -> u32 {
        self.0[reason as usize]
    }

    /// All reasons together.
    pub fn total(&self) -> u32 {
        self.0.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    pub(crate) fn count(&mut self, reason: Drop) {
        self.add(reason, 1);
    }

    pub(crate) fn add(&mut self, reason: Drop, times: u32) {
        let count = &mut self.0[reason as usize];
        *count = count.saturating_add(times);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_counter() {
        for (at, reason) in Drop::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, at);
            let mut counts = DropCounts::default();
            counts.count(reason);
            assert_eq!((counts.get(reason), counts.total()), (1, 1));
        }
    }
}
