//! Other people's programs against ours: what FFmpeg sends arrives, decodes and is the same.
//!
//! - [`ffmpeg`]: FFmpeg as a child process.
//! - [`clip`]: what is sent, and what its decoded frames are.
//! - [`player`]: a receiver that decodes what a session description tells it to.
//! - [`listener`]: a bare socket that keeps the packets it gets.
//! - [`verdict`]: is what was played what was sent?
#![forbid(unsafe_code)]

pub mod clip;
pub mod ffmpeg;
pub mod listener;
pub mod player;
pub mod verdict;
