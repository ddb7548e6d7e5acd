//! What a broker counts. Adding is a relaxed addition each, and nobody waits for anybody.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use crate::histogram::Histogram;

/// Counters since the start; each only rises, except the gauges.
#[derive(Debug)]
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
    /// Connections closed because a packet did not come to its end, or what was sent was not taken.
    pub stalled: AtomicU64,
    /// Clients that were not let in.
    pub logins_refused: AtomicU64,
    /// Clients that were not let in because their user has as many sessions as one may.
    pub sessions_refused: AtomicU64,
    /// Subscriptions that were one too many, for the session or for all.
    pub subscriptions_refused: AtomicU64,
    /// Publishes, subscriptions and wills to plain topics that the host did not allow.
    pub access_denied: AtomicU64,
    /// Packets received.
    pub packets_in: Packets,
    /// Packets on their way to clients.
    pub packets_out: Packets,
    /// Bytes received.
    pub bytes_in: AtomicU64,
    /// Bytes sent.
    pub bytes_out: AtomicU64,
    /// Wills published, or tried to.
    pub wills: AtomicU64,
    /// Messages published to plain topics, wills among them.
    pub plain_in: AtomicU64,
    /// Bytes of their bodies.
    pub plain_bytes_in: AtomicU64,
    /// Messages of plain topics handed to sessions.
    pub plain_out: AtomicU64,
    /// Bytes of their bodies.
    pub plain_bytes_out: AtomicU64,
    /// Messages of plain topics dropped because a session's queue was full.
    pub plain_dropped: AtomicU64,
    /// Retained messages that were one too many.
    pub retained_refused: AtomicU64,
    /// Publishes and subscriptions of plain topics that could not be stored.
    pub plain_unstored: AtomicU64,
    /// Sessions whose time without a connection was over.
    pub sessions_expired: AtomicU64,
    /// The most connections there were at a time.
    pub connections_highest: AtomicU64,
    /// Notices dropped because a client publishes and does not acknowledge what it is told.
    pub notices_dropped: AtomicU64,
    /// From the PUBLISH being read to its PUBACK (at QoS 2: PUBREC) being written, of the topics
    /// that the host wants timed.
    pub publish_acks: Histogram,
    /// Gauge: publishes of clients that wait for our acknowledgement.
    pub publishes_inflight: AtomicI64,
    /// Gauge: deliveries that wait for the acknowledgement of clients on line.
    pub deliveries_inflight: AtomicI64,
    /// Gauge: messages of plain topics queued for clients on line.
    pub plain_queued: AtomicI64,
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            connections: AtomicU64::default(),
            connections_refused: AtomicU64::default(),
            connect_timeouts: AtomicU64::default(),
            handshakes_refused: AtomicU64::default(),
            handshakes_failed: AtomicU64::default(),
            protocol_errors: AtomicU64::default(),
            stalled: AtomicU64::default(),
            logins_refused: AtomicU64::default(),
            sessions_refused: AtomicU64::default(),
            subscriptions_refused: AtomicU64::default(),
            access_denied: AtomicU64::default(),
            packets_in: Packets::default(),
            packets_out: Packets::default(),
            bytes_in: AtomicU64::default(),
            bytes_out: AtomicU64::default(),
            wills: AtomicU64::default(),
            plain_in: AtomicU64::default(),
            plain_bytes_in: AtomicU64::default(),
            plain_out: AtomicU64::default(),
            plain_bytes_out: AtomicU64::default(),
            plain_dropped: AtomicU64::default(),
            retained_refused: AtomicU64::default(),
            plain_unstored: AtomicU64::default(),
            sessions_expired: AtomicU64::default(),
            connections_highest: AtomicU64::default(),
            notices_dropped: AtomicU64::default(),
            publish_acks: Histogram::durations(),
            publishes_inflight: AtomicI64::default(),
            deliveries_inflight: AtomicI64::default(),
            plain_queued: AtomicI64::default(),
        }
    }
}

impl Stats {
    /// The counters of limits that were reached, by the name of the counter.
    #[must_use]
    pub fn limits_reached(&self) -> [(&'static str, u64); 14] {
        [
            ("connections_refused", &self.connections_refused),
            ("connect_timeouts", &self.connect_timeouts),
            ("handshakes_refused", &self.handshakes_refused),
            ("handshakes_failed", &self.handshakes_failed),
            ("protocol_errors", &self.protocol_errors),
            ("stalled", &self.stalled),
            ("logins_refused", &self.logins_refused),
            ("sessions_refused", &self.sessions_refused),
            ("subscriptions_refused", &self.subscriptions_refused),
            ("access_denied", &self.access_denied),
            ("plain_dropped", &self.plain_dropped),
            ("retained_refused", &self.retained_refused),
            ("plain_unstored", &self.plain_unstored),
            ("notices_dropped", &self.notices_dropped),
        ]
        .map(|(name, counter)| (name, counter.load(Ordering::Relaxed)))
    }

    pub(crate) fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }
}

/// Packets by their type.
#[derive(Debug, Default)]
pub struct Packets([AtomicU64; 16]);

/// What the types are called, by their number (MQTT 5 §2.1.2); 0 is none.
const PACKET_TYPES: [&str; 16] = [
    "",
    "connect",
    "connack",
    "publish",
    "puback",
    "pubrec",
    "pubrel",
    "pubcomp",
    "subscribe",
    "suback",
    "unsubscribe",
    "unsuback",
    "pingreq",
    "pingresp",
    "disconnect",
    "auth",
];

impl Packets {
    /// Counts the packet that begins with this byte.
    pub(crate) fn count(&self, first_byte: u8) {
        self.0[usize::from(first_byte >> 4)].fetch_add(1, Ordering::Relaxed);
    }

    /// How many there were of each type, by its name in lower case.
    pub fn by_type(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.0.iter().map(|count| count.load(Ordering::Relaxed));
        PACKET_TYPES.into_iter().zip(counts).skip(1)
    }

    /// How many there were.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.by_type().map(|(_, count)| count).sum()
    }
}

/// What one connection adds to the gauges; it takes it back when dropped.
pub(crate) struct Load {
    stats: Arc<Stats>,
    added: LoadOf,
}

/// How much of what waits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LoadOf {
    pub(crate) publishes: usize,
    pub(crate) deliveries: usize,
    pub(crate) queued: usize,
}

impl Load {
    pub(crate) fn new(stats: Arc<Stats>) -> Self {
        Self { stats, added: LoadOf::default() }
    }

    /// It is so much now. Touches only what has changed.
    pub(crate) fn set(&mut self, now: LoadOf) {
        let Self { stats, added } = self;
        for (gauge, before, now) in [
            (&stats.publishes_inflight, added.publishes, now.publishes),
            (&stats.deliveries_inflight, added.deliveries, now.deliveries),
            (&stats.plain_queued, added.queued, now.queued),
        ] {
            if before != now {
                // Numbers of things in memory: they fit.
                gauge.fetch_add(now as i64 - before as i64, Ordering::Relaxed);
            }
        }
        self.added = now;
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.set(LoadOf::default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_connection_adds_goes_with_it() {
        let stats = Arc::new(Stats::default());
        let gauges = || {
            [&stats.publishes_inflight, &stats.deliveries_inflight, &stats.plain_queued]
                .map(|gauge| gauge.load(Ordering::Relaxed))
        };
        let mut load = Load::new(stats.clone());
        load.set(LoadOf { publishes: 3, deliveries: 2, queued: 7 });
        load.set(LoadOf { publishes: 1, deliveries: 4, queued: 7 });
        let _another = Load::new(stats.clone());
        assert_eq!(gauges(), [1, 4, 7]);
        drop(load);
        assert_eq!(gauges(), [0, 0, 0]);
    }

    #[test]
    fn packets_by_type() {
        let packets = Packets::default();
        for byte in [0x10, 0x3D, 0x30, 0xE0] {
            packets.count(byte);
        }
        let some: Vec<_> = packets.by_type().filter(|(_, count)| *count > 0).collect();
        assert_eq!(some, [("connect", 1), ("publish", 2), ("disconnect", 1)]);
        assert_eq!(packets.total(), 4);
    }
}
