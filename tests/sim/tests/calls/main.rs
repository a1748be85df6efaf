//! Scenarios of calls on simulated shards, one file per theme.

mod comings;
mod data;
mod data_tracks;
mod hostile;
mod layers;
mod loss;
mod networks;
mod paths;
mod reports;
mod reuse;
mod spread;
