//! Calls: synthetic participants that join a room, by LiveKit's signalling, so that any compatible
//! server can be loaded, or by Janus's, and publish and receive media over ICE, DTLS and SRTP.
//!
//! `signal` is a thread of its own that speaks with the server and knows nothing of media; what it
//! agreed on goes to the thread of the load (`run`), which owns every socket. `publisher` and
//! `subscriber` are a participant's two directions, `connection` is one peer connection. Times of
//! the load are ns of CLOCK_MONOTONIC; latency is measured on CLOCK_REALTIME, because the kernel
//! stamps arrivals with it.

pub mod audio;
pub mod connection;
pub mod data;
pub mod fixed;
pub mod intake;
pub mod member;
pub mod publisher;
pub mod random;
pub mod report;
pub mod run;
pub mod scenario;
pub mod sctp;
pub mod signal;
pub mod stamp;
pub mod stream;
pub mod subscriber;
pub mod tally;
pub mod token;
pub mod track;
pub mod video;
