//! Calls whose programs die, stop, or are attacked, with synthetic clients that come back by
//! themselves. Real clients are in `tests/interop`.

mod death;
mod hostile;
mod party;
mod stopping;
