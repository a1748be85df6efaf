//! The clock that AWS-LC reads: the `now` of the call that the thread is in. It asks without saying
//! for which connection, so the clock is the thread's.
#![allow(unsafe_code)]

use std::cell::Cell;

use super::calls::{Ssl, TimeVal};

/// Where the clock starts, so that the time of a new program is not 0, which AWS-LC takes for
/// "never".
const ORIGIN_S: u64 = 1;

thread_local! {
    static NOW_NS: Cell<u64> = const { Cell::new(0) };
}

/// Every call into a connection begins with this.
pub(super) fn set(now_ns: u64) {
    NOW_NS.set(now_ns);
}

/// AWS-LC asks for the time. It panics nowhere.
pub(super) extern "C" fn tell(_ssl: *const Ssl, out: *mut TimeVal) {
    let now_ns = NOW_NS.get();
    let sec = now_ns / 1_000_000_000 + ORIGIN_S;
    let usec = now_ns % 1_000_000_000 / 1_000;
    let now = TimeVal {
        sec: sec.try_into().unwrap_or(0),
        // Below a million.
        usec: usec.try_into().unwrap_or(0),
    };
    // SAFETY: AWS-LC hands a place for the answer.
    unsafe { out.write(now) }
}
