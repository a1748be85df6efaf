//! What generator and floor agree on without signalling: keys, SSRCs, ports.

use std::net::{IpAddr, SocketAddr};

use ringway_proto::srtp::{MasterKey, SrtpProfile};

/// Where the floor receives everything.
pub const SERVER_PORT: u16 = 7900;
/// The port of the first subscriber; the others follow.
pub const FIRST_SUBSCRIBER_PORT: u16 = 10_100;
/// The port of the first publisher; the others follow.
pub const FIRST_PUBLISHER_PORT: u16 = 9_100;

const AUDIO: u32 = 0x0200_0000;
const VIDEO: u32 = 0x0100_0000;

/// The SSRC of a publisher's sound.
pub const fn audio_ssrc(publisher: u16) -> u32 {
    AUDIO | (publisher as u32) << 8
}

/// The SSRC of a publisher's video layer; `rank` 0 is the best.
pub const fn video_ssrc(publisher: u16, rank: u8) -> u32 {
    VIDEO | (publisher as u32) << 8 | rank as u32
}

/// Whose the SSRC is, and whether it is forwarded.
pub const fn owner(ssrc: u32) -> (u16, bool) {
    ((ssrc >> 8) as u16, ssrc & 0xff == 0)
}

/// Which direction a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyUse {
    /// A publisher's packets.
    Publisher = 1,
    /// A subscriber's packets.
    Subscriber = 2,
}

/// The key of the participant with that number.
pub fn key(purpose: KeyUse, number: usize) -> MasterKey {
    let mut key = [purpose as u8; 16];
    key[..8].copy_from_slice(&(number as u64).to_be_bytes());
    MasterKey::new(SrtpProfile::AeadAes128Gcm, &key, &[7; 12]).expect("the profile's lengths")
}

/// The address of a subscriber.
pub fn subscriber_address(ip: IpAddr, number: usize) -> SocketAddr {
    SocketAddr::new(ip, FIRST_SUBSCRIBER_PORT + number as u16)
}

/// The address of a publisher.
pub fn publisher_address(ip: IpAddr, number: usize) -> SocketAddr {
    SocketAddr::new(ip, FIRST_PUBLISHER_PORT + number as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ssrcs_tell_their_owner() {
        for number in [0, 7, 1999] {
            assert_eq!(owner(audio_ssrc(number)), (number, true));
            assert_eq!(owner(video_ssrc(number, 0)), (number, true));
            assert_eq!(owner(video_ssrc(number, 2)), (number, false));
        }
    }
}
