//! Objects of AWS-LC that are freed when they are dropped.
#![allow(unsafe_code)]

use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use super::calls::{
    CRYPTO_BUFFER_free, CryptoBuffer, EVP_PKEY_CTX_free, EVP_PKEY_free, Key, KeyMaking,
    SSL_CTX_free, SSL_free, Ssl, SslCtx, X509, X509_free,
};
use super::error::LibraryError;

/// What one reference of AWS-LC's own counting holds.
pub(super) struct Owned<T: Free>(NonNull<T>);

/// A type whose references are given back by a function of AWS-LC.
pub(super) trait Free {
    /// Gives one reference back.
    ///
    /// # Safety
    /// `this` is a reference that its caller owns and does not use again.
    unsafe fn free(this: *mut Self);
}

impl<T: Free> Owned<T> {
    /// Takes over what `call` returned; null is its failure.
    ///
    /// # Safety
    /// `pointer` is null or a reference that nobody else gives back.
    pub(super) unsafe fn new(pointer: *mut T, call: &'static str) -> Result<Self, LibraryError> {
        NonNull::new(pointer).map(Self).ok_or_else(|| LibraryError::last(call))
    }

    pub(super) fn as_ptr(&self) -> *mut T {
        self.0.as_ptr()
    }
}

impl<T: Free> Deref for Owned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: `new` took a live object, which lives until `drop`; `T` is opaque, no byte is
        // read.
        unsafe { self.0.as_ref() }
    }
}

impl<T: Free> DerefMut for Owned<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and `&mut self` makes it the only reference of Rust's.
        unsafe { self.0.as_mut() }
    }
}

impl<T: Free> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: `new` promised that this reference is ours to give back, and this is the end of
        // it.
        unsafe { T::free(self.0.as_ptr()) }
    }
}

macro_rules! free {
    ($($name:ident: $call:ident;)*) => {$(
        impl Free for $name {
            unsafe fn free(this: *mut Self) {
                // SAFETY: the caller of `free` promises what the call needs.
                unsafe { $call(this) }
            }
        }
    )*};
}

free! {
    CryptoBuffer: CRYPTO_BUFFER_free;
    Key: EVP_PKEY_free;
    KeyMaking: EVP_PKEY_CTX_free;
    Ssl: SSL_free;
    SslCtx: SSL_CTX_free;
    X509: X509_free;
}
