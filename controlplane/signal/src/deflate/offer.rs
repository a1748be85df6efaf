//! What a client offers in `Sec-WebSocket-Extensions`, and the answer.

/// What LiveKit answers, too.
const ANSWER: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
/// The same where the client has named the window that we have anyway.
const ANSWER_WINDOW: &str = "permessage-deflate; server_no_context_takeover; \
                             client_no_context_takeover; server_max_window_bits=15";

/// The only logarithm of a window that we compress with.
const WINDOW_BITS: u8 = 15;

/// Takes the first offer of permessage-deflate that can be kept: what to answer in
/// `Sec-WebSocket-Extensions`. `None`: messages stay uncompressed. Each of `values` is one such
/// line of the request, a list of offers.
///
/// RFC 7692 7.1: an offer is declined if it has a parameter that is unknown, comes twice or has a
/// value that is none, and "if the server doesn't support the offered configuration": a smaller
/// window (`server_max_window_bits`) than ours. LiveKit takes all of these.
pub fn answer<'a>(values: impl IntoIterator<Item = &'a str>) -> Option<&'static str> {
    values.into_iter().flat_map(|value| split(value, ',')).find_map(answer_offer)
}

/// Splits where `at` stands outside of quotes.
fn split(text: &str, at: char) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |char| {
        quoted ^= char == '"';
        char == at && !quoted
    })
}

fn answer_offer(offer: &str) -> Option<&'static str> {
    let mut parts = split(offer, ';').map(str::trim);
    if parts.next() != Some("permessage-deflate") {
        return None;
    }
    let mut names: Vec<&str> = Vec::new();
    let mut answer = ANSWER;
    for part in parts {
        let (name, value) = match part.split_once('=') {
            Some((name, value)) => (name.trim_end(), Some(bare(value.trim_start()))),
            None => (part, None),
        };
        match (name, value) {
            _ if names.contains(&name) => return None,
            ("server_no_context_takeover" | "client_no_context_takeover", None) => {}
            // RFC 7692 7.1.2.2: a hint; without it in the answer our window is as large as any.
            ("client_max_window_bits", None) => {}
            ("client_max_window_bits", Some(bits)) => drop(window_bits(bits)?),
            ("server_max_window_bits", Some(bits)) if window_bits(bits)? == WINDOW_BITS => {
                answer = ANSWER_WINDOW;
            }
            _ => return None,
        }
        names.push(name);
    }
    Some(answer)
}

/// RFC 6455 9.1: a value may be quoted, and is a token nevertheless.
fn bare(value: &str) -> &str {
    let inside = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    inside.unwrap_or(value)
}

/// RFC 7692 7.1.2: "a decimal integer value without leading zeroes between 8 to 15, inclusive".
fn window_bits(value: &str) -> Option<u8> {
    let digits = value.bytes().all(|byte| byte.is_ascii_digit()) && !value.starts_with('0');
    value.parse().ok().filter(|bits| digits && (8..=15).contains(bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(values: &[&str], expect: Option<&str>) {
        assert_eq!(answer(values.iter().copied()), expect, "{values:?}");
    }

    #[test]
    fn the_first_offer_that_can_be_kept_is_taken() {
        let (plain, window) = (Some(ANSWER), Some(ANSWER_WINDOW));
        check(&[], None);
        check(&[""], None);
        check(&["permessage-deflate"], plain);
        // Chromium, Firefox, Node's ws, Python's websockets.
        check(&["permessage-deflate; client_max_window_bits"], plain);
        check(&["x-webkit-deflate-frame"], None);
        check(
            &["permessage-deflate;client_no_context_takeover ; server_no_context_takeover"],
            plain,
        );
        check(&["permessage-deflate; client_max_window_bits=9"], plain);
        check(&["permessage-deflate; client_max_window_bits=\"9\""], plain);
        check(&["permessage-deflate; server_max_window_bits=15"], window);
        check(&["permessage-deflate; server_max_window_bits = \"15\""], window);
        check(&["permessage-deflate; server_max_window_bits=14"], None);
        let wish = "permessage-deflate; server_max_window_bits=10";
        check(&[&format!("{wish}, permessage-deflate")], plain);
        check(&[wish, "permessage-deflate; server_max_window_bits=15, permessage-deflate"], window);
        check(&["mux; max-channels=4; flow-control, permessage-deflate"], plain);
    }

    #[test]
    fn what_is_no_offer_is_declined() {
        for parameters in [
            "novelty",
            "server_no_context_takeover=1",
            "client_no_context_takeover=",
            "client_no_context_takeover; client_no_context_takeover",
            "client_max_window_bits; client_max_window_bits=9",
            "client_max_window_bits=7",
            "client_max_window_bits=16",
            "client_max_window_bits=08",
            "client_max_window_bits=+9",
            "client_max_window_bits=",
            "server_max_window_bits",
            "server_max_window_bits=015",
            "server_max_window_bits=\"15",
            "",
        ] {
            check(&[&format!("permessage-deflate; {parameters}")], None);
        }
        check(&["Permessage-Deflate"], None);
        check(&["foo; bar=\"a, permessage-deflate, b\""], None);
    }
}
