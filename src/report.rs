//! What an operator is told while the server runs and when it ends: limits that were reached, and
//! what was done.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bluetick_bridge::Bridge;
use bluetick_bridge::writer::WriterStats;
use bluetick_broker::{Broker, Stats};

/// How often limits are looked at.
const EVERY: Duration = Duration::from_secs(60);

/// Says once a minute which limits were reached since the last time; never ends.
pub(crate) async fn limits(broker: Broker<Bridge>, bridge: Bridge) {
    let reached = || {
        let mut reached = broker.stats().limits_reached().to_vec();
        reached.extend(bridge.quota_stats().reached());
        reached
    };
    let mut before = reached();
    let mut tick = tokio::time::interval(EVERY);
    loop {
        tick.tick().await;
        let now = reached();
        if let Some(text) = risen(&before, &now) {
            tracing::warn!(reached = text, "limits were reached in the last minute");
        }
        before = now;
    }
}

/// The counters that have risen, and by how much.
fn risen(before: &[(&str, u64)], now: &[(&str, u64)]) -> Option<String> {
    let risen: Vec<String> = before
        .iter()
        .zip(now)
        .filter(|(before, now)| now.1 > before.1)
        .map(|(before, now)| format!("{} {}", now.0, now.1 - before.1))
        .collect();
    (!risen.is_empty()).then(|| risen.join(", "))
}

/// Says what was done since the start.
pub(crate) fn totals(broker: &Stats, writer: &WriterStats) {
    let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let (commits, records) = (writer.commits.snapshot(), writer.records.snapshot());
    tracing::info!(
        packets_in = broker.packets_in.total(),
        packets_out = broker.packets_out.total(),
        bytes_in = of(&broker.bytes_in),
        bytes_out = of(&broker.bytes_out),
        messages = of(&writer.messages),
        commits = records.count,
        records = records.sum,
        record_bytes = of(&writer.bytes),
        mean_commit_us = commits.sum.checked_div(commits.count * 1000).unwrap_or(0),
        failed_commits = of(&writer.failures),
        "since the start"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_risen_is_told() {
        let before = [("a", 1), ("b", 2), ("c", 3)];
        assert_eq!(risen(&before, &before), None);
        let now = [("a", 1), ("b", 4), ("c", 13)];
        assert_eq!(risen(&before, &now).as_deref(), Some("b 2, c 10"));
    }
}
