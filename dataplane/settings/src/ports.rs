//! Ports in a configuration: `7882`, `"7882-7892"`, `"7882,7890-7892"`, or a list of these.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Ranges that one setting may have. Nobody writes so many by hand.
const RANGES_MAX: usize = 64;

/// Ports in the order in which they are to be taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ports {
    /// First and last of each range, both included.
    ranges: Vec<(u16, u16)>,
}

/// What is no list of ports.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no port, no range such as \"7882-7892\", and no list of these")]
pub struct PortsError {
    text: String,
}

impl Ports {
    /// One port.
    pub fn one(port: u16) -> Self {
        Self { ranges: vec![(port, port)] }
    }

    /// The port, if it is only one.
    pub fn single(&self) -> Option<u16> {
        match self.ranges[..] {
            [(first, last)] if first == last => Some(first),
            _ => None,
        }
    }

    /// Adds a range, both ends included, behind the others.
    pub fn add(&mut self, first: u16, last: u16) {
        self.ranges.push((first, last));
    }

    /// All ports, each once, in order.
    pub fn iter(&self) -> impl Iterator<Item = u16> + '_ {
        self.ranges.iter().enumerate().flat_map(|(at, (first, last))| {
            let before = &self.ranges[..at];
            (*first..=*last).filter(|port| !before.iter().any(|(a, b)| (a..=b).contains(&port)))
        })
    }

    /// First and last of each range, both included.
    pub fn ranges(&self) -> &[(u16, u16)] {
        &self.ranges
    }
}

impl FromStr for Ports {
    type Err = PortsError;

    fn from_str(text: &str) -> Result<Self, PortsError> {
        let range = |part: &str| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
            (first <= last).then_some((first, last))
        };
        let ranges: Option<Vec<(u16, u16)>> =
            text.split(',').take(RANGES_MAX + 1).map(range).collect();
        let ranges = ranges.filter(|ranges| ranges.len() <= RANGES_MAX);
        ranges.map(|ranges| Self { ranges }).ok_or_else(|| PortsError { text: text.to_owned() })
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (first, last)) in self.ranges.iter().enumerate() {
            let comma = if at > 0 { "," } else { "" };
            match first == last {
                true => write!(f, "{comma}{first}")?,
                false => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

/// The forms in YAML.
#[derive(Deserialize)]
#[serde(untagged)]
enum Form {
    Number(u16),
    Text(String),
    List(Vec<Item>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Item {
    Number(u16),
    Text(String),
}

impl<'de> Deserialize<'de> for Ports {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match Form::deserialize(deserializer)? {
            Form::Number(port) => return Ok(Self::one(port)),
            Form::Text(text) => text,
            Form::List(items) => {
                let text = |item: Item| match item {
                    Item::Number(port) => port.to_string(),
                    Item::Text(text) => text,
                };
                items.into_iter().map(text).collect::<Vec<_>>().join(",")
            }
        };
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Ports {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.single() {
            Some(port) => serializer.serialize_u16(port),
            None => serializer.collect_str(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, Deserialize, Serialize)]
    #[serde(default)]
    struct Settings {
        ports: Ports,
    }

    #[track_caller]
    fn check(yaml: &str, expect: &[u16], printed: &str) {
        let text = format!("ports: {yaml}\n");
        let settings: Settings = crate::parse(&text, "x.yaml".as_ref()).expect("valid");
        assert_eq!(settings.ports.iter().collect::<Vec<_>>(), expect, "{yaml}");
        assert!(crate::print(&settings).contains(printed), "{yaml}: {}", crate::print(&settings));
        let again: Settings =
            crate::parse(&crate::print(&settings), "x.yaml".as_ref()).expect("valid");
        assert_eq!(again.ports, settings.ports, "{yaml}");
    }

    #[test]
    fn all_forms() {
        check("7882", &[7882], "ports: 7882");
        check("\"7882\"", &[7882], "ports: 7882");
        check("7882-7884", &[7882, 7883, 7884], "7882-7884");
        check("\"7882, 7890 - 7891\"", &[7882, 7890, 7891], "7882,7890-7891");
        check("[7882, \"7890-7891\"]", &[7882, 7890, 7891], "7882,7890-7891");
        check("65534-65535", &[65_534, 65_535], "65534-65535");
        check("5-6,6-7,5", &[5, 6, 7], "5-6,6-7,5");
    }

    #[test]
    fn what_is_no_list_is_named() {
        for yaml in ["here", "7-5", "70000", "\"1-\"", "\"\"", "[a]", "{a: 1}", "-1"] {
            let text = format!("ports: {yaml}\n");
            let error = crate::parse::<Settings>(&text, "x.yaml".as_ref()).expect_err(yaml);
            assert!(error.to_string().contains("ports"), "{yaml}: {error}");
        }
        let many = vec!["1"; RANGES_MAX + 1].join(",");
        assert!(many.parse::<Ports>().is_err() && many[2..].parse::<Ports>().is_ok());
    }
}
