//! Numbers that were spent under an SSRC of ours.
//!
//! The keys of a peer connection outlive its subscriptions, and so do SSRCs: a transceiver that
//! gets another track keeps its own. With AES-GCM two packets under one SSRC and one number give
//! the keys away (RFC 7714 section 8.1), and a receiver drops the second as a replay. So whoever
//! sends under an SSRC again goes on where the one before stopped.

use std::collections::VecDeque;

use ringway_sfu::call::route::Stopped;
use ringway_wire::sequence::ExtendedSequence;

/// SSRCs remembered per peer connection; those that ended first are forgotten. Raised, memory of
/// about 64 octets each; lowered, one that comes back after so many others begins anew.
const MAX_LINES: usize = 1024;

/// Where the stream under one SSRC stopped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    pub(super) ssrc: u32,
    pub(super) stopped: Stopped,
    pub(super) numbers: ExtendedSequence,
}

/// Where retransmissions under one SSRC stopped.
#[derive(Clone, Copy, Debug)]
pub(super) struct SpentRepair {
    pub(super) ssrc: u32,
    pub(super) next: u64,
}

/// Streams of one peer connection that stopped.
#[derive(Debug, Default)]
pub(super) struct Spent {
    lines: VecDeque<Line>,
    repairs: VecDeque<SpentRepair>,
}

impl Spent {
    /// Remembers a stream.
    pub(super) fn put(&mut self, line: Option<Line>, repair: Option<SpentRepair>) {
        push(&mut self.lines, line);
        push(&mut self.repairs, repair);
    }

    /// Where the stream under `ssrc` goes on.
    pub(super) fn take_line(&mut self, ssrc: u32) -> Option<Line> {
        let at = self.lines.iter().position(|line| line.ssrc == ssrc)?;
        self.lines.remove(at)
    }

    /// Where retransmissions under `ssrc` go on.
    pub(super) fn take_repair(&mut self, ssrc: u32) -> Option<u64> {
        let at = self.repairs.iter().position(|repair| repair.ssrc == ssrc)?;
        self.repairs.remove(at).map(|repair| repair.next)
    }
}

fn push<T>(list: &mut VecDeque<T>, item: Option<T>) {
    let Some(item) = item else { return };
    if list.len() == MAX_LINES {
        list.pop_front();
    }
    list.push_back(item);
}
