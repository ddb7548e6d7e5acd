//! One connection, one thread, blocking: the shortest way between a byte's arrival and a timestamp.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::error::{Deadline, Error};
use crate::generator::fleet::{Client, check_connack, check_suback};
use crate::generator::wire::{
    Packet, Version, put_connect, put_disconnect, put_puback, put_publish, put_subscribe_at,
    take_packet,
};
use crate::peers::Delivery;
use crate::peers::refused;

/// Bytes of the read buffer: the largest packet is a page of `chats.list`, about 20 KB.
const BUFFER_BYTES: usize = 64 * 1024;

/// A connected client.
pub struct Blocking {
    stream: TcpStream,
    version: Version,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    packet_id: u16,
    out: Vec<u8>,
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
        let mut blocking = Self {
            stream,
            version,
            buffer: vec![0; BUFFER_BYTES],
            start: 0,
            end: 0,
            packet_id: 0,
            out: Vec::new(),
            deadline,
        };
        let mut out = Vec::new();
        put_connect(&mut out, version, &client.id, &client.user, window, client.persistent);
        blocking.send(&out)?;
        match blocking.receive("CONNACK")? {
            Packet::ConnAck { code, receive_max } => check_connack(code, receive_max, window)?,
            other => return Err(Error::Wrong(format!("{other:?} in place of CONNACK"))),
        }
        if !client.filters.is_empty() {
            out.clear();
            put_subscribe_at(&mut out, version, client.qos, 1, &client.filters);
            blocking.send(&out)?;
            match blocking.receive("SUBACK")? {
                Packet::SubAck { codes } => check_suback(codes, client.qos)?,
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

    /// Publishes at QoS 1 and waits for the PUBACK; how long that took, from the write on.
    ///
    /// What comes in between is acknowledged and dropped.
    ///
    /// # Errors
    /// A refusal, a lost connection, a malformed packet, or the deadline.
    pub fn publish(&mut self, topic: &[u8], payload: &[u8]) -> Result<Duration, Error> {
        self.packet_id = self.packet_id.checked_add(1).unwrap_or(1);
        let expected = self.packet_id;
        let mut out = std::mem::take(&mut self.out);
        out.clear();
        put_publish(&mut out, self.version, topic, expected, payload);
        let sent_at = Instant::now();
        self.send(&out)?;
        self.out = out;
        loop {
            let delivery = match self.receive("a PUBACK")? {
                Packet::PubAck { packet_id, reason: 0 } if packet_id == expected => {
                    return Ok(sent_at.elapsed());
                }
                Packet::Publish { topic, payload, .. }
                    if Delivery::of(topic) == Delivery::Refusal =>
                {
                    return Err(refused(payload));
                }
                Packet::Publish { packet_id, .. } => packet_id,
                other => {
                    return Err(Error::Wrong(format!("{other:?} in place of PUBACK {expected}")));
                }
            };
            self.acknowledge(delivery)?;
        }
    }

    /// Asks bluetick for `method` and waits for the answer; how long that took, and what is `ok` in it.
    ///
    /// The client has to be subscribed to `me/replies/+`.
    ///
    /// # Errors
    /// As [`Blocking::publish`]; an answer that is an error or no JSON.
    pub fn request(&mut self, method: &str, arguments: &Value) -> Result<(Duration, Value), Error> {
        let started_at = Instant::now();
        // Names the request: used once on this connection, and by no other device of its user.
        let number = self.packet_id.wrapping_add(1);
        let topic = format!("rpc/{method}/{number}");
        self.publish(topic.as_bytes(), arguments.to_string().as_bytes())?;
        let (packet_id, answer) = match self.receive("the answer to a request")? {
            Packet::Publish { topic, packet_id, payload, .. }
                if topic.starts_with(b"me/replies/") =>
            {
                (packet_id, serde_json::from_slice::<Value>(payload))
            }
            other => return Err(Error::Wrong(format!("{other:?} in place of an answer"))),
        };
        let took = started_at.elapsed();
        self.acknowledge(packet_id)?;
        let mut answer =
            answer.map_err(|error| Error::Wrong(format!("an answer to {method}: {error}")))?;
        match answer.get_mut("ok") {
            Some(ok) => Ok((took, ok.take())),
            None => Err(Error::Wrong(format!("{method} was answered {answer}"))),
        }
    }

    /// Acknowledges a delivery at QoS 1.
    ///
    /// # Errors
    /// A lost connection.
    pub fn acknowledge(&mut self, packet_id: u16) -> Result<(), Error> {
        let mut out = Vec::with_capacity(4);
        put_puback(&mut out, packet_id);
        self.send(&out)
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
