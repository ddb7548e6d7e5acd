//! What is deleted is gone from the data directory, not only from what clients are shown.

mod support;

use std::fs;
use std::path::Path;

use support::Server;

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
