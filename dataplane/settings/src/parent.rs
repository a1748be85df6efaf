//! Dying with the launcher that started this program, even when that one is killed with -9.

use std::os::unix::process::parent_id;

use rustix::process::{Signal, set_parent_process_death_signal};

/// A launcher sets this variable to its process id (or to 1, if it does not care about the race
/// described at [`die_with_parent`]) for the children that must not outlive it.
pub const DIE_WITH_PARENT: &str = "RINGWAY_DIE_WITH_PARENT";

/// Asks the kernel to kill this process when its launcher ends, if [`DIE_WITH_PARENT`] is set.
/// Call it first thing in `main`.
///
/// The launcher may have died before this call. It is then no longer the parent, nobody would ever
/// send the signal, and the process ends here with status 1.
pub fn die_with_parent() {
    let Some(launcher) = std::env::var(DIE_WITH_PARENT).ok().and_then(|v| v.parse::<u32>().ok())
    else {
        return;
    };
    // KILL rather than TERM: nothing is left to wait for a clean end, and a hung child would hold
    // its port against the next start.
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        eprintln!("cannot bind this process's life to its launcher's: {error}");
    }
    if launcher > 1 && parent_id() != launcher {
        eprintln!("the launcher (process {launcher}) is gone; ending");
        std::process::exit(1);
    }
}
