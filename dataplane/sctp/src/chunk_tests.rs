//! What is written is read; what is cut off or lies about its length is not.

use super::*;

fn data(payload: &[u8]) -> Data<'_> {
    Data { flags: FLAG_BEGIN | FLAG_END, tsn: u32::MAX, stream: 7, ssn: 9, ppid: 53, payload }
}

#[test]
fn what_is_written_is_read() {
    let mut packet = Vec::new();
    begin_packet(&mut packet, 5);
    put_chunk(&mut packet, kind::HEARTBEAT, 3, |out| out.extend_from_slice(&[1, 2, 3, 4, 5]));
    for len in 1..9 {
        put_data(&mut packet, &data(&[7; 9][..len]));
        assert_eq!(packet.len() % 4, 0);
    }
    end_packet(&mut packet);
    assert_eq!(header(&packet, false), Some(Header { tag: 5, intact: true }));
    let chunks: Vec<Chunk<'_>> = Chunks::of_packet(&packet).collect();
    assert_eq!(chunks[0], Chunk { kind: 4, flags: 3, body: &[1, 2, 3, 4, 5] });
    for (len, chunk) in (1..9).zip(&chunks[1..]) {
        assert_eq!(Data::parse(chunk), Some(data(&[7; 9][..len])));
    }
    assert_eq!(chunks.len(), 9);
}

#[test]
fn headers_are_judged() {
    let mut packet = Vec::new();
    begin_packet(&mut packet, 5);
    put_chunk(&mut packet, kind::COOKIE_ACK, 0, |_| {});
    let zero = packet.clone();
    end_packet(&mut packet);
    let mut changed = packet.clone();
    changed[9] ^= 1;
    let mut elsewhere = packet.clone();
    elsewhere[1] ^= 1;
    for (name, bytes, zero_accepted, expect) in [
        ("whole", &packet, false, Some(true)),
        ("whole, none needed", &packet, true, Some(true)),
        ("no sum", &zero, false, Some(false)),
        ("no sum, none needed", &zero, true, Some(true)),
        ("changed", &changed, true, Some(false)),
        ("another port", &elsewhere, true, None),
        ("cut off", &packet[..11].to_vec(), true, None),
    ] {
        let found = header(bytes, zero_accepted).map(|header| header.intact);
        assert_eq!(found, expect, "{name}");
    }
}

#[test]
fn lengths_that_cannot_be_end_the_walk() {
    for (bytes, expect) in [
        (&[0, 0, 0, 4, 1, 0, 0, 4][..], 2),
        (&[0, 0, 0, 3, 1, 0, 0, 4], 0),
        (&[0, 0, 0, 0], 0),
        (&[0, 0, 0, 9, 1, 2, 3, 4], 0),
        (&[0, 0, 0, 5, 1, 0, 0, 0, 1, 0, 0], 1),
        (&[0, 0, 0, 5, 1], 1),
        (&[0, 0, 0], 0),
        (&[], 0),
    ] {
        assert_eq!(Chunks::of_parameters(bytes).count(), expect, "{bytes:?}");
    }
}
