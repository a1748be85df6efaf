#![allow(unsafe_code)] // A socket option that no library sets.
//! Which of two sockets of one port takes a datagram: the kernel decides, by a filter.
//!
//! Receiver reports come once a second from everybody who receives, one by one, and nobody waits
//! for an answer. They go to a socket of their own that wakes nobody, see
//! [`bind_with_reports`](crate::bind_with_reports).

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;

use libc::{BPF_ABS, BPF_ADD, BPF_ALU, BPF_AND, BPF_B, BPF_H, BPF_JEQ, BPF_JMP, BPF_K, BPF_LD};
use libc::{BPF_LEN, BPF_LSH, BPF_MISC, BPF_RET, BPF_SUB, BPF_TAX, BPF_W, BPF_X};

/// What has a report of reception for its first packet (RFC 3550 6.4.2).
const RECEIVER_REPORT: u32 = 201;

/// Octets of SRTCP behind its packets: an index, and the tag of HMAC-SHA1-80 (RFC 3711 3.4) or of
/// GCM (RFC 7714 9).
const TRAILERS: [u32; 2] = [4 + 10, 4 + 16];

/// What may stand behind a report and wait with it: a reference time (RFC 3611 4.4), an estimate
/// (draft-alvestrand-rmcat-remb) of one source or two, or both. Nobody can see through the cipher,
/// but one packet asked for again takes 16 octets, and a key frame asked for 12.
const BEHIND: [u32; 7] = [0, 20, 24, 28, 20 + 20, 20 + 24, 20 + 28];

/// The place of the socket for reports among those of the port, in the order of binding.
const REPORTS: u32 = 1;

const LENGTHS: usize = TRAILERS.len() * BEHIND.len();
const BEGINNING: usize = 11;
const PROGRAM: usize = BEGINNING + LENGTHS + 2;

/// Has receiver reports go to the second of the sockets that share the port of `socket`, and
/// everything else to the first.
pub(crate) fn part_reports(socket: &UdpSocket) -> io::Result<()> {
    let mut program = program();
    let filter =
        libc::sock_fprog { len: program.len() as libc::c_ushort, filter: program.as_mut_ptr() };
    let (value, len) = ((&raw const filter).cast(), size_of::<libc::sock_fprog>());
    let (level, option) = (libc::SOL_SOCKET, libc::SO_ATTACH_REUSEPORT_CBPF);
    // SAFETY: the kernel copies `len` octets of a structure that is alive, and the program that it
    // points to, which is as long as it says.
    let outcome = unsafe { libc::setsockopt(socket.as_raw_fd(), level, option, value, len as u32) };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The program, over the payload of a datagram. A load beyond its end answers 0, the first socket.
fn program() -> [libc::sock_filter; PROGRAM] {
    const OTHERS: u8 = (BEGINNING + LENGTHS) as u8;
    let mut program = [operation(BPF_RET | BPF_K, 0); PROGRAM];
    let beginning = [
        operation(BPF_LD | BPF_B | BPF_ABS, 1),
        compare(RECEIVER_REPORT, 0, OTHERS - 2),
        operation(BPF_LD | BPF_B | BPF_ABS, 0),
        operation(BPF_ALU | BPF_AND | BPF_K, 0xc0),
        compare(0x80, 0, OTHERS - 5),
        // Its length in words, less one.
        operation(BPF_LD | BPF_H | BPF_ABS, 2),
        operation(BPF_ALU | BPF_ADD | BPF_K, 1),
        operation(BPF_ALU | BPF_LSH | BPF_K, 2),
        operation(BPF_MISC | BPF_TAX, 0),
        operation(BPF_LD | BPF_W | BPF_LEN, 0),
        operation(BPF_ALU | BPF_SUB | BPF_X, 0),
    ];
    program[..BEGINNING].copy_from_slice(&beginning);
    let lengths = TRAILERS.iter().flat_map(|trailer| BEHIND.map(|behind| trailer + behind));
    for (place, length) in lengths.enumerate() {
        program[BEGINNING + place] = compare(length, (LENGTHS - place) as u8, 0);
    }
    program[PROGRAM - 1] = operation(BPF_RET | BPF_K, REPORTS);
    program
}

const fn operation(code: u32, k: u32) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

/// A comparison that skips so many instructions if equal, and so many if not.
const fn compare(k: u32, equal: u8, otherwise: u8) -> libc::sock_filter {
    let code = (BPF_JMP | BPF_JEQ | BPF_K) as u16;
    libc::sock_filter { code, jt: equal, jf: otherwise, k }
}
