//! What all sessions share: versions, ciphers, groups, our certificate, the order of SRTP profiles.
#![allow(unsafe_code)]

use std::ffi::{CString, c_int};
use std::ptr;

use super::Certificate;
use super::calls::{
    CRYPTO_BUFFER_new, DTLS_with_buffers_method, DTLS1_2_VERSION, SSL_CTX_new,
    SSL_CTX_set_chain_and_key, SSL_CTX_set_current_time_cb, SSL_CTX_set_custom_verify,
    SSL_CTX_set_max_cert_list, SSL_CTX_set_max_proto_version, SSL_CTX_set_min_proto_version,
    SSL_CTX_set_options, SSL_CTX_set_session_cache_mode, SSL_CTX_set_srtp_profiles,
    SSL_CTX_set_strict_cipher_list, SSL_CTX_set_verify_algorithm_prefs, SSL_CTX_set1_groups_list,
    SSL_OP_NO_QUERY_MTU, SSL_OP_NO_TICKET, SSL_SESS_CACHE_OFF, SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
    SSL_VERIFY_OK, SSL_VERIFY_PEER, Ssl, SslCtx,
};
use super::clock;
use super::error::LibraryError;
use super::owned::Owned;
use crate::SrtpProfile;
use crate::filter::MAX_MESSAGE_LEN;

/// AEAD with forward secrecy only; RFC 8827 6.5 makes the first one mandatory. The RSA ones serve
/// our client, whose server may have such a certificate.
const CIPHERS: &str = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:\
    ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:\
    ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
/// X25519 is the cheapest exchange. The others must be there as well: a certificate over a curve
/// that is not listed is refused.
const GROUPS: &str = "X25519:P-256:P-384";
/// RFC 8446 4.2.3's numbers of how a peer may sign: AWS-LC's own list without ML-DSA, which no
/// certificate of WebRTC uses. pion before its DTLS 3.1.4 drops a request that names a number which
/// it does not know, and never connects.
const SIGNATURES: [u16; 10] =
    [0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0603, 0x0806, 0x0601, 0x0201];

/// An `SSL_CTX` that is complete: from here on it is only read.
pub(crate) struct SharedContext(Owned<SslCtx>);

// SAFETY: a context belongs to no thread.
unsafe impl Send for SharedContext {}
// SAFETY: nothing is set after `new`. All that is done with a shared one is to start connections,
// which AWS-LC allows from many threads: it counts references atomically and locks its caches.
unsafe impl Sync for SharedContext {}

impl SharedContext {
    pub(crate) fn new(
        certificate: &Certificate,
        profiles: &[SrtpProfile],
    ) -> Result<Self, LibraryError> {
        // SAFETY: the method is a constant of the library.
        let ctx = unsafe { SSL_CTX_new(DTLS_with_buffers_method()) };
        // SAFETY: null or ours.
        let mut ctx = unsafe { Owned::new(ctx, "SSL_CTX_new") }?;
        let lowest = SSL_CTX_set_min_proto_version(&mut ctx, DTLS1_2_VERSION);
        LibraryError::unless_one("SSL_CTX_set_min_proto_version", lowest)?;
        let highest = SSL_CTX_set_max_proto_version(&mut ctx, DTLS1_2_VERSION);
        LibraryError::unless_one("SSL_CTX_set_max_proto_version", highest)?;
        // No resumption: every session proves its certificate.
        SSL_CTX_set_session_cache_mode(&mut ctx, SSL_SESS_CACHE_OFF);
        SSL_CTX_set_options(&mut ctx, SSL_OP_NO_TICKET | SSL_OP_NO_QUERY_MTU);
        SSL_CTX_set_max_cert_list(&mut ctx, MAX_MESSAGE_LEN);
        SSL_CTX_set_current_time_cb(&mut ctx, clock::tell);
        let mode = SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
        SSL_CTX_set_custom_verify(&mut ctx, mode, accept_any);
        set_lists(&mut ctx, profiles)?;
        set_certificate(&mut ctx, certificate)?;
        Ok(Self(ctx))
    }

    /// For `SSL_new` only.
    pub(super) fn as_ptr(&self) -> *mut SslCtx {
        self.0.as_ptr()
    }
}

fn set_lists(ctx: &mut SslCtx, profiles: &[SrtpProfile]) -> Result<(), LibraryError> {
    let names: Vec<&str> = profiles.iter().map(|profile| profile.name()).collect();
    let terminated = |text: &str| CString::new(text).expect("names without zeros");
    let (ciphers, groups) = (terminated(CIPHERS), terminated(GROUPS));
    let profiles = terminated(&names.join(":"));
    // SAFETY: a terminated text, which the call copies.
    let set = unsafe { SSL_CTX_set_strict_cipher_list(ctx, ciphers.as_ptr()) };
    LibraryError::unless_one("SSL_CTX_set_strict_cipher_list", set)?;
    // SAFETY: as above.
    let set = unsafe { SSL_CTX_set1_groups_list(ctx, groups.as_ptr()) };
    LibraryError::unless_one("SSL_CTX_set1_groups_list", set)?;
    // SAFETY: as above.
    let set = unsafe { SSL_CTX_set_srtp_profiles(ctx, profiles.as_ptr()) };
    LibraryError::unless_one("SSL_CTX_set_srtp_profiles", set)?;
    let (list, count) = (SIGNATURES.as_ptr(), SIGNATURES.len());
    // SAFETY: as many readable numbers, which the call copies.
    let set = unsafe { SSL_CTX_set_verify_algorithm_prefs(ctx, list, count) };
    LibraryError::unless_one("SSL_CTX_set_verify_algorithm_prefs", set)
}

fn set_certificate(ctx: &mut SslCtx, certificate: &Certificate) -> Result<(), LibraryError> {
    let der = certificate.der();
    // SAFETY: readable bytes, which the call copies; no pool.
    let buffer = unsafe { CRYPTO_BUFFER_new(der.as_ptr(), der.len(), ptr::null_mut()) };
    // SAFETY: null or ours.
    let buffer = unsafe { Owned::new(buffer, "CRYPTO_BUFFER_new") }?;
    let chain = [buffer.as_ptr()];
    let key = certificate.key.as_ptr();
    // SAFETY: a chain of one live certificate and a live key, both of which the call takes its own
    // references of.
    let set =
        unsafe { SSL_CTX_set_chain_and_key(ctx, chain.as_ptr(), chain.len(), key, ptr::null()) };
    LibraryError::unless_one("SSL_CTX_set_chain_and_key", set)
}

/// RFC 8827 6.5: certificates are self-signed; what counts is the fingerprint that signalling
/// named, which the owner of the session compares. Panics nowhere.
extern "C" fn accept_any(_ssl: *mut Ssl, _alert: *mut u8) -> c_int {
    SSL_VERIFY_OK
}
