//! Runs servers against each other on one scenario.
