//! The host's side of one session.

use std::sync::Arc;

use bluetick_broker::host::{
    Delivery, DeliveryId, HostEvent, HostPublish, HostSession, Open, Room, Token,
};
use bluetick_broker::mailbox::Line;
use bluetick_broker::packet::{FilterRequest, QoS, Reason};
use bluetick_protocol::ChatId;
use parking_lot::Mutex;

use super::command::origin;
use super::filter::Wish;
use super::outbox::SessionOutbox;
use super::outgoing::{inflight_in, parse_id};
use super::{Shared, open, session_key};
use crate::delivery::{Acked, Attach, DeviceKey, Given, Options, Subscriber};
use crate::engine::{
    Command, DeviceId, Outcome, PartitionNo, SavedSession, SavedSubscription, SessionKey,
    Subscribe, SubscriptionKind, Unsubscribe,
};
use crate::partition::{Outbox, Unavailable};

/// One session that is on line.
pub struct ChatSession {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) shared: Arc<Shared>,
    pub(super) key: SessionKey,
    pub(super) mqtt5: bool,
    pub(super) max_packet_bytes: usize,
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
    /// What an earlier connection was given and has not acknowledged; the broker sends it again.
    inflight: Vec<DeliveryId>,
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
        let outbox = Arc::new(SessionOutbox::new(line.clone(), key.user.clone()));
        Self {
            shared,
            key,
            mqtt5: open.mqtt5,
            max_packet_bytes: open.max_packet_bytes,
            expiry_s: open.expiry_s,
            outbox,
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
            state.inflight = opened.inflight.clone();
        }
        for saved in &opened.subscriptions {
            let (kind, chat, compact) = match Wish::parse(&saved.filter) {
                Some(Wish::Chats { kind, chat, compact }) => (kind, chat, compact),
                Some(Wish::Typing { chat, compact }) => {
                    let inner = self.clone();
                    let job = move || {
                        if let Err(reason) = inner.watch_typing(chat.as_ref(), compact) {
                            tracing::debug!(?reason, "typing could not be taken up again");
                        }
                    };
                    self.shared.reads.run(Box::new(job));
                    continue;
                }
                Some(Wish::Notices) | None => continue,
            };
            let Some(qos) = QoS::from_bits(saved.qos) else { continue };
            let wanted = Wanted {
                kind,
                chat: chat.as_ref(),
                options: Options { qos: qos as u8, no_local: saved.no_local, compact },
                ticks: Some(saved.ticks.clone()),
                inflight: &opened.inflight,
            };
            self.subscribe_in_partitions(&wanted, |_| {
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

    /// Submits a subscription to the partitions it concerns.
    fn subscribe_in_partitions(
        self: &Arc<Self>,
        wanted: &Wanted<'_>,
        reply: impl Fn(PartitionNo) -> crate::partition::Reply,
    ) {
        let Wanted { kind, chat, .. } = *wanted;
        let now = self.shared.now_ms();
        let live = wanted.options.qos == 0;
        let session = self.cursor_session().filter(|_| !live);
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
        }
    }

    /// Has the device told who is typing, in one chat or all. Reads from the store: blocks.
    fn watch_typing(self: &Arc<Self>, chat: Option<&ChatId>, compact: bool) -> Result<(), Reason> {
        let Some(id) = chat else {
            for partition in self.shared.pipeline.partitions() {
                if let Some(device) = self.device(partition.no()) {
                    partition.watch_typing(device, None, compact);
                }
            }
            return Ok(());
        };
        let partition = self.shared.of_chat(id);
        let chat = self.shared.store().chat_by_name(partition.no(), id);
        let chat = chat.map_err(|_| Reason::UNSPECIFIED)?;
        let chat = chat.filter(|chat| chat.active_index(&self.key.user).is_some());
        let chat = chat.ok_or(Reason::NOT_AUTHORIZED)?;
        if let Some(device) = self.device(partition.no()) {
            partition.watch_typing(device, Some((chat.no, id.clone())), compact);
        }
        Ok(())
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

    /// How messages are delivered again: without those of this origin, if the device does not
    /// want what it sent itself, and in which dialect.
    pub(super) fn refetching(&self) -> (Option<u32>, bool) {
        let state = self.state.lock();
        let mut of_messages = Vec::new();
        for saved in &state.subscriptions {
            if let Some(Wish::Chats { kind: SubscriptionKind::Messages, compact, .. }) =
                Wish::parse(&saved.filter)
            {
                of_messages.push((saved.no_local, compact));
            }
        }
        // Without any, the connection ended before its subscription was granted: as most want it.
        let some = !of_messages.is_empty();
        let no_local = some && of_messages.iter().all(|(no_local, _)| *no_local);
        let compact = some && of_messages.iter().all(|(_, compact)| *compact);
        (no_local.then(|| origin(&self.key)), compact)
    }
}

struct Wanted<'a> {
    kind: SubscriptionKind,
    /// `None`: all.
    chat: Option<&'a ChatId>,
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
        // Whether it is no form of ours or names what is not the user's: the same answer.
        let Some(wish) = Wish::parse(&request.filter) else {
            return refuse(Reason::NOT_AUTHORIZED);
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
        let (kind, chat, compact) = match &wish {
            Wish::Chats { kind, chat, compact } => (kind, chat, compact),
            Wish::Typing { chat, compact } => {
                let (inner, chat, compact) = (inner.clone(), chat.clone(), *compact);
                let job = move || {
                    let result = inner.watch_typing(chat.as_ref(), compact);
                    inner.subscribed(token, saved, result);
                };
                self.inner.shared.reads.run(Box::new(job));
                return;
            }
            Wish::Notices => {
                inner.subscribed(token, saved, Ok(()));
                return;
            }
        };
        let left = if chat.is_some() { 1 } else { partitions };
        let gather = Gather { left, saved: Some(saved), result: Ok(()) };
        let gather = Arc::new(Mutex::new(gather));
        // Also where the subscription is new: the connection before may have ended after it was
        // given something and before the subscription was granted.
        let inflight = inner.state.lock().inflight.clone();
        let (qos, no_local) = (request.qos as u8, request.no_local);
        let wanted = Wanted {
            kind: *kind,
            chat: chat.as_ref(),
            options: Options { qos, no_local, compact: *compact },
            ticks: had,
            inflight: &inflight,
        };
        inner.subscribe_in_partitions(&wanted, |no| {
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
        match Wish::parse(filter) {
            Some(Wish::Chats { kind, chat, compact }) => {
                inner.unsubscribe(kind, chat.as_ref(), compact);
            }
            Some(Wish::Typing { chat, compact }) => {
                for partition in inner.shared.pipeline.partitions() {
                    if let Some(device) = inner.device(partition.no()) {
                        partition.unwatch_typing(device, chat.as_ref(), compact);
                    }
                }
            }
            Some(Wish::Notices) | None => {}
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
        let devices = {
            let mut state = inner.state.lock();
            state.inflight.retain(|id| !ids.contains(id));
            state.devices.clone()
        };
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
    fn unsubscribe(self: &Arc<Self>, kind: SubscriptionKind, chat: Option<&ChatId>, compact: bool) {
        // A cursor stays as long as another subscription needs it.
        let needed = {
            let state = self.state.lock();
            let mut others = state.subscriptions.iter();
            others.any(|had| Wish::parse(&had.filter).is_some_and(|had| had.overlaps(kind, chat)))
        };
        let session = self.cursor_session().filter(|_| !needed);
        let now = self.shared.now_ms();
        for partition in self.shared.pipeline.partitions() {
            let no = partition.no();
            if chat.is_some_and(|chat| self.shared.of_chat(chat).no() != no) {
                continue;
            }
            let Some(device) = self.device(no) else { continue };
            partition.unsubscribe(device, kind, chat, compact);
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
