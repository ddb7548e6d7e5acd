//! What came out, as a table to read and as JSON with every run in it.

use std::fmt::Write as _;

use serde::Serialize;

use crate::handshakes::HandshakesRun;
use crate::idle::IdleRun;
use crate::machine::Machine;
use crate::pairs::PairsRun;
use crate::peer::Peer;
use crate::settings::{Settings, Workload};
use crate::stats::{Latency, Spread};

/// All figures of one bench.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Where and when.
    pub machine: Machine,
    /// What was asked for.
    pub settings: Settings,
    /// Synced appends of the disk, where window1 ran.
    pub fdatasync: Option<Latency>,
    /// 1x1 and 50x50.
    pub pairs: Vec<Runs<PairsRun>>,
    /// PUBACK latencies, one distribution per run.
    pub window1: Vec<Runs<Latency>>,
    /// Memory.
    pub idle: Vec<Runs<IdleRun>>,
    /// Being let in.
    pub handshakes: Vec<Runs<HandshakesRun>>,
}

/// The runs of one workload against one server.
#[derive(Debug, Serialize)]
pub struct Runs<T> {
    /// Which work.
    pub workload: Workload,
    /// Which server.
    pub peer: Peer,
    /// In the order they were run.
    pub runs: Vec<T>,
}

impl<T> Runs<T> {
    fn spread(&self, figure: impl Fn(&T) -> f64) -> Option<Spread> {
        Spread::of(self.runs.iter().map(figure))
    }
}

/// A figure of one row: its heading, how many decimals, where it comes from.
type Column<T> = (&'static str, usize, fn(&T) -> f64);

const PAIRS: &[Column<PairsRun>] = &[
    ("messages/s", 0, |run| run.messages_per_s),
    ("server CPU us/msg", 1, |run| run.server_cpu_us),
    ("generator CPU us/msg", 1, |run| run.generator_cpu_us),
    ("receipts/msg", 2, |run| run.receipts_per_message),
    ("others' CPU %", 0, |run| 100.0 * run.others_cpu_share),
];
const WINDOW1: &[Column<Latency>] = &[
    ("PUBACK p50 us", 0, |run| run.p50_us),
    ("p90 us", 0, |run| run.p90_us),
    ("p99 us", 0, |run| run.p99_us),
    ("max us", 0, |run| run.max_us),
];
const IDLE: &[Column<IdleRun>] = &[
    ("bytes/connection", 0, |run| run.bytes_per_connection),
    ("before KiB", 0, |run| run.before_bytes as f64 / 1024.0),
    ("after KiB", 0, |run| run.after_bytes as f64 / 1024.0),
    ("redelivered", 0, |run| run.redelivered as f64),
];
const HANDSHAKES: &[Column<HandshakesRun>] = &[
    ("TCP connects/s", 0, |run| run.tcp_per_s),
    ("server CPU us each", 0, |run| run.tcp_server_cpu_us),
    ("TLS 1.3 connects/s", 0, |run| run.tls_per_s),
    ("server CPU us each", 0, |run| run.tls_server_cpu_us),
];

impl Report {
    /// The report as text.
    pub fn table(&self) -> String {
        let mut text = String::new();
        self.put_head(&mut text);
        for workload in [Workload::OnePair, Workload::FiftyPairs] {
            let rows: Vec<_> = self.pairs.iter().filter(|runs| runs.workload == workload).collect();
            put_table(&mut text, workload, &rows, PAIRS);
        }
        put_table(&mut text, Workload::Window1, &self.window1.iter().collect::<Vec<_>>(), WINDOW1);
        self.put_fdatasync(&mut text);
        put_table(&mut text, Workload::Idle, &self.idle.iter().collect::<Vec<_>>(), IDLE);
        let handshakes: Vec<_> = self.handshakes.iter().collect();
        put_table(&mut text, Workload::Handshakes, &handshakes, HANDSHAKES);
        text
    }

    fn put_head(&self, text: &mut String) {
        let machine = &self.machine;
        put(
            text,
            format_args!(
                "{} UTC  {} cores  {}  Linux {}  MQTT {}  runs {}: median (min..max)\n",
                machine.date,
                machine.cores,
                machine.cpu,
                machine.kernel,
                if self.settings.mqtt5 { "5" } else { "3.1.1" },
                self.settings.runs
            ),
        );
        if machine.unoptimised {
            put(text, format_args!("built without --release: these figures measure nothing\n"));
        }
        if self.settings.tiny {
            put(text, format_args!("tiny: shows that it works, measures nothing\n"));
        }
    }

    fn put_fdatasync(&self, text: &mut String) {
        let Some(sync) = &self.fdatasync else { return };
        put(
            text,
            format_args!(
                "  the disk's fdatasync of 200 B appended: p50 {:.0} us, p99 {:.0} us, {} times\n",
                sync.p50_us, sync.p99_us, sync.count
            ),
        );
        for runs in &self.window1 {
            if let Some(p50) = runs.spread(|run| run.p50_us) {
                put(
                    text,
                    format_args!(
                        "  {}: PUBACK p50 - fdatasync p50 = {:.0} us\n",
                        runs.peer.name(),
                        p50.median - sync.p50_us
                    ),
                );
            }
        }
    }
}

/// One line per figure, one column per server, and the ratio of the first to mosquitto.
fn put_table<T>(text: &mut String, workload: Workload, rows: &[&Runs<T>], columns: &[Column<T>]) {
    if rows.is_empty() {
        return;
    }
    put(text, format_args!("\n{:<24}", workload.name()));
    for row in rows {
        put(text, format_args!("{:>30}", row.peer.name()));
    }
    let measure = rows.iter().find(|row| row.peer == Peer::Mosquitto);
    let ours = rows.iter().find(|row| row.peer == Peer::Bluetick);
    if measure.is_some() && ours.is_some() {
        put(text, format_args!("{:>10}", "ratio"));
    }
    text.push('\n');
    for &(heading, decimals, figure) in columns {
        put(text, format_args!("  {heading:<22}"));
        for row in rows {
            let cell = row.spread(figure).map_or("-".to_owned(), |spread| {
                format!(
                    "{:.decimals$} ({:.decimals$}..{:.decimals$})",
                    spread.median, spread.min, spread.max
                )
            });
            put(text, format_args!("{cell:>30}"));
        }
        let medians =
            ours.and_then(|row| row.spread(figure)).zip(measure.and_then(|row| row.spread(figure)));
        if let Some((ours, measure)) = medians.filter(|(_, measure)| measure.median != 0.0) {
            put(text, format_args!("{:>10.2}", ours.median / measure.median));
        }
        text.push('\n');
    }
}

fn put(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _infallible = text.write_fmt(arguments);
}
