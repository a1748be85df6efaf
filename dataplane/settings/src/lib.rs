//! Configuration files: one documented default per program, unknown keys are fatal.
