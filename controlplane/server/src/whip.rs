//! WHIP: publishing with one HTTP request (RFC 9725), at LiveKit's path.

use axum::Router;
use ringway_signal::oneshot::Direct;

use crate::rtc::resource;
use crate::rtc::task::Rtc;

/// Where clients post their offers.
pub const PATH: &str = "/whip/v1";

/// The routes, with what they need.
pub fn routes(rtc: Rtc) -> Router {
    resource::routes(rtc, Direct::Whip, PATH)
}
