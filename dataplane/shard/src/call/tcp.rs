//! Peers that reach the shard by TCP: their packets come from the gateway's lane and go into it.

use std::net::SocketAddr;

use ringway_abi::counters::Counter;
use ringway_proto::ice::{Heard, Path, PathProtocol};

use super::Calls;
use super::outlet::socket_of;
use crate::clock::Now;
use crate::egress::Batch;
use crate::gateway::{ConnectionId, FromShard, ShardEnd, ToShard};
use crate::shard::Counters;

/// Packets that one turn takes from the gateway. Raised: peers that use UDP wait longer behind
/// them; lowered: the lane overflows where many publish by TCP.
const TURN_PACKETS: usize = 256;

impl Calls {
    /// Joins the gateway.
    pub fn join_gateway(&mut self, end: ShardEnd) {
        self.gateway = Some(end);
    }

    /// Whether the gateway has said nothing that is not heard yet.
    pub fn gateway_idle(&self) -> bool {
        self.gateway.as_ref().is_none_or(|end| !end.has_news())
    }

    /// Whether the gateway may need waking.
    pub fn take_gateway_touched(&mut self) -> bool {
        self.gateway.as_mut().is_some_and(ShardEnd::take_touched)
    }

    /// Takes what came from the gateway.
    pub fn handle_gateway(&mut self, now: Now, counters: &mut Counters) {
        if let Some(end) = &mut self.gateway {
            end.push_backlog();
        }
        let mut packet = std::mem::take(&mut self.packet);
        for _ in 0..TURN_PACKETS {
            if !self.has_room() {
                break;
            }
            let said = self.gateway.as_mut().and_then(|end| end.take(&mut packet));
            let Some((said, len)) = said else { break };
            match said {
                ToShard::Packet { connection, remote } => {
                    let packet = packet.get(..len).unwrap_or(&[]);
                    counters.add(Counter::PacketsReceived, 1);
                    counters.add(Counter::BytesReceived, packet.len() as u64);
                    self.handle_from(now, path_of(connection, remote), 0, packet, counters);
                }
                ToShard::Closed { connection, remote } => {
                    self.handle_connection_closed(&path_of(connection, remote));
                }
            }
        }
        self.packet = packet;
    }

    fn handle_connection_closed(&mut self, path: &Path) {
        let Some(id) = self.by_path.remove(path) else { return };
        self.latest = None;
        let Some(session) = self.sessions.get_mut(id) else { return };
        session.transport.handle_path_closed(path);
        if session.target.is_some() {
            // By another way that passed a check, until the peer chooses one.
            let path = session.transport.send_path();
            session.target = path.and_then(|path| socket_of(&self.sockets, &path));
        }
        self.note_host(id, path.remote);
    }

    /// Tells the gateway whose connections are whose.
    pub(super) fn claim(&mut self, heard: &Heard) {
        let Some(end) = &mut self.gateway else { return };
        if let Some(connection) = heard.forgotten.as_ref().and_then(connection_of) {
            end.say(FromShard::Close { connection });
        }
        if let Some(path) = &heard.learned
            && let Some(connection) = connection_of(path)
        {
            end.say(FromShard::Claim { connection, remote: path.remote });
        }
    }

    /// Passes the packets of a batch that go by TCP to the gateway.
    pub fn divert(&mut self, batch: &mut Batch, counters: &mut Counters) {
        if self.is_idle() {
            return;
        }
        let Some(end) = &mut self.gateway else { return };
        let lost = end.divert(batch);
        if lost.packets > 0 {
            counters.add(Counter::DropTcpLane, lost.packets);
            counters.subtract(Counter::PacketsSent, lost.packets);
            counters.subtract(Counter::BytesSent, lost.bytes);
        }
        for connection in self.closing.drain(..) {
            end.say(FromShard::Close { connection });
        }
    }
}

fn path_of(connection: ConnectionId, remote: SocketAddr) -> Path {
    Path { remote, protocol: PathProtocol::Tcp, socket: connection.0 }
}

pub(super) fn connection_of(path: &Path) -> Option<ConnectionId> {
    (path.protocol == PathProtocol::Tcp).then_some(ConnectionId(path.socket))
}
