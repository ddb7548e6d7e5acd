//! Attacks as a table: a row each, and the figures of its own below.

use super::COMMON;
use crate::report::{Runs, align, number, put};

/// The table of one run.
pub(super) fn attacks(runs: &Runs) -> String {
    let Some(run) = runs.runs.first() else { return String::new() };
    let head = ["hostile", "server MiB", "PUBACK us p50, p99", "received us p50, p99"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let mut own = String::new();
    for name in run.names().filter_map(|name| name.strip_suffix(&format!(": {}", COMMON[0]))) {
        let get = |what: &str| run.get(&format!("{name}: {what}")).map_or("-".to_owned(), number);
        let [before, most, after, quiet_p50, quiet_p99, p50, p99, ..] = COMMON.map(get);
        let [.., quiet_got_p50, quiet_got_p99, got_p50, got_p99] = COMMON.map(get);
        rows.push(vec![
            name.to_owned(),
            format!("{before} → {most} → {after}"),
            format!("{quiet_p50}, {quiet_p99} → {p50}, {p99}"),
            format!("{quiet_got_p50}, {quiet_got_p99} → {got_p50}, {got_p99}"),
        ]);
        put(&mut own, format_args!("- {name}:"));
        let prefix = format!("{name}: ");
        let mut separator = " ";
        for what in run.names().filter_map(|figure| figure.strip_prefix(&prefix)) {
            if !COMMON.contains(&what) {
                put(&mut own, format_args!("{separator}{} {what}", get(what)));
                separator = "; ";
            }
        }
        own.push('\n');
    }
    align(&rows) + "\n" + &own
}
