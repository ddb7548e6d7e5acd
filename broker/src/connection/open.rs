//! How a session comes on line: taken over, resumed, or made.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};

use super::admit::{Refusal, refuse};
use super::wire::Wire;
use crate::broker::Shared;
use crate::host::{Ended, Host, HostEvent, HostSession, Open, Restored, Resume, SessionKey};
use crate::mailbox::{Mailbox, Stop};
use crate::packet::{Connect, Reason, Version};
use crate::registry::Claim;
use crate::session::Session;

/// A session on line with all that serves it.
pub(super) struct Online<T> {
    pub(super) session: Session,
    pub(super) host: T,
    pub(super) claim: Claim,
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
    let fresh = || Arc::new(Mailbox::new(limits.queued_messages_max));
    let mut claim = shared.registry.claim(&key, fresh).await;
    let mut parked = claim.parked.take();
    if connect.clean_start {
        if let Some(parked) = parked.take() {
            forget_plain(shared, &key, &parked.plain_filters());
        }
        // MQTT 5 §3.1.3.2.2: a will that waits is due with the end of its session.
        if let Some(will) = shared.wills.take(&key) {
            shared.publish_will(&key, *will);
        }
        // What was queued belongs to the session that has ended.
        claim.mailbox.clear();
    }
    // Of a session that goes on nobody needs to hear.
    drop(shared.wills.take(&key));
    let line = claim.mailbox.set_online();
    let resume =
        parked.as_ref().map(|parked| Resume { epoch: parked.epoch(), inflight: parked.inflight() });
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
    let mut host = shared.host.open(request, line);
    match opened(&claim.mailbox).await {
        Ok((epoch, restored)) => {
            let same = resumed.is_some_and(|(of, _)| of == epoch);
            if resumed.is_some() && !same {
                // The host has ended that session meanwhile: what was kept of it here is void.
                forget_plain(shared, &key, &session.plain_filters());
                claim.mailbox.clear();
                session = Session::new(key.clone(), connect, limits.clone(), now);
            }
            let present = same || restored.is_some();
            session.restore(restored.unwrap_or_default());
            session.handle_opened(epoch, connect, present, assigned);
            if shared.is_stopping() {
                // It may have come too late to be told with all others.
                claim.mailbox.stop(Stop::Reason(Reason::SERVER_SHUTTING_DOWN));
            }
            Some(Online { session, host, claim })
        }
        Err(reason) => {
            // The host cannot now; the session is as it was and may be resumed later.
            host.close(Ended { lives_on: true, goodbye: false, silent_ms: 0 });
            claim.mailbox.set_offline();
            let parked = resumed.and_then(|(_, expiry_s)| session.park_for(expiry_s));
            shared.registry.release(&key, claim, parked, shared.now());
            let refused: Result<(), Refusal> = refuse(shared, wire, connect.version, reason).await;
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
    let (mut early, mut news, mut stop, mut answer) = (Vec::new(), false, None, None);
    while answer.is_none() {
        let mail = mailbox.take(0);
        news |= mail.news;
        stop = stop.or(mail.stop);
        for event in mail.events {
            match event {
                HostEvent::Opened { epoch, restored } => answer = Some(Ok((epoch, restored))),
                HostEvent::Close(reason) => answer = Some(Err(reason)),
                other => early.push(other),
            }
        }
        if answer.is_none() {
            mailbox.wait().await;
        }
    }
    mailbox.put_back(early, news);
    if let Some(stop) = stop {
        mailbox.stop(stop);
    }
    answer.unwrap_or(Err(Reason::UNSPECIFIED))
}

pub(super) fn forget_plain<H: Host>(shared: &Shared<H>, key: &SessionKey, filters: &[Arc<str>]) {
    for filter in filters {
        shared.router.unsubscribe(key, filter);
    }
}
