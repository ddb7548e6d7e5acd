//! A session's subscriptions, and the requests for more that wait for an answer.

use std::sync::Arc;

use super::{Call, Close, Session};
use crate::codec;
use crate::host::{Restored, Token};
use crate::packet::{FilterRequest, QoS, Reason, Subscribe, Unsubscribe};
use crate::topic;

/// A subscription of a session.
#[derive(Debug, Clone)]
pub struct Subscription {
    /// Filter and options; `qos` is what was granted.
    pub request: FilterRequest,
    /// MQTT 5's identifier.
    pub id: Option<u32>,
    /// Whether the filter is the host's own.
    pub of_host: bool,
}

#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    granted: Vec<Subscription>,
    /// SUBSCRIBE and UNSUBSCRIBE packets that are not answered yet.
    pending: Vec<Pending>,
}

#[derive(Debug)]
struct Pending {
    packet_id: u16,
    unsubscribe: bool,
    subscription_id: Option<u32>,
    items: Vec<Item>,
}

#[derive(Debug)]
struct Item {
    token: Token,
    request: FilterRequest,
    of_host: bool,
    /// It takes one of the subscriptions that the session may have, unless it is refused.
    fresh: bool,
    code: Option<Reason>,
}

impl Subscriptions {
    /// How many there are, and how many are asked for.
    fn count(&self) -> usize {
        let asked = self.pending.iter().flat_map(|pending| &pending.items);
        let refused = |item: &Item| item.code.is_some_and(Reason::is_error);
        self.granted.len() + asked.filter(|item| item.fresh && !refused(item)).count()
    }

    /// The connection has ended: nobody waits for these answers.
    pub(super) fn disconnect(&mut self) {
        self.pending = Vec::new();
    }

    pub(super) fn plain_filters(&self) -> Vec<Arc<str>> {
        let plain = self.granted.iter().filter(|subscription| !subscription.of_host);
        plain.map(|subscription| subscription.request.filter.clone()).collect()
    }

    /// The identifiers of the host's subscriptions that match (MQTT 5 §3.3.4).
    pub(super) fn ids_matching(&self, topic: &str) -> Vec<u32> {
        // Most sessions have none; then no filter is looked at.
        let with_id = self.granted.iter().filter(|subscription| subscription.id.is_some());
        with_id
            .filter(|subscription| topic::matches(&subscription.request.filter, topic))
            .filter_map(|subscription| subscription.id)
            .collect()
    }

    /// The highest QoS granted for a topic of the host.
    pub(super) fn host_qos(&self, topic: &str) -> Option<QoS> {
        let host = self.granted.iter().filter(|subscription| subscription.of_host);
        host.filter(|subscription| topic::matches(&subscription.request.filter, topic))
            .map(|subscription| subscription.request.qos)
            .max()
    }

    fn has(&self, filter: &str) -> bool {
        self.granted.iter().any(|subscription| *subscription.request.filter == *filter)
    }

    fn grant(&mut self, subscription: Subscription) {
        let filter = &subscription.request.filter;
        let had = self.granted.iter_mut().find(|had| had.request.filter == *filter);
        match had {
            Some(had) => *had = subscription,
            None => self.granted.push(subscription),
        }
    }
}

impl Session {
    /// Subscriptions of the host that outlived a restart.
    pub fn restore(&mut self, restored: Vec<Restored>) {
        for Restored { request, subscription_id } in restored {
            self.subscriptions.grant(Subscription { request, id: subscription_id, of_host: true });
        }
    }

    pub(super) fn handle_subscribe(&mut self, subscribe: Subscribe) -> Result<(), Close> {
        if self.subscriptions.pending.len() >= usize::from(self.limits.inflight_in_max) {
            return Err(Close::because(
                Reason::QUOTA_EXCEEDED,
                "too many SUBSCRIBE packets without an answer",
            ));
        }
        let subscription_id = subscribe.subscription_id;
        let packet_id = subscribe.packet_id;
        let mut count = self.subscriptions.count();
        let mut items = Vec::with_capacity(subscribe.filters.len());
        for request in subscribe.filters {
            let token = self.token();
            let renewed = self.subscriptions.has(&request.filter);
            let room = renewed || count < self.limits.subscriptions_max;
            let code = self.check_filter(&request.filter, room);
            if code.is_none() {
                count += usize::from(!renewed);
                self.calls.push_back(Call::Subscribe {
                    token,
                    request: request.clone(),
                    subscription_id,
                    renewed,
                });
            }
            items.push(Item { token, request, of_host: false, fresh: !renewed, code });
        }
        let pending = Pending { packet_id, unsubscribe: false, subscription_id, items };
        self.subscriptions.pending.push(pending);
        self.flush_subscriptions();
        Ok(())
    }

    /// Why a filter cannot be had, whatever it is for; `room`: the session may have one more.
    fn check_filter(&self, filter: &str, room: bool) -> Option<Reason> {
        let limits = &self.limits;
        if filter.starts_with("$share/") {
            Some(Reason::SHARED_SUBSCRIPTIONS_NOT_SUPPORTED)
        } else if !topic::is_valid_filter(filter)
            || filter.len() > limits.topic_bytes_max
            || topic::depth(filter) > limits.topic_levels_max
        {
            Some(Reason::TOPIC_FILTER_INVALID)
        } else {
            (!room).then_some(Reason::QUOTA_EXCEEDED)
        }
    }

    pub(super) fn handle_unsubscribe(&mut self, unsubscribe: Unsubscribe) {
        let packet_id = unsubscribe.packet_id;
        let mut items = Vec::with_capacity(unsubscribe.filters.len());
        for filter in unsubscribe.filters {
            let token = self.token();
            let granted = &mut self.subscriptions.granted;
            let at = granted.iter().position(|had| had.request.filter == filter);
            let (request, of_host, code) = match at {
                Some(at) => {
                    let had = granted.remove(at);
                    let of_host = had.of_host;
                    self.calls.push_back(Call::Unsubscribe { token, filter, of_host });
                    (had.request, of_host, None)
                }
                None => {
                    let code = if topic::is_valid_filter(&filter) {
                        Reason::NO_SUBSCRIPTION_EXISTED
                    } else {
                        Reason::TOPIC_FILTER_INVALID
                    };
                    let request = FilterRequest {
                        filter,
                        qos: QoS::AtMostOnce,
                        no_local: false,
                        retain_as_published: false,
                        retain_handling: 0,
                    };
                    (request, false, Some(code))
                }
            };
            items.push(Item { token, request, of_host, fresh: false, code });
        }
        let pending = Pending { packet_id, unsubscribe: true, subscription_id: None, items };
        self.subscriptions.pending.push(pending);
        self.flush_subscriptions();
    }

    /// A subscription is decided: `reason` is the granted QoS or why not.
    pub fn handle_subscribed(&mut self, token: Token, reason: Reason, of_host: bool) {
        if let Some(item) = self.pending_item(token) {
            item.code = Some(reason);
            item.of_host = of_host;
        }
        self.flush_subscriptions();
    }

    /// A subscription has ended.
    pub fn handle_unsubscribed(&mut self, token: Token, reason: Reason) {
        if let Some(item) = self.pending_item(token) {
            item.code = Some(reason);
        }
        self.flush_subscriptions();
    }

    fn pending_item(&mut self, token: Token) -> Option<&mut Item> {
        let pending = self.subscriptions.pending.iter_mut();
        pending.flat_map(|pending| &mut pending.items).find(|item| item.token == token)
    }

    /// Answers every request all of whose filters are decided.
    fn flush_subscriptions(&mut self) {
        let version = self.link.version;
        let pending = std::mem::take(&mut self.subscriptions.pending);
        for mut request in pending {
            if request.items.iter().any(|item| item.code.is_none()) {
                self.subscriptions.pending.push(request);
                continue;
            }
            let codes: Vec<Reason> =
                request.items.iter().map(|item| item.code.unwrap_or(Reason::UNSPECIFIED)).collect();
            if request.unsubscribe {
                codec::write_unsuback(&mut self.transmit, version, request.packet_id, &codes);
                continue;
            }
            for (item, code) in request.items.drain(..).zip(&codes) {
                let Some(qos) = QoS::from_bits(code.0) else { continue };
                let granted = FilterRequest { qos, ..item.request };
                self.subscriptions.grant(Subscription {
                    request: granted,
                    id: request.subscription_id,
                    of_host: item.of_host,
                });
            }
            codec::write_suback(&mut self.transmit, version, request.packet_id, &codes);
        }
    }
}
