//! dataplane/proto/src/srtp/open.rs: the two ways from a receive buffer into the history.
use divan::{Bencher, black_box};
use ringway_proto::srtp::{MasterKey, PacketIndex, SrtpOpener, SrtpProfile, SrtpSealer};

const PROFILES: [SrtpProfile; 3] = SrtpProfile::ALL;
/// Packets that lie in receive buffers: more than a cache holds nearby.
const PACKETS: usize = 512;

fn main() {
    divan::main();
}

fn master(profile: SrtpProfile) -> MasterKey {
    let (key, salt) = (vec![1; profile.key_bytes()], vec![2; profile.salt_bytes()]);
    MasterKey::new(profile, &key, &salt).expect("the profile's lengths")
}

/// Sealed packets in order.
fn packets(profile: SrtpProfile) -> Vec<Vec<u8>> {
    let sealer = SrtpSealer::new(&master(profile));
    let seal = |sequence: u16| {
        let mut header = [0x80, 96, 0, 0, 0, 0, 0, 9, 0, 0, 0, 7];
        header[2..4].copy_from_slice(&sequence.to_be_bytes());
        let mut out = vec![0; 1400];
        let index = PacketIndex::new(0, sequence);
        let len = sealer.seal_into(index, &header, &[3; 1148], &mut out).expect("sealed");
        out.truncate(len);
        out
    };
    (0..PACKETS as u16).map(seal).collect()
}

/// Copied, opened in place, copied.
#[divan::bench(args = PROFILES)]
fn in_place(bencher: Bencher<'_, '_>, profile: SrtpProfile) {
    let packets = packets(profile);
    let (mut datagram, mut history) = (vec![0; 2048], vec![0; 4096 * PACKETS]);
    bencher.counter(divan::counter::ItemsCount::new(PACKETS)).bench_local(|| {
        let mut opener = SrtpOpener::new(&master(profile));
        for (packet, place) in packets.iter().zip(history.chunks_mut(4096)) {
            let datagram = &mut datagram[..packet.len()];
            datagram.copy_from_slice(packet);
            let opened = opener.open_rtp(datagram).expect("authentic");
            place[..opened.len].copy_from_slice(&datagram[..opened.len]);
        }
        black_box(&history);
    });
}

/// Opened from one into the other.
#[divan::bench(args = PROFILES)]
fn elsewhere(bencher: Bencher<'_, '_>, profile: SrtpProfile) {
    let packets = packets(profile);
    let mut history = vec![0; 4096 * PACKETS];
    bencher.counter(divan::counter::ItemsCount::new(PACKETS)).bench_local(|| {
        let mut opener = SrtpOpener::new(&master(profile));
        for (packet, place) in packets.iter().zip(history.chunks_mut(4096)) {
            opener.open_rtp_into(packet, place).expect("authentic");
        }
        black_box(&history);
    });
}
