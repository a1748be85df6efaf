//! Messages of data channels between clients of a room.

use std::ops::Range;

use ringway_abi::call::{CallCommand, CallEvent, DataOpening, DataSpec, Text, data_rights};
use ringway_abi::counters::Counter;
use ringway_proto::sctp::{Association, Incoming, Label, Opening};

use crate::world::World;

pub(crate) const BOTH: u8 = data_rights::PUBLISH | data_rights::DELIVER;

/// A field of Protobuf with bytes.
fn field(number: u32, value: &[u8]) -> Vec<u8> {
    let tag = number << 3 | 2;
    let mut out = Vec::new();
    if tag >= 0x80 {
        out.extend_from_slice(&[tag as u8 | 0x80, (tag >> 7) as u8]);
    } else {
        out.push(tag as u8);
    }
    out.push(value.len() as u8);
    out.extend_from_slice(value);
    out
}

pub(crate) fn set(transport: u64, rights: u8, opening: DataOpening) -> [CallCommand; 2] {
    let text = |prefix: &str| format!("{prefix}{transport}");
    [
        CallCommand::NameData {
            transport,
            first: true,
            part: Text::new(text("member").as_bytes()).expect("short"),
        },
        CallCommand::SetData(DataSpec {
            transport,
            room: 9,
            sid: Text::new(text("PA_").as_bytes()).expect("short"),
            rights,
            opening,
            slow_bps: 0,
        }),
    ]
}

/// Lets a client have data channels too.
pub(crate) fn join(world: &mut World, key: u64, rights: u8, opening: DataOpening) {
    set(key, rights, opening).into_iter().for_each(|command| world.ask(command));
    let theirs = match opening {
        DataOpening::Client => Opening::Ours,
        DataOpening::Shard => Opening::Peer,
        DataOpening::Negotiated => Opening::Negotiated,
    };
    let now_ns = world.now.mono_ns;
    world.peer(key).data = Some(Association::new(now_ns, theirs));
    world.pass(50);
    let open = |label| world.peer(key).data.as_ref().is_some_and(|data| data.is_open(label));
    let mut open = open;
    assert!(open(Label::Reliable) && open(Label::Lossy), "{opening:?}");
}

pub(crate) fn send(world: &mut World, key: u64, label: Label, message: &[u8]) {
    let now_ns = world.now.mono_ns;
    let data = world.peer(key).data.as_mut().expect("data");
    data.send(now_ns, label, message, false).expect("room");
    world.pass(20);
}

pub(crate) fn take(world: &mut World, key: u64) -> Vec<Incoming> {
    std::mem::take(&mut world.peer(key).messages)
}

/// A chat message for everybody or one, of `from` as others must see it.
pub(crate) fn chat(to: Option<&str>) -> Vec<u8> {
    let mut message = field(9, b"hello");
    message.extend(to.iter().flat_map(|to| field(5, to.as_bytes())));
    message
}

/// The same as it must look that came over a channel.
pub(crate) fn passed(label: Label, mut message: Vec<u8>, from: u64) -> Vec<u8> {
    // Of which kind it is, unless that goes without saying.
    message.extend(if label == Label::Lossy { &[8, 1][..] } else { &[] });
    signed(message, from)
}

pub(crate) fn signed(mut message: Vec<u8>, from: u64) -> Vec<u8> {
    message.extend(field(4, format!("member{from}").as_bytes()));
    message.extend(field(17, format!("PA_{from}").as_bytes()));
    message
}

#[test]
fn everybody_or_whom_it_names_gets_it_with_its_true_sender() {
    let mut world = World::connected(3);
    let openings = [DataOpening::Client, DataOpening::Shard, DataOpening::Negotiated];
    for (key, opening) in (1..).zip(openings) {
        join(&mut world, key, BOTH, opening);
    }
    for label in [Label::Reliable, Label::Lossy] {
        let mut forged = field(4, b"member3");
        forged.extend(chat(None));
        send(&mut world, 1, label, &forged);
        let expect = Incoming { label, payload: passed(label, chat(None), 1) };
        assert_eq!(take(&mut world, 2), [expect]);
        assert_eq!(take(&mut world, 3).len(), 1);
        send(&mut world, 2, label, &chat(Some("member3")));
        assert_eq!(take(&mut world, 3).len(), 1);
        assert_eq!(take(&mut world, 1), []);
    }
}

/// What comes over a channel that is none of LiveKit's reaches the others as a user packet.
#[test]
fn a_channel_of_the_applications_own() {
    let mut world = World::connected(2);
    join(&mut world, 1, BOTH, DataOpening::Client);
    join(&mut world, 2, BOTH, DataOpening::Negotiated);
    world.peer(1).data.as_mut().expect("data").open_own();
    world.pass(50);
    send(&mut world, 1, Label::Own, b"raw");
    let mut sender = field(1, b"PA_1");
    sender.extend(field(5, b"member1"));
    let mut payload = signed(field(2, &field(2, b"raw")), 1);
    payload.extend(field(2, &sender));
    assert_eq!(take(&mut world, 2), [Incoming { label: Label::Reliable, payload }]);
    set(1, data_rights::DELIVER, DataOpening::Client).into_iter().for_each(|ask| world.ask(ask));
    send(&mut world, 1, Label::Own, b"more");
    assert_eq!((take(&mut world, 2), world.counters.get(Counter::DataForbidden)), (vec![], 1));
}

/// A client without signalling, as of WHIP, which opens its channels itself; without `all` none but
/// one of its own.
fn join_bare(world: &mut World, key: u64, all: bool) {
    let rights = BOTH | data_rights::BARE;
    set(key, rights, DataOpening::Client).into_iter().for_each(|command| world.ask(command));
    let theirs = if all { Opening::Ours } else { Opening::Negotiated };
    world.peer(key).data = Some(Association::new(world.now.mono_ns, theirs));
    world.pass(50);
}

fn open_own(world: &mut World, key: u64) {
    world.peer(key).data.as_mut().expect("data").open_own();
    world.pass(50);
}

/// A user packet for everybody or one.
fn user(bytes: &[u8], to: Option<&str>) -> Vec<u8> {
    let mut message = field(2, &[field(2, bytes), field(4, b"topic")].concat());
    message.extend(to.iter().flat_map(|to| field(5, to.as_bytes())));
    message
}

#[test]
fn who_has_no_signalling_gets_bytes_over_its_own_channel_and_the_rest_over_livekits() {
    let mut world = World::connected(3);
    join(&mut world, 1, BOTH, DataOpening::Client);
    join_bare(&mut world, 2, true);
    join_bare(&mut world, 3, false);
    let own = |bytes: &[u8]| Incoming { label: Label::Own, payload: bytes.to_vec() };
    // Without a channel of its own it speaks LiveKit's protocol, if it has its channels.
    send(&mut world, 1, Label::Lossy, &user(b"early", None));
    let [Incoming { label: Label::Lossy, payload }] = &take(&mut world, 2)[..] else { panic!() };
    assert!(payload.starts_with(&user(b"early", None)) && take(&mut world, 3).is_empty());
    for key in [2, 3] {
        open_own(&mut world, key);
    }
    for (label, to, expect) in [
        (Label::Reliable, None, [1, 1]),
        (Label::Lossy, None, [1, 1]),
        (Label::Reliable, Some("member3"), [0, 1]),
        (Label::Reliable, Some("member2"), [1, 0]),
    ] {
        for bytes in [&b"words"[..], b""] {
            send(&mut world, 1, label, &user(bytes, to));
            for (key, count) in [2, 3].into_iter().zip(expect) {
                let expect: Vec<Incoming> = (0..count).map(|_| own(bytes)).collect();
                assert_eq!(take(&mut world, key), expect, "{key} {to:?}");
            }
        }
    }
    send(&mut world, 1, Label::Reliable, &chat(None));
    let whole =
        Incoming { label: Label::Reliable, payload: passed(Label::Reliable, chat(None), 1) };
    assert_eq!((take(&mut world, 2), take(&mut world, 3)), (vec![whole], vec![]));
    // Two of them.
    send(&mut world, 2, Label::Own, b"from one to the other");
    assert_eq!(take(&mut world, 3), [own(b"from one to the other")]);
    assert_eq!(take(&mut world, 1).len(), 1);
    assert_eq!(world.counters.get(Counter::DataSlow), 0);
}

#[test]
fn who_opens_its_own_channel_late_gets_what_was_said_since_it_joined() {
    let mut world = World::connected(2);
    join(&mut world, 1, BOTH, DataOpening::Client);
    send(&mut world, 1, Label::Reliable, &user(b"before", None));
    join_bare(&mut world, 2, false);
    send(&mut world, 1, Label::Reliable, &user(b"since", None));
    send(&mut world, 1, Label::Reliable, &chat(None));
    assert_eq!(take(&mut world, 2), []);
    open_own(&mut world, 2);
    let expect = Incoming { label: Label::Own, payload: b"since".to_vec() };
    assert_eq!(take(&mut world, 2), [expect]);
}

#[test]
fn what_is_not_allowed_or_not_well_formed_goes_nowhere() {
    let mut world = World::connected(2);
    join(&mut world, 1, data_rights::DELIVER, DataOpening::Client);
    join(&mut world, 2, BOTH, DataOpening::Client);
    send(&mut world, 1, Label::Reliable, &chat(None));
    send(&mut world, 2, Label::Reliable, &field(7, b"words of no agent"));
    send(&mut world, 2, Label::Reliable, &[0xff; 40]);
    send(&mut world, 2, Label::Reliable, &field(8, b"measurements for nobody"));
    assert!(take(&mut world, 1).is_empty() && take(&mut world, 2).is_empty());
    assert_eq!(world.counters.get(Counter::DataForbidden), 2);
    assert_eq!(world.counters.get(Counter::DataMalformed), 1);
    set(1, BOTH, DataOpening::Client).into_iter().for_each(|command| world.ask(command));
    send(&mut world, 1, Label::Reliable, &chat(None));
    assert_eq!(take(&mut world, 2).len(), 1);
}

#[test]
fn a_message_is_at_most_64_kib() {
    let mut world = World::connected(2);
    for key in 1..=2 {
        join(&mut world, key, BOTH, DataOpening::Client);
    }
    for (length, passed) in [(65_536, 1), (65_537, 0)] {
        // A line of chat: a tag, its length in three octets, the rest.
        let rest = length - 4;
        let mut message = vec![9 << 3 | 2, rest as u8 | 0x80, (rest >> 7) as u8 | 0x80];
        message.push((rest >> 14) as u8);
        message.resize(length, 7);
        send(&mut world, 1, Label::Reliable, &message);
        world.pass(200);
        assert_eq!(take(&mut world, 2).len(), passed, "{length}");
    }
    assert_eq!(world.counters.get(Counter::DataMalformed), 1);
}

#[test]
fn who_comes_back_gets_what_it_has_missed() {
    let mut world = World::connected(2);
    for key in 1..=2 {
        join(&mut world, key, BOTH, DataOpening::Client);
    }
    for sequence in [1, 2, 2, 3] {
        // With the true sender in it, it is in two parts.
        let mut message = field(2, &field(2, b"hello"));
        message.extend([0x80, 1, sequence]);
        send(&mut world, 1, Label::Reliable, &message);
    }
    assert_eq!(take(&mut world, 2).len(), 3, "a number counts once");
    assert_eq!(world.counters.get(Counter::DataRepeated), 1);
    let publisher = Text::new(b"PA_1").expect("short");
    world.ask(CallCommand::ReplayData { transport: 2, publisher, after: 1 });
    world.pass(20);
    assert_eq!(take(&mut world, 2).len(), 2);
    world.pass(11_000);
    world.ask(CallCommand::ReplayData { transport: 2, publisher, after: 1 });
    world.pass(20);
    assert_eq!(take(&mut world, 2), [], "nothing is kept for ever");
}

#[test]
fn who_opens_its_channels_late_gets_what_was_said_since_it_joined() {
    let mut world = World::connected(2);
    join(&mut world, 1, BOTH, DataOpening::Client);
    send(&mut world, 1, Label::Reliable, &field(9, b"before"));
    set(2, BOTH, DataOpening::Client).into_iter().for_each(|command| world.ask(command));
    send(&mut world, 1, Label::Reliable, &field(9, b"since"));
    join(&mut world, 2, BOTH, DataOpening::Client);
    let payload = signed(field(9, b"since"), 1);
    assert_eq!(take(&mut world, 2), [Incoming { label: Label::Reliable, payload }]);
}

#[test]
fn a_receiver_that_reads_nothing_stalls_nobody() {
    let mut world = World::connected(3);
    for key in 1..=3 {
        join(&mut world, key, BOTH, DataOpening::Client);
    }
    // It still answers checks, but its data channels are dead.
    world.peer(3).data = None;
    let mut message = field(9, &[7; 120]);
    message.extend((0..8).flat_map(|_| field(40, &[1; 100])));
    let mut got = 0;
    for _ in 0..1_500 {
        send(&mut world, 1, Label::Reliable, &message);
        got += take(&mut world, 2).len();
    }
    assert_eq!(got, 1_500);
    assert!(world.counters.get(Counter::DataSlow) > 0, "what waits for it is bounded");
}

/// Two kilobytes of chat, to one or to all, that say which they are.
fn page(to: Option<&str>, number: u16) -> Vec<u8> {
    let mut page = field(9, &number.to_be_bytes());
    if let Some(to) = to {
        page.extend(field(5, to.as_bytes()));
    }
    page.extend((0..16).flat_map(|_| field(40, &[1; 125])));
    page
}

/// Which pages a client has got.
pub(crate) fn pages(world: &mut World, key: u64) -> Vec<u16> {
    let number = |one: Incoming| {
        let at = one.payload.windows(2).position(|two| two == [9 << 3 | 2, 2]).expect("a page");
        u16::from_be_bytes([one.payload[at + 2], one.payload[at + 3]])
    };
    take(world, key).into_iter().map(number).collect()
}

/// Client 1 sends pages up to `end` as long as it has room for them itself; 10 ms pass.
fn push(world: &mut World, pages: &mut Range<u16>) {
    push_to(world, None, pages);
    world.pass(10);
}

/// Client 1 sends pages up to `end` to a client or to all, as long as it has room for them itself.
pub(crate) fn push_to(world: &mut World, to: Option<&str>, pages: &mut Range<u16>) {
    let now_ns = world.now.mono_ns;
    let data = world.peer(1).data.as_mut().expect("channels");
    while pages.start < pages.end
        && data.send(now_ns, Label::Reliable, &page(to, pages.start), true).is_ok()
    {
        pages.start += 1;
    }
}

/// A client takes nothing that comes to it any more, or what has come and will.
pub(crate) fn halt(world: &mut World, key: u64, halted: bool) {
    let peer = world.peer(key);
    let data = peer.data.as_mut().expect("channels");
    data.hold(halted);
    peer.messages.extend(std::iter::from_fn(|| data.poll_message()));
}

#[test]
fn who_sends_to_one_that_is_slow_waits_and_nothing_is_lost() {
    let mut world = World::connected(3);
    for key in 1..=2 {
        join(&mut world, key, BOTH, DataOpening::Client);
    }
    // It may have data, but has opened no channel: it is no reason to hurry.
    join_bare(&mut world, 3, false);
    let (mut rest, mut got) = (0..20_000, Vec::new());
    halt(&mut world, 2, true);
    (0..100).for_each(|_| push(&mut world, &mut rest));
    let received = world.counters.get(Counter::DataReceived);
    assert!((4_000..5_000).contains(&received), "{received} wait here, the rest with their sender");
    assert!(world.counters.get(Counter::DataHeld) > 0 && rest.start < 15_000, "{rest:?}");
    while got.len() < 20_000 && world.now.mono_ns < 120_000_000_000 {
        // It takes some now and then.
        halt(&mut world, 2, false);
        world.pass(10);
        halt(&mut world, 2, true);
        push(&mut world, &mut rest);
        got.extend(pages(&mut world, 2));
    }
    assert!(got.iter().copied().eq(0..20_000), "{}", got.len());
    assert_eq!(world.counters.get(Counter::DataSlow), 0);
}

#[test]
fn nobody_waits_for_one_that_is_slow_where_another_is_not_nor_for_the_dead() {
    let mut world = World::connected(3);
    for key in 1..=3 {
        join(&mut world, key, BOTH, DataOpening::Client);
    }
    let send = |world: &mut World, count, times| {
        let mut rest = 0..count;
        (0..times).for_each(|_| push(world, &mut rest));
        assert_eq!(rest.start, count);
    };
    halt(&mut world, 2, true);
    send(&mut world, 8_000, 300);
    assert!(pages(&mut world, 3).into_iter().eq(0..8_000));
    // The other one goes, and who is left acknowledges nothing.
    world.ask(CallCommand::CloseTransport { transport: 3 });
    world.peer(2).data = None;
    send(&mut world, 8_000, 1_000);
    assert_eq!(world.counters.get(Counter::DataReceived), 16_000);
}

#[test]
fn where_the_operator_says_so_senders_wait_for_all_that_are_fast_enough() {
    for (slow_bps, waits) in [(1_000_000, true), (100_000_000, false)] {
        let mut world = World::connected(3);
        for key in 1..=3 {
            join(&mut world, key, BOTH, DataOpening::Client);
            let [_, CallCommand::SetData(spec)] = set(key, BOTH, DataOpening::Client) else {
                panic!("the second is what sets it");
            };
            world.ask(CallCommand::SetData(DataSpec { slow_bps, ..spec }));
        }
        let (mut rest, mut got, mut fast) = (0..20_000, Vec::new(), Vec::new());
        let end_ns = world.now.mono_ns + 100_000_000_000;
        let lacks = |got: &[u16]| got.len() < 20_000;
        while (lacks(&fast) || waits && lacks(&got)) && world.now.mono_ns < end_ns {
            // The second takes a window of 1 MB in 100 ms at most: about 80 Mbit/s.
            halt(&mut world, 2, false);
            halt(&mut world, 2, true);
            (0..10).for_each(|_| push(&mut world, &mut rest));
            got.extend(pages(&mut world, 2));
            fast.extend(pages(&mut world, 3));
        }
        let lost = world.counters.get(Counter::DataSlow);
        assert_eq!((rest.start, lost == 0), (20_000, waits), "{slow_bps}: {lost}");
        assert!(!waits || got.iter().copied().eq(0..20_000), "{}", got.len());
        assert!(fast.iter().copied().eq(0..20_000), "{}", fast.len());
    }
}

/// A packet of a data track.
pub(crate) fn frame(handle: u16, payload: &[u8]) -> Vec<u8> {
    let [high, low] = handle.to_be_bytes();
    [&[0x18, 0, high, low, 0, 1, 0, 1, 0, 0, 0, 9][..], payload].concat()
}

#[test]
fn packets_of_a_data_track_reach_those_who_subscribe_under_their_own_handles() {
    let mut world = World::connected(3);
    for key in 1..=3 {
        join(&mut world, key, BOTH, DataOpening::Client);
    }
    let track = 77;
    let route =
        |transport, handle, track| CallCommand::SetDataRoute { transport, handle, track, home: 0 };
    world.ask(route(2, 5, track));
    world.ask(CallCommand::SetDataTrack { transport: 1, handle: 1, track });
    world.ask(route(3, 0xfffe, track));
    let got = |world: &mut World, key| take(world, key).into_iter().map(|one| one.payload);
    send(&mut world, 1, Label::DataTrack, &frame(1, b"one"));
    assert!(got(&mut world, 2).eq([frame(5, b"one")]));
    assert!(got(&mut world, 3).eq([frame(0xfffe, b"one")]));
    // Of another name, of somebody else, of no form.
    send(&mut world, 1, Label::DataTrack, &frame(2, b""));
    send(&mut world, 2, Label::DataTrack, &frame(1, b""));
    send(&mut world, 1, Label::DataTrack, b"short");
    assert_eq!(world.counters.get(Counter::DataNoTrack), 2);
    assert_eq!(world.counters.get(Counter::DataMalformed), 1);
    // Another handle, then none; the track changes its name.
    world.ask(route(2, 5, 0));
    world.ask(route(2, 6, track));
    world.ask(route(3, 0xfffe, 0));
    world.ask(CallCommand::SetDataTrack { transport: 1, handle: 2, track });
    world.ask(CallCommand::SetDataTrack { transport: 1, handle: 1, track: 0 });
    send(&mut world, 1, Label::DataTrack, &frame(2, b"two"));
    assert!(got(&mut world, 2).eq([frame(6, b"two")]));
    assert_eq!(take(&mut world, 3), []);
    // Who may not send data may not send this.
    let forbid = set(1, data_rights::DELIVER, DataOpening::Client);
    forbid.into_iter().for_each(|command| world.ask(command));
    send(&mut world, 1, Label::DataTrack, &frame(2, b"three"));
    assert_eq!(take(&mut world, 2), []);
    assert_eq!(world.counters.get(Counter::DataForbidden), 1);
}

#[test]
fn the_control_plane_hears_how_far_a_client_was_heard() {
    let mut world = World::connected(2);
    for key in 1..=2 {
        join(&mut world, key, BOTH, DataOpening::Client);
    }
    for sequence in [1, 2, 7] {
        let mut message = chat(None);
        message.extend([0x80, 1, sequence]);
        send(&mut world, 1, Label::Reliable, &message);
    }
    world.pass(400);
    let heard = |event: &CallEvent| match event {
        CallEvent::DataHeard { transport, sequence } => Some((*transport, *sequence)),
        _ => None,
    };
    let all: Vec<_> = world.events.iter().filter_map(heard).collect();
    assert_eq!(all.last(), Some(&(1, 7)), "{all:?}");
}
