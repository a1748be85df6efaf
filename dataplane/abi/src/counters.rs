//! The one table of per-shard counters: page offset, Prometheus name and label, help text.
//!
//! A shard owns a private array of [`Counter::COUNT`] words, adds to it as it works and publishes
//! it as one seqlock page; whoever reads the page learns every counter's meaning here.

/// What a counter's number means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows while the data plane lives.
    Counter,
    /// A reading.
    Gauge,
}

/// How a counter is presented.
#[derive(Clone, Copy, Debug)]
pub struct Info {
    /// Prometheus metric family, complete with `_total` where the kind is a counter.
    pub name: &'static str,
    /// `(label, value)` that tells members of one family apart, if there are several.
    pub label: Option<(&'static str, &'static str)>,
    /// Help text of the family.
    pub help: &'static str,
    /// Counter or gauge.
    pub kind: Kind,
}

macro_rules! label {
    () => {
        None
    };
    ($key:literal, $value:literal) => {
        Some(($key, $value))
    };
}

macro_rules! counters {
    ($($kind:ident $variant:ident $name:literal $([$key:literal = $value:literal])? $help:literal;)*) => {
        /// One counter of a shard; its discriminant is its offset in the counters page, in words.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(usize)]
        pub enum Counter {
            $(#[doc = $help] $variant,)*
        }

        impl Counter {
            /// All counters in page order.
            pub const ALL: &'static [Counter] = &[$(Counter::$variant,)*];
            /// Words in a counters page.
            pub const COUNT: usize = Self::ALL.len();

            /// How this counter is presented.
            pub const fn info(self) -> Info {
                match self {
                    $(Counter::$variant => Info {
                        name: $name,
                        label: label!($($key, $value)?),
                        help: $help,
                        kind: Kind::$kind,
                    },)*
                }
            }
        }
    };
}

counters! {
    Counter PacketsReceived "ringway_packets_received_total" "Datagrams received from the kernel.";
    Counter BytesReceived "ringway_bytes_received_total" "UDP payload bytes received.";
    Counter PacketsSent "ringway_packets_sent_total" "RTP and RTCP packets handed to the kernel.";
    Counter BytesSent "ringway_bytes_sent_total" "UDP payload bytes handed to the kernel.";
    Counter Sends "ringway_sends_total" "Send operations: one carries a run of one or more packets.";
    Counter Runs1 "ringway_runs_total" ["packets" = "1"] "Send operations by packets in the run.";
    Counter Runs2 "ringway_runs_total" ["packets" = "2"] "Send operations by packets in the run.";
    Counter Runs4 "ringway_runs_total" ["packets" = "3-4"] "Send operations by packets in the run.";
    Counter Runs8 "ringway_runs_total" ["packets" = "5-8"] "Send operations by packets in the run.";
    Counter Runs16 "ringway_runs_total" ["packets" = "9-16"] "Send operations by packets in the run.";
    Counter Runs32 "ringway_runs_total" ["packets" = "17-32"] "Send operations by packets in the run.";
    Counter RunsMore "ringway_runs_total" ["packets" = "33+"] "Send operations by packets in the run.";
    Counter RtcpReceived "ringway_rtcp_received_total" "RTCP datagrams accepted.";
    Counter RtcpSent "ringway_rtcp_sent_total" "RTCP datagrams sent.";
    Counter DropShort "ringway_packets_dropped_total" ["reason" = "short"] "Packets dropped, by reason.";
    Counter DropTruncated "ringway_packets_dropped_total" ["reason" = "truncated"] "Packets dropped, by reason.";
    Counter DropVersion "ringway_packets_dropped_total" ["reason" = "version"] "Packets dropped, by reason.";
    Counter DropHeader "ringway_packets_dropped_total" ["reason" = "header"] "Packets dropped, by reason.";
    Counter DropRtcp "ringway_packets_dropped_total" ["reason" = "rtcp"] "Packets dropped, by reason.";
    Counter DropProtocol "ringway_packets_dropped_total" ["reason" = "protocol"] "Packets dropped, by reason.";
    Counter DropSource "ringway_packets_dropped_total" ["reason" = "source"] "Packets dropped, by reason.";
    Counter DropSsrc "ringway_packets_dropped_total" ["reason" = "ssrc"] "Packets dropped, by reason.";
    Counter DropNoForward "ringway_packets_dropped_total" ["reason" = "no_forward"] "Packets dropped, by reason.";
    Counter DropSendBuffer "ringway_packets_dropped_total" ["reason" = "send_buffer"] "Packets dropped, by reason.";
    Counter DropUnreachable "ringway_packets_dropped_total" ["reason" = "unreachable"] "Packets dropped, by reason.";
    Counter DropSendError "ringway_packets_dropped_total" ["reason" = "send_error"] "Packets dropped, by reason.";
    Counter DropShardLane "ringway_packets_dropped_total" ["reason" = "shard_lane"] "Packets dropped, by reason.";
    Counter DropTcpLane "ringway_packets_dropped_total" ["reason" = "tcp_lane"] "Packets dropped, by reason.";
    Counter DropDescriptor "ringway_packets_dropped_total" ["reason" = "descriptor"] "Packets dropped, by reason.";
    Counter DropTcpPeer "ringway_packets_dropped_total" ["reason" = "tcp_peer"] "Packets dropped, by reason.";
    Counter DropTurn "ringway_packets_dropped_total" ["reason" = "turn"] "Packets dropped, by reason.";
    Counter DropFec "ringway_packets_dropped_total" ["reason" = "fec"] "Packets dropped, by reason.";
    Counter FecReceived "ringway_fec_packets_total" ["kind" = "received"] "FlexFEC repairs of publishers that were received, and packets recovered from them.";
    Counter FecRecovered "ringway_fec_packets_total" ["kind" = "recovered"] "FlexFEC repairs of publishers that were received, and packets recovered from them.";
    Counter GsoFallbacks "ringway_gso_fallbacks_total" "Runs refused by the kernel and sent again packet by packet.";
    Counter ReceiveStalls "ringway_receive_stalls_total" "Times the receive buffers ran out: packets then wait in their sockets.";
    Counter SocketOverflow "ringway_socket_overflow_total" "Datagrams the kernel dropped because a receive socket was full.";
    Counter Turns "ringway_turns_total" "Turns of the loop.";
    Counter Wakeups "ringway_wakeups_total" "Turns that began after the shard had slept.";
    Counter Syscalls "ringway_syscalls_total" "System calls made by the loop.";
    Counter BusyNs "ringway_busy_nanoseconds_total" "CPU time of the shard's thread.";
    Counter CommandsHandled "ringway_commands_total" "Commands of the control plane handled.";
    Counter CommandsInvalid "ringway_commands_invalid_total" "Lane slots that failed validation.";
    Counter EventsLost "ringway_events_lost_total" "Events not sent because the lane was full.";
    Counter HandedOver "ringway_packets_handed_over_total" "Packet references handed to another shard.";
    Counter HeldPackets "ringway_held_packets_total" "Packets of sound that waited for others before they were sent.";
    Counter HeldNs "ringway_held_nanoseconds_total" "Time from the kernel's arrival of those packets until they were sent.";
    Counter DataReceived "ringway_data_messages_received_total" "Data messages of participants, before they are judged.";
    Counter DataSent "ringway_data_messages_sent_total" "Data messages handed to receivers.";
    Counter DataMalformed "ringway_data_messages_dropped_total" ["reason" = "malformed"] "Data messages not passed on, by reason.";
    Counter DataForbidden "ringway_data_messages_dropped_total" ["reason" = "forbidden"] "Data messages not passed on, by reason.";
    Counter DataRepeated "ringway_data_messages_dropped_total" ["reason" = "repeated"] "Data messages not passed on, by reason.";
    Counter DataSlow "ringway_data_messages_dropped_total" ["reason" = "slow_receiver"] "Data messages not passed on, by reason.";
    Counter DataNoTrack "ringway_data_messages_dropped_total" ["reason" = "no_track"] "Data messages not passed on, by reason.";
    Counter DataHeld "ringway_data_senders_held_total" "Times a sender of data was made to wait because it sent too much.";
    Counter DataEnded "ringway_data_associations_ended_total" "SCTP associations that ended before their transport did.";
    Counter TcpRefused "ringway_tcp_refused_total" "TCP connections of calls that were closed: too many, or nobody knew them. Shard 0 tells for all.";
    Gauge TcpConnections "ringway_tcp_connections" "TCP connections of calls. Shard 0 tells for all.";
    Gauge TurnAllocations "ringway_turn_allocations" "Relays of TURN clients. Shard 0 tells for all.";
    Gauge Forwards "ringway_forwards" "Forwards that live on this shard.";
    Gauge Destinations "ringway_destinations" "Destinations served by this shard.";
    Gauge BuffersFree "ringway_buffers_free" "Receive buffers that are free.";
    Gauge BuffersTotal "ringway_buffers" "Receive buffers in all.";
}

/// The counter of a run of `packets`.
pub const fn run_counter(packets: usize) -> Counter {
    match packets {
        0 | 1 => Counter::Runs1,
        2 => Counter::Runs2,
        3..=4 => Counter::Runs4,
        5..=8 => Counter::Runs8,
        9..=16 => Counter::Runs16,
        17..=32 => Counter::Runs32,
        _ => Counter::RunsMore,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn offsets_are_the_page_order() {
        for (offset, counter) in Counter::ALL.iter().enumerate() {
            assert_eq!(*counter as usize, offset);
        }
    }

    #[test]
    fn families_agree_with_themselves() {
        let mut families: HashMap<&str, (&str, Kind, Vec<&str>)> = HashMap::new();
        for info in Counter::ALL.iter().map(|c| c.info()) {
            let total = info.name.ends_with("_total");
            assert_eq!(total, info.kind == Kind::Counter, "{}", info.name);
            let family =
                families.entry(info.name).or_insert_with(|| (info.help, info.kind, Vec::new()));
            assert_eq!((family.0, family.1), (info.help, info.kind), "{}", info.name);
            let value = info.label.map_or("", |(_, value)| value);
            assert!(!family.2.contains(&value), "{} {value} twice", info.name);
            family.2.push(value);
        }
    }
}
