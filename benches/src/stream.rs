//! Packets as senders make them.

/// An RTP packet of `bytes` bytes with a plain header.
pub fn packet(sequence: u16, timestamp: u32, bytes: usize) -> Vec<u8> {
    let mut packet = vec![0x80, 96];
    packet.extend(sequence.to_be_bytes());
    packet.extend(timestamp.to_be_bytes());
    packet.extend(0x5eed_5eed_u32.to_be_bytes());
    packet.resize(bytes, 0x42);
    packet
}

/// A frame of `packets` packets of `bytes` bytes.
pub fn frame(packets: u16, bytes: usize) -> Vec<Vec<u8>> {
    (0..packets).map(|sequence| packet(sequence, 3000, bytes)).collect()
}
