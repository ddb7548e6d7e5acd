//! The task that owns the connection: makes it, keeps it up, and carries what goes over it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bluetick_protocol::rpc::{Request, RpcError};
use bluetick_protocol::{ChatId, RequestId};
use parking_lot::Mutex;
use rumqttc::v5::Event as MqttEvent;
use rumqttc::v5::mqttbytes::v5::{ConnAck, Packet, PubAck, PubAckReason, Publish};
use rumqttc::{Outgoing as Gone, v5::mqttbytes::QoS};
use tokio::sync::{Notify, mpsc, oneshot, watch};

use super::backoff::{Backoff, Clocks};
use super::ledger::Ledger;
use super::link::{Broken, Cargo, Link};
use super::loss::Loss;
use super::reads::Reads;
use super::{Command, Settings, encode};
use crate::chat::now_ms;
use crate::credentials::Password;
use crate::error::{Error, ErrorKind};
use crate::event::{Connection, Event};
use crate::inbox::Inbox;
use crate::outbox::Outbox;
use crate::pending::Sent;
use crate::request::Requests;

/// How often it is looked whether something is overdue.
const TICK: Duration = Duration::from_secs(1);

/// How long entries wait after the server has said that they are too many: this, and twice it at most.
const HOLD: Duration = Duration::from_secs(1);

/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(2);

/// That one types is told no more often than this.
const TYPING_EVERY: Duration = Duration::from_secs(3);

/// Events that may wait when one more page of history is asked for, to fill a hole.
const REPAIRED_MAX: usize = 256;

/// Chats in which one types at a time; beyond, it is told more often than needed.
const TYPING_MAX: usize = 64;

/// What the task shares with the handles.
pub(crate) struct Parts {
    pub(crate) settings: Settings,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) password: Password,
    pub(crate) commands: mpsc::Receiver<Command>,
    /// So that there is an end to `commands` only with `lifeline`: whoever has dropped all clients may
    /// still take events.
    pub(crate) _sender: mpsc::Sender<Command>,
    /// All handles and the events are gone.
    pub(crate) lifeline: Arc<Notify>,
    pub(crate) state: watch::Sender<Connection>,
    /// Why the connection was last lost.
    pub(crate) last_loss: Arc<Mutex<Option<String>>>,
}

/// The task.
pub(crate) struct Driver {
    pub(super) parts: Parts,
    pub(super) ledger: Ledger,
    pub(super) requests: Requests,
    reads: Reads,
    typing: HashMap<ChatId, (bool, Instant)>,
    backoff: Backoff,
    clocks: Clocks,
    /// The server has acknowledged the subscriptions of this session.
    subscribed: bool,
    closing: Vec<oneshot::Sender<()>>,
}

/// How a connection ended.
enum End {
    Closed,
    Lost(Loss),
    /// To be made again at once.
    Renewed,
}

impl Driver {
    pub(crate) fn new(parts: Parts) -> Self {
        let (min, max) = parts.settings.backoff;
        Self {
            parts,
            ledger: Ledger::default(),
            requests: Requests::default(),
            reads: Reads::default(),
            typing: HashMap::new(),
            backoff: Backoff::new(min, max),
            clocks: Clocks::new(SystemTime::now(), Instant::now()),
            subscribed: false,
            closing: Vec::new(),
        }
    }

    /// Keeps the connection up until it is closed, or nobody is there any more.
    pub(crate) async fn run(mut self) {
        loop {
            self.tell(Connection::Connecting);
            let end = self.connect().await;
            self.parts.outbox.rewind();
            self.requests.rewind();
            self.reads.rewind();
            let goes_on = match end {
                End::Closed => false,
                End::Renewed => true,
                End::Lost(Loss::Stop(state)) => {
                    self.tell(state);
                    self.wait(None).await
                }
                End::Lost(Loss::Retry) => {
                    let retry_in = self.backoff.fail(Instant::now(), fastrand::f64());
                    self.tell(Connection::Offline { retry_in });
                    self.wait(Some(retry_in)).await
                }
            };
            if !goes_on {
                break;
            }
        }
        self.tell(Connection::Closed);
        self.parts.inbox.close();
        // The handles that wait for an answer are told that there is none, as their senders are dropped.
        self.parts.outbox.close().await;
    }

    /// Makes a connection and carries what goes over it until it ends.
    async fn connect(&mut self) -> End {
        let options = self.parts.settings.options(self.parts.password.get());
        let (mut link, mut event_loop) = Link::new(options, self.parts.settings.unacked_max);
        let mut tick = Box::pin(tokio::time::sleep(TICK));
        let mut goodbye = Box::pin(tokio::time::sleep(Duration::MAX));
        loop {
            let polled = {
                // Not to be dropped half-way: rumqttc would forget the packet that it is writing.
                let mut poll = std::pin::pin!(event_loop.poll());
                loop {
                    let done = tokio::select! {
                        polled = &mut poll => break polled,
                        command = self.parts.commands.recv() => match command {
                            Some(command) => self.command(command, Some(&mut link)),
                            None => return End::Closed,
                        },
                        () = self.parts.outbox.news() => self.pump(&mut link),
                        () = self.parts.inbox.taken.notified() => self.acknowledge(&mut link),
                        () = self.parts.lifeline.notified() => self.leave(&mut link),
                        () = &mut tick => {
                            tick.as_mut().reset(tokio::time::Instant::now() + TICK);
                            if self.tick() {
                                return End::Renewed;
                            }
                            self.pump(&mut link)
                        }
                        () = &mut goodbye => return End::Closed,
                    };
                    if let Err(error) = done {
                        tracing::error!(%error, "the connection cannot go on");
                        return End::Lost(Loss::Retry);
                    }
                    if link.leaving {
                        if !link.online {
                            return End::Closed;
                        }
                        let at = tokio::time::Instant::now() + GOODBYE;
                        if goodbye.deadline() > at {
                            goodbye.as_mut().reset(at);
                        }
                    }
                }
            };
            let done = match polled {
                Ok(event) => self.handle(event, &mut link),
                Err(error) => {
                    let loss = Loss::of(&error);
                    tracing::debug!(%error, ?loss, "connection lost");
                    *self.parts.last_loss.lock() = Some(error.to_string());
                    // What was read before the loss counts.
                    while let Some(event) = event_loop.state.events.pop_front() {
                        if self.handle(event, &mut link).is_err() {
                            break;
                        }
                    }
                    return match link.leaving {
                        true => End::Closed,
                        false => End::Lost(loss),
                    };
                }
            };
            match done {
                Ok(false) => {}
                Ok(true) => return End::Closed,
                Err(error) => {
                    tracing::error!(%error, "the connection cannot go on");
                    return End::Lost(Loss::Retry);
                }
            }
        }
    }

    /// Without a connection: until the time is over, somebody asks for one, or (then it gives false) there
    /// shall be none any more.
    async fn wait(&mut self, time: Option<Duration>) -> bool {
        let over = tokio::time::sleep(time.unwrap_or(Duration::MAX));
        tokio::pin!(over);
        let mut tick = tokio::time::interval(TICK);
        loop {
            tokio::select! {
                () = &mut over => return true,
                command = self.parts.commands.recv() => match command {
                    None => return false,
                    Some(Command::Reconnect) => {
                        self.backoff.reset();
                        return true;
                    }
                    Some(command) => {
                        // Without a link nothing can be too much.
                        let _kept = self.command(command, None);
                        if !self.closing.is_empty() {
                            return false;
                        }
                    }
                },
                () = self.parts.password.changed() => {
                    self.backoff.reset();
                    return true;
                }
                () = self.parts.inbox.taken.notified() => self.take_acks(None),
                () = self.parts.lifeline.notified() => return false,
                _ = tick.tick() => if self.tick() && time.is_some() {
                    return true;
                },
            }
        }
    }

    fn tell(&self, state: Connection) {
        self.parts.state.send_replace(state);
        self.parts.inbox.push(Event::Connection(state));
    }

    /// Looks what is overdue; whether the machine has slept.
    fn tick(&mut self) -> bool {
        for settled in self.parts.outbox.expire(now_ms()) {
            self.report(settled);
        }
        self.requests.tidy();
        self.clocks.jumped(SystemTime::now(), Instant::now())
    }

    fn command(&mut self, command: Command, link: Option<&mut Link>) -> Result<(), Broken> {
        match (command, link) {
            (Command::Read { chat, seq, answer }, link) => {
                self.reads.add(chat, seq, answer);
                link.map_or(Ok(()), |link| self.pump(link))
            }
            (Command::Request(request, whose), link) => {
                self.requests.add(request, whose);
                link.map_or(Ok(()), |link| self.pump(link))
            }
            (Command::Typing { chat, typing }, Some(link)) if link.online => {
                self.type_in(chat, typing, link)
            }
            // For the moment only; and a connection is being made.
            (Command::Typing { .. } | Command::Reconnect, _) => Ok(()),
            (Command::Close(done), link) => {
                self.closing.push(done);
                link.map_or(Ok(()), |link| self.leave(link))
            }
        }
    }

    fn leave(&mut self, link: &mut Link) -> Result<(), Broken> {
        if link.leaving {
            return Ok(());
        }
        // What was dealt with before is to be known.
        self.acknowledge(link)?;
        link.leave()
    }

    fn type_in(&mut self, chat: ChatId, typing: bool, link: &mut Link) -> Result<(), Broken> {
        let now = Instant::now();
        let told = self.typing.get(&chat);
        let is_news = told.is_none_or(|(was, at)| *was != typing || now >= *at + TYPING_EVERY);
        if !is_news {
            return Ok(());
        }
        if self.typing.len() >= TYPING_MAX {
            self.typing.clear();
        }
        let outgoing = encode::typing(&chat, typing, self.parts.settings.dialect);
        self.typing.insert(chat, (typing, now));
        link.tell(outgoing)
    }

    /// Sends what there is room for: marks and requests first, as they are few.
    fn pump(&mut self, link: &mut Link) -> Result<(), Broken> {
        let dialect = self.parts.settings.dialect;
        while link.has_room() {
            if let Some((chat, seq)) = self.reads.take_next() {
                let outgoing = encode::read(&chat, seq, dialect);
                link.publish(outgoing, Cargo::Read(chat, seq))?;
            } else if let Some((id, request)) = self.next_request() {
                link.publish(encode::request(&id, &request), Cargo::Request(id))?;
            } else if !self.pump_entry(link)? {
                break;
            }
        }
        Ok(())
    }

    /// A hole is filled no faster than the application takes what was in it.
    fn next_request(&mut self) -> Option<(RequestId, Request)> {
        let repairs = self.parts.inbox.len() <= REPAIRED_MAX;
        self.requests.take_next(Instant::now(), repairs)
    }

    /// Sends the next entry; whether there was one that may go.
    fn pump_entry(&mut self, link: &mut Link) -> Result<bool, Broken> {
        if let Some(until) = link.hold {
            // Those under way first: what was refused goes out again before what follows it.
            if link.has_entries() || Instant::now() < until {
                return Ok(false);
            }
            link.hold = None;
            self.parts.outbox.rewind();
        }
        let Some((no, entry)) = self.parts.outbox.take_next() else { return Ok(false) };
        let outgoing = encode::entry(&entry, self.parts.settings.dialect);
        if outgoing.bytes_max() > link.packet_bytes_max {
            self.settle(no, Err(Error::refused(RpcError::TOO_LARGE, None)));
        } else {
            link.publish(outgoing, Cargo::Entry(no))?;
        }
        Ok(true)
    }

    /// Something has happened on the connection; whether it is over.
    fn handle(&mut self, event: MqttEvent, link: &mut Link) -> Result<bool, Broken> {
        match event {
            MqttEvent::Incoming(Packet::ConnAck(connack)) => self.begin(&connack, link)?,
            MqttEvent::Incoming(Packet::PubAck(puback)) => {
                if let Some(cargo) = link.landed(puback.pkid) {
                    self.land(cargo, &puback, link);
                }
                self.pump(link)?;
            }
            MqttEvent::Incoming(Packet::Publish(publish)) => self.arrive(&publish, link)?,
            MqttEvent::Incoming(Packet::SubAck(suback)) => {
                use rumqttc::v5::mqttbytes::v5::SubscribeReasonCode as Code;
                let granted = |code: &Code| matches!(code, Code::Success(_));
                self.subscribed = suback.return_codes.iter().all(granted);
                if !self.subscribed {
                    tracing::error!(codes = ?suback.return_codes, "a subscription is refused");
                }
            }
            MqttEvent::Outgoing(Gone::Publish(packet_id)) => link.has_gone(packet_id),
            MqttEvent::Outgoing(Gone::Disconnect) => return Ok(true),
            _ => {}
        }
        Ok(false)
    }

    /// CONNACK.
    fn begin(&mut self, connack: &ConnAck, link: &mut Link) -> Result<(), Broken> {
        let session_present = connack.session_present;
        link.begin(connack);
        self.backoff.succeed(Instant::now());
        *self.parts.last_loss.lock() = None;
        if session_present {
            self.parts.inbox.forget_receipts();
        }
        if !(session_present && self.subscribed) {
            self.subscribed = false;
            link.subscribe(self.parts.settings.filters())?;
            if session_present {
                for filter in self.parts.settings.unwanted() {
                    link.unsubscribe(filter)?;
                }
            }
        }
        self.tell(Connection::Online { session_present });
        self.take_acks(Some(link));
        self.pump(link)
    }

    /// PUBACK.
    fn land(&mut self, cargo: Cargo, puback: &PubAck, link: &mut Link) {
        let code = code_of(puback.reason);
        let properties = puback.properties.as_ref();
        let refused = || {
            let reason = properties.and_then(|it| it.reason_string.clone());
            code.map(|code| Error::refused(code, reason))
        };
        match cargo {
            Cargo::Entry(no) => match refused() {
                Some(error) if error.kind() == ErrorKind::Quota => {
                    let wait = HOLD.mul_f64(1.0 + fastrand::f64());
                    link.hold = Some(Instant::now() + wait);
                    tracing::debug!(%error, ?wait, "sent more slowly");
                }
                Some(error) => self.settle(no, Err(error)),
                None => {
                    let user = properties.map_or(&[][..], |it| &it.user_properties);
                    self.settle_sent(no, user);
                }
            },
            Cargo::Read(chat, seq) => {
                let result = refused().map_or(Ok(()), Err);
                self.reads.settle(&chat, seq, &result);
            }
            Cargo::Request(id) => {
                if let Some(error) = refused() {
                    self.answer(&id, Err(error));
                }
            }
        }
    }

    /// A PUBLISH.
    fn arrive(&mut self, publish: &Publish, link: &mut Link) -> Result<(), Broken> {
        let topic = link.topic_of(publish)?;
        let topic = std::str::from_utf8(&topic).unwrap_or_default();
        let token = self.take_in(topic, &publish.payload);
        if publish.qos == QoS::AtLeastOnce {
            link.owe(publish.pkid, token);
        }
        link.acknowledge()?;
        self.pump(link)
    }

    /// The application has taken something.
    fn acknowledge(&mut self, link: &mut Link) -> Result<(), Broken> {
        self.take_acks(Some(link));
        link.acknowledge()?;
        self.pump(link)
    }

    fn take_acks(&mut self, mut link: Option<&mut Link>) {
        for ack in self.parts.inbox.acks() {
            let token = self.ledger.acknowledge(ack);
            if let (Some(token), Some(link)) = (token, link.as_deref_mut()) {
                link.settle(token);
            }
        }
    }

    fn settle_sent(&self, no: u64, properties: &[(String, String)]) {
        let value = |name| {
            let property = properties.iter().find(|(key, _)| key == name);
            property.and_then(|(_, value)| value.parse::<u64>().ok())
        };
        let Some((chat, id)) = self.parts.outbox.name_of(no) else { return };
        let (seq, at_ms) = (value("seq").unwrap_or_default(), value("at").unwrap_or_default());
        let duplicate = value("duplicate") == Some(1);
        let seq = bluetick_protocol::Seq(seq);
        self.settle(no, Ok(Sent { chat, id, seq, at_ms, duplicate }));
    }

    fn settle(&self, no: u64, result: Result<Sent, Error>) {
        if let Some(settled) = self.parts.outbox.settle(no, result) {
            self.report(settled);
        }
    }
}

/// The reason code of a refusal.
fn code_of(reason: PubAckReason) -> Option<u8> {
    match reason {
        PubAckReason::Success | PubAckReason::NoMatchingSubscribers => None,
        PubAckReason::UnspecifiedError => Some(0x80),
        PubAckReason::ImplementationSpecificError => Some(0x83),
        PubAckReason::NotAuthorized => Some(0x87),
        PubAckReason::TopicNameInvalid => Some(0x90),
        PubAckReason::PacketIdentifierInUse => Some(0x91),
        PubAckReason::QuotaExceeded => Some(0x97),
        PubAckReason::PayloadFormatInvalid => Some(0x99),
    }
}
