//! Cores: which ones this process may use, and pinning a thread to one.

use anyhow::Context;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::config::Cores;

/// The cores that run a shard; `None` in it means a thread that is not pinned.
pub(crate) fn choose(wanted: &Cores) -> anyhow::Result<Vec<u16>> {
    let allowed = allowed()?;
    match wanted {
        Cores::List(cores) => {
            for core in cores {
                anyhow::ensure!(
                    allowed.contains(core),
                    "cores: this process may not run on core {core}; it may use {allowed:?}"
                );
            }
            let mut sorted = cores.clone();
            sorted.sort_unstable();
            sorted.dedup();
            anyhow::ensure!(sorted.len() == cores.len(), "cores: a core is named twice");
            Ok(cores.clone())
        }
        Cores::Word(_) => Ok(auto(&allowed)),
    }
}

/// All but the first, which is left to the kernel, the control plane and everything else; the last
/// one of two; the only one of one.
fn auto(allowed: &[u16]) -> Vec<u16> {
    match allowed {
        [] => Vec::new(),
        [only] => vec![*only],
        [_, shards @ ..] => shards.iter().copied().take(64).collect(),
    }
}

fn allowed() -> anyhow::Result<Vec<u16>> {
    let set = sched_getaffinity(None).context("cannot read the allowed cores")?;
    Ok((0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).map(|core| core as u16).collect())
}

/// Pins the calling thread.
pub(crate) fn pin(core: u16) -> anyhow::Result<()> {
    let mut set = CpuSet::new();
    set.set(usize::from(core));
    sched_setaffinity(None, &set).with_context(|| format!("cannot pin a shard to core {core}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_leaves_the_first_core_alone() {
        assert_eq!(auto(&[3]), [3]);
        assert_eq!(auto(&[0, 1]), [1]);
        assert_eq!(auto(&[0, 1, 4, 5]), [1, 4, 5]);
        assert_eq!(auto(&(0..100).collect::<Vec<_>>()).len(), 64);
    }
}
