//! Corpus files with something changed, from a seed: what libFuzzer does, without its instruments,
//! briefly in every run of the tests and for as long as one likes by hand.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use ringway_fuzz::{TARGETS, Target};

/// Set to a target's name, it leaves the others out.
const TARGET_VARIABLE: &str = "RINGWAY_FUZZ_TARGET";
/// Set to a number of seconds, each target takes so long.
const SECONDS_VARIABLE: &str = "RINGWAY_FUZZ_SECONDS";
/// Set to a number, that is the first seed.
const SEED_VARIABLE: &str = "RINGWAY_FUZZ_SEED";

/// Inputs of each target where no time is given.
const INPUTS: u64 = 300;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ mixed >> 31) % end.max(1) as u64) as usize
    }
}

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("readable").path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).expect("readable")).collect()
}

/// One of the files with a few changes.
fn mutated(files: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut bytes = files[random.below(files.len())].clone();
    for _ in 0..=random.below(6) {
        let at = random.below(bytes.len());
        let len = 1 + random.below(8);
        match random.below(8) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
            1 if !bytes.is_empty() => bytes[at] = random.below(256) as u8,
            2 if !bytes.is_empty() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random.below(5)],
            3 => bytes.truncate(at),
            4 => drop(bytes.drain(at..(at + len).min(bytes.len()))),
            5 => drop(bytes.splice(at..at, (0..len).map(|_| random.below(256) as u8))),
            6 => {
                let copy = bytes[at..(at + 4 * len).min(bytes.len())].to_vec();
                bytes.splice(at..at, copy);
            }
            _ => {
                let other = &files[random.below(files.len())];
                let from = random.below(other.len());
                bytes.truncate(at);
                bytes.extend(&other[from..]);
            }
        }
    }
    bytes
}

fn run(name: &str, target: Target, first: u64, time: Option<Duration>) -> u64 {
    let files = corpus(name);
    let begun = Instant::now();
    let mut seed = first;
    while time.map_or(seed - first < INPUTS, |time| begun.elapsed() < time) {
        let bytes = mutated(&files, &mut Random(seed));
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(&bytes))) {
            let path = std::env::temp_dir().join(format!("ringway-{name}-{seed}"));
            let _ = fs::write(&path, &bytes);
            eprintln!("{name} fails with seed {seed}; the input is in {}", path.display());
            resume_unwind(panic);
        }
        seed += 1;
    }
    seed - first
}

#[test]
fn changed_corpus_files_pass() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let only = std::env::var(TARGET_VARIABLE).ok();
    let time = number(SECONDS_VARIABLE).map(Duration::from_secs);
    let first = number(SEED_VARIABLE).unwrap_or(0);
    for (name, target) in
        TARGETS.iter().filter(|(name, _)| only.as_deref().is_none_or(|o| o == *name))
    {
        let inputs = run(name, *target, first, time);
        println!("{name}: {inputs} inputs");
    }
}
