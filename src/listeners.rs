//! The ports and sockets that MQTT is served on.

use std::fmt;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use bluetick_broker::transport::{Layers, Tls};
use bluetick_broker::{Broker, Host};
use tokio::net::{TcpListener, UnixListener};

use crate::Failure;
use crate::config::Config;
use crate::output;

/// What an address ends with if a PROXY protocol v2 header stands in front of its connections.
const PROXY_SUFFIX: &str = "+proxy";

/// Where to listen, as the configuration names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint<A> {
    pub(crate) at: A,
    /// Written as `+proxy` behind the address.
    pub(crate) proxy: bool,
}

/// A port.
pub(crate) type Port = Endpoint<SocketAddr>;

/// A Unix socket.
pub(crate) type UnixPath = Endpoint<PathBuf>;

impl<A: FromStr> FromStr for Endpoint<A> {
    type Err = A::Err;

    fn from_str(text: &str) -> Result<Self, A::Err> {
        let (at, proxy) = match text.strip_suffix(PROXY_SUFFIX) {
            Some(at) => (at, true),
            None => (text, false),
        };
        Ok(Self { at: at.parse()?, proxy })
    }
}

/// All of them, bound and not yet served.
pub(crate) struct Listeners {
    tcp: Vec<(Kind, TcpListener, Layers)>,
    unix: Vec<(UnixListener, UnixFile, bool)>,
}

/// What is spoken at a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Mqtt,
    Mqtts,
    Ws,
    Wss,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mqtt => "mqtt",
            Self::Mqtts => "mqtts",
            Self::Ws => "ws",
            Self::Wss => "wss",
        })
    }
}

impl Listeners {
    /// Binds all that the configuration names.
    ///
    /// # Errors
    /// One of them cannot be listened on.
    pub(crate) async fn bind(config: &Config, tls: Option<&Arc<Tls>>) -> Result<Self, Failure> {
        let mut tcp = Vec::new();
        for (kind, ports) in [
            (Kind::Mqtt, &config.mqtt),
            (Kind::Mqtts, &config.mqtts),
            (Kind::Ws, &config.ws),
            (Kind::Wss, &config.wss),
        ] {
            for port in ports {
                let listener = TcpListener::bind(port.at).await;
                let listener = listener.map_err(|error| cannot_listen(&port.at, &error))?;
                let layers = Layers {
                    proxy: port.proxy,
                    tls: tls.filter(|_| matches!(kind, Kind::Mqtts | Kind::Wss)).cloned(),
                    websocket: matches!(kind, Kind::Ws | Kind::Wss),
                };
                tcp.push((kind, listener, layers));
            }
        }
        let mut unix = Vec::new();
        for path in &config.unix {
            let failed = |error| cannot_listen(&path.at.display(), &error);
            remove_stale(&path.at).map_err(failed)?;
            let listener = UnixListener::bind(&path.at).map_err(failed)?;
            unix.push((listener, UnixFile(path.at.clone()), path.proxy));
        }
        Ok(Self { tcp, unix })
    }

    /// Says on standard output where the server listens, for people and scripts.
    ///
    /// # Errors
    /// Standard output takes nothing, other than that nobody reads it.
    pub(crate) fn announce(&self, dev: bool) -> Result<(), Failure> {
        let mut text = String::new();
        let mut plain = None;
        for (kind, listener, layers) in &self.tcp {
            let address = listener.local_addr().map_err(Failure::other)?;
            text += &format!("listening {kind} {address}\n");
            if *kind == Kind::Mqtt && !layers.proxy {
                plain = plain.or(Some(address));
            }
        }
        for (_, file, _) in &self.unix {
            text += &format!("listening unix {}\n", file.0.display());
        }
        if let (true, Some(address)) = (dev, plain) {
            let at = format!("-h {} -p {}", address.ip(), address.port());
            // As it was called: it may not be on the PATH yet.
            let program = std::env::args().next().unwrap_or_else(|| "bluetick".to_owned());
            text += &format!(
                "\nTo chat, in two other terminals (F1 shows the keys):\n  \
                 {program} chat --url mqtt://{address} --user alice bob\n  \
                 {program} chat --url mqtt://{address} --user bob alice\n\
                 The same with any MQTT client. In a second terminal, receive as bob:\n  \
                 mosquitto_sub {at} -u bob -i bob-phone -c -q 1 -t 'chats/+/messages'\n\
                 In a third, send as alice:\n  \
                 mosquitto_pub {at} -u alice -i alice-phone -q 1 -t users/bob/send -m 'hi bob'\n\n"
            );
        }
        match output::bytes(text.as_bytes()) {
            // Nobody wants to know; that is no reason not to serve.
            Err(Failure::OutputClosed) => Ok(()),
            other => other,
        }
    }

    /// Accepts connections until the broker shuts down.
    pub(crate) fn serve<H: Host>(self, broker: &Broker<H>) {
        for (_, listener, layers) in self.tcp {
            let broker = broker.clone();
            tokio::spawn(async move { broker.serve_tcp(listener, layers).await });
        }
        for (listener, file, proxy) in self.unix {
            let broker = broker.clone();
            tokio::spawn(async move {
                broker.serve_unix(listener, proxy).await;
                drop(file);
            });
        }
    }
}

/// A socket's file, removed when nobody listens there any more.
struct UnixFile(PathBuf);

impl Drop for UnixFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::debug!(path = %self.0.display(), %error, "the socket's file stays");
        }
    }
}

/// Removes the socket that a killed server has left; nothing that somebody listens on, and nothing
/// that is no socket.
fn remove_stale(path: &Path) -> io::Result<()> {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    let refused = || {
        UnixStream::connect(path)
            .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
    };
    if is_socket && refused() { fs::remove_file(path) } else { Ok(()) }
}

fn cannot_listen(at: &dyn fmt::Display, error: &io::Error) -> Failure {
    Failure::Other(format!("cannot listen on {at}: {error}"))
}
