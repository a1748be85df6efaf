//! Our own offers: the subscriber connection of LiveKit's first signalling version.

use crate::answer::{DataOptions, SendTrack, opus_parameters, write_track};
use crate::attributes::Extmap;
use crate::capabilities::Capabilities;
use crate::codec::Codec;
use crate::description::{Description, Origin};
use crate::error::NegotiationError;
use crate::feedback::Feedback;
use crate::payload::Payload;
use crate::section::{Direction, Kind, Section, Setup};
use crate::table::CodecEntry;
use crate::transport::LocalTransport;

/// One section of our offer. Sections never change their place, kind or mid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferSection {
    /// The mid.
    pub mid: String,
    /// What it carries.
    pub kind: Kind,
    /// Codecs, the preferred one first; empty for all of the kind.
    pub codecs: Vec<Codec>,
    /// The track that is sent; without one the section is empty and can be used again.
    pub track: Option<SendTrack>,
    /// Given up for good: written with port 0.
    pub stopped: bool,
}

/// Everything that an offer is made from.
#[derive(Clone, Copy, Debug)]
pub struct OfferRequest<'a> {
    /// The session id of this connection, and a version that rises with each offer.
    pub origin: Origin,
    /// Our end of the transport.
    pub local: &'a LocalTransport,
    /// What may be negotiated.
    pub capabilities: &'a Capabilities,
    /// What is said in sections of [`Kind::Application`].
    pub data: DataOptions,
    /// The sections in order.
    pub sections: &'a [OfferSection],
    /// Every section names all codecs of its kind behind its own: for a client that takes the first
    /// section of a kind for all that there will be.
    pub all_codecs: bool,
    /// What sections are that carry nothing. [`Direction::Inactive`], unless the client could not
    /// use them again then: [`Direction::RecvOnly`].
    pub empty: Direction,
}

/// Builds an offer.
///
/// # Errors
/// A section with a track has no codec that the client may have.
pub fn build_offer(request: &OfferRequest<'_>) -> Result<Description, NegotiationError> {
    let mut sections = Vec::new();
    for wanted in request.sections {
        sections.push(match wanted.kind {
            Kind::Application => data_section(request, wanted),
            Kind::Audio | Kind::Video => media_section(request, wanted)?,
        });
    }
    let alive = sections.iter().filter(|section| !section.is_rejected());
    let bundle: Vec<String> = alive.map(|section| section.mid.clone()).collect();
    for section in sections.iter_mut().filter(|section| !section.is_rejected()) {
        let first = bundle.first() == Some(&section.mid);
        // RFC 8842 5.2: an offer leaves the choice; clients answer `active`, or as before.
        section.transport = request.local.attributes(Setup::ActPass, first);
    }
    let (origin, ice_lite) = (request.origin, request.local.lite);
    Ok(Description { origin, bundle, ice_lite, sections })
}

fn data_section(request: &OfferRequest<'_>, wanted: &OfferSection) -> Section {
    let mut section = Section::new(Kind::Application, &wanted.mid);
    if wanted.stopped {
        section.port = 0;
    } else {
        section.sctp_port = Some(request.data.sctp_port);
        section.max_message_bytes = Some(request.data.max_message_bytes);
    }
    section
}

fn media_section(
    request: &OfferRequest<'_>,
    wanted: &OfferSection,
) -> Result<Section, NegotiationError> {
    let capabilities = request.capabilities;
    let mut section = Section::new(wanted.kind, &wanted.mid);
    let mut entries = own_entries(capabilities, wanted);
    let sent = wanted.track.as_ref().filter(|_| !wanted.stopped);
    if sent.is_some() && entries.is_empty() {
        return Err(NegotiationError::CannotSend { mid: wanted.mid.clone() });
    }
    if request.all_codecs {
        let own: Vec<u8> = entries.iter().map(|entry| entry.payload_type).collect();
        let all = capabilities.entries(wanted.kind, false, true);
        entries.extend(all.filter(|entry| !own.contains(&entry.payload_type)));
    }
    section.direction = if sent.is_some() { Direction::SendOnly } else { request.empty };
    for entry in &entries {
        write_entry(&mut section, capabilities, entry, sent);
    }
    let red = entries.iter().any(|entry| entry.codec == Codec::Red);
    if red && sent.is_some_and(|sent| sent.red) {
        for opus in section.payloads.iter_mut().filter(|payload| payload.is("opus")) {
            opus.feedback = opus.feedback.without(Feedback::NACK);
        }
    }
    if section.payloads.is_empty() {
        // RFC 8866 5.14: at least one format, though nobody will use it.
        section.payloads.push(Payload::bare(0));
    }
    if wanted.stopped {
        section.port = 0;
        section.payloads.truncate(1);
        return Ok(section);
    }
    section.rtcp_mux = true;
    section.rtcp_rsize = true;
    section.extmap_allow_mixed = true;
    let extmap = |kind: &crate::extension::ExtensionKind| Extmap {
        id: kind.offered_id(),
        direction: None,
        uri: kind.uri().to_owned(),
    };
    section.extensions = capabilities.extensions(wanted.kind).iter().map(extmap).collect();
    if let Some(sent) = sent {
        let rtx = capabilities.has_rtx() && entries.iter().any(|entry| entry.rtx.is_some());
        write_track(&mut section, sent, rtx);
    }
    Ok(section)
}

/// The rows of the table for a section, the preferred codec first.
fn own_entries(capabilities: &Capabilities, wanted: &OfferSection) -> Vec<CodecEntry> {
    let place = |codec| wanted.codecs.iter().position(|wish| *wish == codec);
    let all: Vec<CodecEntry> = capabilities.entries(wanted.kind, false, true).copied().collect();
    let has = |codec| all.iter().any(|entry| entry.codec == codec);
    let listed = |entry: &CodecEntry| {
        // RED refers to Opus, so it never stands alone.
        let inside = entry.codec == Codec::Opus && place(Codec::Red).is_some() && has(Codec::Red);
        wanted.codecs.is_empty() || place(entry.codec).is_some() || inside
    };
    let mut listed: Vec<CodecEntry> = all.iter().copied().filter(listed).collect();
    listed.sort_by_key(|entry| place(entry.codec).unwrap_or(wanted.codecs.len()));
    listed
}

fn write_entry(
    section: &mut Section,
    capabilities: &Capabilities,
    entry: &CodecEntry,
    sent: Option<&SendTrack>,
) {
    let codec = entry.codec;
    let opus = codec == Codec::Opus;
    section.payloads.push(Payload {
        payload_type: entry.payload_type,
        name: codec.name().to_owned(),
        clock_rate: codec.clock_rate(),
        channels: codec.channels(),
        fmtp: if opus { opus_parameters(None, sent) } else { entry.fmtp.to_owned() },
        feedback: capabilities.feedback(codec),
    });
    if let Some(rtx) = entry.rtx.filter(|_| capabilities.has_rtx()) {
        section.payloads.push(Payload {
            payload_type: rtx,
            name: "rtx".to_owned(),
            clock_rate: codec.clock_rate(),
            channels: 1,
            fmtp: format!("apt={}", entry.payload_type),
            feedback: Feedback::NONE,
        });
    }
}
