//! What lies between a socket and MQTT: accepting, and the layers of a listener (PROXY header, TLS,
//! WebSocket), each opened by a handshake. Where there are none, a connection is served as it came:
//! plain TCP pays nothing for the others.

mod handshake;
mod proxy;
mod tls;
mod websocket;

use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream, UnixListener};

use crate::broker::Broker;
use crate::host::Host;
use handshake::Handshake;

pub use tls::{CertificateFiles, ClientCertificates, Tls, TlsError, TlsFiles};

/// How long an accept loop waits after an error such as "too many open files".
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// How long one who does not answer the system is given until he is asked again: nine times, Linux's
/// default.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(30);

/// Where the clients of a Unix socket are: on this machine. The port says that there is none.
const LOCAL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// What the connections of a listener are wrapped in, from the outside in.
#[derive(Debug, Clone, Default)]
pub struct Layers {
    /// A PROXY protocol v2 header that says whom a load balancer speaks for. Each connection has to
    /// begin with one, and it is believed: nobody but the balancer may reach such a listener.
    pub proxy: bool,
    /// TLS 1.2 and 1.3.
    pub tls: Option<Arc<Tls>>,
    /// WebSocket with the subprotocol `mqtt` (MQTT 5 §6).
    pub websocket: bool,
}

impl Layers {
    fn none(&self) -> bool {
        !self.proxy && self.tls.is_none() && !self.websocket
    }
}

impl<H: Host> Broker<H> {
    /// Accepts connections until [`Broker::shutdown`].
    pub async fn serve_tcp(&self, listener: TcpListener, layers: Layers) {
        let keep_alive = self.keep_alive();
        let serve = |(stream, address): (TcpStream, SocketAddr)| {
            // Acknowledgements are small and must not wait for more to send.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%address, %error, "cannot set TCP_NODELAY");
            }
            // Not once on the listener: what has connected before it was set would go without.
            if let Some(asked) = &keep_alive
                && let Err(error) = SockRef::from(&stream).set_tcp_keepalive(asked)
            {
                tracing::debug!(%address, %error, "cannot set TCP's keep-alive");
            }
            if layers.none() {
                self.serve_stream(stream, address);
            } else if let Some(handshake) = Handshake::begin(self, address, layers.proxy) {
                tokio::spawn(handshake.run(stream, layers.clone()));
            }
        };
        self.accept(|context| listener.poll_accept(context), serve).await;
    }

    /// Has the system find out whose machine or line is gone, which a client without keep-alive
    /// would leave open for ever.
    fn keep_alive(&self) -> Option<TcpKeepalive> {
        let after = Duration::from_secs(self.shared.limits.tcp_keep_alive_s.into());
        let asked = TcpKeepalive::new().with_time(after).with_interval(KEEP_ALIVE_INTERVAL);
        (!after.is_zero()).then_some(asked)
    }

    /// Accepts connections to a Unix socket until [`Broker::shutdown`]. They count as coming from
    /// 127.0.0.1, unless a PROXY protocol v2 header (`proxy`) says otherwise.
    pub async fn serve_unix(&self, listener: UnixListener, proxy: bool) {
        let serve = |(stream, _)| {
            if !proxy {
                self.serve_stream(stream, LOCAL);
            } else if let Some(handshake) = Handshake::begin(self, LOCAL, proxy) {
                tokio::spawn(handshake.run_plain(stream));
            }
        };
        self.accept(|context| listener.poll_accept(context), serve).await;
    }

    async fn accept<A>(
        &self,
        mut poll_accept: impl FnMut(&mut Context<'_>) -> Poll<io::Result<A>>,
        serve: impl Fn(A),
    ) {
        let mut failing = false;
        loop {
            let accepted = tokio::select! {
                accepted = poll_fn(&mut poll_accept) => accepted,
                () = self.shared.stopping() => return,
            };
            match accepted {
                Ok(accepted) => {
                    if std::mem::take(&mut failing) {
                        tracing::info!("connections are accepted again");
                    }
                    serve(accepted);
                }
                Err(error) if is_of_one_connection(&error) => {
                    tracing::debug!(%error, "a connection ended before it was accepted");
                }
                Err(error) => {
                    // Once, not ten times a second for as long as it lasts.
                    if !std::mem::replace(&mut failing, true) {
                        tracing::warn!(%error, "cannot accept connections, tried again");
                    }
                    tokio::time::sleep(ACCEPT_BACKOFF).await;
                }
            }
        }
    }
}

/// Linux hands accept() the errors of the connection it would have given (accept(2)); the next one
/// may be well.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
