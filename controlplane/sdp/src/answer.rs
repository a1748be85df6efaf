//! Answering a client's offer: publisher connections, single peer connections, WHIP and WHEP.
//!
//! Payload types and extension ids are those of the offer, in every section and every round. We are
//! the DTLS server, unless the offer says that the client is, and everything shares one transport.

use crate::attributes::{Msid, Rid, Simulcast, Source, SourceGroup, SourceSemantics};
use crate::capabilities::{Capabilities, Purpose};
use crate::codec::Codec;
use crate::description::{Description, Origin};
use crate::encodings::{Encodings, MAX_ENCODINGS};
use crate::error::NegotiationError;
use crate::extension::ExtensionKind;
use crate::feedback::Feedback;
use crate::media_map::MediaMap;
use crate::negotiated::{
    NegotiatedData, NegotiatedSection, Rejection, answer_extmaps, answer_payloads,
    match_extensions, match_payloads, sort_payloads,
};
use crate::section::{Direction, Kind, Section, Setup};
use crate::transport::{LocalTransport, RemoteTransport};

/// The longest canonical name. RFC 3550 6.5 allows 255 octets, but each report repeats it; a
/// participant's sid and the name of a stream have about 50.
pub const MAX_CNAME_BYTES: usize = 64;

/// What we would like in one section of the offer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SectionWish {
    /// The section.
    pub mid: String,
    /// Codecs to put first, in this order; the client sends the first that it can.
    pub prefer: Vec<Codec>,
    /// The client may stop sending during silence (Opus).
    pub dtx: bool,
    /// The client shall send stereo (Opus).
    pub stereo: bool,
}

/// A track that we send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SendTrack {
    /// The stream id, such as `PA_…|TR_…`.
    pub stream: String,
    /// The track id.
    pub track: String,
    /// Our SSRC.
    pub ssrc: u32,
    /// Our SSRC for retransmissions; left out where they are not negotiated.
    pub rtx_ssrc: Option<u32>,
    /// The publisher sends stereo (Opus).
    pub stereo: bool,
    /// The publisher sends RED: who takes that needs no Opus sent again.
    pub red: bool,
}

impl SendTrack {
    /// The canonical name of the SSRCs: the stream's id, or as much of it as RTCP has room for.
    pub fn cname(&self) -> &str {
        cname(&self.stream)
    }
}

/// The canonical name of what belongs to `stream`. RFC 8834 4.8: streams that play together have
/// one.
pub fn cname(stream: &str) -> &str {
    &stream[..stream.floor_char_boundary(MAX_CNAME_BYTES)]
}

/// What we say of data channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataOptions {
    /// Our SCTP port, 5000 by custom.
    pub sctp_port: u16,
    /// Largest message that we take, in bytes.
    pub max_message_bytes: u64,
}

/// Everything that an answer is made from.
#[derive(Clone, Copy, Debug)]
pub struct AnswerRequest<'a> {
    /// The client's offer.
    pub offer: &'a Description,
    /// The session id of this connection, and a version that rises with each answer.
    pub origin: Origin,
    /// Our end of the transport.
    pub local: &'a LocalTransport,
    /// What may be negotiated.
    pub capabilities: &'a Capabilities,
    /// What is said in the section of data channels.
    pub data: DataOptions,
    /// Wishes by mid; sections without one are answered in the offer's order.
    pub wishes: &'a [SectionWish],
    /// Tracks to send, by mid; see [`crate::place_tracks`].
    pub sends: &'a [(String, SendTrack)],
    /// An offer of which nothing can be accepted is an error, and so is one of whose media nothing
    /// can be, data or not (WHIP, WHEP).
    pub one_shot: bool,
}

/// An answer, and what it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What to send to the client.
    pub description: Description,
    /// Sections of audio and video, in the offer's order.
    pub sections: Vec<NegotiatedSection>,
    /// The section of data channels.
    pub data: Option<NegotiatedData>,
    /// The client's end of the transport.
    pub remote: RemoteTransport,
    /// What all numbers mean on the transport.
    pub media: MediaMap,
    /// Which of our tracks is sent in which section (LiveKit's `mid_to_track_id`).
    pub mid_to_track: Vec<(String, String)>,
}

/// Answers an offer.
///
/// # Errors
/// The offer cannot be met as a whole; single sections are rejected within the answer.
pub fn answer(request: &AnswerRequest<'_>) -> Result<Answer, NegotiationError> {
    let offer = request.offer;
    check_bundle(offer)?;
    let first = offer.transport_section().ok_or(NegotiationError::NothingAccepted)?;
    let remote = RemoteTransport::read(offer, first, request.local.lite)?;
    let begins = remote.is_begun_by_us(request.local.begins)?;
    let mut data = None;
    let mut outcomes = Vec::new();
    let mut sections = Vec::new();
    for (index, offered) in offer.sections.iter().enumerate() {
        if offered.kind == Kind::Application {
            let accepted = data.is_none() && accepts_data(offered);
            if accepted {
                data = Some(NegotiatedData::read(offered));
            }
            sections.push(answer_data(request, offered, accepted));
        } else {
            let outcome = negotiate(request, index, offered)?;
            sections.push(answer_media(request, offered, &outcome));
            outcomes.push(outcome);
        }
    }
    let setup = if begins { Setup::Active } else { Setup::Passive };
    let bundle = attach_transport(request, setup, &mut sections);
    // Who sends data alone is content with data; who sends media too is not.
    let met = match outcomes.is_empty() {
        true => data.is_some(),
        false => outcomes.iter().any(|outcome| outcome.rejection.is_none()),
    };
    if request.one_shot && !met {
        return Err(NegotiationError::NothingAccepted);
    }
    let media = MediaMap::of(&outcomes)?;
    let description =
        Description { origin: request.origin, bundle, ice_lite: request.local.lite, sections };
    Ok(Answer {
        description,
        sections: outcomes,
        data,
        remote,
        media,
        mid_to_track: request.sends.iter().map(|(mid, s)| (mid.clone(), s.track.clone())).collect(),
    })
}

/// RFC 8843: everything that is alive must share one transport, for we have one.
pub(crate) fn check_bundle(description: &Description) -> Result<(), NegotiationError> {
    let alive = || description.sections.iter().filter(|section| !section.is_rejected());
    let bundle: std::collections::HashSet<&str> =
        description.bundle.iter().map(String::as_str).collect();
    let several = alive().nth(1).is_some();
    for (index, section) in description.sections.iter().enumerate() {
        if section.is_rejected() {
            continue;
        }
        if section.mid.is_empty() {
            return Err(NegotiationError::NoMid { index });
        }
        if several && !bundle.contains(section.mid.as_str()) {
            return Err(NegotiationError::NotBundled { mid: section.mid.clone() });
        }
    }
    Ok(())
}

fn accepts_data(offered: &Section) -> bool {
    let protocol = ["UDP/DTLS/SCTP", "TCP/DTLS/SCTP"].contains(&offered.protocol.as_str());
    let format = offered.format == "webrtc-datachannel";
    !offered.is_rejected() && protocol && format
}

/// RFC 8829 5.1.2: the names under which RTP over DTLS must be accepted.
fn is_rtp_over_dtls(protocol: &str) -> bool {
    ["UDP/TLS/RTP/SAVPF", "TCP/TLS/RTP/SAVPF", "TCP/DTLS/RTP/SAVPF", "RTP/SAVPF"]
        .contains(&protocol)
}

/// Decides about one section of audio or video.
fn negotiate(
    request: &AnswerRequest<'_>,
    index: usize,
    offered: &Section,
) -> Result<NegotiatedSection, NegotiationError> {
    let capabilities = request.capabilities;
    let mut outcome = NegotiatedSection::new(index, offered);
    let may_receive = offered.direction.sends() && capabilities.purpose != Purpose::Subscriber;
    let may_send = offered.direction.receives() && capabilities.purpose != Purpose::Publisher;
    let assigned = request.sends.iter().any(|(mid, _)| *mid == offered.mid);
    outcome.payloads = match_payloads(offered, capabilities, may_receive, may_send);
    outcome.rejection = if offered.is_rejected() {
        Some(Rejection::ByPeer)
    } else if !is_rtp_over_dtls(&offered.protocol) {
        Some(Rejection::Protocol)
    } else if !offered.rtcp_mux {
        Some(Rejection::NoRtcpMux)
    } else if outcome.payloads.is_empty() {
        Some(Rejection::NoCodec)
    } else {
        None
    };
    if assigned && (outcome.rejection.is_some() || !may_send) {
        return Err(NegotiationError::CannotSend { mid: offered.mid.clone() });
    }
    if outcome.rejection.is_some() {
        outcome.payloads.clear();
        return Ok(outcome);
    }
    outcome.receives = may_receive;
    outcome.sends = may_send && assigned;
    outcome.reduced_rtcp = offered.rtcp_rsize;
    if let Some(wish) = wish_of(request, &offered.mid) {
        prefer(&mut outcome, wish, capabilities);
    }
    outcome.extensions = match_extensions(offered, capabilities, may_receive, may_send);
    if outcome.receives {
        outcome.msid = offered.msid().cloned();
        let rids = accepted_rids(capabilities, offered, &outcome);
        outcome.encodings = if rids.is_empty() {
            Encodings::of_sources(offered)
        } else {
            Encodings::Rids(rids.into_iter().map(|rid| rid.id).collect())
        };
    }
    Ok(outcome)
}

fn wish_of<'a>(request: &AnswerRequest<'a>, mid: &str) -> Option<&'a SectionWish> {
    request.wishes.iter().find(|wish| wish.mid == mid)
}

fn prefer(outcome: &mut NegotiatedSection, wish: &SectionWish, capabilities: &Capabilities) {
    sort_payloads(&mut outcome.payloads, &wish.prefer);
    let first = outcome.payloads.first().map(|payload| payload.codec);
    let wished = first.filter(|codec| wish.prefer.contains(codec));
    if let Some(codec) = wished
        && outcome.receives
        && outcome.kind == Kind::Video
        && capabilities.ignores_codec_order()
    {
        outcome.payloads.retain(|p| p.codec == codec || p.codec == Codec::FlexFec);
    }
}

/// The offered encodings that we take, with the restrictions under which we take them.
// RFC 8853 5.3.2, RFC 8851 6.3.
fn accepted_rids(
    capabilities: &Capabilities,
    offered: &Section,
    outcome: &NegotiatedSection,
) -> Vec<Rid> {
    let has_rid = outcome.extensions.iter().any(|e| e.kind == ExtensionKind::Rid);
    let simulcast = offered.simulcast.as_ref().filter(|_| has_rid);
    // Also where nothing flows for now: Chromium gives up the layers that an answer leaves out.
    if offered.kind != Kind::Video || capabilities.purpose == Purpose::Subscriber {
        return Vec::new();
    }
    let order = simulcast.map(|simulcast| simulcast.send.as_slice()).unwrap_or_default();
    let offered_rid = |id: &String| offered.rids.iter().find(|rid| rid.sends && rid.id == *id);
    let accept = |rid: &Rid| {
        let restrictions = narrow(&rid.restrictions, outcome)?;
        Some(Rid { id: rid.id.clone(), sends: false, restrictions })
    };
    order.iter().filter_map(offered_rid).filter_map(accept).take(MAX_ENCODINGS).collect()
}

/// Restrictions with only payload types that are negotiated; nothing if none of them is.
fn narrow(restrictions: &str, outcome: &NegotiatedSection) -> Option<String> {
    let mut kept = Vec::new();
    for restriction in restrictions.split(';').filter(|text| !text.is_empty()) {
        let Some(list) = restriction.trim().strip_prefix("pt=") else {
            kept.push(restriction.to_owned());
            continue;
        };
        let known = |number: &&str| {
            number.parse().is_ok_and(|n: u8| outcome.payloads.iter().any(|p| p.payload_type == n))
        };
        let list: Vec<&str> = list.split(',').filter(known).collect();
        if list.is_empty() {
            return None;
        }
        kept.push(format!("pt={}", list.join(",")));
    }
    Some(kept.join(";"))
}

/// A section of the answer that mirrors the offer's.
fn mirror(offered: &Section) -> Section {
    Section {
        protocol: offered.protocol.clone(),
        format: offered.format.clone(),
        ..Section::new(offered.kind, &offered.mid)
    }
}

fn answer_data(request: &AnswerRequest<'_>, offered: &Section, accepted: bool) -> Section {
    let mut section = mirror(offered);
    if accepted {
        section.sctp_port = Some(request.data.sctp_port);
        section.max_message_bytes = Some(request.data.max_message_bytes);
    } else {
        section.port = 0;
    }
    section
}

fn answer_media(
    request: &AnswerRequest<'_>,
    offered: &Section,
    outcome: &NegotiatedSection,
) -> Section {
    let mut section = mirror(offered);
    if outcome.rejection.is_some() {
        // RFC 3264 6: port 0, and at least one format.
        section.port = 0;
        section.direction = Direction::Inactive;
        section.payloads = offered.payloads.iter().take(1).cloned().collect();
        return section;
    }
    section.direction = Direction::of(outcome.sends, outcome.receives);
    section.rtcp_mux = true;
    section.rtcp_rsize = offered.rtcp_rsize;
    section.extmap_allow_mixed = offered.extmap_allow_mixed;
    section.extensions = answer_extmaps(offered, &outcome.extensions);
    section.payloads = answer_payloads(offered, &outcome.payloads);
    let wish = wish_of(request, &offered.mid);
    let sent = request.sends.iter().find(|(mid, _)| *mid == offered.mid).map(|(_, sent)| sent);
    let red = outcome.payloads.iter().any(|payload| payload.codec == Codec::Red);
    let repairs_itself = red && !outcome.receives && sent.is_some_and(|sent| sent.red);
    for payload in section.payloads.iter_mut().filter(|payload| payload.is("opus")) {
        payload.fmtp = opus_parameters(wish.filter(|_| outcome.receives), sent);
        if repairs_itself {
            payload.feedback = payload.feedback.without(Feedback::NACK);
        }
    }
    let rids = accepted_rids(request.capabilities, offered, outcome);
    if !rids.is_empty() {
        let receive = rids.iter().map(|rid| rid.id.clone()).collect();
        section.simulcast = Some(Simulcast { send: Vec::new(), receive });
        section.rids = rids;
    }
    if let Some(sent) = sent {
        let rtx = outcome.payloads.iter().any(|payload| payload.rtx_payload_type.is_some());
        write_track(&mut section, sent, rtx);
    }
    section
}

/// What we say of Opus. RFC 7587 6.1: parameters tell the sender what the receiver likes,
/// `sprop-` ones what the sender does.
pub(crate) fn opus_parameters(wish: Option<&SectionWish>, sent: Option<&SendTrack>) -> String {
    let mut fmtp = String::from("minptime=10;useinbandfec=1");
    if wish.is_some_and(|wish| wish.dtx) {
        fmtp.push_str(";usedtx=1");
    }
    if wish.is_some_and(|wish| wish.stereo) {
        fmtp.push_str(";stereo=1;maxaveragebitrate=510000");
    }
    if sent.is_some_and(|sent| sent.stereo) {
        fmtp.push_str(";sprop-stereo=1");
    }
    fmtp
}

/// Says which track a section of ours sends, and with which SSRCs.
pub(crate) fn write_track(section: &mut Section, sent: &SendTrack, rtx: bool) {
    let msid = Msid { stream: sent.stream.clone(), track: Some(sent.track.clone()) };
    let cname = || Some(sent.cname().to_owned());
    let source = |ssrc| Source { ssrc, cname: cname(), msid: Some(msid.clone()) };
    section.sources.push(source(sent.ssrc));
    if let Some(rtx_ssrc) = sent.rtx_ssrc.filter(|_| rtx) {
        section.sources.push(source(rtx_ssrc));
        let ssrcs = vec![sent.ssrc, rtx_ssrc];
        section.source_groups.push(SourceGroup { semantics: SourceSemantics::Fid, ssrcs });
    }
    section.msids.push(msid);
}

/// Writes our end of the transport into every accepted section and gives the BUNDLE group.
fn attach_transport(
    request: &AnswerRequest<'_>,
    setup: Setup,
    sections: &mut [Section],
) -> Vec<String> {
    let accepted =
        |mid: &String| sections.iter().any(|section| section.mid == *mid && !section.is_rejected());
    // RFC 8843 7.3.1: the order of the offer, without what is rejected.
    let bundle: Vec<String> =
        request.offer.bundle.iter().filter(|mid| accepted(mid)).cloned().collect();
    let alone = || sections.iter().find(|section| !section.is_rejected());
    let first = bundle.first().cloned().or_else(|| alone().map(|section| section.mid.clone()));
    for section in sections.iter_mut().filter(|section| !section.is_rejected()) {
        let is_first = first.as_ref() == Some(&section.mid);
        section.transport = request.local.attributes(setup, is_first);
    }
    bundle
}
