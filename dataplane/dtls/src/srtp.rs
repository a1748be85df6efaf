//! SRTP protection profiles and the keys that a handshake yields for them.

use std::fmt;

use zeroize::Zeroize;

/// RFC 5764 4.1.2, RFC 7714 14.2: how SRTP is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SrtpProfile {
    /// AES-128-GCM.
    AeadAes128Gcm,
    /// AES-256-GCM: a tenth dearer.
    AeadAes256Gcm,
    /// AES-128 counter mode with an 80-bit HMAC-SHA1: several times dearer, for old peers.
    Aes128CmSha1_80,
}

impl SrtpProfile {
    /// Our order: whoever can have an AEAD profile gets one.
    pub const PREFERRED: [Self; 3] =
        [Self::AeadAes128Gcm, Self::AeadAes256Gcm, Self::Aes128CmSha1_80];

    /// Its number on the wire.
    pub fn id(self) -> u16 {
        match self {
            Self::Aes128CmSha1_80 => 0x0001,
            Self::AeadAes128Gcm => 0x0007,
            Self::AeadAes256Gcm => 0x0008,
        }
    }

    /// Bytes of a master key.
    pub fn key_len(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::Aes128CmSha1_80 => 16,
            Self::AeadAes256Gcm => 32,
        }
    }

    /// Bytes of a master salt.
    pub fn salt_len(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 12,
            Self::Aes128CmSha1_80 => 14,
        }
    }

    /// As AWS-LC calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::AeadAes128Gcm => "SRTP_AEAD_AES_128_GCM",
            Self::AeadAes256Gcm => "SRTP_AEAD_AES_256_GCM",
            Self::Aes128CmSha1_80 => "SRTP_AES128_CM_SHA1_80",
        }
    }

    pub(crate) fn from_id(id: u16) -> Option<Self> {
        Self::PREFERRED.into_iter().find(|profile| profile.id() == id)
    }

    fn material_len(self) -> usize {
        2 * (self.key_len() + self.salt_len())
    }
}

const MAX_MATERIAL_LEN: usize = 2 * (32 + 12);

/// Master keys and salts of both directions. They lie in one place, are never printed, and are
/// overwritten when this is dropped.
pub struct SrtpKeys {
    profile: SrtpProfile,
    /// RFC 5764 4.2: client key, server key, client salt, server salt.
    material: Box<[u8; MAX_MATERIAL_LEN]>,
}

impl SrtpKeys {
    /// Keys for `profile`; `export` fills in the material and says whether it could.
    pub(crate) fn export(
        profile: SrtpProfile,
        export: impl FnOnce(&mut [u8]) -> bool,
    ) -> Option<Self> {
        let mut keys = Self { profile, material: Box::new([0; MAX_MATERIAL_LEN]) };
        export(&mut keys.material[..profile.material_len()]).then_some(keys)
    }

    /// What they are for.
    pub fn profile(&self) -> SrtpProfile {
        self.profile
    }

    /// The master key for what the DTLS client sends.
    pub fn client_key(&self) -> &[u8] {
        self.part(0, self.profile.key_len())
    }

    /// The master key for what the DTLS server sends.
    pub fn server_key(&self) -> &[u8] {
        self.part(self.profile.key_len(), self.profile.key_len())
    }

    /// The master salt for what the DTLS client sends.
    pub fn client_salt(&self) -> &[u8] {
        self.part(2 * self.profile.key_len(), self.profile.salt_len())
    }

    /// The master salt for what the DTLS server sends.
    pub fn server_salt(&self) -> &[u8] {
        let before = 2 * self.profile.key_len() + self.profile.salt_len();
        self.part(before, self.profile.salt_len())
    }

    fn part(&self, start: usize, len: usize) -> &[u8] {
        &self.material[start..start + len]
    }
}

impl Drop for SrtpKeys {
    fn drop(&mut self) {
        self.material.zeroize();
    }
}

impl fmt::Debug for SrtpKeys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SrtpKeys").field("profile", &self.profile).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn material_is_cut_in_the_order_of_the_rfc() {
        for (profile, key, salt) in [
            (SrtpProfile::AeadAes128Gcm, 16, 12),
            (SrtpProfile::AeadAes256Gcm, 32, 12),
            (SrtpProfile::Aes128CmSha1_80, 16, 14),
        ] {
            let all: Vec<u8> = (0..).take(2 * (key + salt)).collect();
            let keys = SrtpKeys::export(profile, |out| {
                out.copy_from_slice(&all);
                true
            });
            let keys = keys.expect("keys");
            let parts =
                [keys.client_key(), keys.server_key(), keys.client_salt(), keys.server_salt()];
            assert_eq!(parts.map(<[u8]>::len), [key, key, salt, salt]);
            assert_eq!(parts.concat(), all);
        }
    }

    #[test]
    fn keys_are_not_printed() {
        let keys = SrtpKeys::export(SrtpProfile::AeadAes128Gcm, |out| {
            out.fill(0xab);
            true
        });
        assert_eq!(format!("{keys:?}"), "Some(SrtpKeys { profile: AeadAes128Gcm, .. })");
        assert!(SrtpKeys::export(SrtpProfile::AeadAes128Gcm, |_| false).is_none());
    }
}
