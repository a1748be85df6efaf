//! Calls of one shard with real transports at the other end: no threads, no sockets, one clock.

mod announcements;
mod blanks;
mod data;
mod disowned;
mod elsewhere;
mod feedback;
mod flexfec;
mod handshakes;
mod hold;
mod lines;
mod padding;
mod peer;
mod playout;
mod quality;
mod redundancy;
mod repair;
mod reports;
mod round_trips;
mod simulcast;
mod trailers;
mod world;
