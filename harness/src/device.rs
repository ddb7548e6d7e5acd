//! One client: an MQTT session with a plan.

mod incoming;
mod outgoing;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use bluetick_asyncapi::Mismatch;
use bluetick_checker::{Event, Scope};
use bluetick_protocol::compact::Differences;
use fastrand::Rng;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::judge::Judge;
use crate::outbox::Outbox;
use crate::plan::{Dial, Habits, Pace, Phase, Plan};
use crate::record::Record;
use crate::requests::Requests;
use crate::wire::{self, Connect, Packet, Publish};

/// Messages that a device has open at most.
const OUTBOX_MAX: usize = 12;

/// Messages that a device has in mind to change.
const SEEN_MAX: usize = 24;

/// How long a server may take to answer a CONNECT.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A client of one user.
pub struct Device {
    plan: Plan,
    habits: Habits,
    pace: Pace,
    record: Record,
    random: Rng,
    outbox: Outbox,
    /// The sender's number of its MQTT session.
    session: u64,
    has_session: bool,
    subscribed: bool,
    to_ack: VecDeque<Delivered>,
    highest: BTreeMap<String, u64>,
    read_up_to: BTreeMap<String, u64>,
    reads: BTreeMap<u16, (String, u64)>,
    judge: Judge,
    requests: Requests,
    asked: u16,
    /// The latest messages, with their authors.
    seen: VecDeque<Seen>,
    /// What was told as differences in this connection.
    heard: Differences,
    /// By chat, what was acknowledged to the server in this connection.
    acked: BTreeMap<String, u64>,
    /// What was acknowledged in this connection, by packet id: over 3.1.1 it may be refused all the same.
    acknowledged: BTreeMap<u16, u64>,
    out: Vec<u8>,
}

struct Seen {
    chat: String,
    seq: u64,
    from: String,
}

struct Delivered {
    chat: Option<(String, u64)>,
    qos: u8,
    packet_id: u16,
}

impl Device {
    /// A device that follows `plan` as the seed has it.
    #[must_use]
    pub fn new(plan: Plan, pace: Pace, record: Record, seed: u64) -> Self {
        Self {
            plan,
            habits: Habits::default(),
            pace,
            record,
            random: Rng::with_seed(seed),
            outbox: Outbox::default(),
            session: 0,
            has_session: false,
            subscribed: false,
            to_ack: VecDeque::new(),
            highest: BTreeMap::new(),
            read_up_to: BTreeMap::new(),
            reads: BTreeMap::new(),
            judge: Judge::default(),
            requests: Requests::default(),
            asked: 0,
            seen: VecDeque::new(),
            heard: Differences::default(),
            acked: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            out: Vec::new(),
        }
    }

    /// The device with these habits; without, it has none.
    #[must_use]
    pub fn with_habits(self, habits: Habits) -> Self {
        Self { habits, ..self }
    }

    /// Lives until the phase is [`Phase::Done`]. `idle` is told how many messages wait for their
    /// acknowledgement, `usize::MAX` while there is no connection.
    ///
    /// # Errors
    /// The server has sent what is no MQTT, not what docs/asyncapi.yaml says, or a difference to what
    /// this device has not had.
    pub async fn run<D: Dial>(
        mut self,
        dial: D,
        phase: watch::Receiver<Phase>,
        open: watch::Sender<usize>,
    ) -> Result<(), String> {
        while !self.is_over(*phase.borrow()) {
            open.send_replace(usize::MAX);
            let Ok(mut stream) = dial.dial().await else {
                sleep(self.step()).await;
                continue;
            };
            let connected = timeout(CONNECT_TIMEOUT, self.handshake(&mut stream)).await;
            if !matches!(connected, Ok(Ok(true))) {
                sleep(self.step()).await;
                continue;
            }
            self.converse(&mut stream, &phase, &open).await?;
            self.record.push(Event::Disconnected {
                user: self.plan.user.clone(),
                device: self.plan.device.clone(),
            });
            self.to_ack.clear();
            self.reads.clear();
            self.acknowledged.clear();
            self.heard = Differences::default();
            self.acked.clear();
            self.out.clear();
            if !self.plan.persistent {
                self.has_session = false;
            }
        }
        open.send_replace(0);
        Ok(())
    }

    fn is_over(&self, phase: Phase) -> bool {
        phase == Phase::Done || (phase == Phase::Settling && self.habits.leaves)
    }

    /// Connects, subscribes, and sends again what is open. `false`: the server will not now.
    async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
    ) -> Result<bool, String> {
        let plan = &self.plan;
        let connect = Connect {
            version: plan.version,
            clean: !plan.persistent,
            expiry_s: if plan.persistent { 3600 } else { 0 },
            client_id: &plan.device,
            user: &plan.user,
        };
        let mut out = Vec::new();
        wire::connect(&mut out, &connect);
        if stream.write_all(&out).await.is_err() {
            return Ok(false);
        }
        let mut inbox = Vec::new();
        let session_present = loop {
            match wire::decode(&mut inbox, plan.version)? {
                Some(Packet::ConnAck { code: 0, session_present }) => break session_present,
                Some(_) => return Ok(false),
                None => {}
            }
            // A byte at a time, so that nothing beyond the CONNACK is taken.
            match stream.read_u8().await {
                Ok(byte) => inbox.push(byte),
                Err(_) => return Ok(false),
            }
        };
        if !(session_present && self.has_session) {
            self.session += 1;
            self.subscribed = false;
            self.outbox.renumber();
        }
        self.has_session = true;
        self.record.push(Event::Connected {
            user: self.plan.user.clone(),
            device: self.plan.device.clone(),
            session_present,
            persistent: self.plan.persistent,
        });
        let filters = self.filters();
        if !self.subscribed && !filters.is_empty() {
            wire::subscribe(&mut self.out, self.plan.version, 60_000, &filters);
        }
        for at in 0..self.outbox.messages.len() {
            let again = session_present && self.session > 0;
            self.write_message(at, again);
        }
        for at in 0..self.requests.open.len() {
            self.write_request(at);
        }
        Ok(true)
    }

    fn filters(&self) -> Vec<(String, u8)> {
        let mut filters = Vec::new();
        if let Some(qos) = self.plan.messages {
            let filter = if self.plan.differences { "c/+/m/d" } else { "chats/+/messages" };
            filters.push((filter.to_owned(), qos | (u8::from(self.plan.no_local) << 2)));
        }
        if self.plan.receipts {
            let filter = if self.plan.differences { "c/+/r/d" } else { "chats/+/receipts" };
            filters.push((filter.to_owned(), 1));
        }
        if self.habits.looks {
            filters.push(("users/+/presence".to_owned(), 0));
        }
        if self.plan.version == 4 {
            filters.push(("me/errors".to_owned(), 0));
        }
        if !self.habits.wishes.is_empty() {
            filters.push(("me/replies/+".to_owned(), 0));
        }
        filters
    }

    async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        phase: &watch::Receiver<Phase>,
        open: &watch::Sender<usize>,
    ) -> Result<(), String> {
        let mut inbox = Vec::new();
        let mut buffer = vec![0; 4096];
        loop {
            while let Some(packet) = wire::decode(&mut inbox, self.plan.version)? {
                self.check(&packet).map_err(|mismatch| mismatch.to_string())?;
                if !self.handle(packet)? {
                    return Ok(());
                }
            }
            let now = *phase.borrow();
            if now == Phase::Settling {
                self.ack(usize::MAX);
            }
            open.send_replace(self.outbox.messages.len() + self.requests.open.len());
            if !self.out.is_empty() {
                let out = std::mem::take(&mut self.out);
                if stream.write_all(&out).await.is_err() {
                    return Ok(());
                }
            }
            if self.is_over(now) {
                // With a goodbye or without, as the server has to find out.
                if now == Phase::Settling {
                    self.cut(stream).await;
                }
                return Ok(());
            }
            let step = self.step();
            tokio::select! {
                biased;
                read = stream.read(&mut buffer) => match read {
                    Ok(length) if length > 0 => {
                        inbox.extend_from_slice(buffer.get(..length).unwrap_or_default());
                    }
                    _ => return Ok(()),
                },
                () = sleep(step) => {
                    if now == Phase::Busy && !self.act(stream).await {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn step(&mut self) -> Duration {
        self.pace.step.mul_f64(self.random.f64().max(0.01))
    }

    /// Does something; `false`: the connection is over.
    async fn act<S: AsyncWrite + Unpin>(&mut self, stream: &mut S) -> bool {
        if self.pace.cut_one_in > 0 && self.random.u32(..self.pace.cut_one_in) == 0 {
            self.cut(stream).await;
            return false;
        }
        if !self.habits.wishes.is_empty() && self.random.u8(..16) == 0 {
            self.ask();
            return true;
        }
        match self.random.u8(..10) {
            0 if self.habits.amends => self.amend(),
            0..=4 if !self.plan.sends_to.is_empty() => self.send(),
            5..=8 => {
                let some = self.random.usize(..=self.to_ack.len());
                self.ack(some);
            }
            _ if self.plan.reads => self.read(),
            _ => {}
        }
        true
    }

    /// Ends the connection: with a goodbye, in the middle of a packet, or just so.
    async fn cut<S: AsyncWrite + Unpin>(&mut self, stream: &mut S) {
        let mut last = Vec::new();
        match self.random.u8(..3) {
            0 => wire::disconnect(&mut last),
            1 => {
                let torn = Publish {
                    qos: 1,
                    id: 9,
                    topic: "users/x/send",
                    payload: b"torn",
                    ..Publish::default()
                };
                wire::publish(&mut last, self.plan.version, &torn);
                last.truncate(self.random.usize(1..last.len()));
            }
            _ => {}
        }
        // Whether the server still gets it makes no difference to what has to hold.
        if stream.write_all(&last).await.is_ok() {
            let _flushed = stream.flush().await;
        }
    }

    /// Acknowledges the oldest deliveries.
    fn ack(&mut self, some: usize) {
        for _ in 0..some {
            let Some(delivered) = self.to_ack.pop_front() else { return };
            if let Some((chat, seq)) = delivered.chat {
                let acked = self.acked.entry(chat.clone()).or_default();
                *acked = seq.max(*acked);
                self.record.push(Event::AckedBack {
                    user: self.plan.user.clone(),
                    device: self.plan.device.clone(),
                    chat,
                    seq,
                });
            }
            let kind = if delivered.qos == 2 { 5 } else { 4 };
            wire::ack(&mut self.out, kind, delivered.packet_id);
        }
    }

    fn read(&mut self) {
        let unread: Vec<_> = self
            .highest
            .iter()
            .filter(|(chat, seq)| self.read_up_to.get(*chat).is_none_or(|read| read < seq))
            .map(|(chat, seq)| (chat.clone(), *seq))
            .collect();
        if unread.is_empty() || self.reads.len() > 4 {
            return;
        }
        let (chat, highest) = unread[self.random.usize(..unread.len())].clone();
        let acked = self.acked.get(&chat).copied().filter(|_| self.plan.differences);
        let (seq, topic, payload) = match acked {
            // What it means is told by the acknowledgements before it.
            Some(acked) => (acked, format!("c/{chat}/d"), String::new()),
            None => (highest, format!("chats/{chat}/read"), highest.to_string()),
        };
        let up_to = self.read_up_to.entry(chat.clone()).or_default();
        *up_to = seq.max(*up_to);
        self.record.push(Event::ReadSaid {
            user: self.plan.user.clone(),
            device: self.plan.device.clone(),
            chat: chat.clone(),
            seq,
        });
        // Numbers above those of messages.
        let packet_id = (1000..2000).find(|id| !self.reads.contains_key(id)).unwrap_or(1999);
        let (topic, payload) = (&topic, payload.as_bytes());
        self.judge.said(topic, payload);
        let publish = Publish { qos: 1, id: packet_id, topic, payload, ..Publish::default() };
        wire::publish(&mut self.out, self.plan.version, &publish);
        self.reads.insert(packet_id, (chat, seq));
    }

    /// Whether docs/asyncapi.yaml has what the server says.
    fn check(&mut self, packet: &Packet) -> Result<(), Mismatch> {
        match packet {
            Packet::Publish { topic, payload, .. } => self.judge.heard(topic, payload),
            Packet::Ack { kind: 4, id, reason: 0, properties } if self.plan.version == 5 => {
                let sent = self.outbox.messages.iter().find(|message| message.packet_id == *id);
                sent.map_or(Ok(()), |message| self.judge.acked(&message.topic, properties))
            }
            _ => Ok(()),
        }
    }

    /// Takes a packet; `false`: the connection is over.
    fn handle(&mut self, packet: Packet) -> Result<bool, String> {
        match packet {
            Packet::Publish { qos, id, topic, payload } => {
                self.delivered(qos, id, &topic, &payload)?;
            }
            Packet::Ack { kind: 4, id, reason, properties } => {
                if let Some((chat, seq)) = self.reads.remove(&id) {
                    if reason == 0x99 {
                        return Err(format!("what was read of {chat}, {seq}, is taken for none"));
                    }
                    if reason < 0x80 {
                        let (user, device) = self.names();
                        self.record.push(Event::ReadAcked { user, device, chat, seq });
                    }
                } else if let Some(message) = self.outbox.remove(id) {
                    self.acknowledged.insert(id, message.tag);
                    self.acked(message.tag, reason, &properties);
                }
            }
            Packet::Ack { kind: 5, id, reason, properties } => {
                let Some(message) = self.outbox.find(id) else {
                    wire::ack(&mut self.out, 6, id);
                    return Ok(true);
                };
                let (tag, first) = (message.tag, !message.released);
                self.acknowledged.insert(id, tag);
                message.released = true;
                if first {
                    self.acked(tag, reason, &properties);
                }
                if reason >= 0x80 {
                    self.outbox.remove(id);
                } else {
                    wire::ack(&mut self.out, 6, id);
                }
            }
            Packet::Ack { kind: 7, id, .. } => {
                self.outbox.remove(id);
            }
            Packet::Ack { id, .. } => wire::ack(&mut self.out, 7, id),
            Packet::SubAck { codes, .. } => return Ok(self.granted(&codes)),
            Packet::Disconnect { .. } => return Ok(false),
            Packet::ConnAck { .. } | Packet::Other(_) => {}
        }
        Ok(true)
    }

    fn names(&self) -> (String, String) {
        (self.plan.user.clone(), self.plan.device.clone())
    }

    fn acked(&mut self, tag: u64, reason: u8, properties: &[(String, String)]) {
        let (user, device) = self.names();
        if reason >= 0x80 {
            self.record.push(Event::Refused { user, device, tag, code: reason });
            return;
        }
        let find = |name: &str| {
            properties.iter().find(|property| property.0 == name).map(|property| &property.1)
        };
        let seq = find("seq").and_then(|seq| seq.parse().ok());
        let duplicate = (self.plan.version == 5).then(|| find("duplicate").is_some());
        self.record.push(Event::Acked { user, device, tag, seq, duplicate });
    }

    /// Takes what was granted; `false`: not all was, and it is to be tried again.
    fn granted(&mut self, codes: &[u8]) -> bool {
        self.subscribed = codes.iter().all(|code| *code <= 2);
        for ((filter, options), code) in self.filters().into_iter().zip(codes) {
            if *code > 2 || filter.starts_with("me/") {
                continue;
            }
            let (user, device) = self.names();
            if filter.ends_with("presence") {
                self.record.push(Event::Looks { user, device });
                continue;
            }
            self.record.push(Event::Subscribed {
                user,
                device,
                chats: Scope::All,
                qos: *code,
                receipts: filter.ends_with("receipts") || filter.ends_with("r/d"),
                no_local: options & 4 != 0,
            });
        }
        self.subscribed
    }
}
