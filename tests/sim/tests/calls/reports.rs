//! RTCP of the server as peers must get it. That each datagram is a compound with a name, unless
//! its receiver takes others, is judged wherever peers receive one.

use std::cell::RefCell;

use ringway_abi::call::CallCommand;
use ringway_sim::calls::frame::Coding;
use ringway_sim::calls::meeting::Meeting;
use ringway_sim::calls::rtcp::judge_rtcp;
use ringway_sim::network::Path;
use ringway_sim::seeds::for_seeds;

/// A call on a path that gives cause for every kind of feedback.
fn call(seed: u64, reduced: bool) -> Meeting {
    let path = Path { loss_permille: 50, delay_ns: 5_000_000, ..Path::PERFECT };
    let mut meeting = Meeting::new(seed, path);
    let transport = meeting.add_publisher();
    meeting.add_viewer();
    meeting.command(CallCommand::SetRtcp { transport, reduced_size: reduced });
    meeting.publishers[0].reduced_rtcp = reduced;
    let camera = meeting.publish(0, Coding::Vp8, 3, false);
    let sound = meeting.publish_sound(0);
    meeting.subscribe(0, camera);
    meeting.subscribe(0, sound);
    meeting.connect();
    meeting
}

#[test]
fn compounds_where_nothing_else_is_negotiated() {
    for_seeds(4, |seed| {
        let mut meeting = call(seed, false);
        meeting.run_ms(4000);
        let publisher = &meeting.publishers[0];
        let asked = (publisher.asked.len(), publisher.repeated);
        assert!(asked.1 > 0, "nothing was asked for: {asked:?}");
        // One name for all that it says.
        let names = &publisher.names;
        assert_eq!(names.len(), 1, "{names:?}");
        assert_eq!(names[0].1.len(), 16, "{names:?}");
        let viewer = &meeting.viewers[0];
        assert!(viewer.streams.iter().any(|stream| stream.report.is_some()));
    });
}

#[test]
fn reduced_size_where_it_is() {
    for_seeds(4, |seed| {
        let mut meeting = call(seed, true);
        meeting.run_ms(4000);
        let publisher = &meeting.publishers[0];
        assert!(publisher.reduced > 0, "feedback without a report");
        assert_eq!(publisher.names.len(), 1, "regular reports have a name all the same");
    });
}

#[test]
fn peers_have_names_of_their_own() {
    let names = RefCell::new(Vec::new());
    for_seeds(3, |seed| {
        // Of two seeds a shard makes one random stream, where the lowest bit alone differs.
        let mut meeting = call(seed * 2, false);
        meeting.run_ms(2000);
        names.borrow_mut().extend(meeting.publishers[0].names.iter().map(|(_, name)| name.clone()));
    });
    let mut names = names.into_inner();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all);
}

/// The judge itself finds what it is for.
#[test]
fn what_is_no_compound_is_found() {
    let pli = [0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2];
    let report = [0x80, 201, 0, 1, 0, 0, 0, 1];
    let named = [0x81, 202, 0, 2, 0, 0, 0, 1, 1, 1, b'a', 0];
    let whole = [&report[..], &named, &pli].concat();
    assert_eq!(judge_rtcp(&whole, false), [(1, b"a".to_vec())]);
    assert!(judge_rtcp(&pli, true).is_empty());
    let other = [&report[..7], &[2], &named].concat();
    for (bad, reduced) in [
        (&pli[..], false),
        (&report, true),
        (&[&named[..], &report].concat(), false),
        (&whole[..whole.len() - 1], false),
        (&other, false),
    ] {
        let judged = std::panic::catch_unwind(|| judge_rtcp(bad, reduced));
        assert!(judged.is_err(), "{bad:?}");
    }
}
