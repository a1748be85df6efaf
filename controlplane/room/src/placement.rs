//! Which shard serves what.
//!
//! A forward goes to the least loaded shard. Its destinations stay with it until the shard has its
//! share ([`SHARE`]), then fill the least loaded other shard, and so on: few shards per forward,
//! none of them overlong.
//!
//! A room lives on the least loaded shard, and its participants with it, until there are their
//! share of them ([`ROOM_SHARE`] unless the operator says otherwise) or the shard is
//! [`BUSY_PERMILLE`] busy. Newcomers then go to another one.

/// Destinations of one forward that one shard serves before the next shard gets some.
///
/// Higher: the last receiver of a packet waits longer behind the others (at about 0.6 µs a send,
/// 128 receivers wait 80 µs, half of the 150 µs that p99 may take). Lower: more shards are woken
/// for each packet, and a hand-over costs about as much as a send.
pub const SHARE: u32 = 128;

/// Participants of one room that one shard serves before the next shard gets some.
///
/// Higher: what is said in a large room is sent by fewer cores, and each receiver waits longer
/// behind the others. Lower: more rooms need copies of their packets on several shards.
pub const ROOM_SHARE: u32 = 200;

/// A shard as busy as this takes newcomers only where all others are, too, ‰ of the wall time.
/// Higher: a room that goes on growing has less time to go elsewhere before its shard is late;
/// lower: rooms are torn apart that one shard could serve.
pub const BUSY_PERMILLE: u32 = 600;

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

    pub(crate) fn place(&mut self) {
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

/// Chooses a shard for one more participant of a room that lives on `owner`, and counts it in
/// `loads`. `counts` are the room's participants by shard; both slices are as long as there are
/// shards. With `share` 0 only load counts.
pub fn participant(owner: u16, share: u32, counts: &[u32], loads: &mut [Load]) -> u16 {
    let owner = usize::from(owner);
    let free = |index: usize| loads[index].rank(index).0 < BUSY_PERMILLE;
    let share = if share == 0 { u32::MAX } else { share };
    let shares = |index: usize| counts[index] / share;
    let round = (0..counts.len()).filter(|index| free(*index)).map(shares).min();
    let open = |index: usize| free(index) && Some(shares(index)) == round;
    let begun =
        (0..counts.len()).find(|index| open(*index) && !counts[*index].is_multiple_of(share));
    let chosen = if open(owner) { Some(owner) } else { begun.or_else(|| least(loads, open)) };
    let chosen = chosen.or_else(|| least(loads, |_| true)).unwrap_or(owner);
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
    fn participants_stay_together_while_their_shard_can_take_them() {
        let check = |busy: &[u32], counts: &[u32], newcomers: u32, expect: &[u32]| {
            let (mut loads, mut counts) = (loads(busy), counts.to_vec());
            for _ in 0..newcomers {
                let chosen = participant(0, ROOM_SHARE, &counts, &mut loads);
                counts[usize::from(chosen)] += 1;
            }
            assert_eq!(counts, expect, "{busy:?}");
        };
        check(&[0], &[0], 3000, &[3000]);
        check(&[0, 0], &[0, 0], 200, &[200, 0]);
        check(&[0, 0, 0], &[0, 0, 0], 500, &[200, 200, 100]);
        check(&[0, 300, 100], &[200, 0, 0], 10, &[200, 0, 10]);
        // Each newcomer counts until the next sample tells.
        check(&[595, 0], &[20, 0], 10, &[25, 5]);
        check(&[700, 100, 0], &[20, 3, 0], 10, &[20, 13, 0]);
        // All are busy: the least of them.
        check(&[900, 800], &[20, 0], 10, &[20, 10]);
        check(&[800, 900], &[20, 0], 10, &[30, 0]);
        // Who left makes room again.
        check(&[0, 0], &[150, 200], 60, &[210, 200]);
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
