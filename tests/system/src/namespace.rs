//! A network of its own for one test: interfaces, routes and queues that disturb nobody else.

use std::fs::File;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Runs `test` on a thread inside a fresh network namespace with only a loopback interface; the
/// programs that it starts are inside too. Says on stderr why it does not, where it cannot.
pub fn inside(test: impl FnOnce() + Send) {
    let name = format!("ringway-{}-{}", std::process::id(), next_number());
    let made = ip(&["netns", "add", &name]);
    if let Err(reason) = made {
        eprintln!("skipped, because a network namespace needs root and `ip`: {reason}");
        return;
    }
    let _guard = Guard(name.clone());
    let outcome = std::thread::scope(|scope| {
        let body = || {
            let file = File::open(format!("/run/netns/{name}")).expect("the namespace's file");
            let network = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(std::os::fd::AsFd::as_fd(&file), network)
                .expect("enter a network namespace");
            must(&["link", "set", "lo", "up"]);
            test();
        };
        scope.spawn(body).join()
    });
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

/// Runs `ip` with these arguments in the calling thread's network.
///
/// # Panics
/// When it fails.
pub fn must(arguments: &[&str]) {
    if let Err(error) = ip(arguments) {
        panic!("ip {}: {error}", arguments.join(" "));
    }
}

/// Runs `tc`, which this kernel may lack parts of.
pub fn tc(arguments: &[&str]) -> Result<(), String> {
    run("tc", arguments)
}

fn ip(arguments: &[&str]) -> Result<(), String> {
    run("ip", arguments)
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let output = Command::new(program).args(arguments).env("PATH", path).output();
    match output {
        Ok(Output { status, .. }) if status.success() => Ok(()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Err(format!("{program}: {error}")),
    }
}

fn next_number() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

struct Guard(String);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = ip(&["netns", "delete", &self.0]);
    }
}
