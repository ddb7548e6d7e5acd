//! Many clients that speak MQTT, on one thread.
//!
//! A workload is a [`Traffic`]: it is given each packet with the buffer of that connection's answers.

use std::net::SocketAddr;
use std::time::Duration;

use crate::error::{Deadline, Error};
use crate::generator::connections::{Connections, Handled, Opening, Protocol};
use crate::generator::wire::{
    Packet, Version, put_connect, put_disconnect, put_subscribe, take_packet,
};

/// Who connects, and what he subscribes to.
#[derive(Debug, Clone)]
pub struct Client {
    /// The client id.
    pub id: String,
    /// The user name; none is said if it is empty.
    pub user: String,
    /// Filters, all at QoS 1; none means no SUBSCRIBE.
    pub filters: Vec<String>,
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
        let mut handshake = Handshake { version, clients, window, ready: 0 };
        let mut opening = Mqtt { version, traffic: &mut handshake };
        let connections = Connections::open(address, clients.len(), &mut opening, deadline)?;
        Ok(Fleet { version, connections })
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

impl Opening for Mqtt<'_, Handshake<'_>> {
    fn greet(&mut self, conn: usize, out: &mut Vec<u8>) {
        let Handshake { version, clients, window, .. } = *self.traffic;
        let Client { id, user, persistent, .. } = &clients[conn];
        put_connect(out, version, id, user, window, *persistent);
    }

    fn ready(&self) -> usize {
        self.traffic.ready
    }
}

/// CONNACK, then SUBSCRIBE, then SUBACK.
struct Handshake<'a> {
    version: Version,
    clients: &'a [Client],
    window: u16,
    ready: usize,
}

impl Traffic for Handshake<'_> {
    fn handle_packet(
        &mut self,
        conn: usize,
        packet: &Packet<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        match *packet {
            Packet::ConnAck { code, receive_max } => {
                check_connack(code, receive_max, self.window)?;
                match self.clients.get(conn) {
                    Some(client) if !client.filters.is_empty() => {
                        put_subscribe(out, self.version, 1, &client.filters);
                    }
                    _ => self.ready += 1,
                }
                Ok(())
            }
            Packet::SubAck { codes } => {
                check_suback(codes)?;
                self.ready += 1;
                Ok(())
            }
            // A chat that was not delivered before: acknowledged, so that it does not come again.
            Packet::Publish { packet_id, .. } if packet_id != 0 => {
                crate::generator::wire::put_puback(out, packet_id);
                Ok(())
            }
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

/// Fails unless every filter was granted at QoS 1.
///
/// # Errors
/// [`Error::Wrong`].
pub fn check_suback(codes: &[u8]) -> Result<(), Error> {
    if codes.iter().all(|&code| code == 1) {
        return Ok(());
    }
    Err(Error::Wrong(format!("SUBSCRIBE not granted at QoS 1: {codes:02x?}")))
}
