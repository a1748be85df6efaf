//! Our side of SDP: the offer of what we publish, the answer to what the server sends, and what
//! either agreed on.

use std::net::SocketAddr;

use ringway_proto::dtls;
use ringway_proto::ice::IceCredentials;
use ringway_sdp::{
    Candidate, CandidateAddress, CandidateTransport, Description, Direction, Extmap, Feedback,
    Fingerprint, HashAlgorithm, Kind, Msid, Origin, Payload, Rid, Section, Setup, Simulcast,
    Source, SourceGroup, SourceSemantics, TransportAttributes,
};

use crate::call::random::Random;
use crate::call::scenario::CallScenario;
use crate::call::track::{
    ExtensionIds, IncomingTrack, MediaKind, OutgoingTrack, PublishedTrack, RemoteEnd,
};

const OPUS: u8 = 111;
const VP8: u8 = 96;
const VP8_RTX: u8 = 97;

const MID: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
const RID: &str = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id";
const REPAIRED_RID: &str = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id";
const AUDIO_LEVEL: &str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";
const SEND_TIME: &str = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time";
const TRANSPORT_SEQUENCE: &str =
    "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";

/// Our end of one peer connection.
#[derive(Clone, Debug)]
pub(super) struct LocalEnd {
    ufrag: String,
    password: String,
    fingerprint: Fingerprint,
    origin: Origin,
}

impl LocalEnd {
    pub(super) fn new(random: &mut Random, certificate: &dtls::Fingerprint) -> Self {
        let fingerprint =
            Fingerprint { algorithm: HashAlgorithm::Sha256, digest: certificate.bytes().to_vec() };
        let (ufrag, password) = (random.word(8), random.word(24));
        Self { ufrag, password, fingerprint, origin: Origin::new(random.next_number()) }
    }

    fn transport(&self) -> TransportAttributes {
        TransportAttributes {
            ufrag: self.ufrag.clone(),
            pwd: self.password.clone(),
            ice_options: vec!["trickle".to_owned()],
            fingerprints: vec![self.fingerprint.clone()],
            // Also in offers: whoever is loaded shall be the DTLS server, as servers usually are.
            setup: Some(Setup::Active),
            ..TransportAttributes::default()
        }
    }

    /// The offer of a publisher: what the scenario has, each with its track's id.
    pub(super) fn offer(&self, scenario: &CallScenario, tracks: &[PublishedTrack]) -> String {
        let mut sections = Vec::new();
        for track in tracks {
            let mut section = match track.kind {
                MediaKind::Audio => audio_section(&sections.len().to_string()),
                MediaKind::Video => video_section(&sections.len().to_string(), scenario),
            };
            section.direction = Direction::SendOnly;
            section.msids = vec![Msid { stream: "load".into(), track: Some(track.cid.clone()) }];
            name_ssrcs(&mut section, track);
            section.transport = self.transport();
            (section.rtcp_mux, section.rtcp_rsize) = (true, true);
            sections.push(section);
        }
        if scenario.data.is_some() {
            let mut section = Section::new(Kind::Application, &sections.len().to_string());
            section.transport = self.transport();
            section.sctp_port = Some(5000);
            section.max_message_bytes = Some(65_535);
            sections.push(section);
        }
        let bundle = sections.iter().map(|section| section.mid.clone()).collect();
        Description { origin: self.origin, bundle, ice_lite: false, sections }.to_string()
    }

    /// The answer to an offer of the server's; every call counts as a new version.
    pub(super) fn answer(&mut self, offer: &Description) -> String {
        let sections: Vec<Section> =
            offer.sections.iter().map(|offered| self.answer_section(offered)).collect();
        let live = sections.iter().filter(|section| section.port != 0);
        let bundle = live.map(|section| section.mid.clone()).collect();
        let origin = self.origin;
        self.origin = origin.next();
        Description { origin, bundle, ice_lite: false, sections }.to_string()
    }

    fn answer_section(&self, offered: &Section) -> Section {
        let mut section = Section::new(offered.kind, &offered.mid);
        section.protocol = offered.protocol.clone();
        section.transport = self.transport();
        if offered.kind == Kind::Application {
            section.format = offered.format.clone();
            section.sctp_port = Some(5000);
            section.max_message_bytes = Some(65_535);
        } else {
            section.payloads = wanted_payloads(offered);
            section.extensions = wanted_extensions(offered, &section.payloads);
            (section.rtcp_mux, section.rtcp_rsize) = (true, offered.rtcp_rsize);
            let receives = offered.direction.sends() && !section.payloads.is_empty();
            section.direction = if receives { Direction::RecvOnly } else { Direction::Inactive };
        }
        if offered.is_rejected() || (section.payloads.is_empty() && section.format.is_empty()) {
            section.port = 0;
            section.payloads = offered.payloads.clone();
        }
        section
    }

    /// Both ends together; `None` when the server's is incomplete.
    pub(super) fn join(
        &self,
        description: &Description,
        trickled: &[SocketAddr],
    ) -> Option<RemoteEnd> {
        let section = description.transport_section()?;
        let transport = &section.transport;
        let found = transport.candidates.iter().find_map(usable_address);
        let fingerprint = transport
            .fingerprints
            .iter()
            .find(|fingerprint| fingerprint.algorithm == HashAlgorithm::Sha256)?;
        Some(RemoteEnd {
            local: IceCredentials::new(self.ufrag.as_bytes(), self.password.as_bytes())?,
            remote: IceCredentials::new(transport.ufrag.as_bytes(), transport.pwd.as_bytes())?,
            fingerprint: dtls::Fingerprint::new(dtls::HashAlgorithm::Sha256, &fingerprint.digest)?,
            address: found.or_else(|| trickled.first().copied())?,
        })
    }
}

/// Servers tell streams without a rid by their SSRC.
fn name_ssrcs(section: &mut Section, track: &PublishedTrack) {
    let Some((media, repair)) = track.ssrcs else { return };
    let source = |ssrc| Source { ssrc, cname: Some("load".to_owned()), msid: None };
    section.sources = vec![source(media)];
    if track.kind == MediaKind::Video {
        section.sources.push(source(repair));
        let (semantics, ssrcs) = (SourceSemantics::Fid, vec![media, repair]);
        section.source_groups = vec![SourceGroup { semantics, ssrcs }];
    }
}

fn audio_section(mid: &str) -> Section {
    let mut section = Section::new(Kind::Audio, mid);
    section.payloads = vec![Payload {
        payload_type: OPUS,
        name: "opus".into(),
        clock_rate: 48_000,
        channels: 2,
        fmtp: "minptime=10;useinbandfec=1;usedtx=1".into(),
        feedback: Feedback::NACK,
    }];
    section.extensions = extensions(&[MID, AUDIO_LEVEL]);
    section
}

fn video_section(mid: &str, scenario: &CallScenario) -> Section {
    let mut section = Section::new(Kind::Video, mid);
    let feedback = Feedback::NACK | Feedback::NACK_PLI | Feedback::CCM_FIR | Feedback::TRANSPORT_CC;
    let payload = |payload_type, name: &str, fmtp: &str, feedback| Payload {
        payload_type,
        name: name.into(),
        clock_rate: 90_000,
        channels: 1,
        fmtp: fmtp.into(),
        feedback,
    };
    section.payloads = vec![
        payload(VP8, "VP8", "", feedback),
        payload(VP8_RTX, "rtx", &format!("apt={VP8}"), Feedback::NONE),
    ];
    section.extensions = extensions(&[MID, RID, REPAIRED_RID, TRANSPORT_SEQUENCE]);
    let layers = scenario.video.iter().flat_map(|video| &video.layers);
    let rids: Vec<String> = layers.map(|layer| layer.rid.clone()).collect();
    if rids.len() > 1 {
        let rid = |id: &String| Rid { id: id.clone(), sends: true, restrictions: String::new() };
        section.rids = rids.iter().map(rid).collect();
        section.simulcast = Some(Simulcast { send: rids, receive: Vec::new() });
    }
    section
}

/// One id for each URI, the same in all sections.
fn extensions(uris: &[&str]) -> Vec<Extmap> {
    const ORDER: [&str; 5] = [MID, RID, REPAIRED_RID, AUDIO_LEVEL, TRANSPORT_SEQUENCE];
    let wanted = ORDER.iter().zip(1..).filter(|(uri, _)| uris.contains(uri));
    wanted.map(|(uri, id)| Extmap { id, direction: None, uri: (*uri).to_owned() }).collect()
}

/// Opus, or VP8 with its retransmissions, with the feedback that we give.
fn wanted_payloads(offered: &Section) -> Vec<Payload> {
    let name = if offered.kind == Kind::Audio { "opus" } else { "VP8" };
    let Some(main) = offered.payloads.iter().find(|payload| payload.is(name)) else {
        return Vec::new();
    };
    let repair = offered
        .payloads
        .iter()
        .find(|payload| payload.is("rtx") && payload.associated() == Some(main.payload_type));
    let mut main = main.clone();
    // A receiver's estimate where the server takes one, else reports on every packet.
    let estimate = if main.feedback.contains(Feedback::GOOG_REMB) {
        Feedback::GOOG_REMB
    } else {
        Feedback::TRANSPORT_CC
    };
    let known = [Feedback::NACK, Feedback::NACK_PLI, Feedback::CCM_FIR, estimate];
    let both = known.into_iter().filter(|kind| main.feedback.contains(*kind));
    main.feedback = both.fold(Feedback::NONE, Feedback::union);
    std::iter::once(main).chain(repair.cloned()).collect()
}

fn wanted_extensions(offered: &Section, payloads: &[Payload]) -> Vec<Extmap> {
    let remb =
        payloads.first().is_some_and(|payload| payload.feedback.contains(Feedback::GOOG_REMB));
    let wanted = |extension: &&Extmap| match extension.uri.as_str() {
        SEND_TIME => remb,
        TRANSPORT_SEQUENCE => !remb,
        _ => false,
    };
    offered.extensions.iter().filter(wanted).cloned().collect()
}

/// What the server's answer lets us send.
pub(super) fn outgoing(answer: &Description, tracks: &[PublishedTrack]) -> Vec<OutgoingTrack> {
    let track = |(section, published): (&Section, &PublishedTrack)| {
        if section.is_rejected() || !section.direction.receives() {
            return None;
        }
        let kind = media_kind(section.kind)?;
        let name = if kind == MediaKind::Audio { "opus" } else { "VP8" };
        let payload_type = section.payloads.iter().find(|payload| payload.is(name))?.payload_type;
        let repairs = section.repairs();
        Some(OutgoingTrack {
            kind,
            mid: section.mid.clone(),
            ssrcs: published.ssrcs,
            payload_type,
            rtx_payload_type: repairs.get(usize::from(payload_type)).copied().flatten(),
            extensions: extension_ids(section),
        })
    };
    // RFC 8829 5.3.1: an answer has the sections of the offer, in its order.
    answer.sections.iter().zip(tracks).filter_map(track).collect()
}

/// The streams that an offer of the server's announces, by what we answered.
pub(super) fn incoming(offer: &Description, answer: &Description) -> Vec<IncomingTrack> {
    let mut tracks = Vec::new();
    for (offered, answered) in offer.sections.iter().zip(&answer.sections) {
        let (Some(kind), Some(payload)) = (media_kind(offered.kind), answered.payloads.first())
        else {
            continue;
        };
        if answered.direction != Direction::RecvOnly {
            continue;
        }
        let pairs: Vec<&Vec<u32>> = offered
            .source_groups
            .iter()
            .filter(|group| group.semantics == SourceSemantics::Fid && group.ssrcs.len() == 2)
            .map(|group| &group.ssrcs)
            .collect();
        let repairs = answered.repairs();
        for source in &offered.sources {
            if pairs.iter().any(|pair| pair[1] == source.ssrc) {
                continue;
            }
            tracks.push(IncomingTrack {
                kind,
                ssrc: source.ssrc,
                rtx_ssrc: pairs.iter().find(|pair| pair[0] == source.ssrc).map(|pair| pair[1]),
                payload_type: payload.payload_type,
                rtx_payload_type: repairs.get(usize::from(payload.payload_type)).copied().flatten(),
                nack: payload.feedback.contains(Feedback::NACK),
                remb: payload.feedback.contains(Feedback::GOOG_REMB),
                transport_sequence: extension_ids(answered).transport_sequence,
            });
        }
    }
    tracks
}

fn media_kind(kind: Kind) -> Option<MediaKind> {
    match kind {
        Kind::Audio => Some(MediaKind::Audio),
        Kind::Video => Some(MediaKind::Video),
        Kind::Application => None,
    }
}

fn extension_ids(section: &Section) -> ExtensionIds {
    let id = |uri: &str| {
        let found = section.extensions.iter().find(|extension| extension.uri == uri);
        found.map_or(0, |extension| extension.id)
    };
    ExtensionIds {
        mid: id(MID),
        rid: id(RID),
        repaired_rid: id(REPAIRED_RID),
        audio_level: id(AUDIO_LEVEL),
        transport_sequence: id(TRANSPORT_SEQUENCE),
        send_time: id(SEND_TIME),
    }
}

/// The address of a candidate that we can send to: UDP over IPv4, for RTP.
fn usable_address(candidate: &Candidate) -> Option<SocketAddr> {
    let CandidateAddress::Ip(ip) = candidate.address else { return None };
    let usable = candidate.transport == CandidateTransport::Udp && candidate.component == 1;
    (usable && ip.is_ipv4()).then(|| SocketAddr::new(ip, candidate.port))
}

/// The address in a trickled candidate.
pub(super) fn trickled_address(candidate_init: &str) -> Option<SocketAddr> {
    let init: serde_json::Value = serde_json::from_str(candidate_init).ok()?;
    usable_address(&Candidate::parse(init["candidate"].as_str()?).ok()?)
}

#[cfg(test)]
#[path = "describe_tests.rs"]
mod tests;
