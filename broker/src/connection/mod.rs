//! One connection: bytes in and out, from the first CONNECT to the end. All rules of MQTT are
//! the session's; this drives it.

mod admit;
mod calls;
mod driver;
mod ended;
#[cfg(test)]
mod memory;
mod open;
mod stall;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use crate::broker::{Connecting, Counted, Shared};
use crate::host::Host;
use crate::stats::Stats;
use admit::{Admitted, Refusal, admit};
use driver::Driver;
use open::open;
use wire::{Wire, count_if_malformed};

/// Whom a connection is with, as far as the transport knows.
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    /// The common name of the certificate it has shown.
    pub(crate) certificate: Option<Arc<str>>,
}

/// Lets a connection in until the deadline, and has it served until it ends.
pub(crate) async fn serve<H: Host, S>(
    shared: Arc<Shared<H>>,
    stream: S,
    peer: Peer,
    deadline: Instant,
    connecting: Option<Connecting<H>>,
    counted: Counted<H>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut wire = Wire::new(stream);
    let address = peer.address;
    let admitted = tokio::select! {
        biased;
        admitted = tokio::time::timeout_at(deadline, admit(&shared, &mut wire, peer)) => admitted,
        // Who has not said who he is needs no goodbye.
        () = shared.stopping() => return,
    };
    drop(connecting);
    let admitted = match admitted {
        Ok(Ok(admitted)) => admitted,
        Ok(Err(error)) => {
            if let Refusal::Io(error) = &error {
                count_if_malformed(&shared.stats, error);
            }
            tracing::debug!(%address, %error, "connection ended before it was let in");
            return;
        }
        Err(_) => {
            Stats::add(&shared.stats.connect_timeouts, 1);
            tracing::debug!(%address, "no CONNECT in time");
            return;
        }
    };
    let Admitted { connect, key, assigned } = admitted;
    let opened = open(&shared, &mut wire, &connect, key, assigned).await;
    let Some(online) = opened else { return };
    // In a task of its own: the future of the handshake is large and over soon, the long idle
    // time of the connection should not keep its memory.
    tokio::spawn(Driver::new(shared, address, wire, online, counted).run());
}
