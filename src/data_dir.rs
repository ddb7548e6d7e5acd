//! The data directory: one process at a time.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::Failure;

/// The folder of the database.
const DATABASE: &str = "rocksdb";

/// A data directory that this process holds; others are kept out until it is dropped.
pub(crate) struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Makes the directory if it is missing, and takes it.
    ///
    /// # Errors
    /// [`Failure::InUse`] if another process has it.
    pub(crate) fn take(path: &Path) -> Result<Self, Failure> {
        make(path)?;
        let mut lock = open_private(&path.join("LOCK"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                let holder = match lock.read_to_string(&mut pid) {
                    Ok(_) => format!("process {}", pid.trim()),
                    Err(_) => "another process".to_owned(),
                };
                return Err(Failure::InUse(format!(
                    "the data directory {} is in use by {holder}: stop it first",
                    path.display()
                )));
            }
            Err(TryLockError::Error(error)) => return Err(Failure::other(error)),
        }
        lock.set_len(0).and_then(|()| lock.rewind()).map_err(Failure::other)?;
        writeln!(lock, "{}", std::process::id()).map_err(Failure::other)?;
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    /// Takes the directory of a server, so that nothing changes in it meanwhile.
    ///
    /// # Errors
    /// [`Failure::InUse`] if a server has it; [`Failure::Other`] if there has been none.
    pub(crate) fn take_existing(path: &Path) -> Result<Self, Failure> {
        if !path.join(DATABASE).exists() {
            let dir = path.display();
            return Err(Failure::Other(format!("{dir} is no data directory of a bluetick server")));
        }
        Self::take(path)
    }

    /// Where the database is.
    pub(crate) fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }
}

/// Makes a data directory that only its owner can read.
pub(crate) fn make(path: &Path) -> Result<(), Failure> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| {
        Failure::Other(format!("cannot make the data directory {}: {error}", path.display()))
    })
}

/// Opens or makes a file that only its owner can read.
pub(crate) fn open_private(path: &Path) -> Result<File, Failure> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|error| Failure::Other(format!("cannot open {}: {error}", path.display())))
}
