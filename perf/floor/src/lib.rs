//! What this machine's kernel can do at best, so that "x times the floor" means something.
//!
//! Two answers: `rows` measures the floors of single operations, one line each; `serve_uring` and
//! `serve_plain` are the least servers that a scenario allows, which `perf/compare` runs and bills
//! like any other server; `serve_call_*` are those of calls. Nothing here is product code, and none
//! of the product's code is used but its SRTP: whoever seals with AES-GCM pays at least that.

pub mod call_fan;
pub mod fan_out;
pub mod layout;
pub mod measure;
#[cfg(feature = "peers")]
pub mod peers;
pub mod receives;
pub mod rows;
pub mod sends;
pub mod serve_call_plain;
pub mod serve_call_uring;
pub mod serve_plain;
pub mod serve_uring;
