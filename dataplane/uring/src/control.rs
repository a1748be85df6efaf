//! Control messages: the segment size on the way out; time stamp and drop count on the way in.

const HEADER_BYTES: usize = 16;
const SECOND_NS: u64 = 1_000_000_000;

const _: () = assert!(
    size_of::<usize>() == 8 && size_of::<libc::cmsghdr>() == HEADER_BYTES,
    "the layouts here are those of 64-bit Linux"
);

/// Room for the control messages of one datagram: `SO_TIMESTAMPNS` (32) and `SO_RXQ_OVFL` (24).
pub(crate) const CONTROL_BYTES: usize = 56;

/// A `UDP_SEGMENT` control message as `sendmsg` takes it.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
pub(crate) struct SegmentControl {
    len: usize,
    level: i32,
    kind: i32,
    segment: u16,
    rest: [u8; 6],
}

impl SegmentControl {
    pub(crate) const fn new(segment: u16) -> Self {
        Self {
            len: HEADER_BYTES + size_of::<u16>(),
            level: libc::SOL_UDP,
            kind: libc::UDP_SEGMENT,
            segment,
            rest: [0; 6],
        }
    }
}

/// What the kernel says about a datagram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ancillary {
    /// Realtime nanoseconds, or 0.
    pub(crate) kernel_ns: u64,
    /// Datagrams dropped on the socket so far, or 0.
    pub(crate) queue_drops: u32,
}

/// Reads received control messages. Unknown ones are skipped; what is cut short ends the reading.
pub(crate) fn read(mut control: &[u8]) -> Ancillary {
    let mut ancillary = Ancillary::default();
    while let Some((level, kind, data, rest)) = next(control) {
        if level == libc::SOL_SOCKET && kind == libc::SO_TIMESTAMPNS {
            if let Some((seconds, nanoseconds)) = timespec(data) {
                ancillary.kernel_ns = seconds.wrapping_mul(SECOND_NS).wrapping_add(nanoseconds);
            }
        } else if level == libc::SOL_SOCKET
            && kind == libc::SO_RXQ_OVFL
            && let Some(drops) = data.first_chunk()
        {
            ancillary.queue_drops = u32::from_ne_bytes(*drops);
        }
        control = rest;
    }
    ancillary
}

fn next(control: &[u8]) -> Option<(i32, i32, &[u8], &[u8])> {
    let len = usize::from_ne_bytes(*control.first_chunk()?);
    let level = i32::from_ne_bytes(*control.get(8..)?.first_chunk()?);
    let kind = i32::from_ne_bytes(*control.get(12..)?.first_chunk()?);
    let data = control.get(HEADER_BYTES..len)?;
    let rest = control.get(len.next_multiple_of(8)..).unwrap_or_default();
    Some((level, kind, data, rest))
}

fn timespec(data: &[u8]) -> Option<(u64, u64)> {
    let seconds = u64::from_ne_bytes(*data.first_chunk()?);
    let nanoseconds = u64::from_ne_bytes(*data.get(8..)?.first_chunk()?);
    Some((seconds, nanoseconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(level: i32, kind: i32, data: &[u8]) -> Vec<u8> {
        let mut bytes = (HEADER_BYTES + data.len()).to_ne_bytes().to_vec();
        bytes.extend(level.to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(data);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    }

    #[test]
    fn control_messages_are_read() {
        let stamp = [3u64.to_ne_bytes(), 7u64.to_ne_bytes()].concat();
        let stamp = message(libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, &stamp);
        let drops = message(libc::SOL_SOCKET, libc::SO_RXQ_OVFL, &5u32.to_ne_bytes());
        let other = message(libc::IPPROTO_IP, libc::IP_TTL, &[1, 2, 3]);
        assert_eq!(stamp.len() + drops.len(), CONTROL_BYTES);
        check(&[], 0, 0);
        check(&stamp, 3_000_000_007, 0);
        check(&[&stamp[..], &drops[..]].concat(), 3_000_000_007, 5);
        check(&[&other[..], &drops[..]].concat(), 0, 5);
        check(&stamp[..24], 0, 0);
        check(&[0; 24], 0, 0);
        check(&[0xff; 24], 0, 0);
    }

    fn check(control: &[u8], kernel_ns: u64, queue_drops: u32) {
        assert_eq!(read(control), Ancillary { kernel_ns, queue_drops });
    }

    #[test]
    fn the_segment_control_has_the_kernels_layout() {
        assert_eq!(size_of::<SegmentControl>(), 24);
        assert_eq!(std::mem::offset_of!(SegmentControl, segment), HEADER_BYTES);
    }
}
