//! WHEP: playing a room back with one HTTP request (draft-ietf-wish-whep). LiveKit has no such
//! thing; requests and answers look like those of WHIP.

use axum::Router;
use ringway_signal::oneshot::Direct;

use crate::rtc::resource;
use crate::rtc::task::Rtc;

/// Where clients post their offers.
pub const PATH: &str = "/whep/v1";

/// The routes, with what they need.
pub fn routes(rtc: Rtc) -> Router {
    resource::routes(rtc, Direct::Whep, PATH)
}
