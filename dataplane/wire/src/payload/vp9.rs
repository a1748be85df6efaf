//! The VP9 payload descriptor (RFC 9628 section 4.2).

use super::size::{LAYERS, Size};

/// Most pictures that one may name as its references in flexible mode.
const MAX_REFERENCES: usize = 3;

/// Which layers a packet belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerIndices {
    /// Temporal layer, 0–7.
    pub temporal: u8,
    /// U: behind this picture a receiver of its temporal layer may step up to any higher one.
    pub switching_up: bool,
    /// Spatial layer, 0–7.
    pub spatial: u8,
    /// D: the frame needs the spatial layer below it of the same picture.
    pub inter_layer: bool,
    /// Number of the temporal-layer-0 picture, only in non-flexible mode.
    pub tl0_index: Option<u8>,
}

/// A payload descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// Octets of the descriptor.
    pub len: u8,
    /// P: the frame needs earlier pictures.
    pub inter_picture: bool,
    /// F: flexible mode.
    pub flexible: bool,
    /// B: first packet of a frame.
    pub begins_frame: bool,
    /// E: last packet of a frame.
    pub ends_frame: bool,
    /// Z: no frame of a higher spatial layer needs this one.
    pub not_reference_above: bool,
    /// Number of the picture, 7 or 15 bits.
    pub picture_id: Option<u16>,
    /// Layers; absent in streams without.
    pub layer: Option<LayerIndices>,
    /// Width and height of the highest spatial layer, where the packet has a scalability structure
    /// with sizes.
    pub resolution: Option<(u16, u16)>,
}

impl Descriptor {
    /// Reads the descriptor at the start of `payload`; `None` where it is cut or does not fit its
    /// own rules.
    pub fn read(payload: &[u8]) -> Option<Self> {
        let mut resolution = None;
        let found = Self::read_with(payload, |_, size| resolution = Some(size))?;
        Some(Self { resolution, ..found })
    }

    /// Reads the descriptor but for the sizes, which are given with their layers one by one.
    #[inline]
    fn read_with(payload: &[u8], size_of: impl FnMut(u8, Size)) -> Option<Self> {
        let mut rest = payload;
        let flags = octet(&mut rest)?;
        let [
            has_id,
            inter_picture,
            has_layer,
            flexible,
            begins_frame,
            ends_frame,
            has_structure,
            z,
        ] = std::array::from_fn(|bit| flags << bit & 0x80 != 0);
        let picture_id = if has_id { Some(read_picture_id(&mut rest)?) } else { None };
        let layer = if has_layer { Some(read_layer(&mut rest, flexible)?) } else { None };
        if flexible && inter_picture {
            skip_references(&mut rest)?;
        }
        if has_structure {
            read_structure(&mut rest, size_of)?;
        }
        let len = u8::try_from(payload.len() - rest.len()).ok()?;
        Some(Self {
            len,
            inter_picture,
            flexible,
            begins_frame,
            ends_frame,
            not_reference_above: z,
            picture_id,
            layer,
            resolution: None,
        })
    }

    /// Whether the packet begins a key frame: needs no other picture, lowest spatial layer.
    pub fn is_key_frame(&self) -> bool {
        !self.inter_picture && self.begins_picture()
    }

    /// Whether the packet begins a picture: the first of its lowest spatial layer.
    pub fn begins_picture(&self) -> bool {
        self.begins_frame && self.layer.is_none_or(|layer| layer.spatial == 0)
    }
}

/// The sizes that a scalability structure at the start of `payload` tells, the lowest layer first.
pub(super) fn sizes(payload: &[u8]) -> [Option<Size>; LAYERS] {
    let mut sizes = [None; LAYERS];
    let found = Descriptor::read_with(payload, |layer, size @ (width, height)| {
        if let Some(to) = sizes.get_mut(usize::from(layer)) {
            *to = (width > 0 && height > 0).then_some(size);
        }
    });
    if found.is_some() { sizes } else { [None; LAYERS] }
}

fn octet(rest: &mut &[u8]) -> Option<u8> {
    let (&first, after) = rest.split_first()?;
    *rest = after;
    Some(first)
}

fn read_picture_id(rest: &mut &[u8]) -> Option<u16> {
    // RFC 9628 4.2: M tells 15 bits from 7.
    let high = octet(rest)?;
    if high & 0x80 == 0 {
        return Some(u16::from(high));
    }
    Some(u16::from(high & 0x7f) << 8 | u16::from(octet(rest)?))
}

fn read_layer(rest: &mut &[u8], flexible: bool) -> Option<LayerIndices> {
    let bits = octet(rest)?;
    let tl0_index = if flexible { None } else { Some(octet(rest)?) };
    Some(LayerIndices {
        temporal: bits >> 5,
        switching_up: bits & 0x10 != 0,
        spatial: bits >> 1 & 0x07,
        inter_layer: bits & 0x01 != 0,
        tl0_index,
    })
}

fn skip_references(rest: &mut &[u8]) -> Option<()> {
    for _ in 0..MAX_REFERENCES {
        // The lowest bit, N, tells that another follows.
        if octet(rest)? & 1 == 0 {
            return Some(());
        }
    }
    None
}

/// Reads a scalability structure (RFC 9628 section 4.2.1) for the sizes of its layers.
fn read_structure(rest: &mut &[u8], mut size_of: impl FnMut(u8, Size)) -> Option<()> {
    let bits = octet(rest)?;
    let layers = (bits >> 5) + 1;
    if bits & 0x10 != 0 {
        for layer in 0..layers {
            let [a, b, c, d] = [octet(rest)?, octet(rest)?, octet(rest)?, octet(rest)?];
            size_of(layer, (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])));
        }
    }
    if bits & 0x08 != 0 {
        let pictures = octet(rest)?;
        for _ in 0..pictures {
            let references = octet(rest)? >> 2 & 0x03;
            for _ in 0..references {
                octet(rest)?;
            }
        }
    }
    Some(())
}
