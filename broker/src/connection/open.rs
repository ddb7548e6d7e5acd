//! How a session comes on line: taken over, resumed, or made.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};

use super::admit::{Refusal, refuse};
use super::wire::Wire;
use crate::broker::Shared;
use crate::host::{Ended, Host, HostEvent, HostSession, Open, Restored, Resume, SessionKey};
use crate::keep::SessionRef;
use crate::mailbox::{Line, Mail, Mailbox, PlainDelivery, Stop};
use crate::packet::{Connect, Reason, Version};
use crate::registry::{Claim, TooMany};
use crate::session::{Parked, Session};
use crate::stats::Stats;

/// A session on line with all that serves it.
pub(super) struct Online<T> {
    pub(super) session: Session,
    pub(super) host: T,
    pub(super) claim: Claim,
    /// The way to this connection.
    pub(super) line: Line,
}

/// Takes the session over from whoever had it and opens it with the host.
pub(super) async fn open<H: Host, S: AsyncRead + AsyncWrite + Unpin>(
    shared: &Arc<Shared<H>>,
    wire: &mut Wire<S>,
    connect: &Connect,
    key: SessionKey,
    assigned: bool,
) -> Option<Online<H::Session>> {
    let limits = &shared.limits;
    let fresh = || Arc::new(Mailbox::new(shared.queues.clone()));
    let claim = shared.registry.claim(&key, limits.sessions_per_user_max, fresh).await;
    let (claim, mut parked) = match claim {
        Ok(claimed) => claimed,
        Err(TooMany) => {
            Stats::add(&shared.stats.sessions_refused, 1);
            let reason = Reason::QUOTA_EXCEEDED;
            let refused: Result<(), Refusal> = refuse(shared, wire, connect, reason).await;
            tracing::debug!(user = %key.user, sent = refused.is_ok(), "too many sessions");
            return None;
        }
    };
    if connect.clean_start {
        // What was queued belongs to the session that has ended.
        if let Some(mut parked) = parked.take() {
            let filters = parked.plain_filters();
            shared.end_plain(&key, &filters, &claim.mailbox, |wanted| parked.take_shared(wanted));
        }
        // MQTT 5 §3.1.3.2.2: a will that waits is due with the end of its session.
        if let Some(will) = shared.wills.take(&key) {
            shared.publish_will(&key, *will);
        }
    }
    // Of a session that goes on nobody needs to hear.
    drop(shared.wills.take(&key));
    let line = claim.mailbox.set_online();
    // Of one that was kept over a restart the host has its own part, and gives it back.
    let known = parked.as_ref().filter(|parked| !parked.is_restored());
    let resume = known.map(|parked| Resume { epoch: parked.epoch(), inflight: parked.inflight() });
    let restored = parked.as_ref().is_some_and(Parked::is_restored);
    let resumed = parked.as_ref().map(|parked| (parked.epoch(), parked.expiry_s()));
    let now = shared.now();
    let mut session = match parked {
        Some(parked) => Session::resume(key.clone(), connect, limits.clone(), now, parked),
        None => Session::new(key.clone(), connect, limits.clone(), now),
    };
    let request = Open {
        key: key.clone(),
        resume,
        clean_start: connect.clean_start,
        expiry_s: session.expiry_s(),
        max_packet_bytes: session.max_packet_bytes(),
        mqtt5: connect.version == Version::V5,
        client: client(connect),
    };
    let mut host = shared.host.open(request, line.clone());
    match opened(&claim.mailbox).await {
        Ok((epoch, restored)) => {
            let same = resumed.is_some_and(|(of, _)| of == epoch);
            if resumed.is_some() && !same {
                // The host has ended that session meanwhile: what was kept of it here is void.
                let filters = session.plain_filters();
                let take =
                    |wanted: &mut dyn FnMut(&PlainDelivery) -> bool| session.take_shared(wanted);
                shared.end_plain(&key, &filters, &claim.mailbox, take);
                session = Session::new(key.clone(), connect, limits.clone(), now);
            }
            let present = same || restored.is_some();
            session.restore(restored.unwrap_or_default());
            let of = SessionRef { key: key.clone(), epoch };
            shared.keep_online(&claim.mailbox, of, session.expiry_s());
            session.handle_opened(epoch, connect, present, assigned);
            if shared.is_stopping() {
                // It may have come too late to be told with all others.
                claim.mailbox.stop(Stop::Reason(shared.stop_reason()));
            }
            Some(Online { session, host, claim, line })
        }
        Err(reason) => {
            // The host cannot now; the session is as it was and may be resumed later.
            let expiry_s = resumed.map_or(0, |(_, expiry_s)| expiry_s);
            host.close(Ended { expiry_s, goodbye: false, silent_ms: 0 });
            claim.mailbox.set_offline();
            let mut parked = resumed.and_then(|(_, expiry_s)| session.park_for(expiry_s));
            if let Some(parked) = &mut parked {
                parked.set_restored(restored);
                shared.park_plain(&key, &claim.mailbox, parked);
            }
            shared.registry.release(&key, claim, parked, shared.now());
            let refused: Result<(), Refusal> = refuse(shared, wire, connect, reason).await;
            tracing::debug!(?reason, sent = refused.is_ok(), "the host refused the session");
            None
        }
    }
}

/// What the client says that it is.
fn client(connect: &Connect) -> Option<String> {
    let said = connect.user_properties.iter().find(|(name, _)| name == "client");
    said.map(|(_, value)| value.clone())
}

/// Waits for the host's answer to an open. Whatever else arrives meanwhile is for the session and
/// put back once there is one: put back earlier, it would wake this again and again.
async fn opened(mailbox: &Mailbox) -> Result<(u64, Option<Vec<Restored>>), Reason> {
    let (mut early, mut answer) = (Mail::default(), None);
    while answer.is_none() {
        let mail = mailbox.take(0, 0);
        early.news |= mail.news;
        early.words.extend(mail.words);
        early.stop = early.stop.or(mail.stop);
        for event in mail.events {
            match event {
                HostEvent::Opened { epoch, restored } => answer = Some(Ok((epoch, restored))),
                HostEvent::Close(reason) => answer = Some(Err(reason)),
                other => early.events.push(other),
            }
        }
        if answer.is_none() {
            mailbox.wait().await;
        }
    }
    mailbox.put_back(early);
    answer.unwrap_or(Err(Reason::UNSPECIFIED))
}
