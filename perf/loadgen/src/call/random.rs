//! Numbers that need not be secret: SSRCs, sequence starts, ICE credentials of synthetic clients.

/// SplitMix64: near seeds give unlike numbers.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Numbers that follow from `seed`.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Numbers that no other run has.
    pub fn from_system() -> Self {
        let mut seed = [0; 8];
        // Without a random device the clock is unlike enough.
        if getrandom::fill(&mut seed).is_err() {
            seed = crate::kernel::monotonic_ns().to_be_bytes();
        }
        Self(u64::from_be_bytes(seed))
    }

    /// The next number.
    pub fn next_number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// The next 32 bits, never 0.
    pub fn next_ssrc(&mut self) -> u32 {
        (self.next_number() as u32).max(1)
    }

    /// `length` letters and digits.
    pub fn word(&mut self, length: usize) -> String {
        const LETTERS: &[u8; 32] = b"abcdefghijkmnopqrstuvwxyz2345678";
        (0..length).map(|_| char::from(LETTERS[(self.next_number() % 32) as usize])).collect()
    }
}
