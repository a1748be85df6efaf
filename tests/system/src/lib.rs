//! The real binaries, started, killed and judged from outside.
