//! DTLS: whatever datagrams come, a session does not panic, answers junk with nothing, and is there
//! for the honest peer; a connected one does not notice them at all.

use std::sync::LazyLock;

use ringway_dtls::{Config, Context, Event, Session};

static CONTEXT: LazyLock<Context> =
    LazyLock::new(|| Context::new(&Config::default(), 1_800_000_000).expect("a context"));

/// The first byte says where in its life the session is, the rest are datagrams, each behind its
/// length in two bytes; for the last stage, changes to an honest handshake.
pub fn dtls(data: &[u8]) {
    let Some((stage, data)) = data.split_first() else { return };
    match stage % 5 {
        0 => fresh_server(data),
        1 => server_underway(data),
        2 => client_underway(data),
        3 => connected(data),
        _ => changed(data),
    }
}

fn datagrams(mut data: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (len, rest) = data.split_first_chunk::<2>()?;
        let (datagram, rest) = rest.split_at(usize::from(u16::from_be_bytes(*len)).min(rest.len()));
        data = rest;
        Some(datagram)
    })
}

fn drain(session: &mut Session) -> Vec<Vec<u8>> {
    std::iter::from_fn(|| session.poll_transmit().map(<[u8]>::to_vec)).collect()
}

/// Lets both talk until neither has anything to say.
fn talk(server: &mut Session, client: &mut Session) {
    loop {
        let (from_client, from_server) = (drain(client), drain(server));
        if from_client.is_empty() && from_server.is_empty() {
            return;
        }
        from_client.iter().for_each(|datagram| server.handle_datagram(1, datagram));
        from_server.iter().for_each(|datagram| client.handle_datagram(1, datagram));
    }
}

fn pair() -> (Session, Session) {
    (Session::server(&CONTEXT), Session::client(&CONTEXT, 0))
}

/// Both have the same keys, and messages pass.
fn check_connected(server: &mut Session, client: &mut Session) {
    let keys = [&mut *server, &mut *client].map(|session| match session.poll_event() {
        Some(Event::Connected(connected)) => connected.srtp.expect("SRTP"),
        other => panic!("not connected: {other:?}"),
    });
    assert_eq!(keys[0].client_key(), keys[1].client_key());
    assert_eq!(keys[0].server_salt(), keys[1].server_salt());
    check_messages(server, client);
}

fn check_messages(server: &mut Session, client: &mut Session) {
    for way in 0..2 {
        let (from, to) =
            if way == 0 { (&mut *server, &mut *client) } else { (&mut *client, &mut *server) };
        from.send_application_data(2, b"message").expect("connected");
        drain(from).iter().for_each(|datagram| to.handle_datagram(2, datagram));
        assert!(matches!(to.poll_event(), Some(Event::ApplicationData(b"message"))));
        assert!(to.poll_event().is_none());
    }
}

fn fresh_server(data: &[u8]) {
    let (mut server, mut client) = pair();
    for datagram in datagrams(data) {
        server.handle_datagram(0, datagram);
    }
    // Bytes that hold an acceptable hello are a peer of their own.
    if drain(&mut server).is_empty() {
        assert!(server.poll_event().is_none());
        talk(&mut server, &mut client);
        check_connected(&mut server, &mut client);
    }
}

fn server_underway(data: &[u8]) {
    let (mut server, mut client) = pair();
    drain(&mut client).iter().for_each(|datagram| server.handle_datagram(0, datagram));
    assert!(!drain(&mut server).is_empty());
    for datagram in datagrams(data) {
        server.handle_datagram(0, datagram);
        if let Some(deadline_ns) = server.deadline() {
            server.handle_timeout(deadline_ns);
        }
    }
    assert!(!server.is_connected());
    let sent: usize = drain(&mut server).iter().map(Vec::len).sum();
    assert!(sent <= 64 * 1024);
}

fn client_underway(data: &[u8]) {
    let (_, mut client) = pair();
    for datagram in datagrams(data) {
        client.handle_datagram(0, datagram);
    }
    drain(&mut client);
    assert!(!client.is_connected());
}

fn connected(data: &[u8]) {
    let (mut server, mut client) = pair();
    talk(&mut server, &mut client);
    check_connected(&mut server, &mut client);
    for datagram in datagrams(data) {
        server.handle_datagram(1, datagram);
        client.handle_datagram(1, datagram);
    }
    assert!(drain(&mut server).is_empty() && drain(&mut client).is_empty());
    assert!(server.poll_event().is_none() && client.poll_event().is_none());
    check_messages(&mut server, &mut client);
}

/// Changes in threes: which datagram of those to the server, which byte of it, and how.
fn changed(data: &[u8]) {
    let (mut server, mut client) = pair();
    let mut at = 0_u8;
    loop {
        let (from_client, from_server) = (drain(&mut client), drain(&mut server));
        if from_client.is_empty() && from_server.is_empty() {
            break;
        }
        for mut datagram in from_client {
            let changes = data.as_chunks::<3>().0;
            for [which, byte, change] in changes {
                let len = datagram.len();
                if let (true, Some(byte)) =
                    (*which == at, datagram.get_mut(usize::from(*byte) * 5 % len))
                {
                    *byte ^= change;
                }
            }
            server.handle_datagram(1, &datagram);
            at = at.saturating_add(1);
        }
        from_server.iter().for_each(|datagram| client.handle_datagram(1, datagram));
    }
    // RFC 5246 7.4.9: Finished is over all messages, so both have seen the same ones.
    if server.is_connected() && client.is_connected() {
        check_connected(&mut server, &mut client);
    }
}
