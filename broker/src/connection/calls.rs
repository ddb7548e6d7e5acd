//! What the session asks for, carried out: by the host, the router of plain topics, and the keeper.

use tokio::io::{AsyncRead, AsyncWrite};

use super::driver::Driver;
use crate::host::{Access, Host, HostPublish, HostSession, Token};
use crate::keep::{Change, SessionRef};
use crate::mailbox::Word;
use crate::packet::{AckProperties, FilterRequest, QoS, Reason, Version};
use crate::plain::{self, Asker, Published, Subscribed};
use crate::router::TooMany;
use crate::session::{Call, Close, Finished};
use crate::stats::Stats;
use crate::sys;
use crate::topic::split_share;

impl<H: Host, S: AsyncRead + AsyncWrite + Unpin> Driver<H, S> {
    /// Does what the session asks, until it asks nothing more.
    pub(super) fn carry_out(&mut self) -> Result<(), Close> {
        while let Some(call) = self.session.poll_call() {
            self.carry_out_one(call)?;
        }
        Ok(())
    }

    /// What the client asked before the connection ended, in the same bytes perhaps, is done: a
    /// small client publishes and says goodbye in one go. There is nothing more to be sent to it.
    pub(super) fn carry_out_rest(&mut self) {
        while let Some(call) = self.session.poll_call() {
            if matches!(call, Call::Pull(_)) {
                break;
            }
            if let Err(close) = self.carry_out_one(call) {
                tracing::debug!(reason = ?close.reason, detail = close.detail, "closing already");
            }
        }
    }

    fn carry_out_one(&mut self, call: Call) -> Result<(), Close> {
        match call {
            Call::Publish(publish) if self.shared.host.owns(&publish.topic) => {
                if publish.qos == QoS::AtMostOnce {
                    self.asked().unanswered.push(publish.token);
                } else if self.shared.host.is_timed(&publish.topic) {
                    let timed = (publish.packet_id, self.turn_at);
                    self.asked().timed.push_back(timed);
                }
                self.host.publish(publish);
            }
            Call::Publish(publish) => self.route(publish),
            Call::Subscribe { token, request, subscription_id, renewed } => {
                self.subscribe(token, request, subscription_id, renewed);
            }
            Call::Unsubscribe { token, filter, of_host: true } => {
                self.host.unsubscribe(token, &filter);
            }
            Call::Unsubscribe { token, filter, of_host: false } => {
                self.shared.router.unsubscribe(self.session.key(), &filter);
                match self.kept_for() {
                    Some(of) => {
                        let change = Change::Unsubscribe(of, filter);
                        self.keep(change, Word::Unsubscribed(token));
                    }
                    None => self.session.handle_unsubscribed(token, Reason::SUCCESS),
                }
            }
            Call::Finished(finished) => {
                self.claim.mailbox.with_queue(|queue| {
                    finished.iter().for_each(|of| queue.free_id(of.packet_id));
                });
                if let Some(of) = self.kept_for() {
                    let unqueue = |done: Finished| Change::Unqueue(of.clone(), done.seq);
                    let changes = finished.into_iter().map(unqueue).collect();
                    self.shared.keeper.commit(changes, None);
                }
            }
            Call::Release { seq, packet_id } => match self.kept_for() {
                Some(of) => self.keep(Change::Release(of, seq, packet_id), Word::Released(seq)),
                None => self.session.handle_released(seq),
            },
            Call::Unreceive { packet_id } => match self.kept_for() {
                Some(of) => {
                    self.keep(Change::Unreceive(of, packet_id), Word::Unreceived(packet_id));
                }
                None => self.session.handle_unreceived(packet_id),
            },
            Call::Acked(ids) => self.host.acked(&ids),
            Call::Fetch(ids) => self.host.fetch(&ids),
            Call::Pull(room) => {
                let deliveries = self.host.pull(room);
                self.session.handle_deliveries(deliveries, room.messages);
            }
        }
        Ok(())
    }

    /// The session that is kept, if it is.
    fn kept_for(&self) -> Option<SessionRef> {
        self.claim.mailbox.with_queue(|queue| queue.kept_for().map(|of| (*of).clone()))
    }

    fn keep(&self, change: Change, word: Word) {
        self.shared.keep_for_session(change, self.line.clone(), word);
    }

    /// A message to a plain topic.
    fn route(&mut self, publish: HostPublish) {
        let (token, qos, packet_id) = (publish.token, publish.qos, publish.packet_id);
        let key = self.session.key();
        if !self.shared.host.may(key, Access::Publish, &publish.topic) {
            Stats::add(&self.shared.stats.access_denied, 1);
            if qos != QoS::AtMostOnce {
                let why = AckProperties::because("the access rules do not allow this topic");
                self.session.handle_published(token, Reason::NOT_AUTHORIZED, Some(why));
            }
            return;
        }
        let asker = (qos != QoS::AtMostOnce).then(|| {
            let receive = match qos {
                QoS::ExactlyOnce => {
                    let expiry_s = self.session.expiry_s();
                    self.shared.receiver(&self.claim.mailbox, expiry_s).zip(Some(packet_id))
                }
                _ => None,
            };
            let can_be_told = self.session.version() == Version::V5;
            Asker { line: self.line.clone(), token, can_be_told, receive }
        });
        match self.shared.publish_plain(key, publish, asker) {
            Published::Now(reason) => {
                let full = reason == Reason::QUOTA_EXCEEDED;
                let why = full.then(|| AckProperties::because("no room for retained messages"));
                self.session.handle_published(token, reason, why);
            }
            Published::Later { received: true } => self.session.handle_received(token),
            Published::Later { received: false } => {}
        }
    }

    fn subscribe(
        &mut self,
        token: Token,
        request: FilterRequest,
        subscription_id: Option<u32>,
        renewed: bool,
    ) {
        let shared_filter = split_share(&request.filter).map(|(_, filter)| filter);
        let filter = shared_filter.unwrap_or(&request.filter);
        let is_sys = sys::is_sys(filter);
        if !is_sys && self.shared.host.owns(filter) {
            if shared_filter.is_some() {
                // What the host has for a session is that session's own.
                let reason = Reason::SHARED_SUBSCRIPTIONS_NOT_SUPPORTED;
                self.session.handle_subscribed(token, reason, false);
            } else {
                self.host.subscribe(token, &request, subscription_id, renewed);
            }
            return;
        }
        let key = self.session.key().clone();
        if !self.shared.host.may(&key, Access::Subscribe, filter) {
            Stats::add(&self.shared.stats.access_denied, 1);
            self.session.handle_subscribed(token, Reason::NOT_AUTHORIZED, false);
            return;
        }
        let receiver = self.shared.receiver(&self.claim.mailbox, self.session.expiry_s());
        let later = (self.line.clone(), token, receiver);
        let cursor = plain::cursor(&request, subscription_id, renewed);
        let mailbox = &self.claim.mailbox;
        match self.shared.subscribe_plain(&key, &request, subscription_id, mailbox, later) {
            Ok(Subscribed::Later) => {
                let cursor = cursor.map(|cursor| (token, cursor));
                self.asked().cursors.extend(cursor);
            }
            Ok(Subscribed::Now) => {
                mailbox.with_queue(|queue| queue.cursors_mut().extend(cursor));
                self.session.handle_subscribed(token, Reason(request.qos as u8), false);
            }
            Err(TooMany) => {
                Stats::add(&self.shared.stats.subscriptions_refused, 1);
                self.session.handle_subscribed(token, Reason::QUOTA_EXCEEDED, false);
                return;
            }
        }
        if is_sys {
            self.shared.give_sys(&request, subscription_id, &self.claim.mailbox);
        }
        self.claim.mailbox.wake();
    }
}
