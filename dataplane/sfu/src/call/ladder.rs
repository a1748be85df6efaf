//! Which frames of a stream with several layers one receiver gets.
//!
//! By dependency descriptors a receiver gets a decode target: the best one up to what it shall have
//! of which it can decode everything. That is so while no frame of the target's chain was left out;
//! a chain begins anew with key frames. A frame that needs another one that was left out is left
//! out too, so that whatever is sent can be decoded. Frames that never came were not left out: they
//! may still come, and if they do not their receiver asks for a key frame. What comes late is sent
//! where the frames sent since may need it; where it is left out, the chains that it is in are
//! broken after all. A target of which nothing comes any more counts as broken too, so that a key
//! frame is asked for: a lost packet may have told that it ended.
//!
//! By VP9's indices a receiver gets all layers up to two limits, which rise only where a frame says
//! that nothing before is needed.

use ringway_wire::dependency::MAX_CHAINS;

use super::frames::{Fate, Frames};
use super::prepared::Prepared;
use super::scaled::{Rung, Scaled, Told};

/// Choices of a target that are remembered for packets that come late. Layers change a few times in
/// the time that a packet may be late; with fewer, one that is needed after all is left out.
const CHOICES: usize = 8;

/// Pictures of which a target may lack everything, one after the other, until it is taken for one
/// that does not come: whoever told so was lost. Twice the pictures of the longest pattern of
/// rates. Raised, receivers look at a still picture for longer; lowered, a burst of loss costs a
/// key frame.
const MOST_BARREN: u8 = 16;

/// What a receiver shall have at most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) spatial: u8,
    pub(super) temporal: u8,
}

/// A target that was chosen.
#[derive(Clone, Copy, Debug, Default)]
struct Choice {
    /// The number of the frame from which on.
    from: u16,
    rung: u8,
    /// The structure that it is of.
    structure: u8,
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
    /// The last choices, and how many ever.
    choices: [Choice; CHOICES],
    chosen: usize,
    structure: Option<u8>,
    /// The first frame of all. What was left out before it is forgotten.
    first: Option<u16>,
    /// The last key frame: nothing behind it needs anything before.
    key: Option<u16>,
    /// Frames that were sent because nothing was known of them: the packet that tells their
    /// structure came late. The first and the last.
    guessed: Option<(u16, u16)>,
    /// The last of them is the last that was judged at all.
    guessing: bool,
    /// Pictures that began since a packet was sent.
    barren: u8,
    /// Spatial layers that can be decoded from the next picture on, a bit for each.
    ready: u8,
    /// Chains of which a frame was left out.
    broken: u8,
    /// Chains of which one may have been: whether it was is known once a frame tells which is the
    /// chain's last.
    suspect: u8,
    /// The last frame that began each chain.
    begun: [Option<u16>; MAX_CHAINS],
    frames: Frames,
}

impl Ladder {
    /// Begins with a key frame's first packet; `goes_on` says that its stream is the one of before.
    pub(super) fn begin(
        &mut self,
        packet: &Prepared,
        scaled: &Scaled,
        wanted: Wanted,
        goes_on: bool,
    ) {
        // Packets of frames before it may still come, unless their numbers came round meanwhile.
        if !goes_on || packet.frame.is_none_or(|number| !self.frames.is_newer(number)) {
            *self = Self::default();
        }
        (self.spatial, self.temporal) = (u8::MAX, wanted.temporal);
        (self.open, self.guessing, self.ready, self.barren) = (false, false, 0, 0);
        self.begin_chains();
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
            Told::Unknown => self.guess(packet),
            Told::Malformed => false,
        }
    }

    /// Sends a frame of which nothing is known, unless it was left out when something was.
    fn guess(&mut self, packet: &Prepared) -> bool {
        let Some(number) = packet.frame else { return true };
        // From the last one on that was judged: those between may come late.
        let begin = self.frames.newest().map_or(number, |newest| newest.wrapping_add(1));
        if self.frames.advance(number) {
            self.first.get_or_insert(number);
            let first = self.guessed.filter(|_| self.guessing).map_or(begin, |(first, _)| first);
            self.guessed = Some((first, number));
            self.guessing = true;
            self.frames.send(number);
        }
        self.frames.fate(number) != Fate::LeftOut
    }

    /// Whether the receiver gets a late packet of a frame of which nothing is known: it does where
    /// its neighbours were sent unknown too.
    fn guess_late(&mut self, number: u16) -> bool {
        match (self.frames.fate(number), self.is_guessed(number)) {
            (Fate::Unknown, true) => self.frames.send(number),
            (Fate::Unknown, false) => self.frames.leave_out(number),
            _ => {}
        }
        self.frames.fate(number) == Fate::Sent
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
        self.follow_structure(scaled);
        self.first.get_or_insert(number);
        let part = |rung: Option<u8>| rung.is_some_and(|rung| scaled.is_part_of(rung));
        if !self.frames.advance(number) {
            // Judged already, or a number that came late although its packet did not.
            return self.takes_late(number, scaled, part(self.rung));
        }
        self.guessing = false;
        if is_key(scaled) {
            self.key = Some(number);
        }
        self.follow_chains(number, scaled);
        if self.picture.replace(packet.timestamp) != Some(packet.timestamp) {
            self.choose(scaled, wanted);
        }
        if !part(self.rung) || self.lacks(number, scaled) {
            self.frames.leave_out(number);
            self.suspect |= chains_of(scaled);
            return false;
        }
        self.barren = 0;
        self.frames.send(number);
        true
    }

    /// Begins anew where another structure than before is told.
    fn follow_structure(&mut self, scaled: &Scaled) {
        let newer = |known| (1..0x80).contains(&scaled.structure.wrapping_sub(known));
        if self.structure.is_none_or(newer) {
            self.begin_chains();
            self.structure = Some(scaled.structure);
        }
    }

    /// A key frame begins all chains.
    fn begin_chains(&mut self) {
        (self.broken, self.suspect, self.begun) = (0, 0, [None; MAX_CHAINS]);
        (self.rung, self.picture) = (None, None);
    }

    /// Learns from the frame `number`, the newest, which chains are whole.
    fn follow_chains(&mut self, number: u16, scaled: &Scaled) {
        for (chain, back) in scaled.chains.iter().enumerate() {
            let bit = 1 << chain;
            let last = self.frames.fate(number.wrapping_sub((*back).into()));
            match last {
                _ if *back == 0 => {
                    self.broken &= !bit;
                    self.suspect &= !bit;
                    self.begun[chain] = Some(number);
                }
                Fate::Sent => self.suspect &= !bit,
                Fate::LeftOut => self.broken |= bit,
                // Its last frame is lost, and the one before may be among those left out.
                Fate::Unknown => self.broken |= self.suspect & bit,
            }
        }
    }

    /// Whether the receiver gets a packet of the frame `number` that came late, or after the first
    /// of its frame; `part` says that it is part of what is sent.
    fn takes_late(&mut self, number: u16, scaled: &Scaled, part: bool) -> bool {
        match self.frames.fate(number) {
            Fate::Sent => return true,
            Fate::LeftOut => return false,
            Fate::Unknown => {}
        }
        if !part && !self.is_guessed(number) || self.lacks(number, scaled) {
            self.leave_out_late(number, scaled);
            return false;
        }
        let age = self.frames.age(number);
        if is_key(scaled) && self.key.is_none_or(|key| age < self.frames.age(key)) {
            self.key = Some(number);
        }
        self.barren = 0;
        self.frames.send(number);
        true
    }

    /// Leaves out a frame that came late. What came of its chains since did not know that it would
    /// be: they are broken, unless they began anew behind it.
    fn leave_out_late(&mut self, number: u16, scaled: &Scaled) {
        self.frames.leave_out(number);
        if self.structure != Some(scaled.structure) {
            return;
        }
        let age = self.frames.age(number);
        for (chain, begun) in self.begun.iter().enumerate() {
            if begun.is_none_or(|begun| age < self.frames.age(begun)) {
                self.broken |= chains_of(scaled) & 1 << chain;
            }
        }
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
                self.follow_structure(scaled);
                let part = |rung: Option<u8>| rung.is_some_and(|rung| scaled.is_part_of(rung));
                // What was sent since may need it too, though nobody knew that it was missing. Only
                // what its chain has: a target is risen to where nothing else is needed.
                let since = self.knows(number)
                    && self.chosen_since(number, scaled).any(|rung| is_in_chain_of(scaled, rung));
                let part = part(scaled.rung(spatial, temporal)) || since;
                self.takes_late(number, scaled, part)
            }
            (Told::Unknown, Some(number)) => self.guess_late(number),
            _ => scaled.passes(spatial, temporal),
        }
    }

    /// Whether the receiver gets a packet again that comes from the history: as it did the first
    /// time. `None` where nobody remembers.
    pub(super) fn judge_again(&self, packet: &Prepared, scaled: &Scaled) -> Option<bool> {
        let number = packet.frame?;
        match (scaled.told, self.frames.fate(number)) {
            (Told::Indices | Told::Malformed, _) => None,
            (_, Fate::Sent) => Some(true),
            (_, Fate::LeftOut) => Some(false),
            (_, Fate::Unknown) => self.lacks(number, scaled).then_some(false),
        }
    }

    /// Whether a frame is not older than the first of all.
    fn knows(&self, number: u16) -> bool {
        self.first.is_some_and(|first| self.frames.age(number) <= self.frames.age(first))
    }

    /// Whether what surrounds a frame was sent before anybody could judge it.
    fn is_guessed(&self, number: u16) -> bool {
        let within =
            |(first, last): (u16, u16)| number.wrapping_sub(first) <= last.wrapping_sub(first);
        self.guessed.is_some_and(within)
    }

    /// The targets of frames behind `number`, of its structure, but not of those behind a key frame
    /// after it.
    fn chosen_since(&self, number: u16, scaled: &Scaled) -> impl Iterator<Item = u8> {
        let (age, structure) = (self.frames.age(number), scaled.structure);
        let key = self.key.map(|key| self.frames.age(key)).filter(|key| *key < age);
        let choices = &self.choices[..self.chosen.min(CHOICES)];
        let since = move |choice: &&Choice| {
            let from = self.frames.age(choice.from);
            choice.structure == structure && from <= age && key.is_none_or(|key| from > key)
        };
        choices.iter().filter(since).map(|choice| choice.rung)
    }

    /// Chooses a target for the picture that begins: the best one up to what is wanted, or while
    /// that would need a key frame the least one beyond it.
    fn choose(&mut self, scaled: &Scaled, wanted: Wanted) {
        self.ready = 0;
        let mut best: Option<((bool, u8, u8), u8, Rung)> = None;
        let now = self.rung.and_then(|now| scaled.rungs().find(|(at, _)| *at == now));
        let chain = now.map(|(_, rung)| rung.chain());
        self.barren = if now.is_some() { self.barren.saturating_add(1) } else { 0 };
        if self.barren > MOST_BARREN {
            self.broken |= chain.flatten().map_or(0, |chain| 1 << chain);
            self.barren = 0;
        }
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
                let from = self.frames.newest().unwrap_or(0);
                let structure = scaled.structure;
                self.choices[self.chosen % CHOICES] = Choice { from, rung: at, structure };
                self.chosen += 1;
            }
        }
    }

    /// Whether the frame needs one that was left out.
    fn lacks(&self, number: u16, scaled: &Scaled) -> bool {
        let mut back = scaled.references.iter().filter(|back| **back != 0);
        back.any(|back| self.frames.fate(number.wrapping_sub((*back).into())) == Fate::LeftOut)
    }
}

/// Whether a frame is a key frame's lowest layer.
fn is_key(scaled: &Scaled) -> bool {
    scaled.spatial == 0 && scaled.independent
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
