//! The accounts: a file in the data directory with a line `name:hash` per user.
//!
//! It is replaced whole (temporary file, fsync, rename) under a lock, so that it can be changed
//! while a server runs. The server looks whether it has: for every password that is to be checked,
//! and else at most once a second.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use argon2::Argon2;
use argon2::password_hash::rand_core::OsRng;
use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use bluetick_protocol::UserId;
use parking_lot::Mutex;

use crate::Failure;
use crate::data_dir;
use crate::stamp::Stamp;

/// How old what is known of the file may be where it is asked for every message.
const FRESH: Duration = Duration::from_secs(1);

/// Bytes of a password.
pub(crate) const PASSWORD_BYTES_MAX: usize = 1024;

/// Users with the argon2id hashes of their passwords.
pub(crate) type Table = BTreeMap<UserId, Arc<str>>;

/// The accounts as the server sees them.
pub(crate) struct Accounts {
    path: PathBuf,
    seen: Mutex<Seen>,
}

struct Seen {
    table: Arc<Table>,
    stamp: Option<Stamp>,
    /// Of the file that could not be read, once that was logged.
    told: Option<Stamp>,
    looked_at: Instant,
}

impl Accounts {
    /// The accounts of a data directory.
    ///
    /// # Errors
    /// The file is there and cannot be read.
    pub(crate) fn open(dir: &Path) -> Result<Self, Failure> {
        let path = file(dir);
        // Before the file is read: a change in between is then seen the next time, not missed.
        let stamp = Stamp::of(&path);
        let table = Arc::new(read(&path)?);
        let seen = Seen { table, stamp, told: None, looked_at: Instant::now() };
        Ok(Self { path, seen: Mutex::new(seen) })
    }

    /// The users there were at most [`FRESH`] ago: cheap enough for every message.
    pub(crate) fn table(&self) -> Arc<Table> {
        let mut seen = self.seen.lock();
        if seen.looked_at.elapsed() > FRESH {
            self.look(&mut seen);
        }
        seen.table.clone()
    }

    /// The users there are now: a change counts for the next who connects.
    pub(crate) fn fresh_table(&self) -> Arc<Table> {
        let mut seen = self.seen.lock();
        self.look(&mut seen);
        seen.table.clone()
    }

    fn look(&self, seen: &mut Seen) {
        seen.looked_at = Instant::now();
        let now = Stamp::of(&self.path);
        if now == seen.stamp {
            return;
        }
        match read(&self.path) {
            Ok(table) => {
                tracing::info!(users = table.len(), "the accounts have changed");
                seen.table = Arc::new(table);
                seen.stamp = now;
            }
            // What was known stays in force, the next look may be luckier; told once a file.
            Err(error) if seen.told != now => {
                tracing::error!(%error, "the accounts have changed and cannot be read");
                seen.told = now;
            }
            Err(_) => {}
        }
    }
}

/// Changes the accounts of a data directory, alone among all who do.
///
/// # Errors
/// What `change` says, or the file cannot be read or written.
pub(crate) fn change(
    dir: &Path,
    change: impl FnOnce(&mut Table) -> Result<(), Failure>,
) -> Result<(), Failure> {
    data_dir::make(dir)?;
    let lock = data_dir::open_private(&dir.join("accounts.lock"))?;
    lock.lock().map_err(Failure::other)?;
    let path = file(dir);
    let mut table = read(&path)?;
    change(&mut table)?;
    replace(dir, &path, &table)
        .map_err(|error| Failure::Other(format!("cannot write {}: {error}", path.display())))
}

/// All users of a data directory.
///
/// # Errors
/// The file is there and cannot be read.
pub(crate) fn list(dir: &Path) -> Result<Table, Failure> {
    read(&file(dir))
}

/// The argon2id hash of a password.
///
/// # Errors
/// The password is empty or too long.
pub(crate) fn hash(password: &[u8]) -> Result<Arc<str>, Failure> {
    if password.is_empty() || password.len() > PASSWORD_BYTES_MAX {
        return Err(Failure::Other(format!("a password has 1 to {PASSWORD_BYTES_MAX} bytes")));
    }
    let salt = SaltString::generate(&mut OsRng);
    let hash = Argon2::default().hash_password(password, &salt).map_err(Failure::other)?;
    Ok(hash.to_string().into())
}

/// Whether a password is the one of a hash. Takes tens of milliseconds and megabytes on purpose.
pub(crate) fn verify(hash: &str, password: &[u8]) -> bool {
    PasswordHash::new(hash)
        .is_ok_and(|hash| Argon2::default().verify_password(password, &hash).is_ok())
}

fn file(dir: &Path) -> PathBuf {
    dir.join("accounts")
}

/// Puts a table in place of what is there, on stable storage: either the old or the new one is
/// found, whatever happens.
fn replace(dir: &Path, path: &Path, table: &Table) -> Result<(), Box<dyn std::error::Error>> {
    let fresh = path.with_extension("new");
    let mut file = data_dir::open_private(&fresh)?;
    file.set_len(0)?;
    let mut text = String::new();
    for (user, hash) in table {
        text += &format!("{user}:{hash}\n");
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    // The rename itself has to be on stable storage.
    File::open(dir)?.sync_all()?;
    Ok(())
}

fn read(path: &Path) -> Result<Table, Failure> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Table::new()),
        Err(error) => return Err(Failure::Other(format!("{}: {error}", path.display()))),
    };
    let mut table = Table::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.is_empty()) {
        let entry = line.split_once(':').and_then(|(user, hash)| {
            let user = UserId::try_from(user).ok()?;
            PasswordHash::new(hash).ok()?;
            Some((user, hash.into()))
        });
        let Some((user, hash)) = entry else {
            let (path, at) = (path.display(), at + 1);
            return Err(Failure::Other(format!("{path}, line {at}: not of the form name:hash")));
        };
        table.insert(user, hash);
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_fits_its_hash_only() {
        let stored = hash(b"secret").expect("hashed");
        assert!(stored.starts_with("$argon2id$"));
        assert!(verify(&stored, b"secret") && !verify(&stored, b"Secret"));
        assert!(hash(b"").is_err() && hash(&[b'a'; PASSWORD_BYTES_MAX + 1]).is_err());
    }

    #[test]
    fn a_spoiled_file_is_named_with_its_line_and_keeps_what_was_known() {
        let dir = tempfile::tempdir().expect("a folder");
        let alice = UserId::try_from("alice").expect("a name");
        let stored = hash(b"secret").expect("hashed");
        change(dir.path(), |table| {
            table.insert(alice.clone(), stored);
            Ok(())
        })
        .expect("written");
        let accounts = Accounts::open(dir.path()).expect("read");
        fs::write(file(dir.path()), "\nalice:secret\n").expect("written");
        assert!(accounts.fresh_table().contains_key(&alice));
        let error = list(dir.path()).expect_err("no hash").to_string();
        assert!(error.ends_with("accounts, line 2: not of the form name:hash"), "{error}");
    }
}
