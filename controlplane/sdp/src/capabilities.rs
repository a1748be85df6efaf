//! What may be negotiated on one peer connection: codecs, header extensions, feedback.

use crate::codec::Codec;
use crate::extension::ExtensionKind;
use crate::feedback::Feedback;
use crate::gates::Gates;
use crate::h264::H264Parameters;
use crate::payload::Payload;
use crate::section::Kind;
use crate::table::{CodecEntry, TABLE};

/// What a peer connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// The client sends, we receive; also WHIP.
    Publisher,
    /// We send; also WHEP.
    Subscriber,
    /// Both on one connection.
    Single,
}

/// A row of the setting `room.enabled_codecs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnabledCodec<'a> {
    /// The MIME type; `video/rtx` stands for retransmissions.
    pub mime: &'a str,
    /// Exact format parameters; empty for those that are on by default.
    pub fmtp_line: &'a str,
}

/// The rows of `room.enabled_codecs` where the setting is empty.
pub fn default_codecs() -> Vec<EnabledCodec<'static>> {
    let codecs = Codec::ALL.into_iter().filter(|codec| *codec != Codec::FlexFec).map(Codec::mime);
    codecs.chain(["video/rtx"]).map(|mime| EnabledCodec { mime, fmtp_line: "" }).collect()
}

/// What decides about capabilities.
#[derive(Clone, Copy, Debug)]
pub struct CapabilityOptions<'a> {
    /// What the connection is for.
    pub purpose: Purpose,
    /// Codecs that the room allows.
    pub enabled: &'a [EnabledCodec<'a>],
    /// What the client cannot do.
    pub gates: &'a Gates,
    /// We estimate subscribers' bandwidth from their arrival times, instead of being told by REMB.
    pub send_side_estimate: bool,
    /// Subscribers are told how long to buffer.
    pub playout_delay: bool,
    /// Publishers may send FlexFEC repairs.
    pub flexfec: bool,
    /// H.264 High may be sent to the client.
    pub h264_high: bool,
}

/// What may be negotiated.
#[derive(Clone, Debug)]
pub struct Capabilities {
    /// What the connection is for.
    pub purpose: Purpose,
    entries: Vec<CodecEntry>,
    gates: Gates,
    h264_high: bool,
    rtx: bool,
    audio_extensions: Vec<ExtensionKind>,
    video_extensions: Vec<ExtensionKind>,
    video_feedback: Feedback,
}

const KEY_FRAMES_AND_LOSS: Feedback =
    Feedback::CCM_FIR.union(Feedback::NACK).union(Feedback::NACK_PLI);

impl Capabilities {
    /// The capabilities of a connection with a client.
    pub fn new(options: &CapabilityOptions<'_>) -> Self {
        let named = |mime: &str| {
            let mime = mime.to_owned();
            options.enabled.iter().filter(move |row| row.mime.eq_ignore_ascii_case(&mime))
        };
        let on = |entry: &&CodecEntry| {
            let exact = |row: &EnabledCodec<'_>| row.fmtp_line.eq_ignore_ascii_case(entry.fmtp);
            named(entry.codec.mime()).any(|row| {
                (row.fmtp_line.is_empty() && entry.default_on)
                    || (!row.fmtp_line.is_empty() && exact(row))
            }) || (entry.codec == Codec::FlexFec && options.flexfec)
        };
        let (audio_extensions, video_extensions) = extensions(options);
        Self {
            purpose: options.purpose,
            entries: TABLE.iter().filter(on).copied().collect(),
            gates: options.gates.clone(),
            h264_high: options.h264_high,
            rtx: named("video/rtx").next().is_some(),
            audio_extensions,
            video_extensions,
            video_feedback: video_feedback(options),
        }
    }

    /// Whether lost video packets may be sent again in streams of their own.
    pub const fn has_rtx(&self) -> bool {
        self.rtx
    }

    /// See [`Gates::ignores_codec_order`].
    pub const fn ignores_codec_order(&self) -> bool {
        self.gates.ignores_codec_order
    }

    /// The rows for a section of `kind` that we receive from, send in, or both.
    pub fn entries(
        &self,
        kind: Kind,
        receives: bool,
        sends: bool,
    ) -> impl Iterator<Item = &CodecEntry> {
        self.entries.iter().filter(move |entry| {
            let codec = entry.codec;
            let high = codec == Codec::H264 && entry.fmtp.ends_with("640032");
            let subscribe = !self.gates.no_subscribe.contains(&codec)
                && codec != Codec::FlexFec
                && (self.h264_high || !high);
            let publish = !self.gates.no_publish.contains(&codec);
            codec.kind() == kind && (publish || !receives) && (subscribe || !sends)
        })
    }

    /// The row that an offered payload type matches.
    pub fn find(
        &self,
        kind: Kind,
        receives: bool,
        sends: bool,
        payload: &Payload,
    ) -> Option<&CodecEntry> {
        self.entries(kind, receives, sends).find(|entry| entry.matches(payload))
    }

    /// The row for an offered payload type that is H.264 of other parameters than any row has, but
    /// such as others decode: for sections that have nothing better of it.
    pub fn find_close(
        &self,
        kind: Kind,
        receives: bool,
        sends: bool,
        payload: &Payload,
    ) -> Option<&CodecEntry> {
        let common =
            H264Parameters::read(&payload.fmtp).is_some_and(H264Parameters::is_widely_decoded);
        let mut entries = self.entries(kind, receives, sends);
        let close = |entry: &&CodecEntry| entry.codec == Codec::H264 && entry.is_codec_of(payload);
        entries.find(|entry| common && close(entry))
    }

    /// Header extensions for sections of `kind`.
    pub fn extensions(&self, kind: Kind) -> &[ExtensionKind] {
        match kind {
            Kind::Audio => &self.audio_extensions,
            Kind::Video => &self.video_extensions,
            Kind::Application => &[],
        }
    }

    /// Feedback for a codec.
    pub fn feedback(&self, codec: Codec) -> Feedback {
        match codec {
            // RED repairs by itself.
            Codec::Red => Feedback::NONE,
            Codec::FlexFec => Feedback::TRANSPORT_CC,
            Codec::Opus | Codec::Pcmu | Codec::Pcma => Feedback::NACK,
            _ => self.video_feedback,
        }
    }
}

fn extensions(options: &CapabilityOptions<'_>) -> (Vec<ExtensionKind>, Vec<ExtensionKind>) {
    use ExtensionKind::*;
    let mut audio = Vec::new();
    let mut video = Vec::new();
    if options.purpose != Purpose::Subscriber {
        audio.extend([Mid, Rid, AudioLevel]);
        video.extend([Mid, Rid, RepairedRid, TransportCc, FrameMarking]);
    }
    audio.push(AbsCaptureTime);
    video.extend([DependencyDescriptor, AbsCaptureTime]);
    if options.purpose != Purpose::Publisher {
        match options.send_side_estimate {
            true if options.purpose == Purpose::Subscriber => video.push(TransportCc),
            true => {}
            false => video.push(AbsSendTime),
        }
        if options.playout_delay {
            video.push(PlayoutDelay);
        }
    }
    (audio, video)
}

fn video_feedback(options: &CapabilityOptions<'_>) -> Feedback {
    let estimate = match (options.purpose, options.send_side_estimate) {
        (Purpose::Publisher, _) | (Purpose::Subscriber | Purpose::Single, true) => {
            Feedback::TRANSPORT_CC
        }
        (Purpose::Subscriber, false) => Feedback::GOOG_REMB,
        (Purpose::Single, false) => Feedback::TRANSPORT_CC | Feedback::GOOG_REMB,
    };
    KEY_FRAMES_AND_LOSS | estimate
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options<'a>(
        purpose: Purpose,
        enabled: &'a [EnabledCodec<'a>],
        gates: &'a Gates,
    ) -> CapabilityOptions<'a> {
        CapabilityOptions {
            purpose,
            enabled,
            gates,
            send_side_estimate: false,
            playout_delay: false,
            flexfec: false,
            h264_high: true,
        }
    }

    fn numbers(capabilities: &Capabilities, kind: Kind, receives: bool, sends: bool) -> Vec<u8> {
        capabilities.entries(kind, receives, sends).map(|entry| entry.payload_type).collect()
    }

    #[test]
    fn the_room_decides_which_codecs_there_are() {
        let gates = Gates::default();
        let check = |enabled: &[EnabledCodec<'_>], expect: &[u8]| {
            let found = Capabilities::new(&options(Purpose::Publisher, enabled, &gates));
            assert_eq!(numbers(&found, Kind::Video, true, false), expect);
        };
        check(&default_codecs(), &[96, 98, 100, 125, 108, 123, 35, 116]);
        check(&[EnabledCodec { mime: "VIDEO/vp8", fmtp_line: "" }], &[96]);
        let fmtp_line = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f";
        check(&[EnabledCodec { mime: "video/H264", fmtp_line }], &[102]);
        check(&[], &[]);
    }

    #[test]
    fn the_client_decides_which_of_them_go_which_way() {
        let enabled = default_codecs();
        let gates = Gates {
            no_publish: vec![Codec::H264, Codec::Red],
            no_subscribe: vec![Codec::Av1, Codec::Red],
            ..Gates::default()
        };
        let mut options = options(Purpose::Single, &enabled, &gates);
        options.h264_high = false;
        options.flexfec = true;
        let found = Capabilities::new(&options);
        assert_eq!(numbers(&found, Kind::Audio, true, false), [111, 0, 8]);
        assert_eq!(numbers(&found, Kind::Video, true, false), [96, 98, 100, 35, 116, 115]);
        assert_eq!(numbers(&found, Kind::Video, false, true), [96, 98, 100, 125, 108, 116]);
        assert_eq!(numbers(&found, Kind::Video, true, true), [96, 98, 100, 116]);
        assert_eq!(numbers(&found, Kind::Application, true, true), [0_u8; 0]);
    }

    #[test]
    fn extensions_and_feedback_follow_the_purpose() {
        use ExtensionKind::*;
        let (enabled, gates) = (default_codecs(), Gates::default());
        let check = |purpose, estimate, audio: &[_], video: &[_], feedback| {
            let mut options = options(purpose, &enabled, &gates);
            options.send_side_estimate = estimate;
            let found = Capabilities::new(&options);
            assert_eq!(found.extensions(Kind::Audio), audio);
            assert_eq!(found.extensions(Kind::Video), video);
            assert_eq!(found.feedback(Codec::Vp8), KEY_FRAMES_AND_LOSS | feedback);
            assert_eq!(found.feedback(Codec::Opus), Feedback::NACK);
            assert_eq!(found.feedback(Codec::Red), Feedback::NONE);
        };
        let (remb, cc) = (Feedback::GOOG_REMB, Feedback::TRANSPORT_CC);
        let audio = [Mid, Rid, AudioLevel, AbsCaptureTime];
        let video = [
            Mid,
            Rid,
            RepairedRid,
            TransportCc,
            FrameMarking,
            DependencyDescriptor,
            AbsCaptureTime,
            AbsSendTime,
        ];
        check(Purpose::Publisher, false, &audio, &video[..7], cc);
        check(Purpose::Single, false, &audio, &video, cc | remb);
        check(Purpose::Single, true, &audio, &video[..7], cc);
        let sent = [DependencyDescriptor, AbsCaptureTime, AbsSendTime];
        check(Purpose::Subscriber, false, &[AbsCaptureTime], &sent, remb);
        let sent = [DependencyDescriptor, AbsCaptureTime, TransportCc];
        check(Purpose::Subscriber, true, &[AbsCaptureTime], &sent, cc);
    }
}
