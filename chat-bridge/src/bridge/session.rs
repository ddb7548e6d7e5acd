//! The host's side of one session.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, OnceLock, Weak};

use bluetick_broker::host::{
    Delivery, DeliveryId, Ended, HostEvent, HostPublish, HostSession, Open, Room, Token,
};
use bluetick_broker::mailbox::Line;
use bluetick_broker::packet::{FilterRequest, Reason};
use parking_lot::Mutex;

use super::command::origin;
use super::differences::Told;
use super::filter::Wish;
use super::looker::Looker;
use super::open::Pending;
use super::outgoing::parse_id;
use super::people::Person;
use super::{Shared, open, session_key};
use crate::delivery::{Acked, Attach, DeviceKey, Form, Outbox};
use crate::engine::{
    DeviceId, Outcome, PartitionNo, SavedSession, SavedSubscription, SessionKey, SubscriptionKind,
};
use crate::partition::Unavailable;
use crate::store::StoreError;

/// How much is kept of what a client says that it is, characters.
const CLIENT_CHARS_MAX: usize = 64;

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
    /// What the client says that it is.
    pub(super) client: Arc<str>,
    pub(super) line: Line,
    /// Partitions with something to pull, a bit each: a server has at most 64.
    pub(super) news: AtomicU64,
    /// Its user, once the session is open.
    pub(super) person: OnceLock<Arc<Person>>,
    /// Set once it looks at who is there.
    pub(super) looker: OnceLock<Arc<Looker>>,
    /// The broker was told that it is open.
    pub(super) opened: AtomicBool,
    pub(super) state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    epoch: u64,
    /// Its record is in the store.
    recorded: bool,
    /// How long it was to be kept before this connection; 0: it is a new one.
    kept_expiry_s: u32,
    pub(super) subscriptions: Vec<SavedSubscription>,
    /// By partition, once it has subscribed to something. Shared with who pulls or acknowledges.
    devices: Arc<[DeviceKey]>,
    /// What an earlier connection was given and has not acknowledged; the broker sends it again.
    pub(super) inflight: Vec<DeliveryId>,
    /// What this connection was told as differences, once it was.
    pub(super) told: Option<Box<Told>>,
    pub(super) closed: bool,
}

/// What was found out when the session went on line.
pub(super) struct Opened {
    pub(super) epoch: u64,
    pub(super) recorded: bool,
    pub(super) kept_expiry_s: u32,
    pub(super) subscriptions: Vec<SavedSubscription>,
    pub(super) inflight: Vec<DeliveryId>,
    pub(super) person: Arc<Person>,
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
            return Self { inner: Inner::new(shared, key, &open, line) };
        };
        let inner = Inner::new(shared, key, &open, line);
        let job = {
            let inner = inner.clone();
            move || {
                open::run(&inner, &open, |opened, pending| inner.start(opened, pending));
            }
        };
        inner.shared.reads.run(Box::new(job));
        Self { inner }
    }
}

impl Inner {
    fn new(shared: Arc<Shared>, key: SessionKey, open: &Open, line: Line) -> Arc<Self> {
        Arc::new(Self {
            shared,
            mqtt5: open.mqtt5,
            max_packet_bytes: open.max_packet_bytes,
            expiry_s: open.expiry_s,
            client: client(open),
            news: AtomicU64::new(0),
            key,
            line,
            person: OnceLock::new(),
            looker: OnceLock::new(),
            opened: AtomicBool::new(false),
            state: Mutex::default(),
        })
    }

    /// The session is known: takes its subscriptions up again.
    fn start(self: &Arc<Self>, opened: Opened, pending: &Pending) {
        let person = self.person.get_or_init(|| opened.person);
        self.arrive(person);
        if self.state.lock().closed {
            // It was over before it had begun: nobody else would say that it is gone.
            return self.depart(Ended { expiry_s: self.expiry_s, goodbye: false, silent_ms: 0 });
        }
        {
            let mut state = self.state.lock();
            state.epoch = opened.epoch;
            state.recorded = opened.recorded;
            state.kept_expiry_s = opened.kept_expiry_s;
            state.subscriptions = opened.subscriptions.clone();
            state.inflight = opened.inflight.clone();
        }
        self.take_up(&opened.subscriptions, &opened.inflight, pending);
    }

    /// Whether the session wants its notices on this topic.
    pub(super) fn subscribed_to_notices(&self, topic: &str) -> bool {
        self.state.lock().subscriptions.iter().any(|had| *had.filter == *topic)
    }

    pub(super) fn epoch(&self) -> u64 {
        self.state.lock().epoch
    }

    /// The session, where it keeps cursors that outlive the connection.
    pub(super) fn cursor_session(&self) -> Option<(DeviceId, u64)> {
        let state = self.state.lock();
        state.recorded.then(|| (self.key.device.clone(), state.epoch))
    }

    pub(super) fn device(self: &Arc<Self>, no: PartitionNo) -> Option<DeviceKey> {
        let session = self.cursor_session();
        let mut state = self.state.lock();
        if state.closed {
            return None;
        }
        if state.devices.is_empty() {
            let reads = self.person.get().is_none_or(|person| !person.hides_reading());
            let user = self.key.user.clone();
            let attach = Attach { user, session, origin: origin(&self.key), reads };
            let this = Arc::downgrade(self);
            let outbox: Weak<dyn Outbox> = this;
            let partitions = self.shared.pipeline.partitions().iter();
            state.devices = partitions
                .map(|partition| partition.attach(attach.clone(), outbox.clone()))
                .collect();
        }
        state.devices.get(usize::from(no.0)).copied()
    }

    fn record(&self, state: &State) -> Option<SavedSession> {
        state.recorded.then(|| SavedSession {
            epoch: state.epoch,
            expiry_s: self.expiry_s,
            disconnected_at_ms: None,
            last_seen_ms: self.shared.now_ms(),
            client: self.client.to_string(),
            subscriptions: state.subscriptions.clone(),
        })
    }

    /// Stores the session's record, if it has one, and then goes on. Called with the state
    /// locked, so that records are stored in the order they were made.
    pub(super) fn save(&self, state: &State, then: impl FnOnce(bool) + Send + 'static) {
        let Some(session) = self.record(state) else { return then(true) };
        let reply = move |outcome: Result<Outcome, Unavailable>| then(outcome.is_ok());
        self.shared.put_session_record(self.key.clone(), Some(session), Some(Box::new(reply)));
    }

    /// How messages are delivered again: without those of this origin, if the device does not
    /// want what it sent itself, and in which form.
    pub(super) fn refetching(&self) -> (Option<u32>, Form) {
        let state = self.state.lock();
        let mut of_messages = Vec::new();
        for saved in &state.subscriptions {
            if let Some(Wish::Chats { kind: SubscriptionKind::Messages, form, .. }) =
                Wish::parse(&saved.filter)
            {
                of_messages.push((saved.no_local, form));
            }
        }
        // Without any, the connection ended before its subscription was granted: as most want it.
        let some = !of_messages.is_empty();
        let no_local = some && of_messages.iter().all(|(no_local, _)| *no_local);
        let form = of_messages.iter().map(|(_, form)| *form).min().unwrap_or(Form::Json);
        (no_local.then(|| origin(&self.key)), form)
    }
}

/// What a client says that it is: a name, if it gave one, and the protocol.
fn client(open: &Open) -> Arc<str> {
    // Most say nothing: then all share the text.
    static PROTOCOLS: LazyLock<[Arc<str>; 2]> =
        LazyLock::new(|| ["MQTT 3.1.1".into(), "MQTT 5".into()]);
    let protocol = &PROTOCOLS[usize::from(open.mqtt5)];
    let said = open.client.as_deref().unwrap_or_default();
    let said: String = said.chars().filter(|c| !c.is_control()).take(CLIENT_CHARS_MAX).collect();
    if said.is_empty() { protocol.clone() } else { format!("{said}, {protocol}").into() }
}

impl State {
    /// By partition; none if it has not subscribed to anything.
    pub(super) fn devices(&self) -> &[DeviceKey] {
        &self.devices
    }
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
        self.inner.subscribe(token, request, subscription_id, renewed);
    }

    fn unsubscribe(&mut self, token: Token, filter: &str) {
        self.inner.unsubscribe(token, filter);
    }

    fn pull(&mut self, room: Room) -> Vec<Delivery> {
        let inner = &self.inner;
        let now = inner.shared.now_ms();
        let devices = inner.state.lock().devices.clone();
        let mut deliveries = Vec::new();
        let mut bytes = 0;
        for (partition, device) in inner.shared.pipeline.partitions().iter().zip(&*devices) {
            let no = partition.no();
            let messages_left = room.messages - deliveries.len();
            let bytes_left = room.bytes.saturating_sub(bytes);
            if !inner.take_news(no) {
                continue;
            }
            if messages_left == 0 || bytes_left == 0 {
                inner.news(no);
                continue;
            }
            let given = partition.pull(*device, messages_left, bytes_left, now);
            let before = bytes;
            for given in &given {
                bytes += given.body_bytes();
            }
            if given.len() == messages_left || bytes - before >= bytes_left {
                inner.news(no);
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
            if let Some(told) = &mut state.told {
                told.acked(ids);
            }
            state.devices.clone()
        };
        for (partition, device) in inner.shared.pipeline.partitions().iter().zip(&*devices) {
            let mine = ids.iter().filter_map(|id| parse_id(*id));
            let mine = mine.filter(|(no, _)| *no == partition.no());
            let mine: Vec<Acked> = mine.map(|(_, acked)| acked).collect();
            if !mine.is_empty() {
                partition.acked(*device, &mine, now);
            }
        }
    }

    fn fetch(&mut self, ids: &[DeliveryId]) {
        let inner = self.inner.clone();
        let ids = ids.to_vec();
        let job = move || {
            let found = ids.into_iter().map(|id| Ok((id, inner.fetch_one(id)?)));
            match found.collect::<Result<Vec<_>, StoreError>>() {
                Ok(found) => inner.line.host(HostEvent::Fetched(found)),
                Err(error) => {
                    // It is all still there for the next connection.
                    tracing::error!(%error, "the store cannot be read");
                    inner.line.host(HostEvent::Close(Reason::SERVER_UNAVAILABLE));
                }
            }
        };
        self.inner.shared.reads.run(Box::new(job));
    }

    fn close(&mut self, ended: Ended) {
        let inner = &self.inner;
        let now = inner.shared.now_ms();
        let mut state = inner.state.lock();
        state.closed = true;
        inner.depart(ended);
        let devices = std::mem::take(&mut state.devices);
        for (partition, device) in inner.shared.pipeline.partitions().iter().zip(&*devices) {
            partition.detach(*device);
        }
        let key = inner.key.clone();
        // One that could not be opened is kept as it was: the broker may not even know that it is.
        let expiry_s = match inner.opened.load(Ordering::Acquire) {
            true => ended.expiry_s,
            false => state.kept_expiry_s,
        };
        let record = match inner.record(&state) {
            Some(session) if expiry_s > 0 => {
                let silent_ms = if ended.goodbye { 0 } else { ended.silent_ms };
                Some(SavedSession {
                    expiry_s,
                    disconnected_at_ms: Some(now),
                    last_seen_ms: now.saturating_sub(silent_ms),
                    ..session
                })
            }
            Some(session) => {
                inner.shared.forget_device(&key, Some(session.epoch));
                None
            }
            None => return,
        };
        inner.shared.put_session_record(key, record, None);
    }
}
