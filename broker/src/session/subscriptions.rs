//! A session's subscriptions, and the requests for more that wait for an answer.

use std::sync::Arc;

use super::{Call, Close, Session};
use crate::codec;
use crate::host::{Restored, Token};
use crate::keep::KeptSubscription;
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
    /// The SUBSCRIBE or UNSUBSCRIBE that is not answered yet; nothing is read before it is.
    pending: Option<Box<Pending>>,
    /// That were one too many.
    refused: u64,
}

#[derive(Debug)]
struct Pending {
    packet_id: u16,
    unsubscribe: bool,
    subscription_id: Option<u32>,
    /// Their tokens rise.
    items: Vec<Item>,
    /// How many of them are not decided.
    open: usize,
}

impl Pending {
    fn decide(&mut self, token: Token, reason: Reason) -> Option<&Item> {
        let at = self.items.binary_search_by_key(&token.0, |item| item.token.0).ok()?;
        let item = &mut self.items[at];
        self.open -= usize::from(item.code.is_none());
        item.code = Some(reason);
        Some(item)
    }
}

#[derive(Debug)]
struct Item {
    token: Token,
    request: FilterRequest,
    code: Option<Reason>,
}

impl Subscriptions {
    /// Whether a SUBSCRIBE or UNSUBSCRIBE waits for the host.
    pub(super) fn is_pending(&self) -> bool {
        self.pending.is_some()
    }

    /// The connection has ended: nobody waits for these answers.
    pub(super) fn disconnect(&mut self) {
        self.pending = None;
    }

    pub(super) fn take_refused(&mut self) -> u64 {
        std::mem::take(&mut self.refused)
    }

    pub(super) fn plain_filters(&self) -> Vec<Arc<str>> {
        let plain = self.granted.iter().filter(|subscription| !subscription.of_host);
        plain.map(|subscription| subscription.request.filter.clone()).collect()
    }

    /// Subscriptions to plain topics that were kept before the server was restarted.
    pub(super) fn restore_plain(&mut self, kept: Vec<KeptSubscription>) {
        for KeptSubscription { request, id } in kept {
            self.grant(Subscription { request, id, of_host: false });
        }
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
            None => {
                // Most sessions have one, and a vector takes room for four at once.
                if self.granted.is_empty() {
                    self.granted.reserve_exact(1);
                }
                self.granted.push(subscription);
            }
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
        self.check_count(subscribe.filters.len())?;
        let subscription_id = subscribe.subscription_id;
        let packet_id = subscribe.packet_id;
        self.check_answer(subscribe.filters.len())?;
        let mut count = self.subscriptions.granted.len();
        let mut items = Vec::with_capacity(subscribe.filters.len());
        for request in subscribe.filters {
            if request.no_local && request.filter.starts_with("$share/") {
                // MQTT 5 §3.8.3.1.
                return Err(Close::because(
                    Reason::PROTOCOL_ERROR,
                    "no local on a shared subscription",
                ));
            }
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
            self.subscriptions.refused += u64::from(code == Some(Reason::QUOTA_EXCEEDED));
            items.push(Item { token, request, code });
        }
        let open = items.iter().filter(|item| item.code.is_none()).count();
        let pending = Pending { packet_id, unsubscribe: false, subscription_id, items, open };
        self.subscriptions.pending = Some(Box::new(pending));
        self.flush_subscriptions();
        Ok(())
    }

    /// Each filter of a packet is looked up among all of the session's, in one go.
    fn check_count(&self, filters: usize) -> Result<(), Close> {
        if filters > self.limits.filters_per_packet_max {
            return Err(Close::because(Reason::QUOTA_EXCEEDED, "too many filters in a packet"));
        }
        Ok(())
    }

    /// Why a filter cannot be had, whatever it is for; `room`: the session may have one more.
    fn check_filter(&self, filter: &str, room: bool) -> Option<Reason> {
        let limits = &self.limits;
        if !topic::is_valid_filter(filter)
            || filter.len() > limits.topic_bytes_max
            || topic::depth(filter) > limits.topic_levels_max
        {
            Some(Reason::TOPIC_FILTER_INVALID)
        } else {
            (!room).then_some(Reason::QUOTA_EXCEEDED)
        }
    }

    /// Before anything is done: MQTT 5 §3.1.2.11.4 lets nothing be sent that the client does not
    /// take, and a SUBACK or UNSUBACK has a code for each filter.
    fn check_answer(&self, filters: usize) -> Result<(), Close> {
        if codec::suback_len(self.link.version, filters) > self.link.max_packet_bytes {
            return Err(Close::because(
                Reason::PACKET_TOO_LARGE,
                "more filters than the client's maximum packet size lets be answered",
            ));
        }
        Ok(())
    }

    pub(super) fn handle_unsubscribe(&mut self, unsubscribe: Unsubscribe) -> Result<(), Close> {
        self.check_count(unsubscribe.filters.len())?;
        self.check_answer(unsubscribe.filters.len())?;
        let packet_id = unsubscribe.packet_id;
        let mut items = Vec::with_capacity(unsubscribe.filters.len());
        for filter in unsubscribe.filters {
            let token = self.token();
            let granted = &mut self.subscriptions.granted;
            let at = granted.iter().position(|had| had.request.filter == filter);
            let (request, code) = match at {
                Some(at) => {
                    let had = granted.remove(at);
                    let of_host = had.of_host;
                    self.calls.push_back(Call::Unsubscribe { token, filter, of_host });
                    (had.request, None)
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
                    (request, Some(code))
                }
            };
            items.push(Item { token, request, code });
        }
        let open = items.iter().filter(|item| item.code.is_none()).count();
        let pending = Pending { packet_id, unsubscribe: true, subscription_id: None, items, open };
        self.subscriptions.pending = Some(Box::new(pending));
        self.flush_subscriptions();
        Ok(())
    }

    /// A subscription is decided: `reason` is the granted QoS or why not.
    pub fn handle_subscribed(&mut self, token: Token, reason: Reason, of_host: bool) {
        let Some(pending) = self.subscriptions.pending.as_mut() else { return };
        let id = pending.subscription_id;
        let Some(item) = pending.decide(token, reason) else { return };
        // At once: notices may follow before the other filters of its packet are decided. MQTT 5 §3.8.4
        // lets them come before the SUBACK.
        if let Some(qos) = QoS::from_bits(reason.0) {
            let request = FilterRequest { qos, ..item.request.clone() };
            self.subscriptions.grant(Subscription { request, id, of_host });
        }
        self.flush_subscriptions();
    }

    /// A subscription has ended.
    pub fn handle_unsubscribed(&mut self, token: Token, reason: Reason) {
        if let Some(pending) = &mut self.subscriptions.pending {
            pending.decide(token, reason);
        }
        self.flush_subscriptions();
    }

    /// Answers the request if all its filters are decided.
    fn flush_subscriptions(&mut self) {
        let version = self.link.version;
        let pending = self.subscriptions.pending.take_if(|pending| pending.open == 0);
        let Some(request) = pending else { return };
        let codes: Vec<Reason> =
            request.items.iter().map(|item| item.code.unwrap_or(Reason::UNSPECIFIED)).collect();
        if request.unsubscribe {
            codec::write_unsuback(&mut self.transmit, version, request.packet_id, &codes);
            return;
        }
        let refused = request.items.iter().find_map(|item| Some((item, refusal(item.code?)?)));
        let why = refused.filter(|_| self.link.problem_info);
        let why = why.map(|(item, why)| format!("{}: {why}", item.request.filter));
        let start = self.transmit.len();
        codec::write_suback(&mut self.transmit, version, request.packet_id, &codes, why.as_deref());
        if self.transmit.len() - start > self.link.max_packet_bytes {
            // MQTT 5 §3.9.2.1.2: what would make the packet too large is left out.
            self.transmit.truncate(start);
            codec::write_suback(&mut self.transmit, version, request.packet_id, &codes, None);
        }
    }
}

/// Why a filter is refused, for a person who debugs.
fn refusal(code: Reason) -> Option<&'static str> {
    code.is_error().then_some(match code {
        Reason::NOT_AUTHORIZED => "not allowed",
        Reason::TOPIC_FILTER_INVALID => {
            "not a valid filter, or longer or with more levels than is taken"
        }
        Reason::QUOTA_EXCEEDED => "more subscriptions than a session may have",
        Reason::SHARED_SUBSCRIPTIONS_NOT_SUPPORTED => "topics of the server are not shared",
        Reason::SERVER_UNAVAILABLE => "the server cannot store at the moment",
        _ => "refused",
    })
}
