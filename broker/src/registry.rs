//! Who is on line, and what is kept of those who are not.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::host::SessionKey;
use crate::mailbox::{Mailbox, Stop};
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
}

enum State {
    /// A connection has it; `ended` closes when it lets go.
    Online {
        mailbox: Arc<Mailbox>,
        ended: watch::Receiver<()>,
    },
    Offline {
        parked: Parked,
        mailbox: Arc<Mailbox>,
        expires_at: MonotonicMs,
    },
}

/// A connection's hold on its session; to be given back with [`Registry::release`].
pub(crate) struct Claim {
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) parked: Option<Parked>,
    _ended: watch::Sender<()>,
}

impl Registry {
    /// Takes a session for a new connection. One that is on line is told to let go first (MQTT 5
    /// §3.1.4); this waits until it has.
    pub(crate) async fn claim(&self, key: &SessionKey, fresh: impl Fn() -> Arc<Mailbox>) -> Claim {
        loop {
            let mut ended = {
                let mut inner = self.inner.lock();
                match inner.sessions.get(key) {
                    Some(State::Online { mailbox, ended }) => {
                        mailbox.stop(Stop::TakenOver);
                        ended.clone()
                    }
                    Some(State::Offline { .. }) | None => {
                        return inner.take(key, &fresh);
                    }
                }
            };
            // Only closing is of interest: an error says just that.
            while ended.changed().await.is_ok() {}
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
        match parked {
            Some(parked) => {
                let expires_at = match parked.expiry_s() {
                    EXPIRY_NEVER => MonotonicMs::MAX,
                    expiry_s => now.saturating_add(u64::from(expiry_s) * 1000),
                };
                inner.expiring.insert((expires_at, key.clone()));
                let mailbox = claim.mailbox.clone();
                let state = State::Offline { parked, mailbox, expires_at };
                inner.sessions.insert(key.clone(), state);
            }
            None => {
                inner.sessions.remove(key);
            }
        }
        drop(inner);
        drop(claim);
    }

    /// Takes out the sessions whose time has come.
    pub(crate) fn expire(&self, now: MonotonicMs) -> Vec<(SessionKey, Parked)> {
        let mut inner = self.inner.lock();
        let mut expired = Vec::new();
        while inner.expiring.first().is_some_and(|(at, _)| *at <= now) {
            let Some((_, key)) = inner.expiring.pop_first() else { break };
            if let Some(State::Offline { parked, .. }) = inner.sessions.remove(&key) {
                expired.push((key, parked));
            }
        }
        expired
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
    fn take(&mut self, key: &SessionKey, fresh: impl Fn() -> Arc<Mailbox>) -> Claim {
        let (parked, mailbox) = match self.sessions.remove(key) {
            Some(State::Offline { parked, mailbox, expires_at }) => {
                self.expiring.remove(&(expires_at, key.clone()));
                (Some(parked), mailbox)
            }
            Some(State::Online { .. }) | None => (None, fresh()),
        };
        let (sender, ended) = watch::channel(());
        let state = State::Online { mailbox: mailbox.clone(), ended };
        self.sessions.insert(key.clone(), state);
        Claim { mailbox, parked, _ended: sender }
    }
}
