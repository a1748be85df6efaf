//! FlexFEC: a repair that is read keeps its bounds, and what is recovered was missing alone.

use std::collections::HashSet;

use ringway_sfu::call::prepared::StreamId;
use ringway_sfu::call::repairs::{Came, MAX_REPAIRS, Repairs};
use ringway_wire::RtpView;
use ringway_wire::extension::Located;
use ringway_wire::flexfec::{MAX_PROTECTED, Repair};

/// Steps of one input.
const STEPS: usize = 400;

/// Takes `data` for packets and repairs, each behind an octet that tells its length and one that
/// tells what it is.
pub fn flexfec(data: &[u8]) {
    let mut layer = Layer::default();
    let mut rest = data;
    for id in 0..STEPS as u16 {
        let Some((&[len, kind], after)) = rest.split_first_chunk() else { break };
        let (bytes, after) = after.split_at(usize::from(len).min(after.len()));
        rest = after;
        let sequence = u16::from(kind >> 2);
        match kind % 4 {
            0 => layer.come(sequence, Came::Whole(len)),
            1 => layer.come(sequence, Came::Otherwise),
            2 => {
                layer.epoch += 1;
                layer.there.clear();
                layer.come(sequence, Came::Whole(len));
            }
            _ => read(&mut layer.repairs, id, bytes),
        }
        while let Some(lost) = layer.repairs.poll() {
            assert!(lost.others().all(|other| layer.there.contains(&other)));
            assert!(!layer.there.contains(&lost.sequence), "{lost:?} was there");
            layer.come(lost.sequence, Came::Whole(0));
        }
        assert!(layer.repairs.waiting() <= MAX_REPAIRS);
    }
}

/// A layer whose packets are lost in part.
#[derive(Default)]
struct Layer {
    repairs: Repairs,
    epoch: u32,
    /// What came as it was protected, or was recovered.
    there: HashSet<u16>,
}

impl Layer {
    /// A packet comes, but none twice; the first of a numbering in any case.
    fn come(&mut self, sequence: u16, came: Came) {
        let stream = StreamId::new(0, self.epoch);
        let known = self.there.contains(&sequence) || self.repairs.came(sequence) != Came::No;
        if known && !self.there.is_empty() {
            return;
        }
        if came != Came::Otherwise {
            self.there.insert(sequence);
        }
        self.repairs.handle_packet(stream, sequence, came);
    }
}

fn read(repairs: &mut Repairs, id: u16, bytes: &[u8]) {
    let Ok(repair) = Repair::parse(bytes) else { return };
    assert!(repair.mask != 0 && repair.mask >> MAX_PROTECTED == 0);
    repairs.handle_repair(id, repair.base, repair.mask);
    let mut out = [0; 300];
    let mut recovery = repair.begin(&mut out).expect("room");
    // As if the octets themselves were a packet that was protected.
    let mut packet = [&[0x80; 12], bytes].concat();
    packet[0] |= repair.mask as u8 & 0x10;
    if let Ok(view) = RtpView::parse(&packet) {
        let _ = recovery.add(&view, &Located::default(), id as u8);
    }
    if let Some(len) = recovery.end(repair.ssrc, id) {
        let view = RtpView::parse(&out[..len]).expect("RTP");
        assert_eq!((view.ssrc(), view.sequence()), (repair.ssrc, id));
    }
}
