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
fn every_workload_runs_against_both_servers_in_both_versions() {
    for flags in [&[][..], &["--mqtt5"]] {
        let report = tiny(flags);
        let pairs = report["pairs"].as_array().expect("runs of pairs");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let ran = pairs.iter().map(|runs| (text(&runs["workload"]), text(&runs["peer"])));
        let ran: Vec<_> = ran.collect();
        assert_eq!(
            ran,
            [
                ("1x1", "bluetick"),
                ("1x1", "mosquitto"),
                ("50x50", "bluetick"),
                ("50x50", "mosquitto")
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
fn a_missing_server_is_named() {
    let output = Command::new(env!("CARGO_BIN_EXE_bench"))
        .args(["--tiny", "--no-mosquitto", "--bluetick", "/nonexistent/bluetick"])
        .output()
        .unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("/nonexistent/bluetick") && text.contains("--bluetick"), "{text}");
}
