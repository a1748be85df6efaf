//! What is sent: a few seconds of H.264 and Opus, encoded once, and what their frames decode to.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::ffmpeg::{Ffmpeg, words};

/// Length of the clip, s.
pub const LENGTH_S: u32 = 4;

/// Pictures a second.
pub const FRAME_RATE: u32 = 25;

/// Pitch of the tone, Hz.
pub const TONE_HZ: f64 = 1000.0;

/// Samples a second of decoded audio.
pub const SAMPLE_RATE: u32 = 48_000;

/// Payload types that the sender uses.
pub const VIDEO_TYPE: u8 = 96;
/// See [`VIDEO_TYPE`].
pub const AUDIO_TYPE: u8 = 97;

/// An encoded clip on disk.
#[derive(Debug)]
pub struct Clip {
    file: PathBuf,
    /// Hash of each decoded picture, in order.
    pub pictures: Vec<String>,
}

/// Where a sender sends.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Address of the appliance.
    pub address: IpAddr,
    /// Port of the video's RTP.
    pub video: u16,
    /// Port of the audio's RTP.
    pub audio: u16,
    /// RTCP goes to the RTP port.
    pub mux: bool,
}

impl Clip {
    /// Encodes the clip into `folder` and decodes it once.
    pub fn make(folder: &Path) -> Self {
        let file = folder.join("clip.mkv");
        let mut arguments = words(&format!(
            "-f lavfi -i testsrc2=size=320x240:rate={FRAME_RATE}:duration={LENGTH_S} \
             -f lavfi -i sine=frequency={TONE_HZ}:sample_rate={SAMPLE_RATE}:duration={LENGTH_S} \
             -c:v libx264 -profile:v baseline -tune zerolatency -preset ultrafast \
             -g {FRAME_RATE} -c:a libopus -b:a 64k"
        ));
        arguments.push(file.display().to_string());
        Ffmpeg::run("encode", &arguments, folder);

        let hashes = folder.join("sent.framemd5");
        let input = file.display().to_string();
        let mut arguments = vec!["-i".to_owned(), input];
        arguments.extend(words("-map 0:v -f framemd5"));
        arguments.push(hashes.display().to_string());
        Ffmpeg::run("decode", &arguments, folder);
        Self { file, pictures: picture_hashes(&hashes) }
    }

    /// Sends the clip in real time, video and audio to ports of their own.
    pub fn send(&self, name: &str, target: Target, folder: &Path) -> Ffmpeg {
        let url = |port: u16| {
            let host = match target.address {
                IpAddr::V4(address) => address.to_string(),
                IpAddr::V6(address) => format!("[{address}]"),
            };
            let rtcp = if target.mux { port } else { port + 1 };
            format!("rtp://{host}:{port}?rtcpport={rtcp}&pkt_size=1200")
        };
        let mut arguments = words("-re -i");
        arguments.push(self.file.display().to_string());
        // Parameter sets before every key picture, for receivers that know nothing else.
        arguments.extend(words(&format!(
            "-map 0:v -c:v copy -bsf:v h264_mp4toannexb,dump_extra=freq=keyframe \
             -payload_type {VIDEO_TYPE} -f rtp {} \
             -map 0:a -c:a copy -payload_type {AUDIO_TYPE} -f rtp {}",
            url(target.video),
            url(target.audio),
        )));
        Ffmpeg::start(name, &arguments, folder)
    }
}

/// The hashes in a file that FFmpeg's `framemd5` has written so far, whole lines only.
pub fn picture_hashes(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let lines = whole.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.rsplit(',').next()).map(|hash| hash.trim().to_owned()).collect()
}
