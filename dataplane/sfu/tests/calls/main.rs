//! Calls in virtual time: publishers with layers, networks that lose, repeat and reorder, and a
//! receiver that checks what it sees.

mod cost;
mod described_vp8;
mod layered;
mod layered_call;
mod layered_losses;
mod layered_streams;
mod network;
mod publisher;
mod receiver;
mod sizes;
mod streams;
