//! Real sockets on an engine, as the shard asks for them.

use std::net::SocketAddr;
use std::sync::Arc;

use ringway_abi::call::{Network, RelaySpec};
use ringway_shard::sockets::{MediaSocket, OpenError, Opened, Sockets};
use ringway_uring::{
    BindError, BoundSocket, Engine, SocketId, SocketOptions, bind, bind_beside, bind_with_reports,
};
use std::net::UdpSocket;

use crate::gateway::Reception;

/// An engine and how its sockets are opened.
pub(crate) struct Kernel<'a> {
    pub(crate) engine: &'a mut Engine,
    pub(crate) options: &'a SocketOptions,
    /// Where listeners are brought to; only shard 0 brings any.
    pub(crate) reception: Option<&'a mut Reception>,
}

impl Kernel<'_> {
    /// Lets the engine receive from a socket that was bound.
    fn receive(
        &mut self,
        bound: Result<BoundSocket, BindError>,
    ) -> Result<Opened<Arc<UdpSocket>>, OpenError> {
        let BoundSocket { socket: handle, local: address, .. } = bound.map_err(bind_error)?;
        let id = self.engine.attach(handle.clone(), true).map_err(attach_error)?;
        Ok(Opened { id, handle, address })
    }
}

impl Sockets for Kernel<'_> {
    type Handle = Arc<UdpSocket>;

    fn open(&mut self, address: SocketAddr) -> Result<Opened<Self::Handle>, OpenError> {
        self.receive(bind(address, self.options))
    }

    fn open_media(
        &mut self,
        address: SocketAddr,
        wildcard: Option<&MediaSocket>,
    ) -> Result<MediaSocket, OpenError> {
        let mut bound = match wildcard {
            Some(wildcard) => {
                let sockets =
                    wildcard.ids().map(|id| self.engine.socket(id).map(|socket| &**socket));
                let sockets = sockets.collect::<Option<Vec<_>>>().ok_or(OpenError::Invalid)?;
                bind_beside(&sockets, address, self.options)
            }
            None => bind_with_reports(address, self.options),
        };
        let reports = bound.as_mut().ok().and_then(|bound| bound.reports.take());
        let Opened { id, address, .. } = self.receive(bound)?;
        let reports = reports.map(|socket| self.engine.attach_resting(socket)).transpose();
        match reports {
            Ok(reports) => Ok(MediaSocket { id, reports, address }),
            Err(error) => {
                self.engine.detach(id);
                Err(attach_error(error))
            }
        }
    }

    fn adopt(&mut self, handle: &Self::Handle) -> Result<SocketId, OpenError> {
        self.engine.attach(handle.clone(), false).map_err(attach_error)
    }

    fn listen(&mut self, address: SocketAddr) -> Result<SocketAddr, OpenError> {
        let reception = self.reception.as_mut().ok_or(OpenError::NotAvailable)?;
        reception.listen(address)
    }

    fn keep_relay_tls(&mut self, place: u8, first: bool, part: &[u8]) -> Result<(), OpenError> {
        let reception = self.reception.as_mut().ok_or(OpenError::NotAvailable)?;
        reception.desk.keep_tls(place, first, part)
    }

    fn keep_relay_proxies(&mut self, networks: &[Option<Network>]) -> Result<(), OpenError> {
        let reception = self.reception.as_mut().ok_or(OpenError::NotAvailable)?;
        reception.desk.keep_proxies(networks);
        Ok(())
    }

    fn relay(&mut self, spec: &RelaySpec) -> Result<(), OpenError> {
        let reception = self.reception.as_mut().ok_or(OpenError::NotAvailable)?;
        reception.desk.open(spec, self.options)
    }

    fn close(&mut self, id: SocketId) {
        self.engine.detach(id);
    }
}

pub(crate) fn bind_error(error: BindError) -> OpenError {
    tracing::debug!(%error, "a socket was not opened");
    match error {
        BindError::InUse(_) => OpenError::InUse,
        BindError::NotAvailable(_) => OpenError::NotAvailable,
        BindError::Permission(_) => OpenError::Denied,
        BindError::Files(_) => OpenError::TableFull,
        BindError::Other { source, .. } => OpenError::Io(source.raw_os_error().unwrap_or(0)),
    }
}

fn attach_error(error: std::io::Error) -> OpenError {
    match error.raw_os_error() {
        Some(errno) => OpenError::Io(errno),
        // `ErrorKind::QuotaExceeded`: the engine's own table.
        None => OpenError::TableFull,
    }
}
