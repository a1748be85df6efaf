//! Sockets that come and go while packets are on their way.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use ringway_uring::{
    Engine, EngineConfig, EngineError, EngineKind, PoolTable, SocketOptions, bind, new_bell, probe,
};

use crate::rig::{Rig, bind_to, pattern, peer, with_both};

#[test]
fn a_detached_socket_says_nothing_more() {
    with_both(|kind| {
        let mut rig = Rig::with(kind, 64, |config| config.sockets = 2);
        let (peer, _) = peer("127.0.0.1:0");
        let (_, other) = rig.open("127.0.0.1:0", true);
        for round in 0..100 {
            let (old, bound) = rig.open("127.0.0.1:0", true);
            rig.engine.wait(Some(Duration::ZERO)).unwrap();
            for _ in 0..5 {
                peer.send_to(b"old", bound.local).unwrap();
            }
            // In turn: packets in the socket, packets in the engine, one packet taken.
            if round % 3 > 0 {
                rig.engine.wait(Some(Duration::ZERO)).unwrap();
            }
            if round % 3 > 1 {
                assert_eq!(rig.payload(), b"old");
            }
            rig.engine.detach(old);
            rig.engine.detach(old);
            drop(bound);
            // Takes over the only slot.
            let (new, bound) = rig.open("127.0.0.1:0", true);
            assert_eq!(new.slot(), old.slot());
            assert_ne!(new, old);
            peer.send_to(&pattern(round, 50), other.local).unwrap();
            peer.send_to(b"new", bound.local).unwrap();
            let mut payloads = [rig.payload(), rig.payload()];
            payloads.sort_by_key(Vec::len);
            assert_eq!(payloads, [b"new".to_vec(), pattern(round, 50)], "{kind:?} {round}");
            rig.engine.detach(new);
            rig.engine.wait(Some(Duration::ZERO)).unwrap();
            assert!(rig.engine.next_arrival().is_none());
            assert_eq!(rig.engine.buffers_free(), 64, "{kind:?} round {round}");
        }
    });
}

#[test]
fn a_port_is_free_when_its_socket_is_gone() {
    with_both(|kind| {
        let options = SocketOptions::default();
        let mut rig = Rig::new(kind, 16);
        for dropped in [false, true] {
            // An address of its own, so that no other test takes the port meanwhile.
            let (id, bound) = rig.open("127.0.0.91:0", true);
            rig.engine.wait(Some(Duration::ZERO)).unwrap();
            let local = bound.local;
            drop(bound);
            if dropped {
                rig = Rig::new(kind, 16);
            } else {
                rig.engine.detach(id);
            }
            bind(local, &options).unwrap_or_else(|error| panic!("{kind:?} {dropped}: {error}"));
        }
    });
}

#[test]
fn a_thousand_sockets_receive_at_once() {
    with_both(|kind| {
        let mut rig = Rig::new(kind, 2048);
        let sockets: Vec<_> = (0..1000).map(|_| rig.open("127.0.0.1:0", true)).collect();
        let (peer, from) = peer("127.0.0.1:0");
        for round in 0..2 {
            for (index, (_, bound)) in sockets.iter().enumerate() {
                peer.send_to(&pattern(index + round, 60), bound.local).unwrap();
            }
            let mut seen = vec![false; 1000];
            for _ in 0..1000 {
                let arrival = rig.arrival();
                let index = sockets.iter().position(|(id, _)| *id == arrival.socket).unwrap();
                assert!(!std::mem::replace(&mut seen[index], true));
                assert_eq!(rig.engine.bytes(&arrival), pattern(index + round, 60));
                assert_eq!(arrival.from, from);
                rig.engine.release(arrival.buffer);
            }
        }
        for (id, _) in &sockets {
            rig.engine.detach(*id);
        }
        assert_eq!(rig.engine.buffers_free(), 2048, "{kind:?}");
    });
}

#[test]
fn a_full_engine_takes_no_more_sockets() {
    with_both(|kind| {
        let mut rig = Rig::with(kind, 16, |config| config.sockets = 1);
        let (id, _) = rig.open("127.0.0.1:0", true);
        let another = bind_to("127.0.0.1:0").socket;
        let error = rig.engine.attach(Arc::clone(&another), true).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::QuotaExceeded);
        rig.engine.detach(id);
        rig.engine.attach(another, true).unwrap();
    });
}

#[test]
fn more_sockets_than_files_are_refused_with_advice() {
    if probe().uring.is_err() {
        return;
    }
    let pools = PoolTable::new(1, 16, 2048).unwrap();
    let mut config = EngineConfig::new(pools, 0, new_bell().unwrap());
    config.sockets = 2 << 20;
    let error = Engine::new(EngineKind::Uring, config).err().unwrap();
    assert!(matches!(error, EngineError::Sockets { asked: 0x20_0000, .. }), "{error}");
}

#[test]
fn one_socket_may_send_from_several_engines() {
    with_both(|kind| {
        let pools = PoolTable::new(2, 16, 2048).unwrap();
        let (peer, to) = peer("127.0.0.1:0");
        let shared = bind_to("127.0.0.1:0");
        let mut first = Rig::with(kind, 16, |config| config.pools = Arc::clone(&pools));
        let mut second = Rig::with(kind, 16, |config| {
            (config.pools, config.pool) = (Arc::clone(&pools), 1);
        });
        first.engine.attach(Arc::clone(&shared.socket), true).unwrap();
        let sending = second.engine.attach(Arc::clone(&shared.socket), false).unwrap();
        peer.send_to(b"payload", shared.local).unwrap();
        let arrival = first.arrival();
        // The second shard sends what the first holds, without a copy.
        let pieces = second.push_pieces(&[arrival.piece(0)]);
        second.push(sending, to, pieces, 0, 0);
        second.send();
        let mut bytes = [0; 16];
        assert_eq!(peer.recv_from(&mut bytes).unwrap(), (7, shared.local));
        assert_eq!(&bytes[..7], b"payload");
        first.engine.release(arrival.buffer);
    });
}

#[test]
fn a_pool_belongs_to_one_engine() {
    with_both(|kind| {
        let pools = PoolTable::new(1, 16, 2048).unwrap();
        let config = |pool| EngineConfig::new(Arc::clone(&pools), pool, new_bell().unwrap());
        let engine = Engine::new(kind, config(0)).unwrap();
        for pool in [0, 1] {
            let error = Engine::new(EngineKind::Plain, config(pool)).err().unwrap();
            assert!(matches!(error, EngineError::Pool(named) if named == pool), "{error}");
        }
        drop(engine);
        Engine::new(kind, config(0)).unwrap();
    });
}
