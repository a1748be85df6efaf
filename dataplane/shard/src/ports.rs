//! The local ports of a forward: the pair that was asked for, or the first free one of the range.

use std::net::SocketAddr;

use ringway_abi::message::{ForwardSpec, Refusal, RtcpInput};

use crate::sockets::{OpenError, Opened, Sockets};

/// The sockets of a forward.
#[derive(Debug)]
pub(crate) struct Ports<H> {
    pub(crate) rtp: Opened<H>,
    /// `None` when RTCP shares the RTP socket.
    pub(crate) rtcp: Option<Opened<H>>,
}

/// Opens a pair of ports of `range`: the first even one that is free, from `next` on.
pub(crate) fn open_any<S: Sockets>(
    spec: &ForwardSpec,
    range: (u16, u16),
    next: &mut u32,
    sockets: &mut S,
) -> Result<Ports<S::Handle>, (Refusal, i32)> {
    // RFC 3550 11: RTP on an even port, RTCP on the next one.
    let first = u32::from(range.0).next_multiple_of(2);
    let pairs = (u32::from(range.1) + 1).saturating_sub(first) / 2;
    for _ in 0..pairs {
        let port = first + *next % pairs * 2;
        *next = next.wrapping_add(1);
        match open(spec, port as u16, sockets) {
            Err((Refusal::PortInUse, _)) => {}
            done => return done,
        }
    }
    Err((Refusal::PortRangeExhausted, 0))
}

/// Opens the RTP socket on `port` and the RTCP socket beside it; both or none.
pub(crate) fn open<S: Sockets>(
    spec: &ForwardSpec,
    port: u16,
    sockets: &mut S,
) -> Result<Ports<S::Handle>, (Refusal, i32)> {
    let rtcp_port = match spec.rtcp {
        RtcpInput::Mux => None,
        RtcpInput::NextPort => Some(port.checked_add(1).ok_or((Refusal::Invalid, 0))?),
        RtcpInput::Port(rtcp) if rtcp == port => None,
        RtcpInput::Port(rtcp) => Some(rtcp),
    };
    let rtp = sockets.open(SocketAddr::new(spec.address, port)).map_err(refusal)?;
    let Some(rtcp_port) = rtcp_port else { return Ok(Ports { rtp, rtcp: None }) };
    match sockets.open(SocketAddr::new(spec.address, rtcp_port)) {
        Ok(rtcp) => Ok(Ports { rtp, rtcp: Some(rtcp) }),
        Err(error) => {
            sockets.close(rtp.id);
            Err(refusal(error))
        }
    }
}

/// Why the control plane is refused, and the kernel's number if it has one.
pub(crate) fn refusal(error: OpenError) -> (Refusal, i32) {
    match error {
        OpenError::InUse => (Refusal::PortInUse, 0),
        OpenError::NotAvailable => (Refusal::AddressNotAvailable, 0),
        OpenError::Denied => (Refusal::PermissionDenied, 0),
        OpenError::Invalid => (Refusal::Invalid, 0),
        OpenError::TableFull => (Refusal::TableFull, 0),
        OpenError::Io(errno) => (Refusal::Io, errno),
    }
}
