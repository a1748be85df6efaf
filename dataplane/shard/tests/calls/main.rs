//! Calls of one shard with real transports at the other end: no threads, no sockets, one clock.

mod blanks;
mod data;
mod elsewhere;
mod feedback;
mod handshakes;
mod lines;
mod padding;
mod peer;
mod quality;
mod repair;
mod simulcast;
mod world;
