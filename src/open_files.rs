//! Open files: as many as the system gives, and some of them not for clients.
//!
//! A server that has none left cannot open a file of its store either, and then serves nobody:
//! connections are counted so that it does not come to that.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that are not for clients, at least: RocksDB's, the log, HTTP.
const OTHERS_MIN: usize = 256;

/// One of so many is not for clients: RocksDB has the more files the more is stored.
const OTHERS_SHARE: usize = 8;

/// Raises the soft limit to the hard one, and gives how many connections there may be: `wanted`,
/// or fewer, which is told.
pub(crate) fn connections_max(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    let current = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::warn!(%error, "the limit of open files cannot be raised");
            limit.current
        }
    };
    let Some(files) = current.and_then(|files| usize::try_from(files).ok()) else { return wanted };
    let room = for_clients(files);
    if room < wanted {
        tracing::info!(
            limit = wanted,
            connections = room,
            files,
            "limits.connections_max is cut to what the system's limit of open files leaves"
        );
    }
    wanted.min(room)
}

/// How many of so many files clients may have; half at least, where there are few.
fn for_clients(files: usize) -> usize {
    let others = OTHERS_MIN.max(files / OTHERS_SHARE).min(files / 2);
    files - others
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_are_left() {
        assert_eq!([80, 1024, 20_000, 1 << 20].map(for_clients), [40, 768, 17_500, 7 << 17]);
    }
}
