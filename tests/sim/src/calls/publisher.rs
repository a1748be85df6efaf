//! Who publishes: cameras and microphones over one connection, and what the server asks of them.

use ringway_abi::call::TransportKey;
use ringway_wire::ntp;
use ringway_wire::rtcp::{Compound, Packet, SenderReport, write};

use super::camera::Camera;
use super::microphone::Microphone;
use super::peer::Peer;
use super::rtcp::{Names, judge_rtcp};
use crate::plane::Plane;

/// Between two rounds of sender reports.
const REPORT_NS: u64 = 1_000_000_000;

/// A publisher.
pub struct Publisher {
    /// The control plane's name for its transport.
    pub key: TransportKey,
    /// Its connection.
    pub peer: Peer,
    /// Its cameras.
    pub cameras: Vec<Camera>,
    /// Its microphones.
    pub microphones: Vec<Microphone>,
    /// It takes RTCP that is no compound.
    pub reduced_rtcp: bool,
    /// The names that came with reports, each once.
    pub names: Names,
    /// Datagrams of RTCP without a report.
    pub reduced: usize,
    /// It answers NACKs.
    pub repeats: bool,
    /// When key frames were asked for, ms, and of which SSRC.
    pub asked: Vec<(u64, u32)>,
    /// Packets that were asked for again.
    pub repeated: usize,
    next_report_ns: u64,
}

impl Publisher {
    /// A publisher of nothing yet.
    pub fn new(key: TransportKey, peer: Peer) -> Self {
        Self {
            key,
            peer,
            cameras: Vec::new(),
            microphones: Vec::new(),
            reduced_rtcp: false,
            names: Names::new(),
            reduced: 0,
            repeats: true,
            asked: Vec::new(),
            repeated: 0,
            next_report_ns: 0,
        }
    }

    /// Takes what has come and sends what is due.
    pub fn step(&mut self, plane: &mut Plane) {
        self.peer.step(plane);
        for rtcp in std::mem::take(&mut self.peer.rtcp) {
            self.handle_rtcp(plane, &rtcp);
        }
        if !self.peer.is_connected() {
            return;
        }
        let now_ns = plane.now_ns();
        for camera in &mut self.cameras {
            for (number, packet) in camera.poll(now_ns) {
                self.peer.send_rtp(plane, number, &packet);
            }
        }
        for microphone in &mut self.microphones {
            if let Some((number, packet)) = microphone.poll(now_ns) {
                self.peer.send_rtp(plane, number, &packet);
            }
        }
        if now_ns >= self.next_report_ns {
            self.next_report_ns = now_ns + REPORT_NS;
            self.report(plane);
        }
    }

    /// RFC 3550 6.4.1: which instant a timestamp means.
    fn report(&mut self, plane: &mut Plane) {
        let now_ns = plane.now_ns();
        let ntp = ntp::from_unix_ns(plane.now().unix_ns);
        let mut reports = Vec::new();
        for camera in &self.cameras {
            for (layer, encoding) in camera.encodings.iter().enumerate() {
                if encoding.running && encoding.counts.0 > 0 {
                    let timestamp = camera.timestamp(layer, now_ns);
                    reports.push((encoding.ssrc, timestamp, encoding.counts));
                }
            }
        }
        for microphone in self.microphones.iter().filter(|one| one.running) {
            reports.push((microphone.ssrc, microphone.timestamp(now_ns), microphone.counts));
        }
        for (ssrc, rtp_timestamp, (packet_count, octet_count)) in reports {
            let mut out = [0; 100];
            let report = SenderReport { ssrc, ntp, rtp_timestamp, packet_count, octet_count };
            let len = write::write_sender_report(&mut out, &report, &[]).expect("room");
            self.peer.send_rtcp(plane, &out[..len]);
        }
    }

    fn handle_rtcp(&mut self, plane: &mut Plane, rtcp: &[u8]) {
        let names = judge_rtcp(rtcp, self.reduced_rtcp);
        self.reduced += usize::from(names.is_empty());
        for name in names {
            if !self.names.contains(&name) {
                self.names.push(name);
            }
        }
        let compound = Compound::parse(rtcp).expect("the server sends valid RTCP");
        for packet in compound.packets() {
            match packet {
                Packet::Pli(pli) => {
                    self.asked.push((plane.now_ns() / 1_000_000, pli.media_ssrc));
                    let mut known = false;
                    for camera in &mut self.cameras {
                        for one in camera.encodings.iter_mut().filter(|e| e.ssrc == pli.media_ssrc)
                        {
                            (one.key_wanted, known) = (true, true);
                        }
                    }
                    assert!(known, "a key frame of {} is asked for", pli.media_ssrc);
                }
                Packet::Nack(nack) if self.repeats => {
                    for sequence in nack.entries().flat_map(|entry| entry.sequences()) {
                        self.repeat(plane, nack.media_ssrc, sequence);
                    }
                }
                _ => {}
            }
        }
    }

    fn repeat(&mut self, plane: &mut Plane, ssrc: u32, sequence: u16) {
        let mut cameras = self.cameras.iter_mut();
        let of_camera = cameras.find_map(|camera| camera.repeat(ssrc, sequence));
        let again = of_camera.or_else(|| {
            let microphone = self.microphones.iter().find(|one| one.ssrc == ssrc)?;
            microphone.repeat(sequence)
        });
        if let Some((number, packet)) = again {
            self.repeated += 1;
            self.peer.send_rtp(plane, number, &packet);
        }
    }
}
