//! What peers report: loss to be repaired, key frames wanted, clocks, bandwidth.

use ringway_sfu::report::SourceReport;
use ringway_wire::rtcp::write::{write_fir, write_pli};
use ringway_wire::rtcp::{Compound, FirEntry, Packet, Pli, ReportBlock};

use super::Calls;
use crate::clock::Now;
use crate::slab::SlotId;

/// Packets that one datagram of feedback may have sent again. Raised, a forged or broken receiver
/// takes more of the path; lowered, a burst of loss takes several rounds to repair.
const MAX_RESENDS: usize = 64;
/// Packets that all subscribers together may want again in one turn.
const MAX_WANTED: usize = 4_096;

impl Calls {
    /// Takes the RTCP of one datagram from a peer, which the kernel had at `arrival_ns`: reports
    /// wait for a look at their socket.
    pub(super) fn handle_rtcp(&mut self, now: Now, id: SlotId, arrival_ns: u64, rtcp: &[u8]) {
        let Ok(compound) = Compound::parse(rtcp) else { return };
        let mut resends = 0;
        for packet in compound.packets() {
            match packet {
                Packet::SenderReport(report, blocks) => {
                    let report = SourceReport {
                        ssrc: report.ssrc,
                        ntp: report.ntp,
                        timestamp: report.rtp_timestamp,
                        at_ns: arrival_ns,
                    };
                    self.handle_sender_report(id, report);
                    blocks.iter().for_each(|block| self.handle_block(arrival_ns, id, &block));
                }
                Packet::ReceiverReport(_, blocks) => {
                    blocks.iter().for_each(|block| self.handle_block(arrival_ns, id, &block));
                }
                Packet::Pli(pli) => self.handle_key_frame_wish(now, id, pli.media_ssrc),
                Packet::Fir(fir) => {
                    for entry in fir.entries() {
                        self.handle_key_frame_wish(now, id, entry.ssrc);
                    }
                }
                Packet::Nack(nack) => {
                    let route = self.sessions.get(id).and_then(|s| s.route(nack.media_ssrc));
                    let Some(route) = route else { continue };
                    for sequence in nack.entries().flat_map(|entry| entry.sequences()) {
                        if resends < MAX_RESENDS && self.wanted.len() < MAX_WANTED {
                            resends += 1;
                            self.wanted.push((route, sequence));
                        }
                    }
                }
                Packet::Remb(remb) => {
                    if let Some(session) = self.sessions.get_mut(id) {
                        session.cap.handle_remb(now.mono_ns, remb.bitrate_bps);
                    }
                }
                Packet::Twcc(twcc) => {
                    if let Some(session) = self.sessions.get_mut(id) {
                        session.cap.handle_twcc(now.mono_ns, &twcc);
                    }
                }
                Packet::Extended(report) => self.handle_extended(now, id, arrival_ns, &report),
                _ => {}
            }
        }
    }

    fn handle_sender_report(&mut self, id: SlotId, report: SourceReport) {
        let Some(session) = self.sessions.get(id) else { return };
        let Some(binding) = session.demux.get(report.ssrc) else { return };
        let stream_id = SlotId::from_bits(binding.source.0);
        let Some(stream) = self.streams.get_mut(stream_id) else { return };
        stream.report = stream.source.handle_report(report);
        if stream.report.is_some() && !std::mem::replace(&mut stream.touched, true) {
            self.touched.push(stream_id);
        }
        self.tell_report(stream_id, report);
    }

    fn handle_block(&mut self, arrival_ns: u64, id: SlotId, block: &ReportBlock) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        let Some(route) = session.route(block.ssrc) else { return };
        let Some(subscription) = self.subscriptions.get_mut(route) else { return };
        subscription.answers.handle_report(arrival_ns, block);
        if let Some(playout) = &mut subscription.playout {
            playout.handle_report(arrival_ns, block);
        }
        if let Some(trip_ns) = subscription.answers.round_trip_ns() {
            session.note_round_trip(trip_ns);
        }
    }

    fn handle_key_frame_wish(&mut self, now: Now, id: SlotId, ssrc: u32) {
        let Some(route) = self.sessions.get(id).and_then(|session| session.route(ssrc)) else {
            return;
        };
        let Some(subscription) = self.subscriptions.get(route) else { return };
        let stream = subscription.stream;
        if let Some(layer) = subscription.route.key_frame_layer() {
            self.ask_key_frame(now, stream, layer);
        }
    }

    /// Asks the publisher for a key frame of a layer, in the way that it knows, unless that was
    /// done just now.
    pub(super) fn ask_key_frame(&mut self, now: Now, stream_id: SlotId, layer: u8) {
        let Some(stream) = self.streams.get_mut(stream_id) else { return };
        if stream.mirrored.is_some() {
            return self.wish_key_frame(now, stream_id, layer);
        }
        let id = stream.session;
        let Some(session) = self.sessions.get_mut(id) else { return };
        let Some(store) = stream.stores.get_mut(usize::from(layer)) else { return };
        let feedback = store.feedback;
        if !(feedback.pli || feedback.fir) {
            return;
        }
        let Some(media_ssrc) = stream.source.ask_key_frame(now.mono_ns, layer) else { return };
        let sender_ssrc = session.ssrc;
        if feedback.pli {
            session.put_rtcp(|out| write_pli(out, &Pli { sender_ssrc, media_ssrc }));
        } else {
            // RFC 5104 4.3.1.2: a new request has a new number.
            store.full_intra_requests = store.full_intra_requests.wrapping_add(1);
            let entry = FirEntry { ssrc: media_ssrc, sequence: store.full_intra_requests };
            session.put_rtcp(|out| write_fir(out, sender_ssrc, &[entry]));
        }
        self.mark_dirty(id);
    }
}
