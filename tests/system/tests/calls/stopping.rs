//! A control plane that is told to stop says so to its clients, and they come back to the next one.

use rustix::process::Signal;

use ringway_system::appliance::{Appliance, Options};
use ringway_system::patience::until;

use crate::party::{Guests, PATIENCE, Party};

/// LiveKit's SERVER_SHUTDOWN, and RECONNECT.
const FAREWELL: &str = "the server ended it, reason 3, action 2";

#[test]
fn everybody_is_told_to_begin_anew() {
    let mut appliance = Appliance::start(Options::default());
    let party = Party::come(&appliance, "stopping", Guests::default());
    party.wait_flow(20, None);
    let before = party.seen();
    let status = appliance.controlplane().stop();
    assert!(status.success(), "{status}");
    until(PATIENCE, "everybody to hear of it", || {
        let told = |ends: &[String]| ends.iter().any(|end| end == FAREWELL);
        party.seen().iter().all(|one| told(&one.ends)).then_some(())
    });
    appliance.start_controlplane();
    party.wait_return(&before);
}

/// A client that does not read must not keep the program from ending.
#[test]
fn a_client_that_hangs_delays_nothing_for_long() {
    let mut appliance = Appliance::start(Options::default());
    let guests = Guests { talkers: 1, listeners: 1, ..Guests::default() };
    let party = Party::come(&appliance, "hanging", guests);
    party.wait_flow(20, None);
    // Twice: the second comes while the first is at work.
    appliance.controlplane().signal(Signal::TERM);
    let status = appliance.controlplane().stop();
    assert!(status.success(), "{status}");
}
