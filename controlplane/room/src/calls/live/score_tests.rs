//! Windows and what they come to.

use super::*;
use crate::calls::live::codecs;
use crate::calls::{AddTrack, BackupCodecPolicy, Config, Encryption, TrackSource};
use crate::id::{ParticipantSid, TrackSid};

fn info(kind: TrackKind, mime_type: &str) -> TrackInfo {
    let add = AddTrack {
        cid: String::new(),
        name: String::new(),
        kind,
        source: TrackSource::Unknown,
        width: 0,
        height: 0,
        muted: false,
        layers: Vec::new(),
        codecs: Vec::new(),
        sid: None,
        stereo: false,
        disable_dtx: false,
        disable_red: false,
        encryption: Encryption::None,
        stream: String::new(),
        backup_codec_policy: BackupCodecPolicy::Simulcast,
        audio_features: Vec::new(),
        packet_trailer_features: Vec::new(),
    };
    let info = codecs::announced(&Config::default(), add, TrackSid::from_random([1; 12]));
    TrackInfo { mime_type: mime_type.to_owned(), ..info }
}

fn window(expected: u32, lost: u32) -> TrackQuality {
    TrackQuality {
        participant: ParticipantSid::from_random([1; 12]),
        track: TrackSid::from_random([1; 12]),
        mime_type: "",
        expected,
        lost,
        heard: true,
        lacking_permille: 0,
    }
}

const SILENT: (u32, u32) = (0, 0);

/// Windows of a track one after the other, with layers missing in each; the word for the last.
fn check(info: &TrackInfo, windows: &[(u32, u32)], layers: f64, expect: ConnectionQuality) {
    let mut score = Score::new(0);
    for (at, (expected, lost)) in (1..).zip(windows) {
        score.judge(at * WINDOW_MS, 0, &window(*expected, *lost), info, layers);
    }
    let points = score.points();
    assert_eq!(grade(points), expect, "{windows:?} {layers}: {points}");
}

#[test]
fn windows_are_graded() {
    use ConnectionQuality::{Excellent, Good, Poor};
    let video = info(TrackKind::Video, "video/VP8");
    check(&video, &[], 0.0, Excellent);
    check(&video, &[(1000, 24)], 0.0, Excellent);
    check(&video, &[(1000, 26)], 0.0, Good);
    check(&video, &[(1000, 76)], 0.0, Poor);
    check(&video, &[(1000, 2000)], 0.0, Poor);
    // Bad news shows at once, good news must last.
    check(&video, &[(1000, 1000), (1000, 0)], 0.0, Good);
    check(&video, &[(1000, 1000), (1000, 0), (1000, 0), (1000, 0)], 0.0, Excellent);
    // Each missing layer is about a word.
    check(&video, &[(1000, 0)], 0.5, Excellent);
    check(&video, &[(1000, 0)], 1.0, Good);
    check(&video, &[(1000, 0); 3], 2.0, Poor);
    check(&video, &[(1000, 76)], 1.0, Poor);
    // Silence is poor at once.
    check(&video, &[SILENT], 0.0, Poor);
    check(&video, &[(1000, 0), SILENT, (1000, 0)], 0.0, Good);

    let opus = info(TrackKind::Audio, "audio/opus");
    check(&opus, &[(1000, 46)], 0.0, Excellent);
    check(&opus, &[(1000, 48)], 0.0, Good);
    check(&info(TrackKind::Audio, "audio/red"), &[(1000, 90)], 0.0, Excellent);
    check(&info(TrackKind::Audio, "audio/PCMU"), &[(1000, 900)], 0.0, Excellent);
}

#[test]
fn who_is_not_heard_at_all_is_lost() {
    let video = info(TrackKind::Video, "video/VP8");
    let silent = TrackQuality { heard: false, ..window(0, 0) };
    let mut score = Score::new(0);
    score.judge(5_000, 0, &silent, &video, 3.0);
    assert_eq!(grade(score.points()), ConnectionQuality::Lost);
    score.mute();
    assert_eq!(grade(score.points()), ConnectionQuality::Lost, "muting helps nobody who is gone");
    score.judge(10_000, 0, &window(0, 0), &video, 0.0);
    assert_eq!(grade(score.points()), ConnectionQuality::Poor);
    score.mute();
    assert_eq!(grade(score.points()), ConnectionQuality::Excellent);
    // However bad statistics are.
    for at in 3..50 {
        score.judge(at * WINDOW_MS, 0, &window(1000, 1000), &video, 3.0);
        assert_eq!(grade(score.points()), ConnectionQuality::Poor);
    }
    score.idle();
    assert_eq!(grade(score.points()), ConnectionQuality::Excellent);
    score.hold_back();
    assert_eq!(grade(score.points()), ConnectionQuality::Poor);
}

#[test]
fn a_window_counts_if_media_was_wanted_for_more_than_half_of_it() {
    let video = info(TrackKind::Video, "video/VP8");
    for (wanted_since_ms, expect) in [
        (0, ConnectionQuality::Poor),
        (7_499, ConnectionQuality::Poor),
        (7_500, ConnectionQuality::Excellent),
        (11_000, ConnectionQuality::Excellent),
    ] {
        let mut score = Score::new(5_000);
        score.judge(5_000, 0, &window(1000, 0), &video, 0.0);
        score.judge(10_000, wanted_since_ms, &window(0, 0), &video, 0.0);
        assert_eq!(grade(score.points()), expect, "{wanted_since_ms}");
    }
}

#[test]
fn losses_of_silence_matter_less() {
    let opus = info(TrackKind::Audio, "audio/opus");
    // One packet of twelve lost: of a voice that is new, and of one that spoke for a minute.
    check(&opus, &[(12, 1)], 0.0, ConnectionQuality::Good);
    let spoken = [vec![(250, 0); FIRST_READINGS], vec![(12, 1)]].concat();
    check(&opus, &spoken, 0.0, ConnectionQuality::Excellent);
    let lost = [vec![(250, 0); FIRST_READINGS], vec![(250, 21)]].concat();
    check(&opus, &lost, 0.0, ConnectionQuality::Good);
    // Hours of silence do not make it usual.
    let silence = [vec![(250, 0); FIRST_READINGS], vec![(12, 0); 1_000], vec![(12, 1)]].concat();
    check(&opus, &silence, 0.0, ConnectionQuality::Excellent);
}

#[test]
fn the_most_frequent_pace_is_the_usual_one() {
    assert_eq!(most_frequent(&[]), None);
    assert_eq!(most_frequent(&[1, 1, 4, 4, 4]), None);
    assert_eq!(most_frequent(&[1, 1, 1, 25, 30, 25, 5]), Some(25));
    let mut pace = Pace::default();
    let weights: Vec<f64> = (0..READINGS).map(|_| pace.weigh(62)).collect();
    assert!(weights.iter().all(|weight| *weight == 1.0), "{weights:?}");
    assert!((pace.weigh(250) - 1.0).abs() < 1e-9, "more than usual");
    assert!((pace.weigh(15) - 0.5).abs() < 0.01);
    assert_eq!(Pace::default().weigh(u32::MAX), 1.0);
}

#[test]
fn opinions_stay_in_their_range() {
    assert!((mos(100.0) - 4.5).abs() < 0.01);
    assert!((mos(0.0) - 1.0).abs() < 0.01);
    assert!(mos(80.0) > mos(40.0));
    assert!(mos(-5.0) >= 1.0 && mos(500.0) <= 4.51);
}
