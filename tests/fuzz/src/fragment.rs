//! What a WHIP or WHEP client sends after its offer: fragments that trickle or restart ICE.

use ringway_sdp::Fragment;
use ringway_signal::oneshot::{Direct, SDP_BYTES_MAX};

use crate::signal::{Nobody, drain, start};

/// What the client has offered.
const OFFER: &str = include_str!("fragment.sdp");

/// The bytes as a fragment for the session and for another, and as a restart: nothing panics, no
/// name is empty, and a restart names another session.
pub fn fragment(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if text.len() > SDP_BYTES_MAX {
        return;
    }
    let parsed = Fragment::parse(text).is_ok();
    for direct in [Direct::Whip, Direct::Whep] {
        let joined = crate::signal::joined();
        let mut session = ringway_signal::Session::one_shot(start(&joined, false), direct);
        let answered = session.handle_one_offer(OFFER, &Nobody).expect("an offer that can be met");
        drain(&mut session);
        assert_eq!(answered.etag, session.etag());
        assert!(session.handle_fragment("of another", text).is_err());
        let taken = session.handle_fragment(&answered.etag, text);
        assert!(taken.is_err() || parsed);
        drain(&mut session);
        if let Ok(again) = session.handle_restart(text) {
            assert!(parsed && !again.etag.is_empty() && again.etag != answered.etag);
            Fragment::parse(&again.sdp).expect("our own fragment");
        } else {
            assert_eq!(session.etag(), answered.etag);
        }
        drain(&mut session);
    }
}
