//! Who is let in: everybody (`--dev`), or who has an account and its password.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bluetick_bridge::Directory;
use bluetick_broker::host::Attempt;
use bluetick_broker::packet::Reason;
use bluetick_protocol::UserId;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::Failure;
use crate::accounts::{self, Accounts};

/// Passwords checked at the same time: each takes a core and 19 MiB for a moment.
const CHECKS_MAX: usize = 2;

/// The first wrong password costs this, each further one double, up to [`DELAY_MAX`].
const DELAY: Duration = Duration::from_millis(250);
const DELAY_MAX: Duration = Duration::from_secs(16);

/// How many pairs of user and address with wrong passwords are remembered; beyond, those whose
/// delay is over are forgotten first, then any.
const FAILURES_MAX: usize = 10_000;

/// After this long without a wrong password, a pair is forgotten.
const FORGET: Duration = Duration::from_secs(300);

type Done = Box<dyn FnOnce(Result<UserId, Reason>) + Send>;

/// `--dev`: any valid name.
pub(crate) struct Everybody;

impl Directory for Everybody {
    fn authenticate(&self, attempt: Attempt, done: Done) {
        let user = attempt.user_name.as_deref().map(UserId::try_from);
        done(match user {
            Some(Ok(user)) => Ok(user),
            Some(Err(_)) | None => Err(Reason::BAD_USER_NAME_OR_PASSWORD),
        });
    }

    fn exists(&self, _: &UserId) -> bool {
        true
    }
}

/// Those with an account.
pub(crate) struct Members {
    shared: Arc<Shared>,
    runtime: Handle,
}

struct Shared {
    accounts: Accounts,
    /// Of no user: makes an unknown name take as long as a wrong password.
    decoy: Arc<str>,
    checks: Semaphore,
    failures: Mutex<HashMap<(Option<UserId>, IpAddr), Failed>>,
}

#[derive(Clone, Copy)]
struct Failed {
    times: u32,
    last: Instant,
}

impl Members {
    /// Those of the accounts.
    pub(crate) fn new(accounts: Accounts, runtime: Handle) -> Result<Self, Failure> {
        let shared = Shared {
            accounts,
            decoy: accounts::hash(b"of nobody")?,
            checks: Semaphore::new(CHECKS_MAX),
            failures: Mutex::default(),
        };
        Ok(Self { shared: Arc::new(shared), runtime })
    }
}

impl Directory for Members {
    fn authenticate(&self, attempt: Attempt, done: Done) {
        let shared = self.shared.clone();
        self.runtime.spawn(async move { done(shared.authenticate(attempt).await) });
    }

    fn exists(&self, user: &UserId) -> bool {
        self.shared.accounts.table().contains_key(user)
    }
}

impl Shared {
    async fn authenticate(self: Arc<Self>, attempt: Attempt) -> Result<UserId, Reason> {
        let refused = Err(Reason::BAD_USER_NAME_OR_PASSWORD);
        let (Some(name), Some(password)) = (attempt.user_name, attempt.password) else {
            return refused;
        };
        let user = UserId::try_from(name.as_str()).ok();
        let pair = (user.clone(), attempt.address.ip());
        // Waits before the password is looked at: only this pair waits, and takes no core for it.
        let delay = self.delay(&pair);
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let known = user.as_ref().and_then(|user| self.accounts.table().get(user).cloned());
        let hash = known.clone().unwrap_or_else(|| self.decoy.clone());
        let Ok(permit) = self.checks.acquire().await else { return refused };
        let check = tokio::task::spawn_blocking(move || {
            password.len() <= accounts::PASSWORD_BYTES_MAX && accounts::verify(&hash, &password)
        });
        let fits = check.await.unwrap_or(false) && known.is_some();
        drop(permit);
        match user {
            Some(user) if fits => {
                self.failures.lock().remove(&pair);
                Ok(user)
            }
            _ => {
                self.note_failure(pair);
                refused
            }
        }
    }

    fn delay(&self, pair: &(Option<UserId>, IpAddr)) -> Duration {
        let failures = self.failures.lock();
        match failures.get(pair).filter(|failed| failed.last.elapsed() < FORGET) {
            Some(failed) => DELAY.saturating_mul(1 << (failed.times - 1).min(10)).min(DELAY_MAX),
            None => Duration::ZERO,
        }
    }

    fn note_failure(&self, pair: (Option<UserId>, IpAddr)) {
        let mut failures = self.failures.lock();
        if failures.len() >= FAILURES_MAX && !failures.contains_key(&pair) {
            failures.retain(|_, failed| failed.last.elapsed() < FORGET);
            if failures.len() >= FAILURES_MAX
                && let Some(any) = failures.keys().next().cloned()
            {
                failures.remove(&any);
            }
        }
        let now = Instant::now();
        let failed = failures.entry(pair).or_insert(Failed { times: 0, last: now });
        failed.times += 1;
        failed.last = now;
    }
}
