//! Many connections on one thread: epoll, one read for many packets, one write for many packets.
//!
//! A workload is a [`Traffic`]: it is given each packet with the buffer of that connection's answers. The
//! answers of one turn are written together at its end, so that a burst costs one system call per connection.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use mio::{Events, Interest, Poll, Token};

use crate::error::{Deadline, Error};
use crate::generator::pace::Pace;
use crate::generator::wire::{
    Packet, Version, put_connect, put_disconnect, put_subscribe, take_packet,
};

/// Connections that are being opened at the same time: below any listen backlog.
const CONNECTING_MAX: usize = 32;
/// Bytes of one read. A packet of the generator's workloads is far shorter.
const READ_BYTES: usize = 256 * 1024;
/// Events of one turn.
const EVENTS_MAX: usize = 1024;

/// Who connects, and what he subscribes to.
#[derive(Debug, Clone)]
pub struct Client {
    /// The client id.
    pub id: String,
    /// The user name.
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
    poll: Poll,
    events: Events,
    conns: Vec<Conn>,
    scratch: Vec<u8>,
    dirty: Vec<usize>,
    pace: Pace,
}

struct Conn {
    stream: mio::net::TcpStream,
    /// The start of a packet whose end has not come; empty (and without memory) most of the time.
    partial: Vec<u8>,
    out: Vec<u8>,
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
        let mut fleet = Fleet {
            version,
            poll: Poll::new().map_err(Error::io("open epoll"))?,
            events: Events::with_capacity(EVENTS_MAX),
            conns: Vec::with_capacity(clients.len()),
            scratch: vec![0; READ_BYTES],
            dirty: Vec::new(),
            pace: Pace::default(),
        };
        let mut handshake = Handshake { version, clients, window, ready: 0 };
        for (number, client) in clients.iter().enumerate() {
            fleet.open(address, deadline)?;
            let out = fleet.out(number);
            put_connect(out, version, &client.id, &client.user, window, client.persistent);
            fleet.flush()?;
            let least = if number + 1 == clients.len() {
                clients.len()
            } else {
                (number + 1).saturating_sub(CONNECTING_MAX)
            };
            while handshake.ready < least {
                deadline.check(|| {
                    format!("{} of {} connections", clients.len() - handshake.ready, clients.len())
                })?;
                fleet.turn(deadline.left(), &mut handshake)?;
            }
        }
        Ok(fleet)
    }

    /// The answers of connection `conn`, to start a workload; sent by [`Fleet::flush`] or the next turn.
    ///
    /// # Panics
    /// If there is no such connection.
    pub fn out(&mut self, conn: usize) -> &mut Vec<u8> {
        self.dirty.push(conn);
        &mut self.conns[conn].out
    }

    /// As [`Fleet::turn`], but lets packets gather first if few came the last times: see [`Pace`].
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
        let pause = self.pace.pause();
        if !pause.is_zero() {
            std::thread::sleep(pause);
        }
        let (packets, sockets) = self.wait_and_handle(timeout, traffic)?;
        self.pace.handle_turn(packets, sockets);
        self.flush()
    }

    /// Waits for packets, at most `timeout`, hands them all out and sends the answers.
    ///
    /// # Errors
    /// A lost connection, a malformed packet, or what `traffic` answers.
    pub fn turn(&mut self, timeout: Duration, traffic: &mut impl Traffic) -> Result<(), Error> {
        self.wait_and_handle(timeout, traffic)?;
        self.flush()
    }

    /// How many packets came, on how many sockets.
    fn wait_and_handle(
        &mut self,
        timeout: Duration,
        traffic: &mut impl Traffic,
    ) -> Result<(usize, usize), Error> {
        if let Err(error) = self.poll.poll(&mut self.events, Some(timeout))
            && error.kind() != ErrorKind::Interrupted
        {
            return Err(Error::io("wait for epoll")(error));
        }
        let (mut packets, mut sockets) = (0, 0);
        for event in &self.events {
            let Token(number) = event.token();
            let conn = &mut self.conns[number];
            if event.is_readable() {
                packets += conn.read(number, &mut self.scratch, self.version, traffic)?;
                sockets += 1;
            }
            if !conn.out.is_empty() {
                self.dirty.push(number);
            }
        }
        Ok((packets, sockets))
    }

    /// Sends what waits to be sent; what the kernel does not take goes with a later turn.
    ///
    /// # Errors
    /// A lost connection.
    pub fn flush(&mut self) -> Result<(), Error> {
        for number in self.dirty.drain(..) {
            self.conns[number].write(number)?;
        }
        Ok(())
    }

    /// Says DISCONNECT on every connection and closes it.
    ///
    /// # Errors
    /// A lost connection.
    pub fn close(mut self) -> Result<(), Error> {
        for number in 0..self.conns.len() {
            put_disconnect(self.out(number));
        }
        self.flush()
    }

    fn open(&mut self, address: SocketAddr, deadline: &Deadline) -> Result<(), Error> {
        let number = self.conns.len();
        let stream = TcpStream::connect_timeout(&address, deadline.left())
            .and_then(|stream| {
                stream.set_nodelay(true)?;
                stream.set_nonblocking(true)?;
                Ok(stream)
            })
            .map_err(Error::io(format!("open connection {number}")))?;
        let mut stream = mio::net::TcpStream::from_std(stream);
        self.poll
            .registry()
            .register(&mut stream, Token(number), Interest::READABLE | Interest::WRITABLE)
            .map_err(Error::io("register a connection"))?;
        self.conns.push(Conn { stream, partial: Vec::new(), out: Vec::new() });
        Ok(())
    }
}

impl Conn {
    /// Reads until the socket is empty and hands out every whole packet; how many there were.
    fn read(
        &mut self,
        number: usize,
        scratch: &mut [u8],
        version: Version,
        traffic: &mut impl Traffic,
    ) -> Result<usize, Error> {
        let mut packets = 0;
        loop {
            let kept = self.partial.len();
            scratch[..kept].copy_from_slice(&self.partial);
            let room = &mut scratch[kept..];
            let room_bytes = room.len();
            let read_bytes = match self.stream.read(room) {
                Ok(0) => return Err(Error::Wrong(format!("connection {number} was closed"))),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(packets),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(Error::io(format!("read connection {number}"))(error)),
            };
            let mut rest = &scratch[..kept + read_bytes];
            while let Some((packet, taken)) = take_packet(rest, version)? {
                if let Packet::Disconnect { reason } = packet {
                    return Err(Error::Wrong(format!(
                        "connection {number} was ended, reason {reason:#04x}"
                    )));
                }
                traffic.handle_packet(number, &packet, &mut self.out)?;
                rest = &rest[taken..];
                packets += 1;
            }
            if rest.len() == scratch.len() {
                return Err(Error::Wrong(format!(
                    "connection {number} got a packet above {READ_BYTES} bytes"
                )));
            }
            self.partial.clear();
            self.partial.extend_from_slice(rest);
            // A short read has emptied the socket: the next edge comes with the next byte (epoll(7)).
            if read_bytes < room_bytes {
                return Ok(packets);
            }
        }
    }

    fn write(&mut self, number: usize) -> Result<(), Error> {
        let mut written = 0;
        while written < self.out.len() {
            match self.stream.write(&self.out[written..]) {
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io(format!("write connection {number}"))(error)),
            }
        }
        self.out.drain(..written);
        Ok(())
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
