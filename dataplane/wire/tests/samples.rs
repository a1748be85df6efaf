//! Payloads that real encoders made, read as a forwarder reads them. The oracle is how the encoder
//! was told to place key frames, not another parser.

use ringway_wire::payload::{Codec, Entry, inspect, size, vp9};

struct Row {
    codec: Codec,
    sender: &'static str,
    frame: usize,
    packet: usize,
    key: bool,
    payload: Vec<u8>,
}

fn octets(hex: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal");
    (0..hex.len()).step_by(2).map(digit).collect()
}

fn row(line: &'static str) -> Row {
    let fields: Vec<&str> = line.split(' ').collect();
    let [codec, sender, frame, packet, key, hex] = fields[..] else { panic!("{line}") };
    let codec = match codec {
        "vp8" => Codec::Vp8,
        "vp9" => Codec::Vp9,
        "h264" => Codec::H264,
        "h265" => Codec::H265,
        "av1" => Codec::Av1,
        other => panic!("{other}"),
    };
    let number = |text: &str| text.parse().expect("a number");
    Row {
        codec,
        sender,
        frame: number(frame),
        packet: number(packet),
        key: key == "key",
        payload: octets(hex),
    }
}

fn rows() -> impl Iterator<Item = Row> {
    let lines = include_str!("data/payloads.txt").lines();
    lines.filter(|line| !line.starts_with('#')).map(row)
}

#[test]
fn key_frames_are_where_the_encoder_put_them() {
    let mut seen = [0; 2];
    for row in rows() {
        let found = inspect(row.codec, &row.payload);
        let at = format!("{:?} {} {}.{}", row.codec, row.sender, row.frame, row.packet);
        if row.packet == 0 {
            let expect = if row.key { Entry::Full } else { Entry::None };
            assert_eq!(found.entry, expect, "{at}");
            seen[usize::from(row.key)] += 1;
        } else {
            assert_ne!(found.entry, Entry::Full, "{at}");
            assert!(row.key || found.entry == Entry::None, "{at}");
        }
        if let Some(start) = found.frame_start {
            // The parts of a VP9 picture of several spatial layers share a timestamp.
            assert_eq!(start, row.packet == 0, "{at}");
        }
    }
    assert!(seen.iter().all(|&rows| rows > 6), "{seen:?}");
}

#[test]
fn chromium_numbers_its_vp8_pictures() {
    let mut last = None;
    let mut layers = [0; 4];
    for row in rows().filter(|row| row.codec == Codec::Vp8 && row.sender == "chromium") {
        let found = inspect(row.codec, &row.payload).vp8.expect("a descriptor");
        let id = found.picture_id.expect("a picture id");
        assert!(id.wide);
        if let Some((frame, before)) = last.replace((row.frame, id.value)) {
            assert_eq!(usize::from(id.value - before), row.frame - frame, "{}", row.frame);
        }
        layers[usize::from(found.temporal.expect("L1T3"))] += 1;
        assert_eq!(found.tl0_index.is_some(), found.temporal.is_some());
    }
    assert!(layers[0] > 0 && layers[1] > 0 && layers[2] > 0 && layers[3] == 0, "{layers:?}");
}

#[test]
fn chromium_layers_its_vp9() {
    let mut spatial = [0; 8];
    let mut resolution = None;
    for row in rows().filter(|row| row.codec == Codec::Vp9) {
        let found = vp9::Descriptor::read(&row.payload).expect("a descriptor");
        spatial[usize::from(found.layer.expect("L2T3").spatial)] += 1;
        resolution = found.resolution.or(resolution);
    }
    assert!(spatial[0] > 0 && spatial[1] > 0, "{spatial:?}");
    assert!(resolution.is_some());
}

/// FFmpeg was given 320 by 180, and Chromium 640 by 360; its VP9 begins with less.
#[test]
fn first_packets_of_key_frames_tell_sizes() {
    let mut seen = Vec::new();
    for row in rows().filter(|row| row.codec != Codec::Vp9) {
        let size = if row.sender == "chromium" { (640, 360) } else { (320, 180) };
        let begins = row.key && row.packet == 0;
        let expect = [begins.then_some(size), None, None];
        let at = format!("{:?} {} {}.{}", row.codec, row.sender, row.frame, row.packet);
        assert_eq!(size::sizes(row.codec, &row.payload), expect, "{at}");
        if begins {
            seen.push(row.codec);
        }
    }
    for codec in [Codec::Vp8, Codec::H264, Codec::H265, Codec::Av1] {
        assert!(seen.contains(&codec), "{codec:?}");
    }
}
