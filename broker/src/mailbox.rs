//! What others have for a session: the host's answers, plain messages, and word from the broker.
//!
//! A mailbox lives as long as its session, on line or off. Anybody may put something in, never
//! blocking; the connection is woken and takes what it has room for. The host's answers need no
//! bound here: each answers something that the session asked, and the session bounds those. Plain
//! messages are queued here up to the session's queue limit; beyond it they are dropped and
//! counted.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::host::HostEvent;
use crate::message::Message;
use crate::packet::{QoS, Reason};

/// Where others leave things for a session.
#[derive(Debug)]
pub struct Mailbox {
    inner: Mutex<Inner>,
    wake: Notify,
    plain_max: usize,
}

#[derive(Debug, Default)]
struct Inner {
    mail: Mail,
    online: bool,
    /// Which connection of the session it is: answers to an earlier one are void.
    line: u64,
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
        {
            let inner = &mut *self.mailbox.inner.lock();
            if inner.line != self.no {
                return;
            }
            match event {
                HostEvent::News if inner.mail.news => return,
                HostEvent::News => inner.mail.news = true,
                event => inner.mail.events.push(event),
            }
        }
        self.mailbox.wake.notify_one();
    }
}

/// What was in a mailbox.
#[derive(Debug, Default)]
pub struct Mail {
    /// The host's answers, in order. [`HostEvent::News`] is not among them.
    pub events: Vec<HostEvent>,
    /// The host has something to pull.
    pub news: bool,
    /// Messages of plain topics, in order.
    pub plain: VecDeque<PlainDelivery>,
    /// How many messages of plain topics are still in it, for want of room.
    pub plain_left: usize,
    /// Plain messages that were dropped since the last look because the queue was full.
    pub dropped: u64,
    /// The broker wants the connection to end.
    pub stop: Option<Stop>,
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

impl Mailbox {
    /// A mailbox that holds up to `plain_max` messages of plain topics.
    #[must_use]
    pub fn new(plain_max: usize) -> Self {
        Self {
            inner: Mutex::new(Inner { online: true, ..Inner::default() }),
            wake: Notify::new(),
            plain_max,
        }
    }

    /// Puts back what was taken too early.
    pub(crate) fn put_back(&self, events: Vec<HostEvent>, news: bool) {
        {
            let mail = &mut self.inner.lock().mail;
            mail.events.extend(events);
            mail.news |= news;
        }
        self.wake.notify_one();
    }

    /// A message of a plain topic; `false`: the queue is full, it is dropped and counted.
    pub fn plain(&self, delivery: PlainDelivery) -> bool {
        let taken = {
            let inner = &mut *self.inner.lock();
            // A message at QoS 0 is for those who are there (MQTT 5 §4.3.1 leaves it to us).
            if !inner.online && delivery.qos == QoS::AtMostOnce {
                return true;
            }
            let mail = &mut inner.mail;
            let room = mail.plain.len() < self.plain_max;
            if room {
                mail.plain.push_back(delivery);
            } else {
                mail.dropped += 1;
            }
            room
        };
        self.wake.notify_one();
        taken
    }

    /// Asks the connection to end.
    pub fn stop(&self, stop: Stop) {
        self.inner.lock().mail.stop.get_or_insert(stop);
        self.wake.notify_one();
    }

    /// Takes all there is, but of plain messages only as many as there is room for.
    #[must_use]
    pub fn take(&self, plain_room: usize) -> Mail {
        let mail = &mut self.inner.lock().mail;
        let mut taken = std::mem::take(mail);
        if taken.plain.len() > plain_room {
            mail.plain = taken.plain.split_off(plain_room);
            taken.plain_left = mail.plain.len();
        }
        taken
    }

    /// The session goes off line: the host's answers to the connection that ended are void, and
    /// messages at QoS 0 are no longer kept.
    pub fn set_offline(&self) {
        let inner = &mut *self.inner.lock();
        inner.online = false;
        inner.line += 1;
        inner.mail.events = Vec::new();
        inner.mail.news = false;
        inner.mail.stop = None;
        inner.mail.plain.retain(|delivery| delivery.qos != QoS::AtMostOnce);
    }

    /// Throws away all there is.
    pub fn clear(&self) {
        self.inner.lock().mail = Mail::default();
    }

    /// A connection takes the mailbox: gives the host's way to it.
    #[must_use]
    pub fn set_online(self: &Arc<Self>) -> Line {
        let inner = &mut *self.inner.lock();
        inner.online = true;
        inner.line += 1;
        Line { mailbox: self.clone(), no: inner.line }
    }

    /// Waits until something was put in since the last wait.
    ///
    /// # Cancel safety
    /// Nothing is lost: what was put in stays, and the next call returns at once.
    pub async fn wait(&self) {
        self.wake.notified().await;
    }
}
