//! What the broker does for plain topics: publishing, subscribing, and keeping what outlives a
//! connection or the process.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::broker::Shared;
use crate::host::{Host, HostPublish, SessionKey, Token};
use crate::keep::{
    Change, Done, Kept, KeptAll, KeptDelivery, KeptMessage, KeptPlace, KeptRetained, KeptSession,
    KeptSubscription, NotKept, SessionRef,
};
use crate::mailbox::{Line, Mailbox, PlainDelivery, Weight, Word};
use crate::message::Message;
use crate::packet::{FilterRequest, QoS, Reason};
use crate::queue::{Offered, Ticket};
use crate::retained::{Cursor, Full, Held};
use crate::router::TooMany;
use crate::session::{EXPIRY_NEVER, MonotonicMs, Parked};
use crate::stats::Stats;

/// Retained messages that wait for a session at a time; the others stay where they are.
const RETAINED_AHEAD_MAX: usize = 64;

/// Who waits for a publish at QoS 1 or 2.
pub(crate) struct Asker {
    pub(crate) line: Line,
    pub(crate) token: Token,
    /// Whether he can be told that it is refused: not in 3.1.1.
    pub(crate) can_be_told: bool,
    /// His session, if it outlives the process, and the packet id: for QoS 2.
    pub(crate) receive: Option<(Receiver, u16)>,
}

/// A session that is kept.
pub(crate) struct Receiver {
    of: Arc<SessionRef>,
    mailbox: Arc<Mailbox>,
    expiry_s: u32,
}

impl Receiver {
    /// What is to be kept of the session itself, if it is not yet: to be committed before all else.
    fn record(&self) -> Option<Change> {
        let new = self.mailbox.with_queue(|queue| !std::mem::replace(&mut queue.recorded, true));
        let session = KeptSession { expiry_s: self.expiry_s, offline_since_ms: None };
        new.then(|| Change::Session((*self.of).clone(), session))
    }
}

/// How a subscription was made.
pub(crate) enum Subscribed {
    /// It is done with.
    Now,
    /// The asker is told by [`Word::Subscribed`] once it is stored.
    Later,
}

/// What became of a publish.
pub(crate) enum Published {
    /// It is done with.
    Now(Reason),
    /// The asker is told once it is stored; `received`: his packet id is stored, too.
    Later { received: bool },
}

impl<H: Host> Shared<H> {
    /// Publishes to a plain topic.
    pub(crate) fn publish_plain(
        &self,
        from: &SessionKey,
        publish: HostPublish,
        asker: Option<Asker>,
    ) -> Published {
        let qos = publish.qos;
        let retain = publish.retain;
        let message = Arc::new(publish.into_message().counted_from(self.now()));
        Stats::add(&self.stats.plain_in, 1);
        Stats::add(&self.stats.plain_bytes_in, message.payload().len() as u64);
        // Held until the changes are with the keeper: their order is that of the messages.
        let mut retained = retain.then(|| self.retained.lock());
        let mut changes = Vec::new();
        if let Some(retained) = &mut retained {
            let held = Held { message: message.clone(), qos, from: from.clone() };
            match retained.set(held, &self.limits) {
                Ok(()) if asker.is_some() && self.waits_for_store(qos) => {
                    changes.push(self.retain_change(retained.get(message.topic()), &message));
                }
                Ok(()) => self.unsaved.note(message.shared_topic().clone()),
                Err(Full) => {
                    Stats::add(&self.stats.retained_refused, 1);
                    if asker.as_ref().is_some_and(|asker| asker.can_be_told) {
                        return Published::Now(Reason::QUOTA_EXCEEDED);
                    }
                }
            }
        }
        let routed = self.router.publish(Some(from), &message, qos);
        if routed.dropped > 0 {
            Stats::add(&self.stats.plain_dropped, routed.dropped as u64);
            tracing::debug!(dropped = routed.dropped, "queues of plain topics are full");
        }
        let reason = match routed.receivers {
            0 => Reason::NO_MATCHING_SUBSCRIBERS,
            _ => Reason::SUCCESS,
        };
        changes.extend(routed.to_keep.iter().map(|(_, ticket)| self.queue_change(ticket)));
        let reaches_nobody = routed.receivers == 0 && changes.is_empty();
        let received = asker.as_ref().and_then(|asker| asker.receive.as_ref());
        let received = received.filter(|_| !reaches_nobody).map(|(receiver, packet_id)| {
            let of = &receiver.of;
            changes.splice(0..0, receiver.record());
            changes.push(Change::Receive((**of).clone(), *packet_id));
            ((**of).clone(), *packet_id)
        });
        if changes.is_empty() {
            return Published::Now(reason);
        }
        if !self.waits_for_store(qos) {
            for (mailbox, ticket) in &routed.to_keep {
                mailbox.settle(ticket.delivery.seq, true);
            }
            self.keeper.commit(changes, None);
            return Published::Now(reason);
        }
        let later = Published::Later { received: received.is_some() };
        let topic = retain.then(|| message.shared_topic().clone());
        let answer = asker.map(|asker| (asker.line, asker.token, reason));
        let undo = received.map(|(of, packet_id)| Change::Unreceive(of, packet_id));
        let done = self.settled(routed.to_keep, undo, topic, answer);
        self.keeper.commit(changes, Some(done));
        later
    }

    /// Whether a publish is acknowledged only when it is stored, if it has to be.
    fn waits_for_store(&self, qos: QoS) -> bool {
        match qos {
            QoS::AtMostOnce => false,
            QoS::AtLeastOnce => self.limits.puback_after_store,
            QoS::ExactlyOnce => true,
        }
    }

    /// Lets messages go on their way once they are kept, or takes everything back.
    fn settled(
        &self,
        to_keep: Vec<(Arc<Mailbox>, Ticket)>,
        undo: Option<Change>,
        topic: Option<Arc<str>>,
        answer: Option<(Line, Token, Reason)>,
    ) -> Done {
        let (keeper, unsaved) = (self.keeper.clone(), self.unsaved.clone());
        let stats = self.stats.clone();
        Box::new(move |kept| {
            for (mailbox, ticket) in &to_keep {
                mailbox.settle(ticket.delivery.seq, kept.is_ok());
            }
            if let Err(NotKept { tried }) = kept {
                Stats::add(&stats.plain_unstored, 1);
                let unqueue = to_keep
                    .iter()
                    .map(|(_, ticket)| Change::Unqueue((*ticket.of).clone(), ticket.delivery.seq));
                let undone: Vec<_> = unqueue.chain(undo).collect();
                // Or a store that fails for long would be left with one of these per refusal.
                if tried && !undone.is_empty() {
                    keeper.commit(undone, None);
                }
                // In memory it stays: it is tried again.
                topic.into_iter().for_each(|topic| unsaved.note(topic));
            }
            if let Some((line, token, reason)) = answer {
                line.kept(match kept {
                    Ok(()) => Word::Published(token, reason),
                    Err(_) => Word::Failed,
                });
            }
        })
    }

    /// Keeps messages that nobody waits for.
    fn keep(&self, to_keep: Vec<(Arc<Mailbox>, Ticket)>) {
        if !to_keep.is_empty() {
            let changes = to_keep.iter().map(|(_, ticket)| self.queue_change(ticket)).collect();
            self.keeper.commit(changes, Some(self.settled(to_keep, None, None, None)));
        }
    }

    /// Subscribes a session to a plain filter.
    ///
    /// # Errors
    /// All sessions together have as many as they may.
    pub(crate) fn subscribe_plain(
        &self,
        key: &SessionKey,
        request: &FilterRequest,
        id: Option<u32>,
        mailbox: &Arc<Mailbox>,
        later: (Line, Token, Option<Receiver>),
    ) -> Result<Subscribed, TooMany> {
        let max = self.limits.subscriptions_total_max;
        self.router.subscribe(key, request, id, mailbox.clone(), max)?;
        let (line, token, receiver) = later;
        let Some(receiver) = receiver else { return Ok(Subscribed::Now) };
        let subscription = KeptSubscription { request: request.clone(), id };
        let change = Change::Subscribe((*receiver.of).clone(), subscription);
        let changes = receiver.record().into_iter().chain([change]).collect();
        let (stats, qos) = (self.stats.clone(), request.qos);
        let done: Done = Box::new(move |kept| {
            line.kept(match kept {
                Ok(()) => Word::Subscribed(token, qos),
                Err(_) => {
                    Stats::add(&stats.plain_unstored, 1);
                    Word::Failed
                }
            });
        });
        self.keeper.commit(changes, Some(done));
        Ok(Subscribed::Later)
    }

    /// Commits something that a session waits for; `word` says that it is done.
    pub(crate) fn keep_for_session(&self, change: Change, line: Line, word: Word) {
        let stats = self.stats.clone();
        let done: Done = Box::new(move |kept| {
            line.kept(match kept {
                Ok(()) => word,
                Err(_) => {
                    Stats::add(&stats.plain_unstored, 1);
                    Word::Failed
                }
            });
        });
        self.keeper.commit(vec![change], Some(done));
    }

    /// Queues the next retained messages for a session that has subscribed; tells whether any
    /// subscription wanted some.
    pub(crate) fn give_retained(&self, key: &SessionKey, mailbox: &Arc<Mailbox>) -> bool {
        let next = |queue: &mut crate::queue::Queue| {
            if queue.len() >= RETAINED_AHEAD_MAX {
                return None;
            }
            queue.next_cursor()
        };
        let Some(mut cursor) = mailbox.with_queue(next) else { return false };
        let (request, id) = (cursor.request.clone(), cursor.subscription_id);
        let now = self.now();
        let mut to_keep = Vec::new();
        let mut refused = false;
        let retained = self.retained.lock();
        let done = retained.page(&mut cursor, RETAINED_AHEAD_MAX, |held| {
            let own = request.no_local && held.from == *key;
            if own || held.message.is_over(now) {
                return true;
            }
            let delivery = PlainDelivery {
                retain: true,
                subscription_ids: id.into_iter().collect(),
                ..PlainDelivery::new(held.message.clone(), held.qos.min(request.qos))
            };
            match mailbox.offer_ahead(delivery) {
                Offered::Taken => {}
                Offered::Dropped => refused = true,
                Offered::Keep(ticket) => to_keep.push((mailbox.clone(), ticket)),
            }
            !refused
        });
        drop(retained);
        if !done {
            mailbox.with_queue(|queue| queue.cursors_mut().push_front(cursor));
        }
        self.keep(to_keep);
        if !refused {
            mailbox.wake();
        }
        true
    }

    /// A connection has ended and its session lives on: what it has not delivered is kept, but
    /// what another member of a share can take now.
    pub(crate) fn park_plain(&self, key: &SessionKey, mailbox: &Arc<Mailbox>, parked: &mut Parked) {
        let shares = self.shares_with_others(key, mailbox, |wanted| parked.take_shared(wanted));
        self.pass_on(key, mailbox, shares, true);
        let (of, recorded) = mailbox.with_queue(|queue| (queue.kept_for(), queue.recorded));
        let Some(of) = of else { return };
        let mut changes = Vec::new();
        let mut keep = |delivery: &mut PlainDelivery| {
            delivery.kept = true;
            let ticket = Ticket { of: of.clone(), delivery: delivery.clone() };
            changes.push(self.queue_change(&ticket));
        };
        parked.unkept().for_each(&mut keep);
        mailbox.with_queue(|queue| queue.unkept().for_each(&mut keep));
        if recorded || !changes.is_empty() {
            let offline_since_ms = Some(self.unix_ms(self.now()));
            let session = KeptSession { expiry_s: parked.expiry_s(), offline_since_ms };
            changes.insert(0, Change::Session((*of).clone(), session));
            mailbox.with_queue(|queue| queue.recorded = true);
            self.keeper.commit(changes, None);
        }
    }

    /// A session has ended: its subscriptions and all that is kept of it go; what it had of shares
    /// at QoS 1 goes to others. `take` takes that out of what the connection had.
    pub(crate) fn end_plain(
        &self,
        key: &SessionKey,
        filters: &[Arc<str>],
        mailbox: &Arc<Mailbox>,
        take: impl FnMut(&mut dyn FnMut(&PlainDelivery) -> bool) -> Vec<PlainDelivery>,
    ) {
        for filter in filters {
            self.router.unsubscribe(key, filter);
        }
        let mut take = take;
        let mut shares = take(&mut |_| true);
        shares.extend(mailbox.with_queue(|queue| queue.take_shared(|_| true)));
        self.pass_on(key, mailbox, shares, false);
        let (of, recorded) = mailbox.with_queue(|queue| (queue.kept_for(), queue.recorded));
        mailbox.clear();
        if let Some(of) = of.filter(|_| recorded) {
            self.keeper.commit(vec![Change::EndSession((*of).clone())], None);
        }
    }

    /// Takes the messages of shares that have another member on line.
    fn shares_with_others(
        &self,
        key: &SessionKey,
        mailbox: &Arc<Mailbox>,
        mut take: impl FnMut(&mut dyn FnMut(&PlainDelivery) -> bool) -> Vec<PlainDelivery>,
    ) -> Vec<PlainDelivery> {
        // No other mailbox is looked at while this one is held.
        let mut named: HashSet<Arc<str>> = HashSet::new();
        let mut look = |delivery: &PlainDelivery| {
            named.extend(delivery.share.clone());
            false
        };
        take(&mut look);
        mailbox.with_queue(|queue| queue.take_shared(&mut look));
        if named.is_empty() {
            return Vec::new();
        }
        named.retain(|share| self.router.has_another_online(share, key));
        let mut wanted = |delivery: &PlainDelivery| {
            delivery.share.as_ref().is_some_and(|share| named.contains(share))
        };
        let mut taken = take(&mut wanted);
        taken.extend(mailbox.with_queue(|queue| queue.take_shared(&mut wanted)));
        taken
    }

    /// Gives messages of shares to other members, or back if nobody takes them and the session
    /// lives on.
    fn pass_on(
        &self,
        key: &SessionKey,
        mailbox: &Arc<Mailbox>,
        deliveries: Vec<PlainDelivery>,
        lives_on: bool,
    ) {
        let of = mailbox.with_queue(|queue| queue.kept_for());
        let (mut to_keep, mut unqueued, mut dropped) = (Vec::new(), Vec::new(), 0);
        for delivery in deliveries {
            if let Some(of) = of.as_ref().filter(|_| delivery.kept) {
                unqueued.push(Change::Unqueue((**of).clone(), delivery.seq));
            }
            match self.router.give_to_another(&delivery, key, lives_on) {
                Some(routed) => to_keep.extend(routed.to_keep),
                None if lives_on => match mailbox.offer(delivery) {
                    Offered::Taken => {}
                    Offered::Dropped => dropped += 1,
                    Offered::Keep(ticket) => to_keep.push((mailbox.clone(), ticket)),
                },
                None => dropped += 1,
            }
        }
        Stats::add(&self.stats.plain_dropped, dropped);
        self.keep(to_keep);
        if !unqueued.is_empty() {
            self.keeper.commit(unqueued, None);
        }
    }

    /// Removes retained messages whose life is over, and saves changes that nobody waits for.
    pub(crate) fn tend_retained(&self) {
        let mut retained = self.retained.lock();
        for topic in retained.expire(self.now()) {
            self.unsaved.note(topic);
        }
        let Some(topics) = self.unsaved.begin() else { return };
        let changes = topics.iter().map(|topic| match retained.get(topic) {
            Some(held) => self.retain_change(Some(held), &held.message),
            None => Change::Unretain(topic.clone()),
        });
        let changes = changes.collect();
        let unsaved = self.unsaved.clone();
        let done: Done = Box::new(move |kept| unsaved.end(topics, kept.is_ok()));
        // Under the lock: the order is that of the messages.
        self.keeper.commit(changes, Some(done));
    }

    /// Takes up what was kept before the server was restarted.
    pub(crate) fn restore(&self, kept: Kept) {
        let mut retained = self.retained.lock();
        for KeptRetained { message, qos, from } in kept.retained {
            let message = Arc::new(self.message(message));
            retained.restore(Held { message, qos, from });
        }
        drop(retained);
        for session in kept.sessions {
            self.restore_session(session);
        }
        // The rules may have changed while the server was down.
        let silenced = self.recheck_access().silenced;
        if silenced > 0 {
            tracing::info!(silenced, "subscriptions that are not allowed any more get nothing");
        }
    }

    fn restore_session(&self, all: KeptAll) {
        let KeptAll { of, session, .. } = all.clone();
        let mailbox = Arc::new(Mailbox::new(self.queues.clone()));
        mailbox.set_offline();
        for KeptSubscription { request, id } in &all.subscriptions {
            // What was granted stays granted.
            let _unbounded =
                self.router.subscribe(&of.key, request, *id, mailbox.clone(), usize::MAX);
        }
        mailbox.keep_for(Some(of.clone()));
        mailbox.with_queue(|queue| {
            queue.recorded = true;
            for (seq, place) in &all.queue {
                match place {
                    KeptPlace::Delivery(delivery) => {
                        queue.restore(self.delivery(*seq, delivery.clone()));
                    }
                    KeptPlace::Released(packet_id) => {
                        queue.number_from(seq + 1);
                        queue.use_id(*packet_id);
                    }
                }
            }
        });
        let since_ms = session.offline_since_ms.unwrap_or_else(|| self.unix_ms(0));
        let expires_at = match session.expiry_s {
            EXPIRY_NEVER => MonotonicMs::MAX,
            expiry_s => self.monotonic_ms(since_ms + u64::from(expiry_s) * 1000),
        };
        self.registry.restore(of.key, Parked::restored(all), mailbox, expires_at);
    }

    fn message(&self, kept: KeptMessage) -> Message {
        let KeptMessage { topic, properties, payload, expires_at_ms, retain } = kept;
        let expires_at = expires_at_ms.map(|at_ms| self.monotonic_ms(at_ms));
        Message::kept(topic, payload, properties, retain, expires_at)
    }

    fn delivery(&self, seq: u64, kept: KeptDelivery) -> PlainDelivery {
        PlainDelivery {
            message: Arc::new(self.message(kept.message)),
            qos: kept.qos,
            retain: kept.retain,
            subscription_ids: kept.subscription_ids,
            seq,
            kept: true,
            packet_id: kept.packet_id,
            dup: true,
            share: kept.share,
            weight: Weight::default(),
        }
    }

    fn kept_message(&self, message: &Message) -> KeptMessage {
        KeptMessage {
            topic: message.shared_topic().clone(),
            properties: message.properties().clone(),
            payload: message.payload().clone(),
            expires_at_ms: message.expires_at().map(|at| self.unix_ms(at)),
            retain: message.retain(),
        }
    }

    fn queue_change(&self, ticket: &Ticket) -> Change {
        let Ticket { of, delivery } = ticket;
        let kept = KeptDelivery {
            message: self.kept_message(&delivery.message),
            qos: delivery.qos,
            retain: delivery.retain,
            subscription_ids: delivery.subscription_ids.clone(),
            packet_id: delivery.packet_id,
            share: delivery.share.clone(),
        };
        Change::Queue((**of).clone(), delivery.seq, kept)
    }

    fn retain_change(&self, held: Option<&Held>, message: &Message) -> Change {
        match held {
            Some(held) => Change::Retain(KeptRetained {
                message: self.kept_message(&held.message),
                qos: held.qos,
                from: held.from.clone(),
            }),
            None => Change::Unretain(message.shared_topic().clone()),
        }
    }

    /// What is retained, and what is queued: number and bytes of each.
    pub(crate) fn plain_content(&self) -> ((usize, usize), (usize, usize)) {
        (self.retained.lock().content(), self.queues.content())
    }

    /// The session, if it is kept.
    pub(crate) fn receiver(&self, mailbox: &Arc<Mailbox>, expiry_s: u32) -> Option<Receiver> {
        let of = mailbox.with_queue(|queue| queue.kept_for())?;
        Some(Receiver { of, mailbox: mailbox.clone(), expiry_s })
    }

    /// A session is on line again: its time without a connection does not go on.
    pub(crate) fn keep_online(&self, mailbox: &Mailbox, of: SessionRef, expiry_s: u32) {
        let persistent = expiry_s > 0;
        let recorded = mailbox.with_queue(|queue| queue.recorded);
        if persistent || !recorded {
            mailbox.keep_for(persistent.then(|| of.clone()));
        }
        if recorded {
            let session = KeptSession { expiry_s, offline_since_ms: None };
            self.keeper.commit(vec![Change::Session(of, session)], None);
        }
    }

    /// Counts messages that a session takes.
    pub(crate) fn count_out<'a>(&self, taken: impl Iterator<Item = &'a PlainDelivery>) {
        let (mut messages, mut bytes) = (0, 0);
        for delivery in taken {
            messages += 1;
            bytes += delivery.message.payload().len() as u64;
        }
        if messages > 0 {
            self.stats.plain_out.fetch_add(messages, Ordering::Relaxed);
            self.stats.plain_bytes_out.fetch_add(bytes, Ordering::Relaxed);
        }
    }
}

/// A subscription that asks for what is retained (MQTT 5 §3.8.3.1, §4.8.2).
pub(crate) fn cursor(request: &FilterRequest, id: Option<u32>, renewed: bool) -> Option<Cursor> {
    let asked = match request.retain_handling {
        0 => true,
        1 => !renewed,
        _ => false,
    };
    let shared = request.filter.starts_with("$share/");
    (asked && !shared).then(|| Cursor::new(request.clone(), id))
}
