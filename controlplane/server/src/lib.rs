//! The control plane: HTTP in, commands to the data plane out.
//!
//! The street of a request: [`listener`] (limits, timeouts) → [`app`] (the router) → [`auth`] →
//! [`json`] (the body, with field paths) → [`forwards`] (handlers) → [`driver`] (the one task that
//! owns the domain) → [`store`] and [`link`] (the one place that knows the shared memory).
//!
//! Each API is a function that gives a router of its own; [`app::router`] puts them together.

pub mod addresses;
pub mod app;
pub mod auth;
pub mod config;
mod cors;
pub mod dev_token;
pub mod driver;
pub mod error;
mod exposition;
pub mod forwards;
pub mod health;
mod interfaces;
pub mod json;
pub mod link;
pub mod listener;
pub mod metrics;
pub mod names;
pub mod openapi;
pub mod page;
pub mod requests;
pub mod rtc;
pub mod serve;
pub mod store;
mod stun;
mod timestamp;
pub mod token;
mod view;
pub mod whep;
pub mod whip;
