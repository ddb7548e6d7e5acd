//! Many clients that speak MQTT, on one thread.
//!
//! A workload is a [`Traffic`]: it is given each packet with the buffer of that connection's answers.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use mio::Waker;

use crate::error::{Deadline, Error};
use crate::generator::connections::{CONNECTING_MAX, Connections, Handled, Opening, Protocol};
use crate::generator::quiet::acknowledge;
use crate::generator::wire::{
    Packet, Version, put_connect, put_disconnect, put_subscribe_at, take_packet,
};

/// Who connects, and what he subscribes to.
#[derive(Debug, Clone)]
pub struct Client {
    /// The client id.
    pub id: String,
    /// The user name; none is said if it is empty.
    pub user: String,
    /// Filters; none means no SUBSCRIBE.
    pub filters: Vec<String>,
    /// The QoS of all of them.
    pub qos: u8,
    /// Whether the session outlives the connection.
    pub persistent: bool,
}

/// What a workload does with each packet.
pub trait Traffic {
    /// Takes one packet of connection `conn`; what is appended to `out` is sent at the end of the turn.
    ///
    /// # Errors
    /// Whatever ends the workload.
    fn handle_packet(
        &mut self,
        conn: usize,
        packet: &Packet<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Error>;
}

/// How clients connect.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Where the server listens.
    pub address: SocketAddr,
    /// Which MQTT.
    pub version: Version,
    /// What each side may leave unacknowledged.
    pub window: u16,
    /// Connections that are being opened at the same time.
    pub together: usize,
    /// Addresses they come from, in turns; 1: whatever the system says.
    pub sources: u8,
}

impl Entry {
    /// A few at a time, from one address.
    pub fn new(address: SocketAddr, version: Version, window: u16) -> Self {
        Self { address, version, window, together: CONNECTING_MAX, sources: 1 }
    }
}

/// The connections, by their number in the list of clients.
pub struct Fleet {
    version: Version,
    connections: Connections,
}

impl Fleet {
    /// Connects all clients and subscribes them, a few at a time; returns when every SUBACK is there.
    ///
    /// `window`: what each side may leave unacknowledged.
    ///
    /// # Errors
    /// A refusal, a lost connection, or the deadline.
    pub fn connect(
        address: SocketAddr,
        version: Version,
        clients: &[Client],
        window: u16,
        deadline: &Deadline,
    ) -> Result<Fleet, Error> {
        Self::enter(Entry::new(address, version, window), clients, deadline, &mut Acknowledging)
    }

    /// As [`Fleet::connect`]; messages that come before all are connected go to `traffic`.
    ///
    /// # Errors
    /// As [`Fleet::connect`], and what `traffic` answers.
    pub fn enter(
        entry: Entry,
        clients: &[Client],
        deadline: &Deadline,
        traffic: &mut impl Traffic,
    ) -> Result<Fleet, Error> {
        let Entry { address, version, .. } = entry;
        let mut handshake = Handshake { entry, clients, ready: 0, traffic };
        let mut opening = Mqtt { version, traffic: &mut handshake };
        let connections = Connections::open(address, clients.len(), &mut opening, deadline)?;
        Ok(Fleet { version, connections })
    }

    /// Wakes a thread that waits in a turn.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn waker(&self) -> Result<Waker, Error> {
        self.connections.waker()
    }

    /// The answers of connection `conn`, to start a workload; sent by [`Fleet::flush`] or the next turn.
    ///
    /// # Panics
    /// If there is no such connection.
    pub fn out(&mut self, conn: usize) -> &mut Vec<u8> {
        self.connections.out(conn)
    }

    /// As [`Fleet::turn`], but lets packets gather first if few came the last times: see
    /// [`Pace`](crate::generator::pace::Pace).
    ///
    /// Only for workloads that keep a window of 100 full on every connection.
    ///
    /// # Errors
    /// As [`Fleet::turn`].
    pub fn paced_turn(
        &mut self,
        timeout: Duration,
        traffic: &mut impl Traffic,
    ) -> Result<(), Error> {
        self.connections.paced_turn(timeout, &mut Mqtt { version: self.version, traffic })
    }

    /// Waits for packets, at most `timeout`, hands them all out and sends the answers.
    ///
    /// # Errors
    /// A lost connection, a malformed packet, or what `traffic` answers.
    pub fn turn(&mut self, timeout: Duration, traffic: &mut impl Traffic) -> Result<(), Error> {
        self.connections.turn(timeout, &mut Mqtt { version: self.version, traffic })
    }

    /// Sends what waits to be sent; what the kernel does not take goes with a later turn.
    ///
    /// # Errors
    /// A lost connection.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.connections.flush()
    }

    /// Says DISCONNECT on every connection and closes it.
    ///
    /// # Errors
    /// A lost connection.
    pub fn close(mut self) -> Result<(), Error> {
        for number in 0..self.connections.len() {
            put_disconnect(self.out(number));
        }
        self.flush()
    }
}

/// Hands packets to a workload.
struct Mqtt<'a, T> {
    version: Version,
    traffic: &'a mut T,
}

impl<T: Traffic> Protocol for Mqtt<'_, T> {
    fn handle_bytes(
        &mut self,
        conn: usize,
        bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Handled, Error> {
        let mut handled = Handled::default();
        while let Some((packet, taken)) = take_packet(&bytes[handled.bytes..], self.version)? {
            if let Packet::Disconnect { reason } = packet {
                return Err(Error::Wrong(format!(
                    "connection {conn} was ended, reason {reason:#04x}"
                )));
            }
            self.traffic.handle_packet(conn, &packet, out)?;
            handled.bytes += taken;
            handled.packets += 1;
        }
        Ok(handled)
    }
}

impl<T: Traffic> Opening for Mqtt<'_, Handshake<'_, T>> {
    fn greet(&mut self, conn: usize, out: &mut Vec<u8>) {
        let Handshake { entry: Entry { version, window, .. }, clients, .. } = *self.traffic;
        let Client { id, user, persistent, .. } = &clients[conn];
        put_connect(out, version, id, user, window, *persistent);
    }

    fn ready(&self) -> usize {
        self.traffic.ready
    }

    fn together(&self) -> usize {
        self.traffic.entry.together
    }

    fn source(&self, conn: usize) -> Option<IpAddr> {
        let sources = usize::from(self.traffic.entry.sources);
        let turn = u8::try_from(conn.checked_rem(sources)?).ok()?;
        // 127.0.0.1 is the server's and everybody else's.
        (sources > 1).then(|| Ipv4Addr::new(127, 0, 0, turn.saturating_add(2)).into())
    }
}

/// CONNACK, then SUBSCRIBE, then SUBACK.
struct Handshake<'a, T> {
    entry: Entry,
    clients: &'a [Client],
    ready: usize,
    traffic: &'a mut T,
}

impl<T: Traffic> Traffic for Handshake<'_, T> {
    fn handle_packet(
        &mut self,
        conn: usize,
        packet: &Packet<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        match *packet {
            Packet::ConnAck { code, receive_max } => {
                check_connack(code, receive_max, self.entry.window)?;
                match self.clients.get(conn) {
                    Some(client) if !client.filters.is_empty() => {
                        put_subscribe_at(out, self.entry.version, client.qos, 1, &client.filters);
                    }
                    _ => self.ready += 1,
                }
                Ok(())
            }
            Packet::SubAck { codes } => {
                check_suback(codes, self.clients.get(conn).map_or(1, |client| client.qos))?;
                self.ready += 1;
                Ok(())
            }
            ref message @ Packet::Publish { .. } => self.traffic.handle_packet(conn, message, out),
            ref other => Err(Error::Wrong(format!("{other:?} while connecting"))),
        }
    }
}

/// Acknowledges what comes, so that it does not come again, and looks at nothing.
pub struct Acknowledging;

impl Traffic for Acknowledging {
    fn handle_packet(
        &mut self,
        _conn: usize,
        packet: &Packet<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        match *packet {
            Packet::Publish { packet_id, .. } => acknowledge(packet_id, out),
            ref other => Err(Error::Wrong(format!("{other:?} while connecting"))),
        }
    }
}

/// Fails unless the server accepted, and takes as many unacknowledged messages as the workload sends.
///
/// # Errors
/// [`Error::Wrong`].
pub fn check_connack(code: u8, receive_max: u16, window: u16) -> Result<(), Error> {
    if code != 0 {
        return Err(Error::Wrong(format!("CONNECT refused, code {code:#04x}")));
    }
    if receive_max < window {
        return Err(Error::Wrong(format!(
            "the server's receive maximum {receive_max} is below the window {window}"
        )));
    }
    Ok(())
}

/// Fails unless every filter was granted at this QoS.
///
/// # Errors
/// [`Error::Wrong`].
pub fn check_suback(codes: &[u8], qos: u8) -> Result<(), Error> {
    if codes.iter().all(|&code| code == qos) {
        return Ok(());
    }
    Err(Error::Wrong(format!("SUBSCRIBE not granted at QoS {qos}: {codes:02x?}")))
}
