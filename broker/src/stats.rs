//! What a broker counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters since the start; each only rises, except the gauges.
#[derive(Debug, Default)]
pub struct Stats {
    /// Gauge: open connections.
    pub connections: AtomicU64,
    /// Connections closed at once because there were too many.
    pub connections_refused: AtomicU64,
    /// Connections closed because no CONNECT came in time.
    pub connect_timeouts: AtomicU64,
    /// Connections closed at once because there were too many handshakes under way.
    pub handshakes_refused: AtomicU64,
    /// Connections closed because TLS, WebSocket or the PROXY header was not what it has to be.
    pub handshakes_failed: AtomicU64,
    /// Connections closed because of what the client sent.
    pub protocol_errors: AtomicU64,
    /// Clients that were not let in.
    pub logins_refused: AtomicU64,
    /// Publishes, subscriptions and wills to plain topics that the host did not allow.
    pub access_denied: AtomicU64,
    /// Packets received.
    pub packets_in: AtomicU64,
    /// Bytes received.
    pub bytes_in: AtomicU64,
    /// Bytes sent.
    pub bytes_out: AtomicU64,
    /// Wills published, or tried to.
    pub wills: AtomicU64,
    /// Messages of plain topics dropped because a session's queue was full.
    pub plain_dropped: AtomicU64,
    /// Notices dropped because a client publishes and does not acknowledge what it is told.
    pub notices_dropped: AtomicU64,
}

impl Stats {
    /// The counters of limits that were reached, by the name of the counter.
    #[must_use]
    pub fn limits_reached(&self) -> [(&'static str, u64); 9] {
        [
            ("connections_refused", &self.connections_refused),
            ("connect_timeouts", &self.connect_timeouts),
            ("handshakes_refused", &self.handshakes_refused),
            ("handshakes_failed", &self.handshakes_failed),
            ("protocol_errors", &self.protocol_errors),
            ("logins_refused", &self.logins_refused),
            ("access_denied", &self.access_denied),
            ("plain_dropped", &self.plain_dropped),
            ("notices_dropped", &self.notices_dropped),
        ]
        .map(|(name, counter)| (name, counter.load(Ordering::Relaxed)))
    }

    pub(crate) fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }
}
