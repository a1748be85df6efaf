//! Descriptions of a publisher and of a subscriber, and what is read from a server's.

use ringway_sdp::Description;

use super::*;
use crate::call::scenario::CallScenario;

const SCENARIO: &str = include_str!("../../../../scenarios/meeting-8x8.yaml");
const DIGEST: &str = "AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:\
    AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA:AA";

/// As LiveKit offers what a subscriber receives, cut down.
fn server_offer() -> Description {
    let transport = format!(
        "c=IN IP4 0.0.0.0\r\na=setup:actpass\r\na=ice-ufrag:abcd\r\n\
         a=ice-pwd:0123456789012345678901\r\na=fingerprint:sha-256 {DIGEST}\r\na=rtcp-mux\r\n"
    );
    let text = format!(
        "v=0\r\no=- 7 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1 2 3\r\na=ice-lite\r\n\
         m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n{transport}a=mid:0\r\n\
         a=sctp-port:5000\r\n\
         m=audio 9 UDP/TLS/RTP/SAVPF 111\r\n{transport}a=mid:1\r\na=sendonly\r\n\
         a=rtpmap:111 opus/48000/2\r\na=rtcp-fb:111 nack\r\na=ssrc:11 cname:x\r\n\
         m=video 9 UDP/TLS/RTP/SAVPF 96 97 125\r\n{transport}a=mid:2\r\na=sendrecv\r\n\
         a=extmap:3 {SEND_TIME}\r\na=extmap:4 {TRANSPORT_SEQUENCE}\r\n\
         a=rtpmap:96 VP8/90000\r\na=rtcp-fb:96 goog-remb\r\na=rtcp-fb:96 transport-cc\r\n\
         a=rtcp-fb:96 nack\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n\
         a=rtpmap:125 H264/90000\r\na=ssrc-group:FID 21 22\r\na=ssrc:21 cname:x\r\n\
         a=ssrc:22 cname:x\r\n\
         m=video 9 UDP/TLS/RTP/SAVPF 96\r\n{transport}a=mid:3\r\na=inactive\r\n\
         a=rtpmap:96 VP8/90000\r\na=ssrc:31 cname:x\r\n"
    );
    Description::parse(&text).expect("a valid offer")
}

fn local() -> LocalEnd {
    let certificate =
        dtls::Fingerprint::new(dtls::HashAlgorithm::Sha256, &[7; 32]).expect("32 bytes");
    LocalEnd::new(&mut Random::new(1), &certificate)
}

#[test]
fn what_is_sent_is_taken_and_the_rest_refused() {
    let (offer, mut end) = (server_offer(), local());
    let answer = Description::parse(&end.answer(&offer)).expect("a valid answer");
    let kinds: Vec<_> = answer.sections.iter().map(|section| section.direction).collect();
    assert_eq!(kinds[1..], [Direction::RecvOnly, Direction::RecvOnly, Direction::Inactive]);
    let video = &answer.sections[2];
    let payloads: Vec<u8> = video.payloads.iter().map(|payload| payload.payload_type).collect();
    assert_eq!(payloads, [96, 97]);
    assert_eq!(video.payloads[0].feedback, Feedback::NACK | Feedback::GOOG_REMB);
    assert_eq!(video.extensions.len(), 1, "only what goes with the estimate");
    let tracks = incoming(&offer, &answer);
    let seen: Vec<_> =
        tracks.iter().map(|track| (track.ssrc, track.rtx_ssrc, track.nack, track.remb)).collect();
    assert_eq!(seen, [(11, None, true, false), (21, Some(22), true, true)]);
}

#[test]
fn addresses_come_from_either_place() {
    let (offer, end) = (server_offer(), local());
    assert!(end.join(&offer, &[]).is_none());
    let trickled = |candidate: &str| {
        trickled_address(&serde_json::json!({ "candidate": candidate }).to_string())
    };
    let udp = trickled("candidate:1 1 udp 2130706431 192.0.2.7 7882 typ host");
    assert_eq!(udp, Some(([192, 0, 2, 7], 7882).into()));
    assert_eq!(trickled("candidate:1 1 tcp 1 192.0.2.7 7881 typ host tcptype passive"), None);
    assert_eq!(trickled("candidate:1 1 udp 1 2001:db8::1 7882 typ host"), None);
    assert_eq!(trickled(""), None);
    let joined = end.join(&offer, &[udp.expect("an address")]).expect("both ends");
    assert_eq!(joined.remote.ufrag(), b"abcd");
    assert_eq!(joined.fingerprint.bytes(), [0xaa; 32]);
}

#[test]
fn publishers_offer_simulcast_by_rid_and_sound_by_ssrc() {
    let scenario = CallScenario::parse("meeting-8x8", SCENARIO).expect("a valid scenario");
    let track = |kind, cid: &str, ssrcs| PublishedTrack { kind, cid: cid.to_owned(), ssrcs };
    let tracks =
        [track(MediaKind::Audio, "sound", Some((5, 6))), track(MediaKind::Video, "picture", None)];
    let offer = Description::parse(&local().offer(&scenario, &tracks)).expect("a valid offer");
    let [audio, video] = &offer.sections[..] else { panic!("two sections") };
    assert_eq!(audio.sources.iter().map(|source| source.ssrc).collect::<Vec<_>>(), [5]);
    assert_eq!(video.sources.len(), 0);
    let rids: Vec<&str> = video.rids.iter().map(|rid| rid.id.as_str()).collect();
    assert_eq!(rids, ["q", "h", "f"]);
    assert_eq!(video.msid().and_then(|msid| msid.track.as_deref()), Some("picture"));
    // An answer that takes all of it, as far as it is read here.
    let mut answer = offer.clone();
    answer.sections.iter_mut().for_each(|section| section.direction = Direction::RecvOnly);
    let sent = outgoing(&answer, &tracks);
    assert_eq!(sent[0].ssrcs, Some((5, 6)));
    assert_eq!((sent[1].payload_type, sent[1].rtx_payload_type), (VP8, Some(VP8_RTX)));
    assert!(sent[1].extensions.rid != 0 && sent[1].extensions.transport_sequence != 0);
    answer.sections[1].port = 0;
    assert_eq!(outgoing(&answer, &tracks).len(), 1);
}
