//! A strict reader of Prometheus text: whatever the format (version 0.0.4) forbids is a panic.

use std::collections::BTreeMap;

/// What a family of samples is.
#[derive(Debug, Default)]
struct Family {
    help: bool,
    kind: String,
    /// Another family's lines have come since: the family may not go on.
    closed: bool,
}

/// One line with a value.
#[derive(Debug, PartialEq)]
pub struct Sample {
    /// Its full name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: f64,
}

/// A scrape.
#[derive(Debug)]
pub struct Metrics {
    samples: Vec<Sample>,
}

impl Metrics {
    /// Reads a scrape.
    ///
    /// # Panics
    /// When it breaks a rule; the message has the line.
    pub fn parse(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line has no end");
        let mut families: BTreeMap<String, Family> = BTreeMap::new();
        let mut samples: Vec<Sample> = Vec::new();
        for line in text.lines() {
            assert_eq!(line, line.trim(), "blanks around a line");
            let (name, head) = match line.strip_prefix("# ") {
                Some(comment) => (head(comment, &mut families), true),
                None => {
                    let sample = sample(line);
                    let name = family_of(&sample, &families, line);
                    let same = |other: &Sample| {
                        (&other.name, &other.labels) == (&sample.name, &sample.labels)
                    };
                    assert!(!samples.iter().any(same), "twice: {line}");
                    samples.push(sample);
                    (name, false)
                }
            };
            let family = families.get(&name).expect("a family that was just found");
            assert!(!family.closed, "a family in two places: {line}");
            let begun = samples.iter().any(|sample| sample.name == name);
            assert!(!(head && begun), "a head after samples: {line}");
            for (other, family) in &mut families {
                family.closed |= *other != name;
            }
        }
        Self { samples }
    }

    /// The sum of all samples of this name that have all these labels.
    ///
    /// # Panics
    /// When there is none.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let mut found = self.all(name, labels).peekable();
        assert!(found.peek().is_some(), "no sample {name} with {labels:?}");
        found.map(|sample| sample.value).sum()
    }

    /// All samples of this name that have all these labels.
    pub fn all(&self, name: &str, labels: &[(&str, &str)]) -> impl Iterator<Item = &Sample> {
        self.samples.iter().filter(move |sample| {
            let has = |(key, value): &(&str, &str)| {
                sample.labels.get(*key).map(String::as_str) == Some(*value)
            };
            sample.name == name && labels.iter().all(has)
        })
    }

    /// All packets dropped, by reason, without the reasons that did not occur.
    pub fn drops(&self) -> BTreeMap<String, u64> {
        let mut drops = BTreeMap::new();
        for sample in self.all("ringway_packets_dropped_total", &[]) {
            if sample.value > 0.0 {
                *drops.entry(sample.labels["reason"].clone()).or_default() += sample.value as u64;
            }
        }
        drops
    }
}

/// Takes a HELP or TYPE line; returns the family's name.
fn head(comment: &str, families: &mut BTreeMap<String, Family>) -> String {
    let mut words = comment.splitn(3, ' ');
    let (kind, name) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let rest = words.next().unwrap_or("");
    check_name(name, comment);
    let family = families.entry(name.to_owned()).or_default();
    match kind {
        "HELP" => {
            assert!(!family.help && !rest.is_empty(), "{comment}");
            family.help = true;
        }
        "TYPE" => {
            assert!(family.kind.is_empty(), "{comment}");
            assert!(["counter", "gauge", "histogram"].contains(&rest), "{comment}");
            assert_eq!(rest == "counter", name.ends_with("_total"), "{comment}");
            family.kind = rest.to_owned();
        }
        _ => panic!("a comment that is neither HELP nor TYPE: {comment}"),
    }
    name.to_owned()
}

/// The family that a sample belongs to, which must have its head.
fn family_of(sample: &Sample, families: &BTreeMap<String, Family>, line: &str) -> String {
    let complete = |name: &str, histogram: bool| {
        families.get(name).is_some_and(|family| {
            family.help && !family.kind.is_empty() && (family.kind == "histogram") == histogram
        })
    };
    if complete(&sample.name, false) {
        return sample.name.clone();
    }
    for end in ["_bucket", "_sum", "_count"] {
        if let Some(name) = sample.name.strip_suffix(end)
            && complete(name, true)
        {
            assert_eq!(end == "_bucket", sample.labels.contains_key("le"), "{line}");
            return name.to_owned();
        }
    }
    panic!("no HELP and TYPE before: {line}");
}

fn sample(line: &str) -> Sample {
    let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"));
    let value: f64 = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
    let (name, labels) = match series.split_once('{') {
        Some((name, labels)) => {
            let labels = labels.strip_suffix('}').unwrap_or_else(|| panic!("no end: {line}"));
            (name, read_labels(labels, line))
        }
        None => (series, BTreeMap::new()),
    };
    check_name(name, line);
    Sample { name: name.to_owned(), labels, value }
}

fn read_labels(mut rest: &str, line: &str) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    while !rest.is_empty() {
        let (key, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("no label: {line}"));
        check_name(key, line);
        let mut value = String::new();
        let mut chars = after.char_indices();
        let end = loop {
            match chars.next().unwrap_or_else(|| panic!("an open label: {line}")) {
                (at, '"') => break at,
                (_, '\\') => match chars.next() {
                    Some((_, 'n')) => value.push('\n'),
                    Some((_, c @ ('"' | '\\'))) => value.push(c),
                    _ => panic!("an unknown escape: {line}"),
                },
                (_, c) => value.push(c),
            }
        };
        assert!(labels.insert(key.to_owned(), value).is_none(), "a label twice: {line}");
        rest = &after[end + 1..];
        rest = rest.strip_prefix(',').unwrap_or_else(|| {
            assert!(rest.is_empty(), "no comma between labels: {line}");
            rest
        });
    }
    labels
}

fn check_name(name: &str, line: &str) {
    let good = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let begins = name.chars().next().is_some_and(|c| !c.is_ascii_digit());
    assert!(good && begins, "{name:?} is no name: {line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "# HELP a_total A.\n# TYPE a_total counter\n";

    #[test]
    fn sums() {
        let text = format!(
            "{HEAD}a_total{{x=\"1\"}} 2\na_total{{x=\"2\",y=\"\\\"\"}} 3\n\
             # HELP h H.\n# TYPE h histogram\nh_bucket{{le=\"+Inf\"}} 1\nh_sum 0.5\nh_count 1\n"
        );
        let metrics = Metrics::parse(&text);
        assert_eq!(metrics.sum("a_total", &[]), 5.0);
        assert_eq!(metrics.sum("a_total", &[("y", "\"")]), 3.0);
        assert_eq!(metrics.sum("h_sum", &[]), 0.5);
    }

    #[test]
    fn breaches_are_found() {
        for (text, part) in [
            ("a 1", "no end"),
            ("a 1\n", "no HELP and TYPE"),
            ("# TYPE a counter\n", "assertion"),
            ("# HELP a_total A.\na_total 1\n", "no HELP and TYPE"),
            (&*format!("{HEAD}a_total x\n"), "no number"),
            (&*format!("{HEAD}a_total 1\na_total 1\n"), "twice"),
            (&*format!("{HEAD}a_total{{x=1}} 1\n"), "no label"),
            (&*format!("{HEAD}# HELP b B.\n# TYPE b gauge\nb 1\na_total 1\n"), "two places"),
        ] {
            let panic = std::panic::catch_unwind(|| Metrics::parse(text)).expect_err(text);
            let told = panic.downcast_ref::<String>().cloned();
            let told = told.or_else(|| panic.downcast_ref::<&str>().map(|t| (*t).to_owned()));
            assert!(told.is_some_and(|told| told.contains(part)), "{text}");
        }
    }
}
