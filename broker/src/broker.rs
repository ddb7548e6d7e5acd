//! The broker: what all its connections share, and its life from start to shutdown.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::Instant;

use crate::connection::{self, Peer};
use crate::host::{Access, Host, HostPublish, SessionKey, Sessions};
use crate::keep::{Keeper, KeepsNothing, Kept};
use crate::limits::Limits;
use crate::mailbox::{Mailbox, Stop};
use crate::packet::{Reason, Will};
use crate::queue::Queues;
use crate::registry::Registry;
use crate::retained::{Retained, Unsaved};
use crate::router::{Rechecked, Router};
use crate::session::{MonotonicMs, Parked};
use crate::stats::Stats;
use crate::sys;
use crate::wills::Wills;

/// A broker with its host. Cheap to clone; all clones are the same broker.
pub struct Broker<H: Host> {
    pub(crate) shared: Arc<Shared<H>>,
}

impl<H: Host> Clone for Broker<H> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

pub(crate) struct Shared<H: Host> {
    pub(crate) host: H,
    pub(crate) limits: Arc<Limits>,
    pub(crate) registry: Registry,
    pub(crate) router: Router,
    pub(crate) queues: Arc<Queues>,
    pub(crate) retained: Retained,
    pub(crate) unsaved: Arc<Unsaved>,
    pub(crate) keeper: Arc<dyn Keeper>,
    pub(crate) stats: Arc<Stats>,
    pub(crate) wills: Wills,
    /// Places of those whose layers are being opened.
    pub(crate) handshakes: Arc<Semaphore>,
    connecting: Mutex<Waiting>,
    started: Instant,
    /// The same moment in Unix milliseconds.
    started_unix_ms: u64,
    stopping: watch::Sender<bool>,
    /// A connection has ended.
    ended: Notify,
}

impl<H: Host> Broker<H> {
    /// A broker around `host` whose plain topics do not outlive it.
    #[must_use]
    pub fn new(host: H, limits: Limits) -> Self {
        Self::with_keeper(host, limits, Arc::new(KeepsNothing), Kept::default())
    }

    /// A broker around `host` whose plain topics are kept by `keeper`, which has kept `kept`.
    #[must_use]
    pub fn with_keeper(host: H, limits: Limits, keeper: Arc<dyn Keeper>, kept: Kept) -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let shared = Arc::new(Shared {
            host,
            handshakes: Arc::new(Semaphore::new(limits.handshakes_max)),
            queues: Arc::new(Queues::new(&limits)),
            limits: Arc::new(limits),
            registry: Registry::default(),
            router: Router::default(),
            retained: Retained::default(),
            unsaved: Arc::default(),
            keeper,
            stats: Arc::default(),
            wills: Wills::default(),
            connecting: Mutex::default(),
            started: Instant::now(),
            started_unix_ms: u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX),
            stopping: watch::channel(false).0,
            ended: Notify::new(),
        });
        shared.restore(kept);
        shared.host.start(Arc::new(EndSessions(Arc::downgrade(&shared))));
        Self { shared }
    }

    /// Serves one connection over any stream of bytes, in a task of its own.
    pub fn serve_stream(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        address: SocketAddr,
    ) {
        let shared = self.shared.clone();
        let Some(counted) = Counted::admit(&shared, address) else { return };
        let Some(connecting) = Connecting::admit(&shared, address) else { return };
        let (peer, deadline) = (Peer { address, certificate: None }, shared.connect_deadline());
        tokio::spawn(async move {
            connection::serve(shared, stream, peer, deadline, Some(connecting), counted).await;
        });
    }

    /// Ends sessions and retained messages whose time has come, publishes wills that are due and
    /// `$SYS`, and has saved what nobody waits for, once a second until [`Broker::shutdown`].
    pub async fn expire_sessions(&self) {
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        for second in 0_u64.. {
            tokio::select! {
                _ = tick.tick() => {}
                () = self.shared.stopping() => return,
            }
            let shared = &self.shared;
            for (key, will) in shared.wills.take_due(shared.now()) {
                shared.publish_will(&key, *will);
            }
            for (key, parked, mailbox) in shared.registry.expire(shared.now()) {
                Stats::add(&shared.stats.sessions_expired, 1);
                shared.end_parked(&key, parked, &mailbox);
            }
            shared.tend_retained();
            if second % sys::EVERY_S == 0 {
                shared.publish_sys();
            }
        }
    }

    /// Stops accepting, tells every client that the server shuts down (0x8B) or, if there is
    /// [`Limits::server_reference`], where to go instead (0x9C), and waits until the
    /// connections have ended or `grace` is over. Returns how many had not.
    pub async fn shutdown(&self, grace: Duration) -> u64 {
        self.shared.stopping.send_replace(true);
        self.shared.registry.stop_all(Stop::Reason(self.shared.stop_reason()));
        let open = || self.shared.stats.connections.load(Ordering::Acquire);
        let all_ended = async {
            loop {
                let ended = self.shared.ended.notified();
                if open() == 0 {
                    return;
                }
                ended.await;
            }
        };
        let left = match tokio::time::timeout(grace, all_ended).await {
            Ok(()) => 0,
            Err(_) => open(),
        };
        self.shared.tend_retained();
        left
    }

    /// Asks the host again which plain topics each session may be subscribed to: the rules have
    /// changed. A subscription that is not allowed any more stays and gets nothing, until it is
    /// allowed again. What is queued already is delivered. Costs a look at every subscription;
    /// messages flow meanwhile, new subscriptions wait.
    pub fn recheck_access(&self) -> Rechecked {
        self.shared.recheck_access()
    }

    /// What it counts.
    #[must_use]
    pub fn stats(&self) -> &Stats {
        &self.shared.stats
    }

    /// How many sessions are on line and off line.
    #[must_use]
    pub fn sessions(&self) -> (usize, usize) {
        self.shared.registry.counts()
    }

    /// The host.
    #[must_use]
    pub fn host(&self) -> &H {
        &self.shared.host
    }
}

impl<H: Host> Shared<H> {
    /// Milliseconds since the broker was made.
    pub(crate) fn now(&self) -> MonotonicMs {
        self.at(Instant::now())
    }

    /// The same of a moment that was read off the clock already.
    pub(crate) fn at(&self, moment: Instant) -> MonotonicMs {
        let since = moment.saturating_duration_since(self.started);
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    /// Unix milliseconds of such a time.
    pub(crate) fn unix_ms(&self, at: MonotonicMs) -> u64 {
        self.started_unix_ms.saturating_add(at)
    }

    /// The other way; 0 for what was before the start.
    pub(crate) fn monotonic_ms(&self, unix_ms: u64) -> MonotonicMs {
        unix_ms.saturating_sub(self.started_unix_ms)
    }

    /// When a connection that begins now has to be let in.
    pub(crate) fn connect_deadline(&self) -> Instant {
        Instant::now() + Duration::from_millis(self.limits.connect_timeout_ms)
    }

    fn refuse(&self, address: SocketAddr) {
        Stats::add(&self.stats.connections_refused, 1);
        tracing::debug!(%address, "too many connections, closed at once");
    }

    /// Whether the broker is shutting down.
    pub(crate) fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Why clients are sent away when the broker stops.
    pub(crate) fn stop_reason(&self) -> Reason {
        match self.limits.server_reference {
            Some(_) => Reason::USE_ANOTHER_SERVER,
            None => Reason::SERVER_SHUTTING_DOWN,
        }
    }

    /// A session that was off line has ended.
    fn end_parked(&self, key: &SessionKey, mut parked: Parked, mailbox: &Arc<Mailbox>) {
        let filters = parked.plain_filters();
        self.end_plain(key, &filters, mailbox, |wanted| parked.take_shared(wanted));
        self.host.end(key, parked.epoch());
        // MQTT 5 §3.1.2.5: at the end of the session at the latest.
        if let Some(will) = self.wills.take(key) {
            self.publish_will(key, *will);
        }
    }

    pub(crate) fn recheck_access(&self) -> Rechecked {
        self.router.recheck(|key, filter| self.host.may(key, Access::Subscribe, filter))
    }

    /// Publishes a will that is due. There is nobody to be told if it cannot be.
    pub(crate) fn publish_will(&self, key: &SessionKey, will: Will) {
        Stats::add(&self.stats.wills, 1);
        let publish = HostPublish::from(will);
        if self.host.owns(&publish.topic) {
            self.host.will(key, publish);
        } else if self.host.may(key, Access::Publish, &publish.topic) {
            self.publish_plain(key, publish, None);
            tracing::debug!(user = %key.user, "a will is published");
        } else {
            Stats::add(&self.stats.access_denied, 1);
            tracing::debug!(user = %key.user, topic = %publish.topic, "a will is not allowed");
        }
    }

    /// Waits until the broker is shutting down.
    ///
    /// # Cancel safety
    /// It only looks.
    pub(crate) async fn stopping(&self) {
        // The sender lives as long as `self`: there is no error to see.
        let _ = self.stopping.subscribe().wait_for(|stopping| *stopping).await;
    }
}

/// Ends sessions for the host, which the broker owns: it must not own the broker in turn.
struct EndSessions<H: Host>(Weak<Shared<H>>);

impl<H: Host> Sessions for EndSessions<H> {
    fn end(&self, key: &SessionKey, reason: Reason) {
        if let Some(shared) = self.0.upgrade()
            && let Some((parked, mailbox)) = shared.registry.end(key, reason)
        {
            shared.end_parked(key, parked, &mailbox);
        }
    }
}

/// Counts an open connection for as long as it lives.
pub(crate) struct Counted<H: Host>(Arc<Shared<H>>);

impl<H: Host> Counted<H> {
    /// `None`: there are too many, which is counted.
    pub(crate) fn admit(shared: &Arc<Shared<H>>, address: SocketAddr) -> Option<Self> {
        let open = shared.stats.connections.load(Ordering::Relaxed);
        if open >= shared.limits.connections_max as u64 {
            shared.refuse(address);
            return None;
        }
        let open = shared.stats.connections.fetch_add(1, Ordering::AcqRel) + 1;
        shared.stats.connections_highest.fetch_max(open, Ordering::Relaxed);
        Some(Self(shared.clone()))
    }
}

impl<H: Host> Drop for Counted<H> {
    fn drop(&mut self) {
        self.0.stats.connections.fetch_sub(1, Ordering::AcqRel);
        self.0.ended.notify_waiters();
    }
}

/// How many connections have not been let in yet.
#[derive(Default)]
struct Waiting {
    by_address: HashMap<IpAddr, usize>,
    all: usize,
}

/// Counts a connection that has not been let in yet, against its address as well.
pub(crate) struct Connecting<H: Host> {
    shared: Arc<Shared<H>>,
    address: IpAddr,
}

impl<H: Host> Connecting<H> {
    /// `None`: there are too many, of its address or of all, which is counted.
    pub(crate) fn admit(shared: &Arc<Shared<H>>, address: SocketAddr) -> Option<Self> {
        let limits = &shared.limits;
        {
            let connecting = &mut *shared.connecting.lock();
            let of_address = connecting.by_address.get(&address.ip()).copied().unwrap_or(0);
            if of_address >= limits.connecting_per_address_max
                || connecting.all >= limits.connecting_max
            {
                shared.refuse(address);
                return None;
            }
            connecting.by_address.insert(address.ip(), of_address + 1);
            connecting.all += 1;
        }
        Some(Self { shared: shared.clone(), address: address.ip() })
    }
}

impl<H: Host> Drop for Connecting<H> {
    fn drop(&mut self) {
        let connecting = &mut *self.shared.connecting.lock();
        connecting.all -= 1;
        if let Some(count) = connecting.by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                connecting.by_address.remove(&self.address);
            }
        }
    }
}
