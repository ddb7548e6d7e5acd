//! A disk that runs full: nothing is acknowledged that is not stored, the server outlives it, and
//! goes on by itself when there is room. Needs a small file system of its own (tmpfs), which only
//! root may mount; elsewhere the test says so and ends.

mod support;

use std::fs;
use std::process::Command;
use std::time::Instant;

use serde_json::Value;
use support::{PATIENCE, Server, SmallDisk, asyncapi, err, out, run};

#[test]
fn a_full_disk_loses_and_doubles_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let Some(disk) = SmallDisk::mount(dir.path(), "400m") else {
        println!("not run: a tmpfs cannot be mounted here");
        return;
    };
    let filler = disk.path().join("filler");
    fs::write(&filler, vec![7; 100 << 20]).expect("room for the filler");
    let mut server = Server::start(&disk.path().join("data"));
    let body = "x".repeat(100_000);
    // A message is sent until it is acknowledged, as a client does that wants it stored.
    let id = |n: usize| format!("0193a5f0-1c2b-7d3e-8f4a-{n:012}");
    let send = |server: &Server, n: usize| {
        let mut command = server.mosquitto("mosquitto_pub", "alice", "a");
        command.args(["-q", "1", "-t", &format!("users/bob/send/{}", id(n)), "-m", &body]);
        // mosquitto_pub tries again for ever: a refusal shows as silence.
        let mut command_with_limit = Command::new("timeout");
        command_with_limit.arg("2").arg(command.get_program()).args(command.get_args());
        run(&mut command_with_limit).status.success()
    };
    let mut stored = 0;
    while stored < 1500 && send(&server, stored) {
        stored += 1;
    }
    assert!((1..1500).contains(&stored), "the disk should run full: {stored} messages fit");
    assert!(!send(&server, stored), "nothing is acknowledged while it is full");
    fs::remove_file(&filler).expect("room again");
    let started = Instant::now();
    while !send(&server, stored) {
        assert!(started.elapsed() < PATIENCE, "the server does not recover");
    }
    assert!(server.is_alive());
    let count = stored + 1;
    let mut command = server.mosquitto("mosquitto_sub", "bob", "b");
    let count_text = count.to_string();
    command.args(["-q", "1", "-t", "chats/+/messages", "-C", &count_text, "-W", "25"]);
    // More than a pipe holds: read while it runs; -W ends it in any case.
    let output = command.output().expect("mosquitto_sub runs");
    assert!(output.status.success(), "{}", err(&output));
    let text = out(&output);
    let heard = text.lines().inspect(|line| asyncapi::heard_line(line, None));
    let got: Vec<Value> = heard.map(|line| serde_json::from_str(line).expect("JSON")).collect();
    for (at, message) in got.iter().enumerate() {
        assert_eq!(
            (message["seq"].as_u64(), message["id"].as_str()),
            (Some(at as u64 + 1), Some(&*id(at)))
        );
    }
    assert_eq!(got.len(), count);
    // Stopped while it is full, it says so.
    fs::write(&filler, vec![7; 100 << 20]).expect("room for the filler");
    let mut more = count;
    while send(&server, more) {
        more += 1;
    }
    assert_eq!(server.terminate(), Some(4));
}
