//! Rooms as their participants' sessions see them: what is asked, what is told.

mod changing;
mod crowd;
mod data_blobs;
mod data_tracks;
mod house;
mod joining;
mod life;
mod model;
mod publishing;
mod reports;
mod subscribing;
