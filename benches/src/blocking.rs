//! One connection, one thread, blocking: the shortest way between a byte's arrival and a timestamp.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::error::{Deadline, Error};
use crate::fleet::{Client, check_connack, check_suback};
use crate::wire::{Packet, Version, put_connect, put_disconnect, put_subscribe, take_packet};

/// Bytes of the read buffer: no packet of the latency workload is near it.
const BUFFER_BYTES: usize = 16 * 1024;

/// A connected client.
pub struct Blocking {
    stream: TcpStream,
    version: Version,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    deadline: Deadline,
}

impl Blocking {
    /// Connects and subscribes. Each later wait is over at `deadline` too.
    ///
    /// # Errors
    /// A refusal, a lost connection, or the deadline.
    pub fn connect(
        address: SocketAddr,
        version: Version,
        client: &Client,
        window: u16,
        deadline: Deadline,
    ) -> Result<Self, Error> {
        let stream = TcpStream::connect_timeout(&address, deadline.left())
            .and_then(|stream| {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(deadline.left()))?;
                Ok(stream)
            })
            .map_err(Error::io("open a connection"))?;
        let mut blocking =
            Self { stream, version, buffer: vec![0; BUFFER_BYTES], start: 0, end: 0, deadline };
        let mut out = Vec::new();
        put_connect(&mut out, version, &client.id, &client.user, window);
        blocking.send(&out)?;
        match blocking.receive("CONNACK")? {
            Packet::ConnAck { code, receive_max } => check_connack(code, receive_max, window)?,
            other => return Err(Error::Wrong(format!("{other:?} in place of CONNACK"))),
        }
        if !client.filters.is_empty() {
            out.clear();
            put_subscribe(&mut out, version, 1, &client.filters);
            blocking.send(&out)?;
            match blocking.receive("SUBACK")? {
                Packet::SubAck { codes } => check_suback(codes)?,
                other => return Err(Error::Wrong(format!("{other:?} in place of SUBACK"))),
            }
        }
        Ok(blocking)
    }

    /// Sends everything.
    ///
    /// # Errors
    /// A lost connection.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.stream.write_all(bytes).map_err(Error::io("send"))
    }

    /// Waits for the next packet; `missing` names it in the error.
    ///
    /// # Errors
    /// A lost connection, a malformed packet, or the deadline.
    pub fn receive(&mut self, missing: &str) -> Result<Packet<'_>, Error> {
        // Found by its length first and decoded again at the end: a borrow cannot leave the loop early.
        let taken = loop {
            if let Some((_, taken)) = take_packet(&self.buffer[self.start..self.end], self.version)?
            {
                break taken;
            }
            self.fill(missing)?;
        };
        let first = self.start;
        self.start += taken;
        match take_packet(&self.buffer[first..self.start], self.version)? {
            Some((Packet::Disconnect { reason }, _)) => {
                Err(Error::Wrong(format!("ended, reason {reason:#04x}")))
            }
            Some((packet, _)) => Ok(packet),
            None => Err(Error::Wrong("a packet that shrinks".into())),
        }
    }

    /// Says DISCONNECT and closes.
    ///
    /// # Errors
    /// A lost connection.
    pub fn close(mut self) -> Result<(), Error> {
        let mut out = Vec::new();
        put_disconnect(&mut out);
        self.send(&out)
    }

    fn fill(&mut self, missing: &str) -> Result<(), Error> {
        self.deadline.check(|| missing.to_owned())?;
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        match self.stream.read(&mut self.buffer[self.end..]) {
            Ok(0) => Err(Error::Wrong(format!("closed, missing: {missing}"))),
            Ok(count) => {
                self.end += count;
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Err(self.deadline.late(missing.to_owned()))
            }
            Err(error) => Err(Error::io(format!("wait for {missing}"))(error)),
        }
    }
}
