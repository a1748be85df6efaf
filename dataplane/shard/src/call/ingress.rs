//! From a datagram to a packet that is ready to be sent to everybody.

use std::net::SocketAddr;

use ringway_abi::call::CallEvent;
use ringway_abi::counters::Counter;
use ringway_proto::history::{HistoryPool, Place};
use ringway_proto::ice::{Heard, Path, PathProtocol};
use ringway_proto::rtx;
use ringway_proto::srtp::OpenedRtp;
use ringway_proto::transport::{Received, TransportDrop};
use ringway_sfu::call::demux::{Part, SourceKey};
use ringway_sfu::call::format::Format;
use ringway_sfu::call::repairs::Came;
use ringway_wire::extension::Located;
use ringway_wire::rtp::RtpView;
use ringway_wire::sniff::{Protocol, sniff};
use ringway_wire::stun::StunView;

use super::redundancy::Behind;
use super::session::Session;
use super::stream::{Kept, Queued, Stream};
use super::{Calls, commands};
use crate::clock::Now;
use crate::shard::{Counters, canonical};
use crate::slab::{Slab, SlotId};

/// Padding bit of an RTP header.
pub(super) const PADDING: u8 = 0x20;

impl Calls {
    /// Takes a datagram that came to media socket `socket`.
    pub fn handle_datagram(
        &mut self,
        now: Now,
        socket: u16,
        from: SocketAddr,
        kernel_ns: u64,
        bytes: &[u8],
        counters: &mut Counters,
    ) {
        let path =
            Path { remote: canonical(from), protocol: PathProtocol::Udp, socket: socket.into() };
        self.handle_from(now, path, kernel_ns, bytes, counters);
    }

    /// Takes what came by `path`.
    pub(super) fn handle_from(
        &mut self,
        now: Now,
        path: Path,
        kernel_ns: u64,
        bytes: &[u8],
        counters: &mut Counters,
    ) {
        let protocol = sniff(bytes);
        let Some(id) = self.find(&path, protocol, bytes) else {
            return self.handle_stranger(now, path, protocol, kernel_ns, bytes, counters);
        };
        let Some(session) = self.sessions.get_mut(id) else { return };
        // Others may read the receive buffer, so nothing is opened in it. Media goes at once to
        // where it is kept, if that is known; else, like everything else, to a buffer of our own.
        let room = match protocol {
            Protocol::Rtp => room(session, &self.streams, &self.pool, bytes),
            _ => None,
        };
        let received = match room {
            Some(place) => {
                let out = self.pool.room(&place);
                session.transport.handle_rtp_into(now.mono_ns, path, bytes, out)
            }
            None => {
                let Some(datagram) = self.datagram.get_mut(..bytes.len()) else {
                    return counters.add(Counter::DropTruncated, 1);
                };
                datagram.copy_from_slice(bytes);
                session.transport.handle_datagram(now.mono_ns, path, datagram)
            }
        };
        self.handle_received(now, id, kernel_ns, received, room, counters);
    }

    /// Whose datagram it is: by address, a check by the ufrag that it names.
    fn find(&mut self, path: &Path, protocol: Protocol, bytes: &[u8]) -> Option<SlotId> {
        if protocol == Protocol::Stun
            && let Ok(view) = StunView::parse(bytes)
            && let Some((ours, _)) = view.ufrags()
        {
            return self.by_ufrag.get(ours).copied();
        }
        if let Some((latest, id)) = self.latest
            && latest == *path
        {
            return Some(id);
        }
        let id = self.by_path.get(path).copied()?;
        self.latest = Some((*path, id));
        Some(id)
    }

    pub(super) fn handle_received(
        &mut self,
        now: Now,
        id: SlotId,
        kernel_ns: u64,
        received: Received,
        room: Option<Place>,
        counters: &mut Counters,
    ) {
        match received {
            Received::Rtp(opened) => {
                let kernel_ns = if kernel_ns == 0 { now.unix_ns } else { kernel_ns };
                if let Err(reason) = self.handle_rtp(now, id, kernel_ns, opened, room, counters) {
                    counters.add(reason, 1);
                }
            }
            Received::Rtcp(len) => {
                counters.add(Counter::RtcpReceived, 1);
                let datagram = std::mem::take(&mut self.datagram);
                if let Some(rtcp) = datagram.get(..len) {
                    self.handle_rtcp(now, id, now.mono_of(kernel_ns), rtcp);
                }
                self.datagram = datagram;
            }
            Received::Stun(heard) => {
                self.learn(id, heard);
                self.mark_dirty(id);
            }
            Received::Dtls => self.mark_dirty(id),
            Received::Dropped(reason) => {
                counters.add(drop_reason(reason), 1);
                if matches!(reason, TransportDrop::Ice(_)) {
                    // A refused check may have an answer that says why.
                    self.mark_dirty(id);
                }
            }
        }
    }

    /// Keeps the table of addresses up with what the transport knows.
    pub(super) fn learn(&mut self, id: SlotId, heard: Heard) {
        if heard.forgotten.is_some() || heard.learned.is_some() {
            self.latest = None;
            self.claim(&heard);
        }
        if let Some(path) = heard.forgotten {
            self.by_path.remove(&path);
            self.note_host(id, path.remote);
        }
        if let Some(path) = heard.learned {
            self.by_path.insert(path, id);
            self.note_host(id, path.remote);
        }
    }

    /// Takes a packet that was opened into `room`, or into the buffer for datagrams.
    fn handle_rtp(
        &mut self,
        now: Now,
        id: SlotId,
        kernel_ns: u64,
        opened: OpenedRtp,
        room: Option<Place>,
        counters: &mut Counters,
    ) -> Result<(), Counter> {
        if !self.has_room() {
            return Err(Counter::DropSendBuffer);
        }
        let session = self.sessions.get_mut(id).ok_or(Counter::DropNoForward)?;
        let whole = match &room {
            Some(place) => self.pool.room(place),
            None => &mut self.datagram[..],
        };
        let packet = whole.get_mut(..opened.len).ok_or(Counter::DropHeader)?;
        let view = RtpView::parse(packet).map_err(|_| Counter::DropHeader)?;
        let located = Located::find(&view, &session.extensions);
        self.due_ns = self.due_ns.min(session.note_transport_sequence(now, &view, &located));
        let known = session.demux.get(opened.ssrc);
        let learn = || session.demux.learn(&view, &located, &session.formats);
        let binding = known.map_or_else(learn, Ok).map_err(|_| Counter::DropSsrc)?;
        let (stream_id, layer) = (SlotId::from_bits(binding.source.0), binding.layer);
        if binding.part == Part::Repairs {
            return self.handle_repair(now, (id, binding), (opened.len, room), kernel_ns, counters);
        }
        let rtx = binding.part == Part::Rtx;
        let stream = self.streams.get_mut(stream_id).ok_or(Counter::DropNoForward)?;
        if known.is_none() {
            stream.learn(layer, opened.ssrc, rtx);
        }
        // Senders probe the path with repetitions that are all padding.
        if rtx && view.payload_range().is_empty() {
            return Ok(());
        }
        let start = if rtx { unwrap(session, stream, layer, packet)? } else { 0 };
        let packet = packet.get_mut(start..).ok_or(Counter::DropHeader)?;
        let view = RtpView::parse(packet).map_err(|_| Counter::DropHeader)?;
        let format = session.formats.media(view.payload_type()).ok_or(Counter::DropHeader)?;
        let feedback = session.formats.feedback(view.payload_type());
        let (source, extensions) = (&mut stream.source, &session.extensions);
        let prepared = source.prepare(now.mono_ns, layer, &view, extensions, format, rtx);
        // Known already: RTX that came after the packet did after all.
        let Ok((prepared, news)) = prepared else { return Ok(()) };
        let came = stream.recovery(layer).map(|_| Came::of(&view, rtx));
        if view.padding() > 0
            && let Some(first) = packet.first_mut()
        {
            // What is kept ends where the padding began.
            *first &= !PADDING;
        }
        let kept = start..start + prepared.payload().end;
        let kept = match &room {
            Some(place) => Kept::Placed(*place, kept),
            None => Kept::Copied(self.datagram.get(kept).ok_or(Counter::DropHeader)?),
        };
        self.due_ns = self.due_ns.min(stream.expect(now, layer, prepared.sequence, feedback));
        if !stream.keep(now.mono_ns, layer, prepared.sequence, kept, &mut self.pool) {
            return Err(Counter::DropSendBuffer);
        }
        let packet = Queued { prepared, layer, kernel_ns, sent: 0, padding: 0 };
        self.hand_over(stream_id, &packet, rtx);
        self.queue(stream_id, packet, news);
        if let Some(came) = came {
            self.recover_with(now, (id, stream_id, layer), &packet, came, counters);
        }
        if let Some(behind) = Behind::of(&prepared, format, kernel_ns) {
            self.make_up(now, id, stream_id, layer, behind);
        }
        // It takes no receiver's number, but nobody can tell what it is part of.
        if prepared.is_malformed() { Err(Counter::DropDescriptor) } else { Ok(()) }
    }

    /// Lets a packet that is kept be sent with this turn. `news`: its layer is live only now.
    pub(super) fn queue(&mut self, id: SlotId, packet: Queued, news: bool) {
        let Some(stream) = self.streams.get_mut(id) else { return };
        let prepared = &packet.prepared;
        // Of a mirror, the home says who speaks.
        let heard = prepared.ahead > 0 && !stream.muted && stream.mirrored.is_none();
        if let (Some(level), true) = (prepared.audio_level, heard)
            && let Some(room) = self.rooms.get_mut(&stream.room)
        {
            let (timestamp, clock_hz) = (prepared.timestamp, prepared.clock_hz);
            room.speakers.handle_level(SourceKey(stream.key), level, timestamp, clock_hz);
        }
        stream.queued.push(packet);
        stream.fresh += 1;
        self.queued += 1;
        if !std::mem::replace(&mut stream.touched, true) {
            self.touched.push(id);
        }
        if news {
            self.tell_layers(id);
        }
    }

    /// Tells routes and control plane which layers of a source are live.
    pub(super) fn tell_layers(&mut self, id: SlotId) {
        let Some(stream) = self.streams.get(id) else { return };
        let (live, scalable) = (stream.source.live(), stream.source.is_scalable());
        for route in &stream.routes {
            if let Some(subscription) = self.subscriptions.get_mut(*route) {
                subscription.route.set_scalable(scalable);
                subscription.route.set_live(live);
            }
        }
        if stream.mirrored.is_some() {
            return;
        }
        let codec = stream.source.codec().map(commands::abi_codec);
        let pictures = stream.source.pictures().map(commands::abi_picture);
        let event = CallEvent::SourceLayers { source: stream.key, live, codec, pictures };
        self.tell(event);
    }
}

/// Where the packet of a known SSRC is kept, should it prove authentic. Nothing changes by that.
fn room(
    session: &Session,
    streams: &Slab<Stream>,
    pool: &HistoryPool,
    bytes: &[u8],
) -> Option<Place> {
    let ssrc = u32::from_be_bytes(*bytes.get(8..)?.first_chunk()?);
    let binding = session.demux.get(ssrc)?;
    let stream = streams.get(SlotId::from_bits(binding.source.0))?;
    match binding.part {
        Part::Media | Part::Rtx => stream.place(binding.layer, bytes.len(), pool),
        Part::Repairs => {
            let store = stream.stores.get(usize::from(binding.layer))?;
            store.recovery.as_ref()?.place(bytes.len(), pool)
        }
    }
}

/// Turns a packet of an RTX stream back into the one that it repeats; gives where that begins.
fn unwrap(
    session: &Session,
    stream: &Stream,
    layer: u8,
    packet: &mut [u8],
) -> Result<usize, Counter> {
    let payload_type = packet.get(1).map_or(0, |octet| octet & 0x7f);
    let Some(Format::Rtx { media }) = session.formats.get(payload_type) else {
        return Err(Counter::DropHeader);
    };
    let layer = stream.source.layers().get(usize::from(layer));
    let ssrc = layer.and_then(|layer| layer.ssrc).ok_or(Counter::DropSsrc)?;
    rtx::unwrap_in_place(packet, ssrc, media).map_err(|_| Counter::DropShort)
}

/// Whoever has no right to be heard, or not yet, is a wrong source.
fn drop_reason(reason: TransportDrop) -> Counter {
    match reason {
        TransportDrop::Protocol => Counter::DropProtocol,
        TransportDrop::Stun(_)
        | TransportDrop::Ice(_)
        | TransportDrop::Srtp(_)
        | TransportDrop::Source
        | TransportDrop::DtlsBacklog
        | TransportDrop::NoKeys
        | TransportDrop::Ended => Counter::DropSource,
    }
}
