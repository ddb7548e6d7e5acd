//! The handshakes of one connection, within the limits that hold for them all.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::{Layers, proxy, websocket};
use crate::broker::{Broker, Connecting, Counted, Shared};
use crate::connection::{self, Peer};
use crate::host::Host;
use crate::stats::Stats;

/// Why a handshake did not come to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandshakeError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("no PROXY protocol v2 header: {0}")]
    Proxy(String),
    #[error("refused with HTTP {0}: {1}")]
    WebSocket(u16, String),
}

impl HandshakeError {
    /// Not if it is only gone: balancers look whether a port is open.
    fn is_clients_fault(&self) -> bool {
        match self {
            Self::Io(error) => error.kind() == io::ErrorKind::InvalidData,
            Self::Proxy(_) | Self::WebSocket(..) => true,
        }
    }
}

/// A connection whose layers are being opened.
pub(super) struct Handshake<H: Host> {
    shared: Arc<Shared<H>>,
    counted: Counted<H>,
    /// `None`: whose it is is not known before the PROXY header.
    connecting: Option<Connecting<H>>,
    permit: OwnedSemaphorePermit,
    peer: Peer,
    deadline: Instant,
}

impl<H: Host> Handshake<H> {
    /// Takes a place among the handshakes; `None`: there is none, and the connection is to be closed.
    pub(super) fn begin(broker: &Broker<H>, address: SocketAddr, proxy: bool) -> Option<Self> {
        let shared = &broker.shared;
        let counted = Counted::admit(shared, address)?;
        let connecting = if proxy { None } else { Some(Connecting::admit(shared, address)?) };
        let Ok(permit) = shared.handshakes.clone().try_acquire_owned() else {
            Stats::add(&shared.stats.handshakes_refused, 1);
            tracing::debug!(%address, "too many handshakes, closed at once");
            return None;
        };
        let (peer, deadline) = (Peer { address, certificate: None }, shared.connect_deadline());
        Some(Self { shared: shared.clone(), counted, connecting, permit, peer, deadline })
    }

    /// Opens all layers and serves what is inside until the connection ends.
    pub(super) async fn run(mut self, mut stream: TcpStream, layers: Layers) {
        if layers.proxy && self.read_proxy(&mut stream).await.is_none() {
            return;
        }
        let Some(tls) = layers.tls else {
            return if layers.websocket {
                self.serve_websocket(stream).await;
            } else {
                self.serve(stream).await;
            };
        };
        let Some((stream, certificate)) = self.step(tls.accept(stream)).await else { return };
        self.peer.certificate = certificate;
        if layers.websocket {
            self.serve_websocket(stream).await;
        } else {
            self.serve(stream).await;
        }
    }

    /// The same for a stream that has no layer but the PROXY header.
    pub(super) async fn run_plain(
        mut self,
        mut stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) {
        if self.read_proxy(&mut stream).await.is_some() {
            self.serve(stream).await;
        }
    }

    /// From here on the connection is that of the client the header names.
    async fn read_proxy(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> Option<()> {
        let source = self.step(proxy::read_header(stream)).await?;
        self.peer.address = source.unwrap_or(self.peer.address);
        self.connecting = Some(Connecting::admit(&self.shared, self.peer.address)?);
        Some(())
    }

    async fn serve_websocket(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        // A frame may hold several packets; the largest one fits with its header.
        let frame_bytes_max = self.shared.limits.packet_bytes_max + 1024;
        if let Some(stream) = self.step(websocket::accept(stream, frame_bytes_max)).await {
            self.serve(stream).await;
        }
    }

    async fn serve(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let Self { shared, counted, connecting, permit, peer, deadline } = self;
        drop(permit);
        connection::serve(shared, stream, peer, deadline, connecting, counted).await;
    }

    /// One handshake; `None`: it failed, or took too long, and that was counted.
    async fn step<T>(
        &self,
        handshake: impl Future<Output = Result<T, HandshakeError>>,
    ) -> Option<T> {
        let address = self.peer.address;
        let ended = tokio::select! {
            biased;
            ended = tokio::time::timeout_at(self.deadline, handshake) => ended,
            () = self.shared.stopping() => return None,
        };
        match ended {
            Ok(Ok(opened)) => return Some(opened),
            Ok(Err(error)) => {
                if error.is_clients_fault() {
                    Stats::add(&self.shared.stats.handshakes_failed, 1);
                }
                tracing::debug!(%address, %error, "the handshake failed");
            }
            Err(_) => {
                Stats::add(&self.shared.stats.connect_timeouts, 1);
                tracing::debug!(%address, "the handshake took too long");
            }
        }
        None
    }
}
