//! What is deleted is gone from the data directory, not only from what clients are shown.

mod support;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use support::{PATIENCE, Server, out, run};

/// Whether these bytes are in any file below.
fn holds(dir: &Path, bytes: &[u8]) -> bool {
    fs::read_dir(dir).expect("a folder").any(|entry| {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            return holds(&path, bytes);
        }
        let content = fs::read(&path).unwrap_or_default();
        content.windows(bytes.len()).any(|window| window == bytes)
    })
}

/// Waits until these bytes are in no file below.
fn await_gone(dir: &Path, bytes: &[u8]) {
    let started = Instant::now();
    while holds(dir, bytes) {
        assert!(started.elapsed() < PATIENCE, "the bytes are still there");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A server that has what is erased leave the disk each second.
fn eager(dir: &Path) -> Server {
    let config = dir.join("bluetick.toml");
    fs::write(&config, "[store]\nerase_every_s = 1\n").expect("written");
    let config = config.to_str().expect("a path in UTF-8");
    let data_dir = dir.join("data");
    Server::start_with(&data_dir, &["--dev", "--mqtt", "127.0.0.1:0", "--config", config])
}

#[test]
fn what_is_deleted_leaves_the_disk_of_a_running_server() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = eager(dir.path());
    for body in ["the plan of the treasure", "what may be kept"] {
        assert!(server.publish("alice", "users/bob/send", body, &[]).status.success());
    }
    assert!(holds(dir.path(), b"of the treasure"), "it is there while it is not deleted");
    assert!(server.publish("alice", "chats/alice~bob/delete/1", "", &[]).status.success());
    await_gone(dir.path(), b"of the treasure");
    assert!(holds(dir.path(), b"what may be kept"));
}

#[test]
fn what_has_expired_leaves_the_disk_with_its_edits() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = eager(dir.path());
    let brief = ["-V", "5", "-D", "PUBLISH", "message-expiry-interval", "2"];
    let sent = server.publish("alice", "users/bob/send", "the plan of the treasure", &brief);
    assert!(sent.status.success());
    // An edit has no end of its own and goes with its message.
    let edited = server.publish("alice", "chats/alice~bob/edit/1", "a map of the treasure", &[]);
    assert!(edited.status.success(), "{edited:?}");
    let kept = server.publish("alice", "users/bob/send", "what may be kept", &[]);
    assert!(kept.status.success());
    await_gone(dir.path(), b"of the treasure");
    assert!(holds(dir.path(), b"what may be kept"));
    // Its place is explained, and its id is still known.
    let mut sub = server.mosquitto("mosquitto_sub", "bob", "bob-phone");
    let heard = run(sub.args(["-q", "1", "-t", "chats/+/messages", "-C", "1", "-W", "20"]));
    let heard: serde_json::Value = serde_json::from_str(out(&heard).trim()).expect("JSON");
    assert_eq!((&heard["seq"], &heard["after"]), (&3.into(), &0.into()));
}

#[test]
fn a_deleted_body_and_its_edits_leave_the_disk() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path());
    for (topic, body) in [
        ("users/bob/send", "the plan of the treasure"),
        ("chats/alice~bob/edit/1", "another map of the treasure"),
        ("users/bob/send", "what may be kept"),
    ] {
        assert!(server.publish("alice", topic, body, &[]).status.success());
    }
    assert!(holds(dir.path(), b"of the treasure"), "it is there while it is not deleted");
    assert!(server.publish("alice", "chats/alice~bob/delete/1", "", &[]).status.success());
    // A start writes what the log holds into a file of its own, and drops the log.
    assert_eq!(server.terminate(), Some(0));
    let server = Server::start(dir.path());
    assert_eq!(server.terminate(), Some(0));
    assert!(!holds(dir.path(), b"of the treasure"), "no trace of the message and its edit");
    assert!(holds(dir.path(), b"what may be kept"));
}
