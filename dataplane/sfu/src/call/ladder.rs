//! Which frames of a stream with several layers one receiver gets.
//!
//! By dependency descriptors a receiver gets a decode target: the best one up to what it shall have
//! of which it can decode everything. That is so while no frame of the target's chain was left out;
//! a chain begins anew with key frames. A frame that needs another one that was left out is left
//! out too, so that whatever is sent can be decoded. Frames that never came were not left out: they
//! may still come, and if they do not their receiver asks for a key frame.
//!
//! By VP9's indices a receiver gets all layers up to two limits, which rise only where a frame says
//! that nothing before is needed.

use super::prepared::Prepared;
use super::scaled::{Rung, Scaled, Told};

/// Frames that are looked back on, in numbers. References reach farther back only to frames that
/// are kept for long, which are of all targets.
const WINDOW: usize = 256;
const WORDS: usize = WINDOW / 64;

/// Choices of a target that are remembered for packets that come late. Layers change a few times in
/// the time that a packet may be late; with fewer, one that is needed after all is left out.
const CHOICES: usize = 8;

/// What a receiver shall have at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) spatial: u8,
    pub(super) temporal: u8,
}

/// What a receiver gets of such a stream.
#[derive(Clone, Debug, Default)]
pub(super) struct Ladder {
    spatial: u8,
    temporal: u8,
    /// Timestamp of the picture that was judged last.
    picture: Option<u32>,
    /// Behind the last picture the temporal layer may rise.
    open: bool,
    /// The target, where descriptors tell targets.
    rung: Option<u8>,
    /// The last targets, each with the number of the frame from which on, and how many ever.
    choices: [(u16, u8); CHOICES],
    chosen: usize,
    structure: Option<u8>,
    /// The first frame of all. What was left out before it is forgotten.
    first: Option<u16>,
    /// The last key frame: nothing behind it needs anything before.
    key: u16,
    /// Frames that were sent because nothing was known of them: the packet that tells their
    /// structure came late. The first and the last.
    guessed: Option<(u16, u16)>,
    /// The last of them is the last that was judged at all.
    guessing: bool,
    /// Spatial layers that can be decoded from the next picture on, a bit for each.
    ready: u8,
    /// Chains of which a frame was left out.
    broken: u8,
    /// Chains of which one may have been: whether it was is known once a frame tells which is the
    /// chain's last.
    suspect: u8,
    /// The highest number judged, and which frames up to it were left out, it in the lowest bit.
    newest: Option<u16>,
    left_out: [u64; WORDS],
    /// Which of them came.
    came: [u64; WORDS],
}

impl Ladder {
    /// Begins with a key frame's first packet.
    pub(super) fn begin(&mut self, packet: &Prepared, scaled: &Scaled, wanted: Wanted) {
        *self = Self { spatial: u8::MAX, temporal: wanted.temporal, ..Self::default() };
        self.judge(packet, scaled, wanted);
    }

    /// The layers up to which packets pass.
    pub(super) fn limits(&self) -> (u8, u8) {
        (self.spatial, self.temporal)
    }

    /// Whether a spatial layer is sent, or will be from the next picture on.
    pub(super) fn is_ready(&self, spatial: u8) -> bool {
        self.ready >> (spatial & 7) & 1 == 1
    }

    /// Whether the receiver gets a packet that came in order.
    pub(super) fn judge(&mut self, packet: &Prepared, scaled: &Scaled, wanted: Wanted) -> bool {
        match scaled.told {
            Told::Indices => self.judge_indices(packet, scaled, wanted),
            Told::Targets => self.judge_target(packet, scaled, wanted),
            Told::Unknown => {
                self.guess(packet);
                true
            }
            Told::Malformed => false,
        }
    }

    /// Sends a frame of which nothing is known.
    fn guess(&mut self, packet: &Prepared) {
        let Some(number) = packet.frame else { return };
        self.first.get_or_insert(number);
        // From the last one on that was judged: those between may come late.
        let begin = self.newest.map_or(number, |newest| newest.wrapping_add(1));
        let first = self.guessed.filter(|_| self.guessing).map_or(begin, |(first, _)| first);
        self.guessed = Some((first, number));
        self.guessing = true;
    }

    fn judge_indices(&mut self, packet: &Prepared, scaled: &Scaled, wanted: Wanted) -> bool {
        if self.picture.replace(packet.timestamp) != Some(packet.timestamp) {
            if packet.entry {
                (self.spatial, self.temporal) = (wanted.spatial, wanted.temporal);
            }
            self.spatial = self.spatial.min(wanted.spatial);
            // Up only where nothing is missing before: it would be judged by the limits of now.
            let up = self.open && scaled.starts && packet.ahead == 1;
            if up || wanted.temporal < self.temporal {
                self.temporal = wanted.temporal;
            }
            self.open = false;
        } else if scaled.starts
            && scaled.independent
            && scaled.temporal <= self.temporal
            && self.spatial < wanted.spatial
            && scaled.spatial == self.spatial + 1
        {
            // RFC 9628 4.2, P: it needs no earlier picture; the layers below it were sent.
            self.spatial = scaled.spatial;
        }
        self.ready = ((2_u16 << self.spatial.min(7)) - 1) as u8;
        // RFC 9628 4.2, U: "subsequent higher temporal-layer pictures will not depend on any
        // picture before the current picture (in coding order) with temporal-layer ID greater than"
        // its own. So whoever got it may get all that follows, from the next picture on.
        self.open |= scaled.switching_up && scaled.temporal <= self.temporal;
        scaled.passes(self.spatial, self.temporal)
    }

    fn judge_target(&mut self, packet: &Prepared, scaled: &Scaled, wanted: Wanted) -> bool {
        let Some(number) = packet.frame else { return false };
        if self.structure.replace(scaled.structure) != Some(scaled.structure) {
            // Its key frame begins all chains.
            (self.broken, self.suspect) = (0, 0);
            (self.rung, self.picture, self.chosen) = (None, None, 0);
        }
        self.guessing = false;
        self.first.get_or_insert(number);
        let ahead = self.newest.map_or(1, |newest| number.wrapping_sub(newest));
        if !(1..0x8000).contains(&ahead) {
            // Judged already, or a number that came late although its packet did not.
            let part = self.rung.is_some_and(|rung| scaled.is_part_of(rung));
            return self.takes_late(number, scaled, part);
        }
        if scaled.starts && scaled.spatial == 0 && scaled.independent {
            self.key = number;
        }
        self.go_on(number, ahead);
        self.follow_chains(number, scaled);
        if self.picture.replace(packet.timestamp) != Some(packet.timestamp) {
            self.choose(scaled, wanted);
        }
        let takes = self.rung.is_some_and(|rung| scaled.is_part_of(rung));
        let takes = takes && !self.lacks(number, scaled);
        if !takes {
            self.leave_out(number, scaled);
        }
        takes
    }

    /// Learns from the frame `number` which chains are whole.
    fn follow_chains(&mut self, number: u16, scaled: &Scaled) {
        for (chain, back) in scaled.chains.iter().enumerate() {
            let (bit, last) = (1 << chain, number.wrapping_sub((*back).into()));
            if *back == 0 {
                self.broken &= !bit;
                self.suspect &= !bit;
            } else if self.is_left_out(last) || !self.came(last) && self.suspect & bit != 0 {
                // Or its last frame is lost, and the one before may be among those left out.
                self.broken |= bit;
            } else if self.came(last) {
                self.suspect &= !bit;
            }
        }
    }

    /// Whether the receiver gets a packet of the frame `number` that came late, or after the first
    /// of its frame; `part` says that it is part of what is sent.
    fn takes_late(&mut self, number: u16, scaled: &Scaled, part: bool) -> bool {
        let part = part || self.is_guessed(number);
        let takes = part && !self.is_left_out(number) && !self.lacks(number, scaled);
        if !takes {
            self.leave_out(number, scaled);
        } else if let Some((word, bit)) = self.place(number) {
            self.came[word] |= 1 << bit;
        }
        takes
    }

    /// Whether the receiver gets a late packet from a stretch in which layers up to `spatial` and
    /// `temporal` passed.
    pub(super) fn judge_late(
        &mut self,
        packet: &Prepared,
        scaled: &Scaled,
        spatial: u8,
        temporal: u8,
    ) -> bool {
        match (scaled.told, packet.frame) {
            (Told::Targets, Some(number)) => {
                let part = |rung: Option<u8>| rung.is_some_and(|rung| scaled.is_part_of(rung));
                // What was sent since may need it too, though nobody knew that it was missing. Only
                // what its chain has: a target is risen to where nothing else is needed.
                let since = self.knows(number)
                    && self.structure == Some(scaled.structure)
                    && self.chosen_since(number).any(|rung| is_in_chain_of(scaled, rung));
                let part = part(scaled.rung(spatial, temporal)) || since;
                self.takes_late(number, scaled, part)
            }
            _ => scaled.passes(spatial, temporal),
        }
    }

    /// Whether a frame is one that was left out, or needs one.
    pub(super) fn refuses(&self, packet: &Prepared, scaled: &Scaled) -> bool {
        let refuses = |number| self.is_left_out(number) || self.lacks(number, scaled);
        scaled.told == Told::Targets && packet.frame.is_some_and(refuses)
    }

    /// Whether a frame is not older than the first of all.
    fn knows(&self, number: u16) -> bool {
        self.first.is_some_and(|first| number.wrapping_sub(first) < 0x8000)
    }

    /// Whether what surrounds a frame was sent before anybody could judge it.
    fn is_guessed(&self, number: u16) -> bool {
        let within =
            |(first, last): (u16, u16)| number.wrapping_sub(first) <= last.wrapping_sub(first);
        self.guessed.is_some_and(within)
    }

    /// The targets of frames behind `number`.
    fn chosen_since(&self, number: u16) -> impl Iterator<Item = u8> {
        let choices = &self.choices[..self.chosen.min(CHOICES)];
        let is_before = |one: u16, other: u16| one.wrapping_sub(other) >= 0x8000;
        let (key, old) = (self.key, is_before(number, self.key));
        let since = move |(from, _): &&(u16, u8)| {
            !is_before(*from, number) && (!old || is_before(*from, key))
        };
        choices.iter().filter(since).map(|(_, rung)| *rung)
    }

    /// Chooses a target for the picture that begins: the best one up to what is wanted, or while
    /// that would need a key frame the least one beyond it.
    fn choose(&mut self, scaled: &Scaled, wanted: Wanted) {
        self.ready = 0;
        let mut best: Option<((bool, u8, u8), u8, Rung)> = None;
        let now = self.rung.and_then(|now| scaled.rungs().find(|(at, _)| *at == now));
        let chain = now.map(|(_, rung)| rung.chain());
        for (at, rung) in scaled.rungs() {
            if scaled.active >> at & 1 == 0 || rung.temporal() > wanted.temporal {
                continue;
            }
            let whole = match rung.chain() {
                Some(chain) => self.broken >> chain & 1 == 0,
                // Nothing tells when the target can be decoded but a key frame.
                None => scaled.independent && scaled.spatial == 0 || rung.spatial() <= self.spatial,
            };
            if !whole {
                continue;
            }
            self.ready |= 1 << rung.spatial();
            // Pictures between two of the lowest rate may need others that were left out, which the
            // chain, of the lowest rate alone, does not tell.
            let known = chain == Some(rung.chain())
                && rung.spatial() <= self.spatial
                && rung.temporal() <= self.temporal;
            if !known && scaled.temporal > 0 {
                continue;
            }
            let fits = rung.spatial() <= wanted.spatial;
            let size = if fits { rung.spatial() } else { u8::MAX - rung.spatial() };
            let worth = (fits, size, rung.temporal());
            if best.is_none_or(|(most, ..)| worth > most) {
                best = Some((worth, at, rung));
            }
        }
        let before = self.rung;
        self.rung = best.map(|(_, at, _)| at);
        if let Some((_, at, rung)) = best {
            (self.spatial, self.temporal) = (rung.spatial(), rung.temporal());
            if before != Some(at) {
                self.choices[self.chosen % CHOICES] = (self.newest.unwrap_or(0), at);
                self.chosen += 1;
            }
        }
    }

    /// Whether the frame needs one that was left out.
    fn lacks(&self, number: u16, scaled: &Scaled) -> bool {
        let mut back = scaled.references.iter().filter(|back| **back != 0);
        back.any(|back| self.is_left_out(number.wrapping_sub((*back).into())))
    }

    /// Moves the window so that `number`, `ahead` of the newest, is the newest.
    fn go_on(&mut self, number: u16, ahead: u16) {
        self.newest = Some(number);
        shift(&mut self.left_out, ahead);
        shift(&mut self.came, ahead);
        self.came[0] |= 1;
    }

    /// Where a number is in the window.
    fn place(&self, number: u16) -> Option<(usize, u32)> {
        let back = usize::from(self.newest?.wrapping_sub(number));
        (back < WINDOW).then_some((back / 64, back as u32 % 64))
    }

    fn is_left_out(&self, number: u16) -> bool {
        self.place(number).is_some_and(|(word, bit)| self.left_out[word] >> bit & 1 == 1)
    }

    fn came(&self, number: u16) -> bool {
        self.place(number).is_some_and(|(word, bit)| self.came[word] >> bit & 1 == 1)
    }

    fn leave_out(&mut self, number: u16, scaled: &Scaled) {
        if let Some((word, bit)) = self.place(number) {
            self.left_out[word] |= 1 << bit;
        }
        self.suspect |= chains_of(scaled);
    }
}

/// The chains that a frame is in, a bit for each: a chain's own frames are part of all the targets
/// that it protects.
fn chains_of(scaled: &Scaled) -> u8 {
    let (mut touched, mut spared) = (0, 0);
    for (at, rung) in scaled.rungs() {
        let bit = rung.chain().map_or(0, |chain| 1_u8 << chain);
        match scaled.is_part_of(at) {
            true => touched |= bit,
            false => spared |= bit,
        }
    }
    touched & !spared
}

/// Whether a frame is in the chain that protects a target.
fn is_in_chain_of(scaled: &Scaled, target: u8) -> bool {
    let chain = scaled.rungs().find(|(at, _)| *at == target).and_then(|(_, rung)| rung.chain());
    chain.is_some_and(|chain| chains_of(scaled) >> chain & 1 == 1)
}

/// Moves bits up by `by` places.
fn shift(bits: &mut [u64; WORDS], by: u16) {
    let words = usize::from(by / 64).min(WORDS);
    bits.rotate_right(words);
    bits[..words].fill(0);
    let rest = u32::from(by % 64);
    if rest == 0 || words == WORDS {
        return;
    }
    for at in (0..WORDS).rev() {
        let below = if at == 0 { 0 } else { bits[at - 1] >> (64 - rest) };
        bits[at] = bits[at] << rest | below;
    }
}
