//! What the tests of this folder negotiate with: recorded descriptions of real clients, and our
//! end.

use ringway_sdp::{
    Answer, AnswerRequest, Capabilities, CapabilityOptions, Codec, DataOptions, Description,
    Direction, Fingerprint, Gates, HashAlgorithm, Kind, LocalTransport, NegotiationError,
    OfferRequest, Origin, Purpose, SectionWish, SendSections, SendTrack, answer, build_offer,
    default_codecs, host_candidates,
};

macro_rules! samples {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../data/", $name, ".sdp")))),*]
    };
}

/// Recorded from Chromium 156, Firefox 153, aiortc 1.16 and GStreamer 1.22. Firefox and Chromium
/// answered the offers of [`subscriber_offer`], one file for each round.
pub(crate) const SAMPLES: &[(&str, &str)] = samples![
    "aiortc-publish",
    "aiortc-subscriber-answer-1",
    "aiortc-whep",
    "chromium-publish-h264",
    "chromium-publish-restart",
    "chromium-publish-second",
    "chromium-publish-vp8",
    "chromium-single-empty",
    "chromium-single-publishing",
    "chromium-subscriber-answer-1",
    "chromium-subscriber-answer-2",
    "chromium-subscriber-answer-3",
    "chromium-subscriber-answer-4",
    "chromium-whep",
    "firefox-publish-vp8",
    "firefox-single-publishing",
    "firefox-subscriber-answer-1",
    "firefox-subscriber-answer-4",
    "firefox-whep",
    "gstreamer-publish",
];

/// The text of a sample.
pub(crate) fn text(name: &str) -> &'static str {
    SAMPLES.iter().find(|(known, _)| *known == name).expect("a sample of that name").1
}

/// A sample, read.
pub(crate) fn sample(name: &str) -> Description {
    Description::parse(text(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Our end.
pub(crate) fn local() -> LocalTransport {
    let address = |text: &str| text.parse().expect("an address");
    LocalTransport {
        ufrag: "abcdEFGH".to_owned(),
        pwd: "0123456789abcdef0123456789".to_owned(),
        fingerprint: Fingerprint { algorithm: HashAlgorithm::Sha256, digest: (0..32).collect() },
        lite: true,
        begins: None,
        candidates: host_candidates(
            &[address("192.0.2.9:7882"), address("[2001:db8::9]:7882")],
            &[address("192.0.2.9:7881")],
        ),
    }
}

/// Everything that is on by default.
pub(crate) fn capabilities(purpose: Purpose) -> Capabilities {
    gated(purpose, &Gates::default())
}

/// Everything that is on by default, but for what a client cannot do.
pub(crate) fn gated(purpose: Purpose, gates: &Gates) -> Capabilities {
    repairing(purpose, gates, false)
}

/// The same, with FlexFEC of publishers or without.
pub(crate) fn repairing(purpose: Purpose, gates: &Gates, flexfec: bool) -> Capabilities {
    let enabled = default_codecs();
    Capabilities::new(&CapabilityOptions {
        purpose,
        enabled: &enabled,
        gates,
        send_side_estimate: false,
        playout_delay: true,
        flexfec,
        h264_high: true,
    })
}

pub(crate) const DATA: DataOptions = DataOptions { sctp_port: 5000, max_message_bytes: 65_535 };

/// Answers as our server does, and checks that the answer can be read back.
pub(crate) fn answer_with(
    offer: &Description,
    capabilities: &Capabilities,
    wishes: &[SectionWish],
    sends: &[(String, SendTrack)],
) -> Result<Answer, NegotiationError> {
    let answer = answer(&AnswerRequest {
        offer,
        origin: Origin { session_id: 4711, version: 2 },
        local: &local(),
        capabilities,
        data: DATA,
        wishes,
        sends,
        one_shot: false,
    })?;
    let written = answer.description.to_string();
    assert_eq!(Description::parse(&written).as_ref(), Ok(&answer.description));
    Ok(answer)
}

/// A track of ours.
pub(crate) fn track(name: &str, ssrc: u32) -> SendTrack {
    SendTrack {
        stream: format!("PA_x|{name}"),
        track: name.to_owned(),
        ssrc,
        rtx_ssrc: Some(ssrc + 1),
        stereo: true,
        red: false,
    }
}

/// The offers that the recorded answers belong to: tracks come, go, come into the same sections,
/// and at last a section is given up.
pub(crate) fn subscriber_offer(round: u64) -> Description {
    let mut sections = SendSections::new(false);
    sections.add_data().unwrap();
    sections.add(Kind::Audio, &[Codec::Red, Codec::Opus], track("TR_a", 10)).unwrap();
    sections.add(Kind::Video, &[Codec::Vp8], track("TR_v", 20)).unwrap();
    sections.add(Kind::Video, &[Codec::H264], track("TR_h", 30)).unwrap();
    if round > 1 {
        assert!(sections.stop("2") && sections.stop("3"));
        sections.handle_offered();
        sections.handle_answered();
    }
    if round > 2 {
        sections.add(Kind::Video, &[Codec::Vp9, Codec::Vp8], track("TR_w", 40)).unwrap();
        sections.add(Kind::Video, &[], track("TR_q", 50)).unwrap();
        sections.add(Kind::Audio, &[Codec::Pcmu], track("TR_b", 60)).unwrap();
    }
    let mut sections = sections.sections().to_vec();
    if round > 3 {
        sections[2].track = None;
        sections[2].stopped = true;
    }
    let offer = build_offer(&OfferRequest {
        origin: Origin { session_id: 4711, version: round },
        local: &local(),
        capabilities: &capabilities(Purpose::Subscriber),
        data: DATA,
        sections: &sections,
        all_codecs: false,
        empty: Direction::Inactive,
    });
    let offer = offer.expect("an offer");
    assert_eq!(Description::parse(&offer.to_string()).as_ref(), Ok(&offer));
    offer
}
