//! The harness itself: FFmpeg to FFmpeg with nothing of ours between, whole and with a packet lost.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ringway_interop::clip::{AUDIO_TYPE, Clip, SAMPLE_RATE, TONE_HZ, Target, VIDEO_TYPE};
use ringway_interop::player::{HELD_BACK, Player, Session};
use ringway_interop::verdict::{same_pictures, tone_share};
use ringway_system::ports::free_udp_pair;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn player(name: &str, folder: &Path) -> (Player, Session) {
    let session = Session {
        address: HERE,
        video: free_udp_pair(),
        audio: free_udp_pair(),
        video_type: VIDEO_TYPE,
        audio_type: AUDIO_TYPE,
    };
    (Player::start(name, session, folder), session)
}

#[test]
fn a_perfect_path_is_found_perfect() {
    let folder = tempfile::tempdir().expect("a temp folder");
    let clip = Clip::make(folder.path());
    let (player, session) = player("player", folder.path());
    let target = Target { address: HERE, video: session.video, audio: session.audio, mux: false };
    let mut sender = clip.send("sender", target, folder.path());
    assert!(sender.wait().success());
    let played = player.finish(clip.pictures.len());
    same_pictures(&clip.pictures, &played.pictures, 0, HELD_BACK)
        .expect("every picture as it was sent");
    let share = tone_share(&played.samples, SAMPLE_RATE, TONE_HZ);
    assert!(share > 0.9, "the tone has {share} of the power");
}

#[test]
fn a_lossy_path_is_found_out() {
    let folder = tempfile::tempdir().expect("a temp folder");
    let clip = Clip::make(folder.path());
    let (player, session) = player("player", folder.path());

    // Between the two: every 40th video packet is lost.
    let relay = UdpSocket::bind((HERE, 0)).expect("bind any UDP port");
    relay.set_read_timeout(Some(Duration::from_millis(50))).expect("set a read timeout");
    let input = relay.local_addr().expect("a bound socket has an address").port();
    let ended = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&ended);
    let thread = std::thread::spawn(move || {
        let mut buffer = [0; 2048];
        let mut count = 0u32;
        while !flag.load(Ordering::Relaxed) {
            let Ok(length) = relay.recv(&mut buffer) else { continue };
            count += 1;
            if !count.is_multiple_of(40) {
                let to = SocketAddr::from((HERE, session.video));
                relay.send_to(&buffer[..length], to).expect("send on loopback");
            }
        }
    });

    let target = Target { address: HERE, video: input, audio: session.audio, mux: true };
    let mut sender = clip.send("sender", target, folder.path());
    assert!(sender.wait().success());
    let played = player.finish(clip.pictures.len() / 2);
    ended.store(true, Ordering::Relaxed);
    thread.join().expect("the relay does not panic");
    same_pictures(&clip.pictures, &played.pictures, 0, HELD_BACK).expect_err("loss must be seen");
}
