//! What a server's processes have used, from `/proc`: CPU time in nanoseconds and resident memory.
//!
//! CPU time is the sum of all threads' `schedstat`, which has nanoseconds where `stat` has clock
//! ticks of usually 10 ms. `stat` also knows threads that have ended, so it is read as well and
//! wins when it says clearly more.

use std::collections::BTreeSet;
use std::fs;

/// CPU time and memory of a set of processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time of all living threads, in nanoseconds.
    pub thread_ns: u64,
    /// User and system time of all processes in clock ticks, in nanoseconds.
    pub stat_ns: u64,
    /// Resident memory, processes added up.
    pub rss_kib: u64,
}

impl Usage {
    /// Of these processes and all their descendants.
    pub fn read(roots: &[u32]) -> Self {
        let tick_ns = 1_000_000_000 / rustix::param::clock_ticks_per_second().max(1);
        let mut usage = Self::default();
        for pid in with_descendants(roots) {
            let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).ok();
            usage.thread_ns += tasks(pid)
                .filter_map(|task| read(&format!("task/{task}/schedstat")))
                .filter_map(|text| parse_schedstat(&text))
                .sum::<u64>();
            usage.stat_ns += read("stat").and_then(|text| parse_stat(&text)).unwrap_or(0) * tick_ns;
            usage.rss_kib += read("status").and_then(|text| parse_rss(&text)).unwrap_or(0);
        }
        usage
    }

    /// CPU time since `before`, in nanoseconds, and whether the coarse clock had to be taken.
    pub fn cpu_ns_since(&self, before: &Self) -> (u64, bool) {
        let fine_ns = self.thread_ns.saturating_sub(before.thread_ns);
        let coarse_ns = self.stat_ns.saturating_sub(before.stat_ns);
        // Every read of `stat` may be a tick off, for each of user and system time.
        const ROUNDING_NS: u64 = 40_000_000;
        let threads_ended = coarse_ns > fine_ns + fine_ns / 20 + ROUNDING_NS;
        if threads_ended { (coarse_ns, true) } else { (fine_ns, false) }
    }
}

fn tasks(pid: u32) -> impl Iterator<Item = String> {
    fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
}

fn with_descendants(roots: &[u32]) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    let mut open = roots.to_vec();
    while let Some(pid) = open.pop() {
        if !found.insert(pid) {
            continue;
        }
        for task in tasks(pid) {
            let text = fs::read_to_string(format!("/proc/{pid}/task/{task}/children"));
            let children = text.unwrap_or_default();
            open.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
    }
    found
}

/// Nanoseconds on the CPU: the first figure of `schedstat`.
fn parse_schedstat(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

/// utime + stime in ticks: fields 14 and 15 of `stat`, whose second may contain anything.
fn parse_stat(text: &str) -> Option<u64> {
    let after_name = &text[text.rfind(')')? + 1..];
    let mut fields = after_name.split_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn parse_rss(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_parsed() {
        for (text, expect) in
            [("446454 49663 1\n", Some(446_454)), ("0 0 0", Some(0)), ("", None), ("x 1 2", None)]
        {
            assert_eq!(parse_schedstat(text), expect, "{text}");
        }
        let rest = "S 1 2 3 0 -1 4194560 100 0 0 0 250 130 0 0 20 0 1 0 12345 1 2";
        for (text, expect) in [
            (format!("77 (rtp) {rest}"), Some(380)),
            (format!("77 (a) b) (c) {rest}"), Some(380)),
            ("77 (short) S 1 2".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(parse_stat(&text), expect, "{text}");
        }
        for (text, expect) in [
            ("Name:\tx\nVmPeak:\t 9 kB\nVmRSS:\t  1234 kB\n", Some(1234)),
            ("Name:\tkthread\n", None),
        ] {
            assert_eq!(parse_rss(text), expect, "{text}");
        }
    }

    #[test]
    fn ended_threads_are_noticed() {
        let usage = |thread_ns, stat_ns| Usage { thread_ns, stat_ns, rss_kib: 0 };
        let before = usage(1_000_000_000, 1_000_000_000);
        for (after, expect) in [
            (usage(2_000_000_000, 2_000_000_000), (1_000_000_000, false)),
            (usage(2_000_000_000, 2_030_000_000), (1_000_000_000, false)),
            (usage(2_000_000_000, 3_000_000_000), (2_000_000_000, true)),
            (usage(1_000_000_000, 1_030_000_000), (0, false)),
        ] {
            assert_eq!(after.cpu_ns_since(&before), expect, "{after:?}");
        }
    }

    #[test]
    fn own_process_is_seen() {
        let usage = Usage::read(&[std::process::id()]);
        assert!(usage.rss_kib > 0, "{usage:?}");
    }
}
