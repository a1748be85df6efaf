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
    let mut repairs = Repairs::default();
    let mut there = HashSet::new();
    let mut rest = data;
    for id in 0..STEPS as u16 {
        let Some((&[len, kind], after)) = rest.split_first_chunk() else { break };
        let (bytes, after) = after.split_at(usize::from(len).min(after.len()));
        rest = after;
        let sequence = u16::from(kind >> 2);
        match kind % 4 {
            0 => there.extend(come(&mut repairs, sequence, Came::Whole(len % 9), &there)),
            1 => drop(come(&mut repairs, sequence, Came::Otherwise, &there)),
            2 => repairs.handle_packet(StreamId::new(0, u32::from(len)), sequence, Came::No),
            _ => read(&mut repairs, id, bytes),
        }
        if kind % 4 == 2 {
            // Another numbering, or none of these came.
            there.clear();
            repairs.forget();
        }
        while let Some(lost) = repairs.poll() {
            assert!(lost.others().all(|other| there.contains(&other)));
            assert!(there.insert(lost.sequence), "{lost:?} was there");
            repairs.handle_packet(StreamId::new(0, 0), lost.sequence, Came::Whole(0));
        }
        assert!(repairs.waiting() <= MAX_REPAIRS);
    }
}

/// A packet comes, unless it came before.
fn come(repairs: &mut Repairs, sequence: u16, came: Came, there: &HashSet<u16>) -> Option<u16> {
    let new = !there.contains(&sequence) && repairs.came(sequence) == Came::No;
    new.then(|| repairs.handle_packet(StreamId::new(0, 0), sequence, came))?;
    Some(sequence)
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
