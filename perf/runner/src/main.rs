//! `ringway-compare`: the program behind `perf/compare`.

use std::process::ExitCode;

use clap::Parser;
use ringway_compare::options::Options;
use ringway_compare::rounds::{Comparison, stop_flag, was_stopped};
use ringway_compare::row::table;

fn main() -> ExitCode {
    let options = Options::parse();
    let stop = match stop_flag() {
        Ok(stop) => stop,
        Err(error) => {
            eprintln!("cannot watch signals: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = Comparison::new(&options, stop.clone()).and_then(|mut it| it.run());
    match result {
        Ok(rows) if options.json => {
            for row in &rows {
                match serde_json::to_string(row) {
                    Ok(line) => println!("{line}"),
                    Err(error) => eprintln!("{}: {error}", row.server.name()),
                }
            }
        }
        Ok(rows) => print!("{}", table(&rows)),
        Err(_) if was_stopped(&stop) => {
            eprintln!("stopped; all servers are ended and their files removed");
            return ExitCode::from(130);
        }
        Err(error) => {
            eprintln!("{error:#}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
