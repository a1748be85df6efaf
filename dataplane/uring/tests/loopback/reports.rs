//! Receiver reports come to a socket of their own, which wakes nobody.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ringway_uring::{
    BindError, BoundSocket, SocketId, SocketOptions, bind, bind_beside, bind_with_reports,
};

use crate::rig::{Rig, peer, with_both};

/// What SRTCP ends in with HMAC-SHA1-80 and with GCM: an index and a tag.
const TRAILERS: [usize; 2] = [4 + 10, 4 + 16];

/// SRTCP whose first packet is of this type and has so many report blocks, with so much behind.
fn srtcp(kind: u8, blocks: u8, behind: usize) -> Vec<u8> {
    let words = 1 + 6 * u16::from(blocks);
    let mut bytes = vec![0x80 | blocks, kind];
    bytes.extend(words.to_be_bytes());
    bytes.resize(4 * (usize::from(words) + 1) + behind, 0xa5);
    bytes
}

/// What may wait, and what may not.
fn datagrams() -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let (mut reports, mut others) = (Vec::new(), Vec::new());
    for trailer in TRAILERS {
        for blocks in [0, 1, 2, 31] {
            // Alone, with a reference time, with an estimate of one source or two, with both.
            let waiting = [0, 20, 24, 28, 40, 44, 48];
            reports.extend(waiting.map(|behind| srtcp(201, blocks, behind + trailer)));
            // A key frame asked for, and a packet.
            others.extend([12, 16].map(|behind| srtcp(201, blocks, behind + trailer)));
            others.extend([200, 205, 206, 207].map(|kind| srtcp(kind, blocks, trailer)));
        }
    }
    // STUN, DTLS, RTP, and what is too short.
    let mut stun = srtcp(201, 1, TRAILERS[0]);
    stun[0] = 0;
    others.extend([stun, vec![22, 201, 0, 7], vec![0x81, 201, 0], vec![0x81, 201, 0, 7]]);
    others.extend([vec![0x81], vec![0x80, 0x60, 0, 1]]);
    (reports, others)
}

fn attach(rig: &mut Rig, bound: &BoundSocket) -> (SocketId, SocketId) {
    let first = rig.engine.attach(Arc::clone(&bound.socket), true).unwrap();
    let reports = bound.reports.clone().expect("the kernel shares ports among sockets");
    (first, rig.engine.attach_resting(reports).unwrap())
}

fn check(rig: &mut Rig, to: SocketAddr, (first, resting): (SocketId, SocketId)) {
    let (peer, _) = peer("127.0.0.1:0");
    let (reports, others) = datagrams();
    let send = || reports.iter().for_each(|report| assert!(peer.send_to(report, to).is_ok()));
    send();
    rig.engine.wait(Some(Duration::from_millis(1))).unwrap();
    assert!(rig.engine.next_arrival().is_none(), "reports wake nobody");
    for other in &others {
        peer.send_to(other, to).unwrap();
        let arrival = rig.arrival();
        assert_eq!((arrival.socket, rig.engine.bytes(&arrival)), (first, &other[..]));
        rig.engine.release(arrival.buffer);
    }
    for round in 0..3 {
        if round > 0 {
            send();
        }
        rig.engine.look_at_resting().unwrap();
        for report in &reports {
            let arrival = rig.engine.next_arrival().expect("on loopback all of them are there");
            assert_eq!((arrival.socket, rig.engine.bytes(&arrival)), (resting, &report[..]));
            assert_ne!(arrival.kernel_ns, 0, "when it came, not when somebody looked");
            rig.engine.release(arrival.buffer);
        }
        assert!(rig.engine.next_arrival().is_none());
        rig.engine.look_at_resting().unwrap();
        assert!(rig.engine.next_arrival().is_none(), "round {round}");
    }
    assert_eq!(rig.engine.tally().receive_errors, 0);
}

#[test]
fn reports_wake_nobody() {
    with_both(|kind| {
        let mut rig = Rig::new(kind, 256);
        let options = SocketOptions::default();
        let bound = bind_with_reports("127.0.0.1:0".parse().unwrap(), &options).unwrap();
        let ids = attach(&mut rig, &bound);
        check(&mut rig, bound.local, ids);
        let again = bind_with_reports(bound.local, &options);
        assert!(matches!(again, Err(BindError::InUse(_))), "{kind:?}: a port has one server");
        rig.engine.detach(ids.0);
        rig.engine.detach(ids.1);
        let local = bound.local;
        drop(bound);
        assert_eq!(rig.engine.buffers_free(), 256, "{kind:?}");
        bind(local, &options).unwrap();
    });
}

#[test]
fn reports_to_an_address_of_its_own_wake_nobody() {
    with_both(|kind| {
        let mut rig = Rig::new(kind, 256);
        let options = SocketOptions::default();
        let all = bind_with_reports("0.0.0.0:0".parse().unwrap(), &options).unwrap();
        let wildcard = attach(&mut rig, &all);
        let address = SocketAddr::new("127.0.0.96".parse().unwrap(), all.local.port());
        let sockets = [&*all.socket, &**all.reports.as_ref().unwrap()];
        let one = bind_beside(&sockets, address, &options).unwrap();
        let own = attach(&mut rig, &one);
        check(&mut rig, address, own);
        check(&mut rig, SocketAddr::new("127.0.0.97".parse().unwrap(), address.port()), wildcard);
        for taken in [address, all.local] {
            assert!(matches!(bind(taken, &options), Err(BindError::InUse(_))), "{taken}");
        }
    });
}

#[test]
fn more_reports_than_buffers_wait() {
    with_both(|kind| {
        let mut rig = Rig::new(kind, 16);
        let address = "127.0.0.1:0".parse().unwrap();
        let bound = bind_with_reports(address, &SocketOptions::default()).unwrap();
        attach(&mut rig, &bound);
        let (peer, _) = peer("127.0.0.1:0");
        for blocks in 0..31 {
            peer.send_to(&srtcp(201, blocks, TRAILERS[0]), bound.local).unwrap();
        }
        let mut seen = 0;
        while seen < 31 {
            rig.engine.look_at_resting().unwrap();
            rig.engine.wait(Some(Duration::ZERO)).unwrap();
            while let Some(arrival) = rig.engine.next_arrival() {
                assert_eq!(rig.engine.bytes(&arrival)[0], 0x80 | seen);
                rig.engine.release(arrival.buffer);
                seen += 1;
            }
        }
        let mut rig = Rig::with(kind, 16, |config| config.sockets = 1);
        rig.engine.attach(bound.socket, true).unwrap();
        let full = rig.engine.attach_resting(bound.reports.unwrap()).unwrap_err();
        assert_eq!(full.kind(), ErrorKind::QuotaExceeded);
    });
}
