//! Random numbers of one session, from a seed that the caller takes from the system.
//!
//! All that comes out is told to the session's own client, which may compute the rest of its own
//! numbers from it; those of other sessions have other seeds.

use crate::plane::IceCredentials;

/// xoshiro256++ (Blackman, Vigna 2018).
#[derive(Clone, Debug)]
pub(crate) struct Random([u64; 4]);

const ICE_CHARACTERS: &[u8; 64] =
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// RFC 8445 5.3 asks for 24 bits, this has 48: a fragment also finds its session.
const UFRAG_CHARACTERS: usize = 8;
/// RFC 8445 5.3 asks for 128 bits, this has 144.
const PWD_CHARACTERS: usize = 24;

impl Random {
    pub(crate) fn new(seed: [u64; 4]) -> Self {
        // All zeros would stay so.
        Self(if seed == [0; 4] { [1, 2, 3, 4] } else { seed })
    }

    pub(crate) fn next(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.0;
        let result = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        result
    }

    /// A key: never 0.
    pub(crate) fn key(&mut self) -> u64 {
        self.next().max(1)
    }

    /// An SSRC that is neither 0 nor one of `taken`.
    pub(crate) fn ssrc(&mut self, taken: impl Fn(u32) -> bool) -> u32 {
        loop {
            let ssrc = (self.next() >> 32) as u32;
            if ssrc != 0 && !taken(ssrc) {
                return ssrc;
            }
        }
    }

    pub(crate) fn ice(&mut self) -> IceCredentials {
        IceCredentials { ufrag: self.text(UFRAG_CHARACTERS), pwd: self.text(PWD_CHARACTERS) }
    }

    fn text(&mut self, characters: usize) -> String {
        let digit = |number: u64| char::from(ICE_CHARACTERS[(number >> 58) as usize]);
        (0..characters).map(|_| digit(self.next())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_differs() {
        let mut random = Random::new([0; 4]);
        let (first, second) = (random.ice(), random.ice());
        assert_ne!(first, second);
        assert_eq!((first.ufrag.len(), first.pwd.len()), (8, 24));
        let mut seen = std::collections::HashSet::new();
        for _ in 0..1000 {
            let ssrc = random.ssrc(|ssrc| seen.contains(&ssrc));
            assert!(ssrc != 0 && seen.insert(ssrc));
            assert_ne!(random.key(), 0);
        }
        assert_ne!(Random::new([1, 0, 0, 0]).next(), Random::new([2, 0, 0, 0]).next());
    }
}
