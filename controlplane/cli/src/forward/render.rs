//! Forwards as text for people. Reads the server's JSON leniently: a field that a newer server
//! lacks shows as `-`.

use serde_json::Value;

use crate::table::{Table, short};

/// A table of forwards.
pub(super) fn many(forwards: &[Value]) -> String {
    let mut table = Table::new(&[
        "ID",
        "NAME",
        "STATE",
        "SHARD",
        "INPUT",
        "SOURCE",
        "DESTINATIONS",
        "PACKETS",
        "LOST",
    ]);
    for forward in forwards {
        table.row([
            text(forward, "/id"),
            text(forward, "/name"),
            text(forward, "/state"),
            text(forward, "/shard"),
            endpoint(&forward["input"]),
            text(forward, "/stats/source"),
            list(forward, "destinations").len().to_string(),
            count(forward, "/stats/packets"),
            count(forward, "/stats/lost"),
        ]);
    }
    table.render()
}

/// One forward with its destinations.
pub(super) fn one(forward: &Value) -> String {
    let mut lines = Vec::new();
    let mut line = |name: &str, value: String| {
        if !value.is_empty() {
            lines.push(format!("{name:<14}{value}"));
        }
    };
    line("id", text(forward, "/id"));
    line("name", text(forward, "/name"));
    line("state", text(forward, "/state"));
    line("error", text(forward, "/error"));
    line("shard", text(forward, "/shard"));
    line("created", text(forward, "/created_at"));
    line("input", endpoint(&forward["input"]));
    line("rtcp", text(forward, "/input/rtcp"));
    line("accepts", accepts(&forward["input"]));
    line("source", text(forward, "/stats/source"));
    line("last packet", text(forward, "/stats/last_packet_at"));
    for key in ["packets", "bytes", "lost", "refused", "malformed", "rtcp_packets"] {
        let value = forward.pointer(&format!("/stats/{key}")).and_then(Value::as_u64);
        line(&key.replace('_', " "), value.map(|n| n.to_string()).unwrap_or_default());
    }
    let mut page = lines.join("\n");
    let rows = list(forward, "destinations");
    if !rows.is_empty() {
        page += "\n\n";
        page += &destinations(rows);
    }
    page
}

/// A table of destinations.
pub(super) fn destinations(rows: &[Value]) -> String {
    let mut table = Table::new(&[
        "DESTINATION",
        "TO",
        "RTCP",
        "REWRITE",
        "PACKETS",
        "DROPPED",
        "LOST",
        "JITTER",
        "RTT",
    ]);
    for row in rows {
        let reported = &row["stats"]["reported"];
        let round_trip = reported["round_trip_us"].as_u64();
        table.row([
            text(row, "/id"),
            endpoint(row),
            text(row, "/rtcp"),
            rewrite(row),
            count(row, "/stats/packets"),
            count(row, "/stats/dropped"),
            count(reported, "/lost"),
            text(reported, "/jitter"),
            round_trip.map(|us| format!("{:.1}ms", us as f64 / 1e3)).unwrap_or_default(),
        ]);
    }
    table.render()
}

/// What an answer to added destinations holds: one, a list, or the whole forward.
pub(super) fn added(answer: &Value) -> Vec<Value> {
    match answer.get("destinations") {
        Some(Value::Array(rows)) => rows.clone(),
        _ => vec![answer.clone()],
    }
}

fn rewrite(row: &Value) -> String {
    let mut parts = Vec::new();
    for (key, name) in [("/ssrc", "ssrc"), ("/payload_type", "pt")] {
        let value = text(row, key);
        if !value.is_empty() {
            parts.push(format!("{name}={value}"));
        }
    }
    if row["contiguous"].as_bool() == Some(true) {
        parts.push("contiguous".to_owned());
    }
    parts.join(",")
}

fn accepts(input: &Value) -> String {
    let mut accepts = text(input, "/source");
    if accepts == "latch" {
        accepts = format!("latch (released after {} ms)", text(input, "/latch_silence_ms"));
    }
    let ssrc = text(input, "/ssrc");
    if !ssrc.is_empty() {
        accepts += &format!(", SSRC {ssrc}");
    }
    accepts
}

fn endpoint(value: &Value) -> String {
    let (address, port) = (text(value, "/address"), text(value, "/port"));
    match (address.is_empty(), address.contains(':')) {
        (true, _) => port,
        (false, true) => format!("[{address}]:{port}"),
        (false, false) => format!("{address}:{port}"),
    }
}

fn text(value: &Value, pointer: &str) -> String {
    match value.pointer(pointer) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => printable(text),
        Some(other) => other.to_string(),
    }
}

/// Names come from strangers; a terminal must not obey what is in them.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

fn count(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_f64).map(short).unwrap_or_default()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn forward() -> Value {
        json!({
            "id": "FW_1", "name": "a\u{1b}[2Jb", "state": "active", "error": null, "shard": 0,
            "input": { "address": "::", "port": 5004, "rtcp": "next_port", "source": "latch",
                       "latch_silence_ms": 1000, "ssrc": 7 },
            "destinations": [{
                "id": "FD_1", "address": "127.0.0.1", "port": 6000, "rtcp": "mux", "ssrc": 9,
                "payload_type": 96, "contiguous": true,
                "stats": { "packets": 12345, "dropped": 1,
                           "reported": { "lost": 2, "jitter": 3, "round_trip_us": 1500 } },
            }],
            "stats": { "packets": 12345, "lost": 0, "source": "192.0.2.7:4000" },
        })
    }

    #[test]
    fn tables() {
        assert_eq!(
            many(&[forward()]),
            "ID    NAME    STATE   SHARD  INPUT      SOURCE          DESTINATIONS  PACKETS  LOST\n\
             FW_1  a?[2Jb  active  0      [::]:5004  192.0.2.7:4000  1             12.3k    0\n"
        );
        let page = one(&forward());
        for part in [
            "accepts       latch (released after 1000 ms), SSRC 7\n",
            "packets       12345\n",
            "FD_1         127.0.0.1:6000  mux   ssrc=9,pt=96,contiguous  12.3k    1        2",
            "1.5ms",
        ] {
            assert!(page.contains(part), "{page}\nlacks {part:?}");
        }
    }

    #[test]
    fn strange_answers_do_no_harm() {
        for strange in [json!(null), json!([]), json!({ "id": 7, "destinations": "x" })] {
            many(std::slice::from_ref(&strange));
            one(&strange);
            destinations(&added(&strange));
        }
    }
}
