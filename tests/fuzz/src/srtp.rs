//! SRTP: junk opens nothing, what opens does so once, and what is sealed opens to what it was.

use ringway_proto::srtp::{MasterKey, PacketIndex, SrtpDrop, SrtpOpener, SrtpProfile, SrtpSealer};

/// The first byte of `data` chooses the profile, the rest is a packet: as sealed by who has the
/// keys (the corpus has some), and as one to seal.
pub fn srtp(data: &[u8]) {
    let Some((choice, packet)) = data.split_first() else { return };
    let profile = SrtpProfile::ALL[usize::from(choice % 3)];
    // The keys of the corpus.
    let key: Vec<u8> = (0..).take(profile.key_bytes()).collect();
    let salt: Vec<u8> = (0x80..).take(profile.salt_bytes()).collect();
    let master = MasterKey::new(profile, &key, &salt).expect("the profile's lengths");
    open_rtp(&master, packet);
    open_rtcp(&master, packet);
    seal(&master, packet);
}

fn open_rtp(master: &MasterKey, packet: &[u8]) {
    let (mut opener, mut opened) = (SrtpOpener::new(master), packet.to_vec());
    let Ok(found) = opener.open_rtp(&mut opened) else {
        return assert_eq!(opener.streams(), 0);
    };
    assert_eq!(found.len + master.profile().rtp_overhead(), packet.len());
    assert_eq!(opened[..found.header_len], packet[..found.header_len]);
    let again = opener.open_rtp(&mut packet.to_vec());
    assert_eq!(again, Err(SrtpDrop::Replayed));
    let mut sealed = vec![0; packet.len()];
    let (header, payload) = opened[..found.len].split_at(found.header_len);
    let index = PacketIndex::new(0, found.index as u16);
    let len = SrtpSealer::new(master).seal_into(index, header, payload, &mut sealed);
    assert_eq!((len, &sealed[..]), (Ok(packet.len()), packet));
}

fn open_rtcp(master: &MasterKey, packet: &[u8]) {
    let (mut opener, mut opened) = (SrtpOpener::new(master), packet.to_vec());
    let Ok(len) = opener.open_rtcp(&mut opened) else { return };
    assert_eq!(len + master.profile().rtcp_overhead(), packet.len());
    assert_eq!(opener.open_rtcp(&mut packet.to_vec()), Err(SrtpDrop::Replayed));
}

fn seal(master: &MasterKey, packet: &[u8]) {
    let mut sealer = SrtpSealer::new(master);
    let mut out = vec![0; packet.len() + 64];
    if let Ok(len) = sealer.seal_rtcp_into(packet, &mut out) {
        assert_eq!(SrtpOpener::new(master).open_rtcp(&mut out[..len]), Ok(packet.len()));
        assert_eq!(&out[..packet.len()], packet);
    }
    let Some(&[_, _, high, low]) = packet.first_chunk() else { return };
    let sequence = u16::from_be_bytes([high, low]);
    // Every cut that could be the end of the header.
    for cut in (12..packet.len().min(96)).step_by(4) {
        let (header, payload) = packet.split_at(cut);
        let index = PacketIndex::new(0, sequence);
        let Ok(len) = sealer.seal_into(index, header, payload, &mut out) else { continue };
        let opened = SrtpOpener::new(master).open_rtp(&mut out[..len]).expect("authentic");
        assert_eq!((opened.len, opened.header_len), (packet.len(), cut));
        assert_eq!(&out[..opened.len], packet);
    }
}
