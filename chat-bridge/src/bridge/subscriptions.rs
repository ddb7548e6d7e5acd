//! What a session subscribes to: asked of the partitions, kept with the session, given up again.

use std::sync::Arc;

use bluetick_broker::host::{DeliveryId, HostEvent, Token};
use bluetick_broker::packet::{FilterRequest, QoS, Reason};
use bluetick_protocol::ChatId;
use parking_lot::Mutex;

use super::filter::Wish;
use super::looker::Again;
use super::open::Pending;
use super::outgoing::inflight_in;
use super::session::Inner;
use crate::delivery::{Form, Options, Subscriber};
use crate::engine::{
    Command, Outcome, PartitionNo, SavedSubscription, Subscribe, SubscriptionKind, Unsubscribe,
};
use crate::partition::Unavailable;

impl Inner {
    /// See [`HostSession::subscribe`](bluetick_broker::host::HostSession::subscribe).
    pub(super) fn subscribe(
        self: &Arc<Self>,
        token: Token,
        request: &FilterRequest,
        subscription_id: Option<u32>,
        renewed: bool,
    ) {
        let refuse = |reason| {
            self.line.host(HostEvent::Subscribed { token, reason });
        };
        // Whether it is no form of ours or names what is not the user's: the same answer.
        let Some(wish) = Wish::parse(&request.filter) else {
            return refuse(Reason::NOT_AUTHORIZED);
        };
        let partitions = self.shared.pipeline.partitions().len();
        let had = self
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
        let (kind, chat, form) = match &wish {
            Wish::Chats { kind, chat, form } => (kind, chat, form),
            Wish::Typing { chat, form } => {
                let (inner, chat, form) = (self.clone(), chat.clone(), *form);
                let job = move || {
                    let result = inner.watch_typing(chat.as_ref(), form);
                    inner.subscribed(token, saved, result);
                };
                self.shared.reads.run(Box::new(job));
                return;
            }
            Wish::Presence(user) => {
                let (inner, user) = (self.clone(), user.clone());
                let job = move || {
                    let result = inner.look(user.as_ref(), true);
                    inner.subscribed(token, saved, result);
                };
                self.shared.reads.run(Box::new(job));
                return;
            }
            Wish::Notices => {
                self.subscribed(token, saved, Ok(()));
                return;
            }
        };
        let left = if chat.is_some() { 1 } else { partitions };
        let gather = Gather { left, saved: Some(saved), result: Ok(()) };
        let gather = Arc::new(Mutex::new(gather));
        // Also where the subscription is new: the connection before may have ended after it was
        // given something and before the subscription was granted.
        let inflight = self.state.lock().inflight.clone();
        let (qos, no_local) = (request.qos as u8, request.no_local);
        let wanted = Wanted {
            kind: *kind,
            chat: chat.as_ref(),
            options: Options { qos, no_local, form: *form },
            ticks: had,
            inflight: &inflight,
        };
        self.subscribe_in_partitions(&wanted, |no| {
            let (gather, inner) = (gather.clone(), self.clone());
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

    /// See [`HostSession::unsubscribe`](bluetick_broker::host::HostSession::unsubscribe).
    pub(super) fn unsubscribe(self: &Arc<Self>, token: Token, filter: &str) {
        let mut state = self.state.lock();
        state.subscriptions.retain(|had| *had.filter != *filter);
        let line = self.line.clone();
        self.save(&state, move |stored| {
            line.host(match stored {
                true => HostEvent::Unsubscribed { token, reason: Reason::SUCCESS },
                false => HostEvent::Close(Reason::SERVER_UNAVAILABLE),
            });
        });
        drop(state);
        match Wish::parse(filter) {
            Some(Wish::Chats { kind, chat, form }) => {
                self.end_in_partitions(kind, chat.as_ref(), form);
            }
            Some(Wish::Typing { chat, form }) => {
                for partition in self.shared.pipeline.partitions() {
                    if let Some(device) = self.device(partition.no()) {
                        partition.unwatch_typing(device, chat.as_ref(), form);
                    }
                }
            }
            Some(Wish::Presence(user)) => self.look_away(user),
            Some(Wish::Notices) | None => {}
        }
    }

    /// Takes up again what an earlier connection of the session had subscribed to. The session is
    /// not open before it is: what it says of messages that are under way would not be understood.
    pub(super) fn take_up(
        self: &Arc<Self>,
        subscriptions: &[SavedSubscription],
        inflight: &[DeliveryId],
        pending: &Pending,
    ) {
        for saved in subscriptions {
            let (kind, chat, form) = match Wish::parse(&saved.filter) {
                Some(Wish::Chats { kind, chat, form }) => (kind, chat, form),
                Some(Wish::Typing { chat, form }) => {
                    let inner = self.clone();
                    let job = move || {
                        if let Err(reason) = inner.watch_typing(chat.as_ref(), form) {
                            tracing::debug!(?reason, "typing could not be taken up again");
                        }
                    };
                    self.shared.reads.run(Box::new(job));
                    continue;
                }
                Some(Wish::Presence(user)) => {
                    let inner = self.clone();
                    let job = move || match inner.look(user.as_ref(), false) {
                        Ok(()) => inner.show(Again::Nobody),
                        Err(reason) => {
                            tracing::debug!(?reason, "presence could not be taken up again");
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
                options: Options { qos: qos as u8, no_local: saved.no_local, form },
                ticks: Some(saved.ticks.clone()),
                inflight,
            };
            self.subscribe_in_partitions(&wanted, |_| {
                let pending = pending.another();
                Box::new(move |outcome: Result<Outcome, Unavailable>| {
                    if outcome.is_ok() {
                        pending.done();
                    }
                })
            });
        }
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
    fn watch_typing(self: &Arc<Self>, chat: Option<&ChatId>, form: Form) -> Result<(), Reason> {
        let Some(id) = chat else {
            for partition in self.shared.pipeline.partitions() {
                if let Some(device) = self.device(partition.no()) {
                    partition.watch_typing(device, None, form);
                }
            }
            return Ok(());
        };
        let partition = self.shared.of_chat(id);
        let chat = self.shared.store().chat_by_name(partition.no(), id);
        let chat = chat.map_err(|_| Reason::UNSPECIFIED)?;
        let chat = chat.filter(|chat| chat.has_begun());
        let chat = chat.filter(|chat| chat.active_index(&self.key.user).is_some());
        let chat = chat.ok_or(Reason::NOT_AUTHORIZED)?;
        if let Some(device) = self.device(partition.no()) {
            partition.watch_typing(device, Some((chat.no, id.clone())), form);
        }
        Ok(())
    }

    /// All partitions have decided a subscription: stores it with the session and answers.
    fn subscribed(
        self: &Arc<Self>,
        token: Token,
        saved: SavedSubscription,
        result: Result<(), Reason>,
    ) {
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
        let wish = Wish::parse(&saved.filter);
        state.subscriptions.retain(|had| had.filter != saved.filter);
        // Most sessions have few, and a vector takes room for four at once.
        state.subscriptions.reserve_exact(1);
        state.subscriptions.push(saved);
        let inner = self.clone();
        self.save(&state, move |stored| {
            if !stored {
                return inner.line.host(HostEvent::Close(Reason::SERVER_UNAVAILABLE));
            }
            inner.line.host(answer(Reason(qos)));
            // Only now would the session take it.
            match wish {
                Some(Wish::Presence(Some(user))) => inner.show(Again::One(user)),
                Some(Wish::Presence(None)) => inner.show(Again::Everybody),
                _ => {}
            }
        });
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

impl Inner {
    fn end_in_partitions(
        self: &Arc<Self>,
        kind: SubscriptionKind,
        chat: Option<&ChatId>,
        form: Form,
    ) {
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
            partition.unsubscribe(device, kind, chat, form);
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
