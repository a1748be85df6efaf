//! Profiles, master keys, and the session keys derived from them.

use std::fmt;

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, LessSafeKey, UnboundKey};
use aws_lc_rs::cipher::{AES_128, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;
use zeroize::Zeroize;

use super::cm::CmCipher;
use super::gcm::GcmCipher;

/// The longest master key.
const MAX_KEY_BYTES: usize = 32;

/// A master salt; those of the AEAD profiles are shorter and end in zeros.
pub(super) const SALT_BYTES: usize = 14;

/// Bytes of the key for HMAC-SHA1 (RFC 3711 5.2).
const AUTHENTICATION_KEY_BYTES: usize = 20;

/// What was negotiated by DTLS (RFC 5764 4.1.2, RFC 7714 14.2). The order is ours: the cheapest
/// first, and never AES-CM with a peer that has anything better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SrtpProfile {
    /// `SRTP_AEAD_AES_128_GCM`.
    AeadAes128Gcm,
    /// `SRTP_AEAD_AES_256_GCM`.
    AeadAes256Gcm,
    /// `SRTP_AES128_CM_HMAC_SHA1_80`.
    Aes128CmSha1_80,
}

impl SrtpProfile {
    /// All of them, in the order of preference.
    pub const ALL: [Self; 3] = [Self::AeadAes128Gcm, Self::AeadAes256Gcm, Self::Aes128CmSha1_80];

    /// The number in the `use_srtp` extension.
    pub const fn id(self) -> u16 {
        match self {
            Self::AeadAes128Gcm => 0x0007,
            Self::AeadAes256Gcm => 0x0008,
            Self::Aes128CmSha1_80 => 0x0001,
        }
    }

    /// The profile of a number in the `use_srtp` extension.
    pub fn from_id(id: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.id() == id)
    }

    /// Bytes of a master key.
    pub const fn key_bytes(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::Aes128CmSha1_80 => 16,
            Self::AeadAes256Gcm => 32,
        }
    }

    /// Bytes of a master salt.
    pub const fn salt_bytes(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 12,
            Self::Aes128CmSha1_80 => 14,
        }
    }

    /// Bytes to be exported from DTLS: 56, 88 or 60.
    pub const fn exported_bytes(self) -> usize {
        2 * (self.key_bytes() + self.salt_bytes())
    }

    /// Bytes that sealing adds to an RTP packet.
    pub const fn rtp_overhead(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => super::gcm::TAG_BYTES,
            Self::Aes128CmSha1_80 => super::cm::TAG_BYTES,
        }
    }

    /// Bytes that sealing adds to an RTCP packet: the tag and the index.
    pub const fn rtcp_overhead(self) -> usize {
        self.rtp_overhead() + 4
    }
}

/// Master key and salt of one direction; overwritten when it is dropped.
#[derive(Clone)]
pub struct MasterKey {
    profile: SrtpProfile,
    key: [u8; MAX_KEY_BYTES],
    salt: [u8; SALT_BYTES],
}

impl MasterKey {
    /// A key of exactly the profile's lengths; `None` for any other length.
    pub fn new(profile: SrtpProfile, key: &[u8], salt: &[u8]) -> Option<Self> {
        if key.len() != profile.key_bytes() || salt.len() != profile.salt_bytes() {
            return None;
        }
        let mut master = Self { profile, key: [0; MAX_KEY_BYTES], salt: [0; SALT_BYTES] };
        master.key.get_mut(..key.len())?.copy_from_slice(key);
        // RFC 7714 11: the salt of the AEAD profiles has 12 bytes; the derivation function of RFC
        // 3711 wants 14, so two zero bytes follow.
        master.salt.get_mut(..salt.len())?.copy_from_slice(salt);
        Some(master)
    }

    /// The profile that the key is for.
    pub fn profile(&self) -> SrtpProfile {
        self.profile
    }

    fn key(&self) -> &[u8] {
        &self.key[..self.profile.key_bytes()]
    }

    /// The keys for RTP.
    pub(super) fn rtp(&self) -> Cipher {
        self.derive(0)
    }

    /// The keys for RTCP.
    pub(super) fn rtcp(&self) -> Cipher {
        self.derive(3)
    }

    // RFC 3711 4.3.2: labels 0, 1, 2 are for encryption, authentication and salt of SRTP; 3, 4, 5
    // for those of SRTCP.
    fn derive(&self, first_label: u8) -> Cipher {
        let mut key = [0; MAX_KEY_BYTES];
        let key = &mut key[..self.profile.key_bytes()];
        let (mut authentication, mut salt) = ([0; AUTHENTICATION_KEY_BYTES], [0; SALT_BYTES]);
        self.expand(first_label, key);
        self.expand(first_label + 1, &mut authentication);
        self.expand(first_label + 2, &mut salt[..self.profile.salt_bytes()]);
        Cipher::new(self.profile, key, &authentication, &salt)
    }

    // RFC 3711 4.3.1 and 4.3.3, with a key derivation rate of zero: the salt with the label XOR'ed
    // into its eighth byte, times 2^16, is the counter of AES-CM that makes the key stream.
    pub(super) fn expand(&self, label: u8, out: &mut [u8]) {
        let mut counter = [0; 16];
        counter[..SALT_BYTES].copy_from_slice(&self.salt);
        counter[7] ^= label;
        out.fill(0);
        let stream = counter_mode(self.key());
        apply_key_stream(&stream, counter, out).expect("AES takes any length");
    }
}

impl Drop for MasterKey {
    fn drop(&mut self) {
        self.key.zeroize();
        self.salt.zeroize();
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({:?})", self.profile)
    }
}

/// Master keys of both directions.
#[derive(Clone, Debug)]
pub struct MasterKeys {
    /// What the DTLS client seals with.
    pub client: MasterKey,
    /// What the DTLS server seals with.
    pub server: MasterKey,
}

impl MasterKeys {
    /// Takes apart what DTLS exported; `None` when there is too much or too little.
    ///
    /// RFC 5764 4.2: client key, server key, client salt, server salt.
    pub fn from_exported(profile: SrtpProfile, exported: &[u8]) -> Option<Self> {
        let (keys, salts) = exported.split_at_checked(2 * profile.key_bytes())?;
        let (client_key, server_key) = keys.split_at_checked(profile.key_bytes())?;
        let (client_salt, server_salt) = salts.split_at_checked(profile.salt_bytes())?;
        Some(Self {
            client: MasterKey::new(profile, client_key, client_salt)?,
            server: MasterKey::new(profile, server_key, server_salt)?,
        })
    }
}

/// The session keys of RTP or of RTCP in one direction, with their key schedules.
pub(super) enum Cipher {
    Gcm(GcmCipher),
    // Boxed: it is large, and rare.
    Cm(Box<CmCipher>),
}

impl Cipher {
    /// Keys of a profile, each of the profile's length.
    pub(super) fn new(
        profile: SrtpProfile,
        key: &[u8],
        authentication: &[u8; AUTHENTICATION_KEY_BYTES],
        salt: &[u8; SALT_BYTES],
    ) -> Self {
        let algorithm = match profile {
            SrtpProfile::AeadAes128Gcm => &AES_128_GCM,
            SrtpProfile::AeadAes256Gcm => &AES_256_GCM,
            SrtpProfile::Aes128CmSha1_80 => {
                let authentication =
                    hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, authentication);
                let cipher = CmCipher::new(counter_mode(key), *salt, authentication);
                return Self::Cm(Box::new(cipher));
            }
        };
        let key = UnboundKey::new(algorithm, key).expect("a key of the profile's length");
        let salt = salt.first_chunk().expect("the salt of an AEAD profile is shorter");
        Self::Gcm(GcmCipher::new(LessSafeKey::new(key), *salt))
    }
}

pub(super) fn counter_mode(key: &[u8]) -> EncryptingKey {
    let algorithm = if key.len() == 32 { &AES_256 } else { &AES_128 };
    let key = UnboundCipherKey::new(algorithm, key).expect("a key of AES's length");
    EncryptingKey::ctr(key).expect("AES has a counter mode")
}

/// XORs `bytes` with the key stream that begins at `counter`.
pub(super) fn apply_key_stream(
    key: &EncryptingKey,
    counter: [u8; 16],
    bytes: &mut [u8],
) -> Result<(), Unspecified> {
    let context = EncryptionContext::Iv128(FixedLength::from(counter));
    key.less_safe_encrypt(bytes, context).map(drop)
}
