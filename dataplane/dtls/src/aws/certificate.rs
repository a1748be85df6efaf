//! A self-signed certificate and its key, made in memory and kept nowhere else. Keys and the serial
//! number come from AWS-LC's own random numbers.
#![allow(unsafe_code)]

use std::ptr;

use super::calls::{
    ASN1_INTEGER_set_uint64, ASN1_TIME_set_posix, EVP_PKEY_CTX_new_id,
    EVP_PKEY_CTX_set_ec_paramgen_curve_nid, EVP_PKEY_CTX_set_rsa_keygen_bits, EVP_PKEY_EC,
    EVP_PKEY_RSA, EVP_PKEY_keygen, EVP_PKEY_keygen_init, EVP_sha256, Key, MBSTRING_UTF8,
    NID_X9_62_PRIME256V1, RAND_bytes, X509, X509_NAME_add_entry_by_txt, X509_VERSION_3,
    X509_get_serialNumber, X509_get_subject_name, X509_getm_notAfter, X509_getm_notBefore,
    X509_new, X509_set_issuer_name, X509_set_pubkey, X509_set_version, X509_sign, i2d_X509,
};
use super::error::LibraryError;
use super::owned::Owned;

/// How long before its making a certificate is valid, s. Covers peers whose clock is behind.
const BACKDATE_S: i64 = 24 * 3600;
/// How long it is valid, s. Peers trust the fingerprint and not the date, but some refuse dates
/// that are over; a program that runs longer than this would need a new certificate.
const VALID_S: i64 = 10 * 365 * 24 * 3600;
/// Subject and issuer.
const NAME: &[u8] = b"ringway";
const RSA_BITS: i32 = 2048;

/// What kind of key a certificate has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyKind {
    /// ECDSA over P-256: small, fast, and what RFC 8827 makes every peer take.
    #[default]
    P256,
    /// RSA with 2048 bits, to load servers as peers with such certificates do. Slow to make.
    Rsa2048,
}

/// A certificate with its key.
pub(crate) struct Certificate {
    pub(super) der: Vec<u8>,
    pub(super) key: Owned<Key>,
}

impl Certificate {
    /// Makes one that is valid from a day before `unix_s`.
    pub(crate) fn generate(kind: KeyKind, unix_s: u64) -> Result<Self, LibraryError> {
        let mut key = generate_key(kind)?;
        let x509 = X509_new();
        // SAFETY: null or ours.
        let mut x509 = unsafe { Owned::new(x509, "X509_new") }?;
        LibraryError::unless_one("X509_set_version", X509_set_version(&mut x509, X509_VERSION_3))?;
        set_serial(&mut x509)?;
        set_validity(&mut x509, unix_s)?;
        set_names(&mut x509)?;
        LibraryError::unless_one("X509_set_pubkey", X509_set_pubkey(&mut x509, &mut key))?;
        // SAFETY: the digest is a constant of the library.
        let signed = unsafe { X509_sign(&mut x509, &mut key, EVP_sha256()) };
        // It answers with the signature's length.
        LibraryError::unless_one("X509_sign", signed.min(1))?;
        Ok(Self { der: encode(&mut x509)?, key })
    }

    /// The certificate as peers see it.
    pub(crate) fn der(&self) -> &[u8] {
        &self.der
    }
}

fn generate_key(kind: KeyKind) -> Result<Owned<Key>, LibraryError> {
    let id = match kind {
        KeyKind::P256 => EVP_PKEY_EC,
        KeyKind::Rsa2048 => EVP_PKEY_RSA,
    };
    // SAFETY: no engine.
    let making = unsafe { EVP_PKEY_CTX_new_id(id, ptr::null_mut()) };
    // SAFETY: null or ours.
    let mut making = unsafe { Owned::new(making, "EVP_PKEY_CTX_new_id") }?;
    LibraryError::unless_one("EVP_PKEY_keygen_init", EVP_PKEY_keygen_init(&mut making))?;
    let set = match kind {
        KeyKind::P256 => EVP_PKEY_CTX_set_ec_paramgen_curve_nid(&mut making, NID_X9_62_PRIME256V1),
        KeyKind::Rsa2048 => EVP_PKEY_CTX_set_rsa_keygen_bits(&mut making, RSA_BITS),
    };
    LibraryError::unless_one("EVP_PKEY_CTX_ctrl", set)?;
    let mut key = ptr::null_mut();
    // SAFETY: null in `key` asks for a new one.
    let made = unsafe { EVP_PKEY_keygen(&mut making, &raw mut key) };
    LibraryError::unless_one("EVP_PKEY_keygen", made)?;
    // SAFETY: the call made it for us.
    unsafe { Owned::new(key, "EVP_PKEY_keygen") }
}

fn set_serial(x509: &mut X509) -> Result<(), LibraryError> {
    let mut serial = [0; 8];
    // SAFETY: room for as many bytes as are asked for.
    let filled = unsafe { RAND_bytes(serial.as_mut_ptr(), serial.len()) };
    LibraryError::unless_one("RAND_bytes", filled)?;
    let place = X509_get_serialNumber(x509);
    // RFC 5280 4.1.2.2: a positive integer.
    let serial = u64::from_be_bytes(serial) >> 1 | 1;
    // SAFETY: a part of the certificate, which is borrowed.
    let set = unsafe { ASN1_INTEGER_set_uint64(place, serial) };
    LibraryError::unless_one("ASN1_INTEGER_set_uint64", set)
}

fn set_validity(x509: &mut X509, unix_s: u64) -> Result<(), LibraryError> {
    // Beyond year 9999 the library refuses.
    let from_s = i64::try_from(unix_s).unwrap_or(i64::MAX).saturating_sub(BACKDATE_S);
    let until_s = from_s.saturating_add(BACKDATE_S + VALID_S);
    for (place, at_s) in [(X509_getm_notBefore(x509), from_s), (X509_getm_notAfter(x509), until_s)]
    {
        // SAFETY: a part of the certificate, which is borrowed.
        let set = unsafe { ASN1_TIME_set_posix(place, at_s) };
        LibraryError::unless_one("ASN1_TIME_set_posix", i32::from(!set.is_null()))?;
    }
    Ok(())
}

fn set_names(x509: &mut X509) -> Result<(), LibraryError> {
    let subject = X509_get_subject_name(x509);
    // SAFETY: `subject` is a part of the certificate, which is borrowed; the texts are constants.
    let added = unsafe {
        X509_NAME_add_entry_by_txt(
            subject,
            c"CN".as_ptr(),
            MBSTRING_UTF8,
            NAME.as_ptr(),
            NAME.len().cast_signed(),
            -1,
            0,
        )
    };
    LibraryError::unless_one("X509_NAME_add_entry_by_txt", added)?;
    // SAFETY: the issuer becomes a copy of the subject.
    let set = unsafe { X509_set_issuer_name(x509, subject) };
    LibraryError::unless_one("X509_set_issuer_name", set)
}

fn encode(x509: &mut X509) -> Result<Vec<u8>, LibraryError> {
    // SAFETY: null asks for the length only.
    let len = unsafe { i2d_X509(x509, ptr::null_mut()) };
    let mut der = vec![0; usize::try_from(len).unwrap_or(0)];
    let mut end = der.as_mut_ptr();
    // SAFETY: room for as many bytes as the call before asked for.
    let written = unsafe { i2d_X509(x509, &raw mut end) };
    LibraryError::unless_one("i2d_X509", i32::from(written > 0 && written == len))?;
    Ok(der)
}
