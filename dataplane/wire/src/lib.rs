//! Bytes to checked views and back: RTP, RTCP, first-byte demultiplexing.
