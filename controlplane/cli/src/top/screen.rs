//! The live view: draws what [`super::text`] words and listens to a few keys.

use std::time::Duration;

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, HighlightSpacing, Paragraph, Row, Table, TableState, Wrap};
use ratatui::{DefaultTerminal, Frame};
use ringway_abi::Boot;

use crate::top::rates::ShardRates;
use crate::top::text;

/// Stands before the shard whose details are shown.
const MARK: &str = ">";
/// The headline and a line of space.
const HEADLINE_LINES: u16 = 2;
/// Head and one shard: so much of the table stays on a low terminal.
const TABLE_LINES_MIN: u16 = 2;
/// Lines of the details with their frame.
const DETAILS_LINES: u16 = 8;
/// What the keys do.
const KEYS_LINES: u16 = 1;

/// What the screen shows now.
pub(super) struct View<'a> {
    /// None while the data plane is away.
    pub(super) boot: Option<&'a Boot>,
    pub(super) rates: &'a [ShardRates],
    /// Something that happened, in the last line.
    pub(super) notice: &'a str,
    /// The shard whose details are shown.
    pub(super) selected: usize,
}

/// What a person wants.
pub(super) enum Wish {
    Quit,
    Up,
    Down,
}

/// Waits for a key, at most `patience`.
pub(super) fn wish(patience: Duration) -> anyhow::Result<Option<Wish>> {
    if !event::poll(patience)? {
        return Ok(None);
    }
    let Event::Key(key) = event::read()? else {
        return Ok(None);
    };
    if key.kind != KeyEventKind::Press {
        return Ok(None);
    }
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    Ok(match key.code {
        KeyCode::Char('c') if control => Some(Wish::Quit),
        KeyCode::Char('q') | KeyCode::Esc => Some(Wish::Quit),
        KeyCode::Up | KeyCode::Char('k') => Some(Wish::Up),
        KeyCode::Down | KeyCode::Char('j') => Some(Wish::Down),
        _ => None,
    })
}

pub(super) fn draw(terminal: &mut DefaultTerminal, view: &View<'_>) -> anyhow::Result<()> {
    terminal.draw(|frame| paint(frame, view))?;
    Ok(())
}

fn paint(frame: &mut Frame<'_>, view: &View<'_>) {
    // The table is as long as it needs to be; what is left stays empty under the details.
    let rows = view.rates.len().min(usize::from(u16::MAX)) as u16;
    let room = frame.area().height.saturating_sub(HEADLINE_LINES + KEYS_LINES);
    let wanted = rows.saturating_add(2);
    let table_lines = wanted.min(room.saturating_sub(DETAILS_LINES).max(TABLE_LINES_MIN));
    let [top, shards, details, _, bottom] = Layout::vertical([
        Constraint::Length(HEADLINE_LINES),
        Constraint::Length(table_lines),
        Constraint::Length(DETAILS_LINES.min(room.saturating_sub(table_lines))),
        Constraint::Min(0),
        Constraint::Length(KEYS_LINES),
    ])
    .areas(frame.area());
    let headline = view.boot.map_or("the data plane is away".to_owned(), text::headline);
    frame.render_widget(Line::styled(headline, Modifier::BOLD), top);
    if let Some(boot) = view.boot {
        // The selection scrolls a table that is longer than the screen.
        let mut state = TableState::new().with_selected(view.selected);
        frame.render_stateful_widget(table(boot, view, shards.width), shards, &mut state);
    }
    if let (Some(boot), Some(rates)) = (view.boot, view.rates.get(view.selected)) {
        frame.render_widget(paragraph(boot, rates), details);
    }
    let keys = format!("q quits, ↑ ↓ choose a shard   {}", view.notice);
    frame.render_widget(Line::styled(keys, Modifier::DIM), bottom);
}

fn paragraph<'a>(boot: &Boot, rates: &ShardRates) -> Paragraph<'a> {
    let lines = vec![
        Line::styled(text::pulse(rates), pulse_style(rates)),
        Line::raw(format!("place    {}", text::place(boot, rates))),
        Line::raw(format!("traffic  {}", text::traffic(rates))),
        Line::raw(format!("latency  {}", text::latency(rates))),
        Line::raw(format!("runs     {}", text::runs(rates))),
        Line::raw(format!("drops    {}", text::drops(rates))),
    ];
    let block = Block::bordered().title(format!(" shard {} ", rates.shard));
    Paragraph::new(lines).block(block).wrap(Wrap { trim: false })
}

fn table<'a>(boot: &Boot, view: &View<'_>, room: u16) -> Table<'a> {
    let rows: Vec<_> = view.rates.iter().map(|rates| text::cells(boot, rates)).collect();
    let widths = std::array::from_fn(|column| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([text::HEADER[column].len()]).max().unwrap_or(0)
    });
    let columns = text::columns_in(usize::from(room).saturating_sub(MARK.len()), &widths);
    let constraints: Vec<_> =
        columns.iter().map(|column| Constraint::Length(widths[*column] as u16)).collect();
    let line = |column: usize, cell: String| match text::is_word(column) {
        true => Line::raw(cell),
        false => Line::raw(cell).right_aligned(),
    };
    let row = |cells: [String; text::HEADER.len()]| -> Row<'a> {
        columns.iter().map(|column| line(*column, cells[*column].clone())).collect()
    };
    let rows = rows.into_iter().zip(view.rates).map(|(cells, rates)| {
        let style = match () {
            () if rates.is_stuck() => Style::new().fg(Color::Red),
            () if rates.dropped_per_s() > 0.0 => Style::new().fg(Color::Yellow),
            () => Style::new(),
        };
        row(cells).style(style)
    });
    let header = row(text::HEADER.map(str::to_owned)).style(Modifier::REVERSED);
    Table::new(rows.collect::<Vec<_>>(), constraints)
        .header(header)
        .highlight_symbol(MARK)
        .highlight_spacing(HighlightSpacing::Always)
        .row_highlight_style(Modifier::BOLD)
}

fn pulse_style(rates: &ShardRates) -> Style {
    if rates.is_stuck() { Style::new().fg(Color::Red) } else { Style::new().fg(Color::Green) }
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use ringway_abi::{BootShard, EngineKind, Limits};

    use super::*;
    use crate::top::rates::Latency;

    fn boot(shards: usize) -> Boot {
        Boot {
            pid: 7,
            boot_id: 0xabc,
            started_unix_ns: 0,
            version: "1.2.3".into(),
            limits: Limits {
                shards: shards as u16,
                forwards_per_shard: 1,
                destinations_per_shard: 1,
            },
            port_first: 1,
            port_last: 2,
            shards: vec![BootShard { core: Some(3), engine: EngineKind::Uring }; shards],
        }
    }

    fn rates(shards: usize) -> Vec<ShardRates> {
        let busy = |shard| ShardRates {
            shard,
            packets_in_per_s: 159_000.0,
            packets_out_per_s: 1_234_567.0,
            bits_in_per_s: 1.22e6,
            bits_out_per_s: 15.6e9,
            ns_per_packet: Some(2338.0),
            busy: 0.97,
            latency: Some(Latency { p50_us: 48.0, p99_us: 5538.0, p999_us: 22e3, max_us: 22e3 }),
            buffers_free: 4000,
            buffers: 4096,
            forwards: 1,
            destinations: 128,
            heartbeat_age_ms: Some(12),
            ..ShardRates::default()
        };
        (0..shards).map(busy).collect()
    }

    /// The screen as lines of text.
    fn lines(width: u16, height: u16, view: &View<'_>) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| paint(frame, view)).unwrap();
        let buffer = terminal.backend().buffer();
        let cell = |x, y| buffer[(x, y)].symbol().to_owned();
        let line = |y| (0..width).map(|x| cell(x, y)).collect::<String>().trim_end().to_owned();
        (0..height).map(line).collect()
    }

    #[test]
    fn wide_and_narrow_terminals() {
        let (boot, rates) = (boot(2), rates(2));
        let view = View { boot: Some(&boot), rates: &rates, notice: "", selected: 1 };
        let check = |width, height, head: &str, row: &str| {
            let lines = lines(width, height, &view);
            let text = lines.join("\n");
            assert_eq!((lines[2].as_str(), lines[4].as_str()), (head, row), "{text}");
            assert!(text.contains(" shard 1 "), "{text}");
        };
        check(
            200,
            50,
            " SHARD CORE ENGINE IN/S OUT/S BIT/S IN BIT/S OUT NS/PKT BUSY DROPS/S    P50   P99  \
             P99.9    MAX   BUFFERS FWD/DEST",
            ">1        3 uring  159k 1.23M    1.22M     15.6G   2338  97%       0 48.0µs 5.5ms \
             22.0ms 22.0ms 4000/4096    1/128",
        );
        check(
            80,
            24,
            " SHARD CORE IN/S OUT/S NS/PKT BUSY DROPS/S    P50   P99  P99.9    MAX FWD/DEST",
            ">1        3 159k 1.23M   2338  97%       0 48.0µs 5.5ms 22.0ms 22.0ms    1/128",
        );
        check(
            40,
            14,
            " SHARD IN/S OUT/S BUSY DROPS/S   P99",
            ">1     159k 1.23M  97%       0 5.5ms",
        );
        // What is left out of the table stands in the details.
        let text = lines(80, 24, &view).join("\n");
        for part in [
            "heartbeat 12 ms ago",
            "place    core 3, uring; forwards 1, destinations 128",
            "traffic  1.22Mbit/s in, 15.6Gbit/s out, buffers 4000/4096",
            "latency  P50 48.0µs  P99 5.5ms  P99.9 22.0ms  MAX 22.0ms",
            "runs     nothing sent",
            "drops    none",
            "q quits",
        ] {
            assert!(text.contains(part), "{text}\nlacks {part:?}");
        }
    }

    #[test]
    fn a_long_table_scrolls_to_the_chosen_shard() {
        let (boot, rates) = (boot(64), rates(64));
        let view = View { boot: Some(&boot), rates: &rates, notice: "", selected: 60 };
        let lines = lines(80, 24, &view);
        assert!(lines.iter().any(|line| line.starts_with(">60 ")), "{}", lines.join("\n"));
        assert!(lines.iter().any(|line| line.contains("drops    none")), "{}", lines.join("\n"));
        assert!(lines[23].starts_with("q quits"), "{}", lines.join("\n"));
    }

    #[test]
    fn a_low_terminal_shows_the_chosen_shard_first() {
        let (boot, rates) = (boot(2), rates(2));
        let view = View { boot: Some(&boot), rates: &rates, notice: "", selected: 1 };
        let lines = lines(80, 10, &view);
        let text = lines.join("\n");
        assert!(lines[2].starts_with(" SHARD") && lines[3].starts_with(">1 "), "{text}");
        assert!(text.contains("traffic  1.22Mbit/s in"), "{text}");
        assert!(lines[9].starts_with("q quits"), "{text}");
    }

    #[test]
    fn tiny_terminals_and_an_absent_data_plane_do_no_harm() {
        let (boot, rates) = (boot(2), rates(2));
        for (width, height) in [(1, 1), (3, 3), (10, 5), (80, 6), (500, 2)] {
            let view = View { boot: Some(&boot), rates: &rates, notice: "x", selected: 0 };
            lines(width, height, &view);
            let away = View { boot: None, rates: &[], notice: "gone", selected: 0 };
            lines(width, height, &away);
        }
        let away = View { boot: None, rates: &[], notice: "gone", selected: 0 };
        assert_eq!(lines(80, 24, &away)[0], "the data plane is away");
    }
}
