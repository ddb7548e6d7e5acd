//! A tiny run of every workload, so that the bench cannot rot.

use std::process::Command;

use serde_json::Value;

/// Runs `bench --tiny` with these flags too and gives its JSON.
fn tiny(flags: &[&str]) -> Value {
    let dir = tempfile::tempdir().unwrap();
    let json = dir.path().join("report.json");
    let output = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["--tiny", "--json"])
        .arg(&json)
        .args(flags)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "bench --tiny {flags:?} failed (needs the package `mosquitto`, and bluetick built: `cargo build`):\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_str(&std::fs::read_to_string(json).unwrap()).unwrap()
}

#[test]
fn the_workloads_of_plain_messaging_run_against_both_servers_in_both_versions() {
    let only =
        ["--only", "1x1", "50x50", "1x1-qos0", "50x50-qos0", "window1", "idle", "handshakes"];
    for flags in [&only[..], &[&["--mqtt5"], &only[..]].concat()] {
        let report = tiny(flags);
        let pairs = report["pairs"].as_array().expect("runs of pairs");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let ran = pairs.iter().map(|runs| (text(&runs["workload"]), text(&runs["peer"])));
        let ran: Vec<_> = ran.collect();
        assert_eq!(
            ran,
            [
                ("1x1", "bluetick"),
                ("1x1", "bluetick-plain"),
                ("1x1", "mosquitto"),
                ("50x50", "bluetick"),
                ("50x50", "bluetick-plain"),
                ("50x50", "mosquitto"),
                ("1x1-qos0", "bluetick-plain"),
                ("1x1-qos0", "mosquitto"),
                ("1x1-qos0", "mosquitto-nodelay"),
                ("50x50-qos0", "bluetick-plain"),
                ("50x50-qos0", "mosquitto"),
                ("50x50-qos0", "mosquitto-nodelay")
            ]
            .map(|(workload, peer)| (workload.to_owned(), peer.to_owned())),
        );
        for runs in pairs {
            assert_eq!(runs["runs"][0]["messages"], 500, "{runs}");
        }
        for at in 0..2 {
            assert_eq!(report["window1"][at]["runs"][0]["count"], 100);
            assert_eq!(report["idle"][at]["runs"][0]["connections"], 24);
            assert_eq!(report["handshakes"][at]["runs"][0]["connections"], 24);
        }
        assert_eq!(report["fdatasync"]["count"], 50);
    }
}

#[test]
fn every_workload_of_chats_has_all_its_figures() {
    let only = ["--only", "fan-out", "offline", "chats-list", "a-million-chats", "dialects"];
    for flags in [&only[..], &[&["--mqtt5", "--no-id"], &only[..]].concat()] {
        check_chats(&tiny(flags));
    }
}

fn check_chats(report: &Value) {
    let sizes = |workload: &str| -> Vec<(String, u64)> {
        let cases = report[workload].as_array().expect("cases").iter();
        let case = |case: &Value| {
            let peer = case["peer"].as_str().unwrap_or_default().to_owned();
            (peer, case["size"].as_u64().expect("a size"))
        };
        cases.map(case).collect()
    };
    let bluetick = |size| ("bluetick".to_owned(), size);
    assert_eq!(sizes("fan_out"), [bluetick(6), bluetick(3), ("mosquitto".to_owned(), 6)]);
    assert_eq!(sizes("offline"), [bluetick(6), bluetick(3)]);
    assert_eq!(sizes("chats_list"), [bluetick(60), bluetick(10)]);
    assert_eq!(sizes("million"), [bluetick(200), bluetick(100)]);
    for case in report["fan_out"].as_array().expect("cases") {
        let (run, members) = (&case["runs"][0], case["size"].as_u64().expect("a size"));
        assert_eq!(run["messages"], 240 / members, "{run}");
        assert_eq!(run["last_member"]["count"], 240 / 20 / members, "{run}");
    }
    for case in report["offline"].as_array().expect("cases") {
        assert_eq!(case["runs"][0]["puback"]["count"], 100);
    }
    let list = |at: usize| &report["chats_list"][at]["runs"][0];
    assert_eq!((&list(0)["pages_per_list"], &list(1)["pages_per_list"]), (&2.into(), &1.into()));
    assert_eq!(
        (&list(0)["page"]["count"], &list(0)["message_meanwhile"]["count"]),
        (&4.into(), &4.into())
    );
    for case in report["million"].as_array().expect("cases") {
        let run = &case["runs"][0];
        assert_eq!([&run["cold"]["count"], &run["new"]["count"]], [5, 5], "{run}");
        assert!(run["disk_bytes"].as_u64() > Some(10_000), "{run}");
    }
    let dialects = report["dialects"][0]["runs"][0].as_array().expect("dialects");
    let counted = dialects.iter().map(|dialect| {
        let bytes = dialect["bytes"].as_array().expect("places").iter();
        assert_eq!(bytes.map(|place| place[0].as_u64()).collect::<Vec<_>>(), [Some(7)]);
        (dialect["dialect"].as_str().unwrap_or_default(), dialect["with_id"].as_bool())
    });
    assert_eq!(
        counted.collect::<Vec<_>>(),
        [("json", false), ("json", true), ("compact", false), ("compact", true)]
            .map(|(name, with_id)| (name, Some(with_id)))
    );
}

#[test]
fn a_missing_server_is_named() {
    let output = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["--tiny", "--no-mosquitto", "--bluetick", "/nonexistent/bluetick"])
        .output()
        .unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("/nonexistent/bluetick") && text.contains("--bluetick"), "{text}");
}

#[test]
fn every_attack_has_its_figures() {
    let report = tiny(&["--only", "hostile"]);
    let run = report["hostile"][0]["runs"][0].as_array().expect("attacks");
    assert_eq!(run.len(), 13);
    for attack in run {
        assert!(attack["during"].as_f64() > Some(1.0), "{attack}");
        let counts = ["quiet_puback", "puback", "received"].map(|of| attack[of]["count"].as_u64());
        assert!(counts.iter().all(|count| *count >= Some(1)), "{attack}");
        assert!(attack["figures"].as_array().is_some_and(|it| !it.is_empty()), "{attack}");
    }
}
