//! A session fed with bytes of a client and answers of a host, in any order, over connections
//! that break: what it sends is valid, and keeps to the window.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bluetick_broker::codec;
use bluetick_broker::host::{Delivery, DeliveryId, HostEvent, SessionKey, Token};
use bluetick_broker::mailbox::PlainDelivery;
use bluetick_broker::packet::{Connect, Packet, PublishProperties, QoS, Reason, Version, Will};
use bluetick_broker::session::{Call, Close, Parked, Session};
use bluetick_broker::{Limits, Message};

use crate::input::Input;
use crate::other_codec::{self, Frame};

/// Deliveries in flight that the server allows itself.
const INFLIGHT_OUT_MAX: u16 = 4;

pub(crate) fn run(data: &[u8]) {
    let mut input = Input(data);
    let Some(settings) = input.u8() else { return };
    let mut world = World::new(settings);
    world.open();
    while let Some(step) = input.u8() {
        world.step(step, &mut input);
    }
    world.lose();
}

/// A session with its client's bytes and its host's answers.
struct World {
    limits: Arc<Limits>,
    connect: Connect,
    session: Option<Session>,
    parked: Option<Parked>,
    epoch: u64,
    now: u64,
    /// Bytes that the session has not read.
    inbox: Vec<u8>,
    /// What the host has not answered.
    publishes: VecDeque<Token>,
    subscribes: VecDeque<(Token, u8)>,
    unsubscribes: VecDeque<Token>,
    fetches: Vec<DeliveryId>,
    stock: VecDeque<Delivery>,
    kept: BTreeMap<DeliveryId, Arc<Message>>,
    offered: u64,
    /// What the client has been sent in this connection and not acknowledged: QoS by packet id.
    /// 3: PUBREL is what it has to acknowledge.
    inflight: BTreeMap<u16, u8>,
    greeted: bool,
}

impl World {
    fn new(settings: u8) -> Self {
        let version = if settings & 1 == 0 { Version::V4 } else { Version::V5 };
        let v5 = version == Version::V5;
        let will = Will {
            topic: "w".to_owned(),
            payload: bytes::Bytes::new(),
            qos: QoS::AtMostOnce,
            retain: false,
            delay_s: 0,
            properties: PublishProperties::default(),
        };
        let connect = Connect {
            version,
            clean_start: settings & 2 != 0,
            keep_alive_s: 10,
            client_id: "client".to_owned(),
            user_name: None,
            password: None,
            will: (settings & 4 != 0).then(|| Box::new(will)),
            session_expiry_s: v5.then_some(if settings & 8 == 0 { 60 } else { 0 }),
            receive_maximum: (v5 && settings & 16 != 0).then_some(2),
            max_packet_bytes: (v5 && settings & 32 != 0).then_some(80),
            topic_alias_maximum: if v5 && settings & 64 != 0 { 2 } else { 0 },
            request_response_info: false,
            request_problem_info: settings & 128 == 0,
            user_properties: Vec::new(),
            authentication_method: None,
        };
        let limits = Limits {
            inflight_in_max: 4,
            inflight_out_max: INFLIGHT_OUT_MAX,
            topic_aliases_max: 2,
            subscriptions_max: 4,
            queued_messages_max: 8,
            pending_bytes_max: 4096,
            packet_bytes_max: 1024,
            ..Limits::default()
        };
        Self {
            limits: Arc::new(limits),
            connect,
            session: None,
            parked: None,
            epoch: 0,
            now: 1_000_000,
            inbox: Vec::new(),
            publishes: VecDeque::new(),
            subscribes: VecDeque::new(),
            unsubscribes: VecDeque::new(),
            fetches: Vec::new(),
            stock: VecDeque::new(),
            kept: BTreeMap::new(),
            offered: 0,
            inflight: BTreeMap::new(),
            greeted: false,
        }
    }

    fn step(&mut self, step: u8, input: &mut Input<'_>) {
        let more = step >> 3;
        match step & 7 {
            0 | 1 => {
                let bytes = input.take(usize::from(more) + 1);
                if self.session.is_some() {
                    self.inbox.extend_from_slice(bytes);
                }
            }
            2 => self.offer(more & 3),
            3 => self.plain(more & 3, usize::from(more >> 2) * 16),
            4 => self.answer(Reason(if more & 1 == 0 { 0 } else { 0x87 })),
            5 => self.fetched(more & 1 == 0),
            6 => self.advance(u64::from(more) * 1000),
            _ => {
                self.lose();
                self.open();
            }
        }
        self.drive();
    }

    fn open(&mut self) {
        if self.session.is_some() {
            return;
        }
        if self.connect.clean_start {
            self.parked = None;
        }
        let key = SessionKey { user: "user".into(), client_id: "client".into() };
        let (connect, limits, now) = (&self.connect, self.limits.clone(), self.now);
        let parked = self.parked.take();
        let present = parked.is_some();
        let mut session = match parked {
            Some(parked) => Session::resume(key, connect, limits, now, parked),
            None => {
                self.epoch += 1;
                self.stock.clear();
                self.kept.clear();
                Session::new(key, connect, limits, now)
            }
        };
        session.handle_opened(self.epoch, connect, present, false);
        if !self.stock.is_empty() {
            session.handle_news();
        }
        self.session = Some(session);
        self.drive();
    }

    fn lose(&mut self) {
        if let Some(session) = self.session.take() {
            self.ended(session);
        }
    }

    fn ended(&mut self, session: Session) {
        let expiry_s = session.expiry_s();
        self.parked = session.park();
        assert_eq!(self.parked.is_some(), expiry_s > 0);
        self.inbox.clear();
        self.publishes.clear();
        self.subscribes.clear();
        self.unsubscribes.clear();
        self.fetches.clear();
        self.inflight.clear();
        self.greeted = false;
    }

    fn offer(&mut self, qos: u8) {
        let Some(qos) = QoS::from_bits(qos) else { return };
        self.offered += 1;
        let delivery =
            Delivery { id: DeliveryId(self.offered, 0, 0), qos, message: message("host/t", 3) };
        self.stock.push_back(delivery);
        if let Some(session) = &mut self.session {
            session.handle_news();
        }
    }

    fn plain(&mut self, qos: u8, len: usize) {
        let (Some(session), Some(qos)) = (&mut self.session, QoS::from_bits(qos)) else { return };
        if session.plain_room() > 0 {
            let message = message("plain/t", len);
            session.handle_plain([PlainDelivery::new(message, qos)]);
        }
    }

    /// The host answers what it was asked first.
    fn answer(&mut self, reason: Reason) {
        let event = if let Some((token, qos)) = self.subscribes.pop_front() {
            let reason = if reason.is_error() { reason } else { Reason(qos) };
            HostEvent::Subscribed { token, reason }
        } else if let Some(token) = self.unsubscribes.pop_front() {
            HostEvent::Unsubscribed { token, reason }
        } else if let Some(token) = self.publishes.pop_front() {
            HostEvent::Published { token, reason, properties: None, notice: None }
        } else {
            return;
        };
        self.event(event);
    }

    /// The host answers a fetch; `all`: nothing of it was withdrawn.
    fn fetched(&mut self, all: bool) {
        let ids = std::mem::take(&mut self.fetches);
        if ids.is_empty() {
            return;
        }
        let found = |(at, id): (usize, DeliveryId)| {
            let message = self.kept.get(&id).filter(|_| all || at % 2 == 0).cloned();
            (id, message)
        };
        let found = ids.into_iter().enumerate().map(found).collect();
        self.event(HostEvent::Fetched(found));
    }

    fn event(&mut self, event: HostEvent) {
        let Some(session) = &mut self.session else { return };
        if let Err(close) = session.handle_event(event) {
            self.close(&close);
        }
    }

    fn advance(&mut self, ms: u64) {
        self.now += ms;
        let Some(session) = &mut self.session else { return };
        if let Err(close) = session.handle_timeout(self.now) {
            self.close(&close);
        }
    }

    /// What the driver of a connection does.
    fn drive(&mut self) {
        loop {
            let read = self.read();
            if let Err(close) = read {
                self.close(&close);
                return;
            }
            let before = self.inbox.len();
            self.carry_out();
            self.transmit();
            let goes_on = self.session.as_ref().is_some_and(Session::wants_read);
            if !goes_on || read == Ok(false) || before == 0 {
                return;
            }
        }
    }

    /// Hands over a packet; whether there was one.
    fn read(&mut self) -> Result<bool, Close> {
        let Some(session) = self.session.as_mut().filter(|session| session.wants_read()) else {
            return Ok(false);
        };
        let version = session.version();
        let decoded = codec::decode(&self.inbox, Some(version), self.limits.packet_bytes_max);
        let detail = "the packet is malformed";
        let decoded =
            decoded.map_err(|error| Close { reason: error.reason, detail, by_client: false })?;
        let Some((packet, length)) = decoded else { return Ok(false) };
        self.inbox.drain(..length);
        acknowledge(&mut self.inflight, version, &packet);
        session.handle_packet(packet, self.now)?;
        Ok(true)
    }

    fn carry_out(&mut self) {
        while let Some(call) = self.session.as_mut().and_then(Session::poll_call) {
            self.call(call);
        }
    }

    fn call(&mut self, call: Call) {
        let Some(session) = &mut self.session else { return };
        match call {
            Call::Publish(publish) => self.publishes.push_back(publish.token),
            Call::Subscribe { token, request, .. } => {
                if request.filter.starts_with("plain/") {
                    session.handle_subscribed(token, Reason(request.qos as u8), false);
                } else {
                    self.subscribes.push_back((token, request.qos as u8));
                }
            }
            Call::Unsubscribe { token, of_host: true, .. } => self.unsubscribes.push_back(token),
            Call::Unsubscribe { token, .. } => session.handle_unsubscribed(token, Reason::SUCCESS),
            Call::Acked(ids) => {
                for id in ids {
                    assert!(self.kept.remove(&id).is_some(), "{id:?} is acknowledged twice");
                }
            }
            // Nothing is kept of plain messages here: what is asked is done.
            Call::Finished(_) => {}
            Call::Release { seq, .. } => session.handle_released(seq),
            Call::Unreceive { packet_id } => session.handle_unreceived(packet_id),
            Call::Fetch(ids) => self.fetches = ids,
            Call::Pull(room) => {
                let count = room.messages.min(self.stock.len());
                let pulled: Vec<Delivery> = self.stock.drain(..count).collect();
                self.kept.extend(pulled.iter().map(|it| (it.id, it.message.clone())));
                session.handle_deliveries(pulled, room.messages);
            }
        }
    }

    fn close(&mut self, close: &Close) {
        loop {
            match self.session.as_mut().and_then(Session::poll_call) {
                None | Some(Call::Pull(_)) => break,
                Some(call) => self.call(call),
            }
        }
        if let Some(session) = &mut self.session {
            session.write_disconnect(close);
        }
        self.transmit();
        self.lose();
    }

    /// The client reads what it is sent.
    fn transmit(&mut self) {
        let Some(session) = &mut self.session else { return };
        let version = session.version();
        let sent = std::mem::take(&mut session.transmit);
        let mut rest = &sent[..];
        while !rest.is_empty() {
            let (frame, after) = Frame::split(rest).expect("whole packets");
            let bytes = rest.len() - after.len();
            rest = after;
            other_codec::takes_from_server(version, &frame);
            assert_eq!(frame.first == 0x20, !self.greeted, "CONNACK, and once");
            self.greeted = true;
            if let Some(max) = self.connect.max_packet_bytes {
                assert!(bytes <= max as usize, "{bytes} bytes: {:02x}", frame.first);
            }
            self.note(&frame);
        }
    }

    /// Deliveries and PUBRELs that the client has to acknowledge.
    fn note(&mut self, frame: &Frame<'_>) {
        let id_at = |at: usize| u16::from_be_bytes([frame.body[at], frame.body[at + 1]]);
        match frame.first {
            0x32..=0x3F => {
                let topic_bytes = usize::from(id_at(0));
                let (id, qos) = (id_at(2 + topic_bytes), frame.first >> 1 & 3);
                assert_ne!(id, 0);
                assert_eq!(self.inflight.insert(id, qos), None, "packet id {id} is in use");
            }
            // PUBREL takes the place of its PUBLISH.
            0x62 => {
                if let Some(qos @ 2) = self.inflight.get_mut(&id_at(0)) {
                    *qos = 3;
                }
            }
            _ => {}
        }
        let publishes = self.inflight.values().filter(|qos| **qos < 3).count();
        let max = self.connect.receive_maximum.unwrap_or(u16::MAX).min(INFLIGHT_OUT_MAX);
        assert!(publishes <= usize::from(max), "{publishes} in flight");
    }
}

/// The client has acknowledged: the packet id is free, if it was the right packet.
fn acknowledge(inflight: &mut BTreeMap<u16, u8>, version: Version, packet: &Packet) {
    let (ack, qos) = match packet {
        Packet::PubAck(ack) => (ack, 1),
        Packet::PubRec(ack) if version == Version::V5 && ack.reason.is_error() => (ack, 2),
        Packet::PubComp(ack) => (ack, 3),
        _ => return,
    };
    if inflight.get(&ack.packet_id) == Some(&qos) {
        inflight.remove(&ack.packet_id);
    }
}

fn message(topic: &str, len: usize) -> Arc<Message> {
    let properties = PublishProperties::default();
    Arc::new(Message::new(topic.into(), vec![b'x'; len].into(), &properties, false))
}
