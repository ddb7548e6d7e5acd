//! Many connections on one thread: epoll, one read for many packets, one write for many packets.
//!
//! A protocol is a [`Protocol`]: it is given what came on a connection, with the buffer of that connection's answers.
//! The answers of one turn are written together at its end, so that a burst costs one system call per connection.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use mio::{Events, Interest, Poll, Token, Waker};
use socket2::{Domain, Socket, Type};

use crate::error::{Deadline, Error};
use crate::generator::pace::Pace;

/// Bytes of one read. A packet of the generator's workloads is far shorter.
const READ_BYTES: usize = 256 * 1024;
/// Connections that are being opened at the same time: below any listen backlog.
pub(crate) const CONNECTING_MAX: usize = 32;
/// What is no connection.
const WAKER: Token = Token(usize::MAX);
/// Events of one turn.
const EVENTS_MAX: usize = 1024;

/// What is done with the bytes of each connection.
pub(crate) trait Protocol {
    /// Handles every whole packet at the front of `bytes`; what is appended to `out` is sent at the end of the turn.
    ///
    /// # Errors
    /// Whatever ends the workload.
    fn handle_bytes(
        &mut self,
        conn: usize,
        bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Handled, Error>;
}

/// How a protocol's clients are let in.
pub(crate) trait Opening: Protocol {
    /// Appends what client `conn` says first.
    fn greet(&mut self, conn: usize, out: &mut Vec<u8>);

    /// How many clients are ready for the workload.
    fn ready(&self) -> usize;

    /// Connections that are being opened at the same time.
    fn together(&self) -> usize {
        CONNECTING_MAX
    }

    /// Where client `conn` comes from, if not from where the system says.
    fn source(&self, conn: usize) -> Option<IpAddr> {
        let _all_alike = conn;
        None
    }
}

/// How much was handled.
#[derive(Debug, Default)]
pub(crate) struct Handled {
    /// The rest comes again, with what comes behind it.
    pub(crate) bytes: usize,
    /// How many that were.
    pub(crate) packets: usize,
}

/// The connections, by the order in which they were opened.
pub(crate) struct Connections {
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

impl Connections {
    /// Opens `count` connections to `address`, a few at a time; returns when all are ready.
    ///
    /// # Errors
    /// A refusal, a lost connection, or the deadline.
    pub(crate) fn open(
        address: SocketAddr,
        count: usize,
        opening: &mut impl Opening,
        deadline: &Deadline,
    ) -> Result<Self, Error> {
        let mut connections = Self {
            poll: Poll::new().map_err(Error::io("open epoll"))?,
            events: Events::with_capacity(EVENTS_MAX),
            conns: Vec::with_capacity(count),
            scratch: vec![0; READ_BYTES],
            dirty: Vec::new(),
            pace: Pace::default(),
        };
        for number in 0..count {
            connections.connect(address, opening.source(number), deadline)?;
            opening.greet(number, connections.out(number));
            connections.flush()?;
            let opened = number + 1;
            let least =
                if opened == count { count } else { opened.saturating_sub(opening.together()) };
            while opening.ready() < least {
                deadline.check(|| format!("{} of {count} connections", count - opening.ready()))?;
                connections.turn(deadline.left(), opening)?;
            }
        }
        Ok(connections)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.conns.len()
    }

    /// What is to be sent on connection `conn`; sent by [`Connections::flush`] or the next turn.
    ///
    /// # Panics
    /// If there is no such connection.
    pub(crate) fn out(&mut self, conn: usize) -> &mut Vec<u8> {
        self.dirty.push(conn);
        &mut self.conns[conn].out
    }

    /// As [`Connections::turn`], but lets packets gather first if few came the last times: see [`Pace`].
    ///
    /// Only for workloads that keep a window of 100 full on every connection.
    ///
    /// # Errors
    /// As [`Connections::turn`].
    pub(crate) fn paced_turn(
        &mut self,
        timeout: Duration,
        protocol: &mut impl Protocol,
    ) -> Result<(), Error> {
        let pause = self.pace.pause();
        if !pause.is_zero() {
            std::thread::sleep(pause);
        }
        let (packets, sockets) = self.wait_and_handle(timeout, protocol)?;
        self.pace.handle_turn(packets, sockets);
        self.flush()
    }

    /// Waits for packets, at most `timeout`, has them all handled and sends the answers.
    ///
    /// # Errors
    /// A lost connection, a malformed packet, or what `protocol` answers.
    pub(crate) fn turn(
        &mut self,
        timeout: Duration,
        protocol: &mut impl Protocol,
    ) -> Result<(), Error> {
        self.wait_and_handle(timeout, protocol)?;
        self.flush()
    }

    /// Wakes a thread that waits in a turn.
    ///
    /// # Errors
    /// [`Error::Io`]
    pub(crate) fn waker(&self) -> Result<Waker, Error> {
        Waker::new(self.poll.registry(), WAKER).map_err(Error::io("make a waker"))
    }

    fn connect(
        &mut self,
        address: SocketAddr,
        source: Option<IpAddr>,
        deadline: &Deadline,
    ) -> Result<(), Error> {
        let number = self.conns.len();
        let stream = connect(address, source, deadline.left())
            .map_err(Error::io(format!("open connection {number}")))?;
        let mut stream = mio::net::TcpStream::from_std(stream);
        self.poll
            .registry()
            .register(&mut stream, Token(number), Interest::READABLE | Interest::WRITABLE)
            .map_err(Error::io("register a connection"))?;
        self.conns.push(Conn { stream, partial: Vec::new(), out: Vec::new() });
        Ok(())
    }

    /// How many packets came, on how many sockets.
    fn wait_and_handle(
        &mut self,
        timeout: Duration,
        protocol: &mut impl Protocol,
    ) -> Result<(usize, usize), Error> {
        if let Err(error) = self.poll.poll(&mut self.events, Some(timeout))
            && error.kind() != ErrorKind::Interrupted
        {
            return Err(Error::io("wait for epoll")(error));
        }
        let (mut packets, mut sockets) = (0, 0);
        for event in &self.events {
            if event.token() == WAKER {
                continue;
            }
            let Token(number) = event.token();
            let conn = &mut self.conns[number];
            if event.is_readable() {
                packets += conn.read(number, &mut self.scratch, protocol)?;
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
    pub(crate) fn flush(&mut self) -> Result<(), Error> {
        for number in self.dirty.drain(..) {
            self.conns[number].write(number)?;
        }
        Ok(())
    }
}

/// Connects, without Nagle's algorithm; reading and writing do not block from then on.
fn connect(
    address: SocketAddr,
    source: Option<IpAddr>,
    timeout: Duration,
) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if let Some(source) = source {
        socket.bind(&SocketAddr::from((source, 0)).into())?;
    }
    socket.connect_timeout(&address.into(), timeout)?;
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

impl Conn {
    /// Reads until the socket is empty and has every whole packet handled; how many there were.
    fn read(
        &mut self,
        number: usize,
        scratch: &mut [u8],
        protocol: &mut impl Protocol,
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
            let whole = &scratch[..kept + read_bytes];
            let handled = protocol.handle_bytes(number, whole, &mut self.out)?;
            packets += handled.packets;
            let rest = &whole[handled.bytes..];
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
