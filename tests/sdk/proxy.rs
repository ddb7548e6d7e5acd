//! Stands between a client and the server and knows MQTT's packets: passes, delays, swallows and cuts.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// Which way a packet goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    ToServer,
    ToClient,
}

/// A packet that is about to be passed on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Passing {
    /// The connection's number, from 0.
    pub(crate) connection: usize,
    pub(crate) way: Way,
    /// Its number on this connection and way, from 0.
    pub(crate) no: usize,
    /// MQTT's packet type.
    pub(crate) kind: u8,
}

/// MQTT's packet types.
pub(crate) const PUBLISH: u8 = 3;

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Pass,
    Swallow,
    /// The connection ends before it.
    CutBefore,
    /// The connection ends after it.
    CutAfter,
    /// The connection ends in the middle of it.
    CutWithin,
    /// It passes, and then all that came on this connection so far comes once more, on another one.
    Twice,
    Delay(Duration),
}

type Rule = Box<dyn FnMut(Passing) -> Fate + Send>;

/// A proxy on a port of its own, until it is dropped.
pub(crate) struct Proxy {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    task: tokio::task::JoinHandle<()>,
}

struct State {
    server: Option<SocketAddr>,
    rule: Rule,
    connections: usize,
    /// Bytes in both directions, and PUBLISHes to the client.
    bytes: u64,
    published: usize,
}

impl Proxy {
    /// Without a server it ends every connection at once.
    pub(crate) async fn start(
        server: Option<SocketAddr>,
        rule: impl FnMut(Passing) -> Fate + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let rule = Box::new(rule);
        let state = State { server, rule, connections: 0, bytes: 0, published: 0 };
        let state = Arc::new(Mutex::new(state));
        let task = tokio::spawn(accept(listener, state.clone()));
        Self { address, state, task }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn set_server(&self, server: SocketAddr) {
        self.lock().server = Some(server);
    }

    pub(crate) fn connections(&self) -> usize {
        self.lock().connections
    }

    /// How many PUBLISHes were passed on to the client.
    pub(crate) fn published(&self) -> usize {
        self.lock().published
    }

    /// Bytes passed on in both directions, since they were last taken.
    pub(crate) fn bytes(&self) -> u64 {
        self.lock().bytes
    }

    /// The same, and counting begins anew.
    pub(crate) fn take_bytes(&self) -> u64 {
        std::mem::take(&mut self.lock().bytes)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no rule panics")
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, state: Arc<Mutex<State>>) {
    loop {
        let (client, _) = listener.accept().await.expect("a connection");
        let (server, connection) = {
            let mut state = state.lock().expect("no rule panics");
            state.connections += 1;
            (state.server, state.connections - 1)
        };
        let Some(server) = server else { continue };
        let state = state.clone();
        tokio::spawn(async move {
            let Ok(server) = TcpStream::connect(server).await else { return };
            client.set_nodelay(true).expect("set");
            server.set_nodelay(true).expect("set");
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            // Either end is the end of both.
            let _ended = tokio::select! {
                ended = pump(from_client, to_server, (connection, Way::ToServer), &state) => ended,
                ended = pump(from_server, to_client, (connection, Way::ToClient), &state) => ended,
            };
        });
    }
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    (connection, way): (usize, Way),
    state: &Mutex<State>,
) -> io::Result<()> {
    let mut so_far = Vec::new();
    for no in 0.. {
        let packet = read_packet(&mut from).await?;
        so_far.extend_from_slice(&packet);
        let passing = Passing { connection, way, no, kind: packet[0] >> 4 };
        let fate = (state.lock().expect("no rule panics").rule)(passing);
        let part = match fate {
            Fate::Swallow => continue,
            Fate::CutBefore => return Ok(()),
            Fate::CutWithin => &packet[..packet.len() / 2],
            Fate::Pass | Fate::CutAfter | Fate::Twice => &packet[..],
            Fate::Delay(time) => {
                tokio::time::sleep(time).await;
                &packet[..]
            }
        };
        {
            let mut state = state.lock().expect("no rule panics");
            state.bytes += part.len() as u64;
            state.published += usize::from(way == Way::ToClient && passing.kind == PUBLISH);
        }
        to.write_all(part).await?;
        match fate {
            Fate::CutWithin | Fate::CutAfter => return Ok(()),
            Fate::Twice => repeat(to.peer_addr()?, &so_far).await?,
            _ => {}
        }
    }
    Ok(())
}

/// Connects once more, says the same, and listens until the server has answered the CONNECT.
async fn repeat(server: SocketAddr, bytes: &[u8]) -> io::Result<()> {
    let (mut from, mut to) = TcpStream::connect(server).await?.into_split();
    to.write_all(bytes).await?;
    read_packet(&mut from).await?;
    Ok(())
}

/// One packet, with its fixed header. Source: MQTT 5.0, 2.1.
async fn read_packet(from: &mut OwnedReadHalf) -> io::Result<Vec<u8>> {
    let mut packet = vec![from.read_u8().await?];
    let (mut length, mut shift) = (0, 0);
    loop {
        let byte = from.read_u8().await?;
        packet.push(byte);
        length |= usize::from(byte & 0x7F) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            break;
        }
    }
    let head = packet.len();
    packet.resize(head + length, 0);
    from.read_exact(&mut packet[head..]).await?;
    Ok(packet)
}
