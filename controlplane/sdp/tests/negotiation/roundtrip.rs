//! Whatever is written reads the same, and nothing that is read makes the negotiation panic.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::peers::{DATA, SAMPLES, capabilities, local, subscriber_offer, track};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use ringway_sdp::*;

fn token() -> impl Strategy<Value = String> {
    "[!-~]{1,12}"
}

fn direction() -> impl Strategy<Value = Direction> {
    (any::<bool>(), any::<bool>()).prop_map(|(sends, receives)| Direction::of(sends, receives))
}

fn msid() -> impl Strategy<Value = Msid> {
    (token(), option::of(token())).prop_map(|(stream, track)| Msid { stream, track })
}

fn address() -> impl Strategy<Value = CandidateAddress> {
    prop_oneof![
        any::<u32>().prop_map(|ip| CandidateAddress::Ip(IpAddr::V4(Ipv4Addr::from(ip)))),
        any::<u128>().prop_map(|ip| CandidateAddress::Ip(IpAddr::V6(Ipv6Addr::from(ip)))),
        "[a-f0-9]{8}-[a-f0-9]{4}\\.local".prop_map(CandidateAddress::Name),
    ]
}

fn candidate() -> impl Strategy<Value = Candidate> {
    use CandidateKind::*;
    use CandidateTransport::*;
    let transport = select(vec![
        Udp,
        Tcp(TcpType::Active),
        Tcp(TcpType::Passive),
        Tcp(TcpType::SimultaneousOpen),
    ]);
    let kind = select(vec![Host, ServerReflexive, PeerReflexive, Relay]);
    let related = option::of((address(), any::<u16>()));
    let place = (address(), any::<u16>());
    ((token(), any::<u16>(), any::<u32>()), transport, kind, place, related, option::of(token()))
        .prop_map(|(head, transport, kind, (address, port), related, ufrag)| Candidate {
            foundation: head.0,
            component: head.1,
            transport,
            priority: head.2,
            address,
            port,
            kind,
            related,
            ufrag,
        })
}

fn transport() -> impl Strategy<Value = TransportAttributes> {
    let setup = select(vec![Setup::ActPass, Setup::Active, Setup::Passive, Setup::HoldConn]);
    let fingerprint = vec(any::<u8>(), 32)
        .prop_map(|digest| Fingerprint { algorithm: HashAlgorithm::Sha256, digest });
    (
        ("[a-z]{4,8}", "[a-zA-Z0-9+/]{22,30}"),
        vec(token(), 0..3),
        vec(candidate(), 0..4),
        any::<bool>(),
        vec(fingerprint, 0..3),
        option::of(setup),
    )
        .prop_map(|(ice, ice_options, candidates, end_of_candidates, fingerprints, setup)| {
            TransportAttributes {
                ufrag: ice.0,
                pwd: ice.1,
                ice_options,
                candidates,
                end_of_candidates,
                fingerprints,
                setup,
            }
        })
}

fn feedback() -> impl Strategy<Value = Feedback> {
    let kinds = [
        Feedback::NACK,
        Feedback::NACK_PLI,
        Feedback::CCM_FIR,
        Feedback::GOOG_REMB,
        Feedback::TRANSPORT_CC,
    ];
    vec(select(kinds.to_vec()), 0..5)
        .prop_map(|kinds| kinds.into_iter().fold(Feedback::NONE, |sum, kind| sum | kind))
}

fn payload() -> impl Strategy<Value = Payload> {
    let names = ["opus", "red", "VP8", "VP9", "H264", "AV1", "rtx", "flexfec-03", "x"];
    let name = select(names.to_vec());
    let fmtp = prop_oneof![
        Just(String::new()),
        (96_u8..128).prop_map(|number| format!("apt={number}")),
        (96_u8..128).prop_map(|number| format!("{number}/{number}")),
        "packetization-mode=[01];profile-level-id=[46][24d][e0c][0-9]1f",
        "[!-~]([ -~]{0,20}[!-~])?",
    ];
    let clock_rate = select(vec![8_000, 48_000, 90_000]);
    (0_u8..128, name, clock_rate, 1_u8..4, fmtp, feedback()).prop_map(
        |(payload_type, name, clock_rate, channels, fmtp, feedback)| Payload {
            payload_type,
            name: name.to_owned(),
            clock_rate,
            channels,
            fmtp,
            feedback,
        },
    )
}

fn extensions() -> impl Strategy<Value = Vec<Extmap>> {
    let known = ExtensionKind::ALL.map(|kind| kind.uri().to_owned()).to_vec();
    let uri = prop_oneof![select(known), token()];
    let extension = (1..=255_u8, option::of(direction()), uri)
        .prop_map(|(id, direction, uri)| Extmap { id, direction, uri });
    vec(extension, 0..6)
}

fn streams() -> impl Strategy<Value = (Vec<Rid>, Option<Simulcast>, Vec<Source>, Vec<SourceGroup>)>
{
    let name = || select(vec!["q", "h", "f", "hi"]).prop_map(str::to_owned);
    let rid = (name(), any::<bool>(), option::of("[!-~]([ -~]{0,9}[!-~])?"));
    let rid = rid.prop_map(|(id, sends, restrictions)| Rid {
        id,
        sends,
        restrictions: restrictions.unwrap_or_default(),
    });
    let simulcast = (vec(name(), 1..4), vec(name(), 0..4))
        .prop_map(|(send, receive)| Simulcast { send, receive });
    let source = (any::<u32>(), option::of(token()), option::of(msid()))
        .prop_map(|(ssrc, cname, msid)| Source { ssrc, cname, msid });
    let semantics =
        select(vec![SourceSemantics::Fid, SourceSemantics::Sim, SourceSemantics::FecFr]);
    let group = (semantics, vec(0_u32..9, 1..4))
        .prop_map(|(semantics, ssrcs)| SourceGroup { semantics, ssrcs });
    let sources = vec(source, 0..4).prop_map(|mut sources| {
        sources.sort_by_key(|source| source.ssrc);
        sources.dedup_by_key(|source| source.ssrc);
        sources
    });
    (vec(rid, 0..4), option::of(simulcast), sources, vec(group, 0..4))
}

fn media() -> impl Strategy<Value = Section> {
    let payloads = vec(payload(), 0..8).prop_map(|mut payloads| {
        let mut seen = [false; 128];
        payloads.retain(|payload| {
            !std::mem::replace(&mut seen[usize::from(payload.payload_type)], true)
        });
        payloads
    });
    let flags = any::<[bool; 5]>();
    let head = (select(vec![Kind::Audio, Kind::Video]), select(vec![0_u16, 9, 4711]), flags);
    (head, direction(), payloads, extensions(), streams(), vec(msid(), 0..3), transport()).prop_map(
        |((kind, port, flags), direction, payloads, extensions, streams, msids, transport)| {
            let [extmap_allow_mixed, rtcp_mux, rtcp_rsize, bundle_only, plain] = flags;
            let protocol = if plain { "RTP/AVP" } else { "UDP/TLS/RTP/SAVPF" };
            let (rids, simulcast, sources, source_groups) = streams;
            Section {
                port,
                protocol: protocol.to_owned(),
                direction,
                payloads,
                extensions,
                extmap_allow_mixed,
                rids,
                simulcast,
                sources,
                source_groups,
                msids,
                transport,
                rtcp_mux,
                rtcp_rsize,
                bundle_only,
                ..Section::new(kind, "")
            }
        },
    )
}

fn application() -> impl Strategy<Value = Section> {
    (option::of(any::<u16>()), option::of(any::<u64>()), transport()).prop_map(
        |(sctp_port, max_message_bytes, transport)| Section {
            sctp_port,
            max_message_bytes,
            transport,
            ..Section::new(Kind::Application, "")
        },
    )
}

fn description() -> impl Strategy<Value = Description> {
    let section = prop_oneof![4 => media(), 1 => application()];
    (any::<[u64; 2]>(), any::<[bool; 2]>(), vec(section, 0..5)).prop_map(
        |([session_id, version], [ice_lite, bundled], mut sections)| {
            for (index, section) in sections.iter_mut().enumerate() {
                section.mid = format!("m{index}");
            }
            let mids = sections.iter().map(|section| section.mid.clone());
            let bundle = mids.filter(|_| bundled).collect();
            Description { origin: Origin { session_id, version }, bundle, ice_lite, sections }
        },
    )
}

/// Answers with everything that we can do; only the absence of a panic and the result's being
/// readable are asked for.
fn negotiate(offer: &Description, purpose: Purpose) {
    let capabilities = capabilities(purpose);
    let wanted = [
        WantedTrack { track: "a", codec: Codec::Opus, fmtp: "" },
        WantedTrack { track: "v", codec: Codec::H264, fmtp: "packetization-mode=1" },
    ];
    let placement = place_tracks(offer, &capabilities, &[], &[], &wanted);
    let send = |placed: &Placed| (placed.mid.clone(), track(&placed.track, 10));
    let sends: Vec<_> = placement.placed.iter().map(send).collect();
    let answer = answer(&AnswerRequest {
        offer,
        origin: Origin::new(1),
        local: &local(),
        capabilities: &capabilities,
        data: DATA,
        wishes: &[],
        sends: if purpose == Purpose::Publisher { &[] } else { &sends },
        one_shot: false,
    });
    if let Ok(answer) = answer {
        let written = answer.description.to_string();
        assert_eq!(Description::parse(&written).as_ref(), Ok(&answer.description));
        assert_eq!(answer.description.sections.len(), offer.sections.len());
    }
    let _ = accept_answer(&subscriber_offer(3), offer, &capabilities);
}

/// Lines that look like SDP, after a beginning that is.
const SOME_TEXT: &str = "(v=0\r\no=- 1 1 IN IP4 0\r\n)?([a-z]=[ -~]{0,20}\r\n)*";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_is_written_reads_the_same(description in description()) {
        let written = description.to_string();
        prop_assert_eq!(Description::parse(&written), Ok(description));
    }

    #[test]
    fn candidates_read_the_same(candidate in candidate()) {
        prop_assert_eq!(Candidate::parse(&candidate.to_string()), Ok(candidate));
    }

    #[test]
    fn fragments_read_the_same(
        ice_lite in any::<bool>(),
        bundle in vec(token(), 0..3),
        transports in vec(transport(), 0..3),
    ) {
        let kinds = [Kind::Audio, Kind::Video, Kind::Application];
        let media = transports.into_iter().zip(kinds).map(|(transport, kind)| FragmentMedia {
            kind,
            mid: format!("m-{}", kind.name()),
            transport,
        });
        let fragment = Fragment { ice_lite, bundle, media: media.collect() };
        prop_assert_eq!(Fragment::parse(&fragment.to_string()), Ok(fragment));
    }

    #[test]
    fn any_description_can_be_negotiated_or_refused(description in description()) {
        for purpose in [Purpose::Publisher, Purpose::Subscriber, Purpose::Single] {
            negotiate(&description, purpose);
        }
    }

    /// Real descriptions with lines taken away, doubled, moved and cut.
    #[test]
    fn damaged_samples_are_negotiated_or_refused(
        sample in any::<Index>(),
        damage in vec((any::<Index>(), any::<Index>(), 0_u8..4), 1..6),
    ) {
        let (_, text) = sample.get(SAMPLES);
        let mut lines: Vec<&str> = text.lines().collect();
        for (from, to, what) in damage {
            let (from, to) = (from.index(lines.len()), to.index(lines.len()));
            match what {
                0 => { lines.remove(from); }
                1 => lines.insert(to, lines[from]),
                2 => lines.swap(from, to),
                _ => lines[from] = &lines[from][..lines[from].len() / 2],
            }
        }
        if let Ok(read) = Description::parse(&lines.join("\r\n")) {
            let again = Description::parse(&read.to_string());
            prop_assert_eq!(again.as_ref(), Ok(&read));
            for purpose in [Purpose::Publisher, Purpose::Subscriber, Purpose::Single] {
                negotiate(&read, purpose);
            }
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in SOME_TEXT) {
        let _ = Description::parse(&text);
        let _ = Fragment::parse(&text);
        let _ = Candidate::parse(&text);
    }
}
