//! A tiny run of every workload, so that the bench cannot rot.

use std::path::Path;
use std::process::{Command, Output};

use bluetick_benches::peers::Peer;
use bluetick_benches::report::{Measured, Report};

const BENCH: &str = env!("CARGO_BIN_EXE_bench");

/// What every machine that tests has: the others are run by whoever installs them.
const PEERS: [&str; 7] = [
    "--peers",
    "bluetick",
    "bluetick-plain",
    "mosquitto",
    "mosquitto-nodelay",
    "mosquitto-persistent",
    "rumqttd",
];

fn bench(flags: &[&str]) -> Output {
    Command::new(BENCH).args(flags).output().unwrap()
}

/// Runs these workloads with `bench --tiny` and these flags too; gives its results.
fn tiny(only: &[&str], flags: &[&str]) -> Report {
    let dir = tempfile::tempdir().unwrap();
    let results = dir.path().join("results.json");
    let results_flag = ["--results", results.to_str().unwrap()];
    let output = bench(&[&["--tiny", "--only"], only, &PEERS, &results_flag, flags].concat());
    assert!(
        output.status.success(),
        "bench --tiny --only {only:?} {flags:?} failed (needs the package `mosquitto`, and bluetick built: `cargo build`):\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let report = Report::read(&results).unwrap();
    let ran: Vec<_> = report.workloads.iter().map(|it| it.workload.as_str()).collect();
    assert_eq!(ran, only);
    for measured in &report.workloads {
        check(measured);
    }
    report
}

/// Each case has one run, and each run has what the first of its server has.
fn check(measured: &Measured) {
    let name = &measured.workload;
    assert!(measured.settings.tiny);
    assert!(!measured.cases.is_empty(), "{name} compares nothing");
    for runs in &measured.cases {
        let [run] = &runs.runs[..] else { panic!("{name}: {} runs", runs.runs.len()) };
        assert!(run.names().count() > 1, "{name} has no figures");
        for figure in run.names() {
            assert!(run.get(figure).is_some_and(f64::is_finite), "{name}: {figure}");
        }
        let same = measured.cases.iter().find(|other| other.case.peer == runs.case.peer).unwrap();
        assert!(run.names().eq(same.runs[0].names()), "{name}: {:?}", runs.case);
    }
}

fn measured<'a>(report: &'a Report, workload: &str) -> &'a Measured {
    report.measured(workload).unwrap()
}

fn figure(report: &Report, workload: &str, case: usize, figure: &str) -> f64 {
    measured(report, workload).cases[case].median(figure).unwrap()
}

fn cases(report: &Report, workload: &str) -> Vec<(Peer, u32)> {
    let cases = measured(report, workload).cases.iter();
    cases.map(|runs| (runs.case.peer, runs.case.size)).collect()
}

#[test]
fn the_workloads_of_plain_messaging_run_against_both_servers_in_both_versions() {
    use Peer::{
        Bluetick, BluetickPlain, Mosquitto, MosquittoNodelay, MosquittoPersistent, Rumqttd,
    };
    let only = ["1x1", "50x50", "1x1-qos0", "50x50-qos0", "window1", "idle", "handshakes"];
    for flags in [&[][..], &["--mqtt5"]] {
        let report = tiny(&only, flags);
        let peers = |workload: &str| -> Vec<Peer> {
            cases(&report, workload).into_iter().map(|(peer, _)| peer).collect()
        };
        for pairs in ["1x1", "50x50"] {
            let expected = [Bluetick, BluetickPlain, Mosquitto, MosquittoPersistent, Rumqttd];
            assert_eq!(peers(pairs), expected);
            let qos0 = format!("{pairs}-qos0");
            assert_eq!(peers(&qos0), [BluetickPlain, Mosquitto, MosquittoNodelay, Rumqttd]);
            for (workload, cases) in [(pairs, 5), (&qos0, 4)] {
                for case in 0..cases {
                    assert_eq!(figure(&report, workload, case, "messages"), 500.0);
                }
            }
        }
        assert_eq!(peers("window1"), [Bluetick, Mosquitto, MosquittoPersistent, Rumqttd]);
        assert_eq!(peers("idle"), [Bluetick, BluetickPlain, Mosquitto, Rumqttd]);
        for case in 0..4 {
            assert_eq!(figure(&report, "window1", case, "PUBACK count"), 100.0);
            assert_eq!(figure(&report, "window1", case, "fdatasync of 200 B count"), 50.0);
            assert_eq!(figure(&report, "idle", case, "connections"), 24.0);
        }
        for case in 0..2 {
            assert_eq!(figure(&report, "handshakes", case, "connections"), 24.0);
        }
    }
}

#[test]
fn every_workload_of_chats_has_all_its_figures() {
    let only = ["fan-out", "offline", "chats-list", "a-million-chats", "dialects"];
    for flags in [&[][..], &["--mqtt5", "--no-id"]] {
        check_chats(&tiny(&only, flags));
    }
}

fn check_chats(report: &Report) {
    let bluetick = |size| (Peer::Bluetick, size);
    let brokers = [Peer::Mosquitto, Peer::Rumqttd].map(|peer| (peer, 6));
    assert_eq!(cases(report, "fan-out"), [&[bluetick(6), bluetick(3)][..], &brokers].concat());
    assert_eq!(cases(report, "offline"), [bluetick(6), bluetick(3)]);
    assert_eq!(cases(report, "chats-list"), [bluetick(60), bluetick(10)]);
    assert_eq!(cases(report, "a-million-chats"), [bluetick(200), bluetick(100)]);
    for (case, members) in [(0, 6.0), (1, 3.0), (2, 6.0), (3, 6.0)] {
        assert_eq!(figure(report, "fan-out", case, "messages"), 240.0 / members);
        let alone = figure(report, "fan-out", case, "alone: last has it count");
        assert_eq!(alone, 240.0 / 20.0 / members);
    }
    for (case, pages) in [(0, 2.0), (1, 1.0)] {
        assert_eq!(figure(report, "offline", case, "PUBACK count"), 100.0);
        assert_eq!(figure(report, "chats-list", case, "pages of a list"), pages);
        assert_eq!(figure(report, "chats-list", case, "page count"), 4.0);
        assert_eq!(figure(report, "a-million-chats", case, "cold PUBACK count"), 5.0);
        assert!(figure(report, "a-million-chats", case, "disk MiB") > 0.01);
    }
    assert_eq!(cases(report, "dialects"), [bluetick(7)]);
    let [json, compact] =
        ["json bytes", "compact bytes"].map(|bytes| figure(report, "dialects", 0, bytes));
    assert!(json > compact && compact > 100.0, "{json} {compact}");
}

#[test]
fn every_attack_has_its_figures() {
    let report = tiny(&["hostile"], &[]);
    let run = &measured(&report, "hostile").cases[0].runs[0];
    assert_eq!(run.names().filter(|name| name.ends_with(": MiB before")).count(), 13);
    assert!(report.tables().contains("\n- a million retained:"), "{}", report.tables());
}

#[test]
fn a_missing_server_is_named() {
    let output = bench(&["--tiny", "--peers", "bluetick", "--bluetick", "/nonexistent/bluetick"]);
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("/nonexistent/bluetick") && text.contains("--bluetick"), "{text}");
}

#[test]
fn what_is_not_installed_is_left_out_and_named_but_not_if_it_was_asked_for() {
    let output =
        Command::new(BENCH).args(["--tiny", "--only", "1x1"]).env("PATH", "").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("| bluetick "), "{text}");
    for peer in ["rabbitmq", "ejabberd", "prosody"] {
        assert!(text.contains(&format!("\nwithout {peer}: not found; ")), "{peer}: {text}");
        let asked_for = ["--tiny", "--only", "1x1", "--peers", peer];
        let output = Command::new(BENCH).args(asked_for).env("PATH", "").output().unwrap();
        assert!(!output.status.success());
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains(&format!("{peer}: not found; it is the package")), "{text}");
    }
}

#[test]
fn results_are_kept_by_workload_and_a_page_is_made_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let (results, page) = (path("results.json"), path("page.md"));
    let block = "<!-- bench: dialects -->\n<!-- /bench -->\n";
    std::fs::write(&page, format!("before\n{block}behind\n")).unwrap();
    let files = ["--results", &results, "--page", &page];
    for only in ["dialects", "handshakes"] {
        let flags = ["--tiny", "--peers", "bluetick", "--only", only];
        assert!(bench(&[&flags[..], &files].concat()).status.success());
    }
    let report = Report::read(Path::new(&results)).unwrap();
    assert_eq!(report.workloads.len(), 2);
    let text = std::fs::read_to_string(&page).unwrap();
    assert!(text.starts_with("before\n<!-- bench: dialects -->\ndialects: "), "{text}");
    assert!(text.contains("| compact bytes"), "{text}");
    let shown = bench(&[&["--show"], &files[..]].concat());
    assert!(String::from_utf8_lossy(&shown.stdout).contains("TLS 1.3 connects/s"));
    assert_eq!(std::fs::read_to_string(&page).unwrap(), text);
}
