//! The dependency descriptor (AV1 RTP payload specification, appendix A): which frames a decoder
//! needs for which size and frame rate, told in the clear and for any codec.
//!
//! A [`Structure`] comes with key frames: templates of frames, and decode targets, each a size and
//! a rate that a receiver may choose. Every packet then names a template, and says what is special
//! about its frame. Everything has a fixed bound; what exceeds it is malformed.

use crate::bits::Bits;
use crate::extension_value::DependencyDescriptor;
use crate::payload::size::{self, LAYERS, Size};

/// Templates of a structure (A.8.3: an id has six bits).
pub const MAX_TEMPLATES: usize = 64;
/// Decode targets (A.8.3: `dt_cnt_minus_one` has five bits).
pub const MAX_TARGETS: usize = 32;
/// Chains that are kept; of more only their place in the descriptor is read. A chain protects one
/// spatial layer, of which AV1 has four.
pub const MAX_CHAINS: usize = 4;
/// Frames that one may refer to. AV1 and VP9 hold eight.
pub const MAX_REFERENCES: usize = 8;

const STRUCTURE: u8 = 0x80;

/// What a frame is to a decode target (A.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Indication {
    /// No part of it.
    Absent,
    /// Part of it; no other frame of it needs this one.
    Discardable,
    /// Part of it, and what follows needs nothing before it that is not in its chain.
    Switch,
    /// Part of it.
    Required,
}

/// Why a descriptor says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// It is cut, exceeds a bound or contradicts itself.
    Malformed,
    /// It is of another structure than this one.
    Unknown,
}

/// A template: what most of its frames have in common.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Template {
    spatial: u8,
    temporal: u8,
    /// Two bits for each target, the first in the lowest.
    indications: u64,
    chains: [u8; MAX_CHAINS],
    references: [u16; MAX_REFERENCES],
}

/// A decode target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// Its highest spatial layer, 0–3.
    pub spatial: u8,
    /// Its highest temporal layer, 0–7.
    pub temporal: u8,
    /// The chain that protects it, where there is one that is kept.
    pub chain: Option<u8>,
}

/// Templates and targets of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Structure {
    offset: u8,
    template_count: u8,
    target_count: u8,
    chain_count: u8,
    templates: [Template; MAX_TEMPLATES],
    targets: [Target; MAX_TARGETS],
    /// Of the spatial layers, the lowest first. Of more only their place is read.
    sizes: [Option<Size>; LAYERS],
}

/// What is told of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// First packet of the frame.
    pub starts: bool,
    /// Last packet of the frame.
    pub ends: bool,
    /// Its number; wraps.
    pub number: u16,
    /// Spatial layer.
    pub spatial: u8,
    /// Temporal layer.
    pub temporal: u8,
    /// How many numbers before it the frame before in each chain is; 0 where it begins the chain.
    pub chains: [u8; MAX_CHAINS],
    /// How many numbers before it the frames are that it needs; 0 ends the list.
    pub references: [u16; MAX_REFERENCES],
    /// The targets that the publisher sends from now on, a bit for each, where it says so.
    pub active: Option<u32>,
    /// The descriptor brings a structure: a decoder can begin here.
    pub brings_structure: bool,
    /// Where the descriptor tells active targets.
    pub mask: Mask,
    indications: u64,
}

/// Where a descriptor tells which targets are active, or would do so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mask {
    /// Bits before it.
    at: u16,
    /// Bits that it takes, where it is there.
    bits: u8,
    /// It is there.
    present: bool,
}

impl Mask {
    /// Nowhere.
    pub const NONE: Self = Self { at: 0, bits: 0, present: false };

    /// Octets by which a descriptor may grow when a mask is put into it.
    pub const MAX_GROWTH: usize = 5;

    /// Writes the descriptor `data` with `active` as its active targets; gives its octets, `None`
    /// where `out` is too short.
    pub fn write(self, data: &[u8], active: u32, out: &mut [u8]) -> Option<usize> {
        let mandatory = data.get(..DependencyDescriptor::MANDATORY_BYTES)?;
        let mut to = BitWriter { out, at: 0 };
        for octet in mandatory {
            to.put(8, (*octet).into())?;
        }
        let mut from = behind_mandatory(data);
        let flags = from.take(5).unwrap_or(0);
        to.put(5, flags | 8)?;
        to.copy(&mut from, usize::from(self.at))?;
        to.put(self.bits.into(), active)?;
        if self.present {
            from.take(self.bits.into())?;
        }
        to.copy(&mut from, 8 * data.len())?;
        Some(to.at.div_ceil(8))
    }
}

impl Frame {
    /// What the frame is to `target`.
    pub const fn indication(&self, target: u8) -> Indication {
        match self.indications >> (2 * (target as u32 & 31)) & 3 {
            0 => Indication::Absent,
            1 => Indication::Discardable,
            2 => Indication::Switch,
            _ => Indication::Required,
        }
    }

    /// The targets that the frame is part of, a bit for each.
    pub fn targets(&self) -> u32 {
        let part = |bits: u32, target: u8| {
            bits | u32::from(self.indication(target) != Indication::Absent) << target
        };
        (0..MAX_TARGETS as u8).fold(0, part)
    }
}

impl Default for Structure {
    fn default() -> Self {
        Self {
            offset: 0,
            template_count: 0,
            target_count: 0,
            chain_count: 0,
            templates: [Template::default(); MAX_TEMPLATES],
            targets: [Target::default(); MAX_TARGETS],
            sizes: [None; LAYERS],
        }
    }
}

impl Structure {
    /// Whether a descriptor brings a structure.
    #[inline]
    pub fn is_in(data: &[u8]) -> bool {
        data.get(DependencyDescriptor::MANDATORY_BYTES).is_some_and(|octet| octet & STRUCTURE != 0)
    }

    /// Takes the structure that `data` brings, and its frame. After a failure it knows nothing.
    pub fn read(&mut self, data: &[u8]) -> Result<Frame, Unread> {
        let found = self.take(data);
        if found.is_none() {
            self.template_count = 0;
        }
        found.ok_or(Unread::Malformed)
    }

    fn take(&mut self, data: &[u8]) -> Option<Frame> {
        let fields = DependencyDescriptor::read(data)?;
        let mut bits = behind_mandatory(data);
        let flags = Flags::read(&mut bits)?;
        if !flags.structure {
            return None;
        }
        self.read_structure(&mut bits)?;
        self.frame_of(fields, &flags, &mut bits).ok()
    }

    /// Reads the descriptor of a packet that brings no structure, or one that is known already.
    pub fn frame(&self, data: &[u8]) -> Result<Frame, Unread> {
        let fields = DependencyDescriptor::read(data).ok_or(Unread::Malformed)?;
        if data.len() == DependencyDescriptor::MANDATORY_BYTES {
            return self.frame_of(fields, &Flags::default(), &mut behind_mandatory(data));
        }
        let mut bits = behind_mandatory(data);
        let flags = Flags::read(&mut bits).ok_or(Unread::Malformed)?;
        if flags.structure {
            return Err(Unread::Unknown);
        }
        self.frame_of(fields, &flags, &mut bits)
    }

    /// The targets.
    pub fn targets(&self) -> &[Target] {
        let count = if self.template_count == 0 { 0 } else { self.target_count };
        &self.targets[..usize::from(count)]
    }

    /// The highest spatial layer of a target.
    pub fn highest_spatial(&self) -> u8 {
        self.targets().iter().map(|target| target.spatial).max().unwrap_or(0)
    }

    /// How large the pictures of the spatial layers are, the lowest first, where it tells that.
    pub fn sizes(&self) -> [Option<Size>; LAYERS] {
        if self.template_count == 0 { [None; LAYERS] } else { self.sizes }
    }

    /// A bit for each target.
    pub fn all_targets(&self) -> u32 {
        self.targets().iter().enumerate().fold(0, |bits, (at, _)| bits | 1 << at)
    }

    /// A.8.3, `template_dependency_structure`.
    fn read_structure(&mut self, bits: &mut Bits<'_>) -> Option<()> {
        *self = Self::default();
        self.offset = bits.take(6)? as u8;
        self.target_count = bits.take(5)? as u8 + 1;
        let highest_spatial = self.read_layers(bits)?;
        let count = usize::from(self.template_count);
        let target_count = u32::from(self.target_count);
        for template in &mut self.templates[..count] {
            for target in 0..target_count {
                template.indications |= u64::from(bits.take(2)?) << (2 * target);
            }
        }
        for template in &mut self.templates[..count] {
            let mut at = 0;
            while bits.take(1)? == 1 {
                *template.references.get_mut(at)? = bits.take(4)? as u16 + 1;
                at += 1;
            }
        }
        self.chain_count = bits.take_below(target_count + 1)? as u8;
        if self.chain_count > 0 {
            for target in &mut self.targets[..usize::from(self.target_count)] {
                let chain = bits.take_below(self.chain_count.into())? as u8;
                target.chain = (usize::from(chain) < MAX_CHAINS).then_some(chain);
            }
            for template in &mut self.templates[..count] {
                read_chains(&mut template.chains, self.chain_count, 4, bits)?;
            }
        }
        // `decode_target_layers`: a target's layers are the highest of the templates in it.
        for (at, target) in self.targets[..usize::from(self.target_count)].iter_mut().enumerate() {
            for template in &self.templates[..count] {
                if template.indications >> (2 * at) & 3 != 0 {
                    target.spatial = target.spatial.max(template.spatial);
                    target.temporal = target.temporal.max(template.temporal);
                }
            }
        }
        if bits.take(1)? == 1 {
            // `render_resolutions`.
            for spatial in 0..=highest_spatial {
                let sides = [bits.take(16)? + 1, bits.take(16)? + 1];
                if let Some(to) = self.sizes.get_mut(usize::from(spatial)) {
                    let [width, height] = sides.map(size::side);
                    *to = width.zip(height);
                }
            }
        }
        Some(())
    }

    /// A.8.3, `template_layers`; gives the highest spatial layer.
    fn read_layers(&mut self, bits: &mut Bits<'_>) -> Option<u8> {
        let (mut spatial, mut temporal) = (0_u8, 0_u8);
        for at in 0.. {
            let template = self.templates.get_mut(at)?;
            (template.spatial, template.temporal) = (spatial, temporal);
            self.template_count = at as u8 + 1;
            match bits.take(2)? {
                0 => {}
                1 => temporal += 1,
                2 => (spatial, temporal) = (spatial + 1, 0),
                _ => break,
            }
            // A.8.3: `frame_spatial_id` has two bits, `frame_temporal_id` three.
            if spatial > 3 || temporal > 7 {
                return None;
            }
        }
        Some(spatial)
    }

    /// A.8.4, `frame_dependency_definition`.
    fn frame_of(
        &self,
        fields: DependencyDescriptor,
        flags: &Flags,
        bits: &mut Bits<'_>,
    ) -> Result<Frame, Unread> {
        let at = fields.template.wrapping_sub(self.offset) & 0x3f;
        if at >= self.template_count {
            return Err(if flags.structure { Unread::Malformed } else { Unread::Unknown });
        }
        self.frame_from(&self.templates[usize::from(at)], fields, flags, bits)
            .ok_or(Unread::Malformed)
    }

    fn frame_from(
        &self,
        template: &Template,
        fields: DependencyDescriptor,
        flags: &Flags,
        bits: &mut Bits<'_>,
    ) -> Option<Frame> {
        let mask = Mask { at: bits.at as u16, bits: self.target_count, present: flags.active };
        let mut active = flags.structure.then(|| self.all_targets());
        if flags.active {
            active = Some(bits.take(self.target_count.into())?);
        }
        let mut frame = Frame {
            starts: fields.start_of_frame,
            ends: fields.end_of_frame,
            number: fields.frame,
            spatial: template.spatial,
            temporal: template.temporal,
            chains: template.chains,
            references: template.references,
            active,
            brings_structure: flags.structure,
            mask,
            indications: template.indications,
        };
        if flags.indications {
            frame.indications = 0;
            for target in 0..u32::from(self.target_count) {
                frame.indications |= u64::from(bits.take(2)?) << (2 * target);
            }
        }
        if flags.references {
            frame.references = [0; MAX_REFERENCES];
            let mut at = 0;
            loop {
                let size = bits.take(2)?;
                if size == 0 {
                    break;
                }
                *frame.references.get_mut(at)? = bits.take(4 * size)? as u16 + 1;
                at += 1;
            }
        }
        if flags.chains {
            read_chains(&mut frame.chains, self.chain_count, 8, bits)?;
        }
        Some(frame)
    }
}

fn read_chains(
    chains: &mut [u8; MAX_CHAINS],
    count: u8,
    width: u32,
    bits: &mut Bits<'_>,
) -> Option<()> {
    for chain in 0..usize::from(count) {
        let distance = bits.take(width)? as u8;
        if let Some(kept) = chains.get_mut(chain) {
            *kept = distance;
        }
    }
    Some(())
}

/// A.8.2, `extended_descriptor_fields`.
#[derive(Clone, Copy, Debug, Default)]
struct Flags {
    structure: bool,
    active: bool,
    indications: bool,
    references: bool,
    chains: bool,
}

impl Flags {
    fn read(bits: &mut Bits<'_>) -> Option<Self> {
        let flags = bits.take(5)?;
        Some(Self {
            structure: flags & 16 != 0,
            active: flags & 8 != 0,
            indications: flags & 4 != 0,
            references: flags & 2 != 0,
            chains: flags & 1 != 0,
        })
    }
}

/// Bits written one after the other, the highest of an octet first.
struct BitWriter<'a> {
    out: &'a mut [u8],
    at: usize,
}

impl BitWriter<'_> {
    fn put(&mut self, count: u32, value: u32) -> Option<()> {
        for bit in (0..count).rev() {
            let octet = self.out.get_mut(self.at / 8)?;
            let place = 7 - self.at % 8;
            *octet =
                *octet & !(1 << place) & !((1 << place) - 1) | ((value >> bit & 1) as u8) << place;
            self.at += 1;
        }
        Some(())
    }

    /// Copies bits until `from` stands at its bit `end`.
    fn copy(&mut self, from: &mut Bits<'_>, end: usize) -> Option<()> {
        while from.at < end {
            let count = (end - from.at).min(32) as u32;
            self.put(count, from.take(count)?)?;
        }
        Some(())
    }
}

fn behind_mandatory(data: &[u8]) -> Bits<'_> {
    Bits::new(data, 8 * DependencyDescriptor::MANDATORY_BYTES)
}

#[cfg(test)]
#[path = "dependency_tests.rs"]
mod tests;
