//! What two H.264 descriptions must share to be one codec (RFC 6184 8.1, 8.2.2): the profile behind
//! `profile-level-id`, and the packetization mode. The level may differ.

use crate::payload::format_parameter;

/// A profile of H.264, after constraint flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum H264Profile {
    /// Constrained Baseline.
    ConstrainedBaseline,
    /// Baseline.
    Baseline,
    /// Main.
    Main,
    /// Constrained High.
    ConstrainedHigh,
    /// High.
    High,
    /// High 4:4:4 Predictive.
    PredictiveHigh444,
}

/// RFC 6184 8.1, table 5: profile_idc, mask and value of the constraint flags, profile.
const PROFILES: [(u8, u8, u8, H264Profile); 9] = [
    (0x42, 0x4f, 0x40, H264Profile::ConstrainedBaseline),
    (0x4d, 0x8f, 0x80, H264Profile::ConstrainedBaseline),
    (0x58, 0xcf, 0xc0, H264Profile::ConstrainedBaseline),
    (0x42, 0x4f, 0x00, H264Profile::Baseline),
    (0x58, 0xcf, 0x80, H264Profile::Baseline),
    (0x4d, 0xaf, 0x00, H264Profile::Main),
    (0x64, 0xff, 0x00, H264Profile::High),
    (0x64, 0xff, 0x0c, H264Profile::ConstrainedHigh),
    (0xf4, 0xff, 0x00, H264Profile::PredictiveHigh444),
];

/// The parameters that decide whether two descriptions are the same codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct H264Parameters {
    /// The profile.
    pub profile: H264Profile,
    /// The packetization mode: 0 or 1. RFC 6184 8.1: 0 where it is not given.
    pub packetization_mode: u8,
}

impl H264Parameters {
    /// Reads format parameters; nothing if they are malformed, of a profile that WebRTC does not
    /// have, or of interleaved mode.
    pub fn read(fmtp: &str) -> Option<Self> {
        let mode = format_parameter(fmtp, "packetization-mode");
        let packetization_mode = mode.map_or(Some(0), |mode| mode.parse().ok())?;
        let profile = match format_parameter(fmtp, "profile-level-id") {
            Some(id) => profile_of(id)?,
            // RFC 6184 8.1: the Baseline profile without constraints, level 1. Those who leave it
            // out send what every decoder takes, so it counts as constrained, as in libwebrtc.
            None => H264Profile::ConstrainedBaseline,
        };
        (packetization_mode <= 1).then_some(Self { profile, packetization_mode })
    }

    /// Whether decoders take it whatever profile they name: theirs do more than they say, except
    /// with pictures of another colour format.
    pub fn is_widely_decoded(self) -> bool {
        self.profile != H264Profile::PredictiveHigh444
    }

    /// Whether a stream of these parameters can be sent to who describes `theirs`.
    // RFC 6184 6.2, 6.3: what mode 1 takes apart includes the packets of mode 0, not the reverse.
    pub fn is_taken_by(self, theirs: Self) -> bool {
        (self.profile == theirs.profile || self.is_widely_decoded())
            && self.packetization_mode <= theirs.packetization_mode
    }
}

fn profile_of(id: &str) -> Option<H264Profile> {
    if id.len() != 6 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let number = u32::from_str_radix(id, 16).ok()?;
    let [_, idc, flags, _level] = number.to_be_bytes();
    let row = PROFILES.iter().find(|row| row.0 == idc && flags & row.1 == row.2);
    row.map(|row| row.3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_read() {
        use H264Profile::*;
        let check = |fmtp: &str, expect: Option<(H264Profile, u8)>| {
            let found = H264Parameters::read(fmtp);
            let found = found.map(|found| (found.profile, found.packetization_mode));
            assert_eq!(found, expect, "{fmtp}");
        };
        // libwebrtc, Firefox, Safari, GStreamer.
        check(
            "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
            Some((ConstrainedBaseline, 1)),
        );
        check("profile-level-id=42E01F;level-asymmetry-allowed=1", Some((ConstrainedBaseline, 0)));
        check("packetization-mode=1;profile-level-id=42c015", Some((ConstrainedBaseline, 1)));
        check("packetization-mode=1;profile-level-id=42001f", Some((Baseline, 1)));
        check("packetization-mode=0;profile-level-id=4d001f", Some((Main, 0)));
        check("packetization-mode=1;profile-level-id=640c1f", Some((ConstrainedHigh, 1)));
        check("packetization-mode=1;profile-level-id=640032", Some((High, 1)));
        check("packetization-mode=1;profile-level-id=f4001f", Some((PredictiveHigh444, 1)));
        check("", Some((ConstrainedBaseline, 0)));
        check("packetization-mode=2;profile-level-id=42e01f", None);
        check("packetization-mode=x", None);
        check("profile-level-id=42e0", None);
        check("profile-level-id=+2e01f", None);
        check("profile-level-id=99001f", None);
    }

    #[test]
    fn streams_are_taken_by_who_can_decode_them() {
        let check = |stream: &str, theirs: &str, expect: bool| {
            let read = |text: &str| {
                let (profile, mode) = text.split_once('/').unwrap();
                let fmtp = format!("profile-level-id={profile};packetization-mode={mode}");
                H264Parameters::read(&fmtp).unwrap()
            };
            assert_eq!(read(stream).is_taken_by(read(theirs)), expect, "{stream} {theirs}");
        };
        check("42e01f/1", "42e01f/1", true);
        check("42e01f/0", "42e01f/1", true);
        check("42e01f/1", "42e01f/0", false);
        check("42001f/1", "42e01f/1", true);
        check("4d001f/0", "42e01f/1", true);
        check("640032/1", "42e01f/1", true);
        check("f4001f/1", "640032/1", false);
        check("f4001f/1", "f4001f/1", true);
    }
}
