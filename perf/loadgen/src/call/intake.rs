//! Datagrams in, with the time at which the kernel got them; segmented datagrams out.
//!
//! Latency is taken from the kernel's clock, not from when the generator came to read: its own
//! queue of a thousand packets per frame says nothing of the server.
//!
//! Unsafe because `recvmmsg`, `sendmsg` and control messages are only in `libc`.
#![allow(unsafe_code)]

use std::io;
use std::mem::size_of;
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, RawFd};

use crate::kernel::empty_message;

const SLOTS: usize = 64;
const SLOT_BYTES: usize = 2048;

/// Room for one time stamp and some more, aligned as the kernel wants it.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; 64]);

/// Buffers for a batch of datagrams of one socket.
pub struct Intake {
    memory: Box<[u8]>,
    _vectors: Box<[libc::iovec]>,
    controls: Box<[Control]>,
    headers: Box<[libc::mmsghdr]>,
}

impl Default for Intake {
    fn default() -> Self {
        let mut memory = vec![0u8; SLOTS * SLOT_BYTES].into_boxed_slice();
        let mut vectors: Box<[libc::iovec]> = memory
            .chunks_exact_mut(SLOT_BYTES)
            .map(|slot| libc::iovec { iov_base: slot.as_mut_ptr().cast(), iov_len: SLOT_BYTES })
            .collect();
        let mut controls = vec![Control([0; 64]); SLOTS].into_boxed_slice();
        let headers = vectors
            .iter_mut()
            .zip(&mut controls)
            .map(|(vector, control)| libc::mmsghdr {
                msg_hdr: libc::msghdr {
                    msg_iov: vector,
                    msg_iovlen: 1,
                    msg_control: (&raw mut *control).cast(),
                    msg_controllen: size_of::<Control>(),
                    ..empty_message()
                },
                msg_len: 0,
            })
            .collect();
        Self { memory, _vectors: vectors, controls, headers }
    }
}

impl Intake {
    /// Reads what is there, at most a batch; the number of datagrams.
    pub fn receive(&mut self, fd: RawFd) -> io::Result<usize> {
        for header in &mut self.headers {
            header.msg_hdr.msg_controllen = size_of::<Control>();
        }
        let (headers, count) = (self.headers.as_mut_ptr(), SLOTS as u32);
        let (flags, never) = (libc::MSG_DONTWAIT, std::ptr::null_mut());
        // SAFETY: the headers point at vectors, controls and memory that this value owns and never
        // moves.
        let got = unsafe { libc::recvmmsg(fd, headers, count, flags, never) };
        usize::try_from(got).map_err(|_| io::Error::last_os_error())
    }

    /// The datagram in `slot`.
    pub fn datagram_mut(&mut self, slot: usize) -> &mut [u8] {
        let length = (self.headers[slot].msg_len as usize).min(SLOT_BYTES);
        &mut self.memory[slot * SLOT_BYTES..][..length]
    }

    /// The datagram in `slot`, as it was or as it was opened.
    pub fn datagram(&self, slot: usize) -> &[u8] {
        let length = (self.headers[slot].msg_len as usize).min(SLOT_BYTES);
        &self.memory[slot * SLOT_BYTES..][..length]
    }

    /// When the kernel got it, CLOCK_REALTIME in ns; `None` where the socket does not say.
    pub fn arrival_ns(&self, slot: usize) -> Option<u64> {
        let length = self.headers[slot].msg_hdr.msg_controllen;
        let control = self.controls[slot].0.get(..length.min(size_of::<Control>()))?;
        // A cmsghdr is a length of eight octets, level and type of four each.
        let (head, data) = control.split_first_chunk::<16>()?;
        let level = i32::from_ne_bytes(*head[8..].first_chunk()?);
        let kind = i32::from_ne_bytes(*head[12..].first_chunk()?);
        if (level, kind) != (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) {
            return None;
        }
        let seconds = u64::from_ne_bytes(*data.first_chunk()?);
        let ns = u64::from_ne_bytes(*data.get(8..)?.first_chunk()?);
        Some(seconds * 1_000_000_000 + ns)
    }
}

/// Makes the kernel say when datagrams of `socket` arrived.
pub fn stamp_arrivals(socket: &UdpSocket) -> io::Result<()> {
    let on: libc::c_int = 1;
    let length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: pointer and length describe `on`, which outlives the call.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_TIMESTAMPNS,
            (&raw const on).cast(),
            length,
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Sends `run` on a connected socket, cut into datagrams of `segment` bytes, the last maybe
/// shorter.
pub fn send_segments(socket: &UdpSocket, run: &[u8], segment: usize) -> io::Result<()> {
    if run.len() <= segment {
        return socket.send(run).map(drop);
    }
    let mut vector = libc::iovec { iov_base: run.as_ptr().cast_mut().cast(), iov_len: run.len() };
    let mut control = Control([0; 64]);
    control.0[..8].copy_from_slice(&18_u64.to_ne_bytes());
    control.0[8..12].copy_from_slice(&libc::SOL_UDP.to_ne_bytes());
    control.0[12..16].copy_from_slice(&libc::UDP_SEGMENT.to_ne_bytes());
    control.0[16..18].copy_from_slice(&(segment as u16).to_ne_bytes());
    let message = libc::msghdr {
        msg_iov: &raw mut vector,
        msg_iovlen: 1,
        msg_control: (&raw mut control).cast(),
        msg_controllen: 24,
        ..empty_message()
    };
    // SAFETY: the message points at vector, control and run, which outlive the call; the kernel
    // only reads them.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, 0) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel;

    #[test]
    fn segments_arrive_with_their_times() {
        let receiver = kernel::bound(([127, 0, 0, 1], 0).into(), 1 << 20).unwrap();
        stamp_arrivals(&receiver).unwrap();
        let sender = kernel::connected(receiver.local_addr().unwrap(), 0).unwrap();
        let before_ns = kernel::realtime_ns();
        let run: Vec<u8> = (0..25).collect();
        send_segments(&sender, &run, 10).unwrap();
        send_segments(&sender, &run[..4], 10).unwrap();
        let mut intake = Intake::default();
        let mut got = Vec::new();
        while got.len() < 4 {
            let Ok(count) = intake.receive(receiver.as_raw_fd()) else { continue };
            for slot in 0..count {
                let arrival_ns = intake.arrival_ns(slot).unwrap();
                assert!((before_ns..=kernel::realtime_ns()).contains(&arrival_ns));
                got.push(intake.datagram_mut(slot).to_vec());
            }
        }
        assert_eq!(got, [&run[..10], &run[10..20], &run[20..], &run[..4]]);
    }
}
