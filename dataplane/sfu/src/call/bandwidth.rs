//! Which layers of which tracks fit one subscriber's path: a simple safe cap.
//!
//! Everything wanted is sent until the receiver's reports say that the path is too narrow. Then
//! layers go down at once, fairly, and come up one at a time after a pause that doubles with every
//! attempt that failed. Nothing is ever paused for want of bandwidth: the lowest layer always
//! passes. The full estimator and allocator replace this file.

use super::MAX_LAYERS;

/// Tracks of one subscriber that are weighed, at most.
pub const MAX_DEMANDS: usize = 64;

/// What is sent may exceed the cap by so much, in per cent, before anything goes down: estimates
/// and bitrates both waver.
const SLACK_PERCENT: u64 = 5;

/// How long what is sent must exceed the cap. Raised, queues grow longer; lowered, one odd report
/// changes layers.
const CONGESTED_NS: u64 = 1_000_000_000;

/// How long after a change the next attempt to go up waits, at first and at most.
const FIRST_PAUSE_NS: u64 = 3_000_000_000;
const LONGEST_PAUSE_NS: u64 = 120_000_000_000;

/// An attempt that lasted so long was a success.
const PROVEN_NS: u64 = 10_000_000_000;

/// What one track would take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// Bitrate of each layer, lowest first, bits/s; 0 for one that is not live.
    pub layer_bps: [u64; MAX_LAYERS],
    /// Highest layer that its subscriber wants.
    pub wanted: u8,
    /// Screens give way last.
    pub screen: bool,
}

impl Demand {
    /// What sending up to `layer` takes: the bitrate of the best live layer up to it.
    fn bps(&self, layer: u8) -> u64 {
        let up_to = self.layer_bps.iter().take(usize::from(layer.min(self.wanted)) + 1);
        up_to.rev().copied().find(|&bps| bps > 0).unwrap_or(0)
    }

    /// How many layers below the best live one that is wanted `layer` is.
    pub fn lacking(&self, layer: u8) -> u8 {
        let mut wanted = self.layer_bps.iter().take(usize::from(self.wanted) + 1);
        let best = wanted.rposition(|&bps| bps > 0).unwrap_or(0);
        (best as u8).saturating_sub(layer)
    }
}

/// The bandwidth of one subscriber.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bandwidth {
    /// What may be taken, bits/s; `None` while nothing limits.
    budget_bps: Option<u64>,
    congested_since_ns: Option<u64>,
    changed_ns: u64,
    pause_ns: u64,
    /// The last change was an attempt to go up that is not proven.
    trying: bool,
}

impl Bandwidth {
    /// Weighs `demands`, at most [`MAX_DEMANDS`], against what the receiver's reports allow, `None`
    /// where they allow everything. Writes the highest affordable layer of each into `layers`, of
    /// the same length. To be called about once a second.
    pub fn weigh(
        &mut self,
        now_ns: u64,
        cap_bps: Option<u64>,
        demands: &[Demand],
        layers: &mut [u8],
    ) {
        let demands = &demands[..demands.len().min(MAX_DEMANDS).min(layers.len())];
        layers.fill(u8::MAX);
        let taken = share(demands, self.budget_bps, layers);
        let limit = cap_bps.map(|cap| cap + cap * SLACK_PERCENT / 100);
        if limit.is_none_or(|limit| taken <= limit) {
            self.congested_since_ns = None;
            self.go_up(now_ns, taken, limit, demands);
        } else {
            let since_ns = *self.congested_since_ns.get_or_insert(now_ns);
            // An attempt that fails is taken back at once.
            if now_ns.saturating_sub(since_ns) >= CONGESTED_NS || self.trying {
                self.go_down(now_ns, cap_bps);
            }
        }
        layers.fill(u8::MAX);
        share(demands, self.budget_bps, layers);
    }

    /// What may be taken, bits/s; `None` while nothing limits.
    pub fn budget_bps(&self) -> Option<u64> {
        self.budget_bps
    }

    fn go_down(&mut self, now_ns: u64, cap_bps: Option<u64>) {
        let failed = self.trying && now_ns.saturating_sub(self.changed_ns) < PROVEN_NS;
        self.pause_ns = match self.pause_ns {
            0 => FIRST_PAUSE_NS,
            pause if failed => (pause * 2).min(LONGEST_PAUSE_NS),
            _ => FIRST_PAUSE_NS,
        };
        self.budget_bps = cap_bps;
        self.changed_ns = now_ns;
        self.congested_since_ns = None;
        self.trying = false;
    }

    fn go_up(&mut self, now_ns: u64, taken: u64, limit: Option<u64>, demands: &[Demand]) {
        let Some(budget) = self.budget_bps else { return };
        if now_ns.saturating_sub(self.changed_ns) < self.pause_ns {
            return;
        }
        let Some(step) = cheapest_step(demands, budget) else {
            // Everything wanted fits.
            self.budget_bps = None;
            self.trying = false;
            return;
        };
        if limit.is_some_and(|limit| taken + step > limit) {
            // It is known to fail.
            return;
        }
        self.budget_bps = Some(taken + step);
        self.changed_ns = now_ns;
        self.trying = true;
    }
}

/// Gives each track the highest layer that fits `budget_bps`: all get their lowest, then each in
/// turn one more, screens first. Gives what that takes.
fn share(demands: &[Demand], budget_bps: Option<u64>, layers: &mut [u8]) -> u64 {
    let all: u64 = demands.iter().map(|demand| demand.bps(u8::MAX)).sum();
    let Some(budget) = budget_bps.filter(|&budget| all > budget) else { return all };
    let mut taken: u64 = demands.iter().map(|demand| demand.bps(0)).sum();
    layers[..demands.len()].fill(0);
    for layer in 1..MAX_LAYERS as u8 {
        for screen in [true, false] {
            let turn = demands.iter().zip(layers.iter_mut());
            for (demand, has) in turn.filter(|(demand, _)| demand.screen == screen) {
                let more = demand.bps(layer).saturating_sub(demand.bps(*has));
                if *has + 1 == layer && taken + more <= budget {
                    *has = layer;
                    taken += more;
                }
            }
        }
    }
    taken
}

/// What the cheapest layer takes that does not fit `budget`; `None` where all fit.
fn cheapest_step(demands: &[Demand], budget: u64) -> Option<u64> {
    let mut layers = [0; MAX_DEMANDS];
    let all: u64 = demands.iter().map(|demand| demand.bps(u8::MAX)).sum();
    if all <= budget {
        return None;
    }
    share(demands, Some(budget), &mut layers);
    let next = |(demand, &has): (&Demand, &u8)| {
        let more = demand.bps(has + 1).saturating_sub(demand.bps(has));
        (has < demand.wanted && more > 0).then_some(more)
    };
    demands.iter().zip(&layers).filter_map(next).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn camera() -> Demand {
        Demand { layer_bps: [150_000, 500_000, 1_500_000], wanted: 2, screen: false }
    }

    /// Weighs one camera and one screen once a second: caps in, affordable layers out.
    fn check(rows: &[(u64, Option<u64>, [u8; 2])]) {
        let demands = [camera(), Demand { screen: true, ..camera() }];
        let mut bandwidth = Bandwidth::default();
        for &(second, cap, expect) in rows {
            let mut layers = [9; 2];
            bandwidth.weigh(second * S, cap, &demands, &mut layers);
            assert_eq!(layers, expect, "at {second} s with {cap:?}");
        }
    }

    #[test]
    fn layers_follow_the_cap() {
        const ALL: [u8; 2] = [u8::MAX; 2];
        // No cap, or one that is wide enough.
        check(&[(1, None, ALL), (2, Some(3_000_000), ALL), (9, Some(2_900_000), ALL)]);
        // Too narrow for a second: down, the screen last. Then up, one step at a time.
        check(&[
            (1, Some(2_200_000), ALL),
            (2, Some(2_200_000), [1, 2]),
            (4, Some(3_500_000), [1, 2]),
            (5, Some(3_500_000), [u8::MAX; 2]),
            (8, Some(3_500_000), ALL),
        ]);
        // One odd report changes nothing.
        check(&[(1, Some(200_000), ALL), (2, Some(9_000_000), ALL), (3, Some(200_000), ALL)]);
        // Nothing is paused.
        check(&[(1, Some(1), ALL), (2, Some(1), [0, 0]), (60, Some(1), [0, 0])]);
    }

    #[test]
    fn failed_attempts_grow_rarer() {
        let demands = [camera()];
        let mut bandwidth = Bandwidth::default();
        let mut layers = [0];
        let mut changes = Vec::new();
        let mut before = u8::MAX;
        for second in 1..200 {
            // The path carries 1 Mbit/s, which shows only while more is sent.
            let cap = (before == u8::MAX).then_some(1_000_000);
            bandwidth.weigh(second * S, cap, &demands, &mut layers);
            let now = layers[0];
            if now != before {
                changes.push(second);
            }
            before = now;
        }
        let pauses: Vec<u64> = changes.chunks(2).map(|pair| pair[0]).collect();
        let gaps: Vec<u64> = pauses.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.is_sorted() && gaps.len() >= 3, "{changes:?}");
        assert!(changes.len() < 16, "{changes:?}");
    }

    #[test]
    fn layers_that_are_not_live_cost_nothing() {
        let low = Demand { layer_bps: [150_000, 0, 0], wanted: 2, screen: false };
        assert_eq!((low.bps(0), low.bps(2)), (150_000, 150_000));
        assert_eq!((low.lacking(0), camera().lacking(0), camera().lacking(1)), (0, 2, 1));
        assert_eq!(camera().lacking(u8::MAX), 0);
        let modest = Demand { wanted: 1, ..camera() };
        assert_eq!(modest.lacking(0), 1);
        assert_eq!(modest.bps(u8::MAX), 500_000);
        let mut layers = [0; 2];
        assert_eq!(share(&[low, modest], Some(650_000), &mut layers), 650_000);
        let mut bandwidth = Bandwidth::default();
        bandwidth.weigh(S, Some(1), &[low; 100], &mut [0; 3]);
        bandwidth.weigh(3 * S, Some(1), &[low; 100], &mut [0; 100]);
        bandwidth.weigh(9 * S, Some(1), &[], &mut []);
    }
}
