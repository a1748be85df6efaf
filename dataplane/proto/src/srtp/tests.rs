//! The vectors of the RFCs, packets that libsrtp sealed, and everything a session must refuse.

use super::keys::Cipher;
use super::*;

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        hex.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn master(profile: SrtpProfile, seed: u8) -> MasterKey {
    let key: Vec<u8> = (seed..).take(profile.key_bytes()).collect();
    let salt: Vec<u8> = (seed ^ 0x80..).take(profile.salt_bytes()).collect();
    MasterKey::new(profile, &key, &salt).expect("the profile's lengths")
}

fn pair(profile: SrtpProfile) -> (SrtpSealer, SrtpOpener) {
    (SrtpSealer::new(&master(profile, 1)), SrtpOpener::new(&master(profile, 1)))
}

fn header(ssrc: u32, sequence: u16) -> [u8; 12] {
    let mut header = [0x80, 96, 0, 0, 0, 0, 0, 9, 0, 0, 0, 0];
    header[2..4].copy_from_slice(&sequence.to_be_bytes());
    header[8..].copy_from_slice(&ssrc.to_be_bytes());
    header
}

fn seal(sealer: &SrtpSealer, ssrc: u32, index: u64) -> Vec<u8> {
    let mut out = [0; 128];
    let header = header(ssrc, index as u16);
    let index = PacketIndex::new((index >> 16) as u32, index as u16);
    let len = sealer.seal_into(index, &header, b"some payload", &mut out).expect("sealed");
    out[..len].to_vec()
}

/// The SRTCP packet with `index` from `ssrc`.
fn seal_rtcp(sealer: &mut SrtpSealer, ssrc: u32, index: u32) -> Vec<u8> {
    sealer.set_rtcp_index(index);
    let mut packet = vec![0x80, 201, 0, 1, 0, 0, 0, 0];
    packet[4..].copy_from_slice(&ssrc.to_be_bytes());
    let mut out = [0; 64];
    let len = sealer.seal_rtcp_into(&packet, &mut out).expect("sealed");
    out[..len].to_vec()
}

/// RFC 7714 16: session keys, so that nothing is derived.
#[test]
fn packets_of_rfc_7714() {
    let key: Vec<u8> = (0..32).collect();
    let (mut salt, plain) = ([0; 14], b"Gallia est omnis divisa in partes tres");
    salt[..12].copy_from_slice(b"Quid pro quo");
    let header = bytes("8040f17b 8041f8d3 5501a0b2");
    for (profile, expect) in [
        (
            SrtpProfile::AeadAes128Gcm,
            "f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5 0d294e6f 42a5f47a 51c7d19b 36de3adf 8833
             899d7f27 beb16a91 52cf765e e4390cce",
        ),
        (
            SrtpProfile::AeadAes256Gcm,
            "32b1de78 a822fe12 ef9f78fa 332e33aa b1801238 9a58e2f3 b50b2a02 76ffae0f 1ba63799 b87b
             7aa3db36 dfffd6b0 f9bb7878 d7a76c13",
        ),
    ] {
        let cipher = || Cipher::new(profile, &key[..profile.key_bytes()], &[0; 20], &salt);
        let sealer = SrtpSealer::with_ciphers(profile, cipher(), cipher());
        let mut out = [0; 128];
        let len = sealer.seal_into(PacketIndex::new(0, 0xf17b), &header, plain, &mut out);
        assert_eq!(out[..len.expect("sealed")], [header.clone(), bytes(expect)].concat());

        let mut opener = SrtpOpener::with_ciphers(profile, cipher(), cipher());
        let opened = opener.open_rtp(&mut out[..len.expect("sealed")]).expect("authentic");
        assert_eq!((opened.header_len, opened.ssrc, opened.index), (12, 0x5501_a0b2, 0xf17b));
        assert_eq!(out[12..opened.len], plain[..]);
    }
}

/// RFC 7714 17.1: SRTCP with AES-128-GCM.
#[test]
fn report_of_rfc_7714() {
    let key: Vec<u8> = (0..16).collect();
    let mut salt = [0; 14];
    salt[..12].copy_from_slice(b"Quid pro quo");
    let plain = bytes(
        "81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61
         deadbeef deadbeef deadbeef deadbeef deadbeef",
    );
    let expect = bytes(
        "81c8000d 4d617273 63e94885 dcdab67c a727d766 2f6b7e99 7ff5c0f7 6c06f32d c676a5f1 730d6fda
         4ce09b46 86303ded 0bb9275b c84aa458 96cf4d2f c5abf872 45d9eade 800005d4",
    );
    let profile = SrtpProfile::AeadAes128Gcm;
    let cipher = || Cipher::new(profile, &key, &[0; 20], &salt);
    let mut sealer = SrtpSealer::with_ciphers(profile, cipher(), cipher());
    sealer.set_rtcp_index(0x5d4);
    let mut out = [0; 128];
    let len = sealer.seal_rtcp_into(&plain, &mut out).expect("sealed");
    assert_eq!(out[..len], expect);
    let mut opener = SrtpOpener::with_ciphers(profile, cipher(), cipher());
    assert_eq!(opener.open_rtcp(&mut out[..len]), Ok(plain.len()));
    assert_eq!(out[..plain.len()], plain);
}

/// RFC 3711 B.2, AES-CM's key stream, and B.3, the derivation of keys.
#[test]
fn keys_and_key_stream_of_rfc_3711() {
    let profile = SrtpProfile::Aes128CmSha1_80;
    let master = MasterKey::new(
        profile,
        &bytes("E1F97A0D3E018BE0D64FA32C06DE4139"),
        &bytes("0EC675AD498AFEEBB6960B3AABE6"),
    )
    .expect("the profile's lengths");
    for (label, expect) in [
        (0, "C61E7A93744F39EE10734AFE3FF7A087"),
        (2, "30CBBC08863D8C85D49DB34A9AE1"),
        (1, "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4"),
    ] {
        let mut out = bytes(expect);
        out.fill(0xaa);
        master.expand(label, &mut out);
        assert_eq!(out, bytes(expect), "label {label}");
    }
    let mut stream = [0; 48];
    let key = keys::counter_mode(&bytes("2B7E151628AED2A6ABF7158809CF4F3C"));
    let counter = bytes("F0F1F2F3F4F5F6F7F8F9FAFBFCFD0000").try_into().expect("16 bytes");
    keys::apply_key_stream(&key, counter, &mut stream).expect("applied");
    let expect = "E03EAD0935C95E80E166B16DD92B4EB4 D23513162B02D0F72A43A2FE4A5F97AB
                  41E95B3BB0A2E8DD477901E4FCA894C0";
    assert_eq!(stream[..], bytes(expect));
}

/// `tests/data/make_srtp_vectors.py` says where the packets come from.
#[test]
fn packets_of_libsrtp() {
    let (mut session, mut packets) = (None, 0);
    for line in include_str!("../../tests/data/srtp_vectors.txt").lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [kind, name, plain, sealed] = words[..] else { panic!("a line of four words") };
        if kind == "profile" {
            let profile = match name {
                "aes128-gcm" => SrtpProfile::AeadAes128Gcm,
                "aes256-gcm" => SrtpProfile::AeadAes256Gcm,
                _ => SrtpProfile::Aes128CmSha1_80,
            };
            let master = MasterKey::new(profile, &bytes(plain), &bytes(sealed)).expect("lengths");
            session = Some((SrtpSealer::new(&master), SrtpOpener::new(&master)));
            continue;
        }
        let (sealer, opener) = session.as_mut().expect("a profile comes first");
        let (plain, sealed) = (bytes(plain), bytes(sealed));
        let number: u32 = name.parse().expect("a number");
        let (mut ours, mut theirs) = (vec![0; sealed.len()], sealed.clone());
        let len = if kind == "rtp" {
            let opened = opener.open_rtp(&mut theirs).expect("authentic");
            assert_eq!(opened.index >> 16, u64::from(number), "{line}");
            let (header, payload) = plain.split_at(opened.header_len);
            let index = PacketIndex::new(number, opened.index as u16);
            let len = sealer.seal_into(index, header, payload, &mut ours).expect("sealed");
            assert_eq!(len, sealed.len());
            opened.len
        } else {
            sealer.set_rtcp_index(number);
            sealer.seal_rtcp_into(&plain, &mut ours).expect("sealed");
            opener.open_rtcp(&mut theirs).expect("authentic")
        };
        assert_eq!(theirs[..len], plain, "{line}");
        assert_eq!(ours, sealed, "{line}");
        packets += 1;
    }
    assert_eq!(packets, 54);
}

#[test]
fn parts_are_sealed_as_one_packet() {
    for profile in SrtpProfile::ALL {
        let (sealer, _) = pair(profile);
        let header = header(7, 5);
        let body = b"prefix, payload, suffix";
        let mut whole = [0; 128];
        let index = PacketIndex::new(3, 5);
        let len = sealer.seal_into(index, &header, body, &mut whole).expect("sealed");
        assert_eq!(len, header.len() + body.len() + profile.rtp_overhead());
        for (prefix, suffix) in [(0, 0), (0, 1), (0, 8), (2, 0), (6, 8), (23, 0), (0, 23)] {
            let mut out = [0xaa; 128];
            let parts = RtpParts {
                header: &header,
                prefix: &body[..prefix],
                payload: &body[prefix..body.len() - suffix],
                suffix: &body[body.len() - suffix..],
            };
            assert_eq!(sealer.seal_parts_into(index, &parts, &mut out), Ok(len));
            assert_eq!(out[..len], whole[..len], "{profile:?} {prefix} {suffix}");
            assert!(out[len..].iter().all(|byte| *byte == 0xaa));
        }
    }
}

#[test]
fn packets_are_opened_in_place_or_elsewhere_alike() {
    for profile in SrtpProfile::ALL {
        let (sealer, mut opener) = pair(profile);
        let mut other = SrtpOpener::new(&master(profile, 1));
        for index in [5, 4, 6, 30_000, 60_000, 65_537] {
            let mut packet = seal(&sealer, 7, index);
            let before = packet.clone();
            let mut out = [0xaa; 128];
            // What is forged or finds no room changes nothing, and may come again.
            packet[13] ^= 1;
            assert_eq!(other.open_rtp_into(&packet, &mut out), Err(SrtpDrop::Forged));
            packet[13] ^= 1;
            assert!(other.open_rtp_into(&packet, &mut out[..20]).is_err());
            let opened = other.open_rtp_into(&packet, &mut out).expect("authentic");
            assert_eq!(packet, before);
            assert_eq!(opener.open_rtp(&mut packet), Ok(opened));
            assert_eq!(out[..opened.len], packet[..opened.len]);
            assert_eq!(other.open_rtp_into(&before, &mut out), Err(SrtpDrop::Replayed));
        }
    }
}

#[test]
fn indices() {
    assert_eq!(PacketIndex::new(2, 3).get(), 0x2_0003);
    let mut extended = ringway_wire::sequence::ExtendedSequence::new(65535);
    assert_eq!(PacketIndex::from_extended(extended.advance(65535)), PacketIndex::new(0, 65535));
    assert_eq!(PacketIndex::from_extended(extended.advance(0)), PacketIndex::new(1, 0));
}

#[test]
fn what_cannot_be_sealed_is_refused() {
    for profile in SrtpProfile::ALL {
        let (mut sealer, _) = pair(profile);
        let header = header(7, 5);
        let index = PacketIndex::new(0, 5);
        let needed = 12 + 3 + profile.rtp_overhead();
        for available in 0..needed {
            let found = sealer.seal_into(index, &header, b"abc", &mut vec![0; available]);
            assert_eq!(found, Err(SealError::Room { needed, available }));
        }
        let mut out = [0; 128];
        let wrong = Err(SealError::Header);
        assert_eq!(sealer.seal_into(PacketIndex::new(0, 6), &header, b"", &mut out), wrong);
        assert_eq!(sealer.seal_into(index, &header[..11], b"", &mut out), wrong);
        let long = [&header[..], b"x"].concat();
        assert_eq!(sealer.seal_into(index, &long, b"", &mut out), wrong);
        assert_eq!(sealer.seal_rtcp_into(&[0x80, 201, 0, 1, 0, 0, 0], &mut out), wrong);
        let needed = 8 + profile.rtcp_overhead();
        for available in 0..needed {
            let found = sealer.seal_rtcp_into(&[0x80; 8], &mut vec![0; available]);
            assert_eq!(found, Err(SealError::Room { needed, available }));
        }
        sealer.set_rtcp_index((1 << 31) - 1);
        assert_eq!(sealer.seal_rtcp_into(&[0x80; 8], &mut out), Ok(needed));
        assert_eq!(sealer.seal_rtcp_into(&[0x80; 8], &mut out), Err(SealError::Exhausted));
    }
}

#[test]
fn replayed_late_and_wrapped_packets() {
    const WRAP: u64 = 65536;
    let window = RTP_WINDOW_PACKETS as u64;
    // (index it was sealed with, what becomes of it)
    let rows = [
        (65000, Ok(())),
        (65000, Err(SrtpDrop::Replayed)),
        (65535, Ok(())),
        (WRAP + 1, Ok(())),
        (WRAP, Ok(())),
        (WRAP, Err(SrtpDrop::Replayed)),
        (65535, Err(SrtpDrop::Replayed)),
        (65534, Ok(())),
        (WRAP + 1 - window, Err(SrtpDrop::Old)),
        (WRAP + 2 - window, Ok(())),
        (2 * WRAP + 1, Err(SrtpDrop::Replayed)), // the same 16 bits as one we had
        (3 * WRAP + 2, Err(SrtpDrop::Forged)),   // a roll-over that we cannot know of
        (2, Err(SrtpDrop::Forged)),              // one that is over
        (WRAP + 32000, Ok(())),
        (WRAP + 64000, Ok(())),
        (2 * WRAP + 30000, Ok(())),
        (WRAP + 64000, Err(SrtpDrop::Old)),
    ];
    for profile in SrtpProfile::ALL {
        let (sealer, mut opener) = pair(profile);
        for (row, (index, expect)) in rows.into_iter().enumerate() {
            let found = opener.open_rtp(&mut seal(&sealer, 9, index));
            assert_eq!(found.map(drop), expect, "{profile:?} row {row}");
            if let Ok(opened) = found {
                assert_eq!(opened.index, index, "{profile:?} row {row}");
            }
        }
    }
}

#[test]
fn replayed_reports() {
    let rows = [
        (1, 100, Ok(8)),
        (1, 100, Err(SrtpDrop::Replayed)),
        (2, 100, Ok(8)), // another SSRC counts for itself
        (1, 99, Ok(8)),
        (1, 5000, Ok(8)),
        (1, 5000 - 127, Ok(8)),
        (1, 5000 - 128, Err(SrtpDrop::Old)),
        (1, 0x7fff_ffff, Ok(8)),
        (1, 0x7fff_ffff, Err(SrtpDrop::Replayed)),
    ];
    for profile in SrtpProfile::ALL {
        let (mut sealer, mut opener) = pair(profile);
        for (row, (ssrc, index, expect)) in rows.into_iter().enumerate() {
            let mut packet = seal_rtcp(&mut sealer, ssrc, index);
            assert_eq!(opener.open_rtcp(&mut packet), expect, "{profile:?} row {row}");
        }
    }
}

#[test]
fn a_flipped_bit_anywhere_is_noticed_and_changes_nothing() {
    for profile in SrtpProfile::ALL {
        let (mut sealer, mut opener) = pair(profile);
        let sealed = seal(&sealer, 9, 1000);
        for bit in 0..8 * sealed.len() {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            opener.open_rtp(&mut flipped).expect_err("forged");
        }
        assert_eq!(opener.streams(), 0);
        assert!(opener.open_rtp(&mut sealed.clone()).is_ok());
        let sealed = seal_rtcp(&mut sealer, 9, 1);
        for bit in 0..8 * sealed.len() {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            opener.open_rtcp(&mut flipped).expect_err("forged");
        }
        assert_eq!(opener.open_rtcp(&mut sealed.clone()), Ok(8));
        // Cut anywhere.
        let sealed = seal(&sealer, 9, 1001);
        for len in 0..sealed.len() {
            opener.open_rtp(&mut sealed[..len].to_vec()).expect_err("cut");
            opener.open_rtcp(&mut sealed[..len].to_vec()).expect_err("cut");
        }
    }
}

#[test]
fn reports_in_the_clear_are_refused() {
    for profile in SrtpProfile::ALL {
        let (mut sealer, mut opener) = pair(profile);
        let mut packet = seal_rtcp(&mut sealer, 1, 1);
        let word = packet.len() - 4 - if profile == SrtpProfile::Aes128CmSha1_80 { 10 } else { 0 };
        packet[word] &= 0x7f;
        assert_eq!(opener.open_rtcp(&mut packet), Err(SrtpDrop::Clear));
    }
}

#[test]
fn an_ssrc_flood_is_bounded() {
    let (sealer, mut opener) = pair(SrtpProfile::AeadAes128Gcm);
    // Forged packets take no place at all.
    for ssrc in 0..10_000 {
        let mut forged = seal(&sealer, ssrc, 1);
        forged[15] ^= 1;
        assert_eq!(opener.open_rtp(&mut forged), Err(SrtpDrop::Forged));
    }
    assert_eq!(opener.streams(), 0);
    // An authentic peer gets its share.
    for ssrc in 0..2 * MAX_STREAMS as u32 {
        let expect = if (ssrc as usize) < MAX_STREAMS { Ok(()) } else { Err(SrtpDrop::Streams) };
        let found = opener.open_rtp(&mut seal(&sealer, ssrc, 1));
        assert_eq!(found.map(drop), expect, "{ssrc}");
    }
    assert_eq!(opener.streams(), MAX_STREAMS);
    // What is removed makes room, and what was known still is.
    opener.remove(17);
    assert!(opener.open_rtp(&mut seal(&sealer, 90_000, 1)).is_ok());
    assert_eq!(opener.open_rtp(&mut seal(&sealer, 3, 1)).map(drop), Err(SrtpDrop::Replayed));
    // And what has not been used for a long time.
    for index in 2..66_000 {
        assert!(opener.open_rtp(&mut seal(&sealer, 3, index)).is_ok(), "{index}");
    }
    assert!(opener.open_rtp(&mut seal(&sealer, 90_001, 1)).is_ok());
    assert_eq!(opener.streams(), MAX_STREAMS);
}

#[test]
fn exported_keys_are_cut_in_order() {
    for profile in SrtpProfile::ALL {
        let exported: Vec<u8> = (0..).take(profile.exported_bytes()).collect();
        let keys = MasterKeys::from_exported(profile, &exported).expect("the right length");
        let (sealer, mut opener) = (SrtpSealer::new(&keys.client), SrtpOpener::new(&keys.client));
        assert!(opener.open_rtp(&mut seal(&sealer, 1, 1)).is_ok());
        let mut other = SrtpOpener::new(&keys.server);
        assert_eq!(other.open_rtp(&mut seal(&sealer, 1, 2)), Err(SrtpDrop::Forged));
        assert!(MasterKeys::from_exported(profile, &exported[1..]).is_none());
        assert!(MasterKeys::from_exported(profile, &[exported, vec![0]].concat()).is_none());
        assert_eq!(SrtpProfile::from_id(profile.id()), Some(profile));
    }
    assert_eq!(SrtpProfile::ALL.map(SrtpProfile::exported_bytes), [56, 88, 60]);
}
