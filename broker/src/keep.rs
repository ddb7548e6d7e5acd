//! What of plain topics outlives the process: retained messages, and of persistent sessions their
//! subscriptions, queued messages and state of QoS 2.
//!
//! The broker knows no database. It tells a [`Keeper`] what changes, in order, and at the start it
//! is given all there is ([`Kept`]). Times are Unix milliseconds.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::host::SessionKey;
use crate::packet::{FilterRequest, QoS};

/// Hears what became of a commit.
pub type Done = Box<dyn FnOnce(Result<(), NotKept>) + Send>;

/// The changes of a commit are not on stable storage, or nobody knows whether they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("plain topics cannot be stored")]
pub struct NotKept {
    /// It was tried, so that it may be kept after all; else it was refused at once, and nothing of
    /// it has to be taken back.
    pub tried: bool,
}

/// Where plain topics are kept. Calls return at once and never block; their order is that of the
/// changes.
///
/// A keeper needs no bound of its own: for what somebody waits, clients wait within their windows,
/// and what nobody waits for undoes or replaces what is bounded already (queues, retained
/// messages).
pub trait Keeper: Send + Sync + 'static {
    /// Makes all of these changes or none, after those of earlier calls; `done` hears when they
    /// are on stable storage, or that they are not: then the caller takes them back.
    ///
    /// Without `done` nobody waits: they may linger for company, and are tried until they succeed.
    fn commit(&self, changes: Vec<Change>, done: Option<Done>);
}

/// Which session: a later one of the same key has another epoch, and nothing of an earlier one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionRef {
    /// Whose.
    pub key: SessionKey,
    /// As the host gave it.
    pub epoch: u64,
}

/// A change of what is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The retained message of its topic.
    Retain(KeptRetained),
    /// The topic has none any more.
    Unretain(Arc<str>),
    /// What is kept of the session itself.
    Session(SessionRef, KeptSession),
    /// All of the session goes, and all of earlier ones of its key.
    EndSession(SessionRef),
    /// A subscription, in place of one with the same filter.
    Subscribe(SessionRef, KeptSubscription),
    /// The end of one.
    Unsubscribe(SessionRef, Arc<str>),
    /// A message for the session; numbers rise in the order of delivery.
    Queue(SessionRef, u64, KeptDelivery),
    /// The client has the message of this number at QoS 2: what is left is its packet id.
    Release(SessionRef, u64, u16),
    /// The client is done with the message of this number.
    Unqueue(SessionRef, u64),
    /// A packet id of the client at QoS 2 whose message is here.
    Receive(SessionRef, u16),
    /// The client has released it.
    Unreceive(SessionRef, u16),
}

/// A message as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptMessage {
    /// Where it was published.
    pub topic: Arc<str>,
    /// MQTT 5's properties as [`crate::codec::encode_publish_properties`] writes them.
    pub properties: Bytes,
    /// The body.
    pub payload: Bytes,
    /// When its life ends.
    pub expires_at_ms: Option<u64>,
    /// The publisher's retain flag.
    pub retain: bool,
}

/// A retained message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptRetained {
    /// What.
    pub message: KeptMessage,
    /// As it was published.
    pub qos: QoS,
    /// Who published it: subscriptions with "no local" are not given their own.
    pub from: SessionKey,
}

/// A session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptSession {
    /// Seconds that it outlives its connection; `u32::MAX`: for ever.
    pub expiry_s: u32,
    /// Since when it has none; `None`: it has one.
    pub offline_since_ms: Option<u64>,
}

/// A subscription of a session to a plain topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptSubscription {
    /// Filter and options, as granted.
    pub request: FilterRequest,
    /// MQTT 5's identifier.
    pub id: Option<u32>,
}

/// A message that waits for a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptDelivery {
    /// What.
    pub message: KeptMessage,
    /// At which level.
    pub qos: QoS,
    /// Whether to send the retain flag.
    pub retain: bool,
    /// Of the subscriptions that matched.
    pub subscription_ids: Vec<u32>,
    /// At QoS 2 the packet id it is sent with, also after a restart; else 0.
    pub packet_id: u16,
    /// The shared subscription that it came by, whole.
    pub share: Option<Arc<str>>,
}

/// A place in a session's queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeptPlace {
    /// To be delivered.
    Delivery(KeptDelivery),
    /// Delivered at QoS 2; PUBREL is due, or was sent, with this packet id.
    Released(u16),
}

/// All that is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    /// Retained messages.
    pub retained: Vec<KeptRetained>,
    /// Sessions, each with all that belongs to it.
    pub sessions: Vec<KeptAll>,
}

/// All that is kept of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptAll {
    /// Which.
    pub of: SessionRef,
    /// The session itself.
    pub session: KeptSession,
    /// Its subscriptions.
    pub subscriptions: Vec<KeptSubscription>,
    /// Its queue, rising.
    pub queue: Vec<(u64, KeptPlace)>,
    /// Packet ids of its client at QoS 2 that are not released.
    pub received: Vec<u16>,
}

/// Keeps nothing, and says at once that it has.
#[derive(Debug, Default)]
pub struct KeepsNothing;

impl Keeper for KeepsNothing {
    fn commit(&self, _: Vec<Change>, done: Option<Done>) {
        if let Some(done) = done {
            done(Ok(()));
        }
    }
}

/// Keeps in memory: for tests. Cheap to clone; all clones are the same.
#[derive(Clone, Default)]
pub struct MemoryKeeper {
    inner: Arc<Mutex<Memory>>,
}

#[derive(Default)]
struct Memory {
    retained: BTreeMap<Arc<str>, KeptRetained>,
    sessions: BTreeMap<SessionKey, KeptAll>,
    commits: usize,
    /// Commits wait for [`MemoryKeeper::let_go`].
    held: Option<Vec<(Vec<Change>, Option<Done>)>>,
    failing: bool,
}

impl MemoryKeeper {
    /// What is kept, as it is given to a broker at its start.
    #[must_use]
    pub fn kept(&self) -> Kept {
        let memory = self.inner.lock();
        let retained = memory.retained.values().cloned().collect();
        Kept { retained, sessions: memory.sessions.values().cloned().collect() }
    }

    /// How many commits there were, those that are held not counted.
    #[must_use]
    pub fn commits(&self) -> usize {
        self.inner.lock().commits
    }

    /// From now on a commit waits for [`MemoryKeeper::let_go`]: until then a crash would lose it.
    pub fn hold(&self) {
        self.inner.lock().held.get_or_insert_default();
    }

    /// Makes the commits that wait, and waits with no more.
    pub fn let_go(&self) {
        let held = self.inner.lock().held.take().unwrap_or_default();
        for (changes, done) in held {
            self.commit(changes, done);
        }
    }

    /// Whether commits that somebody waits for fail from now on.
    pub fn fail(&self, failing: bool) {
        self.inner.lock().failing = failing;
    }
}

impl Keeper for MemoryKeeper {
    fn commit(&self, changes: Vec<Change>, done: Option<Done>) {
        let failed = {
            let memory = &mut *self.inner.lock();
            if let Some(held) = &mut memory.held {
                held.push((changes, done));
                return;
            }
            let failed = memory.failing && done.is_some();
            if !failed {
                memory.commits += 1;
                changes.into_iter().for_each(|change| memory.apply(change));
            }
            failed
        };
        // Not under the lock: who hears it may have more to commit.
        if let Some(done) = done {
            done(if failed { Err(NotKept { tried: true }) } else { Ok(()) });
        }
    }
}

impl Memory {
    fn apply(&mut self, change: Change) {
        match change {
            Change::Retain(retained) => {
                self.retained.insert(retained.message.topic.clone(), retained);
            }
            Change::Unretain(topic) => {
                self.retained.remove(&topic);
            }
            Change::Session(of, session) => match self.sessions.get_mut(&of.key) {
                Some(all) if all.of == of => all.session = session,
                _ => {
                    let key = of.key.clone();
                    let (subscriptions, queue, received) = Default::default();
                    let all = KeptAll { of, session, subscriptions, queue, received };
                    self.sessions.insert(key, all);
                }
            },
            Change::EndSession(of) => {
                if self.sessions.get(&of.key).is_some_and(|all| all.of.epoch == of.epoch) {
                    self.sessions.remove(&of.key);
                }
            }
            Change::Subscribe(of, subscription) => self.of(&of, |all| {
                let filter = &subscription.request.filter;
                all.subscriptions.retain(|had| had.request.filter != *filter);
                all.subscriptions.push(subscription);
            }),
            Change::Unsubscribe(of, filter) => self.of(&of, |all| {
                all.subscriptions.retain(|had| had.request.filter != filter);
            }),
            Change::Queue(of, seq, delivery) => {
                self.of(&of, |all| all.place(seq, Some(KeptPlace::Delivery(delivery))));
            }
            Change::Release(of, seq, packet_id) => {
                self.of(&of, |all| all.place(seq, Some(KeptPlace::Released(packet_id))));
            }
            Change::Unqueue(of, seq) => self.of(&of, |all| all.place(seq, None)),
            Change::Receive(of, packet_id) => self.of(&of, |all| all.received.push(packet_id)),
            Change::Unreceive(of, packet_id) => {
                self.of(&of, |all| all.received.retain(|id| *id != packet_id));
            }
        }
    }

    fn of(&mut self, of: &SessionRef, change: impl FnOnce(&mut KeptAll)) {
        if let Some(all) = self.sessions.get_mut(&of.key).filter(|all| all.of.epoch == of.epoch) {
            change(all);
        }
    }
}

impl KeptAll {
    fn place(&mut self, seq: u64, place: Option<KeptPlace>) {
        self.queue.retain(|(had, _)| *had != seq);
        if let Some(place) = place {
            let at = self.queue.partition_point(|(had, _)| *had < seq);
            self.queue.insert(at, (seq, place));
        }
    }
}
