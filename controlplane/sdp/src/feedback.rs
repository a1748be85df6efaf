//! Which RTCP feedback a payload type has: the five kinds that matter here, as a set.

use std::fmt;
use std::ops::{BitAnd, BitOr, BitOrAssign};

/// A set of feedback kinds (`a=rtcp-fb`); kinds that are not listed here are dropped on reading.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Feedback(u8);

const NAMES: [(Feedback, &str); 5] = [
    (Feedback::GOOG_REMB, "goog-remb"),
    (Feedback::TRANSPORT_CC, "transport-cc"),
    (Feedback::CCM_FIR, "ccm fir"),
    (Feedback::NACK, "nack"),
    (Feedback::NACK_PLI, "nack pli"),
];

impl Feedback {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// `nack`: lost packets are reported and may be sent again.
    pub const NACK: Self = Self(1);
    /// `nack pli`: a key frame can be asked for.
    pub const NACK_PLI: Self = Self(2);
    /// `ccm fir`: a key frame can be demanded.
    pub const CCM_FIR: Self = Self(4);
    /// `goog-remb`: the receiver tells its bandwidth estimate.
    pub const GOOG_REMB: Self = Self(8);
    /// `transport-cc`: the receiver tells arrival times.
    pub const TRANSPORT_CC: Self = Self(16);

    /// Whether every kind of `other` is in the set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether the set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Both sets together, for constants.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// This set without the kinds of `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The kind that SDP calls `name`, or nothing.
    pub(crate) fn named(name: &str) -> Self {
        let known = NAMES.iter().find(|(_, known)| *known == name);
        known.map_or(Self::NONE, |(kind, _)| *kind)
    }

    /// SDP's names of the kinds in the set.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        NAMES.iter().filter(move |(kind, _)| self.contains(*kind)).map(|(_, name)| *name)
    }
}

impl BitOr for Feedback {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.union(other)
    }
}

impl BitOrAssign for Feedback {
    fn bitor_assign(&mut self, other: Self) {
        *self = *self | other;
    }
}

impl BitAnd for Feedback {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl fmt::Debug for Feedback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}
