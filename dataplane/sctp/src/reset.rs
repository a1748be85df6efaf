//! Stream resets (RFC 6525): ours are asked for, the peer's are granted.

use crate::chunk::kind;
use crate::chunk::{Chunks, long, put_chunk, put_parameter, short};
use crate::serial::distance;

/// Types of parameter (RFC 6525 4).
const OUTGOING_RESET: u16 = 13;
const INCOMING_RESET: u16 = 14;
const ASSOCIATION_RESET: u16 = 15;
const RESPONSE: u16 = 16;
const ADD_OUTGOING: u16 = 17;
const ADD_INCOMING: u16 = 18;

/// RFC 6525 4.4: results.
const NOTHING_TO_DO: u32 = 0;
const PERFORMED: u32 = 1;
const DENIED: u32 = 2;
const BAD_SEQUENCE: u32 = 5;
const IN_PROGRESS: u32 = 6;

/// RFC 6525 3.1: parameters of one chunk.
const PARAMETERS_MAX: usize = 2;

/// A request of ours.
#[derive(Debug)]
struct Request {
    sequence: u32,
    last_tsn: u32,
    streams: Vec<u16>,
    /// It goes with the next packet.
    due: bool,
    again_ns: u64,
    wait_ns: u64,
}

/// A request of the peer's that waits until all came that was sent before it.
#[derive(Debug)]
struct Deferred {
    sequence: u32,
    last_tsn: u64,
    streams: Vec<u16>,
}

/// What came of a chunk.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The peer's streams are reset now; all of them where none is named.
    Reset(Vec<u16>),
    /// Ours go on, from their start where `reset`.
    Answered { streams: Vec<u16>, reset: bool },
}

/// Both directions.
#[derive(Debug)]
pub(crate) struct Resets {
    next_sequence: u32,
    request: Option<Request>,
    /// Streams of ours that shall be reset; they may have something to send before.
    wanted: Vec<u16>,
    expected: u32,
    last_result: u32,
    deferred: Option<Deferred>,
}

impl Resets {
    /// RFC 6525 4.1: the numbers begin with the first TSNs of both sides.
    pub(crate) fn new(local_tsn: u32, peer_tsn: u32) -> Self {
        Self {
            next_sequence: local_tsn,
            request: None,
            wanted: Vec::new(),
            expected: peer_tsn,
            last_result: NOTHING_TO_DO,
            deferred: None,
        }
    }

    /// Streams shall be reset.
    pub(crate) fn want(&mut self, id: u16) {
        let asked = self.request.as_ref().is_some_and(|request| request.streams.contains(&id));
        if !asked && !self.wanted.contains(&id) {
            self.wanted.push(id);
        }
    }

    /// Whether to look for streams that are ready.
    #[inline]
    pub(crate) fn is_waiting(&self) -> bool {
        self.request.is_none() && !self.wanted.is_empty()
    }

    /// Asks for those of `wanted` that are `ready`, at most `room` of them.
    pub(crate) fn ask(&mut self, last_tsn: u32, room: usize, ready: impl Fn(u16) -> bool) {
        let mut streams = Vec::new();
        self.wanted.retain(|id| {
            let taken = streams.len() < room && ready(*id);
            if taken {
                streams.push(*id);
            }
            !taken
        });
        if streams.is_empty() {
            return;
        }
        let sequence = self.next_sequence;
        self.next_sequence = sequence.wrapping_add(1);
        self.request =
            Some(Request { sequence, last_tsn, streams, due: true, again_ns: 0, wait_ns: 0 });
    }

    /// Of the request's chunk.
    pub(crate) fn bytes(&self) -> usize {
        self.request
            .as_ref()
            .map_or(0, |request| (20 + 2 * request.streams.len()).next_multiple_of(4))
    }

    #[inline]
    pub(crate) fn is_due(&self) -> bool {
        self.request.as_ref().is_some_and(|request| request.due)
    }

    #[inline]
    pub(crate) fn deadline(&self) -> Option<u64> {
        let request = self.request.as_ref()?;
        (!request.due).then_some(request.again_ns)
    }

    /// Gives whether the peer has not answered in time.
    pub(crate) fn handle_timeout(&mut self, now_ns: u64) -> bool {
        match &mut self.request {
            Some(request) if !request.due && request.again_ns <= now_ns => {
                request.due = true;
                true
            }
            _ => false,
        }
    }

    /// Adds the request, to be repeated after `rto_ns`, then later.
    pub(crate) fn write(&mut self, out: &mut Vec<u8>, now_ns: u64, rto_ns: u64, rto_max_ns: u64) {
        let answered = self.expected.wrapping_sub(1);
        let Some(request) = &mut self.request else { return };
        request.due = false;
        request.wait_ns = (2 * request.wait_ns).clamp(rto_ns, rto_max_ns.max(rto_ns));
        request.again_ns = now_ns + request.wait_ns;
        put_chunk(out, kind::RE_CONFIG, 0, |out| {
            put_parameter(out, OUTGOING_RESET, |out| {
                for word in [request.sequence, answered, request.last_tsn] {
                    out.extend_from_slice(&word.to_be_bytes());
                }
                for id in &request.streams {
                    out.extend_from_slice(&id.to_be_bytes());
                }
            });
        });
    }

    /// Whether a chunk of a stream belongs to its time after a reset that is not due yet. RFC 6525
    /// 5.2.2 E3 has it held back; it is not taken, so that the peer holds it.
    #[inline]
    pub(crate) fn defers(&self, tsn: u64, stream: u16) -> bool {
        self.deferred.as_ref().is_some_and(|deferred| {
            tsn > deferred.last_tsn
                && (deferred.streams.is_empty() || deferred.streams.contains(&stream))
        })
    }

    /// RFC 6525 5.2.2 E4: all came that was sent before the reset.
    #[inline]
    pub(crate) fn handle_progress(
        &mut self,
        cumulative: u64,
        out: &mut Vec<u8>,
    ) -> Option<Outcome> {
        let deferred = self.deferred.take_if(|deferred| deferred.last_tsn <= cumulative)?;
        self.last_result = PERFORMED;
        respond(out, deferred.sequence, PERFORMED);
        Some(Outcome::Reset(deferred.streams))
    }

    /// Takes a RE-CONFIG; answers are added to `out`.
    pub(crate) fn handle_chunk(
        &mut self,
        body: &[u8],
        limits: Limits,
        out: &mut Vec<u8>,
        outcomes: &mut Vec<Outcome>,
    ) {
        for parameter in Chunks::of_parameters(body).take(PARAMETERS_MAX) {
            let name = u16::from_be_bytes([parameter.kind, parameter.flags]);
            let value = parameter.body;
            let Some(sequence) = long(value, 0) else { continue };
            let outcome = match name {
                OUTGOING_RESET => self.handle_request(sequence, value, limits, out),
                RESPONSE => self.handle_response(sequence, long(value, 4), limits),
                INCOMING_RESET | ASSOCIATION_RESET | ADD_OUTGOING | ADD_INCOMING => {
                    if let Some(result) = self.judge(sequence) {
                        self.conclude(DENIED);
                        respond(out, sequence, result.unwrap_or(DENIED));
                    }
                    None
                }
                _ => None,
            };
            outcomes.extend(outcome);
        }
    }

    /// RFC 6525 5.2.1: `None` when it is neither the next request nor the last one again, and was
    /// answered so; otherwise the answer, where it is the last one again.
    fn judge(&mut self, sequence: u32) -> Option<Option<u32>> {
        match distance(self.expected, sequence) {
            0 => Some(None),
            -1 => Some(Some(self.last_result)),
            _ => None,
        }
    }

    fn conclude(&mut self, result: u32) {
        self.expected = self.expected.wrapping_add(1);
        self.last_result = result;
    }

    fn handle_request(
        &mut self,
        sequence: u32,
        value: &[u8],
        limits: Limits,
        out: &mut Vec<u8>,
    ) -> Option<Outcome> {
        let Some(before) = self.judge(sequence) else {
            respond(out, sequence, BAD_SEQUENCE);
            return None;
        };
        if let Some(result) = before {
            respond(out, sequence, result);
            return None;
        }
        let (Some(last_tsn), Some(ids)) = (long(value, 8), value.get(12..)) else {
            respond(out, sequence, DENIED);
            return None;
        };
        let ids = ids.chunks_exact(2).filter_map(|id| short(id, 0));
        let mut streams: Vec<u16> = ids.collect();
        streams.sort_unstable();
        streams.dedup();
        if streams.last().is_some_and(|id| *id >= limits.streams) || self.deferred.is_some() {
            self.conclude(DENIED);
            respond(out, sequence, DENIED);
            return None;
        }
        let last_tsn = crate::serial::extend(limits.cumulative, last_tsn);
        if last_tsn > limits.cumulative {
            self.conclude(IN_PROGRESS);
            respond(out, sequence, IN_PROGRESS);
            self.deferred = Some(Deferred { sequence, last_tsn, streams });
            return None;
        }
        self.conclude(PERFORMED);
        respond(out, sequence, PERFORMED);
        Some(Outcome::Reset(streams))
    }

    fn handle_response(
        &mut self,
        sequence: u32,
        result: Option<u32>,
        limits: Limits,
    ) -> Option<Outcome> {
        let request = self.request.as_mut().filter(|request| request.sequence == sequence)?;
        match result? {
            IN_PROGRESS => {
                request.due = false;
                request.wait_ns = 0;
                request.again_ns = limits.again_ns;
                None
            }
            result => {
                let request = self.request.take()?;
                let reset = matches!(result, NOTHING_TO_DO | PERFORMED);
                Some(Outcome::Answered { streams: request.streams, reset })
            }
        }
    }
}

/// What an association knows when a request or an answer comes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) cumulative: u64,
    pub(crate) streams: u16,
    /// When to ask again where the peer is not ready.
    pub(crate) again_ns: u64,
}

fn respond(out: &mut Vec<u8>, sequence: u32, result: u32) {
    put_chunk(out, kind::RE_CONFIG, 0, |out| {
        put_parameter(out, RESPONSE, |out| {
            out.extend_from_slice(&sequence.to_be_bytes());
            out.extend_from_slice(&result.to_be_bytes());
        });
    });
}

#[cfg(test)]
#[path = "reset_tests.rs"]
mod tests;
