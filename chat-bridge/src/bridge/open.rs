//! A session goes on line: what the store has of it, and which session it is.

use std::sync::Arc;

use bluetick_broker::host::{HostEvent, Open, Restored, Resume};
use bluetick_broker::mailbox::Line;
use bluetick_broker::packet::{FilterRequest, QoS, Reason};

use super::Shared;
use super::session::Opened;
use crate::engine::{Command, Millis, SavedSession, SavedSubscription, SessionKey};

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
pub(super) fn run(
    shared: &Arc<Shared>,
    key: &SessionKey,
    open: &Open,
    line: Line,
    opened: impl FnOnce(Opened),
) {
    let partition = shared.of_user(&key.user);
    let saved = match shared.store().session(partition.no(), key) {
        Ok(saved) => saved,
        Err(error) => {
            tracing::error!(%error, "the store cannot be read");
            line.host(HostEvent::Close(Reason::SERVER_UNAVAILABLE));
            return;
        }
    };
    let now = shared.now_ms();
    let persistent = open.expiry_s > 0;
    let kept = saved.filter(|saved| !open.clean_start && !saved.is_over(now));
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
    opened(Opened { epoch, persistent, subscriptions: subscriptions.clone(), inflight });
    let answer = HostEvent::Opened { epoch, restored };
    let session =
        SavedSession { epoch, expiry_s: open.expiry_s, disconnected_at_ms: None, subscriptions };
    if kept.as_ref() == Some(&session) || (kept.is_none() && !persistent && open.resume.is_none()) {
        if kept.is_none() {
            // A record of a session that has ended, if there is one, goes with the next batch.
            forget(shared, key, now);
        }
        line.host(answer);
        return;
    }
    // Before the client is told that it has a session, the session is stored: what it sends may
    // have to be recognised after a restart.
    let command = match persistent || kept.is_some() {
        true => Command::SaveSession { key: key.clone(), session },
        false => Command::DropSession { key: key.clone() },
    };
    let reply = move |outcome: Result<_, _>| match outcome {
        Ok(_) => line.host(answer),
        Err(_) => line.host(HostEvent::Close(Reason::SERVER_UNAVAILABLE)),
    };
    partition.submit(command, now, Some(Box::new(reply)));
}

fn forget(shared: &Shared, key: &SessionKey, now: Millis) {
    let partition = shared.of_user(&key.user);
    if let Ok(Some(_)) = shared.store().session(partition.no(), key) {
        partition.submit(Command::DropSession { key: key.clone() }, now, None);
    }
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
