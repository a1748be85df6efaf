//! Which shard serves what.
//!
//! A forward goes to the least loaded shard. Its destinations stay with it until the shard has its
//! share ([`SHARE`]), then fill the least loaded other shard, and so on: few shards per forward,
//! none of them overlong. A room and all its participants live on one shard.

/// Destinations of one forward that one shard serves before the next shard gets some.
///
/// Higher: the last receiver of a packet waits longer behind the others (at about 0.6 µs a send,
/// 128 receivers wait 80 µs, half of the 150 µs that p99 may take). Lower: more shards are woken
/// for each packet, and a hand-over costs about as much as a send.
pub const SHARE: u32 = 128;

/// How loaded one shard is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// CPU time of the shard's thread in the last sample, ‰ of the wall time.
    pub busy_permille: u32,
    /// Forwards and destinations placed since that sample, not yet to be seen in it.
    pub placed: u32,
    /// Forwards and destinations there in all: decides between idle shards.
    pub total: u32,
}

impl Load {
    fn rank(&self, index: usize) -> (u32, u32, usize) {
        (self.busy_permille.saturating_add(self.placed), self.total, index)
    }

    fn place(&mut self) {
        self.placed = self.placed.saturating_add(1);
        self.total = self.total.saturating_add(1);
    }
}

/// Chooses a shard for a new forward and counts it there. `loads` must not be empty.
pub fn forward(loads: &mut [Load]) -> u16 {
    let least = least(loads, |_| true).unwrap_or(0);
    loads[least].place();
    least as u16
}

/// Chooses a shard for a new room and counts it there. `loads` must not be empty.
pub fn room(loads: &mut [Load]) -> u16 {
    forward(loads)
}

/// Chooses a shard for one more destination of a forward that lives on `owner`, counts it in
/// `loads` and in `counts`, the forward's destinations per shard. Both slices are as long as there
/// are shards.
pub fn destination(owner: u16, counts: &mut [u32], loads: &mut [Load]) -> u16 {
    let owner = usize::from(owner);
    let round = counts.iter().map(|count| count / SHARE).min().unwrap_or(0);
    let open = |index: usize| counts[index] / SHARE == round;
    let begun =
        (0..counts.len()).find(|index| open(*index) && !counts[*index].is_multiple_of(SHARE));
    let chosen = if open(owner) { Some(owner) } else { begun.or_else(|| least(loads, open)) };
    let chosen = chosen.unwrap_or(owner);
    counts[chosen] += 1;
    loads[chosen].place();
    chosen as u16
}

fn least(loads: &[Load], admitted: impl Fn(usize) -> bool) -> Option<usize> {
    (0..loads.len()).filter(|index| admitted(*index)).min_by_key(|index| loads[*index].rank(*index))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loads(busy: &[u32]) -> Vec<Load> {
        busy.iter().map(|b| Load { busy_permille: *b, ..Load::default() }).collect()
    }

    #[test]
    fn forwards_go_where_there_is_room() {
        let check = |busy: &[u32], expect: &[u16]| {
            let mut loads = loads(busy);
            let placed: Vec<u16> = expect.iter().map(|_| forward(&mut loads)).collect();
            assert_eq!(placed, expect, "{busy:?}");
        };
        check(&[0], &[0, 0, 0]);
        check(&[0, 0, 0], &[0, 1, 2, 0]);
        check(&[500, 0], &[1, 1, 1]);
        check(&[2, 0], &[1, 1, 0, 1, 0]);
    }

    #[test]
    fn destinations_fill_share_by_share() {
        let check = |busy: &[u32], owner: u16, count: u32, expect: &[u32]| {
            let (mut loads, mut counts) = (loads(busy), vec![0; busy.len()]);
            (0..count).for_each(|_| {
                destination(owner, &mut counts, &mut loads);
            });
            assert_eq!(counts, expect, "{busy:?} owner {owner} count {count}");
        };
        check(&[0], 0, 1000, &[1000]);
        check(&[0, 0, 0], 1, 128, &[0, 128, 0]);
        check(&[900, 0, 100], 0, 129, &[128, 1, 0]);
        check(&[900, 0, 500], 0, 256 + 1, &[128, 128, 1]);
        check(&[900, 0, 0], 0, 3 * 128 + 1, &[129, 128, 128]);
        check(&[0, 0], 1, 10_000, &[4992, 5008]);
    }

    #[test]
    fn a_gap_left_by_a_removal_is_filled_by_the_owner_first() {
        let mut counts = vec![100, 128, 7];
        let mut loads = loads(&[0, 0, 0]);
        assert_eq!(destination(0, &mut counts, &mut loads), 0);
        counts[0] = 128;
        assert_eq!(destination(0, &mut counts, &mut loads), 2);
    }
}
