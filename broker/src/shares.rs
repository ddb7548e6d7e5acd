//! Shared subscriptions (MQTT 5 §4.8.2): a message goes to one of those who share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::host::SessionKey;
use crate::mailbox::{Mailbox, PlainDelivery, Readiness};
use crate::message::Message;
use crate::packet::QoS;
use crate::queue::Offered;
use crate::router::Route;

/// All who share one filter under one name; never empty in the router.
pub(crate) struct Group {
    /// The whole filter, with the share name.
    filter: Arc<str>,
    members: Vec<(SessionKey, Route)>,
    /// Where to look first the next time.
    next: AtomicUsize,
}

impl Group {
    pub(crate) fn new(filter: Arc<str>) -> Self {
        Self { filter, members: Vec::new(), next: AtomicUsize::new(0) }
    }

    /// Adds a member or replaces what it has subscribed; tells whether it is new.
    pub(crate) fn join(&mut self, key: SessionKey, route: Route) -> bool {
        match self.members.iter_mut().find(|(member, _)| *member == key) {
            Some((_, had)) => {
                *had = route;
                false
            }
            None => {
                self.members.push((key, route));
                true
            }
        }
    }

    /// Whether it is a member.
    pub(crate) fn has(&self, key: &SessionKey) -> bool {
        self.members.iter().any(|(member, _)| member == key)
    }

    /// Tells whether it was a member.
    pub(crate) fn leave(&mut self, key: &SessionKey) -> bool {
        let before = self.members.len();
        self.members.retain(|(member, _)| member != key);
        self.members.len() < before
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(crate) fn for_each(&self, mut f: impl FnMut(&SessionKey, &Route)) {
        self.members.iter().for_each(|(member, route)| f(member, route));
    }

    /// Whether there is another member on line.
    pub(crate) fn has_another_online(&self, than: &SessionKey) -> bool {
        let mut others = self.members.iter().filter(|(member, _)| member != than);
        others.any(|(_, route)| route.is_allowed() && route.mailbox.is_online())
    }

    /// Gives a message to one member: in turn to those with whom nothing waits; if there is none,
    /// to the one on line with whom the fewest wait; if there is none, likewise to one off line.
    /// `None`: nobody has room for it.
    pub(crate) fn give(
        &self,
        message: &Arc<Message>,
        qos: QoS,
        not_to: Option<&SessionKey>,
    ) -> Option<(Arc<Mailbox>, Offered)> {
        let count = self.members.len();
        let start = self.next.fetch_add(1, Ordering::Relaxed);
        let mut best: Option<(Readiness, &Route)> = None;
        for turn in 0..count {
            let (key, route) = &self.members[(start + turn) % count];
            if Some(key) == not_to || !route.is_allowed() {
                continue;
            }
            let readiness = route.mailbox.readiness(message.bytes(), qos.min(route.qos));
            if readiness != Readiness::Full && best.is_none_or(|(had, _)| readiness < had) {
                best = Some((readiness, route));
            }
            if readiness == Readiness::Idle {
                break;
            }
        }
        let (_, route) = best?;
        let share = Some(self.filter.clone());
        let delivery = PlainDelivery { share, ..route.delivery(message, qos) };
        Some((route.mailbox.clone(), route.mailbox.offer(delivery)))
    }
}
