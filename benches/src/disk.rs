//! The disk's own speed: what a synced append costs, which no durable PUBACK can beat.

use std::io::Write;
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
