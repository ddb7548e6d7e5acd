//! Unix sockets.

use std::os::unix::net::UnixStream;

use crate::support::{Server, bluetick, err, run};
use crate::world::{log_in, text};

#[test]
fn a_unix_socket_is_served_and_left_behind_by_nobody() {
    let dir = tempfile::tempdir().expect("a folder");
    let (data, path) = (dir.path().join("data"), dir.path().join("mqtt.sock"));
    let flags = ["--dev", "--unix", text(&path)];
    let mut server = Server::start_with(&data, &flags);
    let mut stream = UnixStream::connect(&path).expect("connected");
    log_in(&mut stream);

    // A second server is refused and takes nothing away from the first.
    let second = dir.path().join("second");
    let mut command = bluetick();
    let output = run(command.args(["serve", "--data-dir", text(&second)]).args(flags));
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains(text(&path)), "{}", err(&output));
    log_in(&mut UnixStream::connect(&path).expect("still there"));

    // What a killed server leaves does not keep the next one out.
    server.kill();
    assert!(path.exists());
    let server = Server::start_with(&data, &flags);
    log_in(&mut UnixStream::connect(&path).expect("connected"));
    assert_eq!(server.terminate(), Some(0));
    assert!(!path.exists(), "removed at the end");

    // A file that is no socket is somebody's.
    std::fs::write(&path, "mine").expect("written");
    let output = run(bluetick().args(["serve", "--data-dir", text(&data)]).args(flags));
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(std::fs::read(&path).expect("still there"), b"mine");
}
