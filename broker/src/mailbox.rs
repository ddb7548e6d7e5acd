//! What others have for a session: the host's answers, plain messages, and word from the broker.
//!
//! A mailbox lives as long as its session, on line or off. Anybody may put something in, never
//! blocking; the connection is woken and takes what it has room for. The host's answers need no
//! bound here: each answers something that the session asked, and the session bounds those. Plain
//! messages are queued here within the bounds of `Queues` (`queue.rs`).

use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use crate::host::{HostEvent, Token};
use crate::keep::SessionRef;
use crate::message::Message;
use crate::packet::{QoS, Reason};
use crate::queue::{Offered, Queue, Queues};

pub use crate::queue::Weight;

/// Where others leave things for a session.
#[derive(Debug)]
pub struct Mailbox {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    post: Post,
    queue: Queue,
    /// Which connection of the session it is: answers to an earlier one are void.
    line: u64,
    online: bool,
    /// Something was put in since the last wait.
    woken: bool,
    /// Of the connection, while it waits.
    waker: Option<Waker>,
}

/// What is not in the queue.
#[derive(Debug, Default)]
struct Post {
    events: Vec<HostEvent>,
    words: Vec<Word>,
    stop: Option<Stop>,
    news: bool,
}

impl Inner {
    /// Something was put in: gives whom to wake, once nothing is locked.
    fn wake(&mut self) -> Option<Waker> {
        self.woken = true;
        self.waker.take()
    }
}

/// The host's way to one connection: what is put in after that connection has ended is dropped.
#[derive(Debug, Clone)]
pub struct Line {
    mailbox: Arc<Mailbox>,
    no: u64,
}

impl Line {
    /// An answer or word of the host.
    pub fn host(&self, event: HostEvent) {
        self.put(|post| match event {
            HostEvent::News => !std::mem::replace(&mut post.news, true),
            event => {
                post.events.push(event);
                true
            }
        });
    }

    /// Word of what is kept.
    pub(crate) fn kept(&self, word: Word) {
        self.put(|post| {
            post.words.push(word);
            true
        });
    }

    fn put(&self, put: impl FnOnce(&mut Post) -> bool) {
        self.mailbox.put(|inner| inner.line == self.no && put(&mut inner.post));
    }
}

/// What was in a mailbox.
#[derive(Debug, Default)]
pub struct Mail {
    /// The host's answers, in order. [`HostEvent::News`] is not among them.
    pub events: Vec<HostEvent>,
    /// The host has something to pull.
    pub news: bool,
    /// What has become durable, in order.
    pub(crate) words: Vec<Word>,
    /// Messages of plain topics, in order.
    pub plain: VecDeque<PlainDelivery>,
    /// How many messages of plain topics are still in it, for want of room.
    pub plain_left: usize,
    /// And the next of them is not being stored: more room is all it needs.
    pub plain_ready: bool,
    /// Subscriptions are still being given what is retained.
    pub(crate) retained: bool,
    /// The broker wants the connection to end.
    pub stop: Option<Stop>,
}

/// What has become durable that a session waits for.
#[derive(Debug)]
pub(crate) enum Word {
    /// A publish to a plain topic is done with.
    Published(Token, Reason),
    /// A subscription to a plain topic; the retained messages of its filter follow if asked for.
    Subscribed(Token, QoS),
    /// The end of one.
    Unsubscribed(Token),
    /// That the client has a message at QoS 2: by the message's number.
    Released(u64),
    /// That the client has released this packet id.
    Unreceived(u16),
    /// Nothing can be kept at the moment.
    Failed,
}

/// A message of a plain topic for one session.
#[derive(Debug, Clone)]
pub struct PlainDelivery {
    /// What.
    pub message: Arc<Message>,
    /// The granted QoS or the publisher's, whichever is lower.
    pub qos: QoS,
    /// Whether to send the retain flag.
    pub retain: bool,
    /// Of the subscriptions that matched.
    pub subscription_ids: Vec<u32>,
    /// Its number in the session, from 1 on; 0: it has none and is never kept.
    pub seq: u64,
    /// It is on stable storage until the client is done with it.
    pub kept: bool,
    /// The packet id it is always sent with; 0: any.
    pub packet_id: u16,
    /// It may have been sent before the server was restarted.
    pub dup: bool,
    /// The shared subscription that it came by, whole.
    pub share: Option<Arc<str>>,
    /// That it takes room among those that wait for their sessions.
    pub weight: Weight,
}

impl PlainDelivery {
    /// A message that has no number and belongs to no share.
    #[must_use]
    pub fn new(message: Arc<Message>, qos: QoS) -> Self {
        Self {
            message,
            qos,
            retain: false,
            subscription_ids: Vec::new(),
            seq: 0,
            kept: false,
            packet_id: 0,
            dup: false,
            share: None,
            weight: Weight::default(),
        }
    }
}

/// Why the broker wants a connection to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Another connection of the same session: hand the session over.
    TakenOver,
    /// For this reason, and the session ends with it.
    Ended(Reason),
    /// For this reason.
    Reason(Reason),
}

/// How well a session can take one more message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Readiness {
    /// It is on line and nothing waits.
    Idle,
    /// It is on line and so many wait.
    Busy(usize),
    /// It is off line and has room; so many wait.
    Offline(usize),
    /// It would be dropped.
    Full,
}

impl Mailbox {
    /// A mailbox whose queue has the bounds of `queues`.
    pub(crate) fn new(queues: Arc<Queues>) -> Self {
        Self {
            inner: Mutex::new(Inner {
                post: Post::default(),
                queue: Queue::new(queues),
                line: 0,
                online: true,
                woken: false,
                waker: None,
            }),
        }
    }

    /// Puts something in, and wakes the connection if `put` says that it is to know.
    fn put(&self, put: impl FnOnce(&mut Inner) -> bool) {
        let waker = {
            let inner = &mut *self.inner.lock();
            if put(inner) { inner.wake() } else { None }
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Puts back what was taken too early.
    pub(crate) fn put_back(&self, early: Mail) {
        self.put(|inner| {
            let post = &mut inner.post;
            post.events.extend(early.events);
            post.words.extend(early.words);
            post.news |= early.news;
            if let Some(stop) = early.stop {
                post.stop.get_or_insert(stop);
            }
            true
        });
    }

    /// A message of a plain topic; says what is to be done for it.
    pub(crate) fn offer(&self, delivery: PlainDelivery) -> Offered {
        let (offered, waker) = {
            let inner = &mut *self.inner.lock();
            // A message at QoS 0 is for those who are there (MQTT 5 §4.3.1 leaves it to us).
            if !inner.online && delivery.qos == QoS::AtMostOnce {
                return Offered::Taken;
            }
            let offered = inner.queue.offer(delivery, inner.online);
            let taken = matches!(offered, Offered::Taken);
            (offered, if taken { inner.wake() } else { None })
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        offered
    }

    /// A retained message, of which few are queued at a time: the bounds of the queue are for others.
    pub(crate) fn offer_ahead(&self, delivery: PlainDelivery) -> Offered {
        let inner = &mut *self.inner.lock();
        inner.queue.offer_ahead(delivery, inner.online)
    }

    /// A message that was to be kept is, or is not and is taken out.
    pub(crate) fn settle(&self, seq: u64, kept: bool) {
        self.put(|inner| {
            inner.queue.settle(seq, kept);
            true
        });
    }

    /// Asks the connection to end.
    pub fn stop(&self, stop: Stop) {
        self.put(|inner| {
            inner.post.stop.get_or_insert(stop);
            true
        });
    }

    /// The connection has ended by itself: whoever has asked it to is content, and the next one is not
    /// meant.
    pub(crate) fn forget_stop(&self) {
        self.inner.lock().post.stop = None;
    }

    /// Takes all there is, but of plain messages only as many as there is room for: in messages, and
    /// in bytes, which the last of them may exceed.
    pub(crate) fn take(&self, plain_room: usize, bytes: usize) -> Mail {
        let inner = &mut *self.inner.lock();
        let Post { events, words, stop, news } = std::mem::take(&mut inner.post);
        let plain = inner.queue.take(plain_room, bytes);
        let (plain_left, plain_ready) = (inner.queue.len(), inner.queue.is_ready());
        let retained = inner.queue.has_cursors();
        Mail { events, news, words, plain, plain_left, plain_ready, retained, stop }
    }

    /// The session goes off line: answers to the connection that ended are void, and messages at
    /// QoS 0 are no longer kept.
    pub(crate) fn set_offline(&self) {
        let inner = &mut *self.inner.lock();
        inner.online = false;
        inner.line += 1;
        // It keeps the memory of the connection's task.
        inner.waker = None;
        inner.post = Post::default();
        inner.queue.drop_qos0();
    }

    /// Throws away all there is.
    pub(crate) fn clear(&self) {
        let inner = &mut *self.inner.lock();
        inner.post = Post::default();
        inner.queue.clear();
    }

    /// A connection takes the mailbox: gives the host's way to it.
    pub(crate) fn set_online(self: &Arc<Self>) -> Line {
        let inner = &mut *self.inner.lock();
        inner.online = true;
        inner.line += 1;
        Line { mailbox: self.clone(), no: inner.line }
    }

    /// From now on messages are kept for this session; `None`: for none.
    pub(crate) fn keep_for(&self, of: Option<SessionRef>) {
        self.inner.lock().queue.keep_for(of.map(Arc::new));
    }

    pub(crate) fn is_online(&self) -> bool {
        self.inner.lock().online
    }

    /// How well it can take a message of this size and level.
    pub(crate) fn readiness(&self, bytes: usize, qos: QoS) -> Readiness {
        let inner = self.inner.lock();
        let waiting = inner.queue.len();
        match inner.online {
            false if qos == QoS::AtMostOnce => Readiness::Full,
            _ if !inner.queue.has_room(bytes) => Readiness::Full,
            false => Readiness::Offline(waiting),
            true if waiting == 0 => Readiness::Idle,
            true => Readiness::Busy(waiting),
        }
    }

    /// Works on the queue.
    pub(crate) fn with_queue<T>(&self, work: impl FnOnce(&mut Queue) -> T) -> T {
        work(&mut self.inner.lock().queue)
    }

    /// Wakes the connection.
    pub(crate) fn wake(&self) {
        self.put(|_| true);
    }

    /// Waits until something was put in since the last wait. For one connection at a time: of several
    /// who wait, the last is woken.
    ///
    /// # Cancel safety
    /// Nothing is lost: what was put in stays, and the next call returns at once.
    pub async fn wait(&self) {
        poll_fn(|context| self.poll_wait(context)).await;
    }

    /// As [`Mailbox::wait`].
    pub(crate) fn poll_wait(&self, context: &mut Context<'_>) -> Poll<()> {
        let inner = &mut *self.inner.lock();
        if std::mem::take(&mut inner.woken) {
            return Poll::Ready(());
        }
        match &mut inner.waker {
            Some(waker) => waker.clone_from(context.waker()),
            None => inner.waker = Some(context.waker().clone()),
        }
        Poll::Pending
    }
}
