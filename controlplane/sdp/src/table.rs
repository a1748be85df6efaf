//! The codecs with the payload types and parameters that our own offers give them. Answers keep
//! the payload types of the offer.

use crate::codec::Codec;
use crate::h264::H264Parameters;
use crate::payload::{Payload, format_parameter};

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodecEntry {
    /// The codec.
    pub codec: Codec,
    /// The payload type in our offers.
    pub payload_type: u8,
    /// The payload type of retransmissions in our offers.
    pub rtx: Option<u8>,
    /// Format parameters; empty if there are none.
    pub fmtp: &'static str,
    /// On without being named with exactly these parameters.
    pub default_on: bool,
}

const fn audio(codec: Codec, payload_type: u8, fmtp: &'static str) -> CodecEntry {
    CodecEntry { codec, payload_type, rtx: None, fmtp, default_on: true }
}

/// Retransmissions have the next payload type.
const fn video(codec: Codec, payload_type: u8, fmtp: &'static str) -> CodecEntry {
    CodecEntry { codec, payload_type, rtx: Some(payload_type + 1), fmtp, default_on: true }
}

const fn off(entry: CodecEntry) -> CodecEntry {
    CodecEntry { default_on: false, ..entry }
}

/// Every codec that can be negotiated, in the order of our offers.
pub const TABLE: &[CodecEntry] = &[
    audio(Codec::Opus, 111, "minptime=10;useinbandfec=1"),
    audio(Codec::Red, 63, "111/111"),
    audio(Codec::Pcmu, 0, ""),
    audio(Codec::Pcma, 8, ""),
    video(Codec::Vp8, 96, ""),
    video(Codec::Vp9, 98, "profile-id=0"),
    video(Codec::Vp9, 100, "profile-id=1"),
    video(
        Codec::H264,
        125,
        "level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f",
    ),
    video(
        Codec::H264,
        108,
        "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
    ),
    video(
        Codec::H264,
        123,
        "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=640032",
    ),
    off(video(
        Codec::H264,
        104,
        "level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42001f",
    )),
    off(video(
        Codec::H264,
        102,
        "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f",
    )),
    off(video(
        Codec::H264,
        39,
        "level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=4d001f",
    )),
    off(video(
        Codec::H264,
        106,
        "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=4d001f",
    )),
    video(Codec::Av1, 35, ""),
    video(Codec::H265, 116, ""),
    CodecEntry {
        codec: Codec::FlexFec,
        payload_type: 115,
        rtx: None,
        fmtp: "repair-window=10000000",
        default_on: false,
    },
];

impl CodecEntry {
    /// Whether `payload` describes this codec with parameters that mean the same.
    pub fn matches(&self, payload: &Payload) -> bool {
        self.is_codec_of(payload) && same_parameters(self.codec, self.fmtp, &payload.fmtp)
    }

    /// Whether `payload` describes this codec with any parameters.
    pub(crate) fn is_codec_of(&self, payload: &Payload) -> bool {
        let codec = self.codec;
        payload.is(codec.name())
            && payload.clock_rate == codec.clock_rate()
            && payload.channels == codec.channels()
    }
}

/// Whether a stream described by `ours` can be decoded by who described `theirs`.
pub(crate) fn same_parameters(codec: Codec, ours: &str, theirs: &str) -> bool {
    let number = |fmtp: &str, key: &str, default: u32| {
        format_parameter(fmtp, key).map_or(Some(default), |value| value.parse().ok())
    };
    let equal = |key, default| {
        let theirs = number(theirs, key, default);
        theirs.is_some() && theirs == number(ours, key, default)
    };
    match codec {
        Codec::H264 => {
            let theirs = H264Parameters::read(theirs);
            theirs.is_some() && theirs == H264Parameters::read(ours)
        }
        // RFC 9628 6: profile 0 where nothing is said.
        Codec::Vp9 => equal("profile-id", 0),
        // The AV1 RTP specification 7.2: profile 0 (Main) where nothing is said.
        Codec::Av1 => equal("profile", 0),
        // RFC 7798 7.1: profile 1 (Main) and a single stream where nothing is said.
        Codec::H265 => {
            let mode = |fmtp| format_parameter(fmtp, "tx-mode").unwrap_or("SRST") == "SRST";
            equal("profile-id", 1) && mode(theirs)
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_payload_type_stands_twice() {
        let mut numbers: Vec<u8> = TABLE.iter().map(|entry| entry.payload_type).collect();
        numbers.extend(TABLE.iter().filter_map(|entry| entry.rtx));
        let count = numbers.len();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), count);
        // RFC 5761 4: these are RTCP packet types when RTP and RTCP share a port.
        assert!(numbers.iter().all(|number| !(64..=95).contains(number) && *number < 128));
    }

    #[test]
    fn entries_match_what_browsers_offer() {
        let check = |map: &str, fmtp: &str, expect: Option<u8>| {
            let mut payload = Payload::bare(127);
            payload.set_map(map).unwrap();
            payload.fmtp = fmtp.to_owned();
            let found = TABLE.iter().find(|entry| entry.matches(&payload));
            assert_eq!(found.map(|entry| entry.payload_type), expect, "{map} {fmtp}");
        };
        check("opus/48000/2", "minptime=10;useinbandfec=1", Some(111));
        check("OPUS/48000/2", "", Some(111));
        check("opus/48000", "", None);
        check("red/48000/2", "111/111", Some(63));
        check("red/90000", "", None);
        check("vp8/90000", "max-fs=12288;max-fr=60", Some(96));
        check("VP9/90000", "", Some(98));
        check("VP9/90000", "profile-id=0", Some(98));
        check("VP9/90000", "profile-id=2", None);
        check("VP9/90000", "profile-id=x", None);
        check("AV1/90000", "level-idx=5;profile=0;tier=0", Some(35));
        check("AV1/90000", "level-idx=5;profile=1;tier=0", None);
        check("H265/90000", "level-id=180;profile-id=1;tier-flag=0;tx-mode=SRST", Some(116));
        check("H265/90000", "level-id=180;profile-id=2;tier-flag=0;tx-mode=SRST", None);
        check("H264/90000", "packetization-mode=1;profile-level-id=42e034", Some(108));
        check("H264/90000", "packetization-mode=1;profile-level-id=640028", Some(123));
        check("H264/90000", "packetization-mode=0;profile-level-id=640028", None);
        check("flexfec-03/90000", "repair-window=10000000", Some(115));
        check("G722/8000", "", None);
    }
}
