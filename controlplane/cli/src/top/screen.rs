//! The live view: draws what [`super::text`] words and listens to a few keys.

use std::time::Duration;

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Paragraph, Row, Table, Wrap};
use ratatui::{DefaultTerminal, Frame};
use ringway_abi::Boot;

use crate::top::rates::ShardRates;
use crate::top::text;

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
    let [top, shards, details, bottom] = Layout::vertical([
        Constraint::Length(2),
        Constraint::Min(3),
        Constraint::Length(6),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    let headline = view.boot.map_or("the data plane is away".to_owned(), text::headline);
    frame.render_widget(Line::styled(headline, Modifier::BOLD), top);
    if let Some(boot) = view.boot {
        frame.render_widget(table(boot, view), shards);
    }
    if let Some(rates) = view.rates.get(view.selected) {
        let lines = vec![
            Line::styled(text::pulse(rates), pulse_style(rates)),
            Line::raw(format!("runs   {}", text::runs(rates))),
            Line::raw(format!("drops  {}", text::drops(rates))),
        ];
        let block = Block::bordered().title(format!(" shard {} ", rates.shard));
        let details_text = Paragraph::new(lines).block(block).wrap(Wrap { trim: false });
        frame.render_widget(details_text, details);
    }
    let keys = format!("q quits, ↑ ↓ choose a shard   {}", view.notice);
    frame.render_widget(Line::styled(keys, Modifier::DIM), bottom);
}

fn table<'a>(boot: &Boot, view: &View<'_>) -> Table<'a> {
    let rows: Vec<_> = view.rates.iter().map(|rates| text::cells(boot, rates)).collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([text::HEADER[column].len()]).max().unwrap_or(0)
    };
    let widths: Vec<_> =
        (0..text::HEADER.len()).map(|column| Constraint::Length(width(column) as u16)).collect();
    let rows = rows.into_iter().zip(view.rates).map(|(cells, rates)| {
        let style = match () {
            () if rates.is_stuck() => Style::new().fg(Color::Red),
            () if rates.dropped_per_s() > 0.0 => Style::new().fg(Color::Yellow),
            () => Style::new(),
        };
        let selected = rates.shard == view.selected;
        Row::new(cells).style(if selected { style.add_modifier(Modifier::BOLD) } else { style })
    });
    let header = Row::new(text::HEADER).style(Modifier::REVERSED);
    Table::new(rows.collect::<Vec<_>>(), widths).header(header)
}

fn pulse_style(rates: &ShardRates) -> Style {
    if rates.is_stuck() { Style::new().fg(Color::Red) } else { Style::new().fg(Color::Green) }
}
