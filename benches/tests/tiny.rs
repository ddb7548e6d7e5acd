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
        "bench --tiny {flags:?} failed (the package `mosquitto` must be installed):\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_str(&std::fs::read_to_string(json).unwrap()).unwrap()
}

#[test]
fn every_workload_runs_against_mosquitto_in_both_versions() {
    for flags in [&["--no-bluetick"][..], &["--no-bluetick", "--mqtt5"]] {
        let report = tiny(flags);
        for (at, workload) in ["1x1", "50x50"].into_iter().enumerate() {
            let runs = &report["pairs"][at];
            assert_eq!(runs["workload"], workload);
            assert_eq!(runs["peer"], "mosquitto");
            assert_eq!(runs["runs"][0]["messages"], 500, "{runs}");
        }
        assert_eq!(report["window1"][0]["runs"][0]["count"], 100);
        assert_eq!(report["fdatasync"]["count"], 50);
        assert_eq!(report["idle"][0]["runs"][0]["connections"], 24);
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
