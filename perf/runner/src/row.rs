//! One server's row: medians over its rounds, and how it is printed.

use serde::Serialize;

use crate::servers::Server;

/// What one round measured of one server.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// CPU time over packets.
    pub cpu_us_per_packet: f64,
    /// Packets that the receivers counted in the window.
    pub packets: u64,
    /// Packets that they should have got.
    pub expected: u64,
    /// Packets that they did not get.
    pub lost: u64,
    /// Latency percentiles.
    pub p50_us: f64,
    /// 99th.
    pub p99_us: f64,
    /// 99.9th.
    pub p999_us: f64,
    /// Resident memory at the end of the window.
    pub rss_kib: u64,
    /// Resident memory before anybody came.
    pub idle_rss_kib: u64,
    /// Participants of a call; 0 for plain streams.
    pub participants: u64,
    /// Packets that came only after they were asked for.
    pub repaired: u64,
    /// Packets over those that the best quality would have made; below 1 a server sent less.
    pub fullness: f64,
    /// Packets per second to deliver.
    pub load_pps: f64,
    /// The generator was the bottleneck.
    pub generator_saturated: bool,
    /// CPU time had to come from the coarse clock.
    pub coarse_clock: bool,
}

/// One row. The first ten fields are the table; the rest explains them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Server.
    pub server: Server,
    /// Scenario.
    pub scenario: String,
    /// Packets that the receivers counted, all rounds added up.
    pub packets: u64,
    /// Median of CPU time over packets, all processes of the server together.
    pub cpu_us_per_packet: Option<f64>,
    /// As a multiple of the floor's.
    pub x_floor: Option<f64>,
    /// As a multiple of ringway's.
    pub x_ringway: Option<f64>,
    /// Lost packets as a part of those expected, all rounds together.
    pub loss: Option<f64>,
    /// Median of the rounds' latency percentiles.
    pub p50_us: Option<f64>,
    /// 99th.
    pub p99_us: Option<f64>,
    /// 99.9th.
    pub p999_us: Option<f64>,
    /// Median of resident memory, processes added up.
    pub rss_kib: Option<u64>,
    /// Median of resident memory before anybody came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_rss_kib: Option<u64>,
    /// Participants of the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub participants: Option<u64>,
    /// What a participant adds to the resident memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kib_per_participant: Option<f64>,
    /// Packets that came only after they were asked for, as a part of those expected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repaired: Option<f64>,
    /// Lowest and highest `cpu_us_per_packet` of the rounds.
    pub cpu_us_per_packet_spread: Option<[f64; 2]>,
    /// Rounds that went into the row.
    pub rounds: usize,
    /// Packets per second to deliver.
    pub load_pps: Option<f64>,
    /// Lost packets.
    pub lost: u64,
    /// Anything that a reader should know.
    pub notes: Vec<String>,
    /// Why there is nothing to show.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cannot_run_here: Option<String>,
}

impl Row {
    /// A row from a server's rounds, multiples left open.
    pub fn from_samples(server: Server, scenario: &str, samples: &[Sample]) -> Self {
        let of = |field: fn(&Sample) -> f64| {
            median(samples.iter().map(field).collect()).map(|value| digits(value, 1))
        };
        let costs: Vec<f64> = samples.iter().map(|sample| sample.cpu_us_per_packet).collect();
        let expected: u64 = samples.iter().map(|sample| sample.expected).sum();
        let lost: u64 = samples.iter().map(|sample| sample.lost).sum();
        let cost = median(costs.clone());
        let mut row = Self {
            server,
            scenario: scenario.to_owned(),
            packets: samples.iter().map(|sample| sample.packets).sum(),
            cpu_us_per_packet: cost.map(|cost| digits(cost, 3)),
            x_floor: None,
            x_ringway: None,
            loss: (expected > 0).then(|| lost as f64 / expected as f64),
            p50_us: of(|sample| sample.p50_us),
            p99_us: of(|sample| sample.p99_us),
            p999_us: of(|sample| sample.p999_us),
            rss_kib: of(|sample| sample.rss_kib as f64).map(|kib| kib as u64),
            idle_rss_kib: None,
            participants: None,
            kib_per_participant: None,
            repaired: None,
            cpu_us_per_packet_spread: spread(&costs).map(|spread| spread.map(|at| digits(at, 3))),
            rounds: samples.len(),
            load_pps: samples.first().map(|sample| digits(sample.load_pps, 0)),
            lost,
            notes: Vec::new(),
            cannot_run_here: None,
        };
        row.add_call(samples, expected);
        row.note(samples);
        row
    }

    /// Fills in what only calls have.
    fn add_call(&mut self, samples: &[Sample], expected: u64) {
        let participants = samples.iter().map(|sample| sample.participants).max().unwrap_or(0);
        if participants == 0 {
            return;
        }
        let median_of = |field: fn(&Sample) -> f64| median(samples.iter().map(field).collect());
        self.participants = Some(participants);
        self.idle_rss_kib = median_of(|sample| sample.idle_rss_kib as f64).map(|kib| kib as u64);
        let added = |sample: &Sample| {
            sample.rss_kib.saturating_sub(sample.idle_rss_kib) as f64 / sample.participants as f64
        };
        self.kib_per_participant = median_of(added).map(|kib| digits(kib, 1));
        let repaired: u64 = samples.iter().map(|sample| sample.repaired).sum();
        self.repaired = (expected > 0).then(|| repaired as f64 / expected as f64);
        let fullness = median_of(|sample| sample.fullness).unwrap_or(1.0);
        if fullness < 0.98 {
            let percent = (fullness * 100.0).round();
            self.notes.push(format!("delivered {percent} % of what the best quality would be"));
        }
    }

    /// A row without figures.
    pub fn cannot_run(server: Server, scenario: &str, reason: &str) -> Self {
        let mut row = Self::from_samples(server, scenario, &[]);
        row.cannot_run_here = Some(reason.to_owned());
        row
    }

    fn note(&mut self, samples: &[Sample]) {
        let saturated = samples.iter().filter(|sample| sample.generator_saturated).count();
        if saturated > 0 {
            self.notes.push(format!("the load generator was saturated in {saturated} rounds"));
        }
        if samples.iter().any(|sample| sample.coarse_clock) {
            self.notes.push("threads ended during a round: CPU time is from /proc/PID/stat".into());
        }
        if let (Some(cost), Some(load)) = (self.cpu_us_per_packet, self.load_pps) {
            let share = cost * load / 1e6;
            if share > 0.6 {
                let percent = (share * 100.0).round();
                self.notes.push(format!("{percent} % of its core: more than the 60 % allowed"));
            }
        }
    }

    /// Fills in the multiples.
    pub fn compare(&mut self, floor: Option<f64>, ringway: Option<f64>) {
        let times = |base: Option<f64>| {
            let (cost, base) = (self.cpu_us_per_packet?, base.filter(|base| *base > 0.0)?);
            Some(digits(cost / base, 2))
        };
        (self.x_floor, self.x_ringway) = (times(floor), times(ringway));
    }
}

const COLUMNS: [&str; 11] = [
    "server",
    "scenario",
    "packets",
    "cpu_us_per_packet",
    "x_floor",
    "x_ringway",
    "loss",
    "p50_us",
    "p99_us",
    "p999_us",
    "rss_kib",
];

/// The table, with the explanations below it.
pub fn table(rows: &[Row]) -> String {
    let mut lines = vec![COLUMNS.map(str::to_owned).to_vec()];
    let shown = rows.iter().filter(|row| row.cannot_run_here.is_none());
    lines.extend(shown.map(cells));
    let width = |column: usize| lines.iter().map(|line| line[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..lines[0].len()).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        let padded: Vec<String> = line
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(column, (cell, width))| match column {
                0 | 1 => format!("{cell:<width$}"),
                _ => format!("{cell:>width$}"),
            })
            .collect();
        text.push_str(padded.join("  ").trim_end());
        text.push('\n');
    }
    for row in rows {
        let name = row.server.name();
        if let Some(reason) = &row.cannot_run_here {
            text.push_str(&format!("{name}: cannot run here: {reason}\n"));
        }
        if let Some([low, high]) = row.cpu_us_per_packet_spread {
            let rounds = row.rounds;
            text.push_str(&format!("{name}: {low:.3} to {high:.3} us in {rounds} rounds\n"));
        }
        for note in &row.notes {
            text.push_str(&format!("{name}: {note}\n"));
        }
    }
    text
}

fn cells(row: &Row) -> Vec<String> {
    let number = |value: Option<f64>, digits: usize| match value {
        Some(value) => format!("{value:.digits$}"),
        None => "-".to_owned(),
    };
    let loss = match row.loss {
        Some(0.0) => "0".to_owned(),
        Some(loss) => format!("{:.4}%", loss * 100.0),
        None => "-".to_owned(),
    };
    vec![
        row.server.name().to_owned(),
        row.scenario.clone(),
        row.packets.to_string(),
        number(row.cpu_us_per_packet, 3),
        number(row.x_floor, 2),
        number(row.x_ringway, 2),
        loss,
        number(row.p50_us, 1),
        number(row.p99_us, 1),
        number(row.p999_us, 1),
        row.rss_kib.map_or("-".to_owned(), |kib| kib.to_string()),
    ]
}

/// The middle value, or the mean of the two in the middle.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        length if length % 2 == 1 => Some(values[middle]),
        _ => Some((values[middle - 1] + values[middle]) / 2.0),
    }
}

fn spread(values: &[f64]) -> Option<[f64; 2]> {
    let low = values.iter().copied().reduce(f64::min)?;
    let high = values.iter().copied().reduce(f64::max)?;
    Some([low, high])
}

fn digits(value: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(cost: f64, lost: u64) -> Sample {
        Sample {
            cpu_us_per_packet: cost,
            packets: 1000 - lost,
            expected: 1000,
            lost,
            p50_us: 10.0,
            p99_us: 20.0,
            p999_us: 30.0,
            rss_kib: 4096,
            idle_rss_kib: 1024,
            participants: 0,
            repaired: 0,
            fullness: 1.0,
            load_pps: 30_000.0,
            generator_saturated: false,
            coarse_clock: false,
        }
    }

    #[test]
    fn medians_are_in_the_middle() {
        for (values, expect) in [
            (vec![], None),
            (vec![3.0], Some(3.0)),
            (vec![9.0, 1.0, 2.0], Some(2.0)),
            (vec![4.0, 1.0, 2.0, 100.0], Some(3.0)),
        ] {
            assert_eq!(median(values.clone()), expect, "{values:?}");
        }
    }

    #[test]
    fn rows_sum_up_their_rounds() {
        let samples = [sample(2.0, 0), sample(1.0, 10), sample(6.0, 0)];
        let mut row = Row::from_samples(Server::Ringway, "s", &samples);
        row.compare(Some(1.6), Some(2.0));
        assert_eq!((row.packets, row.lost, row.loss), (2990, 10, Some(10.0 / 3000.0)));
        assert_eq!(row.cpu_us_per_packet, Some(2.0));
        assert_eq!(row.cpu_us_per_packet_spread, Some([1.0, 6.0]));
        assert_eq!((row.x_floor, row.x_ringway), (Some(1.25), Some(1.0)));
        assert!(row.notes.is_empty());
        row.compare(None, Some(0.0));
        assert_eq!((row.x_floor, row.x_ringway), (None, None));
    }

    #[test]
    fn calls_tell_memory_per_participant() {
        let call = Sample { participants: 100, repaired: 5, ..sample(1.0, 0) };
        let row = Row::from_samples(Server::Livekit, "s", std::slice::from_ref(&call));
        assert_eq!((row.participants, row.idle_rss_kib), (Some(100), Some(1024)));
        assert_eq!((row.kib_per_participant, row.repaired), (Some(30.7), Some(0.005)));
        assert!(row.notes.is_empty());
        let thin = Row::from_samples(Server::Livekit, "s", &[Sample { fullness: 0.5, ..call }]);
        assert!(thin.notes[0].contains("50 %"), "{:?}", thin.notes);
    }

    #[test]
    fn readers_are_warned() {
        let busy = Sample { generator_saturated: true, ..sample(25.0, 0) };
        let row = Row::from_samples(Server::Rtpengine, "s", &[busy]);
        assert_eq!(row.notes.len(), 2, "{:?}", row.notes);
        assert!(row.notes[1].contains("75 %"), "{:?}", row.notes);
    }

    #[test]
    fn table_has_the_agreed_columns() {
        let mut row = Row::from_samples(Server::Floor, "rtp", &[sample(1.0, 0)]);
        row.compare(Some(1.0), None);
        let text = table(&[row, Row::cannot_run(Server::Janus, "rtp", "no")]);
        let lines: Vec<&str> = text.lines().collect();
        let words = |at: usize| lines[at].split_whitespace().collect::<Vec<_>>();
        assert_eq!(words(0).len(), 11);
        assert_eq!(
            words(1),
            ["floor", "rtp", "1000", "1.000", "1.00", "-", "0", "10.0", "20.0", "30.0", "4096"]
        );
        assert_eq!(lines[2], "floor: 1.000 to 1.000 us in 1 rounds");
        assert_eq!(lines[3], "janus: cannot run here: no");
    }

    #[test]
    fn json_has_the_agreed_fields_first() {
        let row = Row::from_samples(Server::RingwayUring, "rtp", &[sample(1.0, 0)]);
        let text = serde_json::to_string(&row).unwrap();
        assert!(text.starts_with(
            "{\"server\":\"ringway-uring\",\"scenario\":\"rtp\",\"packets\":1000,\
             \"cpu_us_per_packet\":1.0,\"x_floor\":null,\"x_ringway\":null,\"loss\":0.0,\
             \"p50_us\":10.0,\"p99_us\":20.0,\"p999_us\":30.0,\"rss_kib\":4096"
        ));
    }
}
