//! The Prometheus text format 0.0.4: families with help and type, samples with labels.

use std::fmt::{Display, Write};

/// What Prometheus is told that the text is.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A text under construction. All samples of a family must follow its head.
#[derive(Default)]
pub(crate) struct Exposition(String);

impl Exposition {
    /// Begins a family.
    pub(crate) fn family(&mut self, name: &str, kind: &str, help: &str) {
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// Adds a sample.
    pub(crate) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let open = if index == 0 { '{' } else { ',' };
            let _ = write!(self.0, "{open}{label}=\"{text}\"");
        }
        let close = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{close} {value}");
    }

    /// The text.
    pub(crate) fn finish(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text() {
        let mut exposition = Exposition::default();
        exposition.family("a_total", "counter", "Two\nlines.");
        exposition.sample("a_total", &[], 1);
        exposition.sample("a_total", &[("x", "q\"\\\n"), ("y", "")], 0.5);
        let expect = "# HELP a_total Two\\nlines.\n# TYPE a_total counter\na_total 1\n\
                      a_total{x=\"q\\\"\\\\\\n\",y=\"\"} 0.5\n";
        assert_eq!(exposition.finish(), expect);
    }
}
