//! Scenarios of calls on simulated shards, one file per theme.

mod comings;
mod data;
mod hostile;
mod layers;
mod loss;
mod paths;
mod reuse;
