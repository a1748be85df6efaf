//! Names of forwards, destinations, rooms, participants and tracks: a prefix and 12 base62
//! characters, and the 64-bit key that the data plane knows them by.
//!
//! The key is the low 64 bits of the base62 number. About 175 texts share a key, so whoever adds an
//! id must refuse one whose key is taken. The derivation must never change: keys outlive a restart
//! of the control plane inside the data plane.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Characters after the prefix: 62^12 is about 2^71, so random ids do not meet.
pub const LENGTH: usize = 12;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Why a text is no id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAnId {
    prefix: &'static str,
}

impl fmt::Display for NotAnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "must be `{}` followed by {LENGTH} letters or digits", self.prefix)
    }
}

impl std::error::Error for NotAnId {}

fn text_of(random: [u8; LENGTH]) -> [u8; LENGTH] {
    let mut number = random.iter().fold(0u128, |n, byte| n << 8 | u128::from(*byte));
    let mut text = [0; LENGTH];
    for place in text.iter_mut().rev() {
        *place = DIGITS[(number % 62) as usize];
        number /= 62;
    }
    // Key 0 means "nobody" in the data plane.
    if key_of(text) == 0 {
        text[LENGTH - 1] = DIGITS[1];
    }
    text
}

fn digit_of(byte: u8) -> Option<u128> {
    match byte {
        b'0'..=b'9' => Some(u128::from(byte - b'0')),
        b'A'..=b'Z' => Some(u128::from(byte - b'A') + 10),
        b'a'..=b'z' => Some(u128::from(byte - b'a') + 36),
        _ => None,
    }
}

fn key_of(text: [u8; LENGTH]) -> u64 {
    text.iter().fold(0u128, |n, byte| n * 62 + digit_of(*byte).unwrap_or(0)) as u64
}

fn parse(text: &str, prefix: &'static str) -> Result<[u8; LENGTH], NotAnId> {
    let refuse = NotAnId { prefix };
    let digits = text.strip_prefix(prefix).ok_or(refuse)?.as_bytes();
    let digits: [u8; LENGTH] = digits.try_into().map_err(|_| refuse)?;
    let valid = digits.iter().all(|byte| digit_of(*byte).is_some()) && key_of(digits) != 0;
    if valid { Ok(digits) } else { Err(refuse) }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; LENGTH]);

        impl $name {
            /// What the text begins with.
            pub const PREFIX: &'static str = $prefix;

            /// The id that these random bytes make.
            pub fn from_random(random: [u8; LENGTH]) -> Self {
                Self(text_of(random))
            }

            /// What the data plane calls it; never 0.
            pub fn key(self) -> u64 {
                key_of(self.0)
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;
            fn from_str(text: &str) -> Result<Self, NotAnId> {
                parse(text, Self::PREFIX).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(Self::PREFIX)?;
                self.0.iter().try_for_each(|byte| write!(f, "{}", char::from(*byte)))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

id! {
    /// Names a forward.
    ForwardId "FW_"
}
id! {
    /// Names a destination of a forward.
    DestinationId "FD_"
}
id! {
    /// Names one life of the control plane, as LiveKit names its nodes.
    NodeId "ND_"
}
id! {
    /// Names one life of a room; a room that is created again has another one.
    RoomSid "RM_"
}
id! {
    /// Names one session of a participant; who joins again has another one.
    ParticipantSid "PA_"
}
id! {
    /// Names one publication of a track.
    TrackSid "TR_"
}
id! {
    /// Names one publication of a data track.
    DataTrackSid "DTR_"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: Option<u64>) {
        assert_eq!(text.parse::<ForwardId>().ok().map(ForwardId::key), expect, "{text}");
    }

    #[test]
    fn texts_and_keys() {
        check("FW_000000000001", Some(1));
        check("FW_00000000000z", Some(61));
        check("FW_000000000010", Some(62));
        check("FW_zzzzzzzzzzzz", Some((62u128.pow(12) - 1) as u64));
        check("FW_000000000000", None);
        check("FW_00000000001", None);
        check("FW_0000000000012", None);
        check("FW_00000000000-", None);
        check("FD_000000000001", None);
        check("fw_000000000001", None);
        check("", None);
        check("FW_é0000000000", None);
    }

    #[test]
    fn random_bytes_make_ids_that_read_back() {
        for random in [[0; 12], [255; 12], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]] {
            let id = ForwardId::from_random(random);
            assert_eq!(id.to_string().parse(), Ok(id));
            assert_ne!(id.key(), 0);
        }
        assert_ne!(DestinationId::from_random([7; 12]), DestinationId::from_random([8; 12]));
    }
}
