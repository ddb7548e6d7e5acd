//! One connection: bytes in and out, from the first CONNECT to the end. All rules of MQTT are
//! the session's; this drives it.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::Instant;

use crate::broker::{Connecting, Counted, Shared};
use crate::codec::{self, DecodeError};
use crate::host::{
    Access, Attempt, Host, HostEvent, HostPublish, HostSession, Open, Restored, Resume, SessionKey,
};
use crate::mailbox::{Mailbox, Stop};
use crate::packet::{ConnAck, ConnAckReason, Connect, FilterRequest, Packet, QoS, Reason, Version};
use crate::registry::Claim;
use crate::session::{Call, Close, Parked, Session};
use crate::stats::Stats;
use crate::topic;

/// Bytes read from a socket at once.
const READ_BYTES: usize = 64 * 1024;

/// How long a last word to a client may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// Bytes of a client id. A longer one is refused (0x85).
const CLIENT_ID_BYTES_MAX: usize = 256;

thread_local! {
    /// Where sockets are read into: one per thread, so that an idle connection owns no buffer.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into_boxed_slice());
    /// What is to be sent is put together in: likewise.
    static TRANSMIT: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Lets a connection in and has it served until it ends.
pub(crate) async fn serve<H: Host, S>(
    shared: Arc<Shared<H>>,
    stream: S,
    address: SocketAddr,
    connecting: Connecting<H>,
    counted: Counted<H>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut wire = Wire { stream, inbox: Vec::new() };
    let deadline = Instant::now() + Duration::from_millis(shared.limits.connect_timeout_ms);
    let admitted = tokio::time::timeout_at(deadline, admit(&shared, &mut wire, address)).await;
    drop(connecting);
    let admitted = match admitted {
        Ok(Ok(admitted)) => admitted,
        Ok(Err(error)) => {
            tracing::debug!(%address, %error, "connection ended before it was let in");
            return;
        }
        Err(_) => {
            Stats::add(&shared.stats.connect_timeouts, 1);
            tracing::debug!(%address, "no CONNECT in time");
            return;
        }
    };
    let Admitted { connect, key, assigned } = admitted;
    let opened = open(&shared, &mut wire, &connect, key, assigned).await;
    let Some(online) = opened else { return };
    // In a task of its own: the future of the handshake is large and over soon, the long idle
    // time of the connection should not keep its memory.
    tokio::spawn(async move {
        run(&shared, wire, online, address).await;
        drop(counted);
    });
}

/// The socket, and bytes read from it that do not make a packet yet.
struct Wire<S> {
    stream: S,
    inbox: Vec<u8>,
}

/// A client that was let in.
struct Admitted {
    connect: Box<Connect>,
    key: SessionKey,
    /// The server chose the client id.
    assigned: bool,
}

/// A session on line with all that serves it.
struct Online<T> {
    session: Session,
    host: T,
    claim: Claim,
}

#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Decode(#[from] DecodeError),
    #[error("the connection was closed")]
    Closed,
    #[error("refused with {0:?}")]
    Refused(Reason),
}

/// Reads CONNECT and checks who it is.
async fn admit<H: Host, S: AsyncRead + AsyncWrite + Unpin>(
    shared: &Shared<H>,
    wire: &mut Wire<S>,
    address: SocketAddr,
) -> Result<Admitted, Refusal> {
    let connect = read_connect(shared, wire).await?;
    let refusal = check_connect(shared, &connect);
    if let Some(reason) = refusal {
        return refuse(shared, wire, connect.version, reason).await;
    }
    let mailbox = Arc::new(Mailbox::new(0));
    let attempt = Attempt {
        address,
        user_name: connect.user_name.clone(),
        password: connect.password.clone(),
    };
    shared.host.authenticate(attempt, mailbox.set_online());
    let user = loop {
        let events = mailbox.take(0).events;
        let answer = events.into_iter().find_map(|event| match event {
            HostEvent::Authenticated(answer) => Some(answer),
            _ => None,
        });
        match answer {
            Some(answer) => break answer,
            None => mailbox.wait().await,
        }
    };
    match user {
        Ok(user) => {
            let assigned = connect.client_id.is_empty();
            let client_id: Arc<str> = if assigned {
                shared.host.assign_client_id()
            } else {
                connect.client_id.as_str().into()
            };
            let key = SessionKey { user, client_id };
            Ok(Admitted { connect, key, assigned })
        }
        Err(reason) => {
            Stats::add(&shared.stats.logins_refused, 1);
            refuse(shared, wire, connect.version, reason).await
        }
    }
}

async fn read_connect<H: Host, S: AsyncRead + AsyncWrite + Unpin>(
    shared: &Shared<H>,
    wire: &mut Wire<S>,
) -> Result<Box<Connect>, Refusal> {
    loop {
        match codec::decode(&wire.inbox, None, shared.limits.packet_bytes_max) {
            Ok(Some((Packet::Connect(connect), length))) => {
                wire.inbox.drain(..length);
                return Ok(connect);
            }
            // The codec takes nothing but a CONNECT before the version is known.
            Ok(Some(_)) => return Err(Refusal::Closed),
            Ok(None) => {}
            Err(error) => {
                Stats::add(&shared.stats.protocol_errors, 1);
                // MQTT 5 §4.13: what cannot be understood as MQTT is closed without a word; a
                // client whose version is known, or is not served, is told.
                let version = match error.reason {
                    Reason::UNSUPPORTED_VERSION => Some(error.version.unwrap_or(Version::V4)),
                    _ => error.version,
                };
                if let Some(version) = version {
                    return refuse(shared, wire, version, error.reason).await;
                }
                return Err(error.into());
            }
        }
        if wire.read().await? == 0 {
            return Err(Refusal::Closed);
        }
    }
}

fn check_connect<H: Host>(shared: &Shared<H>, connect: &Connect) -> Option<Reason> {
    let limits = &shared.limits;
    if shared.is_stopping() {
        Some(Reason::SERVER_SHUTTING_DOWN)
    } else if connect.authentication_method.is_some() {
        Some(Reason::BAD_AUTHENTICATION_METHOD)
    } else if connect.client_id.len() > CLIENT_ID_BYTES_MAX
        // MQTT 3.1.1 §3.1.3.1: a client without an id must ask for a clean session.
        || (connect.client_id.is_empty() && connect.version == Version::V4 && !connect.clean_start)
    {
        Some(Reason::CLIENT_ID_NOT_VALID)
    } else if connect.user_properties.len() > limits.user_properties_max {
        Some(Reason::QUOTA_EXCEEDED)
    } else if connect.will.as_ref().is_some_and(|will| !topic::is_valid_name(&will.topic)) {
        Some(Reason::TOPIC_NAME_INVALID)
    } else {
        None
    }
}

async fn refuse<H: Host, S: AsyncRead + AsyncWrite + Unpin, T>(
    shared: &Shared<H>,
    wire: &mut Wire<S>,
    version: Version,
    reason: Reason,
) -> Result<T, Refusal> {
    let ack = ConnAck { reason: ConnAckReason(reason), ..ConnAck::default() };
    let mut out = Vec::new();
    codec::write_connack(&mut out, version, &ack);
    Stats::add(&shared.stats.bytes_out, out.len() as u64);
    wire.stream.write_all(&out).await?;
    wire.stream.shutdown().await?;
    Err(Refusal::Refused(reason))
}

/// Takes the session over from whoever had it and opens it with the host.
async fn open<H: Host, S: AsyncRead + AsyncWrite + Unpin>(
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
        // What was queued belongs to the session that has ended.
        claim.mailbox.clear();
    }
    let line = claim.mailbox.set_online();
    let resume =
        parked.as_ref().map(|parked| Resume { epoch: parked.epoch(), inflight: parked.inflight() });
    let resumed_epoch = parked.as_ref().map(Parked::epoch);
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
    };
    let mut host = shared.host.open(request, line);
    match opened(&claim.mailbox).await {
        Ok((epoch, restored)) => {
            let same = resumed_epoch == Some(epoch);
            if resumed_epoch.is_some() && !same {
                // The host has ended that session meanwhile: what was kept of it here is void.
                forget_plain(shared, &key, &session.plain_filters());
                claim.mailbox.clear();
                session = Session::new(key.clone(), connect, limits.clone(), now);
            }
            let present = same || restored.is_some();
            session.restore(restored.unwrap_or_default());
            session.handle_opened(epoch, connect, present, assigned);
            Some(Online { session, host, claim })
        }
        Err(reason) => {
            // The host cannot now; the session is as it was and may be resumed later.
            host.close(true);
            claim.mailbox.set_offline();
            let parked = resumed_epoch.and_then(|_| session.park());
            shared.registry.release(&key, claim, parked, shared.now());
            let refused: Result<(), Refusal> = refuse(shared, wire, connect.version, reason).await;
            tracing::debug!(?reason, sent = refused.is_ok(), "the host refused the session");
            None
        }
    }
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

fn forget_plain<H: Host>(shared: &Shared<H>, key: &SessionKey, filters: &[Arc<str>]) {
    for filter in filters {
        shared.router.unsubscribe(key, filter);
    }
}

/// Serves the session until its connection ends, and parks it then.
async fn run<H: Host, S: AsyncRead + AsyncWrite + Unpin>(
    shared: &Arc<Shared<H>>,
    wire: Wire<S>,
    online: Online<H::Session>,
    address: SocketAddr,
) {
    let Online { session, host, claim } = online;
    let mailbox = claim.mailbox.clone();
    let mut driver = Driver { shared, wire, session, host, mailbox };
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
            driver.farewell().await;
        }
        Ended::Lost(error) => tracing::debug!(%address, %error, "connection lost"),
    }
    let Driver { session, mut host, mailbox, .. } = driver;
    let key = session.key().clone();
    let plain = session.plain_filters();
    mailbox.set_offline();
    let parked = session.park();
    if parked.is_none() {
        forget_plain(shared, &key, &plain);
    }
    host.close(parked.is_some());
    shared.registry.release(&key, claim, parked, shared.now());
}

fn is_clients_fault(reason: Reason) -> bool {
    ![
        Reason::SESSION_TAKEN_OVER,
        Reason::SERVER_SHUTTING_DOWN,
        Reason::SERVER_UNAVAILABLE,
        Reason::KEEP_ALIVE_TIMEOUT,
    ]
    .contains(&reason)
}

/// Why a connection ended.
enum Ended {
    Closed(Close),
    Lost(io::Error),
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        Self::Lost(error)
    }
}

impl From<Close> for Ended {
    fn from(close: Close) -> Self {
        Self::Closed(close)
    }
}

struct Driver<'a, H: Host, S> {
    shared: &'a Shared<H>,
    wire: Wire<S>,
    session: Session,
    host: H::Session,
    mailbox: Arc<Mailbox>,
}

impl<H: Host, S: AsyncRead + AsyncWrite + Unpin> Driver<'_, H, S> {
    async fn drive(&mut self) -> Result<Infallible, Ended> {
        // Only moved when it fires: packets push the real deadline, not the timer.
        let timer = tokio::time::sleep_until(self.deadline());
        tokio::pin!(timer);
        loop {
            self.lend_buffer();
            self.handle_mail()?;
            let stalled = self.handle_inbox()?;
            self.carry_out()?;
            self.write_now().await?;
            self.return_buffer();
            if stalled && self.session.wants_read() {
                // What was read waited for room in the window, and there is some again.
                continue;
            }
            let Self { shared, wire, session, mailbox, .. } = self;
            tokio::select! {
                biased;
                moved = wire.wait(session.wants_read(), &mut session.transmit) => {
                    let moved = moved?;
                    Stats::add(&shared.stats.bytes_in, moved.read as u64);
                    Stats::add(&shared.stats.bytes_out, moved.written as u64);
                }
                () = mailbox.wait() => {}
                () = &mut timer => {
                    self.session.handle_timeout(self.shared.now())?;
                    let deadline = self.deadline();
                    timer.as_mut().reset(deadline);
                }
            }
        }
    }

    fn handle_mail(&mut self) -> Result<(), Close> {
        let mail = self.mailbox.take(self.session.plain_room());
        for event in mail.events {
            self.session.handle_event(event)?;
        }
        if mail.news {
            self.session.handle_news();
        }
        if mail.dropped > 0 {
            Stats::add(&self.shared.stats.plain_dropped, mail.dropped);
        }
        if !mail.plain.is_empty() {
            self.session.handle_plain(mail.plain);
        }
        match mail.stop {
            None => Ok(()),
            Some(Stop::TakenOver) => Err(Close {
                reason: Reason::SESSION_TAKEN_OVER,
                detail: "another connection has taken the session over",
                by_client: false,
            }),
            Some(Stop::Reason(reason)) => {
                Err(Close { reason, detail: "the server ends the connection", by_client: false })
            }
        }
    }

    /// Hands the session the packets that are complete; tells whether it wants no more for now.
    fn handle_inbox(&mut self) -> Result<bool, Close> {
        let version = self.session.version();
        let max_bytes = self.shared.limits.packet_bytes_max;
        let mut at = 0;
        let mut packets = 0;
        let mut stalled = false;
        let inbox = &mut self.wire.inbox;
        while at < inbox.len() {
            if !self.session.wants_read() {
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
            packets += 1;
            self.session.handle_packet(packet, self.shared.now())?;
        }
        Stats::add(&self.shared.stats.packets_in, packets);
        if at == inbox.len() {
            *inbox = Vec::new();
        } else {
            inbox.drain(..at);
        }
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
                self.host.publish(publish);
            }
            Call::Publish(publish) => self.route(publish)?,
            Call::Subscribe { token, request, subscription_id, renewed } => {
                if self.shared.host.owns(&request.filter) {
                    self.host.subscribe(token, &request, subscription_id, renewed);
                } else {
                    let reason = self.route_subscribe(&request, subscription_id);
                    self.session.handle_subscribed(token, reason, false);
                }
            }
            Call::Unsubscribe { token, filter, of_host: true } => {
                self.host.unsubscribe(token, &filter);
            }
            Call::Unsubscribe { token, filter, of_host: false } => {
                self.shared.router.unsubscribe(self.session.key(), &filter);
                self.session.handle_unsubscribed(token, Reason::SUCCESS);
            }
            Call::Acked(ids) => self.host.acked(&ids),
            Call::Fetch(ids) => self.host.fetch(&ids),
            Call::Pull(room) => {
                let deliveries = self.host.pull(room);
                self.session.handle_deliveries(deliveries, room.messages);
            }
        }
        Ok(())
    }

    /// A message to a plain topic.
    fn route(&mut self, publish: HostPublish) -> Result<(), Close> {
        let (token, qos) = (publish.token, publish.qos);
        let key = self.session.key();
        if !self.shared.host.may(key, Access::Publish, &publish.topic) {
            if qos != QoS::AtMostOnce {
                self.session.handle_published(token, Reason::NOT_AUTHORIZED, None);
            }
            return Ok(());
        }
        if publish.retain && self.session.version() == Version::V5 {
            // MQTT 5 §3.2.2.3.5: the CONNACK has said so.
            return Err(Close {
                reason: Reason::RETAIN_NOT_SUPPORTED,
                detail: "retained messages are not supported",
                by_client: false,
            });
        }
        let routed = self.shared.router.publish(key, publish.into_message(), qos);
        if routed.dropped > 0 {
            tracing::debug!(dropped = routed.dropped, "queues of plain topics are full");
        }
        if qos != QoS::AtMostOnce {
            let reason = match routed.receivers {
                0 => Reason::NO_MATCHING_SUBSCRIBERS,
                _ => Reason::SUCCESS,
            };
            self.session.handle_published(token, reason, None);
        }
        Ok(())
    }

    fn route_subscribe(&self, request: &FilterRequest, subscription_id: Option<u32>) -> Reason {
        let key = self.session.key();
        if !self.shared.host.may(key, Access::Subscribe, &request.filter) {
            return Reason::NOT_AUTHORIZED;
        }
        self.shared.router.subscribe(key, request, subscription_id, self.mailbox.clone());
        Reason(request.qos as u8)
    }

    fn deadline(&self) -> Instant {
        // Without a keep-alive nothing is due: far away, and then looked at again.
        const FAR: u64 = 24 * 3600 * 1000;
        let now = self.shared.now();
        let due = self.session.poll_timeout().unwrap_or(now + FAR);
        Instant::now() + Duration::from_millis(due.saturating_sub(now))
    }

    /// Writes what the socket takes at once.
    async fn write_now(&mut self) -> io::Result<()> {
        let transmit = &mut self.session.transmit;
        let stream = &mut self.wire.stream;
        let mut written = 0;
        poll_fn(|context| {
            while written < transmit.len() {
                let rest = transmit.get(written..).unwrap_or_default();
                match Pin::new(&mut *stream).poll_write(context, rest) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Poll::Ready(Ok(bytes)) => written += bytes,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => break,
                }
            }
            Poll::Ready(Ok(()))
        })
        .await?;
        transmit.drain(..written);
        Stats::add(&self.shared.stats.bytes_out, written as u64);
        Ok(())
    }

    /// Sends the last words and closes.
    async fn farewell(&mut self) {
        let Self { wire, session, .. } = self;
        let last_words = async {
            wire.stream.write_all(&session.transmit).await?;
            wire.stream.shutdown().await
        };
        let sent = tokio::time::timeout(FAREWELL, last_words).await;
        if !matches!(sent, Ok(Ok(()))) {
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

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// Reads what there is, at most [`READ_BYTES`]; 0 is the end.
    ///
    /// # Cancel safety
    /// What was read is in the inbox; nothing is lost.
    async fn read(&mut self) -> io::Result<usize> {
        poll_fn(|context| self.poll_read(context)).await
    }

    /// Waits until something was read (if `read`) or written (if there is something to write).
    ///
    /// # Cancel safety
    /// What was read is in the inbox, what was written is removed from `transmit`.
    async fn wait(&mut self, read: bool, transmit: &mut Vec<u8>) -> io::Result<Moved> {
        poll_fn(|context| {
            let mut moved = Moved { read: 0, written: 0 };
            if !transmit.is_empty() {
                match Pin::new(&mut self.stream).poll_write(context, transmit) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Poll::Ready(Ok(written)) => {
                        transmit.drain(..written);
                        moved.written = written;
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => {}
                }
            }
            if read {
                match self.poll_read(context) {
                    Poll::Ready(Ok(0)) => {
                        return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
                    }
                    Poll::Ready(Ok(read)) => moved.read = read,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => {}
                }
            }
            if moved.read + moved.written > 0 { Poll::Ready(Ok(moved)) } else { Poll::Pending }
        })
        .await
    }

    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            std::task::ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer))?;
            self.inbox.extend_from_slice(buffer.filled());
            Poll::Ready(Ok(buffer.filled().len()))
        })
    }
}

/// Bytes that went in and out.
struct Moved {
    read: usize,
    written: usize,
}
