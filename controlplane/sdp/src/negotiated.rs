//! What both sides have agreed on for one section, as plain data.

use crate::attributes::{Extmap, Msid};
use crate::capabilities::Capabilities;
use crate::codec::Codec;
use crate::encodings::Encodings;
use crate::extension::{ExtensionKind, NegotiatedExtension};
use crate::feedback::Feedback;
use crate::h264::H264Parameters;
use crate::payload::Payload;
use crate::section::{Kind, Section};
use crate::table::{CodecEntry, same_parameters};

/// A payload type that both sides have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NegotiatedPayload {
    /// The number on the wire.
    pub payload_type: u8,
    /// The codec.
    pub codec: Codec,
    /// Clock rate, in hertz.
    pub clock_rate: u32,
    /// Audio channels as described.
    pub channels: u8,
    /// The client's format parameters.
    pub fmtp: String,
    /// The payload type of its retransmissions.
    pub rtx_payload_type: Option<u8>,
    /// For RED, the payload type inside.
    pub red_inner_payload_type: Option<u8>,
    /// Feedback that both sides have.
    pub feedback: Feedback,
}

/// Why a section is rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rejection {
    /// The client says so itself, or has given the section up.
    ByPeer,
    /// No codec in common.
    NoCodec,
    /// The client wants RTCP on a port of its own.
    NoRtcpMux,
    /// Neither RTP over DTLS nor SCTP over DTLS.
    Protocol,
}

/// The outcome for one section of audio or video.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NegotiatedSection {
    /// The section's place, from 0.
    pub index: usize,
    /// Its mid.
    pub mid: String,
    /// Audio or video.
    pub kind: Kind,
    /// Why nothing flows at all, if so.
    pub rejection: Option<Rejection>,
    /// The client sends and we receive.
    pub receives: bool,
    /// We send and the client receives.
    pub sends: bool,
    /// What the client calls the track that it sends. The track id is LiveKit's `cid`.
    pub msid: Option<Msid>,
    /// How the encodings that the client sends are told apart.
    pub encodings: Encodings,
    /// Payload types, the preferred one first.
    pub payloads: Vec<NegotiatedPayload>,
    /// Header extensions.
    pub extensions: Vec<NegotiatedExtension>,
    /// The client takes RTCP that is no compound (RFC 5506).
    pub reduced_rtcp: bool,
}

/// The outcome for the section of data channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NegotiatedData {
    /// Its mid.
    pub mid: String,
    /// The client's SCTP port.
    pub remote_sctp_port: u16,
    /// Largest message that the client takes, in bytes; 0 says that there is no bound.
    pub remote_max_message_bytes: u64,
}

impl NegotiatedData {
    pub(crate) fn read(section: &Section) -> Self {
        Self {
            mid: section.mid.clone(),
            // RFC 8841 5.1, 6.1: both have defaults.
            remote_sctp_port: section.sctp_port.unwrap_or(5000),
            remote_max_message_bytes: section.max_message_bytes.unwrap_or(65_536),
        }
    }
}

impl NegotiatedSection {
    /// A section of which nothing is agreed on yet.
    pub(crate) fn new(index: usize, section: &Section) -> Self {
        Self {
            index,
            mid: section.mid.clone(),
            kind: section.kind,
            rejection: None,
            receives: false,
            sends: false,
            msid: None,
            encodings: Encodings::Unsignalled,
            payloads: Vec::new(),
            extensions: Vec::new(),
            reduced_rtcp: false,
        }
    }

    /// The payload type that carries a stream of `codec` with `fmtp` (as its publisher described
    /// it) in this section; see [`payload_for`].
    pub fn payload_for(&self, codec: Codec, fmtp: &str) -> Option<&NegotiatedPayload> {
        payload_for(&self.payloads, codec, fmtp)
    }
}

/// The payload type for a stream: one with equal parameters, or else for H.264 one that takes its
/// packets, since decoders take more profiles than their descriptions say; the same packetization
/// mode first.
pub(crate) fn payload_for<'a>(
    payloads: &'a [NegotiatedPayload],
    codec: Codec,
    fmtp: &str,
) -> Option<&'a NegotiatedPayload> {
    let same = || payloads.iter().filter(|payload| payload.codec == codec);
    let exact = same().find(|payload| same_parameters(codec, fmtp, &payload.fmtp));
    exact.or_else(|| {
        let stream = H264Parameters::read(fmtp).filter(|_| codec == Codec::H264)?;
        let read = |payload: &&NegotiatedPayload| H264Parameters::read(&payload.fmtp);
        let able = same().filter(|one| read(one).is_some_and(|theirs| stream.is_taken_by(theirs)));
        able.min_by_key(|one| read(one).map(|theirs| theirs.packetization_mode))
    })
}

/// The payload types of the peer's section that can be met, in its order; its numbers are kept.
pub(crate) fn match_payloads(
    section: &Section,
    capabilities: &Capabilities,
    receives: bool,
    sends: bool,
) -> Vec<NegotiatedPayload> {
    let mut matched: Vec<NegotiatedPayload> = Vec::new();
    let repairs = section.repairs();
    let exact = |payload| capabilities.find(section.kind, receives, sends, payload);
    let is_h264 = |entry: &CodecEntry| entry.codec == Codec::H264;
    let has_h264 = section.payloads.iter().filter_map(exact).any(is_h264);
    let close = |payload| capabilities.find_close(section.kind, receives, sends, payload);
    for payload in &section.payloads {
        let entry = exact(payload).or_else(|| close(payload).filter(|_| !has_h264));
        let Some(entry) = entry else { continue };
        let repaired = entry.rtx.is_some() && capabilities.has_rtx();
        let rtx = repairs.get(usize::from(payload.payload_type)).copied().flatten();
        matched.push(NegotiatedPayload {
            payload_type: payload.payload_type,
            codec: entry.codec,
            clock_rate: payload.clock_rate,
            channels: payload.channels,
            fmtp: payload.fmtp.clone(),
            rtx_payload_type: rtx.filter(|_| repaired),
            red_inner_payload_type: None,
            feedback: payload.feedback & capabilities.feedback(entry.codec),
        });
    }
    settle_red(&mut matched);
    // What stands first is what the section carries. A repair stream alone is no media.
    matched.sort_by_key(|payload| payload.codec == Codec::FlexFec);
    if matched.iter().all(|payload| payload.codec == Codec::FlexFec) {
        matched.clear();
    }
    matched
}

/// Finds the codec inside RED. RFC 2198 3: `111/111`; it must be one that is negotiated, too.
fn settle_red(payloads: &mut Vec<NegotiatedPayload>) {
    let opus: Vec<u8> = payloads
        .iter()
        .filter(|payload| payload.codec == Codec::Opus)
        .map(|payload| payload.payload_type)
        .collect();
    payloads.retain_mut(|payload| {
        if payload.codec != Codec::Red {
            return true;
        }
        let inner = payload.fmtp.split('/').next().and_then(|inner| inner.trim().parse().ok());
        payload.red_inner_payload_type = inner.filter(|inner| opus.contains(inner));
        payload.red_inner_payload_type.is_some()
    });
}

/// Moves the codecs that `prefer` names to the front, in its order.
pub(crate) fn sort_payloads(payloads: &mut [NegotiatedPayload], prefer: &[Codec]) {
    payloads.sort_by_key(|payload| {
        prefer.iter().position(|codec| *codec == payload.codec).unwrap_or(prefer.len())
    });
}

/// The header extensions of the peer's section that can be met; its ids are kept.
pub(crate) fn match_extensions(
    section: &Section,
    capabilities: &Capabilities,
    receives: bool,
    sends: bool,
) -> Vec<NegotiatedExtension> {
    let mut matched: Vec<NegotiatedExtension> = Vec::new();
    for extension in &section.extensions {
        // Firefox takes some extensions in one direction only; the direction is the peer's.
        let direction = extension.direction.unwrap_or_default();
        let useful = (receives && direction.sends())
            || (sends && direction.receives())
            || !(receives || sends);
        let kind = ExtensionKind::named(&extension.uri);
        let kind = kind.filter(|kind| capabilities.extensions(section.kind).contains(kind));
        let known = |kind| matched.iter().any(|known: &NegotiatedExtension| known.kind == kind);
        if let Some(kind) = kind.filter(|kind| useful && !known(*kind)) {
            matched.push(NegotiatedExtension { id: extension.id, kind });
        }
    }
    matched
}

/// The `extmap` lines that answer those of the offer.
pub(crate) fn answer_extmaps(section: &Section, matched: &[NegotiatedExtension]) -> Vec<Extmap> {
    let of = |negotiated: &NegotiatedExtension| {
        let uri = negotiated.kind.uri();
        let same = |offered: &&Extmap| offered.id == negotiated.id && offered.uri == uri;
        let offered = section.extensions.iter().find(same);
        // RFC 8285 6: a direction is answered with its reverse.
        let direction = offered.and_then(|offered| offered.direction);
        let direction = direction.map(crate::section::Direction::reversed);
        Extmap { id: negotiated.id, direction, uri: uri.to_owned() }
    };
    matched.iter().map(of).collect()
}

/// The `rtpmap`, `fmtp` and `rtcp-fb` lines for negotiated payload types of the peer's section.
pub(crate) fn answer_payloads(section: &Section, matched: &[NegotiatedPayload]) -> Vec<Payload> {
    let mut payloads = Vec::new();
    for negotiated in matched {
        let Some(offered) = section.payload(negotiated.payload_type) else { continue };
        payloads.push(Payload { feedback: negotiated.feedback, ..offered.clone() });
        let rtx = negotiated.rtx_payload_type.and_then(|rtx| section.payload(rtx));
        payloads.extend(rtx.map(|rtx| Payload { feedback: Feedback::NONE, ..rtx.clone() }));
    }
    payloads
}
