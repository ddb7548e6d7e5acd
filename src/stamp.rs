//! Tells one state of a file from the next.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// A state of a file. Its place on the disk is part of it: two changes within one tick of the file
/// system's clock may have the same length, but never the same inode and change time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    inode: u64,
    bytes: u64,
    changed_s: i64,
    changed_ns: i64,
}

impl Stamp {
    /// `None`: the file is not there, or not to be looked at.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self {
            inode: metadata.ino(),
            bytes: metadata.len(),
            changed_s: metadata.ctime(),
            changed_ns: metadata.ctime_nsec(),
        })
    }
}
