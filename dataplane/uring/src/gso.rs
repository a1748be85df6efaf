//! Routes that refuse segmented sends.
//!
//! IPsec, a device without checksum offload, or a segment larger than the route's MTU make the
//! kernel refuse a segmented send. Trying it on every run would cost a wasted trip each time, so
//! such routes are remembered for a while and their runs go packet by packet at once.

use crate::address::Target;
use crate::batch::{Run, SocketId};

/// Routes remembered. More than this many refusing routes forget each other and cost one wasted
/// send per run; raising it costs 44 bytes each.
const ROUTES: usize = 1024;

/// Runs sent packet by packet before segments are tried again. Lower wastes a send more often,
/// higher leaves a repaired route slow for longer.
const RETRY_AFTER_RUNS: u32 = 4096;

/// Whether an error can mean that only the segmentation was refused. `EMSGSIZE` is among them:
/// since Linux 6.14 it is what a segment larger than the MTU gives (`EINVAL` before), and a
/// shorter last packet may still pass alone.
pub(crate) fn may_be_refusal(errno: i32) -> bool {
    matches!(errno, libc::EIO | libc::EINVAL | libc::EMSGSIZE)
}

/// The memory: direct-mapped, of fixed size.
pub(crate) struct GsoRefusals {
    routes: Box<[Option<Route>]>,
    known: u32,
}

#[derive(Clone, Copy)]
struct Route {
    socket: SocketId,
    to: Target,
    left: u32,
}

impl GsoRefusals {
    pub(crate) fn new() -> Self {
        Self { routes: vec![None; ROUTES].into(), known: 0 }
    }

    /// Whether this run must go packet by packet. Counts the run.
    pub(crate) fn refuses(&mut self, run: &Run) -> bool {
        if self.known == 0 {
            return false;
        }
        let place = &mut self.routes[place_of(run)];
        let Some(route) = place else { return false };
        if route.socket != run.socket || route.to != run.to {
            return false;
        }
        route.left -= 1;
        if route.left == 0 {
            *place = None;
            self.known -= 1;
        }
        true
    }

    /// Remembers that this run's route refused segments.
    pub(crate) fn remember(&mut self, run: &Run) {
        let route = Route { socket: run.socket, to: run.to, left: RETRY_AFTER_RUNS };
        if self.routes[place_of(run)].replace(route).is_none() {
            self.known += 1;
        }
    }
}

/// FNV-1a over the address, the slot mixed in.
fn place_of(run: &Run) -> usize {
    let mut hash = 0xcbf2_9ce4_8422_2325 ^ u64::from(run.socket.slot());
    for byte in run.to.as_bytes() {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
    (hash >> 32) as usize % ROUTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    fn run(port: u16) -> Run {
        let to = Target::from(SocketAddr::from(([127, 0, 0, 1], port)));
        let socket = SocketId::new(1, 2);
        Run { socket, to, first: 0, end: 1, segment: 9, packets: 2, bytes: 10, tag: 0 }
    }

    #[test]
    fn a_route_is_tried_again_after_a_while() {
        let mut refusals = GsoRefusals::new();
        assert!(!refusals.refuses(&run(1)));
        refusals.remember(&run(1));
        refusals.remember(&run(1));
        assert!(!refusals.refuses(&run(2)), "another destination");
        for _ in 0..RETRY_AFTER_RUNS {
            assert!(refusals.refuses(&run(1)));
        }
        assert!(!refusals.refuses(&run(1)));
        assert_eq!(refusals.known, 0);
    }

    #[test]
    fn more_routes_than_places_stay_within_the_memory() {
        let mut refusals = GsoRefusals::new();
        for port in 0..=u16::MAX {
            refusals.remember(&run(port));
        }
        assert!(refusals.known as usize <= ROUTES);
        assert!(refusals.refuses(&run(u16::MAX)), "the latest is remembered");
    }
}
