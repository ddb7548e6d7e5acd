//! What came out, as a table to read and as JSON with every run in it.

use std::fmt::Write as _;

use serde::Serialize;

use crate::chats_list::ChatsListRun;
use crate::dialects::DialectRun;
use crate::fan_out::FanOutRun;
use crate::handshakes::HandshakesRun;
use crate::hostile::{AttackRun, MiB};
use crate::idle::IdleRun;
use crate::machine::Machine;
use crate::million::MillionRun;
use crate::offline::OfflineRun;
use crate::pairs::PairsRun;
use crate::settings::{Case, Settings, Workload};
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
    /// Deliveries to a large group and a small one.
    pub fan_out: Vec<Runs<FanOutRun>>,
    /// Messages to a large group that is away, and a small one.
    pub offline: Vec<Runs<OfflineRun>>,
    /// Many chats listed, and few.
    pub chats_list: Vec<Runs<ChatsListRun>>,
    /// First messages among very many chats, and among some.
    pub million: Vec<Runs<MillionRun>>,
    /// Bytes on the wire: one run with all dialects in it.
    pub dialects: Vec<Runs<Vec<DialectRun>>>,
    /// Being let in.
    pub handshakes: Vec<Runs<HandshakesRun>>,
    /// What strangers cost: one run with all attacks in it.
    pub hostile: Vec<Runs<Vec<AttackRun>>>,
}

/// The runs of one workload in one case.
#[derive(Debug, Serialize)]
pub struct Runs<T> {
    /// Which work.
    pub workload: Workload,
    /// Which server, and how much of what the workload compares.
    #[serde(flatten)]
    pub case: Case,
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
const FAN_OUT: &[Column<FanOutRun>] = &[
    ("deliveries/s", 0, |run| run.deliveries_per_s),
    ("server CPU us/del", 1, |run| run.server_cpu_us),
    ("generator CPU us/del", 1, |run| run.generator_cpu_us),
    ("1: last has it p50 us", 0, |run| run.last_member.p50_us),
    ("1: p99 us", 0, |run| run.last_member.p99_us),
    ("1: server CPU us/del", 1, |run| run.alone_server_cpu_us),
    ("before KiB", 0, |run| run.before_bytes as f64 / 1024.0),
    ("after KiB", 0, |run| run.after_bytes as f64 / 1024.0),
];
const OFFLINE: &[Column<OfflineRun>] = &[
    ("PUBACK p50 us", 0, |run| run.puback.p50_us),
    ("p99 us", 0, |run| run.puback.p99_us),
    ("1: server CPU us/msg", 1, |run| run.alone_server_cpu_us),
    ("100: messages/s", 0, |run| run.messages_per_s),
    ("100: server CPU us/msg", 1, |run| run.server_cpu_us),
];
const CHATS_LIST: &[Column<ChatsListRun>] = &[
    ("page p50 us", 0, |run| run.page.p50_us),
    ("page p99 us", 0, |run| run.page.p99_us),
    ("server CPU us/page", 0, |run| run.server_cpu_us),
    ("pages", 0, |run| f64::from(run.pages_per_list)),
    ("whole list ms", 1, |run| run.list_ms),
    ("other's msg p50 us", 0, |run| run.message_quiet.p50_us),
    ("  p99 us", 0, |run| run.message_quiet.p99_us),
    ("  meanwhile p50 us", 0, |run| run.message_meanwhile.p50_us),
    ("  meanwhile p99 us", 0, |run| run.message_meanwhile.p99_us),
];
const MILLION: &[Column<MillionRun>] = &[
    ("cold PUBACK p50 us", 0, |run| run.cold.p50_us),
    ("cold p99 us", 0, |run| run.cold.p99_us),
    ("warm PUBACK p50 us", 0, |run| run.warm.p50_us),
    ("warm p99 us", 0, |run| run.warm.p99_us),
    ("new PUBACK p50 us", 0, |run| run.new.p50_us),
    ("new p99 us", 0, |run| run.new.p99_us),
    ("made in s", 1, |run| run.make_s),
    ("disk MiB", 1, |run| run.disk_bytes as f64 / 1_048_576.0),
    ("restart s", 2, |run| run.restart_s),
    ("memory: made MiB", 1, |run| run.made_bytes as f64 / 1_048_576.0),
    ("memory: restarted MiB", 1, |run| run.restarted_bytes as f64 / 1_048_576.0),
    ("memory: after MiB", 1, |run| run.after_bytes as f64 / 1_048_576.0),
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
        for workload in [
            Workload::OnePair,
            Workload::FiftyPairs,
            Workload::OnePairQos0,
            Workload::FiftyPairsQos0,
        ] {
            let rows = self.pairs.iter().filter(|runs| runs.workload == workload);
            put_table(&mut text, rows, PAIRS);
        }
        put_table(&mut text, &self.window1, WINDOW1);
        self.put_fdatasync(&mut text);
        put_table(&mut text, &self.idle, IDLE);
        put_table(&mut text, &self.fan_out, FAN_OUT);
        put_table(&mut text, &self.offline, OFFLINE);
        put_table(&mut text, &self.chats_list, CHATS_LIST);
        put_table(&mut text, &self.million, MILLION);
        for run in self.dialects.iter().flat_map(|runs| &runs.runs) {
            put_dialects(&mut text, run);
        }
        put_table(&mut text, &self.handshakes, HANDSHAKES);
        for run in self.hostile.iter().flat_map(|runs| &runs.runs) {
            put_attacks(&mut text, run);
        }
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
                        runs.case.peer.name(),
                        p50.median - sync.p50_us
                    ),
                );
            }
        }
    }
}

/// One line per figure, one column per case, and the ratio of the first to the last.
fn put_table<'a, T: 'a>(
    text: &mut String,
    rows: impl IntoIterator<Item = &'a Runs<T>>,
    columns: &[Column<T>],
) {
    let rows: Vec<_> = rows.into_iter().collect();
    let Some(workload) = rows.first().map(|row| row.workload) else { return };
    put(text, format_args!("\n{:<24}", workload.name()));
    for row in &rows {
        put(text, format_args!("{:>30}", row.case.name()));
    }
    let ends = match rows[..] {
        [first, .., last] => Some((first, last)),
        _ => None,
    };
    if ends.is_some() {
        put(text, format_args!("{:>10}", "ratio"));
    }
    text.push('\n');
    for &(heading, decimals, figure) in columns {
        put(text, format_args!("  {heading:<22}"));
        for row in &rows {
            let cell = row.spread(figure).map_or("-".to_owned(), |spread| {
                format!(
                    "{:.decimals$} ({:.decimals$}..{:.decimals$})",
                    spread.median, spread.min, spread.max
                )
            });
            put(text, format_args!("{cell:>30}"));
        }
        let medians = ends.and_then(|(first, last)| first.spread(figure).zip(last.spread(figure)));
        if let Some((first, last)) = medians.filter(|(_, last)| last.median != 0.0) {
            put(text, format_args!("{:>10.2}", first.median / last.median));
        }
        text.push('\n');
    }
}

/// One line per dialect, one column per place in the chat.
fn put_dialects(text: &mut String, run: &[DialectRun]) {
    put(text, format_args!("\n{:<24}", Workload::Dialects.name()));
    for (seq, _) in run.first().iter().flat_map(|dialect| &dialect.bytes) {
        put(text, format_args!("{:>14}", format!("seq {seq}")));
    }
    text.push_str("   bytes of a message sent, delivered and read\n");
    for dialect in run {
        let id = if dialect.with_id { ", with id" } else { "" };
        put(text, format_args!("  {:<22}", format!("{}{id}", dialect.dialect)));
        for (_, bytes) in &dialect.bytes {
            put(text, format_args!("{bytes:>14}"));
        }
        text.push('\n');
    }
}

/// Per attack a line of the bystanders' figures and one of its own.
fn put_attacks(text: &mut String, run: &[AttackRun]) {
    put(
        text,
        format_args!(
            "\n{:<24}{:>24}{:>26}{:>26}\n",
            Workload::Hostile.name(),
            "server MiB",
            "PUBACK us p50 p99",
            "received us p50 p99"
        ),
    );
    for attack in run {
        let memory = [attack.before, attack.during, attack.after].map(|MiB(mib)| mib);
        let latency = |quiet: &Latency, during: &Latency| {
            let [a, b, c, d] = [quiet.p50_us, quiet.p99_us, during.p50_us, during.p99_us];
            format!("{a:.0} {b:.0} -> {c:.0} {d:.0}")
        };
        put(
            text,
            format_args!(
                "  {:<22}{:>24}{:>26}{:>26}\n",
                attack.name,
                memory.map(|mib| format!("{mib:.0}")).join(" -> "),
                latency(&attack.quiet_puback, &attack.puback),
                latency(&attack.quiet_received, &attack.received)
            ),
        );
        for (what, figure) in &attack.figures {
            put(text, format_args!("      {figure:.1} {what}\n"));
        }
    }
}

fn put(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _infallible = text.write_fmt(arguments);
}
