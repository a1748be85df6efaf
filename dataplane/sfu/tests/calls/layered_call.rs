//! A call of a publisher with all layers in one stream: it, a server with one subscription, and the
//! receiver, which knows what it should have got.

use std::collections::{BTreeMap, HashMap, HashSet};

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
use crate::streams::dressed;

/// Frames of a second, three layers of sixty pictures.
const HELD_FRAMES: u32 = 180;

/// A packet as the receiver got it.
#[derive(Clone, Debug)]
pub(crate) struct Got {
    timestamp: u32,
    marker: bool,
    /// `None`: padding.
    content: Option<Content>,
    descriptor: Vec<u8>,
}

/// A publisher, a server with one subscription, and its receiver.
pub(crate) struct Call {
    pub(crate) dice: Dice,
    pub(crate) now_ns: u64,
    mode: Mode,
    pub(crate) encoder: Encoder,
    pub(crate) network: Network<Vec<u8>>,
    pub(crate) source: Source,
    pub(crate) route: Route,
    extensions: ExtensionMap,
    history: HashMap<u16, Vec<u8>>,
    /// Packets that reached the server while the route was not paused, by frame: a bit for each.
    delivered: HashMap<u32, u8>,
    paused_late: HashSet<u16>,
    /// Frames of which something came in a pause and was asked for behind it: they lie before the
    /// key frame with which the receiver went on, and it needs none of them.
    from_pauses: HashSet<u32>,
    /// By extended number.
    pub(crate) got: BTreeMap<u64, Got>,
    highest: Option<u64>,
    /// What the receiver was told of the numbers that it lacked at the end of each picture, as
    /// receivers ask soon: what a number stood for is not known for ever.
    asked: BTreeMap<u64, Option<Resend>>,
    asked_up_to: Option<u64>,
    /// The first number since the route last began.
    begun_at: Option<u64>,
}

impl Call {
    pub(crate) fn new(seed: u64, path: Path, mode: Mode) -> Self {
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
            delivered: HashMap::new(),
            paused_late: HashSet::new(),
            from_pauses: HashSet::new(),
            got: BTreeMap::new(),
            highest: None,
            asked: BTreeMap::new(),
            asked_up_to: None,
            begun_at: None,
        }
    }

    fn format(&self) -> (Codec, u32) {
        (if self.mode.descriptors { Codec::Av1 } else { Codec::Vp9 }, CLOCK_HZ)
    }

    fn tell(&mut self) {
        self.route.set_scalable(self.source.is_scalable());
        self.route.set_live(self.source.live());
    }

    /// Pauses or resumes.
    pub(crate) fn set_unwanted(&mut self, unwanted: bool) {
        self.route.set_pause(self.now_ns, Pause { unwanted, muted: false }, None);
        self.begun_at = None;
    }

    /// One picture.
    pub(crate) fn picture(&mut self) -> Result<(), String> {
        let packets = self.begin_picture();
        self.send_all(packets)?;
        self.end_picture()
    }

    /// The packets of the next picture.
    pub(crate) fn begin_picture(&mut self) -> Vec<Vec<u8>> {
        self.now_ns += FRAME_NS;
        if let Some(layer) = self.route.poll_key_frame(self.now_ns, 50_000_000)
            && self.source.ask_key_frame(self.now_ns, layer).is_some()
        {
            self.encoder.key_wanted = true;
        }
        self.encoder.encode(&mut self.dice, self.now_ns)
    }

    /// Lets the publisher send packets.
    pub(crate) fn send_all(&mut self, packets: Vec<Vec<u8>>) -> Result<(), String> {
        for packet in packets {
            self.network.send(&mut self.dice, packet);
            self.arrive()?;
        }
        Ok(())
    }

    pub(crate) fn end_picture(&mut self) -> Result<(), String> {
        if self.source.handle_time(self.now_ns) {
            self.tell();
        }
        self.ask();
        self.repeat()
    }

    /// Some packet that the receiver got was lost on its way there.
    fn repeat(&mut self) -> Result<(), String> {
        let Some(begun_at) = self.begun_at else { return Ok(()) };
        // Histories hold a second: what happened to a frame is not known for much longer.
        let newest = self.got.values().rev().find_map(|got| Some(got.content?.frame));
        let is_held = |got: &Got| {
            let age = got.content.zip(newest).map(|(of, newest)| newest.saturating_sub(of.frame));
            age.is_none_or(|frames| frames < HELD_FRAMES)
        };
        let recent = self.got.range(begun_at..).rev().take(60).filter(|(_, got)| is_held(got));
        let recent: Vec<u64> = recent.map(|(at, _)| *at).collect();
        let at = self.dice.roll(recent.len() as u64) as usize;
        self.repeat_at(recent[at])
    }

    /// The packet that the receiver got under that number comes again as it did.
    pub(crate) fn repeat_at(&self, at: u64) -> Result<(), String> {
        let got = &self.got[&at];
        let resend = self.route.sent_as(at as u16).ok_or("what was sent is forgotten")?;
        let bytes = self.history.get(&resend.sequence).ok_or("what was sent is not there")?;
        let view = RtpView::parse(bytes).expect("the publisher sends RTP");
        let again = self.source.reread(0, &view, &self.extensions, self.format(), self.now_ns);
        let again = again.ok_or("cannot be read again")?;
        let same = match (self.route.decide_again(&resend, &again), got.content) {
            (Decision::Send(sent), Some(content)) => {
                content == Content::read(view.payload()) && sent.timestamp == got.timestamp
            }
            (Decision::Pad(_), None) => true,
            // Its structure is forgotten, and what it is with it.
            _ => again.scaled.is_some_and(|scaled| scaled.told == Told::Unknown),
        };
        if same { Ok(()) } else { Err(format!("{at} comes again, but not as {got:?}")) }
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

    pub(crate) fn arrive(&mut self) -> Result<(), String> {
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
                let content = Content::read(view.payload());
                *self.delivered.entry(content.frame).or_default() |= 1 << content.packet;
            }
            if news {
                self.tell();
            }
            let decision = self.route.offer(&prepared);
            self.send(&prepared, &bytes, decision)?;
            if prepared.ahead > 0 && matches!(decision, Decision::Send(_)) {
                self.begun_at = self.begun_at.or(self.highest);
            }
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

    pub(crate) fn end(mut self, complete: bool) -> Result<Self, String> {
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
        let mut sent: HashMap<u32, u8> = HashMap::new();
        for content in self.got.values().filter_map(|got| got.content) {
            *sent.entry(content.frame).or_default() |= 1 << content.packet;
        }
        let mut structure = Structure::default();
        let mut before: Option<(Content, &Got)> = None;
        let mut number = None;
        let mut active = u32::MAX;
        for got in self.got.values() {
            let Some(content) = got.content else { continue };
            let judged = !self.from_pauses.contains(&content.frame);
            for need in content.needs.into_iter().filter(|need| judged && *need != 0) {
                let came = self.delivered.get(&need).copied().unwrap_or(0);
                let lacks = came & !sent.get(&need).copied().unwrap_or(0);
                if lacks != 0 {
                    let what = format!("packets {lacks:b} of {need}, which were left out");
                    return Err(format!("{content:?} needs {what}"));
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
    pub(crate) fn shown(&self, pictures: usize) -> (u8, u8) {
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
