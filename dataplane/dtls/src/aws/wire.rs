//! What a connection reads from and writes to in place of a socket: one datagram in, a queue of
//! datagrams out. AWS-LC calls it a BIO.
#![allow(unsafe_code)]

use std::ffi::{c_char, c_int, c_long, c_void};
use std::slice;
use std::sync::OnceLock;

use super::calls::{
    BIO_CTRL_DGRAM_QUERY_MTU, BIO_CTRL_FLUSH, BIO_TYPE_SOURCE_SINK, BIO_clear_retry_flags,
    BIO_get_data, BIO_meth_new, BIO_meth_set_ctrl, BIO_meth_set_read, BIO_meth_set_write, BIO_new,
    BIO_set_data, BIO_set_init, BIO_set_retry_read, Bio, BioMethod,
};
use crate::datagrams::Datagrams;

/// One connection's network.
pub(super) struct Wire {
    /// The datagram at hand; empty once it is read.
    pub(super) inbound: Vec<u8>,
    pub(super) outbound: Datagrams,
    /// Longest datagram that a flight is cut into, bytes.
    pub(super) mtu: u16,
}

/// A BIO over `wire`; null when memory has run out.
///
/// # Safety
/// `wire` outlives the BIO, and no other reference to it exists while AWS-LC is called with a
/// connection that has this BIO.
pub(super) unsafe fn bio(wire: *mut Wire) -> *mut Bio {
    let bio = BIO_new(method());
    if !bio.is_null() {
        // SAFETY: a live BIO, just made.
        unsafe { BIO_set_data(bio, wire.cast()) };
        // SAFETY: as above.
        unsafe { BIO_set_init(bio, 1) };
    }
    bio
}

/// The callbacks, made once per process and never freed.
fn method() -> &'static BioMethod {
    static METHOD: OnceLock<Method> = OnceLock::new();
    METHOD.get_or_init(Method::new).0
}

struct Method(&'static BioMethod);

// SAFETY: nothing writes to the method after `new`; AWS-LC reads it from any thread.
unsafe impl Sync for Method {}
// SAFETY: it belongs to no thread.
unsafe impl Send for Method {}

impl Method {
    fn new() -> Self {
        // SAFETY: the name is a terminated constant.
        let method = unsafe { BIO_meth_new(BIO_TYPE_SOURCE_SINK, c"ringway".as_ptr()) };
        // SAFETY: null or a method of our own, which is never freed.
        let method = unsafe { method.as_mut::<'static>() }.expect("memory for a BIO method");
        let set = BIO_meth_set_read(method, read) == 1
            && BIO_meth_set_write(method, write) == 1
            && BIO_meth_set_ctrl(method, ctrl) == 1;
        assert!(set, "AWS-LC takes the callbacks of a BIO method");
        Self(method)
    }
}

/// The wire of a BIO.
///
/// # Safety
/// `bio` comes from `bio()`, within a call of AWS-LC; see there.
unsafe fn wire<'a>(bio: *mut Bio) -> Option<&'a mut Wire> {
    // SAFETY: the caller's promise.
    let data = unsafe { BIO_get_data(bio) }.cast::<Wire>();
    // SAFETY: `bio()` put a wire there that is alive and not borrowed now.
    unsafe { data.as_mut() }
}

/// Hands out the datagram at hand, whole. Panics nowhere.
extern "C" fn read(bio: *mut Bio, out: *mut c_char, len: c_int) -> c_int {
    // SAFETY: AWS-LC calls with the BIO that it was given.
    unsafe { BIO_clear_retry_flags(bio) };
    // SAFETY: as above.
    let wire = unsafe { wire(bio) };
    let room = usize::try_from(len).unwrap_or(0);
    match wire {
        Some(wire) if !wire.inbound.is_empty() && !out.is_null() => {
            let taken = wire.inbound.len().min(room);
            // SAFETY: `out` has room for `len` bytes and is no memory of ours.
            unsafe { out.cast::<u8>().copy_from_nonoverlapping(wire.inbound.as_ptr(), taken) };
            wire.inbound.clear();
            c_int::try_from(taken).unwrap_or(-1)
        }
        _ => {
            // SAFETY: as above.
            unsafe { BIO_set_retry_read(bio) };
            -1
        }
    }
}

/// Queues a datagram. What finds no room is lost, as a network would lose it. Panics nowhere.
extern "C" fn write(bio: *mut Bio, data: *const c_char, len: c_int) -> c_int {
    // SAFETY: AWS-LC calls with the BIO that it was given.
    unsafe { BIO_clear_retry_flags(bio) };
    // SAFETY: as above.
    let wire = unsafe { wire(bio) };
    let (Some(wire), Ok(count), false) = (wire, usize::try_from(len), data.is_null()) else {
        return -1;
    };
    // SAFETY: AWS-LC hands `len` readable bytes.
    let datagram = unsafe { slice::from_raw_parts(data.cast::<u8>(), count) };
    wire.outbound.push(datagram);
    len
}

/// Panics nowhere.
extern "C" fn ctrl(bio: *mut Bio, command: c_int, _: c_long, _: *mut c_void) -> c_long {
    match command {
        BIO_CTRL_FLUSH => 1,
        // SAFETY: AWS-LC calls with the BIO that it was given.
        BIO_CTRL_DGRAM_QUERY_MTU => unsafe { wire(bio) }.map_or(0, |wire| c_long::from(wire.mtu)),
        _ => 0,
    }
}
