//! The life of a connection: packets, the host's answers and timers to the session, and what it
//! wants done to whom it concerns.

use std::cell::Cell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::task::coop;
use tokio::time::{Instant, Sleep};

use super::ended::{Ended, is_clients_fault};
use super::open::Online;
use super::stall::Stall;
use super::wire::{Moved, Wire, count_if_malformed};
use crate::broker::{Counted, Shared};
use crate::codec;
use crate::host::{self, Host, HostEvent, HostSession, Token};
use crate::mailbox::{Line, Stop, Word};
use crate::packet::Reason;
use crate::registry::Claim;
use crate::retained::Cursor;
use crate::session::{Close, Lent, Parked, Session};
use crate::stats::{Load, LoadOf, Stats};

/// How long a last word to a client may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// What acknowledgements begin with: flags are 0 (MQTT 5 §2.1.3).
const PUBACK: u8 = 4 << 4;
const PUBREC: u8 = 5 << 4;

thread_local! {
    /// What sessions work with: one per thread, so that an idle connection owns no buffer.
    static LENT: Cell<Lent> = const { Cell::new(Lent::new()) };

    /// An [`Asked`] that nobody needs at the moment, for the same reason.
    static ASKED: Cell<Option<Box<Asked>>> = const { Cell::new(None) };
}

/// How much room of a list in [`Asked`] is kept for the next connection.
const ASKED_MAX: usize = 1024;

/// What a connection has asked others and waits for. Most have asked nothing most of the time.
#[derive(Default)]
pub(super) struct Asked {
    /// Publishes at QoS 0 that are with the host. MQTT has no window for them, and the host is not
    /// to be given more than it can take.
    pub(super) unanswered: Vec<Token>,
    /// Publishes whose acknowledgements are timed: packet id and when they were read, in their
    /// order, which is that of the acknowledgements. The window bounds them.
    pub(super) timed: VecDeque<(u16, Instant)>,
    /// Subscriptions that are being stored and want what is retained then.
    pub(super) cursors: Vec<(Token, Cursor)>,
}

impl Asked {
    fn is_empty(&self) -> bool {
        self.unanswered.is_empty() && self.timed.is_empty() && self.cursors.is_empty()
    }

    fn is_small(&self) -> bool {
        let rooms = [self.unanswered.capacity(), self.timed.capacity(), self.cursors.capacity()];
        rooms.iter().all(|room| *room <= ASKED_MAX)
    }
}

/// A connection that was let in, with all that serves it.
///
/// Most connections have nothing to say most of the time: this and the future of [`Driver::run`]
/// are the larger part of what one costs. Boxed, as whatever an `async` function is given lies in
/// its future twice.
pub(super) struct Driver<H: Host, S> {
    pub(super) shared: Arc<Shared<H>>,
    address: SocketAddr,
    wire: Wire<S>,
    pub(super) session: Session,
    pub(super) host: H::Session,
    pub(super) claim: Claim,
    pub(super) line: Line,
    asked: Option<Box<Asked>>,
    /// How many bytes of the session's `transmit` are of packets that are counted.
    counted: usize,
    /// When its present turn began: the clock is read once for all that is done in it.
    pub(super) turn_at: Instant,
    /// Messages of plain topics that the mailbox still has.
    plain_left: usize,
    /// The next of them can be taken.
    plain_ready: bool,
    stall: Stall,
    load: Load,
    /// Counts the connection until nothing is left of it.
    open: Counted<H>,
}

/// What a connection does next, beside waiting.
struct Next {
    /// It has looked at many retained topics: others first.
    yields: bool,
    /// There is more to be done at once.
    again: bool,
}

impl<H: Host, S: AsyncRead + AsyncWrite + Unpin> Driver<H, S> {
    pub(super) fn new(
        shared: Arc<Shared<H>>,
        address: SocketAddr,
        wire: Wire<S>,
        online: Online<H::Session>,
        open: Counted<H>,
    ) -> Box<Self> {
        let Online { session, host, claim, line } = online;
        Box::new(Self {
            address,
            wire,
            session,
            host,
            claim,
            line,
            asked: None,
            counted: 0,
            turn_at: Instant::now(),
            plain_left: 0,
            plain_ready: false,
            stall: Stall::default(),
            load: Load::new(shared.stats.clone()),
            open,
            shared,
        })
    }

    /// Serves the session until its connection ends, and parks it then. Nothing but what idles is in
    /// this future; what is over soon is boxed.
    pub(super) fn run(self: Box<Self>) -> impl Future<Output = ()> {
        let mut driver = self;
        // Not an `async fn`: that has room for its argument, and again for the variable of it.
        async move {
            // Only moved when it fires: packets push the real deadline, not the timer.
            let timer = tokio::time::sleep_until(driver.deadline());
            tokio::pin!(timer);
            let ended = loop {
                let turn = poll_fn(|context| Poll::Ready(driver.turn(context, timer.as_mut())));
                let next = match turn.await {
                    Ok(next) => next,
                    Err(ended) => break ended,
                };
                if next.yields {
                    tokio::task::yield_now().await;
                }
                if next.again {
                    continue;
                }
                let event = poll_fn(|context| driver.poll_event(context, timer.as_mut()));
                if let Err(ended) = event.await {
                    break ended;
                }
            };
            Box::pin(driver.end(ended)).await;
        }
    }

    /// The connection ends: the last words, and what becomes of the session.
    async fn end(mut self: Box<Self>, mut ended: Ended) {
        // Whose session was ended is not heard any more.
        if let Ended::Closed(close) = &ended
            && !close.by_client
            && (close.reason == Reason::SESSION_TAKEN_OVER
                || close.reason == self.shared.stop_reason())
            && let Err(close) = self.hear_out().await
        {
            ended = close.into();
        }
        self.carry_out_rest();
        let address = self.address;
        match &ended {
            Ended::Closed(close) => {
                tracing::debug!(%address, reason = ?close.reason, detail = close.detail, "closed");
                if !close.by_client && is_clients_fault(close.reason) {
                    Stats::add(&self.shared.stats.protocol_errors, 1);
                }
                self.session.write_disconnect(close);
                self.count_written();
                self.farewell().await;
            }
            Ended::Lost(error) => {
                tracing::debug!(%address, %error, "connection lost");
                count_if_malformed(&self.shared.stats, error);
            }
        }
        self.park(&ended);
    }

    /// The connection has ended: what of its session lives on, and who hears of it.
    fn park(self, ended: &Ended) {
        let Self { shared, mut session, mut host, claim, open, .. } = self;
        let mailbox = claim.mailbox.clone();
        let key = session.key().clone();
        let plain = session.plain_filters();
        mailbox.set_offline();
        let will = session.take_will();
        let goodbye = matches!(ended, Ended::Closed(close) if close.by_client);
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
        let expiry_s = parked.as_ref().map_or(0, Parked::expiry_s);
        if let Some(will) = will {
            match will.delay_s.min(expiry_s) {
                0 => shared.publish_will(&key, *will),
                wait_s => shared.wills.keep(key.clone(), now + u64::from(wait_s) * 1000, will),
            }
        }
        host.close(host::Ended { expiry_s, goodbye, silent_ms });
        shared.registry.release(&key, claim, parked, now);
        drop(open);
    }

    /// Does what there is to do, and sends what the socket takes at once.
    fn turn(
        &mut self,
        context: &mut Context<'_>,
        mut timer: Pin<&mut Sleep>,
    ) -> Result<Next, Ended> {
        self.turn_at = Instant::now();
        let now = self.shared.at(self.turn_at);
        self.session.lend(LENT.take());
        self.session.handle_clock(now);
        let retained = self.handle_mail()?;
        // There may be a million topics that one subscription wants looked at.
        let yields = retained && self.shared.give_retained(self.session.key(), &self.claim.mailbox);
        let stalled = self.handle_inbox()?;
        self.carry_out()?;
        self.count_written();
        self.write_now(context)?;
        self.count_load();
        self.rest();
        if self.session.has_more(self.plain_ready) {
            // What was written has made room, of which nobody else tells.
            self.claim.mailbox.wake();
        }
        if self.stall.due(self.shared.limits.stall_timeout_ms).is_some() {
            let deadline = self.deadline();
            if deadline < timer.deadline() {
                timer.as_mut().reset(deadline);
            }
        }
        // What was read waited for room in the window, and there may be some again.
        Ok(Next { yields, again: stalled && self.wants_read() })
    }

    /// Waits for what comes first; of several at once, for what keeps the client going.
    fn poll_event(
        &mut self,
        context: &mut Context<'_>,
        mut timer: Pin<&mut Sleep>,
    ) -> Poll<Result<(), Ended>> {
        // A connection that always has something to do lets others go on.
        drop(ready!(coop::poll_proceed(context)));
        let wants_read = self.wants_read();
        let moved = self.wire.poll_wait(context, wants_read, &mut self.session.transmit);
        if let Poll::Ready(moved) = moved {
            self.count_moved(&moved?);
            return Poll::Ready(Ok(()));
        }
        if self.claim.mailbox.poll_wait(context).is_ready() {
            return Poll::Ready(Ok(()));
        }
        ready!(timer.as_mut().poll(context));
        self.handle_timeout()?;
        timer.reset(self.deadline());
        Poll::Ready(Ok(()))
    }

    fn count_moved(&mut self, moved: &Moved) {
        self.counted = self.session.transmit.len();
        if moved.written > 0 {
            self.stall.sent(self.counted > 0, true, self.shared.now());
        }
        Stats::add(&self.shared.stats.bytes_in, moved.read as u64);
        Stats::add(&self.shared.stats.bytes_out, moved.written as u64);
    }

    /// A client that says goodbye may be back before that is read, or the server may be stopped. What
    /// it has sent until then counts, as far as it is there: what it has acknowledged does not come
    /// again, and an ordered end has no will.
    async fn hear_out(&mut self) -> Result<(), Close> {
        let mut bytes_left = self.shared.limits.packet_bytes_max;
        loop {
            let stalled = self.handle_inbox()?;
            self.carry_out()?;
            if stalled || bytes_left == 0 || !self.wants_read() {
                return Ok(());
            }
            let read = tokio::select! {
                biased;
                read = self.wire.read() => read.unwrap_or(0),
                () = std::future::ready(()) => 0,
            };
            if read == 0 {
                return Ok(());
            }
            Stats::add(&self.shared.stats.bytes_in, read as u64);
            bytes_left = bytes_left.saturating_sub(read);
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
            && self.unanswered() <= usize::from(self.shared.limits.inflight_in_max)
    }

    /// How many publishes at QoS 0 are with the host.
    fn unanswered(&self) -> usize {
        self.asked.as_ref().map_or(0, |asked| asked.unanswered.len())
    }

    /// What it has asked others, to add to it.
    pub(super) fn asked(&mut self) -> &mut Asked {
        self.asked.get_or_insert_with(|| ASKED.take().unwrap_or_default())
    }

    /// Takes what others have for it; tells whether a subscription is to be given what is retained.
    fn handle_mail(&mut self) -> Result<bool, Close> {
        let mail = self.claim.mailbox.take(self.session.plain_room(), self.session.bytes_room());
        for event in mail.events {
            if let (HostEvent::Published { token, .. }, Some(asked)) = (&event, &mut self.asked) {
                asked.unanswered.retain(|asked| asked != token);
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
        let mut retained = mail.retained;
        for word in mail.words {
            retained |= self.handle_word(word)?;
        }
        if !mail.plain.is_empty() {
            self.shared.count_out(mail.plain.iter());
            self.session.handle_plain(mail.plain);
        }
        match mail.stop {
            None => Ok(retained),
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

    /// Something is stored that the session waits for; tells whether a subscription is to be given
    /// what is retained.
    fn handle_word(&mut self, word: Word) -> Result<bool, Close> {
        match word {
            Word::Published(token, reason) => self.session.handle_published(token, reason, None),
            Word::Subscribed(token, qos) => {
                self.session.handle_subscribed(token, Reason(qos as u8), false);
                let Some(asked) = &mut self.asked else { return Ok(false) };
                if let Some(at) = asked.cursors.iter().position(|(of, _)| *of == token) {
                    let (_, cursor) = asked.cursors.swap_remove(at);
                    self.claim.mailbox.with_queue(|queue| queue.cursors_mut().push_back(cursor));
                    return Ok(true);
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
        Ok(false)
    }

    /// Hands the session the packets that are complete; tells whether it wants no more for now.
    fn handle_inbox(&mut self) -> Result<bool, Close> {
        let version = self.session.version();
        let max_bytes = self.shared.limits.packet_bytes_max;
        let mut at = 0;
        let mut stalled = false;
        let window = usize::from(self.shared.limits.inflight_in_max);
        let unanswered = self.unanswered();
        let now = self.shared.at(self.turn_at);
        let inbox = &mut self.wire.inbox;
        while at < inbox.len() {
            if !self.session.wants_read() || unanswered > window {
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
            self.session.handle_packet(packet, now)?;
        }
        if at == inbox.len() {
            *inbox = Vec::new();
        } else {
            inbox.drain(..at);
        }
        // Nobody owes what is not read.
        let partial = !inbox.is_empty() && !stalled && self.session.wants_read();
        self.stall.heard(partial, at > 0, now);
        Ok(stalled)
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
    fn write_now(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let written = self.wire.write(context, &mut self.session.transmit)?;
        self.counted = self.session.transmit.len();
        self.stall.sent(self.counted > 0, written > 0, self.shared.at(self.turn_at));
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
                && let Some(timed) = self.asked.as_mut().map(|asked| &mut asked.timed)
                && let Some(&(packet_id, read_at)) = timed.front()
                && body.starts_with(&packet_id.to_be_bytes())
            {
                timed.pop_front();
                let now = *now.get_or_insert_with(Instant::now);
                stats.publish_acks.record_duration(now.duration_since(read_at));
            }
        }
        self.counted = self.session.transmit.len();
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

    /// Lets go of what an idle connection does not need: the next one on this thread takes it.
    fn rest(&mut self) {
        let lent = self.session.give_back();
        if lent.is_of_use() {
            LENT.set(lent);
        }
        if let Some(asked) = self.asked.take_if(|asked| asked.is_empty()).filter(|it| it.is_small())
        {
            ASKED.set(Some(asked));
        }
    }
}
