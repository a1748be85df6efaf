//! The first two bytes of a STUN message: class and method, woven into each other.

/// The method Binding (RFC 8489 18.3), the only one that ICE uses.
pub const BINDING: u16 = 0x001;

/// What kind of message it is (RFC 8489 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Asks, and wants an answer.
    Request,
    /// Tells, and wants none.
    Indication,
    /// The answer to a request that was granted.
    Success,
    /// The answer to a request that was refused, with an ERROR-CODE.
    Error,
}

/// Class and method of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MessageType {
    /// What kind of message it is.
    pub class: Class,
    /// What it is about, 0–0xfff; [`BINDING`] for connectivity checks.
    pub method: u16,
}

impl MessageType {
    /// A Binding message of `class`.
    pub const fn binding(class: Class) -> Self {
        Self { class, method: BINDING }
    }

    // RFC 8489 5, figure 3: from the left M11..M7, C1, M6..M4, C0, M3..M0.
    pub(super) const fn from_bits(bits: u16) -> Self {
        let class = match (bits >> 8 & 1, bits >> 4 & 1) {
            (0, 0) => Class::Request,
            (0, _) => Class::Indication,
            (_, 0) => Class::Success,
            _ => Class::Error,
        };
        Self { class, method: bits & 0x000f | bits >> 1 & 0x0070 | bits >> 2 & 0x0f80 }
    }

    pub(super) const fn bits(self) -> u16 {
        let class = match self.class {
            Class::Request => 0,
            Class::Indication => 0x0010,
            Class::Success => 0x0100,
            Class::Error => 0x0110,
        };
        let method = self.method;
        class | method & 0x000f | (method & 0x0070) << 1 | (method & 0x0f80) << 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_and_method_are_told_apart() {
        for (bits, class, method) in [
            (0x0001, Class::Request, BINDING),
            (0x0011, Class::Indication, BINDING),
            (0x0101, Class::Success, BINDING),
            (0x0111, Class::Error, BINDING),
            (0x0003, Class::Request, 3),     // TURN's Allocate
            (0x0113, Class::Error, 3),       // and its refusal
            (0x0016, Class::Indication, 6),  // TURN's Send
            (0x3eef, Class::Request, 0xfff), // all bits of a method
            (0x3fff, Class::Error, 0xfff),
        ] {
            let found = MessageType::from_bits(bits);
            assert_eq!(found, MessageType { class, method }, "{bits:04x}");
            assert_eq!(found.bits(), bits);
        }
    }
}
