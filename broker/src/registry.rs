//! Who is on line, and what is kept of those who are not.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::host::SessionKey;
use crate::mailbox::{Mailbox, Stop};
use crate::packet::Reason;
use crate::session::{EXPIRY_NEVER, MonotonicMs, Parked};

/// All sessions of a broker.
#[derive(Default)]
pub(crate) struct Registry {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    sessions: HashMap<SessionKey, State>,
    /// Sessions off line by the time they expire.
    expiring: BTreeSet<(MonotonicMs, SessionKey)>,
    /// How many sessions of each user there are.
    by_user: HashMap<Arc<str>, usize>,
}

/// The user has as many sessions as one may.
#[derive(Debug)]
pub(crate) struct TooMany;

enum State {
    /// A connection has it. `ended` is there once somebody waits for its end.
    Online { mailbox: Arc<Mailbox>, ended: Option<Arc<Ended>> },
    /// Boxed: most sessions are on line, and the table has room for the larger of the two.
    Offline(Box<Offline>),
}

struct Offline {
    parked: Parked,
    mailbox: Arc<Mailbox>,
    expires_at: MonotonicMs,
}

/// Tells those who wait for a session that its connection has let go.
#[derive(Default)]
struct Ended {
    done: AtomicBool,
    told: Notify,
}

impl Ended {
    fn tell(&self) {
        self.done.store(true, Ordering::Release);
        self.told.notify_waiters();
    }

    async fn wait(&self) {
        let told = self.told.notified();
        tokio::pin!(told);
        // Listens before it looks, so that nothing is missed in between.
        told.as_mut().enable();
        if !self.done.load(Ordering::Acquire) {
            told.await;
        }
    }
}

/// A connection's hold on its session; to be given back with [`Registry::release`].
pub(crate) struct Claim {
    pub(crate) mailbox: Arc<Mailbox>,
}

impl Registry {
    /// Takes a session for a new connection, with what was kept of it. One that is on line is told
    /// to let go first (MQTT 5 §3.1.4); this waits until it has.
    ///
    /// # Errors
    /// It would be a new one, and its user has `max` already.
    pub(crate) async fn claim(
        &self,
        key: &SessionKey,
        max: usize,
        fresh: impl Fn() -> Arc<Mailbox>,
    ) -> Result<(Claim, Option<Parked>), TooMany> {
        loop {
            let ended = {
                let mut inner = self.inner.lock();
                match inner.sessions.get_mut(key) {
                    Some(State::Online { mailbox, ended }) => {
                        mailbox.stop(Stop::TakenOver);
                        ended.get_or_insert_default().clone()
                    }
                    Some(State::Offline(_)) | None => {
                        return inner.take(key, max, &fresh);
                    }
                }
            };
            ended.wait().await;
        }
    }

    /// The connection lets go of its session: keeps what is parked, or forgets it.
    pub(crate) fn release(
        &self,
        key: &SessionKey,
        claim: Claim,
        parked: Option<Parked>,
        now: MonotonicMs,
    ) {
        let mut inner = self.inner.lock();
        let state = match parked {
            Some(parked) => {
                let expires_at = match parked.expiry_s() {
                    EXPIRY_NEVER => MonotonicMs::MAX,
                    expiry_s => now.saturating_add(u64::from(expiry_s) * 1000),
                };
                inner.expiring.insert((expires_at, key.clone()));
                let mailbox = claim.mailbox.clone();
                // Locked as who asks is: from here on nobody asks this connection.
                mailbox.forget_stop();
                let offline = Box::new(Offline { parked, mailbox, expires_at });
                inner.sessions.insert(key.clone(), State::Offline(offline))
            }
            None => inner.remove(key),
        };
        drop(inner);
        if let Some(State::Online { ended: Some(ended), .. }) = state {
            ended.tell();
        }
    }

    /// A session that was kept over a restart.
    pub(crate) fn restore(
        &self,
        key: SessionKey,
        parked: Parked,
        mailbox: Arc<Mailbox>,
        expires_at: MonotonicMs,
    ) {
        let inner = &mut *self.inner.lock();
        inner.expiring.insert((expires_at, key.clone()));
        let offline = Box::new(Offline { parked, mailbox, expires_at });
        inner.insert(key, State::Offline(offline));
    }

    /// Takes out the sessions whose time has come.
    pub(crate) fn expire(&self, now: MonotonicMs) -> Vec<(SessionKey, Parked, Arc<Mailbox>)> {
        let mut inner = self.inner.lock();
        let mut expired = Vec::new();
        while inner.expiring.first().is_some_and(|(at, _)| *at <= now) {
            let Some((_, key)) = inner.expiring.pop_first() else { break };
            if let Some(State::Offline(offline)) = inner.remove(&key) {
                expired.push((key, offline.parked, offline.mailbox));
            }
        }
        expired
    }

    /// Ends a session: tells its connection, or takes out what was kept of it.
    pub(crate) fn end(&self, key: &SessionKey, reason: Reason) -> Option<(Parked, Arc<Mailbox>)> {
        let mut inner = self.inner.lock();
        match inner.sessions.get(key)? {
            State::Online { mailbox, .. } => {
                mailbox.stop(Stop::Ended(reason));
                None
            }
            State::Offline(_) => match inner.remove(key)? {
                State::Offline(offline) => {
                    inner.expiring.remove(&(offline.expires_at, key.clone()));
                    Some((offline.parked, offline.mailbox))
                }
                State::Online { .. } => None,
            },
        }
    }

    /// Tells every connection to end.
    pub(crate) fn stop_all(&self, stop: Stop) {
        for state in self.inner.lock().sessions.values() {
            if let State::Online { mailbox, .. } = state {
                mailbox.stop(stop);
            }
        }
    }

    /// How many sessions are on line and off line.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let inner = self.inner.lock();
        let offline = inner.expiring.len();
        (inner.sessions.len() - offline, offline)
    }
}

impl Inner {
    fn insert(&mut self, key: SessionKey, state: State) {
        let user = key.user.clone();
        if self.sessions.insert(key, state).is_none() {
            *self.by_user.entry(user).or_insert(0) += 1;
        }
    }

    fn remove(&mut self, key: &SessionKey) -> Option<State> {
        let state = self.sessions.remove(key)?;
        if let Some(count) = self.by_user.get_mut(&key.user) {
            *count -= 1;
            if *count == 0 {
                self.by_user.remove(&key.user);
            }
        }
        Some(state)
    }

    fn take(
        &mut self,
        key: &SessionKey,
        max: usize,
        fresh: impl Fn() -> Arc<Mailbox>,
    ) -> Result<(Claim, Option<Parked>), TooMany> {
        let of_user = self.by_user.get(&key.user).copied().unwrap_or(0);
        if of_user >= max && !self.sessions.contains_key(key) {
            return Err(TooMany);
        }
        let (parked, mailbox) = match self.remove(key) {
            Some(State::Offline(offline)) => {
                self.expiring.remove(&(offline.expires_at, key.clone()));
                (Some(offline.parked), offline.mailbox)
            }
            Some(State::Online { .. }) | None => (None, fresh()),
        };
        self.insert(key.clone(), State::Online { mailbox: mailbox.clone(), ended: None });
        Ok((Claim { mailbox }, parked))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keep::{KeptAll, KeptSession, SessionRef};

    #[tokio::test]
    async fn a_connection_that_ends_while_it_is_taken_over_ends_alone() {
        let registry = Registry::default();
        let key = SessionKey { user: "bob".into(), client_id: "phone".into() };
        let fresh = || Arc::new(Mailbox::new(Arc::default()));
        let claim = async || match registry.claim(&key, 1, fresh).await {
            Ok((claim, _)) => claim,
            Err(TooMany) => panic!("one"),
        };
        let first = claim().await;
        let second = async {
            let second = claim().await;
            assert!(second.mailbox.take(0, 0).stop.is_none(), "the first one was meant");
        };
        let lost = async {
            let of = SessionRef { key: key.clone(), epoch: 1 };
            let session = KeptSession { expiry_s: 10, offline_since_ms: None };
            let (subscriptions, queue, received) = (Vec::new(), Vec::new(), Vec::new());
            let parked = Parked::restored(KeptAll { of, session, subscriptions, queue, received });
            registry.release(&key, first, Some(parked), 0);
        };
        // In this order: the first one is told before it is lost.
        tokio::join!(biased; second, lost);
    }
}
