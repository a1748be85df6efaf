//! Sound in several codecs: which of them a client receives, and what a publisher hears of that.

mod stage;

use std::sync::Arc;

use ringway_room::calls::{Notice, Request, SubscriptionError, TrackCodec, TrackKind};
use ringway_signal::join::Join;
use ringway_signal::plane::Codec;
use ringway_signal::proto;
use ringway_signal::proto::signal_request::Message as Says;
use ringway_signal::proto::signal_response::Message as Hears;
use stage::{Line, Stage, client, description, line, sd, track, track_sid};

const DATA: Line = Line { kind: "application", direction: "", cid: "", rids: "" };

#[test]
fn the_room_hears_which_codec_is_received_if_there_is_a_choice() {
    let track_id = track_sid(7);
    let check = |announced: &[&str], sent: Codec, expect: &[Request]| {
        let mut stage = Stage::new(Join::default(), client("Chrome", 17));
        stage.after(10);
        stage.says(Says::Answer(sd("answer", 1, description(1, "efgh", "active", &[DATA]))));
        let mut audio = track(7, TrackKind::Audio, announced[0]);
        let codec = |mime: &&str| TrackCodec { mime_type: (*mime).into(), ..Default::default() };
        Arc::make_mut(&mut audio).codecs = announced.iter().map(codec).collect();
        stage.has_source(&audio, sent);
        stage.subscribe(&audio);
        stage.after(200);
        let lines = [DATA, line("audio", "recvonly", "", "")];
        let answer = sd("answer", 0, description(2, "efgh", "active", &lines));
        assert_eq!(stage.says(Says::Answer(answer)).room, expect, "{announced:?} {sent:?}");
    };
    let subscribed = |outcome| Request::SubscribedMedia { track: track_id, outcome };
    let received = |mime: &str| Request::ReceiveCodec { track: track_id, mime_type: mime.into() };
    let both = ["audio/opus", "audio/PCMU"];
    check(&both[..1], Codec::Opus, &[subscribed(Ok(()))]);
    check(&both, Codec::Opus, &[subscribed(Ok(()))]);
    check(&both, Codec::Pcmu, &[subscribed(Ok(())), received("audio/PCMU")]);
    // What is sent is nothing for the client, what was announced is: it waits for that.
    check(&both, Codec::Pcma, &[]);
    check(&both[..1], Codec::Pcma, &[subscribed(Err(SubscriptionError::CodecUnsupported))]);
}

#[test]
fn a_publisher_hears_which_codecs_are_wanted() {
    let mut stage = Stage::new(Join::default(), client("Chrome", 17));
    stage.after(10);
    let codecs = [("audio/opus", false), ("audio/PCMU", true)];
    let codecs = codecs.map(|(mime, wanted)| (mime.to_owned(), wanted)).to_vec();
    let said = stage.is_told(Notice::SubscribedAudioCodecs { track: track_sid(5), codecs });
    let codec = |codec: &str, enabled| proto::SubscribedAudioCodec { codec: codec.into(), enabled };
    let expect = proto::SubscribedAudioCodecUpdate {
        track_sid: track_sid(5).to_string(),
        subscribed_audio_codecs: vec![codec("opus", false), codec("pcmu", true)],
    };
    assert_eq!(said.client, [Hears::SubscribedAudioCodecUpdate(expect)]);
}
