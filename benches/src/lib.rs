//! Benchmarks of the hot functions.
