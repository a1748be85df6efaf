//! One core's world and the loop that turns it.
