//! What a request is, packed into the 64 bits that come back with its completion.

use crate::batch::SocketId;

/// A request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// The multishot receive of a socket.
    Receive(SocketId),
    /// A message of the outbox.
    Send(u32),
    /// The poll of the bell.
    Bell,
    /// A cancellation.
    Cancel,
}

const KIND_SHIFT: u32 = 56;
const GENERATION_SHIFT: u32 = 32;

const _: () = assert!(
    (SocketId::GENERATION_MASK as u64) << GENERATION_SHIFT < 1 << KIND_SHIFT,
    "a generation does not reach the kind"
);

impl From<Token> for u64 {
    fn from(token: Token) -> Self {
        match token {
            Token::Receive(id) => {
                (1 << KIND_SHIFT)
                    | (u64::from(id.generation()) << GENERATION_SHIFT)
                    | u64::from(id.slot())
            }
            Token::Send(message) => (2 << KIND_SHIFT) | u64::from(message),
            Token::Bell => 3 << KIND_SHIFT,
            Token::Cancel => 4 << KIND_SHIFT,
        }
    }
}

impl Token {
    pub(super) fn from_user_data(user_data: u64) -> Option<Self> {
        match user_data >> KIND_SHIFT {
            1 => {
                let generation = (user_data >> GENERATION_SHIFT) as u32;
                Some(Self::Receive(SocketId::new(user_data as u32, generation)))
            }
            2 => Some(Self::Send(user_data as u32)),
            3 => Some(Self::Bell),
            4 => Some(Self::Cancel),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_survive_the_kernel() {
        let last = SocketId::new(u32::MAX, SocketId::GENERATION_MASK);
        let rows = [
            Token::Receive(SocketId::new(0, 0)),
            Token::Receive(last),
            Token::Send(0),
            Token::Send(u32::MAX),
            Token::Bell,
            Token::Cancel,
        ];
        for token in rows {
            assert_eq!(Token::from_user_data(token.into()), Some(token));
        }
        assert_eq!(Token::from_user_data(0), None);
        assert_eq!(Token::from_user_data(u64::MAX), None);
    }
}
