//! Many runs of one scenario, each from its own seed.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Set to a seed, it repeats that run alone.
pub const SEED_VARIABLE: &str = "RINGWAY_SIM_SEED";

/// Runs `scenario` with the seeds below `runs`; says which one failed and how to repeat it.
pub fn for_seeds(runs: u64, scenario: impl Fn(u64)) {
    let only = std::env::var(SEED_VARIABLE).ok().and_then(|seed| seed.parse().ok());
    for seed in only.map_or(0..runs, |seed| seed..seed + 1) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| scenario(seed))) {
            eprintln!("failed with seed {seed}; repeat it with {SEED_VARIABLE}={seed}");
            resume_unwind(panic);
        }
    }
}
