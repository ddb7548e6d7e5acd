//! The host's side of one session.

use std::sync::Arc;

use bluetick_broker::host::{
    Delivery, DeliveryId, HostEvent, HostPublish, HostSession, Open, Room, Token,
};
use bluetick_broker::mailbox::Line;
use bluetick_broker::packet::{FilterRequest, QoS, Reason};
use bluetick_protocol::{ChatId, Filter, Scope, Seq};
use parking_lot::Mutex;

use super::command::origin;
use super::encode::{self, Outgoing};
use super::outbox::SessionOutbox;
use super::{Shared, open, session_key};
use crate::delivery::{Acked, Attach, DeviceKey, Given, Options, Subscriber, is_for};
use crate::engine::{
    ChatNo, Command, DeviceId, Entry, Outcome, PartitionNo, SavedSession, SavedSubscription,
    SessionKey, Subscribe, SubscriptionKind, Unsubscribe,
};
use crate::partition::{Outbox, Unavailable};

/// How far back the entry before one that is delivered again is looked for.
const REFETCH_LOOKBACK: usize = 256;

/// One session that is on line.
pub struct ChatSession {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) shared: Arc<Shared>,
    pub(super) key: SessionKey,
    pub(super) mqtt5: bool,
    max_packet_bytes: usize,
    expiry_s: u32,
    pub(super) line: Line,
    outbox: Arc<SessionOutbox>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    epoch: u64,
    /// Its record is in the store.
    persistent: bool,
    subscriptions: Vec<SavedSubscription>,
    /// By partition, once it has subscribed to something.
    devices: Vec<DeviceKey>,
    closed: bool,
}

/// What was found out when the session went on line.
pub(super) struct Opened {
    pub(super) epoch: u64,
    pub(super) persistent: bool,
    pub(super) subscriptions: Vec<SavedSubscription>,
    pub(super) inflight: Vec<DeliveryId>,
}

impl ChatSession {
    pub(super) fn open(shared: Arc<Shared>, open: Open, line: Line) -> Self {
        let key = session_key(&open.key);
        // Without a valid name nothing can be found or stored; the directory gives valid ones.
        let Some(key) = key else {
            line.host(HostEvent::Close(Reason::NOT_AUTHORIZED));
            let user = bluetick_protocol::UserId::try_from("nobody");
            let user = user.unwrap_or_else(|_| unreachable!("\"nobody\" is a valid name"));
            let key = SessionKey { user, device: open.key.client_id.clone() };
            return Self { inner: Arc::new(Inner::new(shared, key, &open, line)) };
        };
        let inner = Arc::new(Inner::new(shared, key, &open, line));
        let job = {
            let inner = inner.clone();
            move || {
                let resume = |opened| inner.start(opened);
                open::run(&inner.shared, &inner.key, &open, inner.line.clone(), resume);
            }
        };
        inner.shared.reads.run(Box::new(job));
        Self { inner }
    }
}

impl Inner {
    fn new(shared: Arc<Shared>, key: SessionKey, open: &Open, line: Line) -> Self {
        Self {
            shared,
            key,
            mqtt5: open.mqtt5,
            max_packet_bytes: open.max_packet_bytes,
            expiry_s: open.expiry_s,
            outbox: Arc::new(SessionOutbox::new(line.clone())),
            line,
            state: Mutex::default(),
        }
    }

    /// The session is known: takes its subscriptions up again.
    fn start(self: &Arc<Self>, opened: Opened) {
        {
            let mut state = self.state.lock();
            state.epoch = opened.epoch;
            state.persistent = opened.persistent;
            state.subscriptions = opened.subscriptions.clone();
        }
        for saved in &opened.subscriptions {
            let Ok(filter) = Filter::parse(&saved.filter) else { continue };
            let Some(qos) = QoS::from_bits(saved.qos) else { continue };
            let wanted = Wanted {
                options: Options { qos: qos as u8, no_local: saved.no_local },
                ticks: Some(saved.ticks.clone()),
                inflight: &opened.inflight,
            };
            self.subscribe_in_partitions(&filter, &wanted, |_| {
                Box::new(|outcome: Result<Outcome, Unavailable>| {
                    if outcome.is_err() {
                        tracing::debug!("a subscription could not be taken up again");
                    }
                })
            });
        }
    }

    /// Whether the session wants its notices on this topic.
    pub(super) fn subscribed_to_notices(&self, topic: &str) -> bool {
        self.state.lock().subscriptions.iter().any(|had| *had.filter == *topic)
    }

    pub(super) fn epoch(&self) -> u64 {
        self.state.lock().epoch
    }

    /// The session, where it keeps cursors that outlive the connection.
    fn cursor_session(&self) -> Option<(DeviceId, u64)> {
        let state = self.state.lock();
        state.persistent.then(|| (self.key.device.clone(), state.epoch))
    }

    fn device(self: &Arc<Self>, no: PartitionNo) -> Option<DeviceKey> {
        let session = self.cursor_session();
        let mut state = self.state.lock();
        if state.closed {
            return None;
        }
        if state.devices.is_empty() {
            let attach = Attach { user: self.key.user.clone(), session, origin: origin(&self.key) };
            let outbox: Arc<dyn Outbox> = self.outbox.clone();
            let partitions = self.shared.pipeline.partitions().iter();
            state.devices = partitions
                .map(|partition| partition.attach(attach.clone(), outbox.clone()))
                .collect();
        }
        state.devices.get(usize::from(no.0)).copied()
    }

    /// Submits a subscription to the partitions it concerns; gives how many those are.
    fn subscribe_in_partitions(
        self: &Arc<Self>,
        filter: &Filter,
        wanted: &Wanted<'_>,
        reply: impl Fn(PartitionNo) -> crate::partition::Reply,
    ) -> usize {
        let Some((kind, chat)) = kind_of(filter) else { return 0 };
        let now = self.shared.now_ms();
        let live = wanted.options.qos == 0;
        let session = self.cursor_session().filter(|_| !live);
        let mut asked = 0;
        for partition in self.shared.pipeline.partitions() {
            let no = partition.no();
            if chat.is_some_and(|chat| self.shared.of_chat(chat).no() != no) {
                continue;
            }
            let Some(device) = self.device(no) else { continue };
            let ticks = wanted.ticks.as_ref();
            let command = Subscribe {
                user: self.key.user.clone(),
                session: session.clone(),
                kind,
                chat: chat.cloned(),
                live,
                resumed: ticks.and_then(|ticks| ticks.get(usize::from(no.0)).copied()),
            };
            let inflight = inflight_in(no, wanted.inflight);
            let subscriber = Subscriber { device, options: wanted.options, inflight };
            partition.subscribe(command, now, subscriber, reply(no));
            asked += 1;
        }
        asked
    }

    /// All partitions have decided a subscription: stores it with the session and answers.
    fn subscribed(&self, token: Token, saved: SavedSubscription, result: Result<(), Reason>) {
        let qos = saved.qos;
        let answer = move |reason| HostEvent::Subscribed { token, reason };
        if let Err(reason) = result {
            self.line.host(answer(reason));
            return;
        }
        let mut state = self.state.lock();
        if state.closed {
            return;
        }
        state.subscriptions.retain(|had| had.filter != saved.filter);
        state.subscriptions.push(saved);
        self.save(&state, move |stored| match stored {
            true => answer(Reason(qos)),
            false => HostEvent::Close(Reason::SERVER_UNAVAILABLE),
        });
    }

    fn record(&self, state: &State) -> Option<SavedSession> {
        state.persistent.then(|| SavedSession {
            epoch: state.epoch,
            expiry_s: self.expiry_s,
            disconnected_at_ms: None,
            subscriptions: state.subscriptions.clone(),
        })
    }

    /// Stores the session's record, if it has one, and then answers. Called with the state
    /// locked, so that records are stored in the order they were made.
    fn save(&self, state: &State, answer: impl FnOnce(bool) -> HostEvent + Send + 'static) {
        let Some(session) = self.record(state) else {
            self.line.host(answer(true));
            return;
        };
        let line = self.line.clone();
        let command = Command::SaveSession { key: self.key.clone(), session };
        let reply = move |outcome: Result<Outcome, Unavailable>| {
            line.host(answer(outcome.is_ok()));
        };
        let partition = self.shared.of_user(&self.key.user);
        partition.submit(command, self.shared.now_ms(), Some(Box::new(reply)));
    }

    fn delivery(&self, partition: PartitionNo, given: Given, now: u64) -> Delivery {
        let part = u64::from(partition.0) * 2;
        match given {
            Given::Message { no, chat, from, entry, after, qos } => {
                let outgoing = Outgoing { chat: &chat, from: &from, entry: &entry, after };
                Delivery {
                    id: DeliveryId(part, no.0, entry.seq.0),
                    qos: QoS::from_bits(qos).unwrap_or(QoS::AtMostOnce),
                    message: outgoing.message(self.max_packet_bytes, now),
                }
            }
            Given::Receipt { no, chat, of, marks, version, qos } => Delivery {
                id: DeliveryId(part + 1, no.0, version),
                qos: QoS::from_bits(qos).unwrap_or(QoS::AtMostOnce),
                message: encode::receipt(&chat, &of, &marks),
            },
        }
    }

    /// A delivery again, from the store; `None`: it is not to be delivered any more. Blocks.
    fn fetch_one(&self, id: DeliveryId) -> Option<Delivery> {
        let (no, acked) = parse_id(id)?;
        // A receipt is told anew, as the watermarks stand then.
        let Acked::Message(chat_no, seq) = acked else { return None };
        let store = self.shared.store();
        let chat = store.chat(no, chat_no).ok()??;
        let index = chat.member_index(&self.key.user)?;
        let member = chat.member(index)?;
        let (now, without) = (self.shared.now_ms(), self.without());
        let read =
            |from, to| store.entries(no, chat_no, from, to, REFETCH_LOOKBACK + 1, usize::MAX);
        let is_mine = |entry: &Entry| is_for(entry, index, member, without, now);
        let mut entries = read(Seq(seq.0.saturating_sub(1)), seq).ok()?;
        let entry = entries.pop().filter(|entry| entry.seq == seq && is_mine(entry))?;
        // The first attempt may not have arrived: the hole before it is explained again.
        let mut after = None;
        let start = member.place_before(seq);
        if seq > start.next() && !entries.last().is_some_and(|before| is_mine(before)) {
            let from = Seq(seq.0.saturating_sub(REFETCH_LOOKBACK as u64));
            let before = read(from, Seq(seq.0 - 1)).ok()?;
            let last = before.iter().rev().find(|entry| is_mine(entry)).map(|entry| entry.seq);
            after = Some(last.unwrap_or(start));
        }
        let from = chat.member(entry.author)?.user.clone();
        let given =
            Given::Message { no: chat_no, chat: chat.id.clone(), from, entry, after, qos: 1 };
        Some(self.delivery(no, given, now))
    }

    /// The device's origin, if it does not want what it sent itself.
    fn without(&self) -> Option<u32> {
        let state = self.state.lock();
        let mut messages = state
            .subscriptions
            .iter()
            .filter(|saved| matches!(Filter::parse(&saved.filter), Ok(Filter::Messages(_))));
        messages.all(|saved| saved.no_local).then(|| origin(&self.key))
    }
}

struct Wanted<'a> {
    options: Options,
    /// The session had it before: its ticks by partition.
    ticks: Option<Vec<u64>>,
    inflight: &'a [DeliveryId],
}

/// Collects the partitions' answers to one subscription.
struct Gather {
    left: usize,
    saved: Option<SavedSubscription>,
    result: Result<(), Reason>,
}

impl HostSession for ChatSession {
    fn publish(&mut self, publish: HostPublish) {
        self.inner.publish(publish);
    }

    fn subscribe(
        &mut self,
        token: Token,
        request: &FilterRequest,
        subscription_id: Option<u32>,
        renewed: bool,
    ) {
        let inner = &self.inner;
        let refuse = |reason| {
            inner.line.host(HostEvent::Subscribed { token, reason });
        };
        let filter = match Filter::parse(&request.filter) {
            Ok(filter) if is_served(&filter) => filter,
            // Whether it is no form of ours or names what is not the user's: the same answer.
            _ => return refuse(Reason::NOT_AUTHORIZED),
        };
        let partitions = inner.shared.pipeline.partitions().len();
        let had = inner
            .state
            .lock()
            .subscriptions
            .iter()
            .find(|had| had.filter == request.filter)
            .filter(|had| renewed && (had.qos == 0) == (request.qos == QoS::AtMostOnce))
            .map(|had| had.ticks.clone());
        let saved = SavedSubscription {
            filter: request.filter.clone(),
            qos: request.qos as u8,
            no_local: request.no_local,
            id: subscription_id,
            ticks: had.clone().unwrap_or_else(|| vec![0; partitions]),
        };
        if kind_of(&filter).is_none() {
            inner.subscribed(token, saved, Ok(()));
            return;
        }
        let gather =
            Gather { left: expected(&filter, partitions), saved: Some(saved), result: Ok(()) };
        let gather = Arc::new(Mutex::new(gather));
        let wanted = Wanted {
            options: Options { qos: request.qos as u8, no_local: request.no_local },
            ticks: had,
            inflight: &[],
        };
        inner.subscribe_in_partitions(&filter, &wanted, |no| {
            let (gather, inner) = (gather.clone(), inner.clone());
            Box::new(move |outcome: Result<Outcome, Unavailable>| {
                let mut gather = gather.lock();
                gather.note(no, &outcome);
                if gather.left == 0
                    && let Some(saved) = gather.saved.take()
                {
                    inner.subscribed(token, saved, gather.result);
                }
            })
        });
    }

    fn unsubscribe(&mut self, token: Token, filter: &str) {
        let inner = &self.inner;
        let mut state = inner.state.lock();
        state.subscriptions.retain(|had| *had.filter != *filter);
        inner.save(&state, move |stored| match stored {
            true => HostEvent::Unsubscribed { token, reason: Reason::SUCCESS },
            false => HostEvent::Close(Reason::SERVER_UNAVAILABLE),
        });
        drop(state);
        if let Ok(filter) = Filter::parse(filter)
            && let Some((kind, chat)) = kind_of(&filter)
        {
            inner.unsubscribe(kind, chat);
        }
    }

    fn pull(&mut self, room: Room) -> Vec<Delivery> {
        let inner = &self.inner;
        let now = inner.shared.now_ms();
        let devices = inner.state.lock().devices.clone();
        let mut deliveries = Vec::new();
        let mut bytes = 0;
        for (partition, device) in inner.shared.pipeline.partitions().iter().zip(devices) {
            let no = partition.no();
            let messages_left = room.messages - deliveries.len();
            let bytes_left = room.bytes.saturating_sub(bytes);
            if !inner.outbox.take(no) {
                continue;
            }
            if messages_left == 0 || bytes_left == 0 {
                inner.outbox.news(no);
                continue;
            }
            let given = partition.pull(device, messages_left, bytes_left, now);
            let before = bytes;
            for given in &given {
                if let Given::Message { entry, .. } = given {
                    bytes += entry.body.len();
                }
            }
            if given.len() == messages_left || bytes - before >= bytes_left {
                inner.outbox.news(no);
            }
            deliveries.extend(given.into_iter().map(|given| inner.delivery(no, given, now)));
        }
        deliveries
    }

    fn acked(&mut self, ids: &[DeliveryId]) {
        let inner = &self.inner;
        let now = inner.shared.now_ms();
        let devices = inner.state.lock().devices.clone();
        for (partition, device) in inner.shared.pipeline.partitions().iter().zip(devices) {
            let mine = ids.iter().filter_map(|id| parse_id(*id));
            let mine = mine.filter(|(no, _)| *no == partition.no());
            let mine: Vec<Acked> = mine.map(|(_, acked)| acked).collect();
            if !mine.is_empty() {
                partition.acked(device, &mine, now);
            }
        }
    }

    fn fetch(&mut self, ids: &[DeliveryId]) {
        let inner = self.inner.clone();
        let ids = ids.to_vec();
        let job = move || {
            let found = ids
                .into_iter()
                .map(|id| (id, inner.fetch_one(id).map(|delivery| delivery.message)));
            inner.line.host(HostEvent::Fetched(found.collect()));
        };
        self.inner.shared.reads.run(Box::new(job));
    }

    fn close(&mut self, lives_on: bool) {
        let inner = &self.inner;
        let now = inner.shared.now_ms();
        let mut state = inner.state.lock();
        state.closed = true;
        let devices = std::mem::take(&mut state.devices);
        for (partition, device) in inner.shared.pipeline.partitions().iter().zip(devices) {
            partition.detach(device);
        }
        let key = inner.key.clone();
        let command = match inner.record(&state) {
            Some(session) if lives_on => {
                let session = SavedSession { disconnected_at_ms: Some(now), ..session };
                Command::SaveSession { key, session }
            }
            Some(_) => Command::DropSession { key },
            None => return,
        };
        inner.shared.of_user(&inner.key.user).submit(command, now, None);
    }
}

impl Inner {
    fn unsubscribe(self: &Arc<Self>, kind: SubscriptionKind, chat: Option<&ChatId>) {
        let session = self.cursor_session();
        let now = self.shared.now_ms();
        for partition in self.shared.pipeline.partitions() {
            let no = partition.no();
            if chat.is_some_and(|chat| self.shared.of_chat(chat).no() != no) {
                continue;
            }
            let Some(device) = self.device(no) else { continue };
            partition.unsubscribe(device, kind, chat);
            if let Some(session) = session.clone() {
                let command = Command::Unsubscribe(Unsubscribe {
                    user: self.key.user.clone(),
                    session,
                    kind,
                    chat: chat.cloned(),
                });
                partition.submit(command, now, None);
            }
        }
    }
}

impl Gather {
    fn note(&mut self, no: PartitionNo, outcome: &Result<Outcome, Unavailable>) {
        self.left -= 1;
        match outcome {
            Ok(Outcome::Subscribed { tick, .. }) => {
                let ticks = self.saved.as_mut().map(|saved| &mut saved.ticks);
                if let Some(slot) = ticks.and_then(|ticks| ticks.get_mut(usize::from(no.0))) {
                    *slot = *tick;
                }
            }
            Ok(_) => self.result = Err(Reason::NOT_AUTHORIZED),
            Err(Unavailable) => self.result = Err(Reason::UNSPECIFIED),
        }
    }
}

/// What a filter is for in terms of chats; `None`: it is for the session's own notices.
fn kind_of(filter: &Filter) -> Option<(SubscriptionKind, Option<&ChatId>)> {
    let (kind, scope) = match filter {
        Filter::Messages(scope) => (SubscriptionKind::Messages, scope),
        Filter::Receipts(scope) => (SubscriptionKind::Receipts, scope),
        Filter::Acks
        | Filter::Errors
        | Filter::Replies(_)
        | Filter::Presence(_)
        | Filter::Typing(_) => return None,
    };
    match scope {
        Scope::All => Some((kind, None)),
        Scope::Chat(chat) => Some((kind, Some(chat))),
    }
}

/// Whether there is anything behind a filter yet.
fn is_served(filter: &Filter) -> bool {
    !matches!(filter, Filter::Presence(_) | Filter::Typing(_))
}

/// How many partitions answer a subscription.
fn expected(filter: &Filter, partitions: usize) -> usize {
    match kind_of(filter) {
        Some((_, Some(_))) => 1,
        _ => partitions,
    }
}

/// A delivery's id taken apart.
fn parse_id(id: DeliveryId) -> Option<(PartitionNo, Acked)> {
    let DeliveryId(part, chat, number) = id;
    let no = PartitionNo(u16::try_from(part / 2).ok()?);
    let acked = match part % 2 {
        0 => Acked::Message(ChatNo(chat), Seq(number)),
        _ => Acked::Receipt(ChatNo(chat), number),
    };
    Some((no, acked))
}

fn inflight_in(no: PartitionNo, ids: &[DeliveryId]) -> Vec<(ChatNo, Seq)> {
    let mine = ids.iter().filter_map(|id| match parse_id(*id)? {
        (of, Acked::Message(chat, seq)) if of == no => Some((chat, seq)),
        _ => None,
    });
    mine.collect()
}
