//! `bluetick send`, `listen` and `history` in pipes.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use serde_json::Value;

use crate::support::{self, Server, bluetick};
use crate::{environment, url};

struct Stage {
    server: Server,
    // Removed when the server has ended.
    dir: tempfile::TempDir,
}

impl Stage {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let server = Server::start(&dir.path().join("data"));
        Self { server, dir }
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    fn run(&self, arguments: &[&str]) -> Output {
        support::run(&mut command(&url(&self.server), &self.state(), arguments))
    }

    fn start(&self, arguments: &[&str]) -> Child {
        let mut command = command(&url(&self.server), &self.state(), arguments);
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        piped.spawn().expect("started")
    }
}

fn command(url: &str, state: &Path, arguments: &[&str]) -> Command {
    let mut command = bluetick();
    command.args(arguments).envs(environment(url, state)).stdin(Stdio::null());
    command
}

#[track_caller]
fn assert_ends(output: &Output, code: i32, said: &str) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{error}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), said, "{error}");
}

fn lines(child: &mut Child) -> std::io::Lines<BufReader<ChildStdout>> {
    BufReader::new(child.stdout.take().expect("piped")).lines()
}

fn next(lines: &mut std::io::Lines<BufReader<ChildStdout>>) -> Value {
    let line = lines.next().expect("a line").expect("UTF-8");
    serde_json::from_str(&line).expect("JSON")
}

#[test]
fn send_tells_by_its_exit_code_what_became_of_the_message() {
    let stage = Stage::new();
    assert_ends(&stage.run(&["send", "--user", "alice", "bob", "hi"]), 0, "");
    let mut piped = stage.start(&["send", "--user", "alice", "-v", "alice~bob"]);
    piped.stdin.take().expect("piped").write_all("two\nlines\n".as_bytes()).expect("written");
    assert_ends(&piped.wait_with_output().expect("ended"), 0, "2\n");

    // It has one tick: nothing that `send` does takes a message of its user.
    let waits =
        ["send", "--user", "bob", "alice", "hi alice", "--wait", "delivered", "--timeout", "1"];
    assert_ends(&stage.run(&waits), 7, "");
    let waits = ["send", "--user", "alice", "bob", "busy", "--wait", "delivered", "--timeout", "1"];
    assert_ends(&stage.run(&waits), 7, "");
    let listens = ["listen", "--user", "alice", "--count", "1", "--read", "--json"];
    let heard = stage.run(&listens);
    assert_eq!(heard.status.code(), Some(0));
    let heard: Value = serde_json::from_slice(&heard.stdout).expect("JSON");
    assert_eq!((&heard["body"], &heard["seq"]), (&"hi alice".into(), &3.into()));
    // Whoever reads meanwhile makes the wait end.
    let mut listener = stage.start(&["listen", "--user", "alice", "--read"]);
    let read = ["send", "--user", "bob", "alice", "again", "--wait", "read", "--timeout", "30"];
    assert_ends(&stage.run(&read), 0, "");
    listener.kill().expect("killed");
    listener.wait().expect("ended");

    for (arguments, code) in [
        (&["send", "--user", "alice", "Bob!", "hi"][..], 2),
        (&["send", "--user", "alice", "bob", ""], 2),
        (&["send", "--user", "alice"], 2),
        (&["send", "bob", "hi"], 2),
        (&["send", "--user", "alice", "--url", "http://x", "bob", "hi"], 2),
        (&["send", "--user", "alice", "g-7k2m9x4q1zrt", "hi"], 6),
        (&["send", "--user", "alice", "--reply-to", "0", "bob", "hi"], 2),
        // Of standard input, which is empty here.
        (&["send", "--user", "alice", "bob", "-"], 2),
    ] {
        let output = stage.run(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
    }
}

#[test]
fn what_could_not_be_sent_is_sent_later_once_and_in_order() {
    let stage = Stage::new();
    let (url, state) = (url(&stage.server), stage.state());
    let address = stage.server.address().to_string();
    let data = stage.dir.path().join("data");
    drop(stage.server);
    for text in ["one", "two"] {
        let arguments = ["send", "--user", "alice", "bob", text, "--timeout", "1"];
        let output = support::run(&mut command(&url, &state, &arguments));
        assert_ends(&output, 5, "");
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.contains("not sent yet") && told.contains("refused"), "{told}");
    }
    let _server = Server::start_with(&data, &["--dev", "--mqtt", &address]);
    let run = |arguments: &[&str]| support::run(&mut command(&url, &state, arguments));
    assert_ends(&run(&["send", "--user", "alice", "--flush"]), 0, "");
    assert_ends(&run(&["send", "--user", "alice", "bob", "three", "-v"]), 0, "3\n");
    let history = run(&["history", "--user", "bob", "alice", "--json", "--limit", "9"]);
    let bodies: Vec<Value> = String::from_utf8_lossy(&history.stdout)
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["body"].take())
        .collect();
    assert_eq!(bodies, ["one", "two", "three"]);
}

#[test]
fn a_wrong_password_refuses_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().expect("a folder");
    let data = dir.path().join("data");
    for user in ["alice", "bob"] {
        let mut add = bluetick();
        add.args(["user", "add", user, "--data-dir"]).arg(&data).stdin(Stdio::piped());
        let mut add = add.stdout(Stdio::null()).spawn().expect("started");
        add.stdin.take().expect("piped").write_all(b"secret\n").expect("written");
        assert!(add.wait().expect("ended").success());
    }
    let server = Server::start_with(&data, &["--mqtt", "127.0.0.1:0"]);
    let file = dir.path().join("password");
    std::fs::write(&file, "secret\n").expect("written");
    let file = file.to_str().expect("UTF-8");
    let run = |arguments: &[&str]| {
        let state = dir.path().join("state");
        support::run(&mut command(&url(&server), &state, arguments))
    };
    let wrong = run(&["send", "--user", "alice", "--password", "guess", "bob", "wrong"]);
    assert_ends(&wrong, 6, "");
    let right = ["--user", "alice", "--password-file", file];
    assert_ends(&run(&[&["send"], &right[..], &["bob", "right", "-v"]].concat()), 0, "1\n");
    let wrong = run(&["listen", "--user", "bob", "--password", "guess"]);
    assert_ends(&wrong, 6, "");
    let wrong = run(&["history", "--user", "bob", "--password", "guess", "alice"]);
    assert_ends(&wrong, 6, "");
}

#[test]
fn listen_prints_what_comes_and_what_came_meanwhile() {
    let stage = Stage::new();
    let mut bob = stage.start(&["listen", "--user", "bob", "--json", "--all"]);
    let mut heard = lines(&mut bob);
    let online = std::iter::from_fn(|| Some(next(&mut heard)));
    assert!(online.into_iter().any(|it| it["kind"] == "connection" && it["online"] == true));
    assert_ends(&stage.run(&["send", "--user", "alice", "bob", "hi \u{9b}31m"]), 0, "");
    let message = std::iter::from_fn(|| Some(next(&mut heard))).find(|it| it["kind"] == "message");
    let message = message.expect("the stream has no end");
    assert_eq!((&message["from"], &message["body"]), (&"alice".into(), &"hi \u{9b}31m".into()));
    let pid = bob.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill").success());
    assert_eq!(bob.wait().expect("ended").code(), Some(0));

    // While nobody listens.
    assert_ends(&stage.run(&["send", "--user", "alice", "bob", "one\u{1b}[2J"]), 0, "");
    assert_ends(&stage.run(&["send", "--user", "carol", "bob", "two"]), 0, "");
    let output = stage.run(&["listen", "--user", "bob", "alice", "--count", "1"]);
    assert_eq!(output.status.code(), Some(0));
    let line = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(line.ends_with(" alice~bob 2 alice: one␛[2J\n"), "{line}");
}

#[test]
fn a_reader_that_has_seen_enough_ends_listen_well() {
    let stage = Stage::new();
    let mut bob = stage.start(&["listen", "--user", "bob"]);
    let (mut out, mut error) =
        (bob.stdout.take().expect("piped"), bob.stderr.take().expect("piped"));
    assert_ends(
        &stage.run(&["send", "--user", "alice", "bob", "one", "--wait", "delivered"]),
        0,
        "",
    );
    let mut first = [0];
    out.read_exact(&mut first).expect("a line begins");
    drop(out);
    assert_ends(&stage.run(&["send", "--user", "alice", "bob", "two"]), 0, "");
    assert_eq!(bob.wait().expect("ended").code(), Some(0));
    let mut told = String::new();
    error.read_to_string(&mut told).expect("UTF-8");
    assert_eq!(told, "");
    // What could not be printed was not acknowledged.
    let again = stage.run(&["listen", "--user", "bob", "--count", "1"]);
    assert!(String::from_utf8_lossy(&again.stdout).contains("alice: two"), "{again:?}");
}

#[test]
fn history_is_read_back_page_by_page() {
    let stage = Stage::new();
    for count in 1..=130 {
        let text = format!("message {count}");
        let sent = stage.server.publish("alice", "users/bob/send", &text, &[]);
        assert!(sent.status.success());
    }
    let seqs = |arguments: &[&str]| {
        let base = ["history", "--user", "bob", "alice", "--json"];
        let output = stage.run(&[&base, arguments].concat());
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        let lines = String::from_utf8(output.stdout).expect("UTF-8");
        let seq = |line: &str| serde_json::from_str::<Value>(line).expect("JSON")["seq"].as_u64();
        lines.lines().filter_map(seq).collect::<Vec<_>>()
    };
    assert_eq!(seqs(&[]), (81..=130).collect::<Vec<_>>());
    assert_eq!(seqs(&["--limit", "120"]), (11..=130).collect::<Vec<_>>());
    assert_eq!(seqs(&["--before", "4"]), [1, 2, 3]);
    let output = stage.run(&["history", "--user", "mallory", "alice~bob"]);
    assert_eq!(output.status.code(), Some(6));
}
