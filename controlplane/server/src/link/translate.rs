//! The room's words to the contract's and back.

use ringway_abi::message as abi;
use ringway_room::plane::{Ask, Bound, Command, Event, Outcome, Reason, Refused, Served};
use ringway_room::spec::{Policy, Rtcp, Source};
use rustix::time::{ClockId, clock_gettime};

/// How long ago this reading of the monotonic clock was.
pub(super) fn age_ns(then_ns: u64) -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let now_ns = now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64;
    now_ns.saturating_sub(then_ns)
}

pub(super) fn command(command: &Command) -> abi::Command {
    let request = command.request;
    match command.ask {
        Ask::CreateForward(binding) => abi::Command::CreateForward {
            request,
            spec: abi::ForwardSpec {
                key: binding.key,
                address: binding.address,
                rtp_port: binding.rtp_port,
                rtcp: rtcp(binding.rtcp),
                policy: policy(binding.policy),
            },
        },
        Ask::UpdateForward(forward, new) => {
            abi::Command::UpdateForward { request, forward, policy: policy(new) }
        }
        Ask::RemoveForward(forward) => abi::Command::RemoveForward { request, forward },
        Ask::AddDestination(forward, served) => {
            abi::Command::AddDestination { request, forward, spec: destination(served) }
        }
        Ask::RemoveDestination(forward, destination) => {
            abi::Command::RemoveDestination { request, forward, destination }
        }
        Ask::Snapshot => abi::Command::Snapshot { request },
    }
}

pub(super) fn event(event: abi::Event) -> Event {
    match event {
        abi::Event::Done { request, outcome: how } => {
            Event::Done { request, outcome: outcome(how) }
        }
        abi::Event::ForwardIs { request, spec, bound: at } => Event::ForwardIs {
            request,
            key: spec.key,
            address: spec.address,
            policy: policy_back(spec.policy),
            bound: bound(at),
        },
        abi::Event::DestinationIs { request, forward, spec, stats_slot } => {
            Event::DestinationIs { request, forward, served: served(spec), slot: stats_slot }
        }
        abi::Event::SourceIs { forward, address, .. } => Event::SourceIs { forward, address },
        // Calls take theirs out before.
        abi::Event::Resync | abi::Event::Call(_) => Event::Resync,
    }
}

fn rtcp(rtcp: Rtcp) -> abi::RtcpInput {
    match rtcp {
        Rtcp::Mux => abi::RtcpInput::Mux,
        Rtcp::NextPort => abi::RtcpInput::NextPort,
        Rtcp::Port(port) => abi::RtcpInput::Port(port),
    }
}

fn policy(policy: Policy) -> abi::InputPolicy {
    let source = match policy.source {
        Source::Any => abi::SourcePolicy::Any,
        Source::Latch { silence_ms } => abi::SourcePolicy::Latch { silence_ms },
        Source::Address(address) => abi::SourcePolicy::Address(address),
        Source::Exact(address) => abi::SourcePolicy::Exact(address),
    };
    abi::InputPolicy { source, ssrc: policy.ssrc }
}

fn policy_back(policy: abi::InputPolicy) -> Policy {
    let source = match policy.source {
        abi::SourcePolicy::Any => Source::Any,
        abi::SourcePolicy::Latch { silence_ms } => Source::Latch { silence_ms },
        abi::SourcePolicy::Address(address) => Source::Address(address),
        abi::SourcePolicy::Exact(address) => Source::Exact(address),
    };
    Policy { source, ssrc: policy.ssrc }
}

fn destination(served: Served) -> abi::DestinationSpec {
    let Served { key, shard, rtp, rtcp, ssrc, payload_type, contiguous } = served;
    let rewrite = abi::Rewrite { ssrc, payload_type, contiguous };
    abi::DestinationSpec { key, shard, rtp, rtcp, rewrite }
}

fn served(spec: abi::DestinationSpec) -> Served {
    let abi::DestinationSpec { key, shard, rtp, rtcp, rewrite } = spec;
    let abi::Rewrite { ssrc, payload_type, contiguous } = rewrite;
    Served { key, shard, rtp, rtcp, ssrc, payload_type, contiguous }
}

fn bound(bound: abi::Bound) -> Bound {
    Bound { rtp: bound.rtp, rtcp: bound.rtcp, slot: bound.stats_slot }
}

fn outcome(outcome: abi::Outcome) -> Outcome {
    match outcome {
        abi::Outcome::Forward(at) => Outcome::Forward(bound(at)),
        abi::Outcome::Destination { stats_slot } => Outcome::Destination(stats_slot),
        abi::Outcome::Removed => Outcome::Removed,
        abi::Outcome::SnapshotEnd => Outcome::SnapshotEnd,
        abi::Outcome::Accepted | abi::Outcome::Media { .. } | abi::Outcome::Listening { .. } => {
            Outcome::Removed
        }
        abi::Outcome::Refused { reason: why, errno } => {
            Outcome::Refused(Refused { reason: reason(why), errno })
        }
    }
}

fn reason(refusal: abi::Refusal) -> Reason {
    match refusal {
        abi::Refusal::PortInUse => Reason::PortInUse,
        abi::Refusal::AddressNotAvailable => Reason::AddressNotAvailable,
        abi::Refusal::PermissionDenied => Reason::PermissionDenied,
        abi::Refusal::PortRangeExhausted => Reason::PortRangeExhausted,
        abi::Refusal::Conflict => Reason::Conflict,
        abi::Refusal::NoSuchForward => Reason::NoSuchForward,
        abi::Refusal::NoSuchShard => Reason::NoSuchShard,
        abi::Refusal::FamilyMismatch => Reason::FamilyMismatch,
        abi::Refusal::TableFull => Reason::TableFull,
        abi::Refusal::Invalid
        | abi::Refusal::NoSuchTransport
        | abi::Refusal::NoSuchSource
        | abi::Refusal::NoSuchRoute => Reason::Invalid,
        abi::Refusal::Io => Reason::Io,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ringway_room::plane::Binding;

    /// What the room says in a command comes back the same in a snapshot.
    #[test]
    fn there_and_back() {
        let policies = [
            Policy { source: Source::Any, ssrc: None },
            Policy { source: Source::Latch { silence_ms: 7 }, ssrc: Some(1) },
            Policy { source: Source::Address("10.0.0.1".parse().unwrap()), ssrc: None },
            Policy { source: Source::Exact("[::1]:9".parse().unwrap()), ssrc: Some(u32::MAX) },
        ];
        for policy in policies {
            let address = "::".parse().unwrap();
            let rtcp = Rtcp::Port(9);
            let binding = Binding { key: 3, address, rtp_port: 5, rtcp, policy };
            let asked = Command { request: 4, ask: Ask::CreateForward(binding) };
            let abi::Command::CreateForward { request, spec } = command(&asked) else { panic!() };
            let at = |port| std::net::SocketAddr::new(address, port);
            let bound = abi::Bound { rtp: at(5), rtcp: at(9), stats_slot: 8 };
            let told = event(abi::Event::ForwardIs { request, spec, bound });
            let bound = Bound { rtp: at(5), rtcp: at(9), slot: 8 };
            assert_eq!(told, Event::ForwardIs { request: 4, key: 3, address, policy, bound });
        }
        let served = Served {
            key: 1,
            shard: 2,
            rtp: "10.0.0.1:1".parse().unwrap(),
            rtcp: "10.0.0.1:2".parse().unwrap(),
            ssrc: Some(3),
            payload_type: Some(4),
            contiguous: true,
        };
        assert_eq!(super::served(destination(served)), served);
    }
}
