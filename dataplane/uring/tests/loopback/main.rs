//! Both engines over the loopback, by the same functions: what goes in comes out.

mod receiving;
mod reports;
mod rig;
mod sending;
mod sockets;
