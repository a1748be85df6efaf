//! `kill -9` of every program at every moment of a call: clients are back by themselves, and hear
//! each other.

use std::time::{Duration, Instant};

use ringway_system::appliance::{Appliance, Options};
use ringway_system::patience::until;

use crate::party::{Guests, PATIENCE, Party};

/// From the death until everybody hears everybody again. The machine may be busy with other tests,
/// so the best of a few deaths counts.
const BACK_WITHIN: Duration = Duration::from_secs(5);
const DEATHS: usize = 2;

/// Who dies.
#[derive(Clone, Copy, Debug)]
enum Victim {
    Data,
    Control,
    Both,
}

impl Victim {
    /// Kills it and starts it anew, as systemd does.
    fn die(self, appliance: &mut Appliance) {
        if !matches!(self, Self::Data) {
            appliance.kill_controlplane();
        }
        if !matches!(self, Self::Control) {
            appliance.kill_dataplane();
            appliance.start_dataplane();
        }
        if !matches!(self, Self::Data) {
            appliance.start_controlplane();
        }
        appliance.wait_joined();
    }
}

fn mid_call(victim: Victim) {
    let mut appliance = Appliance::start(Options::default());
    let party = Party::come(&appliance, "call", Guests::default());
    party.wait_flow(20, None);
    let mut times = Vec::new();
    for _ in 0..DEATHS {
        let (before, at) = (party.seen(), Instant::now());
        victim.die(&mut appliance);
        party.wait_return(&before);
        times.push(at.elapsed());
    }
    println!("{victim:?} in mid-call: everybody hears everybody after {times:?}");
    let best = times.iter().min().expect("at least one");
    assert!(*best <= BACK_WITHIN, "clients were back after {times:?}");
}

#[test]
fn the_data_plane_in_mid_call() {
    mid_call(Victim::Data);
}

#[test]
fn the_control_plane_in_mid_call() {
    mid_call(Victim::Control);
}

#[test]
fn both_in_mid_call() {
    mid_call(Victim::Both);
}

/// Somebody has been let in, and somebody has not.
fn mid_join(victim: Victim) {
    let mut appliance = Appliance::start(Options::default());
    let guests = Guests { talkers: 2, listeners: 18, ..Guests::default() };
    let party = Party::come(&appliance, "join", guests);
    until(PATIENCE, "somebody to be in", || {
        party.seen().iter().any(|one| one.lives > 0).then_some(())
    });
    victim.die(&mut appliance);
    party.wait_flow(10, None);
}

#[test]
fn the_data_plane_in_mid_join() {
    mid_join(Victim::Data);
}

#[test]
fn the_control_plane_in_mid_join() {
    mid_join(Victim::Control);
}

#[test]
fn both_in_mid_join() {
    mid_join(Victim::Both);
}

#[test]
fn anybody_while_nobody_calls() {
    let mut appliance = Appliance::start(Options::default());
    for victim in [Victim::Data, Victim::Control, Victim::Both] {
        victim.die(&mut appliance);
        let party = Party::come(&appliance, &format!("after {victim:?}"), Guests::default());
        party.wait_flow(10, None);
    }
}

/// Clients without signalling hear each other; the next control plane cuts nobody off before they
/// have come back to it.
#[test]
fn media_outlives_the_control_plane() {
    let mut appliance = Appliance::start(Options::default());
    let party = Party::come(&appliance, "lingering", Guests::default());
    party.wait_flow(20, None);
    let before = party.seen();
    appliance.kill_controlplane();
    party.wait_flow(50, None);
    let lives = |seen: &[crate::party::Seen]| seen.iter().map(|one| one.lives).collect::<Vec<_>>();
    assert_eq!(lives(&party.seen()), lives(&before), "nobody could have let them in");
    appliance.start_controlplane();
    party.wait_return(&before);
}
