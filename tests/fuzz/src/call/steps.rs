//! What one step of an input does.

use ringway_abi::call::{CallCommand, EXTENSION_KINDS, PlayoutBounds, Service, Text};

use ringway_proto::sctp::Label;

use super::world::{
    CLIENTS, SOUND_SSRC, SOURCES, VIDEO_SSRC, World, abi_credentials, address, payloads, route,
};

/// Does step `kind` with `bytes`.
pub(super) fn take(world: &mut World, kind: u8, bytes: &[u8]) {
    match kind % 12 {
        0 => packet(world, bytes),
        1 => raw_packet(world, bytes),
        2 => video(world, bytes),
        3 => extended(world, bytes),
        4 => feedback(world, bytes),
        5 => raw_feedback(world, bytes),
        6 => command(world, bytes),
        7 => world.pass(10 * u64::from(bytes.first().copied().unwrap_or(1))),
        8 => world.receive(address(0), bytes),
        9 => world.receive(([203, 0, 113, 9], 9).into(), bytes),
        10 => data(world, bytes),
        _ => data_command(world, bytes),
    }
}

fn ssrc(choice: u8) -> u32 {
    if let 0x67 | 0x6f | 0x77 = choice {
        return VIDEO_SSRC + 20 + u32::from((choice - 0x67) / 8);
    }
    match choice % 8 {
        layer @ 0..3 => VIDEO_SSRC + u32::from(layer),
        rtx @ 3..6 => VIDEO_SSRC + 10 + u32::from(rtx - 3),
        6 => SOUND_SSRC,
        _ => 9000 + u32::from(choice),
    }
}

fn header(first: u8, payload_type: u8, timestamp: u16, ssrc: u32) -> Vec<u8> {
    let mut packet = vec![first, payload_type, 0, 0];
    packet.extend((u32::from(timestamp) * 960).to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet
}

/// Any payload under a plain header: choice of stream, payload type, numbers skipped, timestamp.
fn packet(world: &mut World, bytes: &[u8]) {
    let Some((&[choice, payload_type, skip, high, low], payload)) = bytes.split_first_chunk()
    else {
        return;
    };
    let timestamp = u16::from_be_bytes([high, low]);
    let mut packet = header(0x80, payload_type, timestamp, ssrc(choice));
    packet.extend(payload);
    world.send_rtp(0, &mut packet, jump(skip));
}

/// Few numbers, or as many as no loss explains.
fn jump(skip: u8) -> u16 {
    if skip < 200 { u16::from(skip % 8) } else { u16::from(skip) * 120 }
}

/// Any octets that begin like RTP, from anybody.
fn raw_packet(world: &mut World, bytes: &[u8]) {
    let Some((&choice, packet)) = bytes.split_first() else { return };
    let mut packet = packet.to_vec();
    if packet.len() >= 12 {
        packet[0] = 0x80 | packet[0] & 0x3f;
        if choice & 0x80 == 0 {
            packet[8..12].copy_from_slice(&ssrc(choice).to_be_bytes());
        }
        world.send_rtp(usize::from(choice) % CLIENTS, &mut packet, 0);
    }
}

/// VP8 with a descriptor that the input makes: layer, flags, picture id, TL0PICIDX, TID.
fn video(world: &mut World, bytes: &[u8]) {
    let Some((&[layer, first, flags, high, low, tl0, tid, skip], rest)) = bytes.split_first_chunk()
    else {
        return;
    };
    let timestamp = u16::from(high) << 8 | u16::from(low);
    let marker = first & 1 << 7;
    let mut packet = header(0x80, marker | 96, timestamp, VIDEO_SSRC + u32::from(layer % 3));
    packet.extend([0x80 | first & 0x7f, flags]);
    if flags & 0x80 != 0 {
        packet.extend([0x80 | high, low]);
    }
    packet.extend([tl0, tid]);
    packet.extend(rest);
    world.send_rtp(0, &mut packet, jump(skip));
}

/// Any extension block, one-byte or two-byte elements or neither.
fn extended(world: &mut World, bytes: &[u8]) {
    let Some((&[choice, payload_type, profile, words], rest)) = bytes.split_first_chunk() else {
        return;
    };
    let block = 4 * usize::from(words % 16);
    let Some((block, payload)) = rest.split_at_checked(block) else { return };
    let mut packet = header(0x90, payload_type, 1, ssrc(choice));
    packet.extend(match profile % 3 {
        0 => [0xbe, 0xde],
        1 => [0x10, profile],
        _ => [profile, 7],
    });
    packet.extend([0, words % 16]);
    packet.extend(block);
    packet.extend(payload);
    world.send_rtp(0, &mut packet, 0);
}

/// Feedback about streams that exist: type, format, whose, then any octets.
fn feedback(world: &mut World, bytes: &[u8]) {
    let Some((&[choice, kind, format], rest)) = bytes.split_first_chunk() else { return };
    let client = usize::from(choice) % CLIENTS;
    let about = match client {
        0 => ssrc(choice >> 2),
        subscriber => route(subscriber, SOURCES[usize::from(choice >> 2 & 1)]).ssrc,
    };
    let body = rest.len() & !3;
    let mut rtcp = vec![0x80 | format & 0x1f, 200 + kind % 8];
    rtcp.extend((2 + body as u16 / 4).to_be_bytes());
    rtcp.extend(about.to_be_bytes());
    rtcp.extend(about.to_be_bytes());
    rtcp.extend(&rest[..body]);
    world.send_rtcp(client, &rtcp);
}

fn raw_feedback(world: &mut World, bytes: &[u8]) {
    if let Some((&choice, rtcp)) = bytes.split_first() {
        world.send_rtcp(usize::from(choice) % CLIENTS, rtcp);
    }
}

/// A message over a data channel: whose, over which, then the message.
fn data(world: &mut World, bytes: &[u8]) {
    let Some((&choice, message)) = bytes.split_first() else { return };
    let label = [Label::Reliable, Label::Lossy, Label::DataTrack][usize::from(choice >> 2) % 3];
    world.send_data(usize::from(choice) % CLIENTS, label, message);
}

/// What the control plane may ask about data.
fn data_command(world: &mut World, bytes: &[u8]) {
    let Some(&[kind, a, b, c]) = bytes.first_chunk() else { return };
    let (transport, track) = (u64::from(a % 5), u64::from(c % 8));
    let handle = u16::from(b % 16);
    match kind % 5 {
        0 => world.set_data(usize::from(a) % CLIENTS, b),
        1 => world.command(CallCommand::SetDataTrack { transport, handle, track }),
        2 => {
            let home = u16::from(b >> 6);
            world.command(CallCommand::SetDataRoute { transport, handle, track, home });
        }
        3 => {
            let publisher = Text::new(format!("PA_{}", b % 4).as_bytes()).unwrap_or(Text::EMPTY);
            world.command(CallCommand::ReplayData { transport, publisher, after: c.into() });
        }
        _ => {
            let part = Text::new(&bytes[..bytes.len().min(16)]).unwrap_or(Text::EMPTY);
            world.command(CallCommand::NameData { transport, first: b & 1 == 0, part });
        }
    }
}

fn command(world: &mut World, bytes: &[u8]) {
    let Some((&[kind, a, b, c], rest)) = bytes.split_first_chunk() else { return };
    let subscriber = 1 + usize::from(a & 1);
    let source = SOURCES[usize::from(a >> 1 & 1)];
    let service = Service { paused: c & 1 == 1, max_layer: b, max_temporal: c >> 4, priority: c };
    let transport = u64::from(a % 5);
    let usual = route(subscriber, source);
    world.command(match kind % 12 {
        0 | 1 => CallCommand::SetRoute { route: usual.route, service },
        2 => CallCommand::SetSource { source, muted: b & 1 == 1 },
        3 => CallCommand::RemoveRoute { route: usual.route },
        // As it was, or with another's SSRCs, source, payload types.
        4 => CallCommand::AddRoute(usual),
        5 => {
            let other = route(2 - usize::from(b & 1), SOURCES[usize::from(b >> 1 & 1)]);
            let ssrc = if b & 4 == 0 { usual.ssrc } else { other.ssrc };
            let rtx_ssrc = if b & 8 == 0 { usual.rtx_ssrc } else { other.rtx_ssrc };
            let (payload_type, rtx_payload_type) = (c, rest.first().copied().unwrap_or(97));
            let source = other.source;
            let (min_ms, max_ms) = (u16::from(c) << 8, u16::from(b) << 8);
            let playout = Some(PlayoutBounds { min_ms, max_ms, adapts: c & 1 == 1 });
            CallCommand::AddRoute(ringway_abi::call::RouteSpec {
                ssrc,
                rtx_ssrc,
                source,
                payload_type,
                rtx_payload_type,
                red_payload_type: b,
                service,
                playout,
                announce: c & 2 == 2,
                mid: Text::new(&rest[..rest.len().min(16)]).unwrap_or(Text::EMPTY),
                ..usual
            })
        }
        6 => {
            let mut ids = [0; EXTENSION_KINDS];
            ids.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
            CallCommand::SetExtensions { transport, ids }
        }
        7 => {
            let mut payloads = payloads();
            for (payload, number) in payloads.iter_mut().zip(rest) {
                (payload.payload_type, payload.rtx_payload_type) = (*number, number ^ b);
                payload.clock_hz = u32::from(c) * 500;
            }
            CallCommand::SetPayloads { transport, first: b & 1 == 0, payloads }
        }
        8 => CallCommand::RemoveSource { source },
        9 => world.changed_source(source, b, c, rest),
        10 => CallCommand::CloseTransport { transport: transport + 10 },
        _ => {
            let local = abi_credentials("server", usize::from(b));
            let (transport, trailer) = (u64::from(c), Text::EMPTY);
            CallCommand::OpenTransport { transport, local, lite: true, trailer }
        }
    });
}
