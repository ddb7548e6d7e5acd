//! The certificates: read before a port is bound, and again when their files change or at SIGHUP.

use std::sync::Arc;
use std::time::Duration;

use bluetick_broker::transport::{Tls, TlsFiles};
use tokio::signal::unix::{SignalKind, signal};

use crate::Failure;
use crate::stamp::Stamp;

/// How often the files are looked at. A change counts once they have been still for that long: who
/// replaces a certificate and its key does not do it at the same instant.
const EVERY: Duration = Duration::from_secs(2);

/// Reads the files.
///
/// # Errors
/// One that cannot be used.
pub(crate) fn load(files: TlsFiles) -> Result<Arc<Tls>, Failure> {
    let tls = Tls::load(files).map_err(|error| Failure::Configuration(error.to_string()))?;
    Ok(Arc::new(tls))
}

/// Reads the files again when they have changed, and at SIGHUP in any case.
///
/// # Errors
/// SIGHUP cannot be listened for.
pub(crate) fn watch(tls: Arc<Tls>) -> Result<(), Failure> {
    let mut hangup = signal(SignalKind::hangup()).map_err(Failure::other)?;
    tokio::spawn(async move {
        let mut in_force = stamps(&tls);
        let mut before = in_force.clone();
        let mut tick = tokio::time::interval(EVERY);
        loop {
            let forced = tokio::select! {
                _ = tick.tick() => false,
                _ = hangup.recv() => true,
            };
            let now = stamps(&tls);
            let settled = now == before && now != in_force;
            before.clone_from(&now);
            if forced || settled {
                // Also if they cannot be used: told once, not at every look.
                in_force = now;
                reload(&tls);
            }
        }
    });
    Ok(())
}

fn reload(tls: &Tls) {
    match tls.reload() {
        Ok(()) => tracing::info!("the certificates are read again"),
        Err(error) => tracing::error!(%error, "the certificates stay as they were"),
    }
}

fn stamps(tls: &Tls) -> Vec<Option<Stamp>> {
    tls.files().paths().map(Stamp::of).collect()
}
