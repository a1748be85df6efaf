//! Reliable data messages: what a publisher sends over its data channel, and what of it arrives.
//!
//! LiveKit's `DataPacket` with a user packet in it. The stamp at the start of its payload says who
//! sent it, which number it has and when; as the channel is reliable and ordered, a gap is a loss.

use livekit_protocol::{DataPacket, UserPacket, data_packet};
use prost::Message as _;

use super::scenario::DataPlan;
use super::stamp::{AUDIO_LAYER, CallStamp};
use super::stream::WindowCount;
use crate::kernel;

/// The topic of all messages.
const TOPIC: &str = "load";

/// What a publisher sends.
pub struct DataSender {
    publisher: u16,
    payload: Vec<u8>,
    start_ns: Option<u64>,
    interval_ns: f64,
    number: u64,
}

impl DataSender {
    /// The sender of publisher `publisher`.
    pub fn new(publisher: u16, plan: &DataPlan) -> Self {
        Self {
            publisher,
            payload: vec![0; plan.payload_bytes],
            start_ns: None,
            interval_ns: 1e9 / plan.messages_per_second,
            number: 0,
        }
    }

    /// When the next message is due, once the channel is open.
    pub fn due_ns(&mut self, now_ns: u64) -> u64 {
        let start_ns = *self.start_ns.get_or_insert(now_ns);
        start_ns + (self.number as f64 * self.interval_ns) as u64
    }

    /// The next message.
    pub fn next_message(&mut self) -> Vec<u8> {
        let stamp = CallStamp {
            publisher: self.publisher,
            layer: AUDIO_LAYER,
            layers: 1,
            frame: self.number as u32,
            sent_ns: kernel::realtime_ns(),
        };
        stamp.write(&mut self.payload);
        self.number += 1;
        let user = UserPacket {
            payload: self.payload.clone(),
            topic: Some(TOPIC.to_owned()),
            ..UserPacket::default()
        };
        let packet = DataPacket {
            sequence: self.number as u32,
            value: Some(data_packet::Value::User(user)),
            ..DataPacket::default()
        };
        packet.encode_to_vec()
    }
}

/// The stamp of a message, if it is one of ours.
pub fn read_stamp(message: &[u8]) -> Option<CallStamp> {
    match DataPacket::decode(message).ok()?.value? {
        data_packet::Value::User(user) => CallStamp::read(&user.payload),
        _ => None,
    }
}

/// What one receiver got of one publisher.
pub struct ReceivedData {
    /// The publisher.
    pub publisher: u16,
    highest: u32,
    open: Option<u32>,
    close: Option<u32>,
    received: u64,
    /// Messages that came more than once, or after a later one.
    pub disorder: u64,
}

impl ReceivedData {
    /// The first message of a publisher.
    pub fn new(stamp: &CallStamp) -> Self {
        Self {
            publisher: stamp.publisher,
            highest: stamp.frame,
            open: None,
            close: None,
            received: 0,
            disorder: 0,
        }
    }

    /// Takes another message.
    pub fn handle(&mut self, stamp: &CallStamp) {
        if stamp.frame <= self.highest {
            self.disorder += 1;
            return;
        }
        self.highest = stamp.frame;
        let inside = self.open.is_some() && self.close.is_none_or(|close| stamp.frame <= close);
        self.received += u64::from(inside);
    }

    /// The measured part begins behind the last message.
    pub fn open_window(&mut self) {
        self.open = Some(self.highest);
    }

    /// The measured part ends with the last message.
    pub fn close_window(&mut self) {
        self.close = Some(self.highest);
    }

    /// How it went.
    pub fn window(&self) -> WindowCount {
        let (Some(open), Some(close)) = (self.open, self.close) else {
            return WindowCount::default();
        };
        let expected = u64::from(close - open);
        WindowCount { expected, received: self.received, repaired: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_back_and_counted() {
        let plan = DataPlan { messages_per_second: 200.0, payload_bytes: 100 };
        let mut sender = DataSender::new(3, &plan);
        assert_eq!(sender.due_ns(7), 7);
        let stamps: Vec<CallStamp> =
            (0..8).map(|_| read_stamp(&sender.next_message()).expect("our own")).collect();
        assert_eq!(sender.due_ns(9_000), 7 + 8 * 5_000_000);
        assert!(stamps.iter().zip(0..).all(|(stamp, n)| (stamp.publisher, stamp.frame) == (3, n)));
        let mut data = ReceivedData::new(&stamps[0]);
        data.handle(&stamps[1]);
        data.open_window();
        // 3 is lost, 2 comes twice.
        [2, 2, 4, 5].iter().for_each(|at: &usize| data.handle(&stamps[*at]));
        data.close_window();
        data.handle(&stamps[6]);
        let WindowCount { expected, received, .. } = data.window();
        assert_eq!((expected, received, data.disorder), (4, 3, 1));
        assert_eq!(read_stamp(b"nothing"), None);
    }
}
