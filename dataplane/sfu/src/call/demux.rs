//! Whose packet is it? From SSRC, or from mid and rid, to source and layer (RFC 9143 section 9.2,
//! RFC 8852).
//!
//! One [`Demux`] belongs to a publisher's transport. It is told which sources are expected and
//! learns their SSRCs from the header extensions of the first packets; RTX streams are paired by
//! the repaired rid, repairs by SDP alone. After that a packet costs one look-up by SSRC.

use ringway_wire::extension::{ExtensionKind, Located};
use ringway_wire::rtp::RtpView;

use super::MAX_LAYERS;
use super::format::{Format, Formats};

/// SSRCs known on one transport. Sixteen simulcast tracks with RTX use 96; raised, a peer that
/// invents SSRCs costs more memory; lowered, large publishers lose tracks.
pub const MAX_SSRCS: usize = 128;

/// Sources expected on one transport.
pub const MAX_SOURCES: usize = 64;

/// The longest mid or rid: what fits a one-byte header extension.
pub const MAX_NAME_BYTES: usize = 16;

/// A mid or rid.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Name {
    bytes: [u8; MAX_NAME_BYTES],
    len: u8,
}

impl Name {
    /// A name of 1 to 16 octets.
    pub fn new(name: &[u8]) -> Option<Self> {
        let mut bytes = [0; MAX_NAME_BYTES];
        bytes.get_mut(..name.len())?.copy_from_slice(name);
        (!name.is_empty()).then_some(Self { bytes, len: name.len() as u8 })
    }

    /// Its octets.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// The control plane's name for a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceKey(pub u64);

/// How a layer is recognised before its SSRC is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LayerSpec {
    /// Its rid, in simulcast by rid.
    pub rid: Option<Name>,
    /// Its SSRC, where SDP tells it.
    pub ssrc: Option<u32>,
    /// The SSRC of its RTX stream, where SDP tells it.
    pub rtx_ssrc: Option<u32>,
    /// The SSRC of its FlexFEC repairs, which only SDP tells (RFC 5956 4.1).
    pub fec_ssrc: Option<u32>,
}

/// A source that is expected.
#[derive(Clone, Copy, Debug)]
struct Expected {
    key: SourceKey,
    mid: Option<Name>,
    layers: [LayerSpec; MAX_LAYERS],
    count: u8,
}

/// What an SSRC is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The source.
    pub source: SourceKey,
    /// The layer, lowest quality first.
    pub layer: u8,
    /// What of the layer.
    pub part: Part,
}

/// What an SSRC carries of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The layer itself.
    Media,
    /// Packets of it once more (RFC 4588).
    Rtx,
    /// What lost packets of it are recovered from (FlexFEC).
    Repairs,
}

/// Why a packet belongs to nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unbound {
    /// Neither its SSRC nor its extensions name a source that is expected.
    Unknown,
    /// It names a source, but not which of its layers.
    Layer,
    /// Its payload type means nothing here.
    PayloadType,
    /// The table of SSRCs is full.
    Full,
}

/// The SSRCs of one transport.
#[derive(Clone, Debug, Default)]
pub struct Demux {
    expected: Vec<Expected>,
    /// Ordered by SSRC.
    bound: Vec<(u32, Binding)>,
}

impl Demux {
    /// Expects a source of up to [`MAX_LAYERS`] layers, lowest quality first. `false` where there
    /// are too many, or none of its layers can ever be told from others.
    pub fn add_source(&mut self, key: SourceKey, mid: Option<Name>, layers: &[LayerSpec]) -> bool {
        if self.expected.len() == MAX_SOURCES || layers.is_empty() || layers.len() > MAX_LAYERS {
            return false;
        }
        self.remove_source(key);
        let mut specs = [LayerSpec::default(); MAX_LAYERS];
        specs[..layers.len()].copy_from_slice(layers);
        self.expected.push(Expected { key, mid, layers: specs, count: layers.len() as u8 });
        for (at, layer) in layers.iter().enumerate() {
            let binding = Binding { source: key, layer: at as u8, part: Part::Media };
            if let Some(ssrc) = layer.ssrc {
                self.bind(ssrc, binding);
            }
            if let Some(ssrc) = layer.rtx_ssrc {
                self.bind(ssrc, Binding { part: Part::Rtx, ..binding });
            }
            if let Some(ssrc) = layer.fec_ssrc.filter(|ssrc| self.get(*ssrc).is_none()) {
                self.bind(ssrc, Binding { part: Part::Repairs, ..binding });
            }
        }
        true
    }

    /// Forgets a source and its SSRCs.
    pub fn remove_source(&mut self, key: SourceKey) {
        self.expected.retain(|expected| expected.key != key);
        self.bound.retain(|(_, binding)| binding.source != key);
    }

    /// What `ssrc` is, if that is known.
    #[inline]
    pub fn get(&self, ssrc: u32) -> Option<Binding> {
        let at = self.bound.binary_search_by_key(&ssrc, |(known, _)| *known).ok()?;
        Some(self.bound[at].1)
    }

    /// Learns what the SSRC of `packet` is from its extensions. To be asked where [`Self::get`]
    /// does not know.
    pub fn learn(
        &mut self,
        packet: &RtpView<'_>,
        extensions: &Located,
        formats: &Formats,
    ) -> Result<Binding, Unbound> {
        let format = formats.get(packet.payload_type()).ok_or(Unbound::PayloadType)?;
        let value = |kind| extensions.get(packet.bytes(), kind).filter(|name| !name.is_empty());
        let repaired = value(ExtensionKind::RepairedRid);
        let rid = repaired.or_else(|| value(ExtensionKind::Rid));
        let rtx = repaired.is_some() || matches!(format, Format::Rtx { .. });
        let expected = self.expected_by(value(ExtensionKind::Mid), rid).ok_or(Unbound::Unknown)?;
        let layer = expected.layer(rid).ok_or(Unbound::Layer)?;
        let part = if rtx { Part::Rtx } else { Part::Media };
        let binding = Binding { source: expected.key, layer, part };
        if self.bind(packet.ssrc(), binding) { Ok(binding) } else { Err(Unbound::Full) }
    }

    /// The source with that mid. Without a mid, the only one that has the rid.
    fn expected_by(&self, mid: Option<&[u8]>, rid: Option<&[u8]>) -> Option<&Expected> {
        if let Some(mid) = mid {
            let named = |expected: &&Expected| {
                expected.mid.as_ref().is_some_and(|name| name.as_bytes() == mid)
            };
            return self.expected.iter().find(named);
        }
        let rid = rid?;
        let mut with_rid =
            self.expected.iter().filter(|expected| expected.layer_named(rid).is_some());
        with_rid.next().filter(|_| with_rid.next().is_none())
    }

    /// Binds an SSRC; what was bound to the same layer before stays, for packets under way.
    fn bind(&mut self, ssrc: u32, binding: Binding) -> bool {
        match self.bound.binary_search_by_key(&ssrc, |(known, _)| *known) {
            Ok(at) => self.bound[at].1 = binding,
            Err(_) if self.bound.len() == MAX_SSRCS => return false,
            Err(at) => self.bound.insert(at, (ssrc, binding)),
        }
        true
    }
}

impl Expected {
    fn layer(&self, rid: Option<&[u8]>) -> Option<u8> {
        // A track that is sent once needs no rid; if it has one, that tells nothing.
        if self.count == 1 && self.layers[0].rid.is_none() {
            return Some(0);
        }
        self.layer_named(rid?)
    }

    fn layer_named(&self, rid: &[u8]) -> Option<u8> {
        let named = |layer: &LayerSpec| layer.rid.is_some_and(|name| name.as_bytes() == rid);
        self.layers[..usize::from(self.count)].iter().position(named).map(|at| at as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringway_wire::extension::ExtensionMap;
    use ringway_wire::head::{HeadFields, HeadForm, HeadWriter};
    use ringway_wire::payload::Codec;

    const EXTENSIONS: [ExtensionKind; 3] =
        [ExtensionKind::Mid, ExtensionKind::Rid, ExtensionKind::RepairedRid];

    fn name(text: &str) -> Option<Name> {
        Name::new(text.as_bytes())
    }

    fn demux() -> Demux {
        let mut demux = Demux::default();
        let rid = |text| LayerSpec { rid: name(text), ..LayerSpec::default() };
        assert!(demux.add_source(SourceKey(1), name("0"), &[rid("q"), rid("h"), rid("f")]));
        assert!(demux.add_source(SourceKey(2), name("1"), &[LayerSpec::default()]));
        let told = LayerSpec { rid: None, ssrc: Some(50), rtx_ssrc: Some(51), fec_ssrc: Some(52) };
        assert!(demux.add_source(SourceKey(3), name("2"), &[told]));
        assert!(demux.add_source(SourceKey(4), name("3"), &[rid("q"), rid("x")]));
        demux
    }

    fn learn(
        demux: &mut Demux,
        ssrc: u32,
        payload_type: u8,
        names: [&str; 3],
    ) -> Result<Binding, Unbound> {
        let mut map = ExtensionMap::default();
        let mut formats = Formats::default();
        formats.insert(96, Format::Media { codec: Codec::Vp8, clock_hz: 90_000 });
        formats.insert(97, Format::Rtx { media: 96 });
        let mut out = [0; 80];
        let fields = HeadFields { ssrc, payload_type, ..HeadFields::default() };
        let mut head = HeadWriter::begin(&mut out, &fields, &[], HeadForm::OneByte).expect("room");
        for (id, (kind, name)) in (1..).zip(EXTENSIONS.into_iter().zip(names)) {
            map.insert(id, kind);
            head.put(id, name.as_bytes());
        }
        let len = head.end();
        let view = RtpView::parse(&out[..len]).expect("valid");
        demux.learn(&view, &Located::find(&view, &map), &formats)
    }

    #[test]
    fn packets_find_their_layer() {
        let bound = |source, layer, rtx| {
            let part = if rtx { Part::Rtx } else { Part::Media };
            Ok(Binding { source: SourceKey(source), layer, part })
        };
        let rows = [
            (96, ["0", "q", ""], bound(1, 0, false)),
            (96, ["0", "f", ""], bound(1, 2, false)),
            (97, ["0", "", "h"], bound(1, 1, true)),
            (97, ["0", "q", "f"], bound(1, 2, true)),
            (96, ["1", "", ""], bound(2, 0, false)),
            (97, ["1", "", ""], bound(2, 0, true)),
            (96, ["1", "f", ""], bound(2, 0, false)),
            (97, ["1", "", "f"], bound(2, 0, true)),
            (96, ["", "f", ""], bound(1, 2, false)),
            (96, ["", "q", ""], Err(Unbound::Unknown)), // two sources have it
            (96, ["", "", ""], Err(Unbound::Unknown)),
            (96, ["9", "q", ""], Err(Unbound::Unknown)),
            (96, ["0", "z", ""], Err(Unbound::Layer)),
            (96, ["0", "", ""], Err(Unbound::Layer)),
            (98, ["0", "q", ""], Err(Unbound::PayloadType)),
        ];
        for (payload_type, names, expect) in rows {
            let mut demux = demux();
            assert_eq!(learn(&mut demux, 9, payload_type, names), expect, "{names:?}");
            assert_eq!(demux.get(9), expect.ok());
        }
    }

    #[test]
    fn what_sdp_tells_needs_no_learning() {
        let mut demux = demux();
        let told = [50, 51, 52].map(|ssrc| demux.get(ssrc));
        let binding = |part| Some(Binding { source: SourceKey(3), layer: 0, part });
        assert_eq!(told, [Part::Media, Part::Rtx, Part::Repairs].map(binding));
        demux.remove_source(SourceKey(3));
        assert_eq!([50, 51, 52].map(|ssrc| demux.get(ssrc)), [None; 3]);
        // What is known to be media cannot be repairs as well.
        let told = LayerSpec { ssrc: Some(50), fec_ssrc: Some(50), ..LayerSpec::default() };
        assert!(demux.add_source(SourceKey(3), name("2"), &[told]));
        assert_eq!(demux.get(50), binding(Part::Media));
    }

    #[test]
    fn tables_are_bounded() {
        let mut demux = demux();
        for ssrc in 1000..1000 + MAX_SSRCS as u32 - 3 {
            assert!(learn(&mut demux, ssrc, 96, ["1", "", ""]).is_ok(), "{ssrc}");
        }
        assert_eq!(learn(&mut demux, 7, 96, ["1", "", ""]), Err(Unbound::Full));
        for key in 100..100 + MAX_SOURCES as u64 - 4 {
            assert!(demux.add_source(SourceKey(key), None, &[LayerSpec::default()]));
        }
        assert!(!demux.add_source(SourceKey(99), None, &[LayerSpec::default()]));
        assert!(!Demux::default().add_source(SourceKey(1), None, &[]));
        assert!(!Demux::default().add_source(SourceKey(1), None, &[LayerSpec::default(); 4]));
        assert_eq!(Name::new(b""), None);
        assert_eq!(Name::new(&[b'x'; 17]), None);
    }
}
