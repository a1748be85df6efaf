//! The functions of AWS-LC that are called, declared by hand; nothing else.
//!
//! By hand, because generating declarations for its TLS half needs libclang at every build. The
//! build compiles `signatures.c`, which says the same to a C compiler that knows the real ones.
//! Functions that a reference is enough for are `safe`; what they are handed is opaque and never
//! read here, so its layout does not matter.
#![allow(unsafe_code)]
#![allow(non_snake_case)]

use std::ffi::{c_char, c_int, c_long, c_uint, c_ulong, c_void};
use std::marker::{PhantomData, PhantomPinned};

// Keeps the cryptographic half in the link: its symbols are only named by the declarations below.
use aws_lc_sys as _;

macro_rules! opaque {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[repr(C)]
        pub(super) struct $name {
            _data: (),
            _marker: PhantomData<(*mut u8, PhantomPinned)>,
        }
    )*};
}

opaque! {
    /// `SSL_METHOD`.
    SslMethod;
    /// `SSL_CTX`: what sessions share.
    SslCtx;
    /// `SSL`: one session.
    Ssl;
    /// `BIO_METHOD`: how a BIO reads and writes.
    BioMethod;
    /// `BIO`: one session's way to the network.
    Bio;
    /// `CRYPTO_BUFFER`: shared bytes, here a certificate.
    CryptoBuffer;
    /// `OPENSSL_STACK`: a list.
    Stack;
    /// `EVP_PKEY`: a key pair.
    Key;
    /// `EVP_PKEY_CTX`: the making of one.
    KeyMaking;
    /// `EVP_MD`: a digest.
    Md;
    /// `X509`: a certificate.
    X509;
    /// `X509_NAME`.
    X509Name;
    /// `ASN1_INTEGER`.
    Asn1Integer;
    /// `ASN1_TIME`.
    Asn1Time;
}

/// `struct timeval`, on the systems that this is built for; `signatures.c` checks it.
#[repr(C)]
pub(super) struct TimeVal {
    pub(super) sec: c_long,
    pub(super) usec: c_long,
}

/// `SRTP_PROTECTION_PROFILE`.
#[repr(C)]
pub(super) struct SrtpProtectionProfile {
    pub(super) name: *const c_char,
    pub(super) id: c_ulong,
}

pub(super) const SSL_ERROR_WANT_READ: c_int = 2;
pub(super) const SSL_ERROR_ZERO_RETURN: c_int = 6;
pub(super) const SSL_VERIFY_PEER: c_int = 1;
pub(super) const SSL_VERIFY_FAIL_IF_NO_PEER_CERT: c_int = 2;
pub(super) const SSL_OP_NO_TICKET: u32 = 0x4000;
pub(super) const SSL_OP_NO_QUERY_MTU: u32 = 0x1000;
pub(super) const SSL_SESS_CACHE_OFF: c_int = 0;
pub(super) const DTLS1_2_VERSION: u16 = 0xfefd;
pub(super) const BIO_CTRL_FLUSH: c_int = 11;
pub(super) const BIO_CTRL_DGRAM_QUERY_MTU: c_int = 40;
pub(super) const BIO_TYPE_SOURCE_SINK: c_int = 0x400;
pub(super) const SSL_VERIFY_OK: c_int = 0;
pub(super) const EVP_PKEY_EC: c_int = 408;
pub(super) const EVP_PKEY_RSA: c_int = 6;
pub(super) const NID_X9_62_PRIME256V1: c_int = 415;
pub(super) const MBSTRING_UTF8: c_int = 0x1000;
pub(super) const X509_VERSION_3: c_long = 2;
pub(super) const ERR_LIB_SSL: i32 = 16;
pub(super) const SSL_AD_REASON_OFFSET: i32 = 1000;

/// `ssl_verify_result_t (*)(SSL *, uint8_t *)`.
pub(super) type VerifyCallback = extern "C" fn(*mut Ssl, *mut u8) -> c_int;
/// `void (*)(const SSL *, struct timeval *)`.
pub(super) type ClockCallback = extern "C" fn(*const Ssl, *mut TimeVal);
/// `int (*)(BIO *, char *, int)`.
pub(super) type ReadCallback = extern "C" fn(*mut Bio, *mut c_char, c_int) -> c_int;
/// `int (*)(BIO *, const char *, int)`.
pub(super) type WriteCallback = extern "C" fn(*mut Bio, *const c_char, c_int) -> c_int;
/// `long (*)(BIO *, int, long, void *)`.
pub(super) type CtrlCallback = extern "C" fn(*mut Bio, c_int, c_long, *mut c_void) -> c_long;

/// Declares functions whose symbols begin with `$prefix`, and lists their names.
macro_rules! functions {
    ($names:ident, $prefix:expr;
     $($safety:ident fn $name:ident($($argument:ident: $type:ty),*) $(-> $result:ty)?;)*) => {
        unsafe extern "C" {
            $(
                #[link_name = concat!($prefix, stringify!($name))]
                pub(super) $safety fn $name($($argument: $type),*) $(-> $result)?;
            )*
        }
        #[cfg(test)]
        const $names: &[&str] = &[$(stringify!($name)),*];
    };
}

functions! { SSL_NAMES, "";
    safe fn DTLS_with_buffers_method() -> *const SslMethod;
    unsafe fn SSL_CTX_new(method: *const SslMethod) -> *mut SslCtx;
    unsafe fn SSL_CTX_free(ctx: *mut SslCtx);
    safe fn SSL_CTX_set_min_proto_version(ctx: &mut SslCtx, version: u16) -> c_int;
    safe fn SSL_CTX_set_max_proto_version(ctx: &mut SslCtx, version: u16) -> c_int;
    safe fn SSL_CTX_set_session_cache_mode(ctx: &mut SslCtx, mode: c_int) -> c_int;
    safe fn SSL_CTX_set_options(ctx: &mut SslCtx, options: u32) -> u32;
    unsafe fn SSL_CTX_set_strict_cipher_list(ctx: &mut SslCtx, names: *const c_char) -> c_int;
    unsafe fn SSL_CTX_set1_groups_list(ctx: &mut SslCtx, names: *const c_char) -> c_int;
    unsafe fn SSL_CTX_set_srtp_profiles(ctx: &mut SslCtx, names: *const c_char) -> c_int;
    unsafe fn SSL_CTX_set_verify_algorithm_prefs(
        ctx: &mut SslCtx,
        prefs: *const u16,
        count: usize
    ) -> c_int;
    safe fn SSL_CTX_set_custom_verify(ctx: &mut SslCtx, mode: c_int, callback: VerifyCallback);
    unsafe fn SSL_CTX_set_chain_and_key(
        ctx: &mut SslCtx,
        certificates: *const *mut CryptoBuffer,
        count: usize,
        key: *mut Key,
        method: *const c_void
    ) -> c_int;
    safe fn SSL_CTX_set_max_cert_list(ctx: &mut SslCtx, len: usize);
    safe fn SSL_CTX_set_current_time_cb(ctx: &mut SslCtx, callback: ClockCallback);

    unsafe fn SSL_new(ctx: *mut SslCtx) -> *mut Ssl;
    unsafe fn SSL_free(ssl: *mut Ssl);
    safe fn SSL_set_accept_state(ssl: &mut Ssl);
    safe fn SSL_set_connect_state(ssl: &mut Ssl);
    safe fn SSL_set_mtu(ssl: &mut Ssl, mtu: c_uint) -> c_int;
    unsafe fn SSL_set_bio(ssl: &mut Ssl, reads: *mut Bio, writes: *mut Bio);
    safe fn SSL_set_shed_handshake_config(ssl: &mut Ssl, enable: c_int);
    safe fn SSL_do_handshake(ssl: &mut Ssl) -> c_int;
    unsafe fn SSL_read(ssl: &mut Ssl, out: *mut c_void, len: c_int) -> c_int;
    unsafe fn SSL_write(ssl: &mut Ssl, data: *const c_void, len: c_int) -> c_int;
    safe fn SSL_shutdown(ssl: &mut Ssl) -> c_int;
    safe fn SSL_get_error(ssl: &Ssl, result: c_int) -> c_int;
    safe fn SSL_get0_peer_certificates(ssl: &Ssl) -> *const Stack;
    safe fn SSL_get_selected_srtp_profile(ssl: &mut Ssl) -> *const SrtpProtectionProfile;
    unsafe fn SSL_export_keying_material(
        ssl: &mut Ssl,
        out: *mut u8,
        len: usize,
        label: *const c_char,
        label_len: usize,
        context: *const u8,
        context_len: usize,
        use_context: c_int
    ) -> c_int;
    safe fn DTLSv1_get_timeout(ssl: &Ssl, out: &mut TimeVal) -> c_int;
    safe fn DTLSv1_handle_timeout(ssl: &mut Ssl) -> c_int;
    safe fn DTLSv1_set_initial_timeout_duration(ssl: &mut Ssl, duration_ms: c_uint);
}

functions! { CRYPTO_NAMES, env!("RINGWAY_AWS_LC_PREFIX");
    unsafe fn BIO_meth_new(kind: c_int, name: *const c_char) -> *mut BioMethod;
    safe fn BIO_meth_set_read(method: &mut BioMethod, callback: ReadCallback) -> c_int;
    safe fn BIO_meth_set_write(method: &mut BioMethod, callback: WriteCallback) -> c_int;
    safe fn BIO_meth_set_ctrl(method: &mut BioMethod, callback: CtrlCallback) -> c_int;
    safe fn BIO_new(method: &'static BioMethod) -> *mut Bio;
    unsafe fn BIO_set_data(bio: *mut Bio, data: *mut c_void);
    unsafe fn BIO_get_data(bio: *mut Bio) -> *mut c_void;
    unsafe fn BIO_set_init(bio: *mut Bio, init: c_int);
    unsafe fn BIO_set_retry_read(bio: *mut Bio);
    unsafe fn BIO_clear_retry_flags(bio: *mut Bio);

    safe fn ERR_clear_error();
    safe fn ERR_peek_error() -> u32;
    safe fn ERR_reason_error_string(packed: u32) -> *const c_char;

    unsafe fn CRYPTO_BUFFER_new(
        data: *const u8,
        len: usize,
        pool: *mut c_void
    ) -> *mut CryptoBuffer;
    unsafe fn CRYPTO_BUFFER_free(buffer: *mut CryptoBuffer);
    unsafe fn CRYPTO_BUFFER_data(buffer: *const CryptoBuffer) -> *const u8;
    unsafe fn CRYPTO_BUFFER_len(buffer: *const CryptoBuffer) -> usize;
    unsafe fn OPENSSL_sk_value(stack: *const Stack, index: usize) -> *mut c_void;
    unsafe fn EVP_PKEY_CTX_new_id(id: c_int, engine: *mut c_void) -> *mut KeyMaking;
    unsafe fn EVP_PKEY_CTX_free(making: *mut KeyMaking);
    safe fn EVP_PKEY_keygen_init(making: &mut KeyMaking) -> c_int;
    unsafe fn EVP_PKEY_keygen(making: &mut KeyMaking, out: *mut *mut Key) -> c_int;
    safe fn EVP_PKEY_CTX_set_ec_paramgen_curve_nid(making: &mut KeyMaking, nid: c_int) -> c_int;
    safe fn EVP_PKEY_CTX_set_rsa_keygen_bits(making: &mut KeyMaking, bits: c_int) -> c_int;
    unsafe fn EVP_PKEY_free(key: *mut Key);
    safe fn X509_new() -> *mut X509;
    unsafe fn X509_free(certificate: *mut X509);
    safe fn X509_set_version(certificate: &mut X509, version: c_long) -> c_int;
    safe fn X509_get_serialNumber(certificate: &mut X509) -> *mut Asn1Integer;
    unsafe fn ASN1_INTEGER_set_uint64(out: *mut Asn1Integer, value: u64) -> c_int;
    safe fn X509_get_subject_name(certificate: &X509) -> *mut X509Name;
    unsafe fn X509_set_issuer_name(certificate: &mut X509, name: *mut X509Name) -> c_int;
    unsafe fn X509_NAME_add_entry_by_txt(
        name: *mut X509Name,
        field: *const c_char,
        kind: c_int,
        text: *const u8,
        len: isize,
        at: c_int,
        set: c_int
    ) -> c_int;
    safe fn X509_getm_notBefore(certificate: &mut X509) -> *mut Asn1Time;
    safe fn X509_getm_notAfter(certificate: &mut X509) -> *mut Asn1Time;
    unsafe fn ASN1_TIME_set_posix(out: *mut Asn1Time, unix_s: i64) -> *mut Asn1Time;
    safe fn X509_set_pubkey(certificate: &mut X509, key: &mut Key) -> c_int;
    safe fn EVP_sha256() -> *const Md;
    unsafe fn X509_sign(certificate: &mut X509, key: &mut Key, digest: *const Md) -> c_int;
    unsafe fn i2d_X509(certificate: &mut X509, out: *mut *mut u8) -> c_int;
    unsafe fn RAND_bytes(out: *mut u8, len: usize) -> c_int;

    unsafe fn MD5(data: *const u8, len: usize, out: *mut u8) -> *mut u8;
    unsafe fn SHA1(data: *const u8, len: usize, out: *mut u8) -> *mut u8;
    unsafe fn SHA224(data: *const u8, len: usize, out: *mut u8) -> *mut u8;
    unsafe fn SHA256(data: *const u8, len: usize, out: *mut u8) -> *mut u8;
    unsafe fn SHA384(data: *const u8, len: usize, out: *mut u8) -> *mut u8;
    unsafe fn SHA512(data: *const u8, len: usize, out: *mut u8) -> *mut u8;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names that `signatures.c` declares: what stands before the first bracket of a declaration.
    fn names_for_c() -> Vec<&'static str> {
        include_str!("signatures.c")
            .lines()
            .filter(|line| {
                line.starts_with(|first: char| {
                    first.is_ascii_lowercase()
                        || first == 'E'
                        || first == 'S'
                        || first == 'B'
                        || first == 'C'
                        || first == 'X'
                        || first == 'A'
                })
            })
            .filter(|line| !line.starts_with("SAME"))
            .filter_map(|line| line.split_once('(')?.0.rsplit([' ', '*']).next())
            .collect()
    }

    #[test]
    fn the_c_compiler_has_checked_every_declaration() {
        let mut ours: Vec<&str> = SSL_NAMES.iter().chain(CRYPTO_NAMES).copied().collect();
        let mut theirs = names_for_c();
        ours.sort_unstable();
        theirs.sort_unstable();
        assert_eq!(ours, theirs);
    }
}
