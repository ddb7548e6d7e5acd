//! Many clients that speak XMPP, on one thread, each with stream management (XEP-0198) in both directions.
//!
//! A workload is a [`Traffic`]: it is given each stanza with the [`Side`] on which to answer.

use std::net::SocketAddr;
use std::time::Duration;

use super::stanza::{
    Id, Stanza, put_ack, put_ack_request, put_auth, put_bind, put_close, put_enable, put_message,
    put_open, put_presence, put_receipt, put_register, take_stanza,
};
use crate::error::{Deadline, Error};
use crate::generator::connections::{Connections, Handled, Opening, Protocol};

/// What a workload does with each stanza.
pub trait Traffic {
    /// Takes one stanza of connection `conn`: a message, a receipt, or an acknowledgement, which [`Side::unacked`]
    /// knows of already.
    ///
    /// # Errors
    /// Whatever ends the workload.
    fn handle_stanza(
        &mut self,
        conn: usize,
        stanza: &Stanza<'_>,
        side: &mut Side<'_>,
    ) -> Result<(), Error>;
}

/// The client's side of a stream: what it sends is counted.
pub struct Side<'a> {
    stream: &'a mut Stream,
    out: &'a mut Vec<u8>,
}

/// What one stream has seen since stream management is on.
#[derive(Debug, Default)]
pub(crate) struct Stream {
    step: Step,
    sent: u32,
    acked: u32,
    handled: u32,
}

/// How far a stream is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Before SASL, until the server says what it offers.
    #[default]
    Opened,
    /// The user is being registered.
    Registering,
    /// SASL.
    Authenticating,
    /// After SASL, until the server says what it offers then.
    Reopened,
    /// The resource is being bound.
    Binding,
    /// Until the presence is acknowledged.
    Enabling,
    Ready,
}

impl<'a> Side<'a> {
    #[cfg(test)]
    pub(crate) fn new(stream: &'a mut Stream, out: &'a mut Vec<u8>) -> Self {
        Self { stream, out }
    }

    /// So many were handled; the fleet does it by itself.
    #[cfg(test)]
    pub(crate) fn handle_ack(&mut self, handled: u32) {
        self.stream.acked = handled;
    }

    /// Stanzas that the server has not acknowledged.
    pub fn unacked(&self) -> u32 {
        self.stream.sent - self.stream.acked
    }

    /// Sends a message to `user` that asks for a receipt.
    pub fn send(&mut self, user: &str, id: Id, body: &[u8]) {
        put_message(self.out, user, id, body);
        self.stream.sent += 1;
    }

    /// Tells `user` that the message `of` was delivered.
    pub fn receipt(&mut self, user: &str, of: Id) {
        put_receipt(self.out, user, of);
        self.stream.sent += 1;
    }

    /// Asks for an acknowledgement of what was sent.
    pub fn ask(&mut self) {
        put_ack_request(self.out);
    }
}

/// The clients, by their number in the list of users.
pub struct Fleet {
    connections: Connections,
    streams: Vec<Stream>,
}

impl Fleet {
    /// Connects all users, a few at a time; returns when all are there for messages.
    ///
    /// `register`: they are new to the server, and it wants to know them first.
    ///
    /// # Errors
    /// A refusal, a lost connection, or the deadline.
    pub fn connect(
        address: SocketAddr,
        users: &[String],
        register: bool,
        deadline: &Deadline,
    ) -> Result<Fleet, Error> {
        let mut streams: Vec<_> = users.iter().map(|_| Stream::default()).collect();
        let mut handshake = Handshake { users, register, streams: &mut streams, ready: 0 };
        let connections = Connections::open(address, users.len(), &mut handshake, deadline)?;
        Ok(Fleet { connections, streams })
    }

    /// The side of client `conn`, to start a workload; sent by [`Fleet::flush`] or the next turn.
    ///
    /// # Panics
    /// If there is no such client.
    pub fn side(&mut self, conn: usize) -> Side<'_> {
        Side { stream: &mut self.streams[conn], out: self.connections.out(conn) }
    }

    /// As [`Fleet::turn`], but lets stanzas gather first if few came the last times: see
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
        self.connections.paced_turn(timeout, &mut Xmpp { streams: &mut self.streams, traffic })
    }

    /// Waits for stanzas, at most `timeout`, hands them all out and sends the answers.
    ///
    /// # Errors
    /// A lost connection, a malformed stanza, or what `traffic` answers.
    pub fn turn(&mut self, timeout: Duration, traffic: &mut impl Traffic) -> Result<(), Error> {
        self.connections.turn(timeout, &mut Xmpp { streams: &mut self.streams, traffic })
    }

    /// Sends what waits to be sent; what the kernel does not take goes with a later turn.
    ///
    /// # Errors
    /// A lost connection.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.connections.flush()
    }

    /// Ends every stream and closes its connection.
    ///
    /// # Errors
    /// A lost connection.
    pub fn close(mut self) -> Result<(), Error> {
        for number in 0..self.connections.len() {
            put_close(self.connections.out(number));
        }
        self.flush()
    }
}

/// Hands stanzas to a workload, and keeps count of them.
struct Xmpp<'a, T> {
    streams: &'a mut [Stream],
    traffic: &'a mut T,
}

impl<T: Traffic> Protocol for Xmpp<'_, T> {
    fn handle_bytes(
        &mut self,
        conn: usize,
        bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Handled, Error> {
        each_stanza(conn, bytes, |stanza| {
            let stream = &mut self.streams[conn];
            if stream.count(conn, stanza, out)? {
                self.traffic.handle_stanza(conn, stanza, &mut Side { stream, out })?;
            }
            Ok(())
        })
    }
}

/// Has every whole stanza at the front of `bytes` handled.
fn each_stanza(
    conn: usize,
    bytes: &[u8],
    mut handle: impl FnMut(&Stanza<'_>) -> Result<(), Error>,
) -> Result<Handled, Error> {
    let mut handled = Handled::default();
    let named = |error| Error::during(format!("connection {conn}"))(error);
    while let Some((stanza, taken)) = take_stanza(&bytes[handled.bytes..]).map_err(named)? {
        if let Stanza::Other(bytes) = stanza {
            let text = String::from_utf8_lossy(bytes);
            return Err(Error::Wrong(format!("connection {conn}: {text}")));
        }
        handle(&stanza)?;
        handled.bytes += taken;
        handled.packets += 1;
    }
    Ok(handled)
}

impl Stream {
    /// Keeps both counts and answers for its own; whether the workload has to see the stanza.
    fn count(
        &mut self,
        conn: usize,
        stanza: &Stanza<'_>,
        out: &mut Vec<u8>,
    ) -> Result<bool, Error> {
        self.handled += u32::from(stanza.counts());
        match *stanza {
            Stanza::AckRequest => {
                put_ack(out, self.handled);
                Ok(false)
            }
            Stanza::Ack { handled } => {
                if handled < self.acked || handled > self.sent {
                    return Err(Error::Wrong(format!(
                        "connection {conn}: {handled} acknowledged after {}, of {} sent",
                        self.acked, self.sent
                    )));
                }
                self.acked = handled;
                Ok(true)
            }
            Stanza::Presence => Ok(false),
            Stanza::Message { .. } | Stanza::Receipt { .. } => Ok(true),
            ref other => Err(Error::Wrong(format!("connection {conn}: {other:?}"))),
        }
    }
}

/// Registration, SASL, resource, stream management, presence; each step waits for the one before.
struct Handshake<'a> {
    users: &'a [String],
    register: bool,
    streams: &'a mut [Stream],
    ready: usize,
}

impl Opening for Handshake<'_> {
    fn greet(&mut self, _conn: usize, out: &mut Vec<u8>) {
        put_open(out);
    }

    fn ready(&self) -> usize {
        self.ready
    }
}

impl Protocol for Handshake<'_> {
    fn handle_bytes(
        &mut self,
        conn: usize,
        bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Handled, Error> {
        each_stanza(conn, bytes, |stanza| {
            let (stream, user) = (&mut self.streams[conn], &self.users[conn]);
            stream.advance(conn, stanza, user, self.register, out)?;
            if stream.step == Step::Ready && matches!(stanza, Stanza::Ack { .. }) {
                self.ready += 1;
            }
            Ok(())
        })
    }
}

impl Stream {
    fn advance(
        &mut self,
        conn: usize,
        stanza: &Stanza<'_>,
        user: &str,
        register: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        self.step = match (self.step, stanza) {
            (step @ (Step::Opened | Step::Reopened), Stanza::Opened) => step,
            (Step::Opened, Stanza::Features) if register => {
                put_register(out, user);
                Step::Registering
            }
            (Step::Opened, Stanza::Features)
            | (Step::Registering, Stanza::Answer { ok: true, .. }) => {
                put_auth(out, user);
                Step::Authenticating
            }
            (Step::Authenticating, Stanza::Success) => {
                put_open(out);
                Step::Reopened
            }
            (Step::Reopened, Stanza::Features) => {
                put_bind(out);
                Step::Binding
            }
            (Step::Binding, Stanza::Answer { ok: true, .. }) => {
                // The presence is the first stanza that the server counts (XEP-0198, 4): it comes behind the wish.
                put_enable(out);
                put_presence(out);
                put_ack_request(out);
                self.sent = 1;
                Step::Enabling
            }
            (Step::Enabling, Stanza::Enabled) => Step::Enabling,
            (step @ (Step::Enabling | Step::Ready), _) => {
                let is_ack = self.count(conn, stanza, out)?;
                if is_ack && self.acked == self.sent { Step::Ready } else { step }
            }
            (step, other) => {
                return Err(Error::Wrong(format!("connection {conn}: {other:?} while {step:?}")));
            }
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connected() -> (Stream, Vec<u8>) {
        let (mut stream, mut out) = (Stream::default(), Vec::new());
        let ok = Stanza::Answer { id: Id::default(), ok: true };
        let steps = [
            Stanza::Opened,
            Stanza::Features,
            ok,
            Stanza::Success,
            Stanza::Opened,
            Stanza::Features,
            Stanza::Answer { id: Id::default(), ok: true },
            Stanza::Enabled,
            Stanza::Presence,
            Stanza::Ack { handled: 1 },
        ];
        for step in steps {
            assert_ne!(stream.step, Step::Ready);
            stream.advance(0, &step, "s0", true, &mut out).unwrap();
        }
        assert_eq!(stream.step, Step::Ready);
        (stream, out)
    }

    #[test]
    fn a_user_is_registered_let_in_and_there() {
        let (stream, out) = connected();
        let said = String::from_utf8(out).unwrap();
        let place = |word: &str| said.find(word).unwrap_or_else(|| panic!("no {word} in {said}"));
        let order = [
            "<username>s0<",
            "AHMwAGJlbmNo",
            "<stream:stream",
            "<bind ",
            "<enable ",
            "<presence/>",
        ];
        assert!(order.map(place).is_sorted(), "{said}");
        assert!(said.ends_with("<presence/><r xmlns='urn:xmpp:sm:3'/>"), "{said}");
        // Presence came: the server's count is one.
        assert_eq!((stream.sent, stream.acked, stream.handled), (1, 1, 1));
    }

    #[test]
    fn a_refusal_ends_the_run() {
        let (mut stream, mut out) = (Stream::default(), Vec::new());
        stream.advance(0, &Stanza::Features, "s0", true, &mut out).unwrap();
        let refused = Stanza::Answer { id: Id::default(), ok: false };
        assert!(stream.advance(0, &refused, "s0", true, &mut out).is_err());
    }

    #[test]
    fn both_counts_are_kept() {
        let (mut stream, mut out) = connected();
        let mut side = Side { stream: &mut stream, out: &mut out };
        side.send("r0", Id::of_message(0), b"x");
        side.send("r0", Id::of_message(1), b"x");
        assert_eq!(side.unacked(), 2);
        out.clear();
        let receipt = Stanza::Receipt { of: Id::of_message(0) };
        assert!(stream.count(0, &receipt, &mut out).unwrap(), "for the workload");
        assert!(!stream.count(0, &Stanza::AckRequest, &mut out).unwrap());
        assert_eq!(out, b"<a xmlns='urn:xmpp:sm:3' h='2'/>");
        assert!(stream.count(0, &Stanza::Ack { handled: 3 }, &mut out).unwrap());
        assert_eq!(stream.sent, stream.acked);
        for wrong in [2, 4] {
            assert!(stream.count(0, &Stanza::Ack { handled: wrong }, &mut out).is_err());
        }
    }
}
