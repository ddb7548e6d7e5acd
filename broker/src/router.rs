//! Plain topics: who is subscribed to what, and the way of a message to them. In memory.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;

use crate::host::SessionKey;
use crate::mailbox::{Mailbox, PlainDelivery};
use crate::message::Message;
use crate::packet::{FilterRequest, QoS};
use crate::topic::Trie;

/// The subscriptions to plain topics of all sessions.
#[derive(Default)]
pub(crate) struct Router {
    routes: RwLock<Trie<SessionKey, Route>>,
}

struct Route {
    mailbox: Arc<Mailbox>,
    qos: QoS,
    no_local: bool,
    retain_as_published: bool,
    subscription_id: Option<u32>,
}

impl Router {
    /// Adds a subscription, or replaces the one with the same filter.
    pub(crate) fn subscribe(
        &self,
        key: &SessionKey,
        request: &FilterRequest,
        subscription_id: Option<u32>,
        mailbox: Arc<Mailbox>,
    ) {
        let route = Route {
            mailbox,
            qos: request.qos,
            no_local: request.no_local,
            retain_as_published: request.retain_as_published,
            subscription_id,
        };
        self.routes.write().insert(&request.filter, key.clone(), route);
    }

    pub(crate) fn unsubscribe(&self, key: &SessionKey, filter: &str) {
        self.routes.write().remove(filter, key);
    }

    /// Puts a message into the mailboxes of all who are subscribed; each gets it once, at the
    /// highest QoS of its matching subscriptions and with the identifiers of all of them
    /// (MQTT 5 §3.3.4). Tells to how many, and how many of those had no room for it.
    pub(crate) fn publish(&self, from: &SessionKey, message: Message, qos: QoS) -> Routed {
        let message = Arc::new(message);
        let mut found: HashMap<SessionKey, (Arc<Mailbox>, PlainDelivery)> = HashMap::new();
        self.routes.read().for_each_match(message.topic(), |key, route| {
            if route.no_local && key == from {
                return;
            }
            let delivery = PlainDelivery {
                message: message.clone(),
                qos: qos.min(route.qos),
                retain: route.retain_as_published && message.retain(),
                subscription_ids: route.subscription_id.into_iter().collect(),
            };
            found
                .entry(key.clone())
                .and_modify(|(_, had)| {
                    had.qos = had.qos.max(delivery.qos);
                    had.retain |= delivery.retain;
                    had.subscription_ids.extend(route.subscription_id);
                })
                .or_insert_with(|| (route.mailbox.clone(), delivery));
        });
        let mut routed = Routed { receivers: found.len(), dropped: 0 };
        for (mailbox, delivery) in found.into_values() {
            routed.dropped += usize::from(!mailbox.plain(delivery));
        }
        routed
    }
}

/// What became of a plain message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Routed {
    /// Sessions that are subscribed to it.
    pub(crate) receivers: usize,
    /// Those of them whose queue was full.
    pub(crate) dropped: usize,
}
