//! What is between broker and chats in the simulation: nothing, or the mistakes that belong there.

use std::collections::HashMap;
use std::sync::Arc;

use bluetick_bridge::Bridge;
use bluetick_bridge::bridge::ChatSession;
use bluetick_broker::Message;
use bluetick_broker::host::{
    Access, Attempt, Delivery, DeliveryId, Ended, Host, HostEvent, HostPublish, HostSession, Open,
    Room, SessionKey, Sessions, Token,
};
use bluetick_broker::mailbox::Line;
use bluetick_broker::packet::{FilterRequest, PublishProperties, QoS};
use parking_lot::Mutex;

use super::sabotage::Sabotage;

/// The bridge, and what may be wrong with it.
pub(crate) struct FaultyHost {
    inner: Bridge,
    sabotage: Option<Sabotage>,
    everything: Arc<Mutex<Vec<Delivery>>>,
    bodies: Arc<Mutex<HashMap<String, Arc<Message>>>>,
}

impl FaultyHost {
    pub(crate) fn new(inner: Bridge, sabotage: Option<Sabotage>) -> Self {
        Self { inner, sabotage, everything: Arc::default(), bodies: Arc::default() }
    }
}

impl Host for FaultyHost {
    type Session = FaultySession;

    fn start(&self, sessions: Arc<dyn Sessions>) {
        self.inner.start(sessions);
    }

    fn authenticate(&self, attempt: Attempt, line: Line) {
        self.inner.authenticate(attempt, line);
    }

    fn assign_client_id(&self) -> Arc<str> {
        self.inner.assign_client_id()
    }

    fn owns(&self, topic_or_filter: &str) -> bool {
        self.inner.owns(topic_or_filter)
    }

    fn may(&self, key: &SessionKey, access: Access, topic_or_filter: &str) -> bool {
        self.inner.may(key, access, topic_or_filter)
    }

    fn open(&self, open: Open, line: Line) -> FaultySession {
        FaultySession {
            sabotage: self.sabotage,
            user: open.key.user.clone(),
            line: line.clone(),
            unacked: open.resume.iter().flat_map(|resume| resume.inflight.clone()).collect(),
            heard: self.everything.lock().len(),
            everything: self.everything.clone(),
            bodies: self.bodies.clone(),
            inner: self.inner.open(open, line),
        }
    }

    fn will(&self, key: &SessionKey, will: HostPublish) {
        self.inner.will(key, will);
    }

    fn end(&self, key: &SessionKey, epoch: u64) {
        self.inner.end(key, epoch);
    }
}

/// A session, and what may be wrong with it.
pub(crate) struct FaultySession {
    inner: ChatSession,
    sabotage: Option<Sabotage>,
    user: Arc<str>,
    line: Line,
    /// Sent and not acknowledged.
    unacked: Vec<DeliveryId>,
    /// All that was sent to anybody.
    everything: Arc<Mutex<Vec<Delivery>>>,
    /// Entries as they were before they were deleted, by what stays of them.
    bodies: Arc<Mutex<HashMap<String, Arc<Message>>>>,
    /// How much of `everything` this session has seen.
    heard: usize,
}

impl FaultySession {
    fn spoil(&mut self, given: &mut Vec<Delivery>, room: Room) {
        match self.sabotage {
            Some(Sabotage::SwapsNeighbours) => {
                let both = |pair: &[Delivery]| {
                    is_message(&pair[0]) && pair[0].message.topic() == pair[1].message.topic()
                };
                if let Some(at) = given.windows(2).position(both) {
                    given.swap(at, at + 1);
                }
            }
            Some(Sabotage::HidesHoles) => {
                for delivery in given {
                    delivery.message = without_after(&delivery.message);
                }
            }
            Some(Sabotage::RemembersDeleted) => self.remember(given),
            Some(Sabotage::LosesBodies) => {
                for delivery in given.iter_mut().filter(|one| is_message(one)) {
                    delivery.message = without_body(&delivery.message);
                }
            }
            Some(Sabotage::CountsSentAsDelivered) => self.ack_all(given, is_message),
            Some(Sabotage::CountsSentAsTold) => self.ack_all(given, |one| !is_message(one)),
            Some(Sabotage::CoalescesReceipts) => self.coalesce(given),
            Some(Sabotage::Broadcasts) => self.overhear(given, room),
            _ => {}
        }
    }

    fn remember(&self, given: &mut [Delivery]) {
        let mut bodies = self.bodies.lock();
        for delivery in given.iter_mut().filter(|one| is_message(one)) {
            let text = text(&delivery.message);
            let Some((place, rest)) = text.split_once(",\"type\":") else { continue };
            if !rest.contains("\"deleted\":true") {
                bodies.insert(place.to_owned(), delivery.message.clone());
            } else if let Some(message) = bodies.get(place) {
                delivery.message = message.clone();
            }
        }
    }

    fn ack_all(&mut self, given: &[Delivery], which: impl Fn(&Delivery) -> bool) {
        let sent = given.iter().filter(|one| one.qos != QoS::AtMostOnce && which(one));
        let sent: Vec<_> = sent.map(|delivery| delivery.id).collect();
        self.inner.acked(&sent);
    }

    /// Leaves out the receipts that another of their chat follows, as if they were told.
    fn coalesce(&mut self, given: &mut Vec<Delivery>) {
        let mut at = 0;
        while let Some(one) = given.get(at) {
            let topic = one.message.topic();
            let followed = given[at + 1..].iter().any(|later| later.message.topic() == topic);
            if followed && !is_message(one) {
                let id = given.remove(at).id;
                self.inner.acked(&[id]);
            } else {
                at += 1;
            }
        }
    }

    /// Takes what others were given, in direct chats that are not the user's own, while there is
    /// room.
    fn overhear(&mut self, given: &mut Vec<Delivery>, room: Room) {
        let mut everything = self.everything.lock();
        everything.extend(given.iter().filter(|one| is_message(one)).cloned());
        while given.len() < room.messages {
            let Some(next) = everything.get(self.heard) else { return };
            self.heard += 1;
            let chat = next.message.topic().split('/').nth(1).unwrap_or_default();
            if chat.split_once('~').is_some_and(|(a, b)| a != &*self.user && b != &*self.user) {
                given.push(next.clone());
            }
        }
    }
}

fn is_message(delivery: &Delivery) -> bool {
    delivery.message.topic().ends_with("/messages")
}

/// The message without the word that explains what it skips.
fn without_after(message: &Arc<Message>) -> Arc<Message> {
    // It is the last of an entry's keys in these runs, which have no events with one behind it.
    let Some((rest, _)) = text(message).split_once(",\"after\":") else { return message.clone() };
    with_payload(message, format!("{rest}}}"))
}

/// The message as if it were deleted, if its place ends in 0.
fn without_body(message: &Arc<Message>) -> Arc<Message> {
    let parts = text(message).split_once(",\"body\":\"message");
    let Some((place, rest)) = parts.filter(|(place, _)| place.contains("0,\"id\":")) else {
        return message.clone();
    };
    let after = rest.split_once(",\"after\":").map_or("}", |(_, after)| after);
    let key = if after == "}" { "" } else { ",\"after\":" };
    with_payload(message, format!("{place},\"deleted\":true{key}{after}"))
}

fn text(message: &Message) -> &str {
    std::str::from_utf8(message.payload()).expect("JSON is UTF-8")
}

fn with_payload(message: &Message, payload: String) -> Arc<Message> {
    let properties = PublishProperties::default();
    let payload = payload.into_bytes().into();
    Arc::new(Message::new(message.topic().into(), payload, &properties, message.retain()))
}

impl HostSession for FaultySession {
    fn publish(&mut self, mut publish: HostPublish) {
        publish.dup &= self.sabotage != Some(Sabotage::OverlooksDup);
        let refuses_otherwise = self.sabotage == Some(Sabotage::RefusesOtherwiseWhatExists);
        if refuses_otherwise && publish.topic.starts_with("chats/alice~bob/typing") {
            publish.topic = "chats/alice~bob/nothing".into();
        }
        let privacy = publish.topic.starts_with("rpc/privacy.set");
        if privacy && self.sabotage == Some(Sabotage::IgnoresPrivacy) {
            publish.payload = b"{\"receipts\":true}".as_slice().into();
        }
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
        let mut given = self.inner.pull(room);
        self.spoil(&mut given, room);
        let wants_ack = given.iter().filter(|delivery| delivery.qos != QoS::AtMostOnce);
        self.unacked.extend(wants_ack.map(|delivery| delivery.id));
        given
    }

    fn acked(&mut self, ids: &[DeliveryId]) {
        self.unacked.retain(|id| !ids.contains(id));
        self.inner.acked(ids);
    }

    fn fetch(&mut self, ids: &[DeliveryId]) {
        if self.sabotage == Some(Sabotage::ForgetsToRedeliver) {
            let nothing = ids.iter().map(|id| (*id, None)).collect();
            self.line.host(HostEvent::Fetched(nothing));
            return;
        }
        self.inner.fetch(ids);
    }

    fn close(&mut self, mut ended: Ended) {
        if self.sabotage == Some(Sabotage::WritesOffWhatWasUnderWay) {
            self.inner.acked(&std::mem::take(&mut self.unacked));
        }
        if self.sabotage == Some(Sabotage::OverlooksWhoGoes) {
            return;
        }
        if self.sabotage == Some(Sabotage::EndsSessionsEarly) {
            ended.expiry_s = 0;
        }
        self.inner.close(ended);
    }
}
