//! What AWS-LC's queue of errors says, as values. The queue is the thread's and is emptied before
//! every call whose failure is asked about.
#![allow(unsafe_code)]

use std::ffi::CStr;

use aws_lc_sys::{ERR_GET_LIB, ERR_GET_REASON};

use super::calls::{ERR_LIB_SSL, ERR_peek_error, ERR_reason_error_string, SSL_AD_REASON_OFFSET};
use crate::Failure;

/// A call that failed while something was set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{call} failed: {reason}")]
pub struct LibraryError {
    /// The function of AWS-LC.
    pub call: &'static str,
    /// Its reason.
    pub reason: &'static str,
}

impl LibraryError {
    /// `call` has just failed.
    pub(super) fn last(call: &'static str) -> Self {
        Self { call, reason: reason(ERR_peek_error()) }
    }

    /// For calls that answer 1 when all is well.
    pub(super) fn unless_one(call: &'static str, answer: i32) -> Result<(), Self> {
        if answer == 1 { Ok(()) } else { Err(Self::last(call)) }
    }
}

/// Why the connection has just failed.
pub(super) fn failure() -> Failure {
    let packed = ERR_peek_error();
    let (library, code) = (ERR_GET_LIB(packed), ERR_GET_REASON(packed));
    // Alerts of the peer are reasons of their own: an offset and the number in the alert.
    match code.checked_sub(SSL_AD_REASON_OFFSET).map(u8::try_from) {
        Some(Ok(alert)) if library == ERR_LIB_SSL => Failure::Alert(alert),
        _ => Failure::Protocol(reason(packed)),
    }
}

fn reason(packed: u32) -> &'static str {
    let text = ERR_reason_error_string(packed);
    if text.is_null() {
        return "no reason given";
    }
    // SAFETY: not null, so it points into a table of constants that the library carries.
    let text = unsafe { CStr::from_ptr::<'static>(text) };
    text.to_str().unwrap_or("unreadable reason")
}
