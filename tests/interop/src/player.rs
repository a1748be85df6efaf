//! A receiver: FFmpeg reads a session description, decodes, and writes what it saw and heard.

use std::fmt::Write as _;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ringway_system::patience::until;

use crate::clip::{SAMPLE_RATE, picture_hashes};
use crate::ffmpeg::{Ffmpeg, words};

/// Nothing takes longer, even on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What a player is told.
#[derive(Debug, Clone, Copy)]
pub struct Session {
    /// Address to receive on.
    pub address: IpAddr,
    /// Port of the video's RTP.
    pub video: u16,
    /// Port of the audio's RTP.
    pub audio: u16,
    /// Payload type of the video.
    pub video_type: u8,
    /// Payload type of the audio.
    pub audio_type: u8,
}

/// Pictures that FFmpeg keeps to itself while it hopes for more packets, and loses when it is told
/// to end. Packets lost among the last ones are found by other means ([`crate::listener`]).
pub const HELD_BACK: usize = 8;

/// A running player.
#[derive(Debug)]
pub struct Player {
    ffmpeg: Ffmpeg,
    session: Session,
    pictures: PathBuf,
    sound: PathBuf,
}

/// What a player saw and heard.
#[derive(Debug)]
pub struct Played {
    /// Hash of each decoded picture, in order.
    pub pictures: Vec<String>,
    /// Decoded samples, one channel.
    pub samples: Vec<i16>,
}

impl Session {
    /// The session description (SDP) that a person would write by hand.
    pub fn describe(&self) -> String {
        let kind = if self.address.is_ipv4() { "IP4" } else { "IP6" };
        let (video, audio) = (self.video_type, self.audio_type);
        let mut text = String::new();
        let _ = write!(
            text,
            "v=0\no=- 0 0 IN {kind} {address}\ns=ringway\nc=IN {kind} {address}\nt=0 0\n\
             m=video {} RTP/AVP {video}\na=rtpmap:{video} H264/90000\n\
             a=fmtp:{video} packetization-mode=1\n\
             m=audio {} RTP/AVP {audio}\na=rtpmap:{audio} opus/48000/2\n",
            self.video,
            self.audio,
            address = self.address,
        );
        text
    }
}

impl Player {
    /// Starts to receive; returns when its sockets are open.
    pub fn start(name: &str, session: Session, folder: &Path) -> Self {
        let description = folder.join(format!("{name}.sdp"));
        fs::write(&description, session.describe()).expect("write a session description");
        let pictures = folder.join(format!("{name}.framemd5"));
        let sound = folder.join(format!("{name}.s16"));
        // Packets are few and local: what is late is lost, and nothing is reordered.
        let mut arguments = words("-protocol_whitelist file,udp,rtp -max_delay 200000 -i");
        arguments.push(description.display().to_string());
        // What it has decoded it writes at once: told to end, it may not flush.
        arguments.extend(words("-map 0:v -vsync passthrough -flush_packets 1 -f framemd5"));
        arguments.push(pictures.display().to_string());
        arguments
            .extend(words(&format!("-map 0:a -ac 1 -ar {SAMPLE_RATE} -flush_packets 1 -f s16le")));
        arguments.push(sound.display().to_string());
        let ffmpeg = Ffmpeg::start(name, &arguments, folder);
        let mut player = Self { ffmpeg, session, pictures, sound };
        for port in [session.video, session.audio] {
            until(TIMEOUT, &format!("ffmpeg to open port {port}"), || {
                assert!(player.ffmpeg.ended().is_none(), "ffmpeg ended instead of listening");
                player.waiting_bytes(port).map(|_| ())
            });
        }
        player
    }

    /// Pictures decoded so far.
    pub fn pictures_so_far(&self) -> usize {
        picture_hashes(&self.pictures).len()
    }

    /// Waits until it has taken all packets and played nearly all of `pictures`, then ends it and
    /// returns what it saw and heard. All packets must have been sent by then.
    ///
    /// # Panics
    /// When that many pictures do not come.
    pub fn finish(mut self, pictures: usize) -> Played {
        let enough = pictures.saturating_sub(HELD_BACK);
        let what = format!("a player to decode {enough} pictures");
        until(TIMEOUT, &what, || (self.pictures_so_far() >= enough).then_some(()));
        for port in [self.session.video, self.session.audio] {
            let what = format!("ffmpeg to empty port {port}");
            until(TIMEOUT, &what, || self.waiting_bytes(port).is_none_or(|n| n == 0).then_some(()));
        }
        self.ffmpeg.finish();
        let sound = fs::read(&self.sound).unwrap_or_default();
        let samples = sound.chunks_exact(2).map(|two| i16::from_le_bytes([two[0], two[1]]));
        Played { pictures: picture_hashes(&self.pictures), samples: samples.collect() }
    }

    /// Bytes that wait in the socket bound to `port`; `None` while there is no such socket.
    fn waiting_bytes(&self, port: u16) -> Option<u64> {
        let table = if self.session.address.is_ipv4() { "udp" } else { "udp6" };
        let text = fs::read_to_string(format!("/proc/net/{table}")).unwrap_or_default();
        let mark = format!(":{port:04X}");
        let mut rows = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let row = rows.find(|row| row.get(1).is_some_and(|local| local.ends_with(&mark)))?;
        let (_, receive) = row.get(4)?.split_once(':')?;
        u64::from_str_radix(receive, 16).ok()
    }
}
