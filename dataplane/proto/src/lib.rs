//! The protocol machines of one peer connection, and the TURN server before them; sans-IO.
#![forbid(unsafe_code)]

pub mod cap;
pub mod dtls;
pub mod framing;
pub mod history;
pub mod ice;
pub mod nack;
pub mod rtx;
pub mod sctp;
pub mod srtp;
pub mod transport;
pub mod turn;
pub mod twcc;
