//! The rules of the house, as a test.
//!
//! A [`tree::Tree`] is the checkout as text plus what `cargo metadata` says of it. A rule is one
//! file under [`rules`]: data at the top, a `check` that turns a tree into findings, and self-tests
//! on small fake trees in which the rule can be seen failing. `tests/house.rs` holds the real
//! checkout to every rule.
#![forbid(unsafe_code)]

pub mod metadata;
pub mod rules;
pub mod source;
pub mod tree;
