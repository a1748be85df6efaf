//! Calls on simulated shards: peers with real transports, what they publish, what they see, and
//! what must be true of it.
//!
//! - [`meeting`]: a plane with peers, and the control plane's commands.
//! - [`peer`]: one client's connection: ICE, DTLS and SRTP in virtual time.
//! - [`camera`], [`microphone`]: what is published; [`frame`]: what its payloads say of themselves.
//! - [`publisher`], [`viewer`]: those at the ends; [`stream`]: one stream as a viewer gets it.
//! - [`rtcp`]: what RFCs demand of all that the server reports and asks for.
//! - [`decoder`]: whether that stream can be decoded, and when it was shown.
//!
//! Keys come from the crypto library, so two runs of a seed differ in ciphertext, but not in what
//! is sent when.

pub mod camera;
pub mod decoder;
pub mod frame;
pub mod meeting;
pub mod microphone;
pub mod peer;
pub mod publisher;
pub mod rtcp;
pub mod stream;
pub mod viewer;
