//! Rows of records, and what becomes of them.

use super::*;

fn record(kind: u8, epoch: u16, sequence: u64, body: &[u8]) -> Vec<u8> {
    let mut record = vec![kind, 0xfe, 0xfd];
    record.extend_from_slice(&epoch.to_be_bytes());
    record.extend_from_slice(&sequence.to_be_bytes()[2..]);
    record.extend_from_slice(&u16::try_from(body.len()).expect("short").to_be_bytes());
    record.extend_from_slice(body);
    record
}

fn fragment(kind: u8, message_len: u32, number: u16, offset: u32, body: &[u8]) -> Vec<u8> {
    let mut fragment = vec![kind];
    fragment.extend_from_slice(&message_len.to_be_bytes()[1..]);
    fragment.extend_from_slice(&number.to_be_bytes());
    fragment.extend_from_slice(&offset.to_be_bytes()[1..]);
    let len = u32::try_from(body.len()).expect("short");
    fragment.extend_from_slice(&len.to_be_bytes()[1..]);
    fragment.extend_from_slice(body);
    fragment
}

/// The record passes, or is dropped for this reason.
fn check(role: Role, phase: Phase, datagram: &[u8], expect: Result<(), Drop>) {
    let mut filter = Filter::new(role);
    filter.phase = phase;
    let (mut out, mut drops) = (Vec::new(), DropCounts::default());
    filter.admit(datagram, &mut out, &mut drops);
    let what = format!("{role:?} {phase:?} {datagram:02x?}");
    match expect {
        Ok(()) => assert_eq!((drops.total(), out.len()), (0, datagram.len()), "{what}"),
        Err(reason) => {
            assert_eq!((drops.get(reason), drops.total(), out.len()), (1, 1, 0), "{what}");
        }
    }
}

#[test]
fn records_of_a_server() {
    use Phase::{Finished, Fresh, Underway};
    let hello = record(22, 0, 0, &fragment(1, 4, 0, 0, b"abcd"));
    let certificate = record(22, 0, 0, &fragment(11, 4, 1, 0, b"abcd"));
    let rows: &[(Phase, Vec<u8>, Result<(), Drop>)] = &[
        (Fresh, hello.clone(), Ok(())),
        (Underway, hello.clone(), Ok(())),
        (Finished, hello, Err(Drop::PlaintextAfterHandshake)),
        (Fresh, certificate.clone(), Err(Drop::Handshake)),
        (Underway, certificate, Ok(())),
        (Underway, record(22, 0, 0, &fragment(16, 1, 2, 0, b"a")), Ok(())),
        (Underway, record(22, 0, 0, &fragment(15, 1, 3, 0, b"a")), Ok(())),
        (Underway, record(22, 0, 0, &fragment(20, 1, 4, 0, b"a")), Err(Drop::Handshake)),
        (Underway, record(22, 0, 0, &fragment(11, 1, 2, 0, b"a")), Err(Drop::Handshake)),
        (Underway, record(21, 0, 0, &[2, 40]), Err(Drop::PlaintextAlert)),
        (Underway, record(23, 0, 0, b"data"), Err(Drop::PlaintextData)),
        (Underway, record(20, 0, 0, &[1]), Ok(())),
        (Underway, record(20, 0, 0, &[2]), Err(Drop::CipherChange)),
        (Underway, record(20, 0, 0, &[1, 1]), Err(Drop::CipherChange)),
        (Fresh, record(20, 0, 0, &[1]), Err(Drop::CipherChange)),
        (Fresh, record(23, 1, 0, b"sealed"), Err(Drop::TooEarly)),
        (Underway, record(22, 1, 0, b"sealed"), Ok(())),
        (Finished, record(23, 1, 0, b"sealed"), Ok(())),
        (Finished, record(21, 0, 0, &[2, 40]), Err(Drop::PlaintextAfterHandshake)),
        (Finished, record(24, 1, 0, b"heart"), Err(Drop::UnknownType)),
        (Fresh, record(19, 0, 0, b""), Err(Drop::UnknownType)),
    ];
    for (phase, datagram, expect) in rows {
        check(Role::Server, *phase, datagram, *expect);
    }
}

#[test]
fn fragments() {
    let rows: &[(Vec<u8>, Result<(), Drop>)] = &[
        (fragment(1, 10, 0, 6, b"abcd"), Ok(())),
        (fragment(1, 10, 0, 7, b"abcd"), Err(Drop::Handshake)),
        (fragment(1, 8192, 0, 0, b"a"), Ok(())),
        (fragment(1, 8193, 0, 0, b"a"), Err(Drop::Handshake)),
        (fragment(1, 0xff_ffff, 0, 0xff_ffff, b""), Err(Drop::Handshake)),
        (fragment(1, 10, 0, 0, b""), Err(Drop::Handshake)),
        (fragment(1, 10, 1, 0, b"a"), Err(Drop::Handshake)),
        (fragment(2, 10, 0, 0, b"a"), Err(Drop::Handshake)),
        (fragment(1, 10, 0, 0, b"a")[..12].to_vec(), Err(Drop::Handshake)),
        (fragment(1, 10, 0, 0, b"a")[..11].to_vec(), Err(Drop::Handshake)),
        (Vec::new(), Err(Drop::Handshake)),
        ([fragment(1, 10, 0, 0, b"a"), fragment(1, 10, 0, 1, b"b")].concat(), Ok(())),
        ([fragment(1, 10, 0, 0, b"a"), vec![0]].concat(), Err(Drop::Handshake)),
    ];
    for (body, expect) in rows {
        check(Role::Server, Phase::Fresh, &record(22, 0, 0, body), *expect);
    }
}

#[test]
fn records_of_a_client() {
    for (kind, number, expect) in [
        (2, 0, Ok(())),
        (3, 0, Ok(())),
        (14, 7, Ok(())),
        (14, 8, Err(Drop::Handshake)),
        (0, 1, Err(Drop::Handshake)),
        (1, 0, Err(Drop::Handshake)),
        (20, 6, Err(Drop::Handshake)),
    ] {
        let datagram = record(22, 0, 0, &fragment(kind, 1, number, 0, b"a"));
        check(Role::Client, Phase::Underway, &datagram, expect);
    }
}

#[test]
fn what_is_no_record_is_dropped() {
    let good = record(23, 1, 0, b"sealed");
    for len in 1..good.len() {
        check(Role::Server, Phase::Finished, &good[..len], Err(Drop::Malformed));
    }
    let mut other_version = good;
    other_version[1] = 3;
    check(Role::Server, Phase::Finished, &other_version, Err(Drop::Malformed));
    check(Role::Server, Phase::Finished, &[], Ok(()));
}

#[test]
fn a_bad_record_takes_no_other_with_it() {
    let (good, bad) = (record(22, 1, 9, b"sealed"), record(21, 0, 7, &[2, 40]));
    let mut filter = Filter::new(Role::Server);
    filter.phase = Phase::Underway;
    let (mut out, mut drops) = (Vec::new(), DropCounts::default());
    filter.admit(&[bad.clone(), good.clone(), bad].concat(), &mut out, &mut drops);
    assert_eq!(out, good);
    assert_eq!(drops.get(Drop::PlaintextAlert), 2);
    assert_eq!(filter.alert, Some(40));
}

#[test]
fn numbers_without_encryption_are_ours() {
    let mut filter = Filter::new(Role::Server);
    let mut out = Vec::new();
    for sequence in [0xffff_ffff_ffff, 0, 5] {
        let hello = record(22, 0, sequence, &fragment(1, 4, 0, 0, b"abcd"));
        filter.admit(&hello, &mut out, &mut DropCounts::default());
    }
    let expect: Vec<u8> = (0..3)
        .flat_map(|sequence| record(22, 0, sequence, &fragment(1, 4, 0, 0, b"abcd")))
        .collect();
    assert_eq!(out, expect);
}
