//! Plain topics on the store: the broker's [`Keeper`].
//!
//! A thread of its own commits what has come in since the last commit as one synced batch. What
//! nobody waits for lingers a moment for company.

use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use bluetick_broker::host::SessionKey;
use bluetick_broker::keep::{
    Change, Done, Keeper, Kept, KeptAll, KeptPlace, KeptSession, KeptSubscription, NotKept,
    SessionRef,
};
use parking_lot::{Condvar, Mutex};

use super::keys::plain::{self as keys, Part};
use super::kv::{Kv, KvBatch, StoreError, Table};
use super::records::plain as records;

/// How long what nobody waits for waits for company.
const LINGER: Duration = Duration::from_millis(20);

/// Changes that wait while the store fails. Further ones that nobody waits for are dropped, counted
/// and told once it works again; who would wait is refused as long as it fails.
const WAITING_MAX: usize = 200_000;

/// How often a store that has failed is tried.
const RETRY: Duration = Duration::from_millis(500);

/// Where plain topics are kept. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct PlainStore {
    inbox: Arc<Inbox>,
}

#[derive(Default)]
struct Inbox {
    state: Mutex<State>,
    work: Condvar,
}

#[derive(Default)]
struct State {
    commits: Vec<Commit>,
    /// Somebody waits for one of them.
    urgent: bool,
    /// The store has failed: who would wait is told so at once.
    failing: bool,
    /// Changes in `commits` that came while it fails.
    waiting: usize,
    /// Changes that there was no room for meanwhile.
    dropped: usize,
    stopping: bool,
}

struct Commit {
    changes: Vec<Change>,
    done: Option<Done>,
}

/// The thread that commits.
pub struct PlainWriter {
    inbox: Arc<Inbox>,
    thread: JoinHandle<()>,
}

impl PlainStore {
    /// Reads all that is kept in `kv`, and starts the thread. Blocks on the disk.
    ///
    /// # Errors
    /// The store cannot be read, or the thread not be started.
    pub fn open(kv: Arc<dyn Kv>) -> Result<(Self, PlainWriter, Kept), StoreError> {
        let kept = load(&*kv)?;
        let inbox = Arc::new(Inbox::default());
        let writer = Writer { kv, inbox: inbox.clone() };
        let thread = std::thread::Builder::new().name("plain".to_owned());
        let thread = thread.spawn(move || writer.run());
        let thread = thread.map_err(|error: io::Error| StoreError::Io(error.to_string()))?;
        Ok((Self { inbox: inbox.clone() }, PlainWriter { inbox, thread }, kept))
    }
}

impl Keeper for PlainStore {
    fn commit(&self, changes: Vec<Change>, done: Option<Done>) {
        let refused = {
            let state = &mut *self.inbox.state.lock();
            match done {
                Some(done) if state.failing => Some(done),
                None if state.failing && state.waiting + changes.len() > WAITING_MAX => {
                    state.dropped += changes.len();
                    None
                }
                done => {
                    if state.failing {
                        state.waiting += changes.len();
                    }
                    state.urgent |= done.is_some();
                    state.commits.push(Commit { changes, done });
                    None
                }
            }
        };
        match refused {
            Some(done) => done(Err(NotKept { tried: false })),
            None => {
                self.inbox.work.notify_one();
            }
        }
    }
}

impl PlainWriter {
    /// Commits what has come in and ends the thread.
    pub fn stop(self) {
        self.inbox.state.lock().stopping = true;
        self.inbox.work.notify_one();
        if self.thread.join().is_err() {
            tracing::error!("the thread that stores plain topics has failed");
        }
    }
}

struct Writer {
    kv: Arc<dyn Kv>,
    inbox: Arc<Inbox>,
}

impl Writer {
    fn run(&self) {
        while let Some(mut commits) = self.next() {
            while let Err(error) = self.commit(&commits) {
                tracing::error!(%error, "plain topics cannot be stored");
                self.inbox.state.lock().failing = true;
                // Who waits takes it back; the rest is done when it can be.
                commits.retain_mut(|commit| match commit.done.take() {
                    Some(done) => {
                        done(Err(NotKept { tried: true }));
                        false
                    }
                    None => true,
                });
                if !self.outlast_failure(&mut commits) {
                    return;
                }
            }
            commits.into_iter().filter_map(|commit| commit.done).for_each(|done| done(Ok(())));
        }
    }

    /// What has come in; `None`: it is to end and there is nothing.
    fn next(&self) -> Option<Vec<Commit>> {
        let mut state = self.inbox.state.lock();
        while state.commits.is_empty() {
            if state.stopping {
                return None;
            }
            self.inbox.work.wait(&mut state);
        }
        while !state.urgent && !state.stopping {
            if self.inbox.work.wait_for(&mut state, LINGER).timed_out() {
                break;
            }
        }
        state.urgent = false;
        Some(std::mem::take(&mut state.commits))
    }

    /// Tries until the store works again; `false`: it is to end and the store still does not.
    fn outlast_failure(&self, commits: &mut Vec<Commit>) -> bool {
        // What failed with somebody waiting was taken back: only the rest is tried again, and
        // taking back what was never made does no harm.
        loop {
            let mut state = self.inbox.state.lock();
            if !state.stopping {
                self.inbox.work.wait_for(&mut state, RETRY);
            }
            let stopping = state.stopping;
            drop(state);
            if self.kv.recover().is_ok() {
                let state = &mut *self.inbox.state.lock();
                state.failing = false;
                commits.append(&mut state.commits);
                state.urgent = false;
                state.waiting = 0;
                let dropped = std::mem::take(&mut state.dropped);
                tracing::info!("plain topics can be stored again");
                if dropped > 0 {
                    tracing::error!(
                        dropped,
                        "changes that nobody waited for were not stored: a restart may bring back \
                         messages that were delivered and sessions that have ended, or lose \
                         messages that were not waited for"
                    );
                }
                return true;
            }
            if stopping {
                return false;
            }
        }
    }

    fn commit(&self, commits: &[Commit]) -> Result<(), StoreError> {
        let mut batch = KvBatch::default();
        for change in commits.iter().flat_map(|commit| &commit.changes) {
            match change {
                Change::EndSession(of) => self.end_session(&of.key, &mut batch)?,
                change => apply(change, &mut batch),
            }
        }
        self.kv.commit(&batch)
    }

    /// Removes what is stored of a client's sessions, and what this batch would.
    fn end_session(&self, key: &SessionKey, batch: &mut KvBatch) -> Result<(), StoreError> {
        let (from, to) = keys::sessions_of(key);
        let mut found: Vec<Vec<u8>> = Vec::new();
        for (table, key, _) in batch.iter() {
            if table == Table::Plain && (&*from..&*to).contains(&key) {
                found.push(key.to_vec());
            }
        }
        self.kv.scan(Table::Plain, &from, &to, &mut |key, _| {
            found.push(key.to_vec());
            ControlFlow::Continue(())
        })?;
        found.iter().for_each(|key| batch.delete(Table::Plain, key));
        Ok(())
    }
}

fn apply(change: &Change, batch: &mut KvBatch) {
    let table = Table::Plain;
    match change {
        Change::Retain(retained) => {
            let key = keys::retained(&retained.message.topic);
            batch.put(table, &key, |out| records::encode_retained(retained, out));
        }
        Change::Unretain(topic) => batch.delete(table, &keys::retained(topic)),
        Change::Session(of, session) => {
            let key = keys::session(of, &Part::Itself);
            batch.put(table, &key, |out| records::encode_session(*session, out));
        }
        // Needs the store: see `Writer::end_session`.
        Change::EndSession(_) => {}
        Change::Subscribe(of, subscription) => {
            let part = Part::Subscription(subscription.request.filter.clone());
            let key = keys::session(of, &part);
            batch.put(table, &key, |out| records::encode_subscription(subscription, out));
        }
        Change::Unsubscribe(of, filter) => {
            batch.delete(table, &keys::session(of, &Part::Subscription(filter.clone())));
        }
        Change::Queue(of, seq, delivery) => {
            let key = keys::session(of, &Part::Queued(*seq));
            batch.put(table, &key, |out| records::encode_delivery(delivery, out));
        }
        Change::Release(of, seq, packet_id) => {
            let key = keys::session(of, &Part::Queued(*seq));
            batch.put(table, &key, |out| records::encode_released(*packet_id, out));
        }
        Change::Unqueue(of, seq) => batch.delete(table, &keys::session(of, &Part::Queued(*seq))),
        Change::Receive(of, packet_id) => {
            batch.put(table, &keys::session(of, &Part::Received(*packet_id)), |_| ());
        }
        Change::Unreceive(of, packet_id) => {
            batch.delete(table, &keys::session(of, &Part::Received(*packet_id)));
        }
    }
}

/// Reads all that is kept. What belongs to no session is left of one that ended in a crash, and
/// goes.
fn load(kv: &dyn Kv) -> Result<Kept, StoreError> {
    let mut kept = Kept::default();
    let (from, to) = keys::all_retained();
    scan(kv, &from, &to, |key, value| {
        kept.retained.push(records::decode_retained(keys::retained_topic(key)?, value)?);
        Ok(())
    })?;
    let mut sessions: BTreeMap<SessionRef, Parts> = BTreeMap::new();
    let (from, to) = keys::all_sessions();
    scan(kv, &from, &to, |key, value| {
        let (of, part) = keys::session_part(key)?;
        let parts = sessions.entry(of).or_default();
        parts.keys.push(key.to_vec());
        match part {
            Part::Itself => parts.session = Some(records::decode_session(value)?),
            Part::Subscription(filter) => {
                parts.subscriptions.push(records::decode_subscription(filter, value)?);
            }
            Part::Received(packet_id) => parts.received.push(packet_id),
            Part::Queued(seq) => parts.queue.push((seq, records::decode_place(value)?)),
        }
        Ok(())
    })?;
    let mut orphans = KvBatch::default();
    for (of, parts) in sessions {
        let Parts { keys, session, subscriptions, received, queue } = parts;
        match session {
            Some(session) => {
                let all = KeptAll { of, session, subscriptions, queue, received };
                kept.sessions.push(all);
            }
            None => keys.iter().for_each(|key| orphans.delete(Table::Plain, key)),
        }
    }
    if !orphans.is_empty() {
        tracing::debug!(records = orphans.len(), "left of sessions that have ended");
        kv.commit(&orphans)?;
    }
    Ok(kept)
}

#[derive(Default)]
struct Parts {
    keys: Vec<Vec<u8>>,
    session: Option<KeptSession>,
    subscriptions: Vec<KeptSubscription>,
    received: Vec<u16>,
    queue: Vec<(u64, KeptPlace)>,
}

fn scan(
    kv: &dyn Kv,
    from: &[u8],
    to: &[u8],
    mut each: impl FnMut(&[u8], &[u8]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut result = Ok(());
    kv.scan(Table::Plain, from, to, &mut |key, value| {
        result = each(key, value);
        if result.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    result
}
