//! A shard's refusal in words: for the client that asked, or for the forward's `error`.

use crate::operation::{Rejection, RejectionKind};
use crate::plane::{Reason, Refused};
use crate::spec::{Destination, Forward, Rtcp};

/// Why the input of a forward does not work.
pub(crate) fn of_input(refused: Refused, forward: &Forward) -> Rejection {
    let input = &forward.input;
    let (address, port) = (input.address, input.port);
    let (kind, code, message, field) = match refused.reason {
        Reason::PortInUse => {
            let ports = match input.rtcp {
                Rtcp::Mux => format!("port {port}"),
                _ => format!("port {port} or {}", input.rtcp.port(port)),
            };
            let message = format!(
                "UDP {ports} on {address} is in use: end the program that has it (ss -ulpn shows \
                 it) or choose another port"
            );
            (RejectionKind::Conflict, "port_in_use", message, Some("input.port"))
        }
        Reason::AddressNotAvailable => {
            let message = format!(
                "{address} is not an address of this machine: give it to an interface or use \
                 0.0.0.0 or ::"
            );
            (RejectionKind::Invalid, "address_not_available", message, Some("input.address"))
        }
        Reason::PermissionDenied => {
            let message = format!(
                "the data plane may not bind port {port}: ports below 1024 need \
                 CAP_NET_BIND_SERVICE; choose a higher port"
            );
            (RejectionKind::Invalid, "port_not_permitted", message, Some("input.port"))
        }
        Reason::PortRangeExhausted => {
            let message = "no port of the data plane's port_range is free: widen port_range in \
                           dataplane.yaml or delete forwards";
            (RejectionKind::Conflict, "no_free_port", message.to_owned(), Some("input.port"))
        }
        other => return general(other, refused.errno),
    };
    Rejection::new(kind, code, message, field)
}

/// Why a destination does not work; its object stands at `path` in the request.
pub(crate) fn of_destination(refused: Refused, to: &Destination, path: &str) -> Rejection {
    if refused.reason != Reason::FamilyMismatch {
        return general(refused.reason, refused.errno);
    }
    let message = format!("{} cannot be reached from the forward's input address", to.address);
    let field = if path.is_empty() { "address".to_owned() } else { format!("{path}.address") };
    Rejection::new(RejectionKind::Invalid, "family_mismatch", message, Some(&field))
}

fn general(reason: Reason, errno: i32) -> Rejection {
    let (kind, code, message) = match reason {
        Reason::TableFull => {
            let message = "the shard is full: raise max_forwards or max_destinations in \
                           dataplane.yaml or delete what is not needed";
            (RejectionKind::Conflict, "shard_full", message.to_owned())
        }
        Reason::Io => {
            let message = format!("the kernel refused it to the data plane (errno {errno})");
            (RejectionKind::Kernel, "kernel_refused", message)
        }
        other => {
            let message = format!("the data plane refused it ({other:?}): look at its log");
            (RejectionKind::Kernel, "data_plane_refused", message)
        }
    };
    Rejection::new(kind, code, message, None)
}
