//! One MQTT session, both versions: a state machine without I/O, clock or tasks.
//!
//! - `handle_*` takes input: packets of the client, answers of the host, plain messages, time.
//! - `poll_call` gives what the session wants done: by the host, or by the router of plain topics.
//!   The driver carries each out and answers with the matching `handle_*`.
//! - `transmit` is the bytes for the client, in order; the driver takes them away.
//! - `poll_timeout` says when to call `handle_timeout`.
//!
//! After any input: carry out `poll_call` until it has nothing more, then send `transmit`.
//! When the connection ends, [`Session::park`] keeps what outlives it and [`Session::resume`]
//! continues with the next connection. Source: MQTT 5.0 §3, §4.3, §4.4, §4.6, §4.9.

mod aliases;
mod connack;
mod inbound;
mod lent;
mod outbound;
mod parked;
mod subscriptions;

use std::collections::VecDeque;
use std::sync::Arc;

use crate::codec;
use crate::host::{DeliveryId, HostEvent, HostPublish, Room, SessionKey, Token};
use crate::limits::Limits;
use crate::mailbox::PlainDelivery;
use crate::packet::{ConnAck, Connect, FilterRequest, Packet, QoS, Reason, Version, Will};

use aliases::Aliases;
pub(crate) use connack::{connack, connack_fits};
use connack::{effective_keep_alive_s, granted_expiry_s};
use inbound::Inbound;
pub use lent::Lent;
use outbound::Outbound;
pub use parked::Parked;
pub use subscriptions::Subscription;
use subscriptions::Subscriptions;

/// Milliseconds on a clock that never goes back.
pub type MonotonicMs = u64;

/// `u32::MAX` as a session expiry: for ever (MQTT 5 §3.1.2.11.2).
pub const EXPIRY_NEVER: u32 = u32::MAX;

/// A session that is on line.
#[derive(Debug)]
pub struct Session {
    key: SessionKey,
    limits: Arc<Limits>,
    link: Link,
    epoch: u64,
    expiry_s: u32,
    will: Option<Box<Will>>,
    /// The latest time that it was told.
    now: MonotonicMs,
    subscriptions: Subscriptions,
    inbound: Inbound,
    outbound: Outbound,
    calls: VecDeque<Call>,
    next_token: u64,
    /// Bytes for the client that the driver has not taken yet.
    pub transmit: Vec<u8>,
}

/// What belongs to the connection and not to the session.
#[derive(Debug)]
struct Link {
    version: Version,
    max_packet_bytes: usize,
    problem_info: bool,
    keep_alive_ms: u64,
    last_packet: MonotonicMs,
    aliases: Aliases,
}

/// What a session wants done. Whether a topic is the host's or plain is for the driver to ask.
#[derive(Debug)]
pub enum Call {
    /// A message of the client; [`Session::handle_published`] takes the answer, except at QoS 0.
    Publish(HostPublish),
    /// A subscription; [`Session::handle_subscribed`] takes the answer.
    Subscribe {
        /// For the answer.
        token: Token,
        /// What is asked.
        request: FilterRequest,
        /// MQTT 5's identifier.
        subscription_id: Option<u32>,
        /// The session has it already.
        renewed: bool,
    },
    /// The end of a subscription; [`Session::handle_unsubscribed`] takes the answer.
    Unsubscribe {
        /// For the answer.
        token: Token,
        /// Which.
        filter: Arc<str>,
        /// Whether it was the host's.
        of_host: bool,
    },
    /// Deliveries of the host are acknowledged.
    Acked(Vec<DeliveryId>),
    /// Deliveries of the host are needed again; [`Session::handle_event`] takes the answer.
    Fetch(Vec<DeliveryId>),
    /// There is room for the host's; [`Session::handle_deliveries`] takes the answer.
    Pull(Room),
    /// These messages need not be kept any more.
    Finished(Vec<Finished>),
    /// It is to be kept that the client has the message of this number at QoS 2;
    /// [`Session::handle_released`] takes the answer.
    Release {
        /// Of the message.
        seq: u64,
        /// That the client may forget then.
        packet_id: u16,
    },
    /// A packet id of the client at QoS 2 need not be kept any more;
    /// [`Session::handle_unreceived`] takes the answer.
    Unreceive {
        /// That the client may use again then.
        packet_id: u16,
    },
}

/// A plain message that the client is done with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finished {
    /// Its number.
    pub seq: u64,
    /// That it was sent with, or was to be.
    pub packet_id: u16,
}

/// The connection is to be closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Close {
    /// Why.
    pub reason: Reason,
    /// For the log, and for MQTT 5's reason string.
    pub detail: &'static str,
    /// The client said goodbye itself and is told nothing.
    pub by_client: bool,
}

impl Close {
    pub(crate) const fn because(reason: Reason, detail: &'static str) -> Self {
        Self { reason, detail, by_client: false }
    }
}

impl Session {
    /// A session for a client that was let in. `connect` must have been checked by the codec.
    #[must_use]
    pub fn new(key: SessionKey, connect: &Connect, limits: Arc<Limits>, now: MonotonicMs) -> Self {
        let parked = Parked {
            epoch: 0,
            expiry_s: 0,
            subscriptions: Subscriptions::default(),
            inbound: Inbound::default(),
            outbound: Outbound::default(),
            next_token: 1,
            restored: false,
        };
        Self::start(key, connect, limits, now, parked)
    }

    /// A session that continues what was parked.
    #[must_use]
    pub fn resume(
        key: SessionKey,
        connect: &Connect,
        limits: Arc<Limits>,
        now: MonotonicMs,
        parked: Parked,
    ) -> Self {
        let mut session = Self::start(key, connect, limits, now, parked);
        session.outbound.rewind();
        let ids = session.outbound.to_fetch();
        if !ids.is_empty() {
            session.calls.push_back(Call::Fetch(ids));
        }
        session
    }

    fn start(
        key: SessionKey,
        connect: &Connect,
        limits: Arc<Limits>,
        now: MonotonicMs,
        parked: Parked,
    ) -> Self {
        let expiry_s = granted_expiry_s(connect, &limits);
        let keep_alive_s = effective_keep_alive_s(connect, &limits);
        let mut outbound = parked.outbound;
        let window = connect.receive_maximum.unwrap_or(u16::MAX).min(limits.inflight_out_max);
        outbound.set_window(usize::from(window));
        Self {
            link: Link {
                version: connect.version,
                max_packet_bytes: connect
                    .max_packet_bytes
                    .map_or(usize::MAX, |bytes| bytes as usize),
                problem_info: connect.request_problem_info,
                keep_alive_ms: u64::from(keep_alive_s) * 1500,
                last_packet: now,
                aliases: Aliases::new(connect.topic_alias_maximum.min(limits.topic_aliases_max)),
            },
            key,
            limits,
            epoch: parked.epoch,
            expiry_s,
            will: connect.will.clone(),
            now,
            subscriptions: parked.subscriptions,
            inbound: parked.inbound,
            outbound,
            calls: VecDeque::new(),
            next_token: parked.next_token,
            transmit: Vec::new(),
        }
    }

    /// The session is open with the host: answers the CONNECT.
    pub fn handle_opened(
        &mut self,
        epoch: u64,
        connect: &Connect,
        session_present: bool,
        assigned: bool,
    ) {
        self.epoch = epoch;
        let client_id = assigned.then_some(&*self.key.client_id);
        let ack = ConnAck { session_present, ..connack(connect, &self.limits, client_id) };
        codec::write_connack(&mut self.transmit, self.link.version, &ack);
        self.flush_outbound();
    }

    /// Takes a packet of the client.
    ///
    /// # Errors
    /// [`Close`]: the connection must be closed, after [`Session::write_disconnect`].
    pub fn handle_packet(&mut self, packet: Packet, now: MonotonicMs) -> Result<(), Close> {
        self.link.last_packet = now;
        self.now = now;
        match packet {
            Packet::Connect(_) => {
                return Err(Close::because(Reason::PROTOCOL_ERROR, "a second CONNECT"));
            }
            Packet::Publish(publish) => self.handle_publish(*publish)?,
            Packet::PubAck(ack) => self.handle_puback(ack),
            Packet::PubRec(ack) => self.handle_pubrec(ack),
            Packet::PubRel(ack) => self.handle_pubrel(ack),
            Packet::PubComp(ack) => self.handle_pubcomp(ack),
            Packet::Subscribe(subscribe) => self.handle_subscribe(*subscribe)?,
            Packet::Unsubscribe(unsubscribe) => self.handle_unsubscribe(*unsubscribe)?,
            Packet::PingReq => codec::write_pingresp(&mut self.transmit),
            Packet::Disconnect(disconnect) => {
                if let Some(expiry_s) = disconnect.session_expiry_s {
                    // MQTT 5 §3.14.2.2.2: a session that was to end cannot be kept after all.
                    if self.expiry_s == 0 && expiry_s != 0 {
                        return Err(Close::because(
                            Reason::PROTOCOL_ERROR,
                            "DISCONNECT sets an expiry for a session that has none",
                        ));
                    }
                    self.expiry_s = match self.limits.session_expiry_s_max {
                        0 => expiry_s,
                        max => expiry_s.min(max),
                    };
                }
                // MQTT 5 §3.14.4: an error that the client reports is no reason to forget it.
                if disconnect.reason == Reason::SUCCESS {
                    self.will = None;
                }
                let detail = "the client disconnected";
                return Err(Close { reason: disconnect.reason, detail, by_client: true });
            }
            Packet::Auth => {
                return Err(Close::because(
                    Reason::PROTOCOL_ERROR,
                    "AUTH without an authentication method in CONNECT",
                ));
            }
        }
        Ok(())
    }

    /// Takes an answer of the host that belongs to a session on line.
    ///
    /// # Errors
    /// [`Close`]: the host cannot serve the session on.
    pub fn handle_event(&mut self, event: HostEvent) -> Result<(), Close> {
        match event {
            HostEvent::Published { token, reason, properties, notice } => {
                self.handle_published(token, reason, properties);
                if let Some(notice) = notice {
                    self.handle_notice(notice, QoS::AtLeastOnce);
                }
            }
            HostEvent::Subscribed { token, reason } => self.handle_subscribed(token, reason, true),
            HostEvent::Unsubscribed { token, reason } => self.handle_unsubscribed(token, reason),
            HostEvent::News => self.handle_news(),
            HostEvent::Notice(notice) => self.handle_notice(notice, QoS::AtMostOnce),
            HostEvent::Fetched(found) => self.handle_fetched(found),
            HostEvent::Close(reason) => {
                return Err(Close::because(reason, "the server cannot store at the moment"));
            }
            HostEvent::Authenticated(_) | HostEvent::Opened { .. } => {}
        }
        Ok(())
    }

    /// Lends what a session has only while it has something to do; it may go on without.
    pub fn lend(&mut self, lent: Lent) {
        if self.transmit.capacity() == 0 {
            self.transmit = lent.transmit;
        }
        if self.calls.capacity() == 0 {
            self.calls = lent.calls;
        }
    }

    /// Takes it back, as far as it is not in use.
    pub fn give_back(&mut self) -> Lent {
        let mut lent = Lent::default();
        if self.calls.is_empty() {
            lent.calls = std::mem::take(&mut self.calls);
        }
        if self.transmit.is_empty() {
            lent.transmit = std::mem::take(&mut self.transmit);
        }
        lent
    }

    /// The next thing to be done by host or router.
    pub fn poll_call(&mut self) -> Option<Call> {
        if self.resends() {
            self.flush_outbound();
        }
        if let Some(call) = self.calls.pop_front() {
            return Some(call);
        }
        let acked = self.outbound.take_acked();
        if !acked.is_empty() {
            return Some(Call::Acked(acked));
        }
        let finished = self.outbound.take_finished();
        if !finished.is_empty() {
            return Some(Call::Finished(finished));
        }
        let (messages, bytes) = (self.outbound.room_to_pull(), self.bytes_room());
        (messages > 0 && bytes > 0).then_some(Call::Pull(Room { messages, bytes }))
    }

    /// Bytes that may still be prepared for the client.
    #[must_use]
    pub fn bytes_room(&self) -> usize {
        self.limits.pending_bytes_max.saturating_sub(self.transmit.len())
    }

    /// Whether the client could be given more at once; `plain`: also plain messages.
    #[must_use]
    pub fn has_more(&self, plain: bool) -> bool {
        let plain = plain && self.outbound.room_for_plain() > 0;
        self.bytes_room() > 0 && (plain || self.resends() || self.outbound.room_to_pull() > 0)
    }

    /// When [`Session::handle_timeout`] is due, if ever.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<MonotonicMs> {
        (self.link.keep_alive_ms > 0).then(|| self.link.last_packet + self.link.keep_alive_ms)
    }

    /// Time has passed.
    ///
    /// # Errors
    /// [`Close`]: the client has been silent for one and a half times its keep-alive.
    pub fn handle_timeout(&mut self, now: MonotonicMs) -> Result<(), Close> {
        self.now = now;
        if self.waits_for_host() {
            // Nothing is read meanwhile: a silence of ours, not of the client.
            self.link.last_packet = now;
        }
        match self.poll_timeout() {
            Some(due) if due <= now => Err(Close::because(
                Reason::KEEP_ALIVE_TIMEOUT,
                "nothing was heard for one and a half times the keep-alive",
            )),
            _ => Ok(()),
        }
    }

    /// Whether to read on: not while more publishes than the client may have open, or a
    /// subscription, wait for their acknowledgement, nor while it does not take what it is sent. Those at QoS 2 that wait for
    /// the client do not count: only reading on brings their PUBREL. Nor does what is queued for
    /// it: only reading on brings the acknowledgements that make room.
    #[must_use]
    pub fn wants_read(&self) -> bool {
        !self.waits_for_host() && self.bytes_room() > 0
    }

    /// Whether nothing more is taken before the host has answered: the window is full, or a
    /// subscription is under way, which what follows may depend on.
    fn waits_for_host(&self) -> bool {
        self.inbound.unanswered() > usize::from(self.limits.inflight_in_max)
            || self.subscriptions.is_pending()
    }

    /// How many publishes of the client wait for their acknowledgement.
    #[must_use]
    pub fn unanswered(&self) -> usize {
        self.inbound.unanswered()
    }

    /// How many deliveries wait for the client's acknowledgement.
    #[must_use]
    pub fn inflight(&self) -> usize {
        self.outbound.inflight()
    }

    /// How many messages of plain topics wait for room.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.outbound.queued()
    }

    /// Notices that were dropped since the last look.
    pub fn take_notices_dropped(&mut self) -> u64 {
        self.outbound.take_notices_dropped()
    }

    /// Subscriptions that were one too many since the last look.
    pub fn take_subscriptions_refused(&mut self) -> u64 {
        self.subscriptions.take_refused()
    }

    /// Tells a client of MQTT 5 why it is disconnected; in 3.1.1 closing says it all.
    pub fn write_disconnect(&mut self, close: &Close) {
        if self.link.version == Version::V5 && !close.by_client {
            let detail =
                (self.link.problem_info && !close.detail.is_empty()).then_some(close.detail);
            let moved = close.reason == Reason::USE_ANOTHER_SERVER;
            let elsewhere = self.limits.server_reference.as_deref().filter(|_| moved);
            let start = self.transmit.len();
            // MQTT 5 §3.14.2.2.3: what would make the packet too large is left out.
            for (detail, elsewhere) in [(detail, elsewhere), (None, elsewhere), (None, None)] {
                self.transmit.truncate(start);
                codec::write_disconnect(&mut self.transmit, close.reason, detail, elsewhere);
                if self.transmit.len() - start <= self.link.max_packet_bytes {
                    break;
                }
            }
        }
    }

    /// The connection has ended: what is to be kept, or `None` if the session ends with it.
    #[must_use]
    pub fn park(self) -> Option<Parked> {
        let expiry_s = self.expiry_s;
        self.park_for(expiry_s)
    }

    /// As [`Session::park`], but for so many seconds: the connection that has asked for another
    /// time was not let in.
    #[must_use]
    pub fn park_for(mut self, expiry_s: u32) -> Option<Parked> {
        self.expiry_s = expiry_s;
        if self.expiry_s == 0 {
            return None;
        }
        self.inbound.disconnect();
        self.outbound.disconnect();
        self.subscriptions.disconnect();
        Some(Parked {
            epoch: self.epoch,
            expiry_s: self.expiry_s,
            subscriptions: self.subscriptions,
            inbound: self.inbound,
            outbound: self.outbound,
            next_token: self.next_token,
            restored: false,
        })
    }

    /// It is so late now.
    pub fn handle_clock(&mut self, now: MonotonicMs) {
        self.now = now;
    }

    /// Takes the messages of shares that `wanted` wants and that another member may have: the
    /// connection has ended.
    pub fn take_shared(
        &mut self,
        wanted: impl FnMut(&PlainDelivery) -> bool,
    ) -> Vec<PlainDelivery> {
        self.outbound.take_shared(wanted)
    }

    /// The session ends with its connection, whatever the client has asked for.
    pub fn end_with_connection(&mut self) {
        self.expiry_s = 0;
    }

    /// How long ago the client's last packet came.
    #[must_use]
    pub fn silent_ms(&self, now: MonotonicMs) -> u64 {
        now.saturating_sub(self.link.last_packet)
    }

    /// Whose session it is.
    #[must_use]
    pub fn key(&self) -> &SessionKey {
        &self.key
    }

    /// Which protocol its connection speaks.
    #[must_use]
    pub fn version(&self) -> Version {
        self.link.version
    }

    /// Seconds that it outlives its connection.
    #[must_use]
    pub fn expiry_s(&self) -> u32 {
        self.expiry_s
    }

    /// Takes the will, if the way the connection ended calls for it.
    pub fn take_will(&mut self) -> Option<Box<Will>> {
        self.will.take()
    }

    /// The filters of plain topics it is subscribed to.
    #[must_use]
    pub fn plain_filters(&self) -> Vec<Arc<str>> {
        self.subscriptions.plain_filters()
    }

    /// The largest packet that the client takes, bytes.
    #[must_use]
    pub fn max_packet_bytes(&self) -> usize {
        self.link.max_packet_bytes
    }

    /// How many plain messages it has room for.
    #[must_use]
    pub fn plain_room(&self) -> usize {
        if self.bytes_room() == 0 {
            return 0;
        }
        self.outbound.room_for_plain()
    }

    fn token(&mut self) -> Token {
        let token = Token(self.next_token);
        self.next_token += 1;
        token
    }
}
