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

/// In both versions of MQTT at the same time: most of a tiny run is waiting.
fn in_both(version: impl Fn(&[&str]) + Sync) {
    std::thread::scope(|scope| {
        for flags in [&[][..], &["--mqtt5"]] {
            let version = &version;
            scope.spawn(move || version(flags));
        }
    });
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
        let has = |figure: &str| same.runs[0].get(figure).is_some();
        assert!(run.names().all(has), "{name}: {:?}", runs.case);
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
    in_both(|flags| {
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
    });
}

#[test]
fn every_workload_of_chats_has_all_its_figures() {
    let only = ["fan-out", "offline", "chats-list", "a-million-chats", "stored", "dialects"];
    in_both(|flags| {
        let no_id = if flags.is_empty() { &[][..] } else { &["--no-id"] };
        check_chats(&tiny(&only, &[flags, no_id].concat()));
    });
}

fn check_chats(report: &Report) {
    let bluetick = |size| (Peer::Bluetick, size);
    let mosquitto = |size| (Peer::Mosquitto, size);
    let sizes = [6, 3, 2];
    let both = [sizes.map(bluetick), sizes.map(mosquitto)].concat();
    assert_eq!(cases(report, "fan-out"), [&both[..], &[(Peer::Rumqttd, 6)]].concat());
    assert_eq!(cases(report, "offline"), [bluetick(6), bluetick(3)]);
    assert_eq!(cases(report, "chats-list"), [bluetick(60), bluetick(10)]);
    assert_eq!(cases(report, "a-million-chats"), [bluetick(200), bluetick(150), bluetick(100)]);
    for (case, members) in [6.0, 3.0, 2.0].into_iter().cycle().take(7).enumerate() {
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
    assert_eq!(cases(report, "stored"), [bluetick(2_000), bluetick(1_000), bluetick(0)]);
    for case in 0..3 {
        assert!(figure(report, "stored", case, "disk bytes/message") > 100.0);
        assert!(figure(report, "stored", case, "write amplification") >= 1.0);
    }
    assert_eq!(cases(report, "dialects"), [bluetick(7)]);
    let [json, compact] =
        ["json bytes", "compact bytes"].map(|bytes| figure(report, "dialects", 0, bytes));
    assert!(json > compact && compact > 100.0, "{json} {compact}");
}

#[test]
fn senders_and_receivers_of_every_shape_lose_nothing() {
    use Peer::{Bluetick, BluetickPlain, Mosquitto, MosquittoNodelay};
    let of = |peers: &[Peer]| peers.iter().map(|&peer| (peer, 0)).collect::<Vec<_>>();
    let only = ["1x1-qos2", "50x50-qos2", "1000x1000", "fan-in", "fan-in-qos0", "fan-in-qos2"];
    in_both(|flags| {
        let report = tiny(&only, flags);
        for name in only {
            let expected = match name.rsplit_once("-qos") {
                Some((_, "0")) => of(&[BluetickPlain, Mosquitto, MosquittoNodelay]),
                Some(_) => of(&[BluetickPlain, Mosquitto]),
                None => of(&[Bluetick, BluetickPlain, Mosquitto]),
            };
            assert_eq!(cases(&report, name), expected);
            for case in 0..expected.len() {
                assert_eq!(figure(&report, name, case, "messages"), 500.0, "{name}");
            }
        }
    });
    let report = tiny(&["payloads", "cores", "resend-storm"], &[]);
    for (case, messages) in [500.0, 500.0, 500.0, 200.0].into_iter().cycle().take(8).enumerate() {
        assert_eq!(figure(&report, "payloads", case, "messages"), messages);
    }
    assert!(cases(&report, "cores").starts_with(&[(Bluetick, 1)]));
    for case in 0..cases(&report, "cores").len() {
        assert_eq!(figure(&report, "cores", case, "messages"), 500.0);
    }
    assert_eq!(figure(&report, "resend-storm", 0, "messages"), 500.0);
    assert!(figure(&report, "resend-storm", 0, "resends/s") > 0.0);
}

#[test]
fn what_is_offered_is_sent_and_history_is_whole() {
    let report = tiny(&["latency", "history"], &[]);
    let loads = [1_000, 5_000, 10_000, 20_000, 40_000, 80_000];
    let of = |peer, sizes: &[u32]| sizes.iter().map(|&size| (peer, size)).collect::<Vec<_>>();
    let expected = [Peer::Bluetick, Peer::Mosquitto].map(|peer| of(peer, &loads)).concat();
    assert_eq!(cases(&report, "latency"), expected);
    for (case, (_, load)) in expected.into_iter().enumerate() {
        let figure = |name| figure(&report, "latency", case, name);
        // As many as are due in a fiftieth of four seconds, by a fixed seed.
        let (messages, mean) = (figure("messages") + figure("given up"), f64::from(load) * 0.08);
        assert!((messages - mean).abs() < 4.0 * mean.sqrt(), "{messages} in place of {mean}");
        assert!(figure("received max us") >= figure("received p50 us"));
    }
    assert_eq!(cases(&report, "history"), of(Peer::Bluetick, &[220, 100]));
    for case in 0..2 {
        assert_eq!(figure(&report, "history", case, "page count"), 10.0);
    }
}

#[test]
fn what_waited_is_taken() {
    let report = tiny(&["catch-up", "catch-up-group"], &[]);
    let expected = [Peer::Bluetick, Peer::BluetickPlain, Peer::Mosquitto]
        .map(|peer| [(peer, 1), (peer, 100)])
        .concat();
    assert_eq!(cases(&report, "catch-up"), expected);
    for case in 0..expected.len() {
        assert_eq!(figure(&report, "catch-up", case, "messages"), 300.0);
    }
    assert_eq!(figure(&report, "catch-up-group", 0, "messages"), 300.0);
}

#[test]
fn all_come_back_and_have_what_waited() {
    let report = tiny(&["connections", "reconnect-storm"], &["--mqtt5"]);
    for case in 0..3 {
        assert!(figure(&report, "connections", case, "connects/s") > 0.0);
        assert_eq!(figure(&report, "reconnect-storm", case, "devices"), 40.0);
    }
    assert!(measured(&report, "connections").seconds > 0.0);
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
