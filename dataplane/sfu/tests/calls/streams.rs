//! Streams under every condition that a seed can think of.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;
use ringway_sfu::call::dress::{Dress, MAX_HEAD_BYTES, Stamp};
use ringway_sfu::call::prepared::Prepared;
use ringway_sfu::call::route::{Decision, Limits, Pause, Route};
use ringway_sfu::call::source::{Source, SourceKind};
use ringway_sfu::report::SourceReport;
use ringway_wire::extension::ExtensionMap;
use ringway_wire::payload::Codec;
use ringway_wire::rtp::RtpView;

use crate::network::{Dice, Network, Path};
use crate::publisher::{CLOCK_HZ, Content, Encoder, FRAME_NS, FrameId};
use crate::receiver::{Receiver, Truth};

const FORMAT: (Codec, u32) = (Codec::Vp8, CLOCK_HZ);
const DRESS: Dress = Dress { ssrc: 77, payload_type: 100, red_payload_type: None, mid: None };

/// The packet that leaves by a decision, if one does.
pub(crate) fn dressed(
    prepared: &Prepared,
    bytes: &[u8],
    decision: Decision,
    extensions: &ExtensionMap,
) -> Result<Option<Vec<u8>>, String> {
    let mut out = [0; MAX_HEAD_BYTES];
    let stamp = Stamp::default();
    Ok(Some(match decision {
        Decision::Drop => return Ok(None),
        Decision::Send(sent) => {
            let head = DRESS
                .write(prepared, bytes, &sent, extensions, &stamp, &mut out)
                .ok_or("no room for a head")?;
            [&out[..head.len], &bytes[head.rest]].concat()
        }
        Decision::Pad(sent) => {
            let len = DRESS
                .write_padding(prepared, &sent, extensions, &stamp, &mut out)
                .ok_or("no room for padding")?;
            out[..len].to_vec()
        }
    }))
}

/// A publisher, a server with one subscription, and its receiver.
struct Call {
    dice: Dice,
    now_ns: u64,
    encoders: Vec<Encoder>,
    network: Network<Vec<u8>>,
    source: Source,
    route: Route,
    receiver: Receiver,
    extensions: ExtensionMap,
    /// What reached the server, by layer and number: for repetitions.
    history: HashMap<(u8, u16), Vec<u8>>,
    delivered: HashSet<FrameId>,
    in_order: HashSet<FrameId>,
    /// Numbers that were dropped although they reached the server, because the route paused.
    paused_late: HashSet<(u8, u16)>,
    padding: usize,
}

impl Call {
    fn new(seed: u64, path: Path) -> Self {
        let mut dice = Dice::new(seed);
        let mut source = Source::new(SourceKind::Camera, 3);
        let encoders: Vec<_> = (0..3).map(|layer| Encoder::new(&mut dice, layer)).collect();
        for (layer, encoder) in (0..).zip(&encoders) {
            source.bind(layer, Some(encoder.ssrc), None);
        }
        Self {
            dice,
            now_ns: 5_000_000_000,
            encoders,
            network: Network::new(path),
            source,
            route: Route::new(true, Limits::default()),
            receiver: Receiver::default(),
            extensions: ExtensionMap::default(),
            history: HashMap::new(),
            delivered: HashSet::new(),
            in_order: HashSet::new(),
            paused_late: HashSet::new(),
            padding: 0,
        }
    }

    /// One frame of every encoder that runs.
    fn frame(&mut self) -> Result<(), String> {
        self.now_ns += FRAME_NS;
        self.network.begin_frame();
        self.arrive()?;
        let (source, route) = (&mut self.source, &mut self.route);
        if let Some(layer) = route.poll_key_frame(self.now_ns, 50_000_000)
            && source.ask_key_frame(self.now_ns, layer).is_some()
        {
            self.encoders[usize::from(layer)].key_wanted = true;
        }
        for at in 0..3 {
            if self.encoders[at].running {
                for packet in self.encoders[at].encode(&mut self.dice, self.now_ns) {
                    self.network.send(&mut self.dice, packet);
                    self.arrive()?;
                }
            }
        }
        if self.source.handle_time(self.now_ns) {
            self.route.set_live(self.source.live());
        }
        Ok(())
    }

    fn report(&mut self) {
        for encoder in &self.encoders {
            let ntp = ringway_wire::ntp::from_unix_ns(self.now_ns);
            let timestamp = encoder.timestamp(self.now_ns);
            let report = SourceReport { ssrc: encoder.ssrc, ntp, timestamp, at_ns: self.now_ns };
            self.source.handle_report(report);
        }
    }

    fn arrive(&mut self) -> Result<(), String> {
        while let Some((bytes, repaired)) = self.network.receive() {
            let view = RtpView::parse(&bytes).expect("the publisher sends RTP");
            let layer = (view.ssrc() - 1000) as u8;
            let content = Content::read(&view.payload()[6..]);
            let prepared =
                self.source.prepare(self.now_ns, layer, &view, &self.extensions, FORMAT, repaired);
            let Ok((prepared, news)) = prepared else { continue };
            self.history.insert((layer, view.sequence()), bytes.clone());
            // What comes while nobody wants it cannot be missed.
            let paused = self.route.pause().unwanted;
            if !paused {
                self.delivered.insert(content.frame);
            }
            if prepared.ahead > 0 {
                self.in_order.insert(content.frame);
            }
            if news {
                self.route.set_live(self.source.live());
            }
            let decision = self.route.offer(&prepared);
            self.send(&prepared, &bytes, decision)?;
            if decision == Decision::Drop && paused {
                self.paused_late.insert((layer, view.sequence()));
            }
        }
        Ok(())
    }

    fn send(
        &mut self,
        prepared: &Prepared,
        bytes: &[u8],
        decision: Decision,
    ) -> Result<(), String> {
        self.padding += usize::from(matches!(decision, Decision::Pad(_)));
        match dressed(prepared, bytes, decision, &self.extensions)? {
            Some(packet) => self.receiver.handle(&packet).map(drop),
            None => Ok(()),
        }
    }

    /// Everything on the way arrives, the receiver asks for what it lacks, and all is checked.
    fn end(mut self, complete: bool) -> Result<Self, String> {
        self.network.settle();
        self.arrive()?;
        for hole in self.receiver.holes() {
            let Some(resend) = self.route.sent_as(hole as u16) else {
                return Err(format!("nothing is known of {hole}"));
            };
            let key = (resend.layer(), resend.sequence);
            let Some(bytes) = self.history.get(&key).cloned() else { continue };
            if !self.paused_late.contains(&key) {
                return Err(format!("{hole} was {key:?}, which came and was not sent"));
            }
            let view = RtpView::parse(&bytes).expect("the publisher sends RTP");
            let again = self.source.reread(key.0, &view, &self.extensions, FORMAT, self.now_ns);
            let again = again.ok_or("cannot be read again")?;
            let decision = self.route.decide_again(&resend, &again);
            self.send(&again, &bytes, decision)?;
        }
        let [low, middle, high] = &self.encoders[..] else { panic!("three layers") };
        self.receiver.check_frames(&Truth {
            made: [&low.made, &middle.made, &high.made],
            delivered: &self.delivered,
            in_order: &self.in_order,
            complete,
        })?;
        if complete && !self.receiver.holes().is_empty() {
            return Err(format!("holes: {:?}", self.receiver.holes()));
        }
        Ok(self)
    }
}

/// Something that happens between two frames.
fn happen(call: &mut Call) {
    let now_ns = call.now_ns;
    match call.dice.roll(60) {
        0 => {
            let limits = Limits {
                max_layer: call.dice.roll(3) as u8,
                affordable_layer: 1 + call.dice.roll(3) as u8,
                max_temporal: call.dice.roll(3) as u8,
            };
            call.route.set_limits(limits);
        }
        1 => {
            let at = call.dice.roll(3) as usize;
            call.encoders[at].running ^= true;
        }
        2 | 3 => call.report(),
        4 => {
            let unwanted = !call.route.pause().unwanted;
            call.route.set_pause(now_ns, Pause { unwanted, muted: false }, None);
        }
        _ => {}
    }
}

fn run(seed: u64, path: Path, frames: u32, complete: bool) -> Result<Call, String> {
    let mut call = Call::new(seed, path);
    for _ in 0..frames {
        happen(&mut call);
        call.frame()?;
    }
    call.end(complete)
}

/// Set to a number, it runs that many cases of each property.
const CASES_VARIABLE: &str = "RINGWAY_CALL_CASES";

pub(crate) fn cases() -> ProptestConfig {
    let cases = std::env::var(CASES_VARIABLE).ok().and_then(|cases| cases.parse().ok());
    ProptestConfig::with_cases(cases.unwrap_or(1500))
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn streams_are_contiguous_and_decodable(
        seed in any::<u64>(),
        (loss, repair) in (0u64..21, 0u64..101),
        (reorder, double) in (0u64..30, 0u64..10),
        frames in 10u32..100,
    ) {
        let path = Path { loss, repair, reorder, double };
        if let Err(error) = run(seed, path, frames, false) {
            return Err(TestCaseError::fail(error));
        }
    }

    #[test]
    fn without_loss_nothing_is_missing(seed in any::<u64>(), frames in 10u32..100) {
        match run(seed, Path::default(), frames, true) {
            Ok(call) => prop_assert_eq!(call.padding, 0),
            Err(error) => return Err(TestCaseError::fail(error)),
        }
    }
}

#[test]
fn a_receiver_gets_pictures_and_layers() {
    // A condition on which most tests above could pass without a single frame.
    let mut call = Call::new(7, Path::default());
    let mut layers = HashSet::new();
    for frame in 0..300 {
        if frame % 30 == 5 {
            call.report();
        }
        let max_layer = [2, 0, 1][frame / 100];
        if frame % 100 == 0 {
            call.route.set_limits(Limits { max_layer, ..Limits::default() });
        }
        call.frame().expect("all is well");
        if frame % 100 == 99 {
            assert_eq!(call.route.layer(), Some(max_layer));
            layers.insert(max_layer);
        }
    }
    let call = call.end(true).expect("all is well");
    assert!(call.receiver.frames.len() > 290, "{}", call.receiver.frames.len());
    assert_eq!(layers.len(), 3);
    // Time goes on as it does for the sender, across switches.
    let times: Vec<u32> = call.receiver.got.values().map(|got| got.timestamp).collect();
    let widest = times.windows(2).map(|pair| pair[1].wrapping_sub(pair[0])).max();
    assert!(widest.is_some_and(|ticks| ticks <= 3001), "{widest:?}");
    assert_eq!(call.route.counts.packets as usize, call.receiver.got.len());
}
