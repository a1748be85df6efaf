//! The real binaries, started, killed and judged from outside.
//!
//! - [`appliance`]: data plane and control plane of their own for one test, on free ports.
//! - [`exposition`]: a strict reader of the metrics.
//! - [`http`]: a small blocking client that sends what it is told, hostile requests included.
//! - [`namespace`]: a network of its own for one test.
//! - [`packet`], [`source`], [`sink`]: numbered packets, who sends them and who misses them.
//! - [`patience`]: waiting for a condition, never for a time.
//! - [`ports`]: ports that no other test of this process has.
//! - [`sockets`]: the UDP sockets of a program, as the kernel sees them.
//! - [`steering`]: the test as the control plane, over the real shared memory.
//! - [`token`]: API tokens, good and bad ones.
//!
//! `cargo test -p ringway-system` builds the programs that it judges; see [`program::binary`]. What
//! needs root (a network namespace, becoming another user) is skipped without it, and says so.
#![forbid(unsafe_code)]

pub mod appliance;
pub mod exposition;
pub mod http;
pub mod namespace;
pub mod packet;
pub mod patience;
pub mod ports;
pub mod program;
pub mod sink;
pub mod sockets;
pub mod source;
pub mod steering;
pub mod token;
