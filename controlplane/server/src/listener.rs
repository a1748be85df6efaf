//! TCP listeners and the life of a connection: bounded in number, in idleness and in its ending.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{Request, Uri};
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

/// Connections at a time; more wait to be accepted. Each costs some 20 KiB when idle.
const CONNECTIONS_MAX: usize = 1024;
/// How long a client may take to send the head of a request, idleness between requests included.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a client may leave what was sent to it unread.
const UNREAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long requests in progress may take once the program is asked to stop: more than an
/// operation.
const FAREWELL: Duration = Duration::from_secs(6);
/// Pause after accepting failed, mostly for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// Connections the kernel keeps until they are accepted.
const BACKLOG: i32 = 1024;
/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Why nobody can connect.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another program has the port.
    #[error(
        "TCP port {} on {} is in use: another program listens there (ss -tlnp shows it); stop it \
         or set another `port`",
        .0.port(),
        .0.ip()
    )]
    InUse(SocketAddr),
    /// A privileged port.
    #[error("this user may not listen on port {}: set a `port` above 1023", .0.port())]
    Forbidden(SocketAddr),
    /// Not an address of this machine.
    #[error("{0} is not an address of this machine: correct `bind_addresses`")]
    NoAddress(IpAddr),
    /// The kernel said no.
    #[error("cannot listen on {address}: {source}")]
    Io {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// Listens on all addresses. A machine without IPv6 may leave out `::` beside others.
pub fn bind(addresses: &[IpAddr], port: u16) -> Result<Vec<TcpListener>, ListenError> {
    let mut listeners: Vec<TcpListener> = Vec::new();
    let mut port = port;
    for ip in addresses {
        let address = SocketAddr::new(*ip, port);
        match listen(address) {
            Ok(listener) => {
                // Port 0 means any, but the same one on all addresses.
                port = listener.local_addr().map_or(port, |bound| bound.port());
                listeners.push(listener);
            }
            Err(error) if lacks_ipv6(*ip, &error) && addresses.len() > 1 => {
                tracing::warn!(%address, "this machine has no IPv6; not listening there");
            }
            Err(source) => {
                return Err(match source.kind() {
                    io::ErrorKind::AddrInUse => ListenError::InUse(address),
                    io::ErrorKind::PermissionDenied => ListenError::Forbidden(address),
                    io::ErrorKind::AddrNotAvailable => ListenError::NoAddress(*ip),
                    _ => ListenError::Io { address, source },
                });
            }
        }
    }
    Ok(listeners)
}

fn lacks_ipv6(ip: IpAddr, error: &io::Error) -> bool {
    let unsupported = error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error());
    ip.is_ipv6()
        && ip.is_unspecified()
        && (unsupported || error.kind() == io::ErrorKind::AddrNotAvailable)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A restarted program must not wait for connections of its predecessor to be forgotten.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Serves until `stop` becomes true; then lets requests in progress end.
pub async fn serve(listeners: Vec<TcpListener>, router: Router, stop: watch::Receiver<bool>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let graceful = Arc::new(GracefulShutdown::new());
    let mut accepting = tokio::task::JoinSet::new();
    for listener in listeners {
        let (places, graceful) = (Arc::clone(&places), Arc::clone(&graceful));
        accepting.spawn(accept(listener, router.clone(), stop.clone(), places, graceful));
    }
    accepting.join_all().await;
    let Ok(graceful) = Arc::try_unwrap(graceful) else { return };
    if tokio::time::timeout(FAREWELL, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not end in time; closing their connections");
    }
}

async fn accept(
    listener: TcpListener,
    router: Router,
    mut stop: watch::Receiver<bool>,
    places: Arc<Semaphore>,
    graceful: Arc<GracefulShutdown>,
) {
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            next = next => next,
        };
        let (Ok(place), Ok((stream, _))) = (place, accepted) else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        if let Err(error) = tune(&stream) {
            tracing::debug!(%error, "cannot tune a connection");
        }
        let routes = TowerToHyperService::new(router.clone());
        let service = service_fn(move |mut request: Request<Incoming>| {
            if let Some(uri) = without_double_slash(request.uri()) {
                *request.uri_mut() = uri;
            }
            routes.call(request)
        });
        let builder = builder();
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
        let connection = graceful.watch(connection.into_owned());
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(error = %error, "a connection ended badly");
            }
            drop(place);
        });
    }
}

/// LiveKit's: clients put `/rtc` behind an address that ends in a slash.
fn without_double_slash(uri: &Uri) -> Option<Uri> {
    let path = uri.path_and_query()?.as_str().strip_prefix("//")?;
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(format!("/{}", path.trim_start_matches('/')).parse().ok()?);
    Uri::from_parts(parts).ok()
}

fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    SockRef::from(stream).set_tcp_user_timeout(Some(UNREAD_TIMEOUT))
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        // Names of headers as most servers write them: some WHIP clients compare letters.
        .title_case_headers(true)
        .max_buf_size(HEAD_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(HEAD_TIMEOUT)
        .max_concurrent_streams(64)
        .max_header_list_size(HEAD_BYTES_MAX as u32);
    builder
}
