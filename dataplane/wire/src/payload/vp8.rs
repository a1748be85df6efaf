//! The VP8 payload descriptor (RFC 7741 section 4.2), and the one bit of the payload header behind
//! it that tells a key frame (section 4.3).
//!
//! A forwarder that drops temporal layers or joins encodings renumbers pictures. The fields keep
//! their width, so a rewritten descriptor is as long as the one received and the payload behind it
//! can be shared.

/// The longest descriptor: two flag octets, two of picture id, TL0PICIDX, and TID with KEYIDX.
pub const MAX_DESCRIPTOR_BYTES: usize = 6;

const EXTENDED: u8 = 0x80;
const NON_REFERENCE: u8 = 0x20;
const START: u8 = 0x10;
const PARTITION: u8 = 0x07;
const HAS_PICTURE_ID: u8 = 0x80;
const HAS_TL0_INDEX: u8 = 0x40;
const HAS_TEMPORAL: u8 = 0x20;
const HAS_KEY_INDEX: u8 = 0x10;
const WIDE: u8 = 0x80;
const SYNC: u8 = 0x20;

/// A picture id and how wide it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureId {
    /// The id, 7 or 15 bits.
    pub value: u16,
    /// Written in 15 bits instead of 7.
    pub wide: bool,
}

impl PictureId {
    /// The bits that ids of this width have.
    pub const fn mask(self) -> u16 {
        if self.wide { 0x7fff } else { 0x7f }
    }
}

/// A payload descriptor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Descriptor {
    /// Octets of the descriptor: where the payload header begins.
    pub len: u8,
    /// The packet begins a frame: start of partition 0.
    pub frame_start: bool,
    /// The packet begins a key frame.
    pub key_frame: bool,
    /// No other frame needs this one.
    pub non_reference: bool,
    /// Y: the frame needs only temporal layer 0.
    pub layer_sync: bool,
    /// Number of the picture.
    pub picture_id: Option<PictureId>,
    /// Number of the frame of temporal layer 0 that this one belongs to.
    pub tl0_index: Option<u8>,
    /// Temporal layer, 0–3.
    pub temporal: Option<u8>,
    /// Number of the key frame that this one belongs to, 0–31.
    pub key_index: Option<u8>,
}

/// The numbers of a descriptor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Picture id; only as many bits as the descriptor has are written.
    pub picture_id: u16,
    /// TL0PICIDX.
    pub tl0_index: u8,
    /// KEYIDX; five bits are written.
    pub key_index: u8,
}

impl Descriptor {
    /// Reads the descriptor at the start of `payload`; `None` where it is cut, and where nothing
    /// follows it.
    #[inline]
    pub fn read(payload: &[u8]) -> Option<Self> {
        let &first = payload.first()?;
        let mut at = 1;
        let mut found = Self {
            frame_start: first & START != 0 && first & PARTITION == 0,
            non_reference: first & NON_REFERENCE != 0,
            ..Self::default()
        };
        if first & EXTENDED != 0 {
            let &flags = payload.get(at)?;
            at += 1;
            if flags & HAS_PICTURE_ID != 0 {
                let &high = payload.get(at)?;
                at += 1;
                let wide = high & WIDE != 0;
                let mut value = u16::from(high & !WIDE);
                if wide {
                    value = value << 8 | u16::from(*payload.get(at)?);
                    at += 1;
                }
                found.picture_id = Some(PictureId { value, wide });
            }
            if flags & HAS_TL0_INDEX != 0 {
                found.tl0_index = Some(*payload.get(at)?);
                at += 1;
            }
            if flags & (HAS_TEMPORAL | HAS_KEY_INDEX) != 0 {
                let &octet = payload.get(at)?;
                at += 1;
                if flags & HAS_TEMPORAL != 0 {
                    found.temporal = Some(octet >> 6);
                    found.layer_sync = octet & SYNC != 0;
                }
                if flags & HAS_KEY_INDEX != 0 {
                    found.key_index = Some(octet & 0x1f);
                }
            }
        }
        let &header = payload.get(at)?;
        // RFC 7741 4.3: P is 0 in key frames; only the packet that begins the frame has it.
        found.key_frame = found.frame_start && header & 1 == 0;
        found.len = at as u8;
        Some(found)
    }

    /// Writes the descriptor, the first `len` octets of `payload`, with other numbers into `out`.
    /// Fields that are absent stay absent. Gives the octets written, 0 where either is too short.
    #[inline]
    pub fn renumber(&self, payload: &[u8], numbers: Numbers, out: &mut [u8]) -> usize {
        let len = usize::from(self.len);
        let (Some(from), Some(to)) = (payload.get(..len), out.get_mut(..len)) else { return 0 };
        to.copy_from_slice(from);
        let mut at = 2;
        if let Some(id) = self.picture_id {
            if id.wide {
                let [high, low] = numbers.picture_id.to_be_bytes();
                to[at] = WIDE | high;
                to[at + 1] = low;
                at += 2;
            } else {
                to[at] = numbers.picture_id as u8 & !WIDE;
                at += 1;
            }
        }
        if self.tl0_index.is_some() {
            to[at] = numbers.tl0_index;
            at += 1;
        }
        if self.key_index.is_some() {
            to[at] = to[at] & 0xe0 | numbers.key_index & 0x1f;
        }
        len
    }

    /// Writes a descriptor with the same fields for the only packet of a key frame of temporal
    /// layer
    /// 0, and other numbers; gives its octets, 0 where `out` is too short.
    pub fn write_key_frame(&self, numbers: Numbers, out: &mut [u8]) -> usize {
        let mut whole = [0; MAX_DESCRIPTOR_BYTES];
        let mut len = 1;
        let mut flags = 0;
        let mut put = |flag: u8, octet: u8| {
            flags |= flag;
            // The flags come first; the fields follow in the order of the calls.
            len = len.max(2) + 1;
            whole[len - 1] = octet;
        };
        if let Some(id) = self.picture_id {
            let [high, low] = numbers.picture_id.to_be_bytes();
            if id.wide {
                put(HAS_PICTURE_ID, WIDE | high);
                put(HAS_PICTURE_ID, low);
            } else {
                put(HAS_PICTURE_ID, low & !WIDE);
            }
        }
        if self.tl0_index.is_some() {
            put(HAS_TL0_INDEX, numbers.tl0_index);
        }
        if self.temporal.is_some() || self.key_index.is_some() {
            let temporal = if self.temporal.is_some() { HAS_TEMPORAL } else { 0 };
            let key = if self.key_index.is_some() { HAS_KEY_INDEX } else { 0 };
            let sync = if self.temporal.is_some() { SYNC } else { 0 };
            let index = if key != 0 { numbers.key_index & 0x1f } else { 0 };
            put(temporal | key, sync | index);
        }
        whole[0] = START | if flags != 0 { EXTENDED } else { 0 };
        whole[1] = flags;
        match out.get_mut(..len) {
            Some(out) => {
                out.copy_from_slice(&whole[..len]);
                len
            }
            None => 0,
        }
    }

    /// The numbers as they came, 0 where absent.
    #[inline]
    pub fn numbers(&self) -> Numbers {
        Numbers {
            picture_id: self.picture_id.map_or(0, |id| id.value),
            tl0_index: self.tl0_index.unwrap_or(0),
            key_index: self.key_index.unwrap_or(0),
        }
    }
}
