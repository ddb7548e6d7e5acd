//! The life of a connection: packets, the host's answers and timers to the session, and what it
//! wants done to whom it concerns.

use std::cell::Cell;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;

use super::ended::{Ended, is_clients_fault};
use super::open::Online;
use super::stall::Stall;
use super::wire::{READ_BYTES, Wire, count_if_malformed};
use crate::broker::Shared;
use crate::codec;
use crate::host::{self, Access, Host, HostEvent, HostPublish, HostSession, Token};
use crate::keep::{Change, SessionRef};
use crate::mailbox::{Line, Mailbox, Stop, Word};
use crate::packet::{FilterRequest, QoS, Reason, Version};
use crate::plain::{self, Asker, Published, Subscribed};
use crate::retained::Cursor;
use crate::router::TooMany;
use crate::session::{Call, Close, Finished, Parked, Session};
use crate::stats::{Load, LoadOf, Stats};
use crate::sys;
use crate::topic::split_share;

/// How long a last word to a client may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// What acknowledgements begin with: flags are 0 (MQTT 5 §2.1.3).
const PUBACK: u8 = 4 << 4;
const PUBREC: u8 = 5 << 4;

thread_local! {
    /// What is to be sent is put together in: one per thread, so that an idle connection owns no
    /// buffer.
    static TRANSMIT: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Serves the session until its connection ends, and parks it then.
pub(super) async fn run<H: Host, S: AsyncRead + AsyncWrite + Unpin>(
    shared: &Arc<Shared<H>>,
    wire: Wire<S>,
    online: Online<H::Session>,
    address: SocketAddr,
) {
    let Online { session, host, claim, line } = online;
    let mailbox = claim.mailbox.clone();
    let mut driver = Driver {
        shared,
        wire,
        session,
        host,
        mailbox,
        line,
        unanswered: Vec::new(),
        cursors: Vec::new(),
        counted: 0,
        timed: VecDeque::new(),
        read_at: Instant::now(),
        plain_left: 0,
        plain_ready: false,
        stall: Stall::default(),
        load: Load::new(&shared.stats),
    };
    let ended = match driver.drive().await {
        Ok(never) => match never {},
        Err(ended) => ended,
    };
    driver.carry_out_rest();
    match &ended {
        Ended::Closed(close) => {
            tracing::debug!(%address, reason = ?close.reason, detail = close.detail, "closed");
            if !close.by_client && is_clients_fault(close.reason) {
                Stats::add(&shared.stats.protocol_errors, 1);
            }
            driver.session.write_disconnect(close);
            driver.count_written();
            driver.farewell().await;
        }
        Ended::Lost(error) => {
            tracing::debug!(%address, %error, "connection lost");
            count_if_malformed(&shared.stats, error);
        }
    }
    let Driver { mut session, mut host, mailbox, .. } = driver;
    let key = session.key().clone();
    let plain = session.plain_filters();
    mailbox.set_offline();
    let will = session.take_will();
    let goodbye = matches!(&ended, Ended::Closed(close) if close.by_client);
    let silent_ms = session.silent_ms(shared.now());
    let mut taken = Vec::new();
    if session.expiry_s() == 0 {
        taken = session.take_shared(|_| true);
    }
    let mut parked = session.park();
    let now = shared.now();
    match &mut parked {
        Some(parked) => shared.park_plain(&key, &mailbox, parked),
        None => shared.end_plain(&key, &plain, &mailbox, |_| std::mem::take(&mut taken)),
    }
    if let Some(will) = will {
        let expiry_s = parked.as_ref().map_or(0, Parked::expiry_s);
        match will.delay_s.min(expiry_s) {
            0 => shared.publish_will(&key, *will),
            wait_s => shared.wills.keep(key.clone(), now + u64::from(wait_s) * 1000, will),
        }
    }
    host.close(host::Ended { lives_on: parked.is_some(), goodbye, silent_ms });
    shared.registry.release(&key, claim, parked, now);
}

struct Driver<'a, H: Host, S> {
    shared: &'a Shared<H>,
    wire: Wire<S>,
    session: Session,
    host: H::Session,
    mailbox: Arc<Mailbox>,
    line: Line,
    /// Publishes at QoS 0 that are with the host. MQTT has no window for them, and the host is not
    /// to be given more than it can take.
    unanswered: Vec<Token>,
    /// How many bytes of the session's `transmit` are of packets that are counted.
    counted: usize,
    /// Publishes whose acknowledgements are timed: packet id and when they were read, in their
    /// order, which is that of the acknowledgements. The window bounds them.
    timed: VecDeque<(u16, Instant)>,
    /// When the session was last given packets.
    read_at: Instant,
    /// Messages of plain topics that the mailbox still has.
    plain_left: usize,
    /// The next of them can be taken.
    plain_ready: bool,
    stall: Stall,
    load: Load<'a>,
    /// Subscriptions that are being stored and want what is retained then.
    cursors: Vec<(Token, Cursor)>,
}

impl<H: Host, S: AsyncRead + AsyncWrite + Unpin> Driver<'_, H, S> {
    async fn drive(&mut self) -> Result<Infallible, Ended> {
        // Only moved when it fires: packets push the real deadline, not the timer.
        let timer = tokio::time::sleep_until(self.deadline());
        tokio::pin!(timer);
        loop {
            self.lend_buffer();
            self.session.handle_clock(self.shared.now());
            self.handle_mail()?;
            let looked = self.shared.give_retained(self.session.key(), &self.mailbox);
            let stalled = self.handle_inbox()?;
            self.carry_out()?;
            self.count_written();
            self.write_now().await?;
            self.count_load();
            self.return_buffer();
            if self.session.has_more(self.plain_ready) {
                // What was written has made room, of which nobody else tells.
                self.mailbox.wake();
            }
            if looked {
                // There may be a million topics that one subscription wants looked at.
                tokio::task::yield_now().await;
            }
            let wants_read = self.wants_read();
            if stalled && wants_read {
                // What was read waited for room in the window, and there is some again.
                continue;
            }
            if self.stall.due(self.shared.limits.stall_timeout_ms).is_some() {
                let deadline = self.deadline();
                if deadline < timer.deadline() {
                    timer.as_mut().reset(deadline);
                }
            }
            let Self { shared, wire, session, mailbox, counted, stall, .. } = self;
            tokio::select! {
                biased;
                moved = wire.wait(wants_read, &mut session.transmit) => {
                    let moved = moved?;
                    *counted = session.transmit.len();
                    stall.sent(*counted > 0, moved.written > 0, shared.now());
                    Stats::add(&shared.stats.bytes_in, moved.read as u64);
                    Stats::add(&shared.stats.bytes_out, moved.written as u64);
                }
                () = mailbox.wait() => {}
                () = &mut timer => {
                    self.handle_timeout()?;
                    let deadline = self.deadline();
                    timer.as_mut().reset(deadline);
                }
            }
        }
    }

    fn handle_timeout(&mut self) -> Result<(), Close> {
        let now = self.shared.now();
        self.session.handle_timeout(now)?;
        match self.stall.over(self.shared.limits.stall_timeout_ms, now) {
            Some(close) => {
                Stats::add(&self.shared.stats.stalled, 1);
                Err(close)
            }
            None => Ok(()),
        }
    }

    /// Whether to read on: as the session says, and not while too much at QoS 0 is with the host.
    fn wants_read(&self) -> bool {
        self.session.wants_read()
            && self.unanswered.len() <= usize::from(self.shared.limits.inflight_in_max)
    }

    fn handle_mail(&mut self) -> Result<(), Close> {
        let mail = self.mailbox.take(self.session.plain_room(), self.session.bytes_room());
        for event in mail.events {
            if let HostEvent::Published { token, .. } = &event {
                self.unanswered.retain(|asked| asked != token);
            }
            self.session.handle_event(event)?;
        }
        (self.plain_left, self.plain_ready) = (mail.plain_left, mail.plain_ready);
        if mail.news {
            self.session.handle_news();
        }
        let refused = self.session.take_subscriptions_refused();
        if refused > 0 {
            Stats::add(&self.shared.stats.subscriptions_refused, refused);
        }
        let notices_dropped = self.session.take_notices_dropped();
        if notices_dropped > 0 {
            Stats::add(&self.shared.stats.notices_dropped, notices_dropped);
        }
        for word in mail.words {
            self.handle_word(word)?;
        }
        if !mail.plain.is_empty() {
            self.shared.count_out(mail.plain.iter());
            self.session.handle_plain(mail.plain);
        }
        match mail.stop {
            None => Ok(()),
            Some(Stop::TakenOver) => Err(Close {
                reason: Reason::SESSION_TAKEN_OVER,
                detail: "another connection has taken the session over",
                by_client: false,
            }),
            Some(Stop::Ended(reason)) => {
                self.session.end_with_connection();
                Err(Close { reason, detail: "the session is ended", by_client: false })
            }
            Some(Stop::Reason(reason)) => {
                Err(Close { reason, detail: "the server ends the connection", by_client: false })
            }
        }
    }

    /// Something is stored that the session waits for.
    fn handle_word(&mut self, word: Word) -> Result<(), Close> {
        match word {
            Word::Published(token, reason) => self.session.handle_published(token, reason, None),
            Word::Subscribed(token, qos) => {
                self.session.handle_subscribed(token, Reason(qos as u8), false);
                if let Some(at) = self.cursors.iter().position(|(of, _)| *of == token) {
                    let (_, cursor) = self.cursors.swap_remove(at);
                    self.mailbox.with_queue(|queue| queue.cursors.push_back(cursor));
                }
            }
            Word::Unsubscribed(token) => {
                self.session.handle_unsubscribed(token, Reason::SUCCESS);
            }
            Word::Released(seq) => self.session.handle_released(seq),
            Word::Unreceived(packet_id) => self.session.handle_unreceived(packet_id),
            Word::Failed => {
                return Err(Close {
                    reason: Reason::SERVER_UNAVAILABLE,
                    detail: "the server cannot store at the moment",
                    by_client: false,
                });
            }
        }
        Ok(())
    }

    /// Hands the session the packets that are complete; tells whether it wants no more for now.
    fn handle_inbox(&mut self) -> Result<bool, Close> {
        let version = self.session.version();
        let max_bytes = self.shared.limits.packet_bytes_max;
        let mut at = 0;
        let mut stalled = false;
        let window = usize::from(self.shared.limits.inflight_in_max);
        if !self.wire.inbox.is_empty() {
            self.read_at = Instant::now();
        }
        let inbox = &mut self.wire.inbox;
        while at < inbox.len() {
            if !self.session.wants_read() || self.unanswered.len() > window {
                stalled = true;
                break;
            }
            let rest = inbox.get(at..).unwrap_or_default();
            let decoded = codec::decode(rest, Some(version), max_bytes);
            let (packet, length) = match decoded {
                Ok(Some(decoded)) => decoded,
                Ok(None) => break,
                Err(error) => {
                    tracing::debug!(detail = %error.detail, "malformed packet");
                    return Err(Close {
                        reason: error.reason,
                        detail: "the packet is malformed",
                        by_client: false,
                    });
                }
            };
            at += length;
            self.shared.stats.packets_in.count(rest.first().copied().unwrap_or_default());
            self.session.handle_packet(packet, self.shared.now())?;
        }
        if at == inbox.len() {
            *inbox = Vec::new();
        } else {
            inbox.drain(..at);
        }
        // Nobody owes what is not read.
        let partial = !inbox.is_empty() && !stalled && self.session.wants_read();
        self.stall.heard(partial, at > 0, self.shared.now());
        Ok(stalled)
    }

    /// Does what the session asks, until it asks nothing more.
    fn carry_out(&mut self) -> Result<(), Close> {
        while let Some(call) = self.session.poll_call() {
            self.carry_out_one(call)?;
        }
        Ok(())
    }

    /// What the client asked before the connection ended, in the same bytes perhaps, is done: a
    /// small client publishes and says goodbye in one go. There is nothing more to be sent to it.
    fn carry_out_rest(&mut self) {
        while let Some(call) = self.session.poll_call() {
            if matches!(call, Call::Pull(_)) {
                break;
            }
            if let Err(close) = self.carry_out_one(call) {
                tracing::debug!(reason = ?close.reason, detail = close.detail, "closing already");
            }
        }
    }

    fn carry_out_one(&mut self, call: Call) -> Result<(), Close> {
        match call {
            Call::Publish(publish) if self.shared.host.owns(&publish.topic) => {
                if publish.qos == QoS::AtMostOnce {
                    self.unanswered.push(publish.token);
                } else if self.shared.host.is_timed(&publish.topic) {
                    self.timed.push_back((publish.packet_id, self.read_at));
                }
                self.host.publish(publish);
            }
            Call::Publish(publish) => self.route(publish),
            Call::Subscribe { token, request, subscription_id, renewed } => {
                self.subscribe(token, request, subscription_id, renewed);
            }
            Call::Unsubscribe { token, filter, of_host: true } => {
                self.host.unsubscribe(token, &filter);
            }
            Call::Unsubscribe { token, filter, of_host: false } => {
                self.shared.router.unsubscribe(self.session.key(), &filter);
                match self.kept_for() {
                    Some(of) => {
                        let change = Change::Unsubscribe(of, filter);
                        self.keep(change, Word::Unsubscribed(token));
                    }
                    None => self.session.handle_unsubscribed(token, Reason::SUCCESS),
                }
            }
            Call::Finished(finished) => {
                self.mailbox.with_queue(|queue| {
                    finished.iter().for_each(|of| queue.free_id(of.packet_id));
                });
                if let Some(of) = self.kept_for() {
                    let unqueue = |done: Finished| Change::Unqueue(of.clone(), done.seq);
                    let changes = finished.into_iter().map(unqueue).collect();
                    self.shared.keeper.commit(changes, None);
                }
            }
            Call::Release { seq, packet_id } => match self.kept_for() {
                Some(of) => self.keep(Change::Release(of, seq, packet_id), Word::Released(seq)),
                None => self.session.handle_released(seq),
            },
            Call::Unreceive { packet_id } => match self.kept_for() {
                Some(of) => {
                    self.keep(Change::Unreceive(of, packet_id), Word::Unreceived(packet_id));
                }
                None => self.session.handle_unreceived(packet_id),
            },
            Call::Acked(ids) => self.host.acked(&ids),
            Call::Fetch(ids) => self.host.fetch(&ids),
            Call::Pull(room) => {
                let deliveries = self.host.pull(room);
                self.session.handle_deliveries(deliveries, room.messages);
            }
        }
        Ok(())
    }

    /// The session that is kept, if it is.
    fn kept_for(&self) -> Option<SessionRef> {
        self.mailbox.with_queue(|queue| queue.kept_for().map(|of| (*of).clone()))
    }

    fn keep(&self, change: Change, word: Word) {
        self.shared.keep_for_session(change, self.line.clone(), word);
    }

    /// A message to a plain topic.
    fn route(&mut self, publish: HostPublish) {
        let (token, qos, packet_id) = (publish.token, publish.qos, publish.packet_id);
        let key = self.session.key();
        if !self.shared.host.may(key, Access::Publish, &publish.topic) {
            Stats::add(&self.shared.stats.access_denied, 1);
            if qos != QoS::AtMostOnce {
                self.session.handle_published(token, Reason::NOT_AUTHORIZED, None);
            }
            return;
        }
        let asker = (qos != QoS::AtMostOnce).then(|| {
            let receive = match qos {
                QoS::ExactlyOnce => {
                    let expiry_s = self.session.expiry_s();
                    self.shared.receiver(&self.mailbox, expiry_s).zip(Some(packet_id))
                }
                _ => None,
            };
            let can_be_told = self.session.version() == Version::V5;
            Asker { line: self.line.clone(), token, can_be_told, receive }
        });
        match self.shared.publish_plain(key, publish, asker) {
            Published::Now(reason) => self.session.handle_published(token, reason, None),
            Published::Later { received: true } => self.session.handle_received(token),
            Published::Later { received: false } => {}
        }
    }

    fn subscribe(
        &mut self,
        token: Token,
        request: FilterRequest,
        subscription_id: Option<u32>,
        renewed: bool,
    ) {
        let shared_filter = split_share(&request.filter).map(|(_, filter)| filter);
        let filter = shared_filter.unwrap_or(&request.filter);
        let is_sys = sys::is_sys(filter);
        if !is_sys && self.shared.host.owns(filter) {
            if shared_filter.is_some() {
                // What the host has for a session is that session's own.
                let reason = Reason::SHARED_SUBSCRIPTIONS_NOT_SUPPORTED;
                self.session.handle_subscribed(token, reason, false);
            } else {
                self.host.subscribe(token, &request, subscription_id, renewed);
            }
            return;
        }
        let key = self.session.key().clone();
        if !self.shared.host.may(&key, Access::Subscribe, filter) {
            Stats::add(&self.shared.stats.access_denied, 1);
            self.session.handle_subscribed(token, Reason::NOT_AUTHORIZED, false);
            return;
        }
        let receiver = self.shared.receiver(&self.mailbox, self.session.expiry_s());
        let later = (self.line.clone(), token, receiver);
        let cursor = plain::cursor(&request, subscription_id, renewed);
        let mailbox = &self.mailbox;
        match self.shared.subscribe_plain(&key, &request, subscription_id, mailbox, later) {
            Ok(Subscribed::Later) => self.cursors.extend(cursor.map(|cursor| (token, cursor))),
            Ok(Subscribed::Now) => {
                mailbox.with_queue(|queue| queue.cursors.extend(cursor));
                self.session.handle_subscribed(token, Reason(request.qos as u8), false);
            }
            Err(TooMany) => {
                Stats::add(&self.shared.stats.subscriptions_refused, 1);
                self.session.handle_subscribed(token, Reason::QUOTA_EXCEEDED, false);
                return;
            }
        }
        if is_sys {
            self.shared.give_sys(&request, subscription_id, &self.mailbox);
        }
        self.mailbox.wake();
    }

    fn deadline(&self) -> Instant {
        // Without a keep-alive nothing is due: far away, and then looked at again.
        const FAR: u64 = 24 * 3600 * 1000;
        let now = self.shared.now();
        let stalled = self.stall.due(self.shared.limits.stall_timeout_ms);
        let due = self.session.poll_timeout().into_iter().chain(stalled).min().unwrap_or(now + FAR);
        Instant::now() + Duration::from_millis(due.saturating_sub(now))
    }

    /// Writes what the socket takes at once.
    async fn write_now(&mut self) -> io::Result<()> {
        let written = self.wire.write_now(&mut self.session.transmit).await?;
        self.counted = self.session.transmit.len();
        self.stall.sent(self.counted > 0, written > 0, self.shared.now());
        Stats::add(&self.shared.stats.bytes_out, written as u64);
        Ok(())
    }

    /// Counts the packets that were put into `transmit` since the last time.
    fn count_written(&mut self) {
        let stats = &self.shared.stats;
        let mut now = None;
        let fresh = self.session.transmit.get(self.counted..).unwrap_or_default();
        for (first_byte, body) in codec::written(fresh) {
            stats.packets_out.count(first_byte);
            // Packet ids of open publishes are all different: no other acknowledgement has it.
            if matches!(first_byte, PUBACK | PUBREC)
                && let Some(&(packet_id, read_at)) = self.timed.front()
                && body.starts_with(&packet_id.to_be_bytes())
            {
                self.timed.pop_front();
                let now = *now.get_or_insert_with(Instant::now);
                stats.publish_acks.record_duration(now.duration_since(read_at));
            }
        }
        self.counted = self.session.transmit.len();
        if self.timed.is_empty() {
            // So that an idle connection owns no buffer.
            self.timed = VecDeque::new();
        }
    }

    fn count_load(&mut self) {
        self.load.set(LoadOf {
            publishes: self.session.unanswered(),
            deliveries: self.session.inflight(),
            queued: self.session.queued() + self.plain_left,
        });
    }

    /// Sends the last words and closes.
    async fn farewell(&mut self) {
        let Self { wire, session, .. } = self;
        let last_words = async {
            wire.stream.write_all(&session.transmit).await?;
            wire.stream.shutdown().await
        };
        let sent = tokio::time::timeout(FAREWELL, last_words).await;
        if matches!(sent, Ok(Ok(()))) {
            Stats::add(&self.shared.stats.bytes_out, session.transmit.len() as u64);
        } else {
            tracing::trace!("the client did not take the last words");
        }
        session.transmit = Vec::new();
    }

    /// Gives the session a buffer that has its size already.
    fn lend_buffer(&mut self) {
        if self.session.transmit.capacity() == 0 {
            self.session.transmit = TRANSMIT.take();
        }
    }

    /// Takes it back if all was sent, so that an idle connection owns none.
    fn return_buffer(&mut self) {
        if self.session.transmit.is_empty() {
            let buffer = std::mem::take(&mut self.session.transmit);
            if buffer.capacity() <= READ_BYTES * 4 {
                TRANSMIT.set(buffer);
            }
        }
    }
}
