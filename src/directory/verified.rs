//! Passwords that were right a moment ago, known again without argon2.
//!
//! After a restart or a network's outage all clients come back at once; with argon2 alone, two
//! cores let in a few dozen a second. So what was verified is kept as a keyed BLAKE2s of it, which
//! takes a microsecond. The price: whoever can read the server's memory gets key and digests, and
//! can try passwords fast; but there he sees the passwords themselves come in. Nothing of it is
//! ever written.

use std::collections::HashMap;

use argon2::password_hash::rand_core::{OsRng, RngCore as _};
use blake2::Blake2sMac256;
use blake2::digest::{CtOutput, Mac};
use bluetick_protocol::UserId;
use parking_lot::Mutex;

/// Users whose last password is known; about 150 bytes each. Beyond, any one is forgotten, who is
/// verified by argon2 the next time.
const USERS_MAX: usize = 100_000;

type Digest = CtOutput<Blake2sMac256>;

/// The last right password of each user.
pub(super) struct Verified {
    key: [u8; 32],
    users: Mutex<HashMap<UserId, Digest>>,
}

impl Verified {
    /// With a key of its own.
    pub(super) fn new() -> Self {
        let mut key = [0; 32];
        OsRng.fill_bytes(&mut key);
        Self { key, users: Mutex::default() }
    }

    /// Whether this password was verified against this hash. A changed account has another hash,
    /// so nothing that was kept for the old one fits. `false` says nothing of the password.
    pub(super) fn knows(&self, user: &UserId, hash: &str, password: &[u8]) -> bool {
        let digest = self.digest(user, hash, password);
        // Compares in constant time.
        self.users.lock().get(user).is_some_and(|known| *known == digest)
    }

    /// Keeps a password that was verified against this hash.
    pub(super) fn keep(&self, user: &UserId, hash: &str, password: &[u8]) {
        let digest = self.digest(user, hash, password);
        let mut users = self.users.lock();
        if users.len() >= USERS_MAX
            && !users.contains_key(user)
            && let Some(any) = users.keys().next().cloned()
        {
            users.remove(&any);
        }
        users.insert(user.clone(), digest);
    }

    fn digest(&self, user: &UserId, hash: &str, password: &[u8]) -> Digest {
        let mut mac = <Blake2sMac256 as Mac>::new(&self.key.into());
        // Neither a name nor a hash has a NUL, so no two inputs run together to the same bytes.
        for part in [user.as_str().as_bytes(), b"\0", hash.as_bytes(), b"\0", password] {
            mac.update(part);
        }
        mac.finalize()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_what_it_was_told_only() {
        let user = |name: &str| UserId::try_from(name).expect("a name");
        let (alice, bob) = (user("alice"), user("bob"));
        let verified = Verified::new();
        assert!(!verified.knows(&alice, "$h", b"secret"));
        verified.keep(&alice, "$h", b"secret");
        assert!(verified.knows(&alice, "$h", b"secret"));
        assert!(!verified.knows(&alice, "$h", b"Secret"));
        assert!(!verified.knows(&alice, "$changed", b"secret"));
        assert!(!verified.knows(&bob, "$h", b"secret"));
        verified.keep(&alice, "$changed", b"new");
        assert!(!verified.knows(&alice, "$h", b"secret"), "one password a user");
        assert!(!Verified::new().knows(&alice, "$changed", b"new"), "another key");
    }
}
