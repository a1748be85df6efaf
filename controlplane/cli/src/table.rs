//! Columns of text for people.

/// Rows under a header, columns as wide as their widest cell.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(header: &[&str]) -> Self {
        Self { rows: vec![header.iter().map(|cell| (*cell).to_owned()).collect()] }
    }

    /// Adds a row; an empty cell shows as `-`.
    pub(crate) fn row<const N: usize>(&mut self, cells: [String; N]) {
        let cells = cells.into_iter().map(|cell| if cell.is_empty() { "-".into() } else { cell });
        self.rows.push(cells.collect());
    }

    /// The table as lines, columns two spaces apart, no trailing spaces.
    pub(crate) fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            text += cells.collect::<Vec<_>>().join("  ").trim_end();
            text.push('\n');
        }
        text
    }
}

/// `1234567` as `1.23M`: three digits are enough to see what goes on.
pub(crate) fn short(value: f64) -> String {
    let (scaled, unit) = match value.abs() {
        v if v >= 999.5e6 => (value / 1e9, "G"),
        v if v >= 999.5e3 => (value / 1e6, "M"),
        v if v >= 999.5 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let decimals = match scaled.abs() {
        v if v >= 99.95 || (unit.is_empty() && v.fract() == 0.0) => 0,
        v if v >= 9.995 => 1,
        _ => 2,
    };
    format!("{scaled:.decimals$}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aligns() {
        let mut table = Table::new(&["ID", "NAME", "N"]);
        table.row(["FW_1".into(), String::new(), "1".into()]);
        table.row(["F".into(), "größer".into(), String::new()]);
        assert_eq!(table.render(), "ID    NAME    N\nFW_1  -       1\nF     größer  -\n");
    }

    #[test]
    fn shortens() {
        let check = |value: f64, expect: &str| assert_eq!(short(value), expect, "{value}");
        check(0.0, "0");
        check(7.0, "7");
        check(0.25, "0.25");
        check(12.345, "12.3");
        check(999.0, "999");
        check(999.6, "1.00k");
        check(1000.0, "1.00k");
        check(12_345.0, "12.3k");
        check(123_456.0, "123k");
        check(1_234_567.0, "1.23M");
        check(9.87e9, "9.87G");
    }
}
