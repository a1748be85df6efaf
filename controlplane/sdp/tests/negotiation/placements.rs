//! Tracks find sections in the offers of single peer connections.

use crate::peers::{answer_with, capabilities, sample, track};
use ringway_sdp::{
    Codec, Direction, Placed, Placement, Purpose, SectionsNeeded, WantedTrack, place_tracks,
};

const H264: &str = "packetization-mode=1;profile-level-id=42e01f";

fn wanted(names: &[&'static str]) -> Vec<WantedTrack<'static>> {
    let of = |name: &&'static str| {
        let codec = match name.as_bytes().first() {
            Some(b'a') => Codec::Opus,
            Some(b'h') => Codec::H264,
            Some(b'x') => Codec::H265,
            _ => Codec::Vp8,
        };
        let fmtp = if codec == Codec::H264 { H264 } else { "" };
        WantedTrack { track: name, codec, fmtp }
    };
    names.iter().map(of).collect()
}

fn placed(pairs: &[(&str, &str)]) -> Vec<Placed> {
    let of =
        |(mid, track): &(&str, &str)| Placed { mid: (*mid).to_owned(), track: (*track).to_owned() };
    pairs.iter().map(of).collect()
}

fn check(
    sample_name: &str,
    before: &[(&str, &str)],
    spent: &[&str],
    names: &[&'static str],
    expect: (&[(&str, &str)], [u32; 2], &[&str]),
) {
    let offer = sample(sample_name);
    let spent: Vec<String> = spent.iter().map(|mid| (*mid).to_owned()).collect();
    let capabilities = capabilities(Purpose::Single);
    let found = place_tracks(&offer, &capabilities, &placed(before), &spent, &wanted(names));
    let [audios, videos] = expect.1;
    let expect = Placement {
        placed: placed(expect.0),
        needed: SectionsNeeded { audios, videos },
        unsupported: expect.2.iter().map(|track| (*track).to_owned()).collect(),
    };
    assert_eq!(found, expect, "{before:?} {spent:?} {names:?}");
}

#[test]
fn tracks_are_placed() {
    let name = "chromium-single-empty";
    check(name, &[], &[], &[], (&[], [0, 0], &[]));
    check(name, &[], &[], &["a1", "v1"], (&[("0", "a1"), ("3", "v1")], [0, 0], &[]));
    let all = [("0", "a1"), ("1", "a2"), ("2", "a3"), ("3", "v1"), ("4", "h1"), ("5", "v2")];
    let names = ["a1", "a2", "a3", "v1", "h1", "v2"];
    check(name, &[], &[], &names, (&all, [0, 0], &[]));
    let more = ["a1", "a2", "a3", "v1", "h1", "v2", "a4", "v3", "v4"];
    check(name, &[], &[], &more, (&all, [1, 2], &[]));
}

#[test]
fn tracks_stay_and_leave_their_place_to_others() {
    let name = "chromium-single-empty";
    let before = [("1", "a2"), ("5", "v2")];
    let names = ["a1", "a2", "v2", "v1"];
    let expect = [("1", "a2"), ("5", "v2"), ("0", "a1"), ("3", "v1")];
    check(name, &before, &[], &names, (&expect, [0, 0], &[]));
    // Section 1 was left; only who reuses sections takes it again.
    let before = [("0", "a1")];
    let names = ["a1", "a3"];
    check(name, &before, &[], &names, (&[("0", "a1"), ("1", "a3")], [0, 0], &[]));
    check(name, &before, &["0", "1"], &names, (&[("0", "a1"), ("2", "a3")], [0, 0], &[]));
    check(name, &before, &["0", "1", "2"], &names, (&[("0", "a1")], [1, 0], &[]));
    // A place that the offer does not have any more is looked for anew.
    check(name, &[("77", "a1")], &[], &["a1"], (&[("0", "a1")], [0, 0], &[]));
}

#[test]
fn what_the_client_cannot_decode_is_not_asked_room_for() {
    let name = "chromium-single-empty";
    check(name, &[], &[], &["x1", "v1"], (&[("3", "v1")], [0, 0], &["x1"]));
    // Firefox as Debian has it has no H.264.
    let name = "firefox-single-publishing";
    check(name, &[], &[], &["h1", "v1"], (&[("3", "v1")], [0, 0], &["h1"]));
}

/// A client that publishes layers where it could receive: nothing goes there, and what did leaves.
#[test]
fn nothing_is_sent_where_layers_come_from() {
    let mut offer = sample("chromium-single-publishing");
    let layered = offer.sections.iter_mut().find(|section| !section.rids.is_empty());
    let layered = layered.expect("a section with layers");
    layered.direction = Direction::SendRecv;
    let mid = layered.mid.clone();
    for before in [&[][..], &[(mid.as_str(), "v1")]] {
        let (capabilities, names) = (capabilities(Purpose::Single), ["v1", "v2", "v3", "v4"]);
        let found = place_tracks(&offer, &capabilities, &placed(before), &[], &wanted(&names));
        assert!(found.placed.iter().all(|placed| placed.mid != mid), "{found:?}");
        assert_eq!(found.needed, SectionsNeeded { audios: 0, videos: 1 });
    }
}

/// Sections in which the client only sends are not ours.
#[test]
fn publishing_takes_no_room() {
    let offer = sample("chromium-single-publishing");
    let names = ["a1", "a2", "a3", "a4", "v1", "v2", "v3", "v4"];
    let capabilities = capabilities(Purpose::Single);
    let placement = place_tracks(&offer, &capabilities, &[], &[], &wanted(&names));
    assert_eq!(placement.needed, SectionsNeeded { audios: 1, videos: 1 });
    assert!(!placement.needed.is_none());
    let sends: Vec<_> = (1..)
        .zip(&placement.placed)
        .map(|(number, placed)| (placed.mid.clone(), track(&placed.track, number * 10)))
        .collect();
    let answer = answer_with(&offer, &capabilities, &[], &sends).unwrap();
    let directions: Vec<Direction> = answer
        .description
        .sections
        .iter()
        .filter(|section| section.mid != "6")
        .map(|section| section.direction)
        .collect();
    assert_eq!(directions[..6], [Direction::SendOnly; 6]);
    assert_eq!(directions[6..], [Direction::RecvOnly; 2]);
    assert_eq!(answer.mid_to_track.len(), 6);
    let published: Vec<&str> =
        answer.sections.iter().filter(|s| s.receives).map(|s| s.mid.as_str()).collect();
    assert_eq!(published, ["7", "8"]);
}
