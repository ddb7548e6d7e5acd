//! Who is let in: everybody (`--dev`), or who has an account and its password.

mod throttle;
mod verified;

use std::sync::Arc;
use std::time::Instant;

use bluetick_bridge::Directory;
use bluetick_broker::host::{Access, Attempt, SessionKey};
use bluetick_broker::packet::Reason;
use bluetick_protocol::UserId;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::Failure;
use crate::access::AccessRules;
use crate::accounts::{self, Accounts};
use throttle::{Busy, Network, Pair, Throttle};
use verified::Verified;

/// Passwords checked by argon2 at the same time: each takes a core for some tens of
/// milliseconds, and 19 MiB. The others wait in the order they came; how many, [`Throttle`] bounds.
const CHECKS_MAX: usize = 2;

const REFUSED: Result<UserId, Reason> = Err(Reason::BAD_USER_NAME_OR_PASSWORD);

type Done = Box<dyn FnOnce(Result<UserId, Reason>) + Send>;

/// `--dev`: any valid name.
pub(crate) struct Everybody {
    pub(crate) rules: Arc<AccessRules>,
}

impl Directory for Everybody {
    fn authenticate(&self, attempt: Attempt, done: Done) {
        if let Some(name) = &attempt.certificate {
            return done(certified(name, attempt.user_name.as_deref()));
        }
        let user = attempt.user_name.as_deref().map(UserId::try_from);
        done(match user {
            Some(Ok(user)) => Ok(user),
            Some(Err(_)) | None => REFUSED,
        });
    }

    fn exists(&self, _: &UserId) -> bool {
        true
    }

    fn may(&self, key: &SessionKey, access: Access, topic_or_filter: &str) -> bool {
        self.rules.allow(&key.user, &key.client_id, access, topic_or_filter)
    }
}

/// The user that a certificate names. A user name beside it has to be the same.
fn certified(name: &str, user_name: Option<&str>) -> Result<UserId, Reason> {
    if user_name.is_some_and(|user_name| user_name != name) {
        return REFUSED;
    }
    UserId::try_from(name).map_err(|_| Reason::BAD_USER_NAME_OR_PASSWORD)
}

/// Those with an account.
pub(crate) struct Members {
    shared: Arc<Shared>,
    rules: Arc<AccessRules>,
    runtime: Handle,
}

struct Shared {
    accounts: Accounts,
    verified: Verified,
    throttle: Mutex<Throttle>,
    checks: Semaphore,
    /// Of no user: makes an unknown name take as long as a wrong password.
    decoy: Arc<str>,
}

impl Members {
    /// Those of the accounts.
    ///
    /// # Errors
    /// argon2 fails, for want of memory.
    pub(crate) fn new(
        accounts: Accounts,
        rules: Arc<AccessRules>,
        runtime: Handle,
    ) -> Result<Self, Failure> {
        let shared = Shared {
            accounts,
            verified: Verified::new(),
            throttle: Mutex::default(),
            checks: Semaphore::new(CHECKS_MAX),
            decoy: accounts::hash(b"of nobody")?,
        };
        Ok(Self { shared: Arc::new(shared), rules, runtime })
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

    fn may(&self, key: &SessionKey, access: Access, topic_or_filter: &str) -> bool {
        self.rules.allow(&key.user, &key.client_id, access, topic_or_filter)
    }
}

impl Shared {
    async fn authenticate(&self, attempt: Attempt) -> Result<UserId, Reason> {
        if let Some(name) = &attempt.certificate {
            // The authority has vouched for him; removing the account still keeps him out.
            let user = certified(name, attempt.user_name.as_deref())?;
            let known = self.accounts.fresh_table().contains_key(&user);
            return if known { Ok(user) } else { REFUSED };
        }
        let (Some(name), Some(password)) = (attempt.user_name, attempt.password) else {
            return REFUSED;
        };
        // What no account can have needs no turn and tells nothing.
        if password.len() > accounts::PASSWORD_BYTES_MAX {
            return REFUSED;
        }
        let user = UserId::try_from(name.as_str()).ok();
        if let Some(user) = &user
            && let Some(hash) = self.accounts.fresh_table().get(user)
            && self.verified.knows(user, hash, &password)
        {
            return Ok(user.clone());
        }
        let pair = (user, Network::from(attempt.address.ip()));
        let wait = self.throttle.lock().begin(&pair, Instant::now());
        let Ok(wait) = wait.map_err(|Busy| tracing::debug!("too many wait to be let in")) else {
            return Err(Reason::SERVER_BUSY);
        };
        tokio::time::sleep(wait).await;
        let right = self.check(&pair, password).await;
        self.throttle.lock().decided(&pair, right, Instant::now());
        match (right, pair.0) {
            (Some(true), Some(user)) => Ok(user),
            (None, _) => Err(Reason::SERVER_UNAVAILABLE),
            _ => REFUSED,
        }
    }

    /// Whether the password is the user's; `None` if that cannot be told, because the server ends.
    async fn check(&self, pair: &Pair, password: Bytes) -> Option<bool> {
        let _permit = self.checks.acquire().await.ok()?;
        // Read after the wait: the account may have changed meanwhile.
        let table = self.accounts.fresh_table();
        let known = pair.0.as_ref().and_then(|user| table.get_key_value(user));
        let hash = known.map_or_else(|| self.decoy.clone(), |(_, hash)| hash.clone());
        let check = tokio::task::spawn_blocking(move || {
            (accounts::verify(&hash, &password), hash, password)
        });
        let (fits, hash, password) = check.await.ok()?;
        let Some((user, _)) = known.filter(|_| fits) else { return Some(false) };
        self.verified.keep(user, &hash, &password);
        Some(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(user: &str, password: &'static [u8]) -> Attempt {
        Attempt {
            address: "192.0.2.1:1000".parse().expect("an address"),
            user_name: Some(user.to_owned()),
            password: Some(password.into()),
            certificate: None,
        }
    }

    fn rules() -> Arc<AccessRules> {
        Arc::new(AccessRules::new(Vec::new()))
    }

    fn set(dir: &std::path::Path, user: &str, password: &[u8]) {
        let user = UserId::try_from(user).expect("a name");
        let hash = accounts::hash(password).expect("hashed");
        accounts::change(dir, |table| {
            table.insert(user, hash);
            Ok(())
        })
        .expect("written");
    }

    #[tokio::test]
    async fn lets_in_who_has_an_account_and_its_password() {
        let dir = tempfile::tempdir().expect("a folder");
        set(dir.path(), "alice", b"secret");
        let accounts = Accounts::open(dir.path()).expect("read");
        let members = Members::new(accounts, rules(), Handle::current()).expect("made");
        let shared = &members.shared;
        let alice = UserId::try_from("alice").expect("a name");
        let (right, wrong) = (Ok(alice.clone()), REFUSED);

        assert_eq!(shared.authenticate(attempt("alice", b"secret")).await, right);
        assert_eq!(shared.authenticate(attempt("alice", b"Secret")).await, wrong);
        assert_eq!(shared.authenticate(attempt("bob", b"secret")).await, wrong);
        assert_eq!(shared.authenticate(attempt("Not a name", b"secret")).await, wrong);
        let nothing = Attempt { password: None, ..attempt("alice", b"") };
        assert_eq!(shared.authenticate(nothing).await, wrong);

        // A change counts at once, whatever is cached, and although the file's length is the same.
        set(dir.path(), "alice", b"second");
        assert_eq!(shared.authenticate(attempt("alice", b"secret")).await, wrong);
        assert_eq!(shared.authenticate(attempt("alice", b"second")).await, right);
        accounts::change(dir.path(), |table| {
            table.remove(&alice);
            Ok(())
        })
        .expect("written");
        assert_eq!(shared.authenticate(attempt("alice", b"second")).await, wrong);
    }

    #[tokio::test]
    async fn a_certificate_stands_for_the_password_of_its_user_alone() {
        let dir = tempfile::tempdir().expect("a folder");
        set(dir.path(), "alice", b"secret");
        let accounts = Accounts::open(dir.path()).expect("read");
        let members = Members::new(accounts, rules(), Handle::current()).expect("made");
        let alice = UserId::try_from("alice").expect("a name");
        let of = |certificate: &str, user_name: Option<&str>| Attempt {
            certificate: Some(certificate.into()),
            user_name: user_name.map(str::to_owned),
            ..attempt("", b"guess")
        };
        for (certificate, user_name, right) in [
            ("alice", None, true),
            ("alice", Some("alice"), true),
            ("alice", Some("bob"), false),
            ("bob", None, false),
            ("bob", Some("alice"), false),
            ("Not a name", None, false),
        ] {
            let expected = if right { Ok(alice.clone()) } else { REFUSED };
            let got = members.shared.authenticate(of(certificate, user_name)).await;
            assert_eq!(got, expected, "{certificate} as {user_name:?}");
        }
    }

    #[tokio::test]
    async fn a_known_password_needs_no_turn_and_no_check() {
        let dir = tempfile::tempdir().expect("a folder");
        set(dir.path(), "alice", b"secret");
        let accounts = Accounts::open(dir.path()).expect("read");
        let members = Members::new(accounts, rules(), Handle::current()).expect("made");
        let shared = &members.shared;
        let alice = UserId::try_from("alice").expect("a name");
        assert_eq!(shared.authenticate(attempt("alice", b"secret")).await, Ok(alice.clone()));

        // Somebody at the same address guesses as much as he can, and nothing is being checked.
        let pair = (Some(alice.clone()), Network::from(attempt("", b"").address.ip()));
        while shared.throttle.lock().begin(&pair, Instant::now()).is_ok() {}
        let busy = shared.authenticate(attempt("alice", b"guess")).await;
        assert_eq!(busy, Err(Reason::SERVER_BUSY));
        shared.checks.close();
        assert_eq!(shared.authenticate(attempt("alice", b"secret")).await, Ok(alice));
    }

    #[test]
    fn everybody_needs_a_valid_name() {
        for (name, valid) in [("alice", true), ("Alice", false), ("", false)] {
            let (sender, receiver) = std::sync::mpsc::channel();
            let done = Box::new(move |answer| sender.send(answer).expect("awaited"));
            Everybody { rules: rules() }.authenticate(attempt(name, b""), done);
            assert_eq!(receiver.recv().expect("an answer").is_ok(), valid, "{name:?}");
        }
    }
}
