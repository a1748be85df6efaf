//! Scenarios for the simulated data plane, one file per theme.

mod admission;
mod control;
mod drops;
mod fan_out;
mod lines;
mod malformed;
mod placement;
mod reports;
mod storm;
