//! RTCP of a forward, in both directions.
//!
//! Downstream: the source's sender reports, name and goodbye go to every destination in that
//! destination's own terms. Upstream: what destinations report is remembered and aggregated into
//! one report to the source; requests for a key frame are passed on, throttled.

use ringway_abi::counters::Counter;
use ringway_abi::message::DestinationKey;
use ringway_sfu::destination::Destination;
use ringway_sfu::report::{Reported, SourceReport};
use ringway_wire::rtcp::write::{self, WriteError};
use ringway_wire::rtcp::{
    Compound, FirEntry, Packet, Pli, ReceiverReport, ReportBlock, ReportBlocks,
};

use crate::branch::target;
use crate::clock::Now;
use crate::egress::Own;
use crate::handoff::{Cname, Downstream, Order};
use crate::home::Home;
use crate::shard::{Datagram, Shard, canonical};
use crate::slab::SlotId;

/// Longest compound that goes downstream: sender report 28, CNAME of 255 octets 268, goodbye 8.
pub const MAX_DOWNSTREAM: usize = 304;

/// How often a source hears a report. RFC 3550 6.2 recommends at least 5 s without a session
/// bandwidth to scale by, and nobody describes one here.
pub const REPORT_INTERVAL_NS: u64 = 5_000_000_000;

/// Least time between two requests for a key frame. Below it a key frame already asked for is still
/// under way; far above it a receiver that just joined waits.
const KEY_FRAME_INTERVAL_NS: u64 = 500_000_000;

/// What a compound from the source said.
#[derive(Default)]
struct FromSource {
    report: Option<SourceReport>,
    cname: Option<Cname>,
    bye: bool,
}

/// Writes the source's RTCP as `destination` must see it; returns its length, 0 for nothing.
pub fn write_downstream(
    out: &mut [u8; MAX_DOWNSTREAM],
    downstream: &Downstream,
    destination: &mut Destination,
    now_ns: u64,
) -> usize {
    let ssrc = destination.ssrc_of(downstream.ssrc);
    let mut len = 0;
    let written = (|| -> Result<(), WriteError> {
        // RFC 3550 6.1: a compound begins with a report, even an empty one.
        len += match &downstream.report {
            Some(report) => {
                let report = destination.sender_report(report, now_ns);
                write::write_sender_report(out, &report, &[])?
            }
            None => write::write_receiver_report(out, &ReceiverReport { ssrc }, &[])?,
        };
        if let Some(cname) = &downstream.cname {
            len += write::write_sdes_cname(&mut out[len..], ssrc, cname.as_bytes())?;
        }
        // A contiguous line outlives the source that says goodbye.
        if downstream.bye && !destination.rewrite().contiguous {
            len += write::write_bye(&mut out[len..], &[ssrc])?;
        }
        Ok(())
    })();
    debug_assert!(written.is_ok(), "MAX_DOWNSTREAM holds every compound");
    len
}

/// Takes an RTCP datagram that came to forward `id`.
pub(crate) fn handle_rtcp<H: Clone>(
    shard: &mut Shard<H>,
    now: Now,
    id: SlotId,
    datagram: &Datagram<'_>,
) {
    let Some(home) = shard.homes.get_mut(id) else {
        return shard.counters.add(Counter::DropNoForward, 1);
    };
    let Ok(compound) = Compound::parse(datagram.bytes) else {
        home.input.counts.malformed += 1;
        return shard.counters.add(Counter::DropRtcp, 1);
    };
    let from = canonical(datagram.from);
    let destination = home.by_address.get(&from).copied();
    let source = speaks_for_source(home, from, &compound);
    if !source && destination.is_none() {
        home.input.counts.refused += 1;
        return shard.counters.add(Counter::DropSource, 1);
    }
    shard.counters.add(Counter::RtcpReceived, 1);
    if source {
        home.input.counts.rtcp_packets += 1;
        handle_source(shard, now, id, &compound);
    }
    if let Some(destination) = destination {
        handle_destination(shard, now, id, destination, &compound);
    }
}

/// Whether RTCP is the source's: its address may send, and it carries what only a source says or
/// names the source's SSRC.
fn speaks_for_source<H>(
    home: &mut Home<H>,
    from: std::net::SocketAddr,
    compound: &Compound<'_>,
) -> bool {
    let Some(ssrc) = home.input.admission().source().map(|source| source.ssrc) else {
        return false;
    };
    let named = compound.packets().any(|packet| match packet {
        Packet::SenderReport(report, _) => report.ssrc == ssrc,
        Packet::Bye(bye) => bye.sources().any(|source| source == ssrc),
        Packet::Sdes(sdes) => sdes.cname(ssrc).is_some(),
        _ => false,
    });
    named && home.input.admit_rtcp(from).is_ok()
}

fn handle_source<H: Clone>(shard: &mut Shard<H>, now: Now, id: SlotId, compound: &Compound<'_>) {
    let Some(home) = shard.homes.get_mut(id) else { return };
    let Some(ssrc) = home.input.admission().source().map(|source| source.ssrc) else { return };
    let mut said = FromSource::default();
    for packet in compound.packets() {
        match packet {
            Packet::SenderReport(report, _) if report.ssrc == ssrc => {
                said.report = Some(SourceReport {
                    ssrc,
                    ntp: report.ntp,
                    timestamp: report.rtp_timestamp,
                    at_ns: now.mono_ns,
                });
            }
            Packet::Sdes(sdes) => {
                if let Some(name) = sdes.cname(ssrc) {
                    said.cname = Some(Cname::new(name));
                }
            }
            Packet::Bye(bye) => said.bye |= bye.sources().any(|source| source == ssrc),
            _ => {}
        }
    }
    if let Some(report) = said.report {
        home.input.handle_sender_report(report);
    }
    let downstream = Downstream { report: said.report, ssrc, cname: said.cname, bye: said.bye };
    for remote in &home.remotes {
        if let Some(peer) = &mut shard.peers[usize::from(remote.shard)] {
            peer.order_lossy(Order::Downstream { branch: remote.branch, downstream });
        }
    }
    if let Some(branch_id) = home.branch
        && let Some(branch) = shard.branches.get_mut(branch_id)
    {
        shard.egress.push_downstream(branch_id, branch, downstream);
    }
}

fn handle_destination<H: Clone>(
    shard: &mut Shard<H>,
    now: Now,
    id: SlotId,
    destination: DestinationKey,
    compound: &Compound<'_>,
) {
    let mut key_frame = false;
    for packet in compound.packets() {
        match packet {
            Packet::SenderReport(_, blocks) | Packet::ReceiverReport(_, blocks) => {
                let home = shard.homes.get(id);
                let block = home.and_then(|home| block_about(home, destination, blocks));
                if let Some(block) = block {
                    reported(shard, now, id, destination, block);
                }
            }
            Packet::Pli(_) | Packet::Fir(_) => key_frame = true,
            _ => {}
        }
    }
    if key_frame {
        ask_key_frame(shard, now, id);
    }
}

/// The block that speaks of our stream: the one with the SSRC we send, else the only one.
fn block_about<H>(
    home: &Home<H>,
    destination: DestinationKey,
    blocks: ReportBlocks<'_>,
) -> Option<ReportBlock> {
    let rewrite = home.registered.get(&destination)?.spec.rewrite;
    let source = home.input.admission().source()?;
    let ssrc = rewrite.ssrc.unwrap_or(source.ssrc);
    // A contiguous line without a configured SSRC keeps its first source's, which only the shard
    // that serves it knows.
    let only = blocks.len() == 1 && rewrite.contiguous;
    blocks.iter().find(|block| only || block.ssrc == ssrc)
}

fn reported<H: Clone>(
    shard: &mut Shard<H>,
    now: Now,
    id: SlotId,
    destination: DestinationKey,
    block: ReportBlock,
) {
    let Some(home) = shard.homes.get_mut(id) else { return };
    let Some(registered) = home.registered.get_mut(&destination) else { return };
    registered.reported = Some(Reported {
        fraction_lost: block.fraction_lost,
        lost: u64::try_from(block.cumulative_lost).unwrap_or(0),
        jitter: block.jitter,
        at_ns: now.mono_ns,
    });
    let served_by = registered.spec.shard;
    if served_by == shard.config.index {
        if let Some(branch) = home.branch {
            shard.handle_reported(now, branch, destination, &block);
        }
    } else if let Some(&remote) = home.remote(served_by)
        && let Some(peer) = &mut shard.peers[usize::from(served_by)]
    {
        peer.order_lossy(Order::Reported { branch: remote.branch, destination, block });
    }
}

/// Passes a request for a key frame on to the source, as PLI and as FIR: senders differ in which
/// they obey.
fn ask_key_frame<H: Clone>(shard: &mut Shard<H>, now: Now, id: SlotId) {
    let Some(home) = shard.homes.get_mut(id) else { return };
    let asked_ns = home.asked_key_frame_ns;
    if asked_ns != 0 && now.mono_ns.saturating_sub(asked_ns) < KEY_FRAME_INTERVAL_NS {
        return;
    }
    let Some(source) = home.input.admission().source().copied() else { return };
    home.asked_key_frame_ns = now.mono_ns;
    home.fir_number = home.fir_number.wrapping_add(1);
    let entry = FirEntry { ssrc: source.ssrc, sequence: home.fir_number };
    let pli = Pli { sender_ssrc: home.ssrc, media_ssrc: source.ssrc };
    let ssrc = home.ssrc;
    upstream(shard, id, |out| {
        let mut len = write::write_receiver_report(out, &ReceiverReport { ssrc }, &[])?;
        len += write::write_pli(&mut out[len..], &pli)?;
        len += write::write_fir(&mut out[len..], ssrc, &[entry])?;
        Ok(len)
    });
}

/// Reports to the source of forward `id`, if it sent anything in the last interval.
pub(crate) fn report_upstream<H: Clone>(shard: &mut Shard<H>, now: Now, id: SlotId) {
    let Some(home) = shard.homes.get_mut(id) else { return };
    if !home.input.is_active(now.mono_ns, REPORT_INTERVAL_NS) {
        return;
    }
    let downstream = home.registered.values().filter_map(|registered| registered.reported);
    let Some(block) = home.input.report(now.mono_ns, downstream) else { return };
    let (ssrc, cname) = (home.ssrc, home.cname);
    upstream(shard, id, |out| {
        let len = write::write_receiver_report(out, &ReceiverReport { ssrc }, &[block])?;
        Ok(len + write::write_sdes_cname(&mut out[len..], ssrc, cname.as_bytes())?)
    });
}

/// Queues a datagram to where the source receives RTCP.
fn upstream<H: Clone>(
    shard: &mut Shard<H>,
    id: SlotId,
    compose: impl FnOnce(&mut [u8]) -> Result<usize, WriteError>,
) {
    let Some(home) = shard.homes.get(id) else { return };
    let Some(to) = home.input.admission().report_address(home.mux()) else { return };
    let mut octets = [0; Own::MAX];
    let Ok(len) = compose(&mut octets) else {
        debug_assert!(false, "a report of ours fits into a datagram of ours");
        return;
    };
    let own = Own::new(home.rtcp_socket(), target(to, home.ipv6()), &octets[..len]);
    shard.egress.push_own(own);
}
