//! Plain topics: who is subscribed to what, and the way of a message to them. In memory.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::RwLock;

use crate::host::SessionKey;
use crate::mailbox::{Mailbox, PlainDelivery};
use crate::message::Message;
use crate::packet::{FilterRequest, QoS};
use crate::queue::{Offered, Ticket};
use crate::shares::Group;
use crate::topic::{Trie, split_share};

/// Up to this many receivers are compared one by one to find those that are found twice.
const FEW_RECEIVERS: usize = 16;

/// The subscriptions to plain topics of all sessions.
#[derive(Default)]
pub(crate) struct Router {
    routes: RwLock<Trie<Holder, Entry>>,
    /// Members of shared subscriptions.
    shared: AtomicUsize,
}

/// Who holds an entry of the trie.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Holder {
    Session(SessionKey),
    /// All who have subscribed with this share name.
    Share(Arc<str>),
}

enum Entry {
    One(Route),
    Group(Group),
}

/// What a session has subscribed.
pub(crate) struct Route {
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) qos: QoS,
    pub(crate) no_local: bool,
    pub(crate) retain_as_published: bool,
    pub(crate) subscription_id: Option<u32>,
    /// Whether it may have messages, by the rules that are in force now.
    allowed: AtomicBool,
}

impl Route {
    pub(crate) fn is_allowed(&self) -> bool {
        self.allowed.load(Ordering::Relaxed)
    }

    /// Tells whether it was otherwise.
    fn set_allowed(&self, allowed: bool) -> bool {
        self.allowed.swap(allowed, Ordering::Relaxed) != allowed
    }

    pub(crate) fn delivery(&self, message: &Arc<Message>, qos: QoS) -> PlainDelivery {
        PlainDelivery {
            retain: self.retain_as_published && message.retain(),
            subscription_ids: self.subscription_id.into_iter().collect(),
            ..PlainDelivery::new(message.clone(), qos.min(self.qos))
        }
    }
}

/// All sessions together have as many subscriptions as they may.
#[derive(Debug)]
pub(crate) struct TooMany;

impl Router {
    /// Adds a subscription, or replaces the one with the same filter.
    ///
    /// # Errors
    /// There are `max` already, and this would be another one.
    pub(crate) fn subscribe(
        &self,
        key: &SessionKey,
        request: &FilterRequest,
        subscription_id: Option<u32>,
        mailbox: Arc<Mailbox>,
        max: usize,
    ) -> Result<(), TooMany> {
        let route = Route {
            mailbox,
            qos: request.qos,
            no_local: request.no_local,
            retain_as_published: request.retain_as_published,
            subscription_id,
            allowed: AtomicBool::new(true),
        };
        let mut routes = self.routes.write();
        // Members of a share are counted with the entry that they share: one too many of each.
        let full = routes.len() + self.shared.load(Ordering::Relaxed) >= max;
        let Some((name, filter)) = split_share(&request.filter) else {
            let holder = Holder::Session(key.clone());
            if full && routes.get(&request.filter, &holder).is_none() {
                return Err(TooMany);
            }
            routes.insert(&request.filter, holder, Entry::One(route));
            return Ok(());
        };
        let holder = Holder::Share(name.into());
        if full && !matches!(routes.get(filter, &holder), Some(Entry::Group(of)) if of.has(key)) {
            return Err(TooMany);
        }
        let mut group = match routes.remove(filter, &holder) {
            Some(Entry::Group(group)) => group,
            Some(Entry::One(_)) | None => Group::new(request.filter.clone()),
        };
        if group.join(key.clone(), route) {
            self.shared.fetch_add(1, Ordering::Relaxed);
        }
        routes.insert(filter, holder, Entry::Group(group));
        Ok(())
    }

    pub(crate) fn unsubscribe(&self, key: &SessionKey, filter: &str) {
        let mut routes = self.routes.write();
        let Some((name, filter)) = split_share(filter) else {
            routes.remove(filter, &Holder::Session(key.clone()));
            return;
        };
        let holder = Holder::Share(name.into());
        if let Some(Entry::Group(mut group)) = routes.remove(filter, &holder) {
            if group.leave(key) {
                self.shared.fetch_sub(1, Ordering::Relaxed);
            }
            if !group.is_empty() {
                routes.insert(filter, holder, Entry::Group(group));
            }
        }
    }

    /// Puts a message into the mailboxes of all who are subscribed. Each session gets it once for
    /// its own subscriptions, at the highest QoS of those that match and with the identifiers of
    /// all of them (MQTT 5 §3.3.4), and once for each share of which it is chosen (§4.8.2).
    ///
    /// `from`: the session that publishes it; `None`: the broker itself.
    pub(crate) fn publish(
        &self,
        from: Option<&SessionKey>,
        message: &Arc<Message>,
        qos: QoS,
    ) -> Routed {
        let mut found = Found::default();
        let mut routed = Routed::default();
        self.routes.read().for_each_match(message.topic(), |holder, entry| match (holder, entry) {
            (Holder::Session(key), Entry::One(route)) => {
                if route.is_allowed() && !(route.no_local && Some(key) == from) {
                    found.add(route, message, qos);
                }
            }
            (_, Entry::Group(group)) => routed.share(group.give(message, qos, None)),
            (Holder::Share(_), Entry::One(_)) => {}
        });
        for (mailbox, delivery) in found.receivers {
            let offered = mailbox.offer(delivery);
            routed.add(mailbox, offered);
        }
        routed
    }

    /// Gives a message of a share to another of its members; `None`: there is none who takes it.
    pub(crate) fn give_to_another(
        &self,
        delivery: &PlainDelivery,
        not_to: &SessionKey,
        online_only: bool,
    ) -> Option<Routed> {
        let (name, filter) = split_share(delivery.share.as_ref()?)?;
        let routes = self.routes.read();
        let Entry::Group(group) = routes.get(filter, &Holder::Share(name.into()))? else {
            return None;
        };
        if online_only && !group.has_another_online(not_to) {
            return None;
        }
        let mut routed = Routed::default();
        routed.share(group.give(&delivery.message, delivery.qos, Some(not_to)));
        (routed.dropped == 0).then_some(routed)
    }

    /// Whether a share has another member on line.
    pub(crate) fn has_another_online(&self, share: &str, than: &SessionKey) -> bool {
        let Some((name, filter)) = split_share(share) else { return false };
        let routes = self.routes.read();
        match routes.get(filter, &Holder::Share(name.into())) {
            Some(Entry::Group(group)) => group.has_another_online(than),
            _ => false,
        }
    }

    /// Asks of every subscription whether it may be had, by session and filter. One that may not
    /// gets no messages from now on; it stays, as its client believes that it has it, and gets
    /// messages again once it may. Readers go on meanwhile.
    pub(crate) fn recheck(&self, may: impl Fn(&SessionKey, &str) -> bool) -> Rechecked {
        let mut rechecked = Rechecked::default();
        self.routes.read().for_each(|filter, holder, entry| match (holder, entry) {
            (Holder::Session(key), Entry::One(route)) => rechecked.set(route, may(key, filter)),
            (_, Entry::Group(group)) => {
                group.for_each(|key, route| rechecked.set(route, may(key, filter)));
            }
            (Holder::Share(_), Entry::One(_)) => {}
        });
        rechecked
    }

    /// How many subscriptions there are, and how many of them are shared.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let routes = self.routes.read();
        (routes.len(), self.shared.load(Ordering::Relaxed))
    }
}

/// The sessions found for a message, each once.
#[derive(Default)]
struct Found {
    receivers: Vec<(Arc<Mailbox>, PlainDelivery)>,
    /// By the mailbox's address, which lives as long as `receivers`; used if there are many.
    places: HashMap<*const Mailbox, usize>,
}

impl Found {
    fn add(&mut self, route: &Route, message: &Arc<Message>, qos: QoS) {
        let delivery = route.delivery(message, qos);
        let mailbox = Arc::as_ptr(&route.mailbox);
        let had = if self.receivers.len() <= FEW_RECEIVERS {
            self.receivers.iter().position(|(had, _)| Arc::as_ptr(had) == mailbox)
        } else {
            if self.places.is_empty() {
                let all = self.receivers.iter().enumerate();
                self.places = all.map(|(at, (had, _))| (Arc::as_ptr(had), at)).collect();
            }
            self.places.get(&mailbox).copied()
        };
        match had {
            Some(at) => {
                let had = &mut self.receivers[at].1;
                had.qos = had.qos.max(delivery.qos);
                had.retain |= delivery.retain;
                had.subscription_ids.extend(delivery.subscription_ids);
            }
            None => {
                if self.receivers.len() > FEW_RECEIVERS {
                    self.places.insert(mailbox, self.receivers.len());
                }
                self.receivers.push((route.mailbox.clone(), delivery));
            }
        }
    }
}

/// What other rules did to the subscriptions that stand.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Rechecked {
    /// Those that get no messages from now on.
    pub silenced: usize,
    /// Those that get messages again.
    pub restored: usize,
}

impl Rechecked {
    fn set(&mut self, route: &Route, allowed: bool) {
        if route.set_allowed(allowed) {
            *if allowed { &mut self.restored } else { &mut self.silenced } += 1;
        }
    }
}

/// What became of a plain message.
#[derive(Debug, Default)]
pub(crate) struct Routed {
    /// Sessions that are subscribed to it, shares counted as one.
    pub(crate) receivers: usize,
    /// Those of them whose queue was full.
    pub(crate) dropped: usize,
    /// Those for whom it has to be kept first.
    pub(crate) to_keep: Vec<(Arc<Mailbox>, Ticket)>,
}

impl Routed {
    pub(crate) fn add(&mut self, mailbox: Arc<Mailbox>, offered: Offered) {
        self.receivers += 1;
        match offered {
            Offered::Taken => {}
            Offered::Dropped => self.dropped += 1,
            Offered::Keep(ticket) => self.to_keep.push((mailbox, ticket)),
        }
    }

    fn share(&mut self, given: Option<(Arc<Mailbox>, Offered)>) {
        match given {
            Some((mailbox, offered)) => self.add(mailbox, offered),
            None => {
                self.receivers += 1;
                self.dropped += 1;
            }
        }
    }
}
