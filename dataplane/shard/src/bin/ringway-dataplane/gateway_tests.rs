//! The gateway with real connections, between shards that are played here.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{JoinHandle, yield_now};
use std::time::{Duration, Instant};

use ringway_abi::counters::Counter;
use ringway_shard::gateway::{ConnectionId, FromShard, ShardEnd, ToShard, pair};
use ringway_shard::shard::Counters;
use ringway_uring::new_bell;

use super::{Bell, Gateway, Reception};
use crate::shards::Together;

pub(super) const PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct Stage {
    pub(super) together: Arc<Together>,
    pub(super) shards: Vec<ShardEnd>,
    pub(super) reception: Reception,
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
    counters: Counters,
}

impl Stage {
    pub(super) fn new(shards: usize) -> Self {
        let together = Arc::new(Together {
            bells: (0..shards).map(|_| new_bell().unwrap()).collect(),
            asleep: (0..shards).map(|_| AtomicBool::new(false)).collect(),
            beats: (0..shards).map(|_| AtomicU64::new(0)).collect(),
            stopping: AtomicBool::new(false),
            gateway: Bell::new().unwrap(),
        });
        let (shards, ends) = (0..shards).map(|_| pair()).unzip();
        let (gateway, mut reception) = Gateway::new(together.clone(), ends).unwrap();
        let thread = Some(gateway.start().unwrap());
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let address = reception.listen(any).unwrap();
        assert_eq!(reception.listen(any), Ok(address));
        Self { together, shards, reception, address, thread, counters: Counters::default() }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// The next thing that a shard hears.
    pub(super) fn hear(&mut self, shard: usize) -> (ToShard, Vec<u8>) {
        let mut out = [0; 2048];
        let (said, len) = until(|| self.shards[shard].take(&mut out));
        (said, out[..len].to_vec())
    }

    pub(super) fn say(&mut self, shard: usize, what: FromShard) {
        self.shards[shard].say(what);
        self.together.gateway.wake();
    }

    /// A connection that a shard has claimed.
    fn claimed(&mut self, shard: usize) -> (TcpStream, ConnectionId) {
        let mut client = self.connect();
        client.write_all(&framed(&check())).unwrap();
        let (said, packet) = self.hear(shard);
        let ToShard::Packet { connection, remote } = said else { panic!("{said:?}") };
        assert_eq!((packet, remote), (check(), client.local_addr().unwrap()));
        self.say(shard, FromShard::Claim { connection, remote });
        (client, connection)
    }

    pub(super) fn count(&mut self, counter: Counter) -> u64 {
        self.together.gateway.report(&mut self.counters);
        self.counters.get(counter)
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.together.stopping.store(true, Ordering::Release);
        self.together.gateway.ring();
        let ended = self.thread.take().expect("it was started").join();
        assert!(ended.is_ok() || std::thread::panicking());
    }
}

pub(super) fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begin.elapsed() < PATIENCE, "it never came");
        yield_now();
    }
}

fn framed(packet: &[u8]) -> Vec<u8> {
    [&(packet.len() as u16).to_be_bytes()[..], packet].concat()
}

/// A STUN message as far as its first bytes tell.
pub(super) fn check() -> Vec<u8> {
    let mut message = vec![0; 20];
    message[1] = 1;
    message[4..8].copy_from_slice(&[0x21, 0x12, 0xa4, 0x42]);
    message
}

fn read_frame(client: &mut TcpStream) -> Vec<u8> {
    let mut header = [0; 2];
    client.read_exact(&mut header).unwrap();
    let mut packet = vec![0; usize::from(u16::from_be_bytes(header))];
    client.read_exact(&mut packet).unwrap();
    packet
}

/// Whether the other side has closed: without a word, or with a reset as it had more to read.
pub(super) fn is_closed(client: &mut TcpStream) -> bool {
    match client.read(&mut [0; 16]) {
        Ok(read) => read == 0,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

#[test]
fn the_shard_that_claims_a_connection_has_it() {
    let mut stage = Stage::new(2);
    let (mut client, connection) = stage.claimed(1);
    let (offered, packet) = stage.hear(0);
    assert_eq!(packet, check());
    assert!(matches!(offered, ToShard::Packet { connection: same, .. } if same == connection));

    // Once the answer is there, the claim before it is, too.
    assert!(stage.shards[1].send_packet(FromShard::Packet { connection }, b"answer"));
    stage.together.gateway.wake();
    assert_eq!(read_frame(&mut client), b"answer");
    let record = [22, 254, 253, 9, 9];
    client.write_all(&framed(&record)).unwrap();
    assert_eq!(stage.hear(1).1, record);
    let mut out = [0; 2048];
    assert!(stage.shards[0].take(&mut out).is_none(), "it is none of shard 0's business");
    assert_eq!(stage.count(Counter::TcpConnections), 1);

    client.shutdown(Shutdown::Both).unwrap();
    let (said, _) = stage.hear(1);
    assert!(matches!(said, ToShard::Closed { connection: same, .. } if same == connection));
    until(|| (stage.count(Counter::TcpConnections) == 0).then_some(()));
    // Claims of what is gone are told so.
    let remote = SocketAddr::from(([192, 0, 2, 1], 9));
    stage.say(0, FromShard::Claim { connection, remote });
    assert_eq!(stage.hear(0).0, ToShard::Closed { connection, remote });
}

#[test]
fn a_shard_closes_after_its_last_word() {
    let mut stage = Stage::new(1);
    let (mut client, connection) = stage.claimed(0);
    assert!(stage.shards[0].send_packet(FromShard::Packet { connection }, b"bye"));
    stage.say(0, FromShard::Close { connection });
    assert_eq!(read_frame(&mut client), b"bye");
    assert!(is_closed(&mut client));
    let (said, _) = stage.hear(0);
    assert!(matches!(said, ToShard::Closed { .. }), "{said:?}");
}

#[test]
fn strangers_that_do_not_check_are_shown_out() {
    let mut stage = Stage::new(1);
    for bytes in [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        framed(&[22, 254, 253, 0, 0]),
        framed(&check()).repeat(9),
    ] {
        let mut client = stage.connect();
        client.write_all(&bytes).unwrap();
        assert!(is_closed(&mut client), "{bytes:?}");
    }
    assert_eq!(stage.count(Counter::TcpRefused), 3);
    until(|| (stage.count(Counter::TcpConnections) == 0).then_some(()));
}

#[test]
fn one_address_has_only_so_many_strangers() {
    let mut stage = Stage::new(1);
    let _first: Vec<TcpStream> = (0..64).map(|_| stage.connect()).collect();
    assert!(is_closed(&mut stage.connect()));
    assert_eq!(stage.count(Counter::TcpRefused), 1);
    assert_eq!(stage.count(Counter::TcpConnections), 64);
}

#[test]
fn a_slow_reader_costs_only_itself() {
    let mut stage = Stage::new(1);
    let (_slow, behind) = stage.claimed(0);
    let (mut quick, healthy) = stage.claimed(0);
    let mut expect = 0_u32;
    let mut round = 0_u32;
    // Far more than both kernels and the gateway keep of it.
    while stage.count(Counter::DropTcpPeer) < 100 {
        round += 1;
        assert!(round < 100_000, "nothing was ever dropped");
        until(|| {
            let sent = FromShard::Packet { connection: behind };
            stage.shards[0].send_packet(sent, &[7; 1200]).then_some(())
        });
        if round.is_multiple_of(100) {
            until(|| {
                let sent = FromShard::Packet { connection: healthy };
                stage.shards[0].send_packet(sent, &expect.to_be_bytes()).then_some(())
            });
            stage.together.gateway.wake();
            assert_eq!(read_frame(&mut quick), expect.to_be_bytes());
            expect += 1;
        }
    }
    assert!(expect > 3, "{expect}");
}
