//! Nonces that need no list: a time, and the HMAC that says that it came from here and for whom.

use std::net::IpAddr;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;

use super::Client;

/// RFC 8656 5: "the server SHOULD require a new nonce at least once every hour".
const LIFETIME_S: u64 = 3600;

/// Octets of the time and of the HMAC, both of which are written in hexadecimal.
const TIME_BYTES: usize = 4;
const HASH_BYTES: usize = 12;

/// Characters of a nonce. None begins with "obMatJos2", which would offer newer algorithms (RFC
/// 8489 9.2).
pub(super) const NONCE_BYTES: usize = 2 * (TIME_BYTES + HASH_BYTES);

/// Makes and checks nonces.
pub(super) struct Nonces(hmac::Key);

impl Nonces {
    pub(super) fn new(seed: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, seed))
    }

    /// A nonce for one client; `now_s` is of a clock that only runs forward.
    pub(super) fn make(&self, now_s: u64, client: &Client) -> [u8; NONCE_BYTES] {
        self.of_time(now_s as u32, client)
    }

    /// Whether it is one of ours, for this client, and young enough.
    pub(super) fn check(&self, now_s: u64, client: &Client, nonce: &[u8]) -> bool {
        let digits = nonce.get(..2 * TIME_BYTES).unwrap_or(&[]);
        let digits = std::str::from_utf8(digits).ok();
        let Some(time) = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()) else {
            return false;
        };
        let young = u64::from((now_s as u32).wrapping_sub(time)) < LIFETIME_S;
        young && verify_slices_are_equal(&self.of_time(time, client), nonce).is_ok()
    }

    fn of_time(&self, time: u32, client: &Client) -> [u8; NONCE_BYTES] {
        let time = time.to_be_bytes();
        let ip = match client.remote.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
            IpAddr::V6(ip) => ip.octets(),
        };
        let mut context = hmac::Context::with_key(&self.0);
        context.update(&time);
        context.update(&ip);
        context.update(&client.remote.port().to_be_bytes());
        // Streams are numbered from 0; UDP is none of them.
        context.update(&client.stream.map_or(u64::MAX, u64::from).to_be_bytes());
        let hash = context.sign();
        let mut nonce = [0; NONCE_BYTES];
        let octets = time.iter().chain(hash.as_ref());
        for (pair, octet) in nonce.chunks_exact_mut(2).zip(octets) {
            const DIGITS: &[u8; 16] = b"0123456789abcdef";
            pair[0] = DIGITS[usize::from(octet >> 4)];
            pair[1] = DIGITS[usize::from(octet & 15)];
        }
        nonce
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonces_are_for_one_client_and_an_hour() {
        let nonces = Nonces::new(&[7; 32]);
        let remote = ([192, 0, 2, 1], 9).into();
        let client = Client { remote, stream: None };
        let nonce = nonces.make(100_000, &client);
        assert_eq!(&nonce[..8], b"000186a0");
        assert!(nonces.check(100_000, &client, &nonce) && nonces.check(103_599, &client, &nonce));
        assert!(!nonces.check(103_600, &client, &nonce) && !nonces.check(99_999, &client, &nonce));
        let others = [
            Client { remote: ([192, 0, 2, 2], 9).into(), ..client },
            Client { remote: ([192, 0, 2, 1], 8).into(), ..client },
            Client { stream: Some(0), ..client },
        ];
        assert!(others.iter().all(|other| !nonces.check(100_000, other, &nonce)));
        for at in 0..nonce.len() {
            let mut wrong = nonce;
            wrong[at] ^= 1;
            assert!(!nonces.check(100_000, &client, &wrong), "{at}");
        }
        for wrong in [&nonce[..31], &nonce[..7], b"", b"zzzzzzzz", "0001\u{e9}".as_bytes()] {
            assert!(!nonces.check(100_000, &client, wrong));
        }
        assert!(!Nonces::new(&[8; 32]).check(100_000, &client, &nonce));
    }
}
