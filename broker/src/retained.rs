//! Retained messages (MQTT 5 §3.3.1.3): the newest of each topic, for those who subscribe later.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};

use crate::host::SessionKey;
use crate::limits::Limits;
use crate::message::Message;
use crate::packet::{FilterRequest, QoS};
use crate::session::MonotonicMs;
use crate::topic;

/// How many topics are looked at while publishers of retained messages wait.
const LOOKED_AT_MAX: usize = 512;

/// All retained messages.
///
/// Whoever retains a message routes it under the same lock, and whoever subscribes is given what is
/// retained under it: a session never sees an older message of a topic after a newer one.
#[derive(Default)]
pub(crate) struct Retained {
    inner: Mutex<Messages>,
}

/// The retained messages, while nobody else has them.
#[derive(Default)]
pub(crate) struct Messages {
    by_topic: BTreeMap<Arc<str>, Held>,
    expiring: BTreeSet<(MonotonicMs, Arc<str>)>,
    bytes: usize,
}

/// A retained message.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) message: Arc<Message>,
    pub(crate) qos: QoS,
    pub(crate) from: SessionKey,
}

/// One more, or a larger one, than may be retained.
#[derive(Debug)]
pub(crate) struct Full;

/// A subscription that is being given what is retained, a page at a time.
#[derive(Debug)]
pub(crate) struct Cursor {
    pub(crate) request: FilterRequest,
    pub(crate) subscription_id: Option<u32>,
    /// The last topic that was looked at.
    after: Option<Arc<str>>,
}

/// Topics whose change is not with the keeper yet. Nobody waits for it, and of many changes of one
/// topic the last is saved.
#[derive(Default)]
pub(crate) struct Unsaved {
    inner: Mutex<Saving>,
}

#[derive(Default)]
struct Saving {
    topics: BTreeSet<Arc<str>>,
    busy: bool,
}

impl Unsaved {
    pub(crate) fn note(&self, topic: Arc<str>) {
        self.inner.lock().topics.insert(topic);
    }

    /// The topics to be saved now, if no others are being saved.
    pub(crate) fn begin(&self) -> Option<BTreeSet<Arc<str>>> {
        let inner = &mut *self.inner.lock();
        let due = !inner.busy && !inner.topics.is_empty();
        inner.busy |= due;
        due.then(|| std::mem::take(&mut inner.topics))
    }

    /// Those are saved, or are to be tried again.
    pub(crate) fn end(&self, topics: BTreeSet<Arc<str>>, saved: bool) {
        let inner = &mut *self.inner.lock();
        inner.busy = false;
        if !saved {
            inner.topics.extend(topics);
        }
    }
}

impl Retained {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Messages> {
        self.inner.lock()
    }
}

impl Messages {
    /// Retains a message in place of the one before; an empty one removes it.
    pub(crate) fn set(&mut self, held: Held, limits: &Limits) -> Result<(), Full> {
        let topic = held.message.shared_topic().clone();
        if held.message.payload().is_empty() {
            self.remove(&topic);
            return Ok(());
        }
        let before = self.by_topic.get(&topic).map(|had| had.message.bytes());
        let bytes = self.bytes - before.unwrap_or(0) + held.message.bytes();
        let count = self.by_topic.len() + usize::from(before.is_none());
        if count > limits.retained_messages_max || bytes > limits.retained_bytes_max {
            return Err(Full);
        }
        self.restore(held);
        Ok(())
    }

    /// The same without limits.
    pub(crate) fn restore(&mut self, held: Held) {
        let topic = held.message.shared_topic().clone();
        self.remove(&topic);
        self.bytes += held.message.bytes();
        if let Some(at) = held.message.expires_at() {
            self.expiring.insert((at, topic.clone()));
        }
        self.by_topic.insert(topic, held);
    }

    fn remove(&mut self, topic: &str) {
        if let Some((topic, had)) = self.by_topic.remove_entry(topic) {
            self.bytes -= had.message.bytes();
            if let Some(at) = had.message.expires_at() {
                self.expiring.remove(&(at, topic));
            }
        }
    }

    pub(crate) fn get(&self, topic: &str) -> Option<&Held> {
        self.by_topic.get(topic)
    }

    /// Number and bytes.
    pub(crate) fn content(&self) -> (usize, usize) {
        (self.by_topic.len(), self.bytes)
    }

    /// Removes those whose life is over; gives their topics.
    pub(crate) fn expire(&mut self, now: MonotonicMs) -> Vec<Arc<str>> {
        let mut expired = Vec::new();
        while self.expiring.first().is_some_and(|(at, _)| *at <= now) {
            let Some((_, topic)) = self.expiring.pop_first() else { break };
            if let Some(had) = self.by_topic.remove(&topic) {
                self.bytes -= had.message.bytes();
            }
            expired.push(topic);
        }
        expired
    }

    /// The next messages for a subscription, up to `max`; `give` says whether it has taken one.
    /// Tells whether that was all.
    pub(crate) fn page(
        &self,
        cursor: &mut Cursor,
        max: usize,
        mut give: impl FnMut(&Held) -> bool,
    ) -> bool {
        let filter = cursor.request.filter.clone();
        let prefix = literal_prefix(&filter);
        let from = match &cursor.after {
            Some(after) => Bound::Excluded(&**after),
            None => Bound::Included(prefix),
        };
        let mut given = 0;
        let topics = self.by_topic.range::<str, _>((from, Bound::Unbounded));
        for (looked_at, (topic, held)) in topics.enumerate() {
            if !topic.starts_with(prefix) {
                break;
            }
            if looked_at >= LOOKED_AT_MAX || given >= max {
                return false;
            }
            if topic::matches(&filter, topic) {
                if !give(held) {
                    return false;
                }
                given += 1;
            }
            cursor.after = Some(topic.clone());
        }
        true
    }
}

impl Cursor {
    pub(crate) fn new(request: FilterRequest, subscription_id: Option<u32>) -> Self {
        Self { request, subscription_id, after: None }
    }
}

/// What all topics begin with that match.
fn literal_prefix(filter: &str) -> &str {
    let wildcard = filter.find(['+', '#']).unwrap_or(filter.len());
    let prefix = &filter[..wildcard];
    // `a/#` matches `a` as well.
    if filter[wildcard..].starts_with('#') {
        prefix.strip_suffix('/').unwrap_or(prefix)
    } else {
        prefix
    }
}

/// The subscriptions of a session that are being given what is retained, in the order they were
/// made: as many as it has subscriptions.
pub(crate) type Cursors = VecDeque<Cursor>;

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::packet::PublishProperties;

    fn held(topic: &str, body: &str, expiry_s: Option<u32>) -> Held {
        let properties = PublishProperties { message_expiry_s: expiry_s, ..Default::default() };
        let body = Bytes::copy_from_slice(body.as_bytes());
        let message = Message::new(topic.into(), body, &properties, true).counted_from(0);
        let from = SessionKey { user: "alice".into(), client_id: "a".into() };
        Held { message: Arc::new(message), qos: QoS::AtLeastOnce, from }
    }

    fn cursor(filter: &str) -> Cursor {
        let request = FilterRequest {
            filter: filter.into(),
            qos: QoS::AtLeastOnce,
            no_local: false,
            retain_as_published: false,
            retain_handling: 0,
        };
        Cursor::new(request, None)
    }

    fn all(messages: &Messages, filter: &str, max: usize) -> Vec<String> {
        let (mut cursor, mut found) = (cursor(filter), Vec::new());
        while !messages.page(&mut cursor, max, |held| {
            found.push(held.message.topic().to_owned());
            true
        }) {}
        found
    }

    #[test]
    fn a_filter_is_given_what_matches_whatever_the_pages() {
        let mut messages = Messages::default();
        let mut topics: Vec<String> = Vec::new();
        for a in ["a", "b", "a!", "$x", ""] {
            topics.push(a.to_owned());
            for b in 0..40 {
                topics.push(format!("{a}/{b}"));
                topics.push(format!("{a}/{b}/c"));
            }
        }
        for topic in topics.iter().filter(|topic| !topic.is_empty()) {
            messages.restore(held(topic, "x", None));
        }
        let filters =
            ["#", "a", "a/#", "a/+", "+/7", "+/7/c", "a/7/#", "none", "/#", "/+/c", "$x/#", "+"];
        for filter in filters {
            let mut expected: Vec<_> = topics
                .iter()
                .filter(|topic| !topic.is_empty() && topic::matches(filter, topic))
                .cloned()
                .collect();
            expected.sort();
            for max in [1, 7, 1000] {
                assert_eq!(all(&messages, filter, max), expected, "{filter}");
            }
        }
    }

    #[test]
    fn one_that_is_not_taken_comes_again() {
        let mut messages = Messages::default();
        for topic in ["a", "b", "c"] {
            messages.restore(held(topic, "x", None));
        }
        let mut cursor = cursor("#");
        assert!(!messages.page(&mut cursor, 9, |held| held.message.topic() == "a"));
        let mut rest = Vec::new();
        assert!(messages.page(&mut cursor, 9, |held| {
            rest.push(held.message.topic().to_owned());
            true
        }));
        assert_eq!(rest, ["b", "c"]);
    }

    #[test]
    fn limits_count_what_is_there() {
        let limits =
            Limits { retained_messages_max: 2, retained_bytes_max: 700, ..Limits::default() };
        let mut messages = Messages::default();
        assert!(messages.set(held("a", "1", None), &limits).is_ok());
        assert!(messages.set(held("b", "1", None), &limits).is_ok());
        assert!(messages.set(held("c", "1", None), &limits).is_err(), "a third one");
        assert!(messages.set(held("a", "2", None), &limits).is_ok(), "in place of the first");
        assert!(messages.set(held("a", &"x".repeat(700), None), &limits).is_err(), "too large");
        assert_eq!(&messages.get("a").expect("it stays").message.payload()[..], b"2");
        assert!(messages.set(held("a", "", None), &limits).is_ok());
        assert!(messages.set(held("c", "1", None), &limits).is_ok(), "there is room again");
        messages.set(held("b", "", None), &limits).expect("removed");
        messages.set(held("c", "", None), &limits).expect("removed");
        assert_eq!(messages.content(), (0, 0));
    }

    #[test]
    fn what_has_expired_goes() {
        let mut messages = Messages::default();
        messages.restore(held("a", "1", Some(1)));
        messages.restore(held("b", "1", Some(2)));
        messages.restore(held("b", "2", Some(9)));
        assert_eq!(messages.expire(5_000), ["a".into()]);
        assert_eq!(messages.content().0, 1);
        assert_eq!(messages.expire(9_000), ["b".into()]);
        assert_eq!(messages.content(), (0, 0));
    }
}
