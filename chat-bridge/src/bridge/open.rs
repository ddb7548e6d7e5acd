//! A session goes on line: what the store has of it, and which session it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bluetick_broker::host::{HostEvent, Open, Restored, Resume};
use bluetick_broker::packet::{FilterRequest, QoS, Reason};
use parking_lot::Mutex;

use super::session::{Inner, Opened};
use crate::engine::{Millis, SavedSession, SavedSubscription};
use crate::store::StoreError;

/// `u32::MAX` as an expiry: never.
const NEVER: u32 = u32::MAX;

impl SavedSession {
    /// Whether its time without a connection is over.
    #[must_use]
    pub fn is_over(&self, now: Millis) -> bool {
        match self.disconnected_at_ms {
            Some(at) if self.expiry_s != NEVER => {
                at.saturating_add(u64::from(self.expiry_s) * 1000) <= now
            }
            _ => false,
        }
    }
}

/// Something that the answer to the broker waits for; it is given once nothing is left of that,
/// whichever comes last. What the client sends then finds all of it. Dropped before it is
/// [done](Self::done), it has failed.
pub(super) struct Pending {
    last: Arc<Last>,
    done: bool,
}

type Then = Box<dyn FnOnce(bool) + Send>;

/// What the last [`Pending`] leaves behind.
struct Last {
    /// Called with whether all of them were done.
    then: Mutex<Option<Then>>,
    failed: AtomicBool,
}

impl Pending {
    fn new(then: impl FnOnce(bool) + Send + 'static) -> Self {
        let then = Mutex::new(Some(Box::new(then) as Then));
        Self { last: Arc::new(Last { then, failed: AtomicBool::new(false) }), done: false }
    }

    /// Another one for the same answer.
    pub(super) fn another(&self) -> Self {
        Self { last: self.last.clone(), done: false }
    }

    pub(super) fn done(mut self) {
        self.done = true;
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if !self.done {
            self.last.failed.store(true, Ordering::Release);
        }
    }
}

impl Drop for Last {
    fn drop(&mut self) {
        if let Some(then) = self.then.get_mut().take() {
            then(!*self.failed.get_mut());
        }
    }
}

/// Reads what there is of the session, decides which one it is, and answers the broker. Blocks.
pub(super) fn run(inner: &Arc<Inner>, open: &Open, opened: impl FnOnce(Opened, &Pending)) {
    let Inner { shared, key, .. } = &**inner;
    let line = inner.line.clone();
    let read = || Ok((shared.session_record(key)?, shared.person(&key.user)?));
    let (saved, person) = match read() {
        Ok(read) => read,
        Err(error) => {
            let error: StoreError = error;
            tracing::error!(%error, "the store cannot be read");
            line.host(HostEvent::Close(Reason::SERVER_UNAVAILABLE));
            return;
        }
    };
    let now = shared.now_ms();
    let persistent = open.expiry_s > 0;
    let kept = saved.clone().filter(|saved| !open.clean_start && !saved.is_over(now));
    // The broker's own state and the store's must be of the same session.
    let resumed = open
        .resume
        .as_ref()
        .filter(|resume| kept.as_ref().is_some_and(|kept| kept.epoch == resume.epoch));
    let epoch = kept.as_ref().map_or_else(|| shared.environment.random(), |kept| kept.epoch);
    let subscriptions = kept.as_ref().map(|kept| kept.subscriptions.clone()).unwrap_or_default();
    let restored = match (&kept, resumed) {
        (Some(kept), None) => Some(kept.subscriptions.iter().filter_map(restore).collect()),
        _ => None,
    };
    let inflight = resumed.map(|Resume { inflight, .. }| inflight.clone()).unwrap_or_default();
    // One that goes on has a record, also if it is to end with this connection.
    let recorded = persistent || kept.is_some();
    let answered = (inner.clone(), line.clone());
    let pending = Pending::new(move |done| {
        let (inner, line) = answered;
        if done {
            inner.opened.store(true, Ordering::Release);
            line.host(HostEvent::Opened { epoch, restored });
        } else {
            line.host(HostEvent::Close(Reason::SERVER_UNAVAILABLE));
        }
    });
    let subscribed = subscriptions.clone();
    let kept_expiry_s = kept.as_ref().map_or(0, |kept| kept.expiry_s);
    let found =
        Opened { epoch, recorded, kept_expiry_s, subscriptions: subscribed, inflight, person };
    opened(found, &pending);
    if let (Some(saved), None) = (&saved, &kept) {
        // The session before has ended: so have its places in the chats.
        shared.forget_device(key, Some(saved.epoch));
    }
    if !recorded && open.resume.is_none() {
        // A record of a session that has ended, if there is one, goes with the next batch.
        if saved.is_some() {
            shared.put_session_record(key.clone(), None, None);
        }
        return pending.done();
    }
    let session = SavedSession {
        epoch,
        expiry_s: open.expiry_s,
        disconnected_at_ms: None,
        last_seen_ms: now,
        client: inner.client.to_string(),
        subscriptions,
    };
    // Before the client is told that it has a session, the session is stored: what it sends may
    // have to be recognised after a restart.
    let reply = move |outcome: Result<_, _>| {
        if outcome.is_ok() {
            pending.done();
        }
    };
    shared.put_session_record(key.clone(), recorded.then_some(session), Some(Box::new(reply)));
}

fn restore(saved: &SavedSubscription) -> Option<Restored> {
    let request = FilterRequest {
        filter: saved.filter.clone(),
        qos: QoS::from_bits(saved.qos)?,
        no_local: saved.no_local,
        retain_as_published: false,
        retain_handling: 0,
    };
    Some(Restored { request, subscription_id: saved.id })
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn pending() -> (Pending, mpsc::Receiver<bool>) {
        let (answer, answered) = mpsc::channel();
        (Pending::new(move |done| answer.send(done).expect("the test listens")), answered)
    }

    #[test]
    fn the_answer_waits_for_the_last() {
        let (first, answered) = pending();
        let others = [first.another(), first.another()];
        first.done();
        for other in others {
            assert!(answered.try_recv().is_err());
            other.done();
        }
        assert_eq!(answered.try_recv(), Ok(true));
    }

    #[test]
    fn one_that_is_dropped_fails_all() {
        for dropped in 0..3 {
            let (first, answered) = pending();
            let all = [first.another(), first.another(), first];
            for (at, pending) in all.into_iter().enumerate() {
                if at == dropped { drop(pending) } else { pending.done() }
            }
            assert_eq!(answered.try_recv(), Ok(false), "{dropped}");
        }
    }
}
