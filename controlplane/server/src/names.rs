//! Names that a setting lets through.

use serde::{Deserialize, Serialize};

/// Names that are let through: by patterns in which `*` stands for any text and `?` for any
/// character.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Names {
    /// Only these; empty: all.
    pub includes: Vec<String>,
    /// But none of these.
    pub excludes: Vec<String>,
}

impl Names {
    /// Whether a name is let through.
    pub fn allow(&self, name: &str) -> bool {
        let among = |patterns: &[String]| {
            patterns.iter().any(|pattern| fits(pattern.as_bytes(), name.as_bytes()))
        };
        (self.includes.is_empty() || among(&self.includes)) && !among(&self.excludes)
    }
}

fn fits(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern.split_first(), name.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => (0..=name.len()).any(|skip| fits(rest, &name[skip..])),
        (Some((one, pattern)), Some((first, name))) => {
            (*one == b'?' || one == first) && fits(pattern, name)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, name, expect) in [
            ("eth0", "eth0", true),
            ("eth0", "eth01", false),
            ("eth*", "eth", true),
            ("*th*1", "eth01", true),
            ("e?h0", "eth0", true),
            ("eth0?", "eth0", false),
            ("", "", true),
        ] {
            assert_eq!(fits(pattern.as_bytes(), name.as_bytes()), expect, "{pattern} {name}");
        }
    }
}
