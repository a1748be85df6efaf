//! What a packet tells about the layers that its stream holds: by the indices of its VP9
//! descriptor, or by a dependency descriptor.

use ringway_wire::dependency::{Frame, MAX_CHAINS, MAX_REFERENCES, Mask, Structure};
use ringway_wire::payload::vp9;

/// Decode targets that routes choose from: four sizes, each at four rates. Of more the first count.
pub const MAX_RUNGS: usize = 16;

/// A chain that does not exist.
const NO_CHAIN: u8 = 7;

/// How much is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Spatial and temporal layer.
    Indices,
    /// For each decode target whether the frame is part of it, and what it needs.
    Targets,
    /// Nothing yet: the structure that its descriptor is of has not come.
    Unknown,
    /// Nothing: its descriptor cannot be read.
    Malformed,
}

/// A decode target: a size, a rate, and the chain that protects it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rung(u8);

impl Rung {
    fn new(spatial: u8, temporal: u8, chain: Option<u8>) -> Self {
        Self((spatial & 3) << 6 | (temporal & 7) << 3 | chain.unwrap_or(NO_CHAIN) & 7)
    }

    /// Its spatial layer.
    pub const fn spatial(self) -> u8 {
        self.0 >> 6
    }

    /// Its temporal layer.
    pub const fn temporal(self) -> u8 {
        self.0 >> 3 & 7
    }

    /// The chain that protects it.
    pub const fn chain(self) -> Option<u8> {
        let chain = self.0 & 7;
        if chain == NO_CHAIN { None } else { Some(chain) }
    }
}

/// What a packet tells about its layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scaled {
    /// How much of the following it is.
    pub told: Told,
    /// Spatial layer.
    pub spatial: u8,
    /// Temporal layer.
    pub temporal: u8,
    /// First packet of its frame: of one spatial layer of one picture.
    pub starts: bool,
    /// Last packet of its frame.
    pub ends: bool,
    /// The frame needs no earlier picture.
    pub independent: bool,
    /// VP9's U bit.
    pub switching_up: bool,
    /// Which structure its targets are of; counts up.
    pub structure: u8,
    /// Targets that the publisher sends, a bit for each.
    pub active: u16,
    /// Targets that the frame is part of.
    pub part_of: u16,
    /// Numbers back to the frame before in each chain; 0 where it begins the chain.
    pub chains: [u8; MAX_CHAINS],
    /// Numbers back to the frames that it needs; 0 where there is none, or one too far back.
    pub references: [u8; MAX_REFERENCES],
    /// Where its descriptor tells active targets.
    pub mask: Mask,
    rungs: [Rung; MAX_RUNGS],
    rung_count: u8,
}

impl Scaled {
    const NOTHING: Self = Self {
        told: Told::Unknown,
        spatial: 0,
        temporal: 0,
        starts: false,
        ends: false,
        independent: false,
        switching_up: false,
        structure: 0,
        active: 0,
        part_of: 0,
        chains: [0; MAX_CHAINS],
        references: [0; MAX_REFERENCES],
        mask: Mask::NONE,
        rungs: [Rung(0); MAX_RUNGS],
        rung_count: 0,
    };

    /// Of a packet that tells nothing, for the reason `told`.
    pub(super) const fn nothing(told: Told) -> Self {
        Self { told, ..Self::NOTHING }
    }

    /// Of a VP9 packet; `None` where its stream has no layers.
    #[inline]
    pub(super) fn of_vp9(descriptor: &vp9::Descriptor) -> Option<Self> {
        let layer = descriptor.layer?;
        Some(Self {
            told: Told::Indices,
            spatial: layer.spatial,
            temporal: layer.temporal,
            starts: descriptor.begins_frame,
            ends: descriptor.ends_frame,
            independent: !descriptor.inter_picture,
            switching_up: layer.switching_up,
            ..Self::NOTHING
        })
    }

    /// Of a packet with a dependency descriptor of `structure`. `None` where there is but one
    /// target, so that nothing can be chosen.
    pub(super) fn of_frame(
        frame: &Frame,
        structure: &Structure,
        generation: u8,
        active: u32,
    ) -> Option<Self> {
        let targets = structure.targets();
        if targets.len() < 2 {
            return None;
        }
        let mut rungs = [Rung::default(); MAX_RUNGS];
        for (rung, target) in rungs.iter_mut().zip(targets) {
            *rung = Rung::new(target.spatial, target.temporal, target.chain);
        }
        Some(Self {
            told: Told::Targets,
            spatial: frame.spatial,
            temporal: frame.temporal,
            starts: frame.starts,
            ends: frame.ends,
            independent: frame.references[0] == 0,
            switching_up: false,
            structure: generation,
            active: active as u16,
            part_of: frame.targets() as u16,
            chains: frame.chains,
            references: frame.references.map(|back| u8::try_from(back).unwrap_or(0)),
            mask: frame.mask,
            rungs,
            rung_count: targets.len().min(MAX_RUNGS) as u8,
        })
    }

    /// The targets, each with its place.
    pub fn rungs(&self) -> impl Iterator<Item = (u8, Rung)> + '_ {
        (0..).zip(self.rungs.iter().copied().take(usize::from(self.rung_count)))
    }

    /// The best target up to those layers.
    pub fn rung(&self, spatial: u8, temporal: u8) -> Option<u8> {
        let up_to =
            |(_, rung): &(u8, Rung)| rung.spatial() <= spatial && rung.temporal() <= temporal;
        let best = |(_, rung): &(u8, Rung)| (rung.spatial(), rung.temporal());
        self.rungs().filter(up_to).max_by_key(best).map(|(at, _)| at)
    }

    /// Whether the frame is part of a target.
    #[inline]
    pub fn is_part_of(&self, rung: u8) -> bool {
        self.part_of >> (rung & 15) & 1 == 1
    }

    /// Whether who gets up to those layers gets the packet.
    pub fn passes(&self, spatial: u8, temporal: u8) -> bool {
        match self.told {
            Told::Indices => self.spatial <= spatial && self.temporal <= temporal,
            Told::Targets => self.rung(spatial, temporal).is_some_and(|rung| self.is_part_of(rung)),
            Told::Unknown => true,
            Told::Malformed => false,
        }
    }

    /// Whether those layers are all that there are.
    pub fn is_all(&self, spatial: u8, temporal: u8) -> bool {
        self.told != Told::Targets || self.rung(spatial, temporal) == self.rung(u8::MAX, u8::MAX)
    }

    /// The active targets that the descriptor tells to who gets up to those layers: with the
    /// `first` packet for which that is so, and with frames that all others build on.
    pub fn told_active(&self, spatial: u8, temporal: u8, first: bool) -> Option<u16> {
        let told = first || self.starts && self.temporal == 0;
        if self.told != Told::Targets || !told || usize::from(self.rung_count) == MAX_RUNGS {
            return None;
        }
        let passes =
            |(_, rung): &(u8, Rung)| rung.spatial() <= spatial && rung.temporal() <= temporal;
        let passing = self.rungs().filter(passes).fold(0, |bits, (at, _)| bits | 1 << at);
        Some(self.active & passing)
    }

    /// Whether the packet ends what who gets up to spatial layer `spatial` gets of its picture.
    #[inline]
    pub fn ends_picture_at(&self, spatial: u8) -> bool {
        self.ends && self.spatial == spatial
    }
}
