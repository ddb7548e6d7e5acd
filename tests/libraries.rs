//! Client libraries of other languages, each at a fixed version, as they come from their registries
//! (`make setup-test`); docs/clients.md says what else was tried.

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use support::{Server, err, out, run};

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

/// What `make setup-test` says where to find.
fn of_make(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is not set; run `make test`"))
}

/// Runs a script that says so in its last line if all is well.
fn passes(command: &mut Command) {
    let output = run(command);
    assert!(output.status.success(), "{command:?}: {}{}", out(&output), err(&output));
    assert_eq!(out(&output).lines().last(), Some("all of it"), "{command:?}: {}", out(&output));
}

fn python(server: &Server, name: &str) -> Command {
    let mut command = Command::new(of_make("BLUETICK_TEST_PYTHON"));
    let address = server.address();
    command.arg(script(name)).args([address.ip().to_string(), address.port().to_string()]);
    command
}

#[test]
fn paho_with_each_of_its_callback_versions() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path());
    passes(&mut python(&server, "paho/callbacks.py"));
}

/// Written for microcontrollers: 3.1.1, one packet at a time.
#[test]
fn minimqtt_reports_and_takes_commands() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path());
    passes(&mut python(&server, "minimqtt/thing.py"));
}

#[test]
fn mqttjs_over_tcp_and_websocket() {
    let dir = tempfile::tempdir().expect("a folder");
    let flags = ["--dev", "--mqtt", "127.0.0.1:0", "--ws", "127.0.0.1:0"];
    let server = Server::start_with(dir.path(), &flags);
    let (tcp, websocket) = (server.listener("mqtt"), server.listener("ws"));
    for url in [format!("mqtt://{tcp}"), format!("ws://{websocket}/")] {
        for version in ["4", "5"] {
            let mut node = Command::new("node");
            node.env("BLUETICK_TEST_NODE", of_make("BLUETICK_TEST_NODE"));
            passes(node.arg(script("mqttjs/conversation.mjs")).args([&url, version]));
        }
    }
}

/// What a public interoperability suite looks at, in our own words.
#[test]
fn interoperability_as_paho_sees_it() {
    let dir = tempfile::tempdir().expect("a folder");
    // It asks for 120 s of keep-alive and wants to be told of fewer.
    let mut command = support::bluetick();
    command.args(["serve", "--log", "warn", "--dev", "--mqtt", "127.0.0.1:0", "--data-dir"]);
    command.arg(dir.path()).env("BLUETICK_LIMITS__KEEP_ALIVE_S_MAX", "60");
    let rules = ["allow all * interop/#", "allow publish * $interop/#"].join(",");
    command.env("BLUETICK_ACCESS__RULES", rules);
    let server = Server::spawn(&mut command, 1);
    passes(&mut python(&server, "paho/interop.py"));
}
