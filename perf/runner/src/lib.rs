//! Runs servers against each other on one scenario, and bills each for its CPU time per packet that
//! its receivers counted.
//!
//! `rounds` is the order of things, `servers` knows how to start each one, `usage` reads `/proc`,
//! `row` prints. `perf/compare` builds what is needed and starts the binary. All traffic stays on
//! the machine; every process and folder that a run makes is gone when it ends, however it ends.

pub mod bencode;
pub mod drive;
pub mod http;
pub mod install;
pub mod load;
pub mod options;
pub mod path;
pub mod program;
pub mod rounds;
pub mod row;
pub mod servers;
pub mod usage;
