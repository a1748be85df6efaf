//! What a turn sends: datagrams of the transports' own, then the turn's packets, sealed for each
//! subscriber into one contiguous run.

use ringway_abi::call::{CNAME_BYTES, CallEvent, EndReason};
use ringway_abi::counters::Counter;
use ringway_proto::ice::{Path, PathProtocol};
use ringway_proto::srtp::{PacketIndex, RtpParts};
use ringway_proto::transport::{Transmit, TransportEvent, TransportFailure};
use ringway_sfu::call::dress::{Head, MAX_HEAD_BYTES, Stamp};
use ringway_sfu::call::route::{Decision, Sent};
use ringway_wire::extension::ExtensionKind;
use ringway_wire::extension_value::abs_send_time;
use ringway_wire::frame_trailer::without_trailer;
use ringway_wire::head::HeadFields;
use ringway_wire::rtcp::SenderReport;
use ringway_wire::rtcp::write::{WriteError, write_sdes_cname, write_sender_report};
use ringway_wire::rtp::RtpView;

use super::ingress::PADDING;
use super::padding;
use super::session::Session;
use super::stream::Stream;
use super::subscription::Subscription;
use super::tcp::connection_of;
use super::{Calls, MAX_DATAGRAM_BYTES};
use crate::branch;
use crate::clock::Now;
use crate::egress::{
    Batch, Delivery, MAX_RUN_BYTES, MAX_SEGMENTS, Piece, Run, SocketId, TAG_NONE, Target,
    count_run, push_datagram,
};
use crate::gateway::ConnectionId;
use crate::shard::Counters;
use crate::slab::SlotId;
use crate::sockets::MediaSocket;

/// Octets that a sealed packet may be longer than the one that came: another header, the tag.
const MARGIN_BYTES: usize = 512;
/// Room for any head: contributing sources too.
pub(super) const HEAD_BYTES: usize = MAX_HEAD_BYTES + 60;

/// A sender report with a canonical name.
const REPORT_BYTES: usize = 28 + (4 + 4 + 2 + CNAME_BYTES + 1).next_multiple_of(4);
/// With the index and the tag of SRTCP.
const SEALED_REPORT_BYTES: usize = REPORT_BYTES + 4 + 16;

/// How far a turn's packets are sent.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cursor {
    stream: usize,
    route: usize,
    packet: usize,
}

impl Cursor {
    /// Nothing of its stream was sent yet.
    fn is_fresh(self) -> bool {
        self.route == 0 && self.packet == 0
    }
}

/// A run that grows in the scratch of a batch.
#[derive(Default)]
pub(super) struct Growing {
    piece: Option<Piece>,
    segment: u32,
    packets: u16,
    ended: bool,
}

impl Calls {
    /// Fills `batch`. `true`: send it and call again. After `false` the turn's packets are done.
    pub fn poll_transmit(&mut self, now: Now, batch: &mut Batch, counters: &mut Counters) -> bool {
        while let Some(id) = self.dirty.pop() {
            if !self.flush_session(now, id, batch, counters) {
                self.dirty.push(id);
                return true;
            }
        }
        while let Some((route, sequence)) = self.wanted.last().copied() {
            if !batch.has_room(1, 1, MAX_DATAGRAM_BYTES + MARGIN_BYTES) {
                return true;
            }
            self.wanted.pop();
            self.resend(now, route, sequence, batch, counters);
        }
        if !self.send_blanks(now, batch, counters) {
            return true;
        }
        while let Some(id) = self.touched.get(self.at.stream).copied() {
            if self.at.is_fresh() && self.hold_back(now, id) {
                self.at.stream += 1;
                continue;
            }
            if !self.send_stream(now, id, batch, counters) {
                self.note_deliveries(id);
                return true;
            }
            self.note_deliveries(id);
            if let Some(stream) = self.streams.get_mut(id) {
                stream.queued.clear();
                stream.report = None;
                stream.touched = false;
                stream.fresh = 0;
            }
            self.at = Cursor { stream: self.at.stream + 1, ..Cursor::default() };
        }
        if !self.send_held(now, batch, counters) {
            return true;
        }
        self.touched.clear();
        self.queued = 0;
        self.at = Cursor::default();
        // Passing packets on may have asked publishers for something.
        !self.dirty.is_empty()
    }

    /// What was delivered since the last call, for the latency histogram.
    pub fn take_deliveries(&mut self, mut record: impl FnMut(Delivery)) {
        self.deliveries.drain(..).for_each(&mut record);
    }

    pub(super) fn note_deliveries(&mut self, id: SlotId) {
        let Some(stream) = self.streams.get_mut(id) else { return };
        for packet in stream.queued.iter_mut().filter(|packet| packet.sent > 0) {
            let destinations = std::mem::take(&mut packet.sent);
            self.deliveries.push(Delivery { kernel_ns: packet.kernel_ns, destinations });
        }
    }

    /// Sends what a transport has to say; `false` when the batch is full.
    fn flush_session(
        &mut self,
        now: Now,
        id: SlotId,
        batch: &mut Batch,
        counters: &mut Counters,
    ) -> bool {
        self.run_dtls(now, id);
        let Some(session) = self.sessions.get_mut(id) else { return true };
        if !flush_transport(now, session, &self.sockets, batch, counters)
            || !flush_data(now, session, &self.sockets, &mut self.sctp_packet, batch, counters)
        {
            return false;
        }
        let mut octets = [0; MAX_DATAGRAM_BYTES];
        while let Some((socket, to)) = session.target {
            if !batch.has_room(1, 1, MAX_DATAGRAM_BYTES) {
                return false;
            }
            let Some(len) = session.seal_rtcp(&mut octets) else { break };
            push_datagram(batch, socket, to, &octets[..len], TAG_NONE);
            count_run(counters, 1, len as u64, 1);
            counters.add(Counter::RtcpSent, 1);
        }
        session.dirty = false;
        let sockets = &self.sockets;
        let mut ended = session.transport.is_ended();
        let mut data_came = false;
        while let Some(event) = session.transport.poll_event() {
            if let TransportEvent::Data(packet) = &event {
                data_came = true;
                if let Some(end) = &mut session.data {
                    end.handle_packet(now, packet);
                }
                continue;
            }
            if let (TransportEvent::Connected { .. }, Some(end)) = (&event, &mut session.data) {
                data_came = true;
                end.connect(now, session.transport.dtls_role());
            }
            let path = session.transport.send_path();
            session.target = path.and_then(|path| socket_of(sockets, &path));
            let (transport, reason) = (session.key, end_reason(&event));
            let event = match (event, reason) {
                (_, Some(reason)) => {
                    ended = true;
                    CallEvent::Ended { transport, reason }
                }
                (TransportEvent::Connected { path, .. }, None) => {
                    let tcp = path.protocol == PathProtocol::Tcp;
                    CallEvent::Connected { transport, remote: path.remote, tcp }
                }
                _ => continue,
            };
            self.events.push_back(event);
        }
        if ended {
            self.forget_session(now, id);
        } else if data_came {
            self.mark_dirty(id);
            self.route_data(now, id, counters);
        } else {
            self.calm_down(now, id);
        }
        true
    }

    /// Takes an ended transport out of the tables.
    fn forget_session(&mut self, now: Now, id: SlotId) {
        self.close_session(now, id);
        if let Some(session) = self.sessions.remove(id) {
            if self.by_ufrag.get(session.transport.ufrag()) == Some(&id) {
                self.by_ufrag.remove(session.transport.ufrag());
            }
            for path in session.transport.known_paths() {
                self.movers.remove(path.remote.ip(), id);
                // Unless it leads to another by now.
                if self.by_path.get(&path) == Some(&id) {
                    self.by_path.remove(&path);
                    // Once what was sent to it is written.
                    self.closing.extend(connection_of(&path));
                }
            }
        }
        self.latest = None;
        // `close_session` has put it there once more.
        self.dirty.retain(|dirty| *dirty != id);
    }

    /// Sends a source's packets to its routes; `false` when the batch is full.
    fn send_stream(
        &mut self,
        now: Now,
        id: SlotId,
        batch: &mut Batch,
        counters: &mut Counters,
    ) -> bool {
        let Self { streams, subscriptions, sessions, pool, at, most_padding, .. } = self;
        let Some(stream) = streams.get_mut(id) else { return true };
        if at.is_fresh() && *most_padding > 0 && stream.source.kind().is_video() {
            padding::level(&mut stream.queued, *most_padding);
        }
        while let Some(route) = stream.routes.get(at.route).copied() {
            let subscription = subscriptions.get_mut(route);
            let pair = subscription.and_then(|subscription| {
                let session = sessions.get_mut(subscription.session)?;
                Some((subscription, session))
            });
            if let Some((subscription, session)) = pair {
                let mut sending = Sending::new(now, batch, counters, pool);
                if !sending.send_route(stream, subscription, session, &mut at.packet) {
                    return false;
                }
                if let Some(layer) = reported(stream, subscription)
                    && !sending.send_report(stream, layer, subscription, session)
                {
                    return false;
                }
            }
            at.route += 1;
            at.packet = 0;
        }
        true
    }

    /// Sends one packet again, as RTX where the subscriber takes it.
    fn resend(
        &mut self,
        now: Now,
        route: SlotId,
        sequence: u16,
        batch: &mut Batch,
        counters: &mut Counters,
    ) -> Option<()> {
        let subscription = self.subscriptions.get_mut(route)?;
        if let Some(playout) = &mut subscription.playout {
            playout.handle_nack();
        }
        if !subscription.resends.allow(now.mono_ns, sequence) {
            return None;
        }
        let id = subscription.stream;
        let stream = self.streams.get(id)?;
        let (formats, extensions) = stream.meanings(&self.sessions)?;
        if subscription.route.pause().any() {
            // Whoever wants nothing lacks nothing; it begins again with a key frame.
            return None;
        }
        let resend = subscription.route.sent_as(sequence)?;
        if stream.source.stream(resend.layer()) != Some(resend.stream()) {
            // Another numbering has begun: the history may hold another packet under that number.
            return None;
        }
        let Some(bytes) = stream.kept(&self.pool, resend.layer(), resend.sequence) else {
            return self.ask_again(id, &resend);
        };
        let view = RtpView::parse(bytes).ok()?;
        let format = formats.media(view.payload_type())?;
        let source = &stream.source;
        let prepared = source.reread(resend.layer(), &view, extensions, format, now.mono_ns)?;
        let Decision::Send(sent) = subscription.route.decide_again(&resend, &prepared) else {
            return None;
        };
        let fields = subscription.dress.fields(&prepared, &sent);
        let session = self.sessions.get_mut(subscription.session)?;
        let target = session.target?;
        let described = prepared.is_described();
        let again =
            repetition(now, subscription, session, fields, (sequence, described), bytes.len())?;
        let Repetition { fields, front, index, stamp } = again;
        let mut head = [0; HEAD_BYTES];
        let written = subscription.dress.write_as(
            &fields,
            front.as_ref().map_or(&[], |front| &front[..]),
            &prepared,
            bytes,
            &sent,
            &session.extensions,
            &stamp,
            &mut head,
        )?;
        let octets = if subscription.video { 0 } else { stream.padding_of(resend.sequence) };
        if octets > 0 {
            head[0] |= PADDING;
        }
        let cut = subscription.cuts_trailer && prepared.may_end_frame();
        let mut parts = parts(&head, &written, bytes, cut)?;
        parts.suffix = padding::octets(octets);
        let sealer = session.transport.sealer()?;
        let mut sealed = [0; MAX_DATAGRAM_BYTES + MARGIN_BYTES];
        let len = sealer.seal_parts_into(index, &parts, &mut sealed).ok()?;
        push_datagram(batch, target.0, target.1, &sealed[..len], TAG_NONE);
        count_run(counters, 1, len as u64, 1);
        subscription.repaired = subscription.repaired.saturating_add(1);
        Some(())
    }
}

/// What sending needs besides who sends to whom.
pub(super) struct Sending<'a> {
    pub(super) now: Now,
    pub(super) stamp_time: [u8; 3],
    pub(super) batch: &'a mut Batch,
    pub(super) counters: &'a mut Counters,
    pub(super) pool: &'a ringway_proto::history::HistoryPool,
}

impl<'a> Sending<'a> {
    pub(super) fn new(
        now: Now,
        batch: &'a mut Batch,
        counters: &'a mut Counters,
        pool: &'a ringway_proto::history::HistoryPool,
    ) -> Self {
        Self { now, stamp_time: abs_send_time(now.unix_ns), batch, counters, pool }
    }

    /// Offers the packets from `at` on to a route, seals and sends what it takes; `false` when the
    /// batch is full.
    fn send_route(
        &mut self,
        stream: &mut Stream,
        subscription: &mut Subscription,
        session: &mut Session,
        at: &mut usize,
    ) -> bool {
        let mut run = Growing::default();
        let target = session.target;
        let done = target.is_none() || self.grow(stream, subscription, session, at, &mut run);
        self.end_run(&mut run, target);
        done
    }

    /// Offers the packets from `at` on to a route, and seals what it takes into `run`; `false` when
    /// the batch is full. The session must have a target.
    pub(super) fn grow(
        &mut self,
        stream: &mut Stream,
        subscription: &mut Subscription,
        session: &mut Session,
        at: &mut usize,
        run: &mut Growing,
    ) -> bool {
        let mut head = [0; HEAD_BYTES];
        while let Some(queued) = stream.queued.get_mut(*at) {
            let bytes = stream.stores[usize::from(queued.layer)]
                .history
                .as_ref()
                .and_then(|history| history.get(self.pool, queued.prepared.sequence));
            let Some(bytes) = bytes else {
                *at += 1;
                continue;
            };
            if !self.batch.has_room(2, 2, bytes.len() + MARGIN_BYTES) {
                return false;
            }
            *at += 1;
            let prepared = &queued.prepared;
            let (sent, padding) = match subscription.route.offer(prepared) {
                Decision::Drop => continue,
                Decision::Send(sent) => (sent, false),
                Decision::Pad(sent) => (sent, true),
            };
            let mut stamp = stamp(session, subscription.video, self.stamp_time, bytes.len());
            if let Some(playout) = &mut subscription.playout {
                stamp.playout_delay = playout.tell(self.now.mono_ns, sent.sequence);
            }
            let index = subscription.index(sent.sequence);
            if let Some(stamps) = &mut subscription.stamps {
                stamps.put(index, stamp);
            }
            let sealed = if padding {
                let dress = &subscription.dress;
                let out = &mut head;
                let len = dress.write_padding(prepared, &sent, &session.extensions, &stamp, out);
                len.and_then(|len| self.seal_whole(session, index, &head[..len]))
            } else {
                self.seal(subscription, session, queued, &sent, &stamp, index, bytes, &mut head)
            };
            if let Some(piece) = sealed {
                queued.sent += 1;
                if !run.takes(piece) {
                    self.end_run(run, session.target);
                }
                run.put(piece);
            }
        }
        true
    }

    /// Sends a run, and begins another one.
    pub(super) fn end_run(&mut self, run: &mut Growing, to: Option<(SocketId, Target)>) {
        if let Some((socket, to)) = to {
            self.push_run(run, socket, to);
        }
        *run = Growing::default();
    }

    #[allow(clippy::too_many_arguments)] // Each is another's: route, peer, packet, buffers.
    fn seal(
        &mut self,
        subscription: &Subscription,
        session: &Session,
        queued: &super::stream::Queued,
        sent: &Sent,
        stamp: &Stamp,
        index: PacketIndex,
        bytes: &[u8],
        head: &mut [u8],
    ) -> Option<Piece> {
        let dress = &subscription.dress;
        let extensions = &session.extensions;
        let written = dress.write(&queued.prepared, bytes, sent, extensions, stamp, head)?;
        // Sent again without RTX, a packet would have to be the same octets: those of sound are
        // remembered.
        let padded = subscription.repair.is_some() || !subscription.video;
        let octets = if padded { queued.padding } else { 0 };
        if octets > 0
            && let Some(first) = head.first_mut()
        {
            *first |= PADDING;
        }
        let cut = subscription.cuts_trailer && queued.prepared.may_end_frame();
        let mut parts = parts(head, &written, bytes, cut)?;
        parts.suffix = padding::octets(octets);
        let sealer = session.transport.sealer()?;
        let len = parts.len() + sealer.profile().rtp_overhead();
        let (piece, room) = self.batch.reserve_scratch(len)?;
        sealer.seal_parts_into(index, &parts, room).ok()?;
        Some(piece)
    }

    /// Seals a packet of which header and body lie together.
    pub(super) fn seal_whole(
        &mut self,
        session: &Session,
        index: PacketIndex,
        packet: &[u8],
    ) -> Option<Piece> {
        let header = header_len(packet)?;
        let parts = RtpParts {
            header: packet.get(..header)?,
            payload: packet.get(header..)?,
            ..RtpParts::default()
        };
        let sealer = session.transport.sealer()?;
        let (piece, room) =
            self.batch.reserve_scratch(parts.len() + sealer.profile().rtp_overhead())?;
        sealer.seal_parts_into(index, &parts, room).ok()?;
        Some(piece)
    }

    /// Sends a packet by itself.
    pub(super) fn push_single(&mut self, piece: Piece, socket: SocketId, to: Target) {
        let mut run = Growing::default();
        run.put(piece);
        self.push_run(&run, socket, to);
    }

    fn push_run(&mut self, run: &Growing, socket: SocketId, to: Target) {
        let Some(piece) = run.piece else { return };
        let Some(first) = self.batch.push_piece(piece) else { return };
        let segment = if run.packets == 1 { 0 } else { run.segment as u16 };
        let (packets, bytes) = (run.packets, piece.len);
        let end = first + 1;
        let run = Run { socket, to, first, end, segment, packets, bytes, tag: TAG_NONE };
        if self.batch.push_run(run) {
            count_run(self.counters, packets.into(), bytes.into(), 1);
        }
    }

    /// Passes the publisher's sender report on; `false` when the batch is full.
    pub(super) fn send_report(
        &mut self,
        stream: &Stream,
        layer: u8,
        subscription: &mut Subscription,
        session: &mut Session,
    ) -> bool {
        let report = stream.source.layers().get(usize::from(layer)).and_then(|l| l.report());
        let Some((report, (socket, to))) = report.zip(session.target) else { return true };
        if !subscription.answers.report_is_due(self.now.mono_ns) {
            return true;
        }
        let ssrc = subscription.dress.ssrc;
        let Some(mut report) = subscription.route.sender_report(ssrc, layer, &report) else {
            return true;
        };
        if !self.batch.has_room(1, 1, SEALED_REPORT_BYTES) {
            return false;
        }
        report.ssrc = ssrc;
        let mut octets = [0; REPORT_BYTES];
        let mut sealed = [0; SEALED_REPORT_BYTES];
        if let Ok(len) = write_report(&mut octets, &report, subscription.cname.as_bytes())
            && let Some(Ok(len)) = session.transport.seal_rtcp_into(&octets[..len], &mut sealed)
        {
            push_datagram(self.batch, socket, to, &sealed[..len], TAG_NONE);
            count_run(self.counters, 1, len as u64, 1);
            self.counters.add(Counter::RtcpSent, 1);
            subscription.answers.report_sent(self.now.mono_ns, report.ntp);
        }
        true
    }
}

/// The layer whose sender report a subscriber may hear now: one that has just come; for who has
/// heard none, the last one, so that it need not wait for the next.
#[inline]
pub(super) fn reported(stream: &Stream, subscription: &Subscription) -> Option<u8> {
    if stream.report.is_some() || !subscription.answers.lacks_report() {
        return stream.report;
    }
    let layer = subscription.route.clock_layer()?;
    let kept = stream.source.layers().get(usize::from(layer))?.report();
    kept.map(|_| layer)
}

impl Growing {
    /// Whether a packet can follow in the same run: of the same length, or shorter and the last.
    fn takes(&self, piece: Piece) -> bool {
        self.piece.is_none_or(|run| {
            !self.ended
                && piece.len <= self.segment
                && usize::from(self.packets) < MAX_SEGMENTS
                && run.len + piece.len <= MAX_RUN_BYTES
                && run.offset + run.len == piece.offset
        })
    }

    fn put(&mut self, piece: Piece) {
        match &mut self.piece {
            None => {
                self.piece = Some(piece);
                self.segment = piece.len;
            }
            Some(run) => {
                run.len += piece.len;
                self.ended = piece.len < self.segment;
            }
        }
        self.packets += 1;
    }
}

/// Writes a sender report and whose it is. RFC 3550 6.1: receivers need the canonical name "to
/// begin associating media for purposes such as lip-sync".
fn write_report(
    octets: &mut [u8],
    report: &SenderReport,
    cname: &[u8],
) -> Result<usize, WriteError> {
    let len = write_sender_report(octets, report, &[])?;
    if cname.is_empty() {
        return Ok(len);
    }
    Ok(len + write_sdes_cname(&mut octets[len..], report.ssrc, cname)?)
}

/// What the receiving transport puts on a packet. Audio is sent again as it was, so it gets none.
pub(super) fn stamp(
    session: &mut Session,
    video: bool,
    abs_send_time: [u8; 3],
    bytes: usize,
) -> Stamp {
    session.cap.count(bytes);
    let counted = video && session.extensions.id(ExtensionKind::TransportSequence).is_some();
    let transport_sequence = counted.then(|| {
        session.transport_sequence = session.transport_sequence.wrapping_add(1);
        session.cap.sent(session.transport_sequence, bytes);
        session.transport_sequence
    });
    Stamp { abs_send_time: video.then_some(abs_send_time), transport_sequence, playout_delay: None }
}

/// How a packet leaves that is sent again.
struct Repetition {
    fields: HeadFields,
    /// The number that it had, where it leaves as RTX.
    front: Option<[u8; 2]>,
    index: PacketIndex,
    stamp: Stamp,
}

/// How packet `sequence` of `bytes` octets leaves once more; `described`: a descriptor says what it
/// needs.
fn repetition(
    now: Now,
    subscription: &mut Subscription,
    session: &mut Session,
    fields: HeadFields,
    (sequence, described): (u16, bool),
    bytes: usize,
) -> Option<Repetition> {
    if let Some(repair) = &mut subscription.repair {
        let (fields, front, index) = repair.wrap(&fields);
        let time = abs_send_time(now.unix_ns);
        let stamp = stamp(session, subscription.video, time, bytes);
        return Some(Repetition { fields, front: Some(front), index, stamp });
    }
    // What a descriptor means may have changed: it would be other octets.
    let index = subscription.index_again(sequence).filter(|_| !described)?;
    let stamp = match &subscription.stamps {
        Some(stamps) => stamps.get(index)?,
        None => Stamp::default(),
    };
    Some(Repetition { fields, front: None, index, stamp })
}

/// The pieces of a packet: what was written of it, and the rest of what came; `cut`: without what
/// its publisher appended to the picture.
fn parts<'a>(head: &'a [u8], written: &Head, bytes: &'a [u8], cut: bool) -> Option<RtpParts<'a>> {
    let head = head.get(..written.len)?;
    let header = header_len(head)?;
    let rest = bytes.get(written.rest.clone())?;
    Some(RtpParts {
        header: head.get(..header)?,
        prefix: head.get(header..)?,
        payload: if cut { without_trailer(rest) } else { rest },
        suffix: &[],
    })
}

/// Octets of the RTP header with contributing sources and extension.
fn header_len(head: &[u8]) -> Option<usize> {
    let first = *head.first()?;
    let fixed = 12 + 4 * usize::from(first & 0x0f);
    if first & 0x10 == 0 {
        return Some(fixed);
    }
    let words = head.get(fixed + 2..fixed + 4)?;
    Some(fixed + 4 + 4 * usize::from(u16::from_be_bytes([words[0], words[1]])))
}

/// Sends what ICE and DTLS have to say; `false` when the batch is full.
fn flush_transport(
    now: Now,
    session: &mut Session,
    sockets: &[MediaSocket],
    batch: &mut Batch,
    counters: &mut Counters,
) -> bool {
    let mut octets = [0; MAX_DATAGRAM_BYTES];
    loop {
        if !batch.has_room(1, 1, MAX_DATAGRAM_BYTES) {
            return false;
        }
        let Some(sent) = session.transport.poll_transmit(now.mono_ns, &mut octets) else {
            return true;
        };
        if let Some((socket, to)) = socket_of(sockets, &sent.path) {
            push_datagram(batch, socket, to, &octets[..sent.len], TAG_NONE);
            count_run(counters, 1, sent.len as u64, 1);
        }
    }
}

/// Sends what SCTP has to say; `false` when the batch is full. After the handshake DTLS seals on
/// the spot: a packet at a time.
fn flush_data(
    now: Now,
    session: &mut Session,
    sockets: &[MediaSocket],
    packet: &mut Vec<u8>,
    batch: &mut Batch,
    counters: &mut Counters,
) -> bool {
    if session.data.is_none() {
        return true;
    }
    let mut octets = [0; MAX_DATAGRAM_BYTES];
    let mut push = |batch: &mut Batch, sent: &Transmit, octets: &[u8]| {
        if let Some((socket, to)) = socket_of(sockets, &sent.path) {
            push_datagram(batch, socket, to, &octets[..sent.len], TAG_NONE);
            count_run(counters, 1, sent.len as u64, 1);
        }
    };
    while let Some(end) = session.data.as_mut().filter(|_| session.transport.is_connected()) {
        if !batch.has_room(2, 2, 2 * MAX_DATAGRAM_BYTES) {
            return false;
        }
        if !end.poll_packet(packet) {
            break;
        }
        if let Some(sent) = session.transport.seal_data(now.mono_ns, packet, &mut octets) {
            push(batch, &sent, &octets);
            continue;
        }
        session.transport.send_data(packet);
        session.transport.run_dtls(now.mono_ns);
        while batch.has_room(1, 1, MAX_DATAGRAM_BYTES)
            && let Some(sent) = session.transport.poll_transmit(now.mono_ns, &mut octets)
        {
            push(batch, &sent, &octets);
        }
    }
    true
}

pub(super) fn socket_of(sockets: &[MediaSocket], path: &Path) -> Option<(SocketId, Target)> {
    if path.protocol == PathProtocol::Tcp {
        return Some((ConnectionId(path.socket).socket(), Target::from(path.remote)));
    }
    let socket = sockets.get(path.socket as usize)?;
    Some((socket.id, branch::target(path.remote, socket.address.is_ipv6())))
}

fn end_reason(event: &TransportEvent) -> Option<EndReason> {
    match event {
        TransportEvent::Closed => Some(EndReason::Closed),
        TransportEvent::Failed(TransportFailure::Unreached) => Some(EndReason::Unreached),
        TransportEvent::Failed(TransportFailure::Unfinished) => Some(EndReason::Unfinished),
        TransportEvent::Failed(TransportFailure::Silent) => Some(EndReason::Silent),
        TransportEvent::Failed(TransportFailure::Fingerprint) => Some(EndReason::Fingerprint),
        TransportEvent::Failed(TransportFailure::Dtls(_)) => Some(EndReason::Dtls),
        _ => None,
    }
}
