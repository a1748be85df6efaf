//! A published track: its layers, which of them are live, and its packets made ready to offer.

use ringway_wire::dependency::Structure;
use ringway_wire::extension::ExtensionMap;
use ringway_wire::payload::size::{self, LAYERS};
use ringway_wire::payload::{Codec, Entry};
use ringway_wire::rtp::RtpView;

use super::MAX_LAYERS;
use super::layer::{Layer, SILENT_NS, SILENT_SCREEN_NS};
use super::picture::{Picture, Pictures};
use super::prepared::{Prepared, StreamId};
use super::scaling::Scaling;
use super::timeline::Alignment;
use crate::report::SourceReport;

/// Why a packet of a known source goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotPrepared {
    /// It came before, or its number is too far off to tell.
    Repeated,
    /// Longer than any datagram.
    Long,
    /// The source has no such layer.
    Layer,
}

/// What is published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// Sound.
    Audio,
    /// A camera.
    Camera,
    /// A screen, on which nothing may move for a while.
    Screen,
}

impl SourceKind {
    /// Whether it has pictures.
    pub const fn is_video(self) -> bool {
        matches!(self, Self::Camera | Self::Screen)
    }
}

/// A published track.
#[derive(Clone, Debug)]
pub struct Source {
    kind: SourceKind,
    layers: [Layer; MAX_LAYERS],
    count: u8,
    alignment: Alignment,
    clock_hz: u32,
    codec: Option<Codec>,
    pictures: Pictures,
}

impl Source {
    /// A track of `layers` layers, 1 to [`MAX_LAYERS`], of which nothing came yet.
    pub fn new(kind: SourceKind, layers: usize) -> Self {
        Self {
            kind,
            layers: std::array::from_fn(|_| Layer::default()),
            count: layers.clamp(1, MAX_LAYERS) as u8,
            alignment: Alignment::default(),
            clock_hz: 0,
            codec: None,
            pictures: Pictures::default(),
        }
    }

    /// Lets it have more layers than before. Those it had stay.
    pub fn set_layers(&mut self, layers: usize) {
        self.count = self.count.max(layers.min(MAX_LAYERS) as u8);
    }

    /// What is published.
    pub fn kind(&self) -> SourceKind {
        self.kind
    }

    /// The codec of its last packet.
    pub fn codec(&self) -> Option<Codec> {
        self.codec
    }

    /// The clock of its timestamps, Hz; 0 before its first packet.
    pub fn clock_hz(&self) -> u32 {
        self.clock_hz
    }

    /// What the pictures of its layers are like, the lowest first.
    pub fn pictures(&self) -> [Picture; MAX_LAYERS] {
        self.pictures.known()
    }

    /// Ends an interval for the rates of its pictures; `true` where others were known before.
    pub fn end_interval(&mut self, now_ns: u64) -> bool {
        self.kind.is_video() && self.pictures.end_interval(now_ns)
    }

    /// Its layers, lowest first.
    pub fn layers(&self) -> &[Layer] {
        &self.layers[..usize::from(self.count)]
    }

    /// A layer.
    pub fn layer_mut(&mut self, layer: u8) -> Option<&mut Layer> {
        self.layers[..usize::from(self.count)].get_mut(usize::from(layer))
    }

    /// The numbering of a layer now.
    pub fn stream(&self, layer: u8) -> Option<StreamId> {
        self.layers().get(usize::from(layer)).map(|state| StreamId::new(layer, state.epoch))
    }

    /// What is known of the layers inside its only stream, where that holds several sizes. In
    /// simulcast a stream is a layer, whatever its packets say.
    fn scaling(&self) -> Option<&Scaling> {
        let scaling = self.layers[0].scaling.as_deref().filter(|_| self.count == 1)?;
        scaling.is_sized().then_some(scaling)
    }

    /// Whether its layers share one stream.
    pub fn is_scalable(&self) -> bool {
        self.scaling().is_some()
    }

    /// What who gets up to `layer` takes, bits/s; 0 where it does not come.
    pub fn layer_bps(&self, now_ns: u64, layer: usize) -> u64 {
        match self.scaling() {
            Some(scaling) => scaling.bps(now_ns, layer),
            None => self.layers().get(layer).map_or(0, |layer| layer.bitrate_bps(now_ns)),
        }
    }

    /// A bit for each live layer, the lowest layer in the lowest bit.
    pub fn live(&self) -> u8 {
        if let Some(scaling) = self.scaling() {
            return if self.layers[0].is_live() { scaling.live() } else { 0 };
        }
        let live = self.layers().iter().enumerate().filter(|(_, layer)| layer.is_live());
        live.fold(0, |bits, (at, _)| bits | 1 << at)
    }

    /// Tells which SSRC sends a layer, and its RTX stream. Another SSRC than before begins another
    /// numbering.
    pub fn bind(&mut self, layer: u8, ssrc: Option<u32>, rtx_ssrc: Option<u32>) {
        let Some(layer_state) = self.layer_mut(layer) else { return };
        if let Some(ssrc) = ssrc
            && layer_state.ssrc.replace(ssrc).is_some_and(|before| before != ssrc)
        {
            layer_state.begin_stream();
            self.alignment.forget(layer);
        }
        if let Some(layer_state) = self.layer_mut(layer)
            && rtx_ssrc.is_some()
        {
            layer_state.rtx_ssrc = rtx_ssrc;
        }
    }

    /// Takes another's word for a layer: its SSRC, unless one is known, and whether packets come.
    pub fn presume(&mut self, now_ns: u64, layer: u8, ssrc: Option<u32>, live: bool) {
        if let Some(layer_state) = self.layer_mut(layer) {
            layer_state.ssrc = layer_state.ssrc.or(ssrc);
            if live {
                layer_state.presume_live(now_ns);
            }
        }
    }

    /// Lets the next packet of a layer begin another numbering, whatever its number.
    pub fn renumber(&mut self, layer: u8) {
        if let Some(layer_state) = self.layer_mut(layer) {
            layer_state.begin_stream();
            self.alignment.forget(layer);
        }
    }

    /// Makes a packet of `layer` ready to be offered. `format` is codec and clock of its payload
    /// type; `repaired` says that it came by RTX. The second of the pair says that the layer is
    /// live only now, or its pictures have another size: routes and control plane must be told.
    pub fn prepare(
        &mut self,
        now_ns: u64,
        layer: u8,
        packet: &RtpView<'_>,
        extensions: &ExtensionMap,
        format: (Codec, u32),
        repaired: bool,
    ) -> Result<(Prepared, bool), NotPrepared> {
        let facts = Prepared::read(packet, extensions, format, now_ns).ok_or(NotPrepared::Long)?;
        let mut prepared = facts.prepared;
        let (codec, clock_hz) = format;
        let alignment = self.alignment;
        let state = self.layer_mut(layer).ok_or(NotPrepared::Layer)?;
        let epoch = state.epoch;
        let sequence = packet.sequence();
        let ahead = state
            .handle_packet(now_ns, sequence, packet.bytes().len(), repaired)
            .ok_or(NotPrepared::Repeated)?;
        prepared.ahead = ahead;
        prepared.stream = StreamId::new(layer, state.epoch);
        prepared.alignment = alignment;
        let restarted = state.epoch != epoch;
        if ahead > 0 {
            if !repaired {
                state.time(now_ns, prepared.timestamp, clock_hz);
            }
            let newest = state.newest_timestamp.replace(prepared.timestamp);
            // H.26x and AV1 payloads do not say where a frame begins: a new timestamp does.
            let new_timestamp = newest != Some(prepared.timestamp);
            prepared.frame_start = facts.frame_start.unwrap_or(new_timestamp);
            prepared.entry = match facts.entry {
                Entry::None => false,
                Entry::Full => true,
                // Without a packet before it, it cannot be told from the rest of a key frame whose
                // parameter sets were lost.
                Entry::Picture => {
                    new_timestamp && newest.is_some() && ahead == 1 && !state.parameter_sets
                }
            };
            if prepared.entry && codec.is_video() {
                state.counts.key_frames += 1;
                state.parameter_sets |= facts.entry == Entry::Full;
            }
        } else {
            prepared.frame_start = facts.frame_start.unwrap_or(false);
        }
        let mut news = state.set_live(true) || restarted;
        if prepared.scaled.is_some() || prepared.dependencies(packet.bytes()).is_some() {
            news |= state.scale(now_ns, &mut prepared, packet.bytes());
        }
        if restarted {
            self.alignment.forget(layer);
            prepared.alignment = self.alignment;
        }
        self.clock_hz = clock_hz;
        self.codec = Some(codec);
        if ahead > 0 && codec.is_video() {
            news |= self.look_at(&prepared, packet);
        }
        Ok((prepared, news))
    }

    /// Counts pictures, and measures those that a receiver can begin with; `true` where their size
    /// is news.
    #[inline]
    fn look_at(&mut self, prepared: &Prepared, packet: &RtpView<'_>) -> bool {
        let scaled = prepared.scaled.as_ref();
        let temporal = scaled.map_or(prepared.temporal, |scaled| scaled.temporal);
        let (layer, starts) = match scaled.filter(|_| self.count == 1) {
            Some(scaled) => (scaled.spatial, scaled.starts),
            None => (prepared.layer(), prepared.frame_start),
        };
        if starts {
            self.pictures.count(layer, temporal);
        }
        prepared.entry && self.measure(prepared, packet)
    }

    /// Reads how large the pictures are from the first packet of a key frame: as LiveKit does from
    /// its dependency descriptor if that tells it, otherwise from its payload.
    #[cold]
    fn measure(&mut self, prepared: &Prepared, packet: &RtpView<'_>) -> bool {
        let state = self.layers().get(usize::from(prepared.layer()));
        let scaling = state.and_then(|state| state.scaling.as_deref());
        let described = prepared.dependencies(packet.bytes()).is_some_and(Structure::is_in);
        let mut sizes = scaling.filter(|_| described).map_or([None; LAYERS], Scaling::sizes);
        let mut lowest = 0;
        if sizes == [None; LAYERS] {
            sizes = size::sizes(prepared.codec, packet.payload());
            // A sequence header of AV1 tells the size of the best layer only.
            if prepared.codec == Codec::Av1 {
                lowest = scaling.map_or(0, Scaling::highest_spatial);
            }
        }
        if self.count == 1 {
            return self.pictures.measure(lowest, &sizes);
        }
        // Of a stream that holds several sizes itself the best one counts.
        let best = sizes.into_iter().flatten().last();
        self.pictures.measure(prepared.layer(), &[best])
    }

    /// Reads a packet of `layer` once more, as it lies in the history, to send it again. It changes
    /// nothing.
    pub fn reread(
        &self,
        layer: u8,
        packet: &RtpView<'_>,
        extensions: &ExtensionMap,
        format: (Codec, u32),
        now_ns: u64,
    ) -> Option<Prepared> {
        let mut prepared = Prepared::read(packet, extensions, format, now_ns)?.prepared;
        if let Some(data) = prepared.dependencies(packet.bytes()) {
            let scaling = self.layers().get(usize::from(layer))?.scaling.as_deref();
            prepared.scaled = scaling.and_then(|scaling| scaling.reread(data));
        }
        Some(prepared)
    }

    /// Takes a sender report; gives the layer that it is of.
    pub fn handle_report(&mut self, report: SourceReport) -> Option<u8> {
        let is_of = |layer: &Layer| layer.ssrc == Some(report.ssrc);
        let at = self.layers().iter().position(is_of)?;
        self.layers[at].handle_report(report);
        if self.clock_hz != 0 {
            self.alignment.handle_report(at as u8, report.ntp, report.timestamp, self.clock_hz);
        }
        Some(at as u8)
    }

    /// Notices layers that fell silent; `true` where that is news and routes must be told. To be
    /// called a few times a second.
    pub fn handle_time(&mut self, now_ns: u64) -> bool {
        let silent_ns = match self.kind {
            SourceKind::Screen => SILENT_SCREEN_NS,
            SourceKind::Audio | SourceKind::Camera => SILENT_NS,
        };
        let mut news = false;
        for layer in &mut self.layers {
            news |= layer.is_live() && layer.is_silent(now_ns, silent_ns) && layer.set_live(false);
            if let Some(scaling) = &mut layer.scaling {
                news |= scaling.expire(now_ns, silent_ns);
            }
        }
        news
    }

    /// Whether a request for a key frame of `layer` goes to the publisher now: its SSRC, if so.
    pub fn ask_key_frame(&mut self, now_ns: u64, layer: u8) -> Option<u32> {
        if !self.kind.is_video() {
            return None;
        }
        let state = self.layer_mut(layer)?;
        let ssrc = state.ssrc?;
        state.ask_key_frame(now_ns, layer).then_some(ssrc)
    }
}
