//! The plan of a start: which shards, on which cores, with which engine.

use ringway_abi::boot::{Boot, BootShard, EngineKind as BootEngine, Limits};
use ringway_uring::{EngineKind, probe};

use crate::clocks;
use crate::config::{Config, EngineChoice};
use crate::cores;

/// What one shard is to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShardPlan {
    pub(crate) core: Option<u16>,
    pub(crate) engine: BootEngine,
}

/// All shards.
pub(crate) struct Plan {
    pub(crate) shards: Vec<ShardPlan>,
}

impl Plan {
    pub(crate) fn new(config: &Config) -> anyhow::Result<Self> {
        let engine = choose_engine(config.engine)?;
        let cores = cores::choose(&config.cores)?;
        let shards = cores.iter().map(|&core| ShardPlan { core: Some(core), engine }).collect();
        Ok(Self { shards })
    }

    /// What the boot page says.
    pub(crate) fn boot(&self, config: &Config) -> anyhow::Result<Boot> {
        let mut id = [0; 8];
        rustix::rand::getrandom(&mut id, rustix::rand::GetRandomFlags::empty())?;
        Ok(Boot {
            pid: rustix::process::getpid().as_raw_nonzero().get() as u32,
            boot_id: u64::from_ne_bytes(id),
            started_unix_ns: clocks::unix_ns(),
            version: env!("CARGO_PKG_VERSION").into(),
            limits: Limits {
                shards: self.shards.len() as u16,
                forwards_per_shard: config.max_forwards,
                destinations_per_shard: config.max_destinations,
            },
            port_first: config.port_range.first,
            port_last: config.port_range.last,
            shards: self
                .shards
                .iter()
                .map(|shard| BootShard { core: shard.core, engine: shard.engine })
                .collect(),
        })
    }
}

/// The contract's name of an engine as the engine crate has it.
pub(crate) fn engine_kind(engine: BootEngine) -> EngineKind {
    match engine {
        BootEngine::Uring => EngineKind::Uring,
        BootEngine::Plain => EngineKind::Plain,
    }
}

fn choose_engine(choice: EngineChoice) -> anyhow::Result<BootEngine> {
    match choice {
        EngineChoice::Plain => Ok(BootEngine::Plain),
        EngineChoice::Uring => match probe().uring {
            Ok(()) => Ok(BootEngine::Uring),
            Err(missing) => Err(anyhow::anyhow!(
                "engine: uring cannot run here: {missing}; set engine to auto or plain"
            )),
        },
        EngineChoice::Auto => match probe().uring {
            Ok(()) => Ok(BootEngine::Uring),
            Err(missing) => {
                tracing::warn!(%missing, "io_uring cannot be used; using plain system calls");
                Ok(BootEngine::Plain)
            }
        },
    }
}
