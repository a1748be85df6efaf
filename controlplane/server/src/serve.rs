//! The program's life: open, listen, tell systemd, serve, stop.

use std::time::Duration;

use rustix::process::Signal;
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::app::{App, Shared, router};
use crate::auth::Keys;
use crate::config::Config;
use crate::driver::{Driver, DriverTask};
use crate::link;
use crate::listener::{self, ListenError};
use crate::page::Page;
use crate::requests::Requests;
use crate::rtc;
use crate::store::{Store, StoreError};

/// Why the program ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Nobody can connect.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Nothing can be remembered.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There can be no calls.
    #[error(transparent)]
    Calls(#[from] rtc::StartError),
    /// Signals cannot be received.
    #[error("cannot receive signals: {0}")]
    Signals(std::io::Error),
    /// The task that decides everything has died.
    #[error("the driver task died: this is a bug, please report it with the log")]
    Driver,
}

/// Runs the control plane until SIGTERM or SIGINT.
pub async fn until_stopped(config: Config) -> Result<(), ServeError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(ServeError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ServeError::Signals)?;
    // A write beyond a limit of file size must be an error of that write, not the end.
    let too_large = SignalKind::from_raw(Signal::XFSZ.as_raw());
    let _too_large = signal(too_large).map_err(ServeError::Signals)?;
    let store = Store::open(&config.data_dir)?;
    let listeners = listener::bind(&config.bind_addresses, config.port)?;
    let (calls, rtc) = rtc::start(&config)?;
    let (events, plane) = link::start(config.socket.clone(), calls);
    let (task, driver) = DriverTask::new(config.limits.into(), store, events, plane.clone())?;
    let mut task = tokio::spawn(task.run());
    for listener in &listeners {
        if let Ok(address) = listener.local_addr() {
            tracing::info!(%address, "listening");
        }
    }
    let app = App::new(Shared {
        keys: Keys::new(&config.keys),
        driver: driver.clone(),
        plane,
        requests: Requests::default(),
        metrics: config.metrics.clone(),
        limits: config.limits,
        page: Page::new(config.development),
        development: config.development,
    });
    if config.development {
        tracing::warn!("development: whoever reaches this port gets tokens at /dev/token");
    }
    let (stop, stopped) = watch::channel(false);
    let serving = tokio::spawn(listener::serve(listeners, router(app, rtc.clone()), stopped));
    tell(&[NotifyState::Ready]);
    let watchdog = tokio::spawn(watch_over(driver));
    let ended = tokio::select! {
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        ended = &mut task => Some(ended),
    };
    tell(&[NotifyState::Stopping]);
    watchdog.abort();
    if let Some(ended) = ended {
        return match ended {
            Ok(Err(error)) => Err(error.into()),
            Ok(Ok(())) | Err(_) => Err(ServeError::Driver),
        };
    }
    tracing::info!("stopping");
    rtc.shut_down().await;
    // An error means that serving has ended already.
    let _ = stop.send(true);
    let _ = serving.await;
    Ok(())
}

/// Tells systemd that the program works, as long as the driver answers.
async fn watch_over(driver: Driver) {
    let Some(limit) = sd_notify::watchdog_enabled() else { return };
    // Twice as often as needed: one late answer must not kill the program.
    let mut interval = tokio::time::interval((limit / 2).max(Duration::from_millis(10)));
    loop {
        interval.tick().await;
        if driver.counts().await.is_ok() {
            tell(&[NotifyState::Watchdog]);
        }
    }
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "cannot tell systemd");
    }
}
