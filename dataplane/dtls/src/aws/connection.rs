//! One DTLS connection of AWS-LC with its wire: bytes in, bytes out, no policy. What may reach it
//! is decided in `filter.rs`, what its answers mean in `session.rs`.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::ptr::NonNull;
use std::{ptr, slice};

use super::calls::{
    CRYPTO_BUFFER_data, CRYPTO_BUFFER_len, CryptoBuffer, DTLSv1_get_timeout, DTLSv1_handle_timeout,
    DTLSv1_set_initial_timeout_duration, ERR_clear_error, OPENSSL_sk_value, SSL_ERROR_WANT_READ,
    SSL_ERROR_ZERO_RETURN, SSL_do_handshake, SSL_export_keying_material, SSL_get_error,
    SSL_get_selected_srtp_profile, SSL_get0_peer_certificates, SSL_new, SSL_read,
    SSL_set_accept_state, SSL_set_bio, SSL_set_connect_state, SSL_set_mtu,
    SSL_set_shed_handshake_config, SSL_shutdown, SSL_write, Ssl, TimeVal,
};
use super::clock;
use super::context::SharedContext;
use super::error::failure;
use super::owned::Owned;
use super::wire::{self, Wire};
use crate::datagrams::Datagrams;
use crate::{Failure, Role};

/// RFC 5764 4.2: the label under which SRTP keys are exported.
const SRTP_LABEL: &[u8] = b"EXTRACTOR-dtls_srtp";

/// Where a handshake stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// It needs another datagram, or time.
    Waiting,
    Finished,
    Failed(Failure),
}

/// What came of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reading {
    /// One message was put into the queue, or lost as it was full; there may be more.
    Message,
    /// Nothing more.
    Empty,
    /// The peer said that it is done.
    Closed,
    Failed(Failure),
}

/// An `SSL` and the wire below it.
pub(crate) struct Connection {
    ssl: Owned<Ssl>,
    /// Owned; freed after `ssl`, whose BIO points to it. A pointer, as a `Box` would claim to be
    /// the only way to it while AWS-LC has another.
    wire: NonNull<Wire>,
}

// SAFETY: AWS-LC ties a connection to no thread. What is the thread's, the error queue and the
// clock, is set anew at every call.
unsafe impl Send for Connection {}

impl Connection {
    /// A connection that has not begun.
    ///
    /// # Panics
    /// When memory has run out.
    pub(crate) fn new(
        context: &SharedContext,
        role: Role,
        mtu: u16,
        first_retransmission_ms: u32,
    ) -> Self {
        // SAFETY: a live context, which the call takes a reference of.
        let ssl = unsafe { SSL_new(context.as_ptr()) };
        // SAFETY: null or ours.
        let mut ssl = unsafe { Owned::new(ssl, "SSL_new") }.expect("memory for a DTLS session");
        match role {
            Role::Server => SSL_set_accept_state(&mut ssl),
            Role::Client => SSL_set_connect_state(&mut ssl),
        }
        assert_eq!(SSL_set_mtu(&mut ssl, u32::from(mtu)), 1, "an MTU that `Config` let pass");
        DTLSv1_set_initial_timeout_duration(&mut ssl, first_retransmission_ms);
        // What only handshakes need is freed with the handshake: some kilobytes per session.
        SSL_set_shed_handshake_config(&mut ssl, 1);

        let wire = Wire { inbound: Vec::new(), outbound: Datagrams::default(), mtu };
        let wire = NonNull::from(Box::leak(Box::new(wire)));
        let connection = Self { ssl, wire };
        connection.attach()
    }

    fn attach(mut self) -> Self {
        // SAFETY: `drop` frees the wire after the connection, and `wire()` lends it to nobody while
        // the connection is called: both need `&mut self`.
        let bio = unsafe { wire::bio(self.wire.as_ptr()) };
        assert!(!bio.is_null(), "memory for a BIO");
        // SAFETY: a live BIO whose one reference goes to the connection, for reading and writing.
        unsafe { SSL_set_bio(&mut self.ssl, bio, bio) };
        self
    }

    fn wire(&mut self) -> &mut Wire {
        // SAFETY: alive until `drop`. AWS-LC reaches it only inside calls, which borrow `self` too.
        unsafe { self.wire.as_mut() }
    }

    /// Where the next datagram is put before `handshake` or `read`.
    pub(crate) fn inbound(&mut self) -> &mut Vec<u8> {
        &mut self.wire().inbound
    }

    /// What the connection wants sent.
    pub(crate) fn outbound(&mut self) -> &mut Datagrams {
        &mut self.wire().outbound
    }

    /// Goes on with the handshake.
    pub(crate) fn handshake(&mut self, now_ns: u64) -> Progress {
        enter(now_ns);
        let result = SSL_do_handshake(&mut self.ssl);
        self.progress(result)
    }

    /// Sends the last flight again if it is time.
    pub(crate) fn handle_timeout(&mut self, now_ns: u64) -> Progress {
        enter(now_ns);
        match DTLSv1_handle_timeout(&mut self.ssl) {
            -1 => Progress::Failed(failure()),
            _ => Progress::Waiting,
        }
    }

    /// When `handle_timeout` has something to do, ns from now.
    pub(crate) fn timeout_ns(&self, now_ns: u64) -> Option<u64> {
        enter(now_ns);
        let mut left = TimeVal { sec: 0, usec: 0 };
        let armed = DTLSv1_get_timeout(&self.ssl, &mut left) == 1;
        let sec = u64::try_from(left.sec).unwrap_or(0);
        let usec = u64::try_from(left.usec).unwrap_or(0);
        armed.then(|| sec * 1_000_000_000 + usec * 1_000)
    }

    fn progress(&self, result: c_int) -> Progress {
        if result == 1 {
            return Progress::Finished;
        }
        match SSL_get_error(&self.ssl, result) {
            SSL_ERROR_WANT_READ => Progress::Waiting,
            _ => Progress::Failed(failure()),
        }
    }

    /// Reads one message of at most `longest` bytes.
    pub(crate) fn read(&mut self, now_ns: u64, longest: usize, into: &mut Datagrams) -> Reading {
        enter(now_ns);
        let ssl = &mut *self.ssl;
        let mut result = 0;
        into.push_with(longest, |room| {
            let len = c_int::try_from(room.len()).unwrap_or(c_int::MAX);
            // SAFETY: room for at least `len` bytes.
            result = unsafe { SSL_read(ssl, room.as_mut_ptr().cast(), len) };
            usize::try_from(result).ok().filter(|&read| read > 0)
        });
        if result > 0 {
            return Reading::Message;
        }
        match SSL_get_error(&self.ssl, result) {
            SSL_ERROR_WANT_READ => Reading::Empty,
            SSL_ERROR_ZERO_RETURN => Reading::Closed,
            _ => Reading::Failed(failure()),
        }
    }

    /// Seals one message into one datagram. False if AWS-LC refuses.
    pub(crate) fn write(&mut self, now_ns: u64, data: &[u8]) -> bool {
        enter(now_ns);
        let Ok(len) = c_int::try_from(data.len()) else { return false };
        // SAFETY: `len` readable bytes.
        let written = unsafe { SSL_write(&mut self.ssl, data.as_ptr().cast(), len) };
        written == len
    }

    /// Tells the peer that we are done.
    pub(crate) fn shutdown(&mut self, now_ns: u64) {
        enter(now_ns);
        SSL_shutdown(&mut self.ssl);
    }

    /// The peer's certificate, DER, once the handshake is finished.
    pub(crate) fn peer_certificate(&self) -> Option<&[u8]> {
        let chain = SSL_get0_peer_certificates(&self.ssl);
        if chain.is_null() {
            return None;
        }
        // SAFETY: a live list of the session's; beyond its end the answer is null.
        let first = unsafe { OPENSSL_sk_value(chain, 0) }.cast::<CryptoBuffer>();
        if first.is_null() {
            return None;
        }
        // SAFETY: a live certificate of the session's.
        let data = unsafe { CRYPTO_BUFFER_data(first) };
        // SAFETY: as above.
        let len = unsafe { CRYPTO_BUFFER_len(first) };
        // SAFETY: these are the certificate's bytes. It is not changed or freed before the session,
        // which `self` owns.
        (!data.is_null()).then(|| unsafe { slice::from_raw_parts(data, len) })
    }

    /// The number of the SRTP profile that was agreed on.
    pub(crate) fn srtp_profile_id(&mut self) -> Option<u16> {
        let profile = SSL_get_selected_srtp_profile(&mut self.ssl);
        // SAFETY: null or a constant of the library.
        let profile = unsafe { profile.as_ref() }?;
        u16::try_from(profile.id).ok()
    }

    /// Exports SRTP keying material. False if AWS-LC refuses.
    pub(crate) fn export_srtp(&mut self, out: &mut [u8]) -> bool {
        ERR_clear_error();
        // SAFETY: room for `out.len()` bytes, a readable label, no context.
        let exported = unsafe {
            SSL_export_keying_material(
                &mut self.ssl,
                out.as_mut_ptr(),
                out.len(),
                SRTP_LABEL.as_ptr().cast(),
                SRTP_LABEL.len(),
                ptr::null(),
                0,
                0,
            )
        };
        exported == 1
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // SAFETY: the BIO forgets the wire here; what is left of the connection never reads or
        // writes.
        unsafe { SSL_set_bio(&mut self.ssl, ptr::null_mut(), ptr::null_mut()) };
        // SAFETY: leaked by `new`, and nobody points to it any more.
        drop(unsafe { Box::from_raw(self.wire.as_ptr()) });
    }
}

/// What every call begins with.
fn enter(now_ns: u64) {
    clock::set(now_ns);
    ERR_clear_error();
}
