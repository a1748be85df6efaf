//! The valid word that somebody most likely meant.

/// Below this likeness a suggestion would be noise.
/// Raise it and real typing errors get no suggestion; lower it and nonsense gets one.
const LIKENESS_MIN: f64 = 0.6;

/// The word of `valid` nearest to `word`, unless nothing comes near.
///
/// Case, `-` and `_` make no difference, so `maxForwards` finds `max_forwards`.
///
/// ```
/// let valid = ["receive_buffer_bytes", "send_buffer_bytes"];
/// assert_eq!(
///     ringway_settings::nearest("recieve_buffer_bytes", &valid),
///     Some("receive_buffer_bytes"),
/// );
/// ```
pub fn nearest<'a>(word: &str, valid: &[&'a str]) -> Option<&'a str> {
    let word = plain(word);
    valid
        .iter()
        .map(|candidate| (likeness(&word, &plain(candidate)), *candidate))
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

fn plain(word: &str) -> String {
    word.chars().filter(|c| *c != '_' && *c != '-').flat_map(char::to_lowercase).collect()
}

/// 1.0 for equal words. Edits catch typing errors, shared beginnings catch forgotten endings.
fn likeness(word: &str, candidate: &str) -> f64 {
    let edits = strsim::normalized_damerau_levenshtein(word, candidate);
    edits.max(strsim::jaro_winkler(word, candidate) * 0.8)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: &[&str] = &[
        "socket",
        "cores",
        "engine",
        "port_range",
        "buffers",
        "buffer_bytes",
        "receive_buffer_bytes",
        "send_buffer_bytes",
        "max_forwards",
        "max_destinations",
        "log",
        "log_format",
    ];

    #[track_caller]
    fn check(word: &str, expect: Option<&str>) {
        assert_eq!(nearest(word, KEYS), expect, "{word}");
    }

    #[test]
    fn finds_what_was_meant() {
        check("recieve_buffer_bytes", Some("receive_buffer_bytes"));
        check("receiveBufferBytes", Some("receive_buffer_bytes"));
        check("receive-buffer-bytes", Some("receive_buffer_bytes"));
        check("core", Some("cores"));
        check("CORES", Some("cores"));
        check("sockt", Some("socket"));
        check("buffer", Some("buffers"));
        check("port_rnage", Some("port_range"));
        check("ports", Some("port_range"));
        check("max_forward", Some("max_forwards"));
        check("log_fromat", Some("log_format"));
    }

    #[test]
    fn does_not_guess_wildly() {
        check("zzz", None);
        check("", None);
        check("webhooks_urls", None);
    }
}
