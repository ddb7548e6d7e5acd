//! Server and client, joined by two byte buffers that can be lost.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bluetick_broker::codec;
use bluetick_broker::host::{
    Delivery, DeliveryId, HostEvent, HostPublish, Room, SessionKey, Token,
};
use bluetick_broker::mailbox::PlainDelivery;
use bluetick_broker::packet::{
    AckProperties, Connect, FilterRequest, Packet, Publish, PublishProperties, QoS, Reason,
    Subscribe, Version, Will,
};
use bluetick_broker::session::{Call, Close, MonotonicMs, Parked, Session};
use bluetick_broker::{Limits, Message};
use bytes::Bytes;

use crate::client::{self, Got};

/// A session, its client, and the host behind the session.
pub(crate) struct Pair {
    pub(crate) now: MonotonicMs,
    pub(crate) limits: Arc<Limits>,
    /// What the client says the next time it connects.
    pub(crate) connect: Connect,
    pub(crate) host: Host,
    /// Why the server ended the last connection, if it did.
    pub(crate) closed: Option<Close>,
    /// The will that was left when the last connection ended.
    pub(crate) will: Option<Box<Will>>,
    /// What the client does not read stays with the server.
    pub(crate) client_reads: bool,
    pub(crate) parked: Option<Parked>,
    online: Option<Session>,
    to_server: Vec<u8>,
    to_client: Vec<u8>,
    epoch: u64,
}

/// A host that answers when the test says so. A filter is its own unless it begins with `plain/`.
#[derive(Default)]
pub(crate) struct Host {
    /// Publishes, in order.
    pub(crate) published: Vec<HostPublish>,
    /// How many deliveries were acknowledged when each of these came.
    pub(crate) acked_before: Vec<usize>,
    /// Subscriptions asked for: token, request, renewed.
    pub(crate) subscribes: Vec<(Token, FilterRequest, bool)>,
    pub(crate) unsubscribes: Vec<(Token, Arc<str>)>,
    /// Numbers of acknowledged deliveries, in order.
    pub(crate) acked: Vec<u64>,
    /// Deliveries that were withdrawn: not to be sent again.
    pub(crate) withdrawn: BTreeSet<u64>,
    /// Fetches wait for [`Pair::answer_fetch`].
    pub(crate) holds_fetches: bool,
    /// What is to be stored waits for [`Pair::stored`].
    pub(crate) to_store: Vec<Call>,
    /// Numbers of kept messages that the client is done with.
    pub(crate) finished: Vec<u64>,
    fetches: Vec<DeliveryId>,
    stock: VecDeque<Delivery>,
    /// Pulled; kept until acknowledged.
    kept: BTreeMap<DeliveryId, Arc<Message>>,
    offered: u64,
}

/// What a test may send: a packet, or what makes one.
pub(crate) trait IntoPacket {
    fn into_packet(self) -> Packet;
}

impl IntoPacket for Packet {
    fn into_packet(self) -> Packet {
        self
    }
}

impl IntoPacket for Publish {
    fn into_packet(self) -> Packet {
        Packet::Publish(Box::new(self))
    }
}

impl IntoPacket for Subscribe {
    fn into_packet(self) -> Packet {
        Packet::Subscribe(Box::new(self))
    }
}

impl Pair {
    /// A pair whose limits are small enough to be reached; not connected.
    pub(crate) fn offline(
        version: Version,
        adjust: impl FnOnce(&mut Limits, &mut Connect),
    ) -> Self {
        let mut limits = Limits {
            inflight_in_max: 4,
            inflight_out_max: 4,
            topic_aliases_max: 2,
            subscriptions_max: 4,
            ..Limits::default()
        };
        let mut connect = client::connect(version);
        adjust(&mut limits, &mut connect);
        Self {
            now: 1_000_000,
            limits: Arc::new(limits),
            connect,
            host: Host::default(),
            closed: None,
            will: None,
            client_reads: true,
            parked: None,
            online: None,
            to_server: Vec::new(),
            to_client: Vec::new(),
            epoch: 0,
        }
    }

    /// A pair that is connected.
    pub(crate) fn online(version: Version) -> Self {
        Self::online_with(version, |_, _| {})
    }

    /// A pair that is connected, with other limits or another CONNECT.
    pub(crate) fn online_with(
        version: Version,
        adjust: impl FnOnce(&mut Limits, &mut Connect),
    ) -> Self {
        let mut pair = Self::offline(version, adjust);
        assert_eq!(pair.connect(), ["CONNACK"]);
        pair
    }

    /// Connects as [`Self::connect`] says; returns what the client is sent.
    pub(crate) fn connect(&mut self) -> Vec<String> {
        self.open();
        self.receive()
    }

    /// The same without reading the answer.
    pub(crate) fn open(&mut self) {
        assert!(self.online.is_none(), "connected already");
        if self.connect.clean_start {
            self.parked = None;
        }
        let key = SessionKey { user: "user".into(), client_id: "client".into() };
        let (limits, now) = (self.limits.clone(), self.now);
        let parked = self.parked.take();
        let present = parked.is_some();
        let mut session = match parked {
            Some(parked) => {
                assert_eq!(parked.epoch(), self.epoch);
                Session::resume(key, &self.connect, limits, now, parked)
            }
            None => {
                self.epoch += 1;
                self.host.stock.clear();
                self.host.kept.clear();
                Session::new(key, &self.connect, limits, now)
            }
        };
        session.handle_opened(self.epoch, &self.connect, present, false);
        if !self.host.stock.is_empty() {
            session.handle_news();
        }
        self.closed = None;
        self.online = Some(session);
        self.drive();
    }

    /// The connection breaks: what is on its way is lost, both ways.
    pub(crate) fn lose(&mut self) {
        if let Some(mut session) = self.online.take() {
            assert!(is_idle(&mut session), "the driver carries out everything before it waits");
            self.will = session.take_will();
            self.parked = session.park();
        }
        self.to_server.clear();
        self.to_client.clear();
        self.host.fetches.clear();
        self.host.to_store.clear();
    }

    /// Loses the connection and connects again; returns what the client is sent.
    pub(crate) fn reconnect(&mut self) -> Vec<String> {
        self.lose();
        self.connect()
    }

    pub(crate) fn is_online(&self) -> bool {
        self.online.is_some()
    }

    pub(crate) fn session(&mut self) -> &mut Session {
        self.online.as_mut().expect("connected")
    }

    /// The client sends a packet and the server reads what it wants to.
    pub(crate) fn send(&mut self, packet: impl IntoPacket) {
        self.queue(packet);
        self.drive();
    }

    /// The client sends a packet that the server does not read yet.
    pub(crate) fn queue(&mut self, packet: impl IntoPacket) {
        let bytes = client::encode(self.connect.version, &packet.into_packet());
        self.to_server.extend(bytes);
    }

    /// The client sends these bytes.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.to_server.extend_from_slice(bytes);
        self.drive();
    }

    /// The client sends a packet; returns what it is sent.
    pub(crate) fn exchange(&mut self, packet: impl IntoPacket) -> Vec<String> {
        self.send(packet);
        self.receive()
    }

    /// Bytes that the server has not read.
    pub(crate) fn unread(&self) -> usize {
        self.to_server.len()
    }

    /// Everything the client was sent since the last look, in the notation of [`Got`].
    pub(crate) fn receive(&mut self) -> Vec<String> {
        self.receive_packets().iter().map(Got::to_string).collect()
    }

    pub(crate) fn receive_packets(&mut self) -> Vec<Got> {
        std::iter::from_fn(|| self.receive_one()).collect()
    }

    pub(crate) fn receive_one(&mut self) -> Option<Got> {
        client::decode(self.connect.version, &mut self.to_client)
    }

    /// Time passes; if that is too much for the session, it closes.
    pub(crate) fn advance(&mut self, ms: u64) {
        self.now += ms;
        let now = self.now;
        if let Err(close) = self.session().handle_timeout(now) {
            self.close(close);
        }
    }

    /// The host is done with its publish number `at`.
    pub(crate) fn answer(&mut self, at: usize, reason: Reason) {
        self.answer_with(at, reason, None);
    }

    pub(crate) fn answer_with(
        &mut self,
        at: usize,
        reason: Reason,
        properties: Option<Box<AckProperties>>,
    ) {
        let token = self.host.published[at].token;
        self.event(HostEvent::Published { token, reason, properties, notice: None });
    }

    /// The host has decided its subscription number `at`.
    pub(crate) fn decide(&mut self, at: usize, reason: Reason) {
        let token = self.host.subscribes[at].0;
        self.event(HostEvent::Subscribed { token, reason });
    }

    /// The host says something.
    pub(crate) fn event(&mut self, event: HostEvent) {
        match self.session().handle_event(event) {
            Ok(()) => self.drive(),
            Err(close) => self.close(close),
        }
    }

    /// The host has a message for the session, and its number for a text; numbers begin with 1.
    pub(crate) fn offer(&mut self, qos: u8) {
        self.host.offered += 1;
        let number = self.host.offered;
        let message = message("host/t", &number.to_string());
        let qos = QoS::from_bits(qos).expect("a level");
        let delivery = Delivery { id: DeliveryId(number, 0, 0), qos, message };
        self.host.stock.push_back(delivery);
        if let Some(session) = &mut self.online {
            session.handle_news();
        }
        self.drive();
    }

    /// A message of a plain topic arrives for the session.
    pub(crate) fn plain(&mut self, qos: u8, text: &str) {
        self.plain_on("plain/t", qos, text);
    }

    pub(crate) fn plain_on(&mut self, topic: &str, qos: u8, text: &str) {
        let qos = QoS::from_bits(qos).expect("a level");
        self.deliver(PlainDelivery::new(message(topic, text), qos));
    }

    /// The same for one that is on stable storage, at QoS 2 under a packet id of its own.
    pub(crate) fn kept(&mut self, qos: u8, seq: u64, packet_id: u16) {
        let qos = QoS::from_bits(qos).expect("a level");
        let message = message("plain/t", &seq.to_string());
        let delivery = PlainDelivery::new(message, qos);
        self.deliver(PlainDelivery { seq, kept: true, packet_id, ..delivery });
    }

    pub(crate) fn deliver(&mut self, delivery: PlainDelivery) {
        self.session().handle_plain([delivery]);
        self.drive();
    }

    /// What was to be stored is.
    pub(crate) fn stored(&mut self) {
        let session = self.online.as_mut().expect("connected");
        for call in std::mem::take(&mut self.host.to_store) {
            match call {
                Call::Release { seq, .. } => session.handle_released(seq),
                Call::Unreceive { packet_id } => session.handle_unreceived(packet_id),
                _ => {}
            }
        }
        self.drive();
    }

    /// The host answers the fetches that it held back.
    pub(crate) fn answer_fetch(&mut self) {
        let found = self.host.found();
        self.event(HostEvent::Fetched(found));
    }

    /// What the driver of a connection does: reads, carries out, sends.
    pub(crate) fn drive(&mut self) {
        while self.online.is_some() {
            match self.read() {
                Ok(stalled) => {
                    self.carry_out();
                    self.transmit();
                    if !(stalled && self.session().wants_read()) {
                        return;
                    }
                }
                Err(close) => self.close(close),
            }
        }
    }

    /// Hands over what is complete; tells whether the session wants no more for now.
    fn read(&mut self) -> Result<bool, Close> {
        let Self { online: Some(session), to_server, .. } = self else { return Ok(false) };
        while !to_server.is_empty() {
            if !session.wants_read() {
                return Ok(true);
            }
            let version = session.version();
            let decoded = codec::decode(to_server, Some(version), self.limits.packet_bytes_max);
            let detail = "the packet is malformed";
            let decoded = decoded.map_err(|error| Close {
                reason: error.reason,
                detail,
                by_client: false,
            })?;
            let Some((packet, length)) = decoded else { break };
            to_server.drain(..length);
            session.handle_packet(packet, self.now)?;
        }
        Ok(false)
    }

    fn carry_out(&mut self) {
        let Self { online: Some(session), host, .. } = self else { return };
        while let Some(call) = session.poll_call() {
            host.carry_out(session, call);
        }
    }

    fn transmit(&mut self) {
        let Self { online: Some(session), to_client, client_reads: true, .. } = self else {
            return;
        };
        to_client.append(&mut session.transmit);
    }

    /// The session wants the connection to end: what it asked before is done, the client is told.
    fn close(&mut self, close: Close) {
        let session = self.online.as_mut().expect("connected");
        while let Some(call) = session.poll_call() {
            if matches!(call, Call::Pull(_)) {
                break;
            }
            self.host.carry_out(session, call);
        }
        session.write_disconnect(&close);
        self.transmit();
        let mut session = self.online.take().expect("connected");
        self.will = session.take_will();
        self.parked = session.park();
        self.to_server.clear();
        self.closed = Some(close);
    }
}

impl Host {
    fn carry_out(&mut self, session: &mut Session, call: Call) {
        match call {
            Call::Publish(publish) => {
                self.published.push(publish);
                self.acked_before.push(self.acked.len());
            }
            Call::Subscribe { token, request, .. } if request.filter.starts_with("plain/") => {
                session.handle_subscribed(token, Reason(request.qos as u8), false);
            }
            Call::Subscribe { token, request, renewed, .. } => {
                self.subscribes.push((token, request, renewed));
            }
            Call::Unsubscribe { token, of_host: false, .. } => {
                session.handle_unsubscribed(token, Reason::SUCCESS);
            }
            Call::Unsubscribe { token, filter, of_host: true } => {
                self.unsubscribes.push((token, filter));
            }
            Call::Acked(ids) => {
                for id in ids {
                    self.kept.remove(&id);
                    self.acked.push(id.0);
                }
            }
            Call::Fetch(ids) => {
                self.fetches = ids;
                if !self.holds_fetches {
                    let found = self.found();
                    session.handle_event(HostEvent::Fetched(found)).expect("an answer is taken");
                }
            }
            Call::Finished(finished) => {
                self.finished.extend(finished.iter().map(|done| done.seq));
            }
            Call::Release { .. } | Call::Unreceive { .. } => self.to_store.push(call),
            Call::Pull(room) => {
                let deliveries = self.pull(room);
                session.handle_deliveries(deliveries, room.messages);
            }
        }
    }

    fn pull(&mut self, room: Room) -> Vec<Delivery> {
        let count = room.messages.min(self.stock.len());
        let pulled: Vec<Delivery> = self.stock.drain(..count).collect();
        self.kept.extend(pulled.iter().map(|delivery| (delivery.id, delivery.message.clone())));
        pulled
    }

    fn found(&mut self) -> Vec<(DeliveryId, Option<Arc<Message>>)> {
        let ids = std::mem::take(&mut self.fetches);
        let kept = |id: DeliveryId| match self.withdrawn.contains(&id.0) {
            true => None,
            false => Some(self.kept.get(&id).expect("kept until it is acknowledged").clone()),
        };
        ids.into_iter().map(|id| (id, kept(id))).collect()
    }

    /// A fetch waits for its answer.
    pub(crate) fn is_fetching(&self) -> bool {
        !self.fetches.is_empty()
    }

    /// The texts of what was published.
    pub(crate) fn texts(&self) -> Vec<String> {
        let text = |publish: &HostPublish| String::from_utf8_lossy(&publish.payload).into_owned();
        self.published.iter().map(text).collect()
    }
}

fn is_idle(session: &mut Session) -> bool {
    session.poll_call().is_none()
}

fn message(topic: &str, text: &str) -> Arc<Message> {
    let payload = Bytes::copy_from_slice(text.as_bytes());
    Arc::new(Message::new(topic.into(), payload, &PublishProperties::default(), false))
}
