//! Publishing: counters and records become visible to other programs, a share of them each tick.
//!
//! Records are written in stripes so that a table of sixteen thousand never costs one turn more
//! than a fraction of it; each is at most [`STRIPES`] ticks old.

use ringway_abi::counters::Counter;
use ringway_abi::stats::{DestinationStats, ForwardStats};

use crate::clock::Now;
use crate::feedback::{self, REPORT_INTERVAL_NS};
use crate::handoff::Order;
use crate::home::Home;
use crate::shard::Shard;

/// Time between two ticks of a busy shard. Shorter costs more turns, longer shows older figures.
pub const TICK_NS: u64 = 20_000_000;
/// Ticks that share the work of publishing all records once.
pub const STRIPES: u32 = 5;
/// Ticks in a report interval: each forward reports to its source in one of them.
const REPORT_STRIPES: u32 = (REPORT_INTERVAL_NS / TICK_NS) as u32;

/// Where records go.
pub trait Records {
    /// Writes the record of the forward in `slot`.
    fn forward(&mut self, slot: u32, stats: &ForwardStats);
    /// Writes the record of the destination in `slot`.
    fn destination(&mut self, slot: u32, stats: &DestinationStats);
}

impl Records for ringway_abi::pages::ShardPages {
    fn forward(&mut self, slot: u32, stats: &ForwardStats) {
        self.publish_forward(slot, stats);
    }

    fn destination(&mut self, slot: u32, stats: &DestinationStats) {
        self.publish_destination(slot, stats);
    }
}

impl<H: Clone> Shard<H> {
    /// The work of tick number `tick`: a stripe of the records, and reports to a share of the
    /// sources. Whether that left something to send is for [`Shard::poll_transmit`] to say.
    pub fn handle_tick(&mut self, now: Now, tick: u64, records: &mut impl Records) {
        self.now = now;
        self.calls.handle_time(now, &mut self.counters);
        let stripe = (tick % u64::from(STRIPES)) as u32;
        self.tell_drops(stripe);
        self.publish(now, stripe, records);
        let first = (tick % u64::from(REPORT_STRIPES)) as u32;
        for slot in (first..self.homes.slots()).step_by(REPORT_STRIPES as usize) {
            if let Some(id) = self.homes.id_at(slot) {
                feedback::report_upstream(self, now, id);
            }
        }
    }

    /// Publishes everything at once, for the end of the program and for tests.
    pub fn publish_all(&mut self, now: Now, records: &mut impl Records) {
        for stripe in 0..STRIPES {
            self.publish(now, stripe, records);
        }
    }

    /// Tells other shards what did not fit into the lanes to them: their destinations missed it.
    /// The packet's own path only counts, once for all destinations of a shard.
    fn tell_drops(&mut self, stripe: u32) {
        for slot in (stripe..self.homes.slots()).step_by(STRIPES as usize) {
            let Some(home) = self.homes.at_mut(slot) else { continue };
            for remote in home.remotes.iter_mut().filter(|remote| remote.untold_drops > 0) {
                let (branch, packets) = (remote.branch, remote.untold_drops);
                let peer = self.peers[usize::from(remote.shard)].as_mut();
                if peer.is_some_and(|peer| peer.order_lossy(Order::Dropped { branch, packets })) {
                    remote.untold_drops = 0;
                }
            }
        }
    }

    fn publish(&mut self, now: Now, stripe: u32, records: &mut impl Records) {
        for slot in self.freed_forwards.drain(..) {
            records.forward(slot, &ForwardStats::default());
        }
        for slot in self.freed_destinations.drain(..) {
            records.destination(slot, &DestinationStats::default());
        }
        for slot in (stripe..self.homes.slots()).step_by(STRIPES as usize) {
            if let Some(home) = self.homes.at(slot) {
                records.forward(slot, &forward_stats(now, home));
            }
        }
        for slot in (stripe..self.places.slots()).step_by(STRIPES as usize) {
            if let Some(stats) = self.destination_stats(now, slot) {
                records.destination(slot, &stats);
            }
        }
        self.counters.set(Counter::Forwards, self.homes.len().into());
        self.counters.set(Counter::Destinations, self.places.len().into());
    }

    fn destination_stats(&self, now: Now, slot: u32) -> Option<DestinationStats> {
        let place = self.places.at(slot)?;
        let branch = self.branches.get(place.branch)?;
        let served = branch.served.get(place.position as usize)?;
        let counts = &served.state.counts;
        let reported = served.state.reported.unwrap_or_default();
        Some(DestinationStats {
            key: served.key,
            forward: branch.forward,
            packets: counts.packets,
            bytes: counts.bytes,
            dropped: counts.dropped,
            rtcp_packets: counts.rtcp_packets,
            reports: counts.reports,
            fraction_lost: reported.fraction_lost.into(),
            lost: reported.lost,
            jitter: reported.jitter.into(),
            round_trip_us: served.state.round_trip_us,
            last_report_ns: now.unix_of(reported.at_ns),
        })
    }
}

fn forward_stats<H>(now: Now, home: &Home<H>) -> ForwardStats {
    let counts = &home.input.counts;
    ForwardStats {
        key: home.spec.key,
        packets: counts.packets,
        bytes: counts.bytes,
        rtcp_packets: counts.rtcp_packets,
        lost: home.input.lost(),
        fraction_lost: home.input.fraction_lost().into(),
        jitter: home.input.jitter().into(),
        ssrc: home.input.admission().source().map_or(0, |source| source.ssrc).into(),
        payload_type: counts.payload_type.into(),
        refused: counts.refused,
        malformed: counts.malformed,
        last_packet_ns: now.unix_of(counts.last_packet_ns),
        source_changes: counts.source_changes,
    }
}
