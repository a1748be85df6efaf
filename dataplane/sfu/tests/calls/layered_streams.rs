//! Streams that hold several layers, under every condition that a seed can think of: what a
//! subscriber receives is contiguous and can be decoded.

use std::collections::{BTreeMap, HashMap, HashSet};

use proptest::prelude::*;
use ringway_sfu::call::prepared::Prepared;
use ringway_sfu::call::route::{Decision, Limits, Pause, Resend, Route};
use ringway_sfu::call::scaled::Told;
use ringway_sfu::call::source::{Source, SourceKind};
use ringway_wire::dependency::Structure;
use ringway_wire::extension::{ExtensionKind, ExtensionMap, Located};
use ringway_wire::payload::Codec;
use ringway_wire::rtp::RtpView;
use ringway_wire::sequence::distance;

use crate::layered::{Content, DESCRIPTOR_ID, Encoder, Mode, SSRC};
use crate::network::{Dice, Network, Path};
use crate::publisher::{CLOCK_HZ, FRAME_NS};
use crate::streams::{cases, dressed};

const MODES: [Mode; 4] = [
    Mode { key_only: false, descriptors: true },
    Mode { key_only: true, descriptors: true },
    Mode { key_only: false, descriptors: false },
    Mode { key_only: true, descriptors: false },
];

/// A packet as the receiver got it.
#[derive(Clone, Debug)]
struct Got {
    timestamp: u32,
    marker: bool,
    /// `None`: padding.
    content: Option<Content>,
    descriptor: Vec<u8>,
}

/// A publisher, a server with one subscription, and its receiver.
struct Call {
    dice: Dice,
    now_ns: u64,
    mode: Mode,
    encoder: Encoder,
    network: Network<Vec<u8>>,
    source: Source,
    route: Route,
    extensions: ExtensionMap,
    history: HashMap<u16, Vec<u8>>,
    /// Frames of which something reached the server while the route was not paused.
    delivered: HashSet<u32>,
    paused_late: HashSet<u16>,
    /// Frames of which something came in a pause and was asked for behind it: they lie before the
    /// key frame with which the receiver went on, and it needs none of them.
    from_pauses: HashSet<u32>,
    /// By extended number.
    got: BTreeMap<u64, Got>,
    highest: Option<u64>,
    /// What the receiver was told of the numbers that it lacked at the end of each picture, as
    /// receivers ask soon: what a number stood for is not known for ever.
    asked: BTreeMap<u64, Option<Resend>>,
    asked_up_to: Option<u64>,
}

impl Call {
    fn new(seed: u64, path: Path, mode: Mode) -> Self {
        let mut dice = Dice::new(seed);
        let mut source = Source::new(SourceKind::Camera, 1);
        source.bind(0, Some(SSRC), None);
        let mut extensions = ExtensionMap::default();
        extensions.insert(DESCRIPTOR_ID, ExtensionKind::DependencyDescriptor);
        Self {
            encoder: Encoder::new(&mut dice, mode),
            dice,
            now_ns: 5_000_000_000,
            mode,
            network: Network::new(path),
            source,
            route: Route::new(true, Limits::default()),
            extensions,
            history: HashMap::new(),
            delivered: HashSet::new(),
            paused_late: HashSet::new(),
            from_pauses: HashSet::new(),
            got: BTreeMap::new(),
            highest: None,
            asked: BTreeMap::new(),
            asked_up_to: None,
        }
    }

    fn format(&self) -> (Codec, u32) {
        (if self.mode.descriptors { Codec::Av1 } else { Codec::Vp9 }, CLOCK_HZ)
    }

    fn tell(&mut self) {
        self.route.set_scalable(self.source.is_scalable());
        self.route.set_live(self.source.live());
    }

    /// One picture.
    fn picture(&mut self) -> Result<(), String> {
        self.now_ns += FRAME_NS;
        if let Some(layer) = self.route.poll_key_frame(self.now_ns, 50_000_000)
            && self.source.ask_key_frame(self.now_ns, layer).is_some()
        {
            self.encoder.key_wanted = true;
        }
        for packet in self.encoder.encode(&mut self.dice, self.now_ns) {
            self.network.send(&mut self.dice, packet);
            self.arrive()?;
        }
        if self.source.handle_time(self.now_ns) {
            self.tell();
        }
        self.ask();
        Ok(())
    }

    /// Asks for the numbers that are missing now.
    fn ask(&mut self) {
        let (Some(highest), Some(first)) = (self.highest, self.got.keys().next()) else { return };
        for hole in self.asked_up_to.unwrap_or(*first)..highest {
            if !self.got.contains_key(&hole) {
                self.asked.insert(hole, self.route.sent_as(hole as u16));
            }
        }
        self.asked_up_to = Some(highest);
    }

    fn arrive(&mut self) -> Result<(), String> {
        while let Some((bytes, repaired)) = self.network.receive() {
            let view = RtpView::parse(&bytes).expect("the publisher sends RTP");
            let (now_ns, format) = (self.now_ns, self.format());
            let prepared =
                self.source.prepare(now_ns, 0, &view, &self.extensions, format, repaired);
            let Ok((prepared, news)) = prepared else { continue };
            let sequence = view.sequence();
            self.history.insert(sequence, bytes.clone());
            let paused = self.route.pause().unwanted;
            if !paused {
                self.delivered.insert(Content::read(view.payload()).frame);
            }
            if news {
                self.tell();
            }
            let decision = self.route.offer(&prepared);
            self.send(&prepared, &bytes, decision)?;
            if decision == Decision::Drop && paused {
                self.paused_late.insert(sequence);
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
        match dressed(prepared, bytes, decision, &self.extensions)? {
            Some(packet) => self.receive(&packet),
            None => Ok(()),
        }
    }

    fn receive(&mut self, packet: &[u8]) -> Result<(), String> {
        let view = RtpView::parse(packet).map_err(|error| error.to_string())?;
        let extended = match self.highest {
            None => 0x1_0000 + u64::from(view.sequence()),
            Some(highest) => {
                highest.wrapping_add_signed(i64::from(distance(highest as u16, view.sequence())))
            }
        };
        self.highest = self.highest.max(Some(extended));
        let payload = view.payload();
        let content = (!payload.is_empty()).then(|| Content::read(payload));
        let located = Located::find(&view, &self.extensions);
        let descriptor = located.get(packet, ExtensionKind::DependencyDescriptor);
        let got = Got {
            timestamp: view.timestamp(),
            marker: view.marker(),
            content,
            descriptor: descriptor.unwrap_or_default().to_vec(),
        };
        match self.got.insert(extended, got) {
            Some(before) => Err(format!("{extended} twice: {before:?}")),
            None => Ok(()),
        }
    }

    fn end(mut self, complete: bool) -> Result<Self, String> {
        self.network.settle();
        self.arrive()?;
        self.ask();
        for (hole, resend) in std::mem::take(&mut self.asked) {
            if self.got.contains_key(&hole) {
                continue;
            }
            let resend = resend.ok_or_else(|| format!("nothing is known of {hole}"))?;
            let Some(bytes) = self.history.get(&resend.sequence).cloned() else {
                if complete {
                    return Err(format!("{hole} is missing"));
                }
                continue;
            };
            if !self.paused_late.contains(&resend.sequence) {
                return Err(format!("{hole} came as {} and was not sent", resend.sequence));
            }
            let view = RtpView::parse(&bytes).expect("the publisher sends RTP");
            let (now_ns, format) = (self.now_ns, self.format());
            let again = self.source.reread(0, &view, &self.extensions, format, now_ns);
            let again = again.ok_or("cannot be read again")?;
            if again.scaled.is_some_and(|scaled| scaled.told == Told::Unknown) {
                // Receivers ask within a second, in which there are not two other structures.
                continue;
            }
            self.from_pauses.insert(Content::read(view.payload()).frame);
            let decision = self.route.decide_again(&resend, &again);
            self.send(&again, &bytes, decision)?;
        }
        self.check(complete)?;
        Ok(self)
    }

    fn check(&self, complete: bool) -> Result<(), String> {
        let sent: HashSet<u32> =
            self.got.values().filter_map(|got| Some(got.content?.frame)).collect();
        let mut structure = Structure::default();
        let mut before: Option<(Content, &Got)> = None;
        let mut number = None;
        let mut active = u32::MAX;
        for got in self.got.values() {
            let Some(content) = got.content else { continue };
            let judged = !self.from_pauses.contains(&content.frame);
            for need in content.needs.into_iter().filter(|need| judged && *need != 0) {
                if self.delivered.contains(&need) && !sent.contains(&need) {
                    return Err(format!("{content:?} needs {need}, which was left out"));
                }
            }
            if let Some((last, last_got)) = before {
                check_step((last, last_got), (content, got), complete)?;
            }
            if complete && self.mode.descriptors {
                let told = &mut active;
                number = Some(check_descriptor(&mut structure, &content, got, number, told)?);
            }
            before = Some((content, got));
        }
        Ok(())
    }

    /// The highest layers of the last pictures that were received.
    fn shown(&self, pictures: usize) -> (u8, u8) {
        let mut times: Vec<u32> = self.got.values().map(|got| got.timestamp).collect();
        times.dedup();
        let since = times[times.len().saturating_sub(pictures)..].to_vec();
        let layers = |got: &Got| {
            let content = got.content.filter(|_| since.contains(&got.timestamp))?;
            Some((content.spatial, content.temporal))
        };
        let shown = || self.got.values().filter_map(layers);
        (
            shown().map(|(spatial, _)| spatial).max().unwrap_or(0),
            shown().map(|(_, temporal)| temporal).max().unwrap_or(0),
        )
    }
}

/// Frames and pictures come one after the other, each whole, and the marker ends the picture.
fn check_step(
    (last, last_got): (Content, &Got),
    (next, got): (Content, &Got),
    complete: bool,
) -> Result<(), String> {
    let step = format!("from {last:?} to {next:?}");
    let same = last_got.timestamp == got.timestamp;
    let elapsed = got.timestamp.wrapping_sub(last_got.timestamp) as i32;
    if next.frame < last.frame || elapsed < 0 || same && next.temporal != last.temporal {
        return Err(format!("back {step}, {elapsed}"));
    }
    // A layer may begin in the midst of a picture whose begin, or whose key frame's, came late.
    if complete && same && last_got.marker {
        return Err(format!("the picture does not end {step}"));
    }
    if !complete {
        return Ok(());
    }
    let whole = match last.frame == next.frame {
        true => next.packet == last.packet + 1,
        false => next.packet == 0 && last.packet + 1 == last.packets,
    };
    if !whole || !same && !last_got.marker {
        return Err(format!("{whole} {}: not whole {step}", last_got.marker));
    }
    Ok(())
}

/// What the receiver reads in the descriptor is what it got.
fn check_descriptor(
    structure: &mut Structure,
    content: &Content,
    got: &Got,
    before: Option<u16>,
    active: &mut u32,
) -> Result<u16, String> {
    let found = match Structure::is_in(&got.descriptor) {
        true => structure.read(&got.descriptor),
        false => structure.frame(&got.descriptor),
    };
    let frame = found.map_err(|error| format!("{error:?} of {content:?}"))?;
    if (frame.spatial, frame.temporal) != (content.spatial, content.temporal) {
        return Err(format!("{frame:?} of {content:?}"));
    }
    *active = frame.active.unwrap_or(*active);
    if frame.targets() & *active == 0 {
        return Err(format!("{content:?} is of no target of {active:b}"));
    }
    let step = before.map_or(0, |before| frame.number.wrapping_sub(before));
    if step > 200 || (step == 0) != (content.packet > 0 || before.is_none()) {
        return Err(format!("frame numbers go on by {step} to {content:?}"));
    }
    Ok(frame.number)
}

/// Something that happens between two pictures. Other layers come only on a path without loss:
/// where the packet that tells of them is late, frames of both structures are judged by the wrong
/// one, a receiver may lack one that it needs, and asks for a key frame.
fn happen(call: &mut Call, complete: bool) {
    let now_ns = call.now_ns;
    match call.dice.roll(60) {
        0 | 1 => {
            let limits = Limits {
                max_layer: call.dice.roll(3) as u8,
                affordable_layer: 1 + call.dice.roll(3) as u8,
                max_temporal: call.dice.roll(3) as u8,
            };
            call.route.set_limits(limits);
        }
        2 if complete => {
            let layers = 1 + call.dice.roll(3) as usize;
            call.encoder.set_layers(layers);
        }
        3 => {
            let unwanted = !call.route.pause().unwanted;
            call.route.set_pause(now_ns, Pause { unwanted, muted: false }, None);
        }
        _ => {}
    }
}

fn run(seed: u64, path: Path, mode: Mode, pictures: u32, complete: bool) -> Result<Call, String> {
    let mut call = Call::new(seed, path, mode);
    for _ in 0..pictures {
        happen(&mut call, complete);
        call.picture()?;
    }
    call.end(complete)
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn layers_of_one_stream_are_contiguous_and_decodable(
        seed in any::<u64>(),
        mode in 0usize..4,
        (loss, repair) in (0u64..21, 0u64..101),
        (reorder, double) in (0u64..30, 0u64..10),
        pictures in 10u32..50,
    ) {
        let path = Path { loss, repair, reorder, double };
        if let Err(error) = run(seed, path, MODES[mode], pictures, false) {
            return Err(TestCaseError::fail(error));
        }
    }

    #[test]
    fn without_loss_pictures_are_whole(
        seed in any::<u64>(),
        mode in 0usize..4,
        pictures in 10u32..50,
    ) {
        if let Err(error) = run(seed, Path::default(), MODES[mode], pictures, true) {
            return Err(TestCaseError::fail(error));
        }
    }
}

#[test]
fn a_receiver_gets_the_layers_that_it_wants() {
    for mode in MODES {
        let mut call = Call::new(7, Path::default(), mode);
        for (max_layer, max_temporal) in [(2, 2), (0, 2), (1, 0), (2, 0), (2, 2), (0, 0), (1, 1)] {
            call.route.set_limits(Limits { max_layer, max_temporal, ..Limits::default() });
            for _ in 0..60 {
                call.picture().expect("all is well");
            }
            let shown = call.shown(8);
            assert_eq!(shown, (max_layer, max_temporal), "{mode:?}");
            assert_eq!(call.route.layer(), Some(max_layer));
            assert!(!call.route.waits(), "{mode:?} {max_layer}");
        }
        // The publisher sends less, and more again.
        call.route.set_limits(Limits::default());
        for layers in [3, 1, 2, 3] {
            call.encoder.set_layers(layers);
            for _ in 0..60 {
                call.picture().expect("all is well");
            }
            assert_eq!(call.shown(8), (layers as u8 - 1, 2), "{mode:?}");
            assert_eq!(call.encoder.layers(), layers);
        }
        call.end(true).expect("all is well");
    }
}

#[test]
fn malformed_descriptors_are_counted_and_harm_nobody() {
    let mut call = Call::new(9, Path::default(), MODES[0]);
    let mut bad = 0;
    for picture in 0..200 {
        call.now_ns += FRAME_NS;
        let mut packets = call.encoder.encode(&mut call.dice, call.now_ns);
        if picture % 10 == 9 {
            // The last packet's descriptor is cut to nothing that can be read.
            let at = packets.len() - 1;
            packets[at][17] = 2;
            bad += 1;
        }
        for packet in packets {
            call.network.send(&mut call.dice, packet);
            call.arrive().expect("all is well");
        }
    }
    assert_eq!(call.source.layers()[0].counts.malformed, bad);
    assert!(call.got.len() > 600, "{}", call.got.len());
}
