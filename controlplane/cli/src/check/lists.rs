//! Lists of numbers as the kernel writes them: `0-3,8`.

/// The ranges of a list; what makes no sense is left out.
pub(super) fn ranges(text: &str) -> Vec<(u16, u16)> {
    let parts = text.trim().split(',');
    parts
        .filter_map(|part| {
            let (from, to) = part.split_once('-').unwrap_or((part, part));
            Some((from.trim().parse().ok()?, to.trim().parse().ok()?))
        })
        .collect()
}

/// The numbers of a list.
pub(super) fn numbers(text: &str) -> Vec<u16> {
    ranges(text).into_iter().flat_map(|(from, to)| from..=to).collect()
}

/// A list of ascending numbers as the kernel would write it.
pub(super) fn render(numbers: &[u16]) -> String {
    let mut ranges: Vec<(u16, u16)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(*number) => *last = *number,
            _ => ranges.push((*number, *number)),
        }
    }
    render_ranges(&ranges)
}

/// The same of ranges.
pub(super) fn render_ranges(ranges: &[(u16, u16)]) -> String {
    let parts: Vec<String> = ranges
        .iter()
        .map(|(from, to)| if from == to { from.to_string() } else { format!("{from}-{to}") })
        .collect();
    parts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists() {
        let check = |text: &str, expect: &[u16]| {
            assert_eq!(numbers(text), expect, "{text}");
            if !text.contains('\n') {
                assert_eq!(render(expect), text);
            }
        };
        check("", &[]);
        check("\n", &[]);
        check("3", &[3]);
        check("0-3,8\n", &[0, 1, 2, 3, 8]);
        check("0-1,3,5-7", &[0, 1, 3, 5, 6, 7]);
        assert_eq!(numbers("x,2,5-"), [2]);
        assert_eq!(ranges("30000-39999,7"), [(30_000, 39_999), (7, 7)]);
    }
}
