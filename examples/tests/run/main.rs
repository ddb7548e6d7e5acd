//! Every example is run, against the real server.

mod program;

use std::io::Write as _;
use std::net::TcpListener;
use std::process::Command;

use program::{Program, Server, example};

#[test]
fn hello() {
    let server = Server::start();
    let mut hello = Program::start(example("hello").arg(server.url()));
    for said in ["stored with seq 1", "bob got: hello, bob", "read by bob"] {
        hello.wait_for(said);
    }
    assert!(hello.ends_well());
}

#[test]
fn echo_bot() {
    let server = Server::start();
    let outbox = server.path("echo.outbox");
    let bot = || Program::start(example("echo_bot").arg(server.url()).arg("echo").arg(&outbox));
    let running = bot();
    let mut alice = server.listen("alice");
    server.send("alice", "users/echo/send", "one");
    alice.wait_for(r#""body":"echo: one","reply_to":1"#);
    // What comes while it is dead waits for it.
    drop(running);
    server.send("alice", "users/echo/send", "two");
    let _running = bot();
    alice.wait_for(r#""body":"echo: two","reply_to":3"#);
}

#[test]
fn group_chat() {
    let server = Server::start();
    let mut group = Program::start(example("group_chat").arg(server.url()));
    for said in [
        "ben sees:",
        "ada made it: ada, ben",
        "ada: who brings the bread?",
        "ada added cleo",
        "cleo sees:",
        "ada added cleo",
        "ben calls it Picnic, Sunday",
        "ben: I do",
        "Picnic, Sunday has 3 members",
    ] {
        group.wait_for(said);
    }
    assert!(group.ends_well());
}

#[test]
fn bridge_webhook() {
    let server = Server::start();
    let http = TcpListener::bind("127.0.0.1:0").expect("a port");
    let webhook = format!("http://{}/hook", http.local_addr().expect("an address"));
    let arguments = [server.url(), "archive".to_owned(), webhook];
    let mut bridge = Program::start(example("bridge_webhook").args(arguments));
    server.send("alice", "users/archive/send", "keep this");
    // It fails at first, and is asked again, with the same key.
    for status in ["503 Service Unavailable", "200 OK"] {
        let (mut stream, _) = http.accept().expect("a request");
        let request = read_request(&mut stream);
        assert!(request.contains("alice~archive:1"), "{request}");
        assert!(request.contains(r#""text":"keep this""#), "{request}");
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        stream.write_all(answer.as_bytes()).expect("answered");
    }
    bridge.wait_for("alice~archive:1 delivered");
}

/// A whole request with a JSON object as its body.
fn read_request(stream: &mut impl std::io::Read) -> String {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    while !bytes.ends_with(b"}") {
        let count = stream.read(&mut chunk).expect("a request");
        assert!(count > 0, "it broke off");
        bytes.extend_from_slice(&chunk[..count]);
    }
    String::from_utf8(bytes).expect("text")
}

#[test]
fn sensor_alerts() {
    let server = Server::start();
    let mut alice = server.listen("alice");
    // A direct chat is as good as a group.
    server.send("alice", "users/sensor/send", "limit 30");
    let (host, port) = server.place();
    let mut command = example("sensor_alerts");
    let mut sensor = Program::start(command.args([host.as_str(), &port, "sensor", "alice~sensor"]));
    alice.wait_for("the limit is 30 now");
    sensor.tell("20.5\n31\n32\n");
    alice.wait_for("31 is above 30");
    server.send("alice", "users/sensor/send", "now");
    alice.wait_for(r#""body":"32""#);
    sensor.tell("12\n");
    alice.wait_for("12 is fine again");
}

#[test]
fn mosquitto() {
    let server = Server::start();
    let (host, port) = server.place();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/mosquitto.sh");
    let mut command = Command::new("bash");
    let mut script = Program::start(command.args([script, &host, &port]));
    for said in [
        r#""seq":1,"#,
        r#""duplicate":true"#,
        r#""body":"are you there?""#,
        r#""delivered":1,"read":0"#,
        r#""delivered":1,"read":1"#,
    ] {
        script.wait_for(said);
    }
    assert!(script.ends_well());
}

/// Alice and Bob, each with the same program of another language.
fn chat(alice: &mut Command, bob: &mut Command) {
    let mut alice = Program::start(alice);
    alice.wait_for("online");
    alice.tell("hi bob\n");
    alice.wait_for("✓ 1");
    let mut bob = Program::start(bob);
    bob.wait_for("alice: hi bob");
    alice.wait_for("✓✓ bob has got 1 and read 1");
    bob.tell("hi alice\n");
    bob.wait_for("✓ 2");
    alice.wait_for("bob: hi alice");
    bob.wait_for("✓✓ alice has got 2 and read 2");
    bob.end_input();
    assert!(bob.ends_well());
}

#[test]
fn python() {
    let server = Server::start();
    let (host, port) = server.place();
    let python = std::env::var_os("BLUETICK_TEST_PYTHON").unwrap_or_else(|| "python3".into());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/chat.py");
    let program = |user, peer| {
        let mut command = Command::new(&python);
        command.args([script, &host, &port, user, peer]);
        command
    };
    chat(&mut program("alice", "bob"), &mut program("bob", "alice"));
}

#[test]
fn javascript() {
    let server = Server::start();
    let (host, port) = server.place();
    let home = std::env::var_os("BLUETICK_TEST_NODE");
    let home = home.expect("`make test` installs MQTT.js and says where: BLUETICK_TEST_NODE");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/chat.mjs");
    let program = |user, peer| {
        let mut command = Command::new("node");
        command.args([script, &host, &port, user, peer]).env("NODE_HOME", &home);
        command
    };
    chat(&mut program("alice", "bob"), &mut program("bob", "alice"));
}
