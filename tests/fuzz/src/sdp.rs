//! SDP: whatever is read can be written and reads the same; whatever is negotiated is a
//! description, too; fragments and candidates likewise.

use ringway_sdp::{
    AnswerRequest, Candidate, Capabilities, CapabilityOptions, Codec, DataOptions, Description,
    Fingerprint, Fragment, Gates, HashAlgorithm, LocalTransport, MAX_LINES, NegotiatedSection,
    Origin, Purpose, SendTrack, WantedTrack, accept_answer, answer, default_codecs,
    host_candidates, place_tracks,
};

/// Reads `data` as each kind of text and negotiates what is a description.
pub fn sdp(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(candidate) = Candidate::parse(text) {
        assert_eq!(Candidate::parse(&candidate.to_string()), Ok(candidate));
    }
    if let Ok(fragment) = Fragment::parse(text) {
        check_again(&fragment.to_string(), &fragment, |text| Fragment::parse(text).ok());
    }
    let Ok(description) = Description::parse(text) else { return };
    check_again(&description.to_string(), &description, |text| Description::parse(text).ok());
    let local = local();
    for purpose in [Purpose::Publisher, Purpose::Subscriber, Purpose::Single] {
        let capabilities = capabilities(purpose);
        let ours = check_answer(&description, &capabilities, &local);
        // What is an offer to us may be an answer to our own words just as well.
        if let Some(ours) = ours
            && let Ok(accepted) = accept_answer(&ours, &description, &capabilities)
        {
            check_sections(&accepted.sections);
        }
    }
}

/// Inherited attributes and wildcards may make a text longer than what is read.
fn check_again<T: PartialEq + std::fmt::Debug>(
    written: &str,
    value: &T,
    read: impl Fn(&str) -> Option<T>,
) {
    if written.lines().count() < MAX_LINES {
        assert_eq!(read(written).as_ref(), Some(value));
    }
}

fn local() -> LocalTransport {
    let algorithm = HashAlgorithm::Sha256;
    let address = ([192, 0, 2, 1], 7882).into();
    LocalTransport {
        ufrag: "abcd".to_owned(),
        pwd: "0123456789abcdef012345".to_owned(),
        fingerprint: Fingerprint { algorithm, digest: vec![7; algorithm.digest_bytes()] },
        lite: true,
        begins: None,
        candidates: host_candidates(&[address], &[address]),
    }
}

fn capabilities(purpose: Purpose) -> Capabilities {
    Capabilities::new(&CapabilityOptions {
        purpose,
        enabled: &default_codecs(),
        gates: &Gates::default(),
        send_side_estimate: false,
        playout_delay: true,
        flexfec: true,
        h264_high: true,
    })
}

/// Answers with tracks in every section that takes one.
fn check_answer(
    offer: &Description,
    capabilities: &Capabilities,
    local: &LocalTransport,
) -> Option<Description> {
    let wanted = [
        WantedTrack { track: "a", codec: Codec::Opus, fmtp: "" },
        WantedTrack { track: "v", codec: Codec::Vp8, fmtp: "" },
        WantedTrack { track: "h", codec: Codec::H264, fmtp: "packetization-mode=1" },
    ];
    let placement = place_tracks(offer, capabilities, &[], &[], &wanted);
    let sends = placement.placed.into_iter().zip(1..).map(|(placed, ssrc)| {
        let track = SendTrack { track: placed.track, ssrc, ..SendTrack::default() };
        (placed.mid, SendTrack { stream: "s".to_owned(), rtx_ssrc: Some(ssrc + 10), ..track })
    });
    let sends: Vec<_> = sends.collect();
    let publisher = capabilities.purpose == Purpose::Publisher;
    let answer = answer(&AnswerRequest {
        offer,
        origin: Origin::new(1),
        local,
        capabilities,
        data: DataOptions { sctp_port: 5000, max_message_bytes: 65_535 },
        wishes: &[],
        sends: if publisher { &[] } else { &sends },
        one_shot: false,
    });
    let answer = answer.ok()?;
    assert_eq!(answer.description.sections.len(), offer.sections.len());
    check_again(&answer.description.to_string(), &answer.description, |text| {
        Description::parse(text).ok()
    });
    check_sections(&answer.sections);
    Some(answer.description)
}

fn check_sections(sections: &[NegotiatedSection]) {
    for section in sections {
        assert_eq!(section.payloads.is_empty(), section.rejection.is_some());
        assert!(section.rejection.is_none() || !(section.sends || section.receives));
        assert!(section.extensions.iter().all(|extension| extension.id > 0));
        assert!(section.payloads.iter().all(|payload| payload.payload_type < 128));
    }
}
