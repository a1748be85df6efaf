//! A stream that holds several layers: its dependency structure, which layers are live, and what
//! each of them takes.

use ringway_wire::dependency::{Structure, Unread};

use super::MAX_LAYERS;
use super::layer::Rate;
use super::scaled::{Scaled, Told};

/// What is known of such a stream.
#[derive(Clone, Debug)]
pub(super) struct Scaling {
    /// The newest structure and the one before, which late packets may be of.
    structures: [Structure; 2],
    newest: usize,
    known: bool,
    /// Counts structures.
    generation: u8,
    /// Number of the frame that brought the newest.
    since: u16,
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
            structures: [Structure::default(), Structure::default()],
            newest: 0,
            known: false,
            generation: 0,
            since: 0,
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
        let spare = 1 - self.newest;
        let Ok(frame) = self.structures[spare].read(data) else {
            return Some(Scaled::nothing(Told::Malformed));
        };
        let same = self.known && self.structures[spare] == self.structures[self.newest];
        // A late key frame may be older than the structure that is known.
        let later = !self.known || ahead || frame.number.wrapping_sub(self.since) < 0x8000;
        if later && !same {
            self.newest = spare;
            self.generation = self.generation.wrapping_add(1);
            self.known = true;
        }
        if later {
            self.since = frame.number;
            self.active = frame.active.unwrap_or(self.active);
        }
        let generation = self.generation.wrapping_sub(u8::from(!later && !same));
        Scaled::of_frame(&frame, &self.structures[spare], generation, self.active)
    }

    /// Reads a descriptor of a structure that is known.
    fn find(&mut self, data: &[u8], ahead: bool) -> Option<Scaled> {
        let (frame, old) = match self.look_up(data) {
            Ok(found) => found,
            Err(Unread::Unknown) => return Some(Scaled::nothing(Told::Unknown)),
            Err(Unread::Malformed) => return Some(Scaled::nothing(Told::Malformed)),
        };
        if ahead && !old {
            self.active = frame.active.unwrap_or(self.active);
        }
        self.scaled(&frame, old)
    }

    fn scaled(&self, frame: &ringway_wire::dependency::Frame, old: bool) -> Option<Scaled> {
        let structure = &self.structures[self.newest ^ usize::from(old)];
        let generation = self.generation.wrapping_sub(u8::from(old));
        let active = if old { u32::MAX } else { self.active };
        Scaled::of_frame(frame, structure, generation, active)
    }

    /// The frame, and whether it is of the structure before the newest.
    fn look_up(&self, data: &[u8]) -> Result<(ringway_wire::dependency::Frame, bool), Unread> {
        match self.structures[self.newest].frame(data) {
            Err(Unread::Unknown) => {
                self.structures[1 - self.newest].frame(data).map(|frame| (frame, true))
            }
            found => found.map(|frame| (frame, false)),
        }
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
            Ok((frame, old)) => self.scaled(&frame, old),
            Err(Unread::Unknown) => Some(Scaled::nothing(Told::Unknown)),
            Err(Unread::Malformed) => Some(Scaled::nothing(Told::Malformed)),
        }
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
