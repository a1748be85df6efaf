//! The hand-over: how a peer gets at the memory, and what is said on the socket.
//!
//! **Who.** The data plane listens at a Unix socket (`SOCK_SEQPACKET`, mode 0660) behind its
//! [`Door`]. A peer connects, says one hello and gets one answer: a welcome with descriptors, or a
//! refusal with the reason. Nothing is said afterwards; the socket stays open, and its end is how
//! each side learns that the other is gone, however it went.
//!
//! **Messages.** All of 64 bytes, eight little-endian words. The first three (magic, version,
//! layout hash) stand there in every version, so that strangers can be told what is wrong.
//!
//! | word | hello | welcome | refusal |
//! |---|---|---|---|
//! | 3 | role | 1 | 2 |
//! | 4 | | shards | reason |
//! | 5, 6 | | boot id, 0 | the reason's numbers |
//!
//! **Descriptors** of a welcome, in this order: the pages; for control also the lanes, control's
//! own bell, and for every shard the bell to ring for it (one and the same).
//!
//! **Overrun.** One control peer at a time, a bounded number of observers; the next one is refused.
//! A peer that says nothing is let go after a while and delays nobody.
//!
//! **Death.** The kernel closes the socket. Control's lanes die with it; the next control peer gets
//! fresh ones and asks for snapshots. **Restart** of the data plane: peers see the socket end and
//! join again; a socket file that a dead data plane left is replaced.
//!
//! [`Door`]: crate::door::Door

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};

use crate::layout::{ABI_VERSION, LAYOUT_HASH, MAGIC, MAX_SHARDS};

/// Where the data plane listens unless it is told otherwise.
pub const DEFAULT_SOCKET: &str = "/run/ringway/dataplane.sock";

/// Most observers at a time. More means more descriptors and polling for the door's thread only;
/// 16 is more than an operator has terminals, and a leak of them is noticed.
pub const MAX_OBSERVERS: usize = 16;

/// What a peer wants to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The one that steers: gets lanes.
    Control = 1,
    /// One that reads the pages.
    Observer = 2,
}

/// Why the door turned a peer away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinRefusal {
    /// It does not speak this protocol.
    #[error("the peer does not speak Ringway's hand-over protocol")]
    WrongMagic,
    /// It was built for another version of the contract.
    #[error(
        "the data plane has shared-memory version {data_plane} and the peer {peer}: \
         install both from one release and restart both"
    )]
    OtherVersion {
        /// The data plane's version.
        data_plane: u32,
        /// The peer's version.
        peer: u32,
    },
    /// It was built with other sizes or names.
    #[error(
        "the data plane's shared memory is laid out as {data_plane:016x} and the peer's as \
         {peer:016x}: install both from one release and restart both"
    )]
    OtherLayout {
        /// The data plane's layout hash.
        data_plane: u64,
        /// The peer's layout hash.
        peer: u64,
    },
    /// Someone steers already.
    #[error("the data plane is already controlled by process {pid}: stop that one first")]
    ControlTaken {
        /// Who.
        pid: u32,
    },
    /// Enough are reading.
    #[error("the data plane already has {limit} observers, which is all it takes: end one of them")]
    TooManyObservers {
        /// The bound.
        limit: u32,
    },
    /// It may not steer, or asked for a role that does not exist.
    #[error(
        "user {uid} may not control the data plane: run the control plane as root, as the data \
         plane's user, or with the data plane's group as its own"
    )]
    NotAllowed {
        /// The peer's user.
        uid: u32,
    },
    /// It connected and said nothing for too long.
    #[error("the peer connected and said nothing for {ms} ms")]
    Silent {
        /// How long.
        ms: u32,
    },
    /// The data plane could not do it.
    #[error(
        "the data plane could not make the lanes: {}", Errno::from_raw_os_error(*.errno)
    )]
    Failed {
        /// The kernel's error number.
        errno: i32,
    },
}

impl JoinRefusal {
    fn to_words(self) -> [u64; 3] {
        match self {
            JoinRefusal::WrongMagic => [1, 0, 0],
            JoinRefusal::OtherVersion { data_plane, peer } => [2, data_plane.into(), peer.into()],
            JoinRefusal::OtherLayout { data_plane, peer } => [3, data_plane, peer],
            JoinRefusal::ControlTaken { pid } => [4, pid.into(), 0],
            JoinRefusal::TooManyObservers { limit } => [5, limit.into(), 0],
            JoinRefusal::NotAllowed { uid } => [6, uid.into(), 0],
            JoinRefusal::Silent { ms } => [7, ms.into(), 0],
            JoinRefusal::Failed { errno } => [8, u64::from(errno as u32), 0],
        }
    }

    fn from_words([reason, first, second]: [u64; 3]) -> Option<Self> {
        Some(match reason {
            1 => JoinRefusal::WrongMagic,
            2 => JoinRefusal::OtherVersion { data_plane: first as u32, peer: second as u32 },
            3 => JoinRefusal::OtherLayout { data_plane: first, peer: second },
            4 => JoinRefusal::ControlTaken { pid: first as u32 },
            5 => JoinRefusal::TooManyObservers { limit: first as u32 },
            6 => JoinRefusal::NotAllowed { uid: first as u32 },
            7 => JoinRefusal::Silent { ms: first as u32 },
            // An error number is small and not 0, whatever the other side says.
            8 => JoinRefusal::Failed { errno: (first as i32).clamp(1, 4095) },
            _ => return None,
        })
    }
}

/// One message.
pub(crate) type Packet = [u64; 8];
const PACKET_BYTES: usize = 64;

const WELCOME: u64 = 1;
const REFUSAL: u64 = 2;

/// Descriptors that go with the longest message: pages, lanes, control's bell, the shards' bells.
const MOST_FDS: usize = 3 + MAX_SHARDS as usize;
const FD_SPACE: usize = rustix::cmsg_space!(ScmRights(MOST_FDS));

/// A peer's first and last word.
pub(crate) fn hello(role: Role) -> Packet {
    [MAGIC, u64::from(ABI_VERSION), LAYOUT_HASH, role as u64, 0, 0, 0, 0]
}

/// What a hello asks for.
pub(crate) fn read_hello(packet: &Packet, uid: u32) -> Result<Role, JoinRefusal> {
    let [magic, version, layout, role, ..] = *packet;
    if magic != MAGIC {
        return Err(JoinRefusal::WrongMagic);
    }
    if version != u64::from(ABI_VERSION) {
        return Err(JoinRefusal::OtherVersion { data_plane: ABI_VERSION, peer: version as u32 });
    }
    if layout != LAYOUT_HASH {
        return Err(JoinRefusal::OtherLayout { data_plane: LAYOUT_HASH, peer: layout });
    }
    match role {
        1 => Ok(Role::Control),
        2 => Ok(Role::Observer),
        _ => Err(JoinRefusal::NotAllowed { uid }),
    }
}

pub(crate) fn welcome(shards: u16, boot_id: u64) -> Packet {
    [MAGIC, u64::from(ABI_VERSION), LAYOUT_HASH, WELCOME, u64::from(shards), boot_id, 0, 0]
}

pub(crate) fn refusal(reason: JoinRefusal) -> Packet {
    let [reason, first, second] = reason.to_words();
    [MAGIC, u64::from(ABI_VERSION), LAYOUT_HASH, REFUSAL, reason, first, second, 0]
}

/// The door's answer, as the peer reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Welcome { shards: u16, boot_id: u64 },
    Refused(JoinRefusal),
}

/// `None`: this is no answer of a door.
pub(crate) fn read_answer(packet: &Packet) -> Option<Answer> {
    let [magic, version, layout, kind, ..] = *packet;
    match kind {
        _ if magic != MAGIC => None,
        // A refusal is understood whatever the version: it is what explains the version.
        REFUSAL => JoinRefusal::from_words([packet[4], packet[5], packet[6]]).map(Answer::Refused),
        WELCOME if version == u64::from(ABI_VERSION) && layout == LAYOUT_HASH => {
            let shards = u16::try_from(packet[4]).ok().filter(|n| (1..=MAX_SHARDS).contains(n))?;
            Some(Answer::Welcome { shards, boot_id: packet[5] })
        }
        _ => None,
    }
}

/// Sends one message with descriptors.
pub(crate) fn send(
    socket: impl AsFd,
    packet: &Packet,
    fds: &[BorrowedFd<'_>],
) -> Result<(), Errno> {
    let mut bytes = [0; PACKET_BYTES];
    for (bytes, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(packet) {
        *bytes = word.to_le_bytes();
    }
    let mut space = [MaybeUninit::uninit(); FD_SPACE];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        let pushed = control.push(SendAncillaryMessage::ScmRights(fds));
        assert!(pushed, "{} descriptors are more than a hand-over has", fds.len());
    }
    rustix::net::sendmsg(socket, &[IoSlice::new(&bytes)], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// What came out of a socket.
pub(crate) enum Received {
    /// A message and its descriptors.
    Message(Packet, Vec<OwnedFd>),
    /// Something of another size, or with more descriptors than there can be.
    Rubbish,
    /// The other side is gone.
    End,
}

/// Receives one message.
pub(crate) fn receive(socket: impl AsFd) -> Result<Received, Errno> {
    // One byte more than a message, so that a longer one shows.
    let mut bytes = [0; PACKET_BYTES + 1];
    let mut space = [MaybeUninit::uninit(); FD_SPACE];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let got = rustix::net::recvmsg(
        socket,
        &mut [IoSliceMut::new(&mut bytes)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let fds: Vec<OwnedFd> = control
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(fds) => Some(fds),
            _ => None,
        })
        .flatten()
        .collect();
    if got.bytes == 0 {
        return Ok(Received::End);
    }
    if got.bytes != PACKET_BYTES || got.flags.intersects(ReturnFlags::CTRUNC) {
        return Ok(Received::Rubbish);
    }
    let mut packet = [0; 8];
    for (word, bytes) in packet.iter_mut().zip(bytes.as_chunks::<8>().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    Ok(Received::Message(packet, fds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hello_that_does_not_fit_is_refused_with_the_reason() {
        let check = |word: usize, value: u64, expect: Result<Role, JoinRefusal>| {
            let mut packet = hello(Role::Observer);
            packet[word] = value;
            assert_eq!(read_hello(&packet, 1000), expect, "word {word} = {value}");
        };
        check(3, 2, Ok(Role::Observer));
        check(3, 1, Ok(Role::Control));
        check(3, 3, Err(JoinRefusal::NotAllowed { uid: 1000 }));
        check(0, 0, Err(JoinRefusal::WrongMagic));
        check(1, 9, Err(JoinRefusal::OtherVersion { data_plane: ABI_VERSION, peer: 9 }));
        check(2, 5, Err(JoinRefusal::OtherLayout { data_plane: LAYOUT_HASH, peer: 5 }));
    }

    #[test]
    fn answers_round_trip() {
        assert_eq!(read_answer(&welcome(64, 7)), Some(Answer::Welcome { shards: 64, boot_id: 7 }));
        for reason in [
            JoinRefusal::WrongMagic,
            JoinRefusal::OtherVersion { data_plane: 1, peer: 2 },
            JoinRefusal::OtherLayout { data_plane: u64::MAX, peer: 2 },
            JoinRefusal::ControlTaken { pid: 4711 },
            JoinRefusal::TooManyObservers { limit: 16 },
            JoinRefusal::NotAllowed { uid: 1000 },
            JoinRefusal::Silent { ms: 2000 },
            JoinRefusal::Failed { errno: 24 },
        ] {
            assert_eq!(read_answer(&refusal(reason)), Some(Answer::Refused(reason)));
        }
    }

    #[test]
    fn a_refusal_is_understood_across_versions_and_a_welcome_is_not() {
        let mut packet = refusal(JoinRefusal::OtherVersion { data_plane: 9, peer: 1 });
        packet[1] = 9;
        assert!(read_answer(&packet).is_some());
        let mut packet = welcome(1, 7);
        packet[1] = 9;
        assert_eq!(read_answer(&packet), None);
        for (word, value) in [(0, 1), (2, 1), (3, 3), (4, 0), (4, 65), (4, u64::MAX)] {
            let mut packet = welcome(1, 7);
            packet[word] = value;
            assert_eq!(read_answer(&packet), None, "word {word} = {value}");
        }
        let mut packet = refusal(JoinRefusal::Failed { errno: 24 });
        packet[5] = u64::MAX;
        let Some(Answer::Refused(reason)) = read_answer(&packet) else { panic!("a refusal") };
        assert!(!reason.to_string().is_empty());
    }
}
