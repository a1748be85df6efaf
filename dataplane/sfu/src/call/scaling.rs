//! A stream that holds several layers: its dependency structure, which layers are live, and what
//! each of them takes.

use ringway_wire::dependency::{Frame, Structure, Unread};
use ringway_wire::payload::size::{LAYERS, Size};

use super::MAX_LAYERS;
use super::layer::Rate;
use super::scaled::{Scaled, Told};

/// Frames after which nobody needs to know any more which of two was first. Raised towards half of
/// the number space, what is newer is taken for older.
const NEAR: u16 = 0x1000;

/// The number of a frame that told something, while late packets may be older.
#[derive(Clone, Copy, Debug, Default)]
struct Mark(Option<u16>);

impl Mark {
    /// Whether `number` is not older. Both are near `highest`.
    fn is_before(self, number: u16, highest: u16) -> bool {
        let age = |number: u16| highest.wrapping_add(NEAR).wrapping_sub(number);
        self.0.is_none_or(|at| age(number) <= age(at))
    }

    fn forget_if_old(&mut self, highest: u16) {
        self.0 = self.0.filter(|at| highest.wrapping_add(NEAR).wrapping_sub(*at) < 2 * NEAR);
    }
}

/// Structures that are remembered. Key frames come in bursts where a publisher changes its layers;
/// with fewer, a late packet of before two of them is not understood, and left out though it may be
/// needed.
const KEPT: usize = 3;

/// What is known of such a stream.
#[derive(Clone, Debug)]
pub(super) struct Scaling {
    /// The newest structure, those before, which late packets may be of, and room for the next, at
    /// the places in `order`.
    structures: [Structure; KEPT + 1],
    order: [usize; KEPT + 1],
    known: bool,
    /// Counts structures.
    generation: u8,
    /// The highest number of a frame, and the numbers of those that told the newest structure and
    /// the active targets.
    highest: u16,
    since: Mark,
    active_since: Mark,
    active: u32,
    /// Spatial layers that come, a bit for each.
    live: u8,
    /// More than one came once.
    sized: bool,
    heard_ns: [u64; MAX_LAYERS],
    rates: [Rate; MAX_LAYERS],
}

impl Default for Scaling {
    fn default() -> Self {
        Self {
            structures: Default::default(),
            order: std::array::from_fn(|at| at),
            known: false,
            generation: 0,
            highest: 0,
            since: Mark::default(),
            active_since: Mark::default(),
            active: 0,
            live: 0,
            sized: false,
            heard_ns: [0; MAX_LAYERS],
            rates: [Rate::default(); MAX_LAYERS],
        }
    }
}

impl Scaling {
    /// Takes a dependency descriptor; `ahead` says that its packet is not late. `None` where the
    /// stream has nothing to choose from.
    pub(super) fn read(&mut self, data: &[u8], ahead: bool) -> Option<Scaled> {
        if !Structure::is_in(data) {
            return self.find(data, ahead);
        }
        let room = self.order[KEPT];
        let Ok(frame) = self.structures[room].read(data) else {
            return Some(Scaled::nothing(Told::Malformed));
        };
        self.go_on(frame.number, ahead);
        // A late key frame may be older than the structure that is known.
        let later = !self.known || self.since.is_before(frame.number, self.highest);
        if later {
            self.since = Mark(Some(frame.number));
        }
        self.take_active(&frame);
        let is_room = |at: &usize| self.structures[*at] == self.structures[room];
        let kept = self.order[..KEPT].iter().position(is_room);
        match (kept, later) {
            _ if !self.known => self.begin_structure(),
            (Some(0), _) => {}
            (_, true) => self.begin_structure(),
            (Some(age), false) => return self.scaled(&frame, age),
            // Nobody knows of which of those it was before; most likely of all but the newest.
            (None, false) => {
                self.order[1..].rotate_right(1);
                return self.scaled(&frame, 1);
            }
        }
        self.scaled(&frame, 0)
    }

    /// Makes the structure that was read last the newest.
    fn begin_structure(&mut self) {
        self.order.rotate_right(1);
        self.generation = self.generation.wrapping_add(1);
        self.known = true;
    }

    /// Reads a descriptor of a structure that is known.
    fn find(&mut self, data: &[u8], ahead: bool) -> Option<Scaled> {
        let (frame, age) = match self.look_up(data) {
            Ok(found) => found,
            Err(Unread::Unknown) => return Some(Scaled::nothing(Told::Unknown)),
            Err(Unread::Malformed) => return Some(Scaled::nothing(Told::Malformed)),
        };
        self.go_on(frame.number, ahead);
        if age == 0 {
            self.take_active(&frame);
        }
        self.scaled(&frame, age)
    }

    /// Takes the number of a frame.
    fn go_on(&mut self, number: u16, ahead: bool) {
        if ahead {
            self.highest = number;
            self.since.forget_if_old(number);
            self.active_since.forget_if_old(number);
        }
    }

    /// Takes the active targets that a frame tells, also a late one: nobody tells them again.
    fn take_active(&mut self, frame: &Frame) {
        if let Some(active) = frame.active
            && self.active_since.is_before(frame.number, self.highest)
        {
            self.active = active;
            self.active_since = Mark(Some(frame.number));
        }
    }

    /// Of a frame of the structure that is newest but `age`.
    fn scaled(&self, frame: &Frame, age: usize) -> Option<Scaled> {
        let structure = &self.structures[self.order[age]];
        let generation = self.generation.wrapping_sub(age as u8);
        let active = if age > 0 { u32::MAX } else { self.active };
        Scaled::of_frame(frame, structure, generation, active)
    }

    /// The frame, and how many structures are newer than its own.
    fn look_up(&self, data: &[u8]) -> Result<(Frame, usize), Unread> {
        for (age, at) in self.order[..KEPT].iter().enumerate() {
            match self.structures[*at].frame(data) {
                Err(Unread::Unknown) => {}
                found => return found.map(|frame| (frame, age)),
            }
        }
        Err(Unread::Unknown)
    }

    /// Reads a descriptor once more; it changes nothing.
    pub(super) fn reread(&self, data: &[u8]) -> Option<Scaled> {
        if Structure::is_in(data) {
            let mut own = Structure::default();
            let Ok(frame) = own.read(data) else {
                return Some(Scaled::nothing(Told::Malformed));
            };
            return Scaled::of_frame(&frame, &own, self.generation, u32::MAX);
        }
        match self.look_up(data) {
            Ok((frame, age)) => self.scaled(&frame, age),
            Err(Unread::Unknown) => Some(Scaled::nothing(Told::Unknown)),
            Err(Unread::Malformed) => Some(Scaled::nothing(Told::Malformed)),
        }
    }

    /// How large the pictures of its spatial layers are, the lowest first, where the newest
    /// structure tells that.
    pub(super) fn sizes(&self) -> [Option<Size>; LAYERS] {
        self.newest().map_or([None; LAYERS], Structure::sizes)
    }

    /// The highest spatial layer of the newest structure.
    pub(super) fn highest_spatial(&self) -> u8 {
        self.newest().map_or(0, Structure::highest_spatial)
    }

    fn newest(&self) -> Option<&Structure> {
        self.known.then(|| &self.structures[self.order[0]])
    }

    /// Notes a packet of `bytes` octets; `true` where other spatial layers are live than before.
    pub(super) fn note(&mut self, now_ns: u64, scaled: &Scaled, bytes: usize) -> bool {
        let before = self.live;
        match scaled.told {
            Told::Indices => {
                if let Some(heard_ns) = self.heard_ns.get_mut(usize::from(scaled.spatial)) {
                    *heard_ns = now_ns;
                    self.live |= 1 << scaled.spatial;
                }
            }
            Told::Targets => {
                let active = scaled.rungs().filter(|(at, _)| scaled.active >> at & 1 == 1);
                self.live = active.fold(0, |bits, (_, rung)| bits | 1 << rung.spatial());
                self.live &= (1 << MAX_LAYERS) - 1;
            }
            Told::Unknown | Told::Malformed => return false,
        }
        for (spatial, rate) in (0..).zip(&mut self.rates) {
            if scaled.passes(spatial, u8::MAX) {
                rate.add(now_ns, bytes);
            }
        }
        self.sized |= self.live > 1;
        self.live != before
    }

    /// Notices spatial layers that fell silent without a word; `true` where some did.
    pub(super) fn expire(&mut self, now_ns: u64, silent_ns: u64) -> bool {
        if self.known {
            return false;
        }
        let before = self.live;
        for (spatial, heard_ns) in self.heard_ns.iter().enumerate() {
            if now_ns.saturating_sub(*heard_ns) > silent_ns {
                self.live &= !(1 << spatial);
            }
        }
        self.live != before
    }

    /// Whether it holds several sizes, if perhaps not now.
    pub(super) fn is_sized(&self) -> bool {
        self.sized
    }

    /// Spatial layers that come, a bit for each.
    pub(super) fn live(&self) -> u8 {
        self.live
    }

    /// What who gets up to a spatial layer takes, bits/s; 0 where it does not come.
    pub(super) fn bps(&self, now_ns: u64, spatial: usize) -> u64 {
        let live = self.live >> spatial & 1 == 1;
        self.rates.get(spatial).filter(|_| live).map_or(0, |rate| rate.bps(now_ns))
    }
}
