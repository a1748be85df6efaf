//! Durations as people write them: `24h`, `90s`, `1h30m`, `500ms`.

use std::time::Duration;

/// Reads a duration; a number needs its unit (`ms`, `s`, `m`, `h`, `d`).
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a duration; write for example 500ms, 90s, 1h30m or 7d");
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return Err(wrong());
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let unit_ms: u64 = match &rest[..letters] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(wrong()),
        };
        let part_ms = number.checked_mul(unit_ms).ok_or_else(wrong)?;
        total = total.checked_add(Duration::from_millis(part_ms)).ok_or_else(wrong)?;
        rest = &rest[letters..];
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    #[track_caller]
    fn check(text: &str, expect_ms: Option<u128>) {
        assert_eq!(super::parse(text).ok().map(|d| d.as_millis()), expect_ms, "{text}");
    }

    #[test]
    fn durations() {
        check("24h", Some(86_400_000));
        check("1h30m", Some(5_400_000));
        check("500ms", Some(500));
        check("7d", Some(604_800_000));
        check(" 5s ", Some(5_000));
        check("5", None);
        check("", None);
        check("h", None);
        check("5 s", None);
        check("-5s", None);
        check("5y", None);
        check("99999999999999999999s", None);
        check("9999999999999999999d", None);
    }
}
