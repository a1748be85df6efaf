//! Silence and black for receivers whose source fell silent or whose subscription ended, and for
//! those who learn of a track by packets alone.

use ringway_abi::call::TRAILER_BYTES;
use ringway_sfu::call::blank::{BlankKind, MAX_BLANK_BYTES, MAX_TRAILER_BYTES};
use ringway_sfu::call::dress::Dress;
use ringway_wire::extension_value::abs_send_time;
use ringway_wire::head::HeadFields;
use ringway_wire::payload::Codec;

use super::outlet::{HEAD_BYTES, Sending, stamp};
use super::stream::Stream;
use super::subscription::Subscription;
use super::{Calls, MAX_DATAGRAM_BYTES};
use crate::clock::Now;
use crate::egress::Batch;
use crate::shard::Counters;
use crate::slab::SlotId;

const _: () = assert!(TRAILER_BYTES <= MAX_TRAILER_BYTES);

impl Calls {
    /// Finds out which blanks are due, and lets subscriptions go that had their last one.
    pub(super) fn keep_fading(&mut self, now: Now) {
        let mut fading = std::mem::take(&mut self.fading);
        fading.retain(|id| {
            let Some(subscription) = self.subscriptions.get(*id) else { return false };
            match subscription.route.blank_deadline() {
                Some(at_ns) => {
                    if at_ns <= now.mono_ns {
                        self.due.push(*id);
                    }
                    self.due_ns = self.due_ns.min(at_ns);
                    true
                }
                None => {
                    if subscription.ending {
                        self.remove_subscription(*id);
                    }
                    false
                }
            }
        });
        self.fading = fading;
    }

    /// Sends the blanks that are due; `false` when the batch is full.
    pub(super) fn send_blanks(
        &mut self,
        now: Now,
        batch: &mut Batch,
        counters: &mut Counters,
    ) -> bool {
        while let Some(id) = self.due.last().copied() {
            if !batch.has_room(1, 1, MAX_DATAGRAM_BYTES) {
                return false;
            }
            self.due.pop();
            self.send_blank(now, id, batch, counters);
        }
        true
    }

    fn send_blank(
        &mut self,
        now: Now,
        id: SlotId,
        batch: &mut Batch,
        counters: &mut Counters,
    ) -> Option<()> {
        let subscription = self.subscriptions.get_mut(id)?;
        let session = self.sessions.get_mut(subscription.session)?;
        let (socket, to) = session.target?;
        let (kind, sent, shape) = subscription.route.poll_blank(now.mono_ns)?;
        let mut body = [0; MAX_BLANK_BYTES];
        let len = kind.write(&sent, shape, session.trailer.as_bytes(), &mut body);
        let red = subscription.dress.red_payload_type.filter(|_| kind.is_red());
        let fields = HeadFields {
            marker: subscription.video && sent.marker,
            payload_type: red.unwrap_or(subscription.dress.payload_type),
            sequence: sent.sequence,
            timestamp: sent.timestamp,
            ssrc: subscription.dress.ssrc,
            padding: kind == BlankKind::Padding,
        };
        let stamp_time = abs_send_time(now.unix_ns);
        let stamp = stamp(session, subscription.video, stamp_time, len);
        let index = subscription.index(sent.sequence);
        let mut packet = [0; HEAD_BYTES + MAX_BLANK_BYTES];
        let mut dress = subscription.dress;
        if subscription.ending {
            // Its section may be another's for the receiver by now: only the SSRC, which is nobody
            // else's, says whose it is.
            dress.mid = None;
        }
        let written =
            dress.write_bare(&fields, &session.extensions, &stamp, &body[..len], &mut packet)?;
        let mut sending = Sending { now, stamp_time, batch, counters, pool: &self.pool };
        let piece = sending.seal_whole(session, index, &packet[..written])?;
        sending.push_single(piece, socket, to);
        Some(())
    }
}

/// What takes away the last sound or picture of a source.
pub(super) fn blank_kind(stream: &Stream) -> Option<BlankKind> {
    match stream.source.codec()? {
        // It goes out under the payload type of Opus, also to those who get RED.
        Codec::Opus | Codec::Red => Some(BlankKind::Opus { inside_red: None }),
        Codec::Pcmu => Some(BlankKind::Pcmu),
        Codec::Pcma => Some(BlankKind::Pcma),
        Codec::Vp8 => Some(BlankKind::Vp8),
        Codec::H264 => Some(BlankKind::H264),
        _ => None,
    }
}

/// What fills a pause. Pictures may stand: clients cover them, and whoever looks at the frames
/// themselves would take black of another size for the publisher's.
pub(super) fn silence(stream: &Stream) -> Option<BlankKind> {
    blank_kind(stream).filter(|kind| kind.is_silence())
}

/// What a receiver gets that learns of a track by packets: of the payload type that it will get,
/// for that is what it makes its decoder by.
pub(super) fn announcement(codec: Codec, subscription: &Subscription) -> BlankKind {
    match codec {
        Codec::Opus | Codec::Red => {
            let Dress { payload_type, red_payload_type, .. } = subscription.dress;
            BlankKind::Opus { inside_red: red_payload_type.map(|_| payload_type) }
        }
        Codec::Pcmu => BlankKind::Pcmu,
        Codec::Pcma => BlankKind::Pcma,
        Codec::Vp8 | Codec::Vp9 | Codec::H264 | Codec::H265 | Codec::Av1 => BlankKind::Padding,
    }
}
