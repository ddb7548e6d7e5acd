//! The disk: its own speed, what a synced append costs, which no durable PUBACK can beat; and what is used of it.

use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::Error;

/// Bytes of each append: about a stored message.
const APPEND_BYTES: usize = 200;

/// Appends and syncs (fdatasync) `count` times to a new file in `dir`; the time of each.
///
/// # Errors
/// [`Error::Io`].
pub fn sync_times(dir: &Path, count: u32) -> Result<Vec<Duration>, Error> {
    let mut file = tempfile::tempfile_in(dir)
        .map_err(Error::io(format!("make a file in {}", dir.display())))?;
    let bytes = [b'x'; APPEND_BYTES];
    (0..count)
        .map(|_| {
            let start = Instant::now();
            file.write_all(&bytes)
                .and_then(|()| file.sync_data())
                .map_err(Error::io("write and sync"))?;
            Ok(start.elapsed())
        })
        .collect()
}

/// Bytes that the files in `dir` and below it take of the disk.
///
/// A file that a running server removes meanwhile counts as gone.
///
/// # Errors
/// [`Error::Io`].
pub fn disk_bytes(dir: &Path) -> Result<u64, Error> {
    /// What `st_blocks` counts in, whatever the file system's block is (stat(2)).
    const BLOCK_BYTES: u64 = 512;
    let io = |error| Error::io(format!("read {}", dir.display()))(error);
    let mut bytes = 0;
    for entry in fs::read_dir(dir).map_err(io)? {
        let entry = entry.map_err(io)?;
        match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => bytes += disk_bytes(&entry.path())?,
            Ok(metadata) => bytes += metadata.blocks() * BLOCK_BYTES,
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(io(error)),
        }
    }
    Ok(bytes)
}
