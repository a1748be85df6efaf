//! Lost packets of sound, out of the redundancy (RFC 2198) of those that came: who gets the frames
//! without it misses none, and nobody has to ask for them.

use ringway_sfu::call::prepared::Prepared;
use ringway_sfu::call::repairs::Came;
use ringway_wire::payload::{Codec, red};
use ringway_wire::rtp::RtpView;

use super::Calls;
use super::ingress::PADDING;
use super::stream::{Kept, Queued};
use crate::clock::Now;
use crate::slab::SlotId;

/// RTP header, the header of a single block, and the longest block that RFC 2198 can tell.
const MOST_BYTES: usize = 12 + 1 + 1023;

/// A packet behind a gap.
#[derive(Clone, Copy, Debug)]
pub(super) struct Behind {
    sequence: u16,
    /// How many packets before it did not come.
    lost: usize,
    kernel_ns: u64,
}

impl Behind {
    /// Such a packet, if it may repeat what is lost.
    pub(super) fn of(prepared: &Prepared, format: (Codec, u32), kernel_ns: u64) -> Option<Self> {
        let lost = usize::from(prepared.ahead).checked_sub(1).filter(|lost| *lost > 0)?;
        let sequence = prepared.sequence;
        (format.0 == Codec::Red).then_some(Self { sequence, lost, kernel_ns })
    }
}

impl Calls {
    /// Makes up for packets that are lost before one of layer `layer`, as far as it repeats them.
    /// What a sender repeats are its last packets: the newest block is the packet before. Of sound
    /// that is encrypted between its ends only the first octet means what it says.
    pub(super) fn make_up(
        &mut self,
        now: Now,
        session: SlotId,
        stream: SlotId,
        layer: u8,
        behind: Behind,
    ) {
        if self.streams.get(stream).is_none_or(|stream| stream.encrypted) {
            return;
        }
        let mut frames = [0; MOST_BYTES];
        let mut number = 0;
        while let Some(len) = self.repeated(session, stream, layer, behind, number, &mut frames) {
            number += 1;
            if len > 0 {
                let from = (session, stream, layer);
                self.put_back(now, from, behind.kernel_ns, &mut frames[..len]);
            }
        }
    }

    /// Writes the lost packet that block `number` repeats, the oldest first; its length, 0 where it
    /// was not lost or is no sound, `None` behind the last block.
    fn repeated(
        &self,
        session: SlotId,
        stream: SlotId,
        layer: u8,
        behind: Behind,
        number: usize,
        out: &mut [u8; MOST_BYTES],
    ) -> Option<usize> {
        let formats = &self.sessions.get(session)?.formats;
        let bytes = self.streams.get(stream)?.kept(&self.pool, layer, behind.sequence)?;
        let view = RtpView::parse(bytes).ok()?;
        let red = red::Red::parse(view.payload())?;
        let block = red.redundant().nth(number)?;
        let before = red.redundant().count() - number;
        let sound = matches!(formats.media(block.payload_type), Some((Codec::Opus, _)));
        let frame = view.payload().get(block.range.clone()).unwrap_or_default();
        if before > behind.lost || !sound || frame.is_empty() || block.timestamp_offset == 0 {
            return Some(0);
        }
        let timestamp = view.timestamp().wrapping_sub(block.timestamp_offset.into());
        let mut len = 0;
        for part in [
            &[0x80, view.payload_type()][..],
            &behind.sequence.wrapping_sub(before as u16).to_be_bytes(),
            &timestamp.to_be_bytes(),
            &view.ssrc().to_be_bytes(),
            // RFC 2198 section 3: one block, and it is the last.
            &[block.payload_type],
            frame,
        ] {
            out.get_mut(len..len + part.len())?.copy_from_slice(part);
            len += part.len();
        }
        Some(len)
    }

    /// Lets a packet that was made up go where one goes that was sent again; `None` where it goes
    /// no further. It is from a session, a stream of it and a layer of that.
    pub(super) fn put_back(
        &mut self,
        now: Now,
        (session, id, layer): (SlotId, SlotId, u8),
        kernel_ns: u64,
        packet: &mut [u8],
    ) -> Option<()> {
        let session = self.sessions.get(session)?;
        let stream = self.streams.get_mut(id)?;
        let view = RtpView::parse(packet).ok()?;
        let (format, feedback) = (
            session.formats.media(view.payload_type())?,
            session.formats.feedback(view.payload_type()),
        );
        let (source, extensions) = (&mut stream.source, &session.extensions);
        let prepared = source.prepare(now.mono_ns, layer, &view, extensions, format, true);
        // Known already: it came in another order.
        let (prepared, news) = prepared.ok()?;
        let came = Came::of(&view, false);
        let kept = packet.get_mut(..prepared.payload().end)?;
        // What is kept ends where any padding began.
        kept[0] &= !PADDING;
        let sequence = prepared.sequence;
        stream.expect(now.mono_ns, layer, sequence, feedback);
        if !stream.keep(now.mono_ns, layer, sequence, Kept::Copied(kept), &mut self.pool) {
            return None;
        }
        let packet = Queued { prepared, layer, kernel_ns, sent: 0, padding: 0 };
        self.note(id, &packet, came);
        self.hand_over(id, &packet, true);
        self.queue(id, packet, news);
        Some(())
    }
}
