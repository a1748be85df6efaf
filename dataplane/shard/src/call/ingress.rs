//! From a datagram to a packet that is ready to be sent to everybody.

use std::net::SocketAddr;

use ringway_abi::call::CallEvent;
use ringway_abi::counters::Counter;
use ringway_proto::ice::{Heard, Path, PathProtocol};
use ringway_proto::rtx;
use ringway_proto::srtp::OpenedRtp;
use ringway_proto::transport::{Received, TransportDrop};
use ringway_sfu::call::format::Format;
use ringway_wire::extension::Located;
use ringway_wire::rtp::RtpView;
use ringway_wire::sniff::{Protocol, sniff};
use ringway_wire::stun::StunView;

use super::session::Session;
use super::stream::{Queued, Stream};
use super::{Calls, commands};
use crate::clock::Now;
use crate::shard::{Counters, canonical};
use crate::slab::SlotId;

/// Padding bit of an RTP header.
const PADDING: u8 = 0x20;

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
        let Some(id) = self.find(&path, bytes) else {
            return counters.add(Counter::DropSource, 1);
        };
        // Opened in place, which must not touch what other readers of the buffer may see.
        let mut datagram = std::mem::take(&mut self.datagram);
        if let Some(datagram) = datagram.get_mut(..bytes.len()) {
            datagram.copy_from_slice(bytes);
            self.receive(now, id, path, kernel_ns, datagram, counters);
        } else {
            counters.add(Counter::DropTruncated, 1);
        }
        self.datagram = datagram;
    }

    /// Whose datagram it is: by address, a check by the ufrag that it names.
    pub(super) fn find(&self, path: &Path, bytes: &[u8]) -> Option<SlotId> {
        if sniff(bytes) == Protocol::Stun
            && let Ok(view) = StunView::parse(bytes)
            && let Some((ours, _)) = view.ufrags()
        {
            return self.by_ufrag.get(ours).copied();
        }
        self.by_path.get(path).copied()
    }

    pub(super) fn receive(
        &mut self,
        now: Now,
        id: SlotId,
        path: Path,
        kernel_ns: u64,
        datagram: &mut [u8],
        counters: &mut Counters,
    ) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        match session.transport.handle_datagram(now.mono_ns, path, datagram) {
            Received::Rtp(opened) => {
                let kernel_ns = if kernel_ns == 0 { now.unix_ns } else { kernel_ns };
                if let Err(reason) = self.handle_rtp(now, id, kernel_ns, datagram, opened) {
                    counters.add(reason, 1);
                }
            }
            Received::Rtcp(len) => {
                counters.add(Counter::RtcpReceived, 1);
                if let Some(rtcp) = datagram.get(..len) {
                    self.handle_rtcp(now, id, rtcp);
                }
            }
            Received::Stun(heard) => {
                self.learn(id, heard);
                self.mark_dirty(id);
            }
            Received::Dtls => self.mark_dirty(id),
            Received::Dropped(reason) => {
                counters.add(drop_reason(reason), 1);
                // A refused check may have an answer that says why.
                self.mark_dirty(id);
            }
        }
    }

    /// Keeps the table of addresses up with what the transport knows.
    fn learn(&mut self, id: SlotId, heard: Heard) {
        self.claim(&heard);
        if let Some(path) = heard.forgotten {
            self.by_path.remove(&path);
        }
        if let Some(path) = heard.learned {
            self.by_path.insert(path, id);
        }
    }

    fn handle_rtp(
        &mut self,
        now: Now,
        id: SlotId,
        kernel_ns: u64,
        datagram: &mut [u8],
        opened: OpenedRtp,
    ) -> Result<(), Counter> {
        if !self.has_room() {
            return Err(Counter::DropSendBuffer);
        }
        let session = self.sessions.get_mut(id).ok_or(Counter::DropNoForward)?;
        let packet = datagram.get_mut(..opened.len).ok_or(Counter::DropHeader)?;
        let view = RtpView::parse(packet).map_err(|_| Counter::DropHeader)?;
        let located = Located::find(&view, &session.extensions);
        session.note_transport_sequence(now, &view, &located);
        let known = session.demux.get(opened.ssrc);
        let learn = || session.demux.learn(&view, &located, &session.formats);
        let binding = known.map_or_else(learn, Ok).map_err(|_| Counter::DropSsrc)?;
        let stream_id = self.stream_of.get(&binding.source.0).copied();
        let stream_id = stream_id.ok_or(Counter::DropNoForward)?;
        let stream = self.streams.get_mut(stream_id).ok_or(Counter::DropNoForward)?;
        if known.is_none() {
            let (media, repair) = match binding.rtx {
                true => (None, Some(opened.ssrc)),
                false => (Some(opened.ssrc), None),
            };
            stream.source.bind(binding.layer, media, repair);
        }
        let packet = match binding.rtx {
            true => unwrap(session, stream, binding.layer, packet)?,
            false => packet,
        };
        let view = RtpView::parse(packet).map_err(|_| Counter::DropHeader)?;
        let format = session.formats.media(view.payload_type()).ok_or(Counter::DropHeader)?;
        let (extensions, layer) = (&session.extensions, binding.layer);
        let source = &mut stream.source;
        let prepared = source.prepare(now.mono_ns, layer, &view, extensions, format, binding.rtx);
        // Known already: RTX that came after the packet did after all.
        let Ok((prepared, news)) = prepared else { return Ok(()) };
        let padded = view.padding() > 0;
        if padded && let Some(first) = packet.first_mut() {
            // What is kept ends where the padding began.
            *first &= !PADDING;
        }
        let packet = packet.get(..prepared.payload().end).ok_or(Counter::DropHeader)?;
        if !stream.keep(now.mono_ns, layer, prepared.sequence, packet, &mut self.pool) {
            return Err(Counter::DropSendBuffer);
        }
        if let (Some(level), true) = (prepared.audio_level, prepared.ahead > 0)
            && let Some(room) = self.rooms.get_mut(&stream.room)
        {
            let (timestamp, clock_hz) = (prepared.timestamp, prepared.clock_hz);
            room.speakers.handle_level(binding.source, level, timestamp, clock_hz);
        }
        stream.queued.push(Queued { prepared, layer, kernel_ns, sent: 0 });
        self.queued += 1;
        if !std::mem::replace(&mut stream.touched, true) {
            self.touched.push(stream_id);
        }
        if news {
            self.tell_layers(stream_id);
        }
        Ok(())
    }

    /// Tells routes and control plane which layers of a source are live.
    pub(super) fn tell_layers(&mut self, id: SlotId) {
        let Some(stream) = self.streams.get(id) else { return };
        let live = stream.source.live();
        for route in &stream.routes {
            if let Some(subscription) = self.subscriptions.get_mut(*route) {
                subscription.route.set_live(live);
            }
        }
        let codec = stream.source.codec().map(commands::abi_codec);
        let event = CallEvent::SourceLayers { source: stream.key, live, codec };
        self.tell(event);
    }
}

/// Turns a packet of an RTX stream back into the one that it repeats.
fn unwrap<'a>(
    session: &Session,
    stream: &Stream,
    layer: u8,
    packet: &'a mut [u8],
) -> Result<&'a mut [u8], Counter> {
    let payload_type = packet.get(1).map_or(0, |octet| octet & 0x7f);
    let Some(Format::Rtx { media }) = session.formats.get(payload_type) else {
        return Err(Counter::DropHeader);
    };
    let layer = stream.source.layers().get(usize::from(layer));
    let ssrc = layer.and_then(|layer| layer.ssrc).ok_or(Counter::DropSsrc)?;
    let start = rtx::unwrap_in_place(packet, ssrc, media).map_err(|_| Counter::DropShort)?;
    packet.get_mut(start..).ok_or(Counter::DropHeader)
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
