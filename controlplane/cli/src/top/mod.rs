//! `ringway top`: the shards at work, read from the pages that they publish anyway.

pub(crate) mod rates;
mod screen;
mod text;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::anyhow;
use clap::Args;
use ratatui::DefaultTerminal;
use ringway_abi::Boot;
use serde_json::{Value, json};

use crate::args::Global;
use crate::observer::{Observer, socket_path};
use crate::top::rates::{Sample, ShardRates, rates};
use crate::top::screen::{View, Wish};
use crate::{duration, output, usage};

/// How often an absent data plane is looked for.
const REJOIN_EVERY: Duration = Duration::from_millis(500);
/// Shards publish about ten times a second: below, windows would be empty.
const INTERVAL_MIN: Duration = Duration::from_millis(200);

/// Watch the shards: packets/s, ns per packet, run lengths, drops, latency
#[derive(Debug, Args)]
#[command(after_help = "\
Latency is from the kernel's receive timestamp to the send being submitted, of the last interval.
NS/PKT is the shard's CPU time per packet sent.

Examples:
  ringway top
  ringway top --once
  ringway top --json --interval 5s      one JSON object a line")]
pub(crate) struct TopArgs {
    /// Print once and end
    #[arg(long)]
    once: bool,
    /// Time between two looks
    #[arg(long, default_value = "1s", value_name = "DURATION", value_parser = duration::parse)]
    interval: Duration,
    /// Socket of the data plane; also from RINGWAY_SOCKET [default: the installed data plane's, or
    /// that of a running `ringway dev`]
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
}

pub(crate) fn run(args: &TopArgs, global: &Global) -> anyhow::Result<ExitCode> {
    if args.interval < INTERVAL_MIN {
        return Err(usage(format!("--interval must be at least {} ms", INTERVAL_MIN.as_millis())));
    }
    let socket = socket_path(args.socket.as_deref(), &global.url);
    if args.once || global.json {
        print(args, global, &socket)?;
    } else if !std::io::stdout().is_terminal() {
        return Err(usage("stdout is no terminal; use --once or --json"));
    } else {
        let observer = Observer::join(&socket)?;
        let mut terminal = ratatui::try_init()?;
        let result = Live::new(args.interval, socket, observer).run(&mut terminal);
        ratatui::restore();
        result?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Text or JSON, once or until interrupted.
fn print(args: &TopArgs, global: &Global, socket: &std::path::Path) -> anyhow::Result<()> {
    let mut observer = Observer::join(socket)?;
    loop {
        let before = observer.sample();
        std::thread::sleep(args.interval);
        if !observer.is_alive() {
            if args.once {
                return Err(anyhow!("the data plane ended while it was looked at"));
            }
            output::remark("the data plane ended; waiting for the next one");
            observer = wait_for(socket);
            continue;
        }
        let after = observer.sample();
        let rates = rates(&before, &after);
        if global.json {
            output::print_json(&object(observer.boot(), &before, &after, &rates))?;
        } else {
            output::print(&text::page(observer.boot(), &rates))?;
        }
        if args.once {
            return Ok(());
        }
    }
}

fn wait_for(socket: &std::path::Path) -> Observer {
    loop {
        match Observer::join(socket) {
            Ok(observer) => return observer,
            Err(_) => std::thread::sleep(REJOIN_EVERY),
        }
    }
}

fn object(boot: &Boot, before: &Sample, after: &Sample, rates: &[ShardRates]) -> Value {
    let shards: Vec<Value> = rates
        .iter()
        .map(|rates| {
            let shard = boot.shards.get(rates.shard);
            let mut row = json!(rates);
            row["core"] = json!(shard.and_then(|shard| shard.core));
            row["engine"] = json!(shard.map(|shard| shard.engine.name()));
            row["stuck"] = json!(rates.is_stuck());
            row
        })
        .collect();
    json!({
        "version": boot.version,
        "pid": boot.pid,
        "boot_id": format!("{:016x}", boot.boot_id),
        "interval_ms": after.taken_ns.saturating_sub(before.taken_ns) / 1_000_000,
        "shards": shards,
    })
}

/// The live view and what it knows.
struct Live {
    interval: Duration,
    socket: PathBuf,
    observer: Option<Observer>,
    before: Option<Sample>,
    rates: Vec<ShardRates>,
    selected: usize,
    notice: String,
    next_look: Instant,
}

impl Live {
    fn new(interval: Duration, socket: PathBuf, observer: Observer) -> Self {
        let before = Some(observer.sample());
        // The first figures come soon, whatever the interval.
        let next_look = Instant::now() + interval.min(Duration::from_millis(500));
        Self {
            interval,
            socket,
            observer: Some(observer),
            before,
            rates: Vec::new(),
            selected: 0,
            notice: String::new(),
            next_look,
        }
    }

    fn run(&mut self, terminal: &mut DefaultTerminal) -> anyhow::Result<()> {
        loop {
            let view = View {
                boot: self.observer.as_ref().map(Observer::boot),
                rates: &self.rates,
                notice: &self.notice,
                selected: self.selected,
            };
            screen::draw(terminal, &view)?;
            let patience = self.next_look.saturating_duration_since(Instant::now());
            match screen::wish(patience)? {
                Some(Wish::Quit) => return Ok(()),
                Some(Wish::Up) => self.selected = self.selected.saturating_sub(1),
                Some(Wish::Down) => {
                    self.selected = (self.selected + 1).min(self.rates.len().saturating_sub(1));
                }
                None => {}
            }
            if Instant::now() >= self.next_look {
                self.look();
            }
        }
    }

    /// Takes the next sample, or the next chance to join.
    fn look(&mut self) {
        if self.observer.as_ref().is_some_and(|observer| !observer.is_alive()) {
            self.observer = None;
            self.before = None;
            self.rates.clear();
            self.notice = "the data plane ended; waiting for the next one".to_owned();
        }
        match &self.observer {
            Some(observer) => {
                let after = observer.sample();
                if let Some(before) = &self.before {
                    self.rates = rates(before, &after);
                }
                self.before = Some(after);
                self.next_look = Instant::now() + self.interval;
            }
            None => {
                self.next_look = Instant::now() + REJOIN_EVERY;
                if let Ok(observer) = Observer::join(&self.socket) {
                    self.notice = "the data plane was restarted; joined again".to_owned();
                    self.before = Some(observer.sample());
                    self.observer = Some(observer);
                }
            }
        }
    }
}
