//! A session goes on line: what the store has of it, and which session it is.

use bluetick_broker::host::{HostEvent, Open, Restored, Resume};
use bluetick_broker::packet::{FilterRequest, QoS, Reason};

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

/// Reads what there is of the session, decides which one it is, and answers the broker. Blocks.
pub(super) fn run(inner: &Inner, open: &Open, opened: impl FnOnce(Opened)) {
    let Inner { shared, key, .. } = inner;
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
    opened(Opened { epoch, recorded, subscriptions: subscriptions.clone(), inflight, person });
    let answer = HostEvent::Opened { epoch, restored };
    if let (Some(saved), None) = (&saved, &kept) {
        // The session before has ended: so have its places in the chats.
        shared.forget_device(key, Some(saved.epoch));
    }
    if !recorded && open.resume.is_none() {
        // A record of a session that has ended, if there is one, goes with the next batch.
        if saved.is_some() {
            shared.put_session_record(key.clone(), None, None);
        }
        line.host(answer);
        return;
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
    let reply = move |outcome: Result<_, _>| match outcome {
        Ok(_) => line.host(answer),
        Err(_) => line.host(HostEvent::Close(Reason::SERVER_UNAVAILABLE)),
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
