//! Wills that wait: of sessions whose connection was lost, until their delay is over (MQTT 5
//! §3.1.3.2.2).

use std::collections::{BTreeSet, HashMap};

use parking_lot::Mutex;

use crate::host::SessionKey;
use crate::packet::Will;
use crate::session::MonotonicMs;

/// The wills that wait. One per session at most: a session has one connection at a time, and the
/// next one takes the will back.
#[derive(Default)]
pub(crate) struct Wills {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    wills: HashMap<SessionKey, (MonotonicMs, Box<Will>)>,
    due: BTreeSet<(MonotonicMs, SessionKey)>,
}

impl Wills {
    /// Keeps a will until `due`.
    pub(crate) fn keep(&self, key: SessionKey, due: MonotonicMs, will: Box<Will>) {
        let inner = &mut *self.inner.lock();
        inner.due.insert((due, key.clone()));
        if let Some((before, _)) = inner.wills.insert(key.clone(), (due, will))
            && before != due
        {
            inner.due.remove(&(before, key));
        }
    }

    /// Takes the will of a session: it is back, or has ended.
    pub(crate) fn take(&self, key: &SessionKey) -> Option<Box<Will>> {
        let inner = &mut *self.inner.lock();
        let (due, will) = inner.wills.remove(key)?;
        inner.due.remove(&(due, key.clone()));
        Some(will)
    }

    /// Takes those whose time has come, the oldest first.
    pub(crate) fn take_due(&self, now: MonotonicMs) -> Vec<(SessionKey, Box<Will>)> {
        let inner = &mut *self.inner.lock();
        let mut due = Vec::new();
        while inner.due.first().is_some_and(|(at, _)| *at <= now) {
            let Some((_, key)) = inner.due.pop_first() else { break };
            if let Some((_, will)) = inner.wills.remove(&key) {
                due.push((key, will));
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::{PublishProperties, QoS};

    fn key(name: &str) -> SessionKey {
        SessionKey { user: name.into(), client_id: "phone".into() }
    }

    fn will(topic: &str) -> Box<Will> {
        Box::new(Will {
            topic: topic.to_owned(),
            payload: bytes::Bytes::new(),
            qos: QoS::AtLeastOnce,
            retain: false,
            delay_s: 1,
            properties: PublishProperties::default(),
        })
    }

    #[test]
    fn a_will_is_given_once_and_when_it_is_due() {
        let wills = Wills::default();
        wills.keep(key("bob"), 20, will("b"));
        wills.keep(key("alice"), 10, will("a"));
        assert!(wills.take_due(9).is_empty());
        let topics: Vec<_> = wills.take_due(20).into_iter().map(|(_, will)| will.topic).collect();
        assert_eq!(topics, ["a", "b"]);
        assert!(wills.take_due(u64::MAX).is_empty());
    }

    #[test]
    fn a_later_will_replaces_the_earlier_one() {
        let wills = Wills::default();
        wills.keep(key("alice"), 10, will("first"));
        wills.keep(key("alice"), 30, will("second"));
        assert!(wills.take_due(10).is_empty());
        assert_eq!(wills.take(&key("alice")).expect("it waits").topic, "second");
        assert!(wills.take_due(30).is_empty() && wills.take(&key("alice")).is_none());
    }
}
