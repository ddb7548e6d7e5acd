//! Plain topics, which have no meaning to the server: what is retained, shared and queued, over
//! real sockets and over `kill -9`.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Instant;

use support::{PATIENCE, Server, bluetick, err, out, run};

/// A server whose configuration has these values.
fn server_with(data_dir: &Path, values: &[(&str, &str)]) -> Server {
    let mut command = bluetick();
    command.args(["serve", "--log", "warn", "--dev", "--mqtt", "127.0.0.1:0", "--data-dir"]);
    command.arg(data_dir).envs(values.iter().copied());
    Server::spawn(&mut command, 1)
}

fn publish(server: &Server, topic: &str, body: &str, more: &[&str]) -> String {
    let mut command = server.mosquitto("mosquitto_pub", "alice", "alice-pub");
    command.args(["-V", "5", "-q", "1", "-d", "-t", topic, "-m", body]).args(more);
    let output = run(&mut command);
    assert!(output.status.success(), "{command:?}: {}", err(&output));
    out(&output)
}

/// What mosquitto_sub hears of a filter, `count` sorted lines of topic, retain flag and body.
fn hear(server: &Server, filter: &str, count: usize, more: &[&str]) -> Vec<String> {
    let mut command = server.mosquitto("mosquitto_sub", "bob", "bob-sub");
    command.args(["-V", "5", "-q", "2", "-F", "%t %r %p", "-W", "25", "-t", filter]);
    command.args(["-C", &count.to_string()]).args(more);
    let output = run(&mut command);
    assert!(output.status.success(), "{command:?}: {}{}", out(&output), err(&output));
    let mut lines: Vec<_> = out(&output).lines().map(str::to_owned).collect();
    // A client has what came at QoS 2 later than what came with it.
    lines.sort();
    lines
}

/// Makes a persistent session that is subscribed and goes off line.
fn subscribed(server: &Server, user: &str, filter: &str, qos: &str) {
    let mut command = server.mosquitto("mosquitto_sub", user, "phone");
    command.args(["-c", "-q", qos, "-t", filter, "-E"]);
    assert!(run(&mut command).status.success());
}

/// What waits for that session: `count` bodies.
fn waiting(server: &Server, user: &str, filter: &str, qos: &str, count: usize) -> Vec<String> {
    let mut command = server.mosquitto("mosquitto_sub", user, "phone");
    command.args(["-c", "-q", qos, "-t", filter, "-W", "25", "-C", &count.to_string()]);
    let output = run(&mut command);
    assert!(output.status.success(), "{}{}", out(&output), err(&output));
    out(&output).lines().map(str::to_owned).collect()
}

#[test]
fn the_newest_of_a_topic_is_retained_over_kill_9() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut server = Server::start(dir.path());
    publish(&server, "room/1", "old", &["-r"]);
    publish(&server, "room/1", "new", &["-r", "-q", "2"]);
    publish(&server, "room/2", "gone", &["-r"]);
    publish(&server, "room/2", "", &["-r"]);
    publish(&server, "room/3/lamp", "on", &["-r", "-q", "1"]);
    publish(&server, "room/4", "passed by", &[]);
    let expected = ["room/1 1 new", "room/3/lamp 1 on"];
    assert_eq!(hear(&server, "room/#", 2, &[]), expected);
    server.kill();
    let server = Server::start(dir.path());
    assert_eq!(hear(&server, "room/#", 2, &[]), expected);
    assert_eq!(hear(&server, "room/+", 1, &[]), expected[..1]);
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn a_will_may_be_retained() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path());
    let mut command = by_line(&server, "alice", "a");
    command.args(["-t", "x", "--will-topic", "status/a", "--will-payload", "gone"]);
    let child = command.args(["--will-retain", "--will-qos", "1"]).stdout(Stdio::piped());
    let mut child = child.arg("-d").spawn().expect("it runs");
    await_line(&mut child, "SUBACK");
    child.kill().expect("killed");
    child.wait().expect("ended");
    assert_eq!(hear(&server, "status/a", 1, &[]).len(), 1);
}

/// A mosquitto_sub that does not hold back what it says.
fn by_line(server: &Server, user: &str, device: &str) -> Command {
    let mut command = Command::new("stdbuf");
    command.args(["-oL", "mosquitto_sub"]);
    command.args(server.mosquitto("mosquitto_sub", user, device).get_args());
    command
}

/// Reads what a client says until a line has the text.
fn await_line(child: &mut Child, text: &str) -> BufReader<ChildStdout> {
    let mut stdout = BufReader::new(child.stdout.take().expect("its output"));
    let mut line = String::new();
    while !line.contains(text) {
        line.clear();
        assert!(stdout.read_line(&mut line).expect("text") > 0, "it ended before {text}");
    }
    stdout
}

#[test]
fn life_is_counted_down_and_ends() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut server = Server::start(dir.path());
    let expiry = |seconds| ["-r", "-D", "PUBLISH", "message-expiry-interval", seconds];
    publish(&server, "life/short", "x", &expiry("2"));
    publish(&server, "life/long", "x", &expiry("1000"));
    server.kill();
    let server = Server::start(dir.path());
    let started = Instant::now();
    loop {
        let mut command = server.mosquitto("mosquitto_sub", "bob", "b");
        command.args(["-V", "5", "-t", "life/#", "-F", "%t %E", "-W", "1"]);
        let heard = out(&run(&mut command));
        let long = heard.lines().find_map(|line| line.strip_prefix("life/long "));
        let left: u32 = long.expect("it lives").parse().expect("a number");
        assert!((900..=1000).contains(&left), "{left}");
        if !heard.contains("life/short") {
            assert!(left < 1000, "counted down");
            break;
        }
        assert!(started.elapsed() < PATIENCE, "it does not end: {heard}");
    }
}

/// MQTT 5 §3.8.3.1.
#[test]
fn retain_handling_and_retain_as_published() {
    const NOT_IF_RENEWED: u8 = 0x10;
    const NEVER: u8 = 0x20;
    const AS_PUBLISHED: u8 = 0x08;
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path());
    publish(&server, "t", "first", &["-r"]);
    let (mut bob, _) = Raw::connect(&server, "bob");
    let subscribe = |bob: &mut Raw, options: u8| {
        bob.send(&[b"\x82\x07\x00\x01\x00\x00\x01t", &[options][..]].concat());
        assert_eq!(bob.next(), b"\x90\x00\x01\x00\x00");
    };
    let (retained, live) = (b"\x31\x00\x01t\x00first", b"\x30\x00\x01t\x00live");
    subscribe(&mut bob, NEVER);
    bob.is_silent();
    subscribe(&mut bob, NOT_IF_RENEWED);
    bob.is_silent();
    subscribe(&mut bob, 0);
    assert_eq!(bob.next(), retained);
    bob.send(b"\xA2\x06\x00\x02\x00\x00\x01t");
    assert_eq!(bob.next(), b"\xB0\x00\x02\x00\x00");
    subscribe(&mut bob, NOT_IF_RENEWED);
    assert_eq!(bob.next(), retained);
    publish(&server, "t", "live", &["-r"]);
    assert_eq!(bob.next(), live, "to those who are there it is like any other");
    subscribe(&mut bob, NEVER | AS_PUBLISHED);
    publish(&server, "t", "live", &["-r"]);
    assert_eq!(bob.next(), [b"\x31", &live[1..]].concat());
}

#[test]
fn a_member_of_a_share_that_dies_leaves_its_messages_to_the_others() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path());
    let member = |name: &str| {
        let mut command = by_line(&server, name, name);
        command.args(["-V", "5", "-q", "1", "-t", "$share/g/jobs/#", "-d", "-F", "> %p"]);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it runs");
        let stdout = await_line(&mut child, "SUBACK");
        (child, stdout)
    };
    let (mut first, mut first_said) = member("m1");
    let (mut second, mut second_said) = member("m2");
    let signal = |child: &Child, signal: &str| {
        let sent = Command::new("kill").args([signal, &child.id().to_string()]).status();
        assert!(sent.expect("kill runs").success());
    };
    for number in 0..10 {
        publish(&server, "jobs/a", &number.to_string(), &[]);
    }
    // From now on it takes messages and acknowledges none.
    signal(&first, "-STOP");
    for number in 10..30 {
        publish(&server, "jobs/a", &number.to_string(), &[]);
    }
    first.kill().expect("killed");
    first.wait().expect("ended");
    let mut said = String::new();
    first_said.read_to_string(&mut said).expect("text");
    let heard = |line: &str| line.strip_prefix("> ").and_then(|number| number.parse().ok());
    let mut numbers: Vec<u32> = said.lines().filter_map(heard).collect();
    assert!(!numbers.is_empty(), "it has its part while it lives");
    assert!(numbers.len() < 10, "and not all: {numbers:?}");
    while numbers.len() < 30 {
        let mut line = String::new();
        assert!(second_said.read_line(&mut line).expect("text") > 0);
        numbers.extend(heard(line.trim_end()));
    }
    second.kill().expect("killed");
    second.wait().expect("ended");
    numbers.sort_unstable();
    assert_eq!(numbers, (0..30).collect::<Vec<_>>());
}

#[test]
fn the_topics_of_chats_are_not_shared() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path());
    for filter in ["$share/g/chats/+/messages", "$share/g/me/acks", "$share/g/$x"] {
        let mut command = server.mosquitto("mosquitto_sub", "bob", "b");
        let output = run(command.args(["-V", "5", "-d", "-t", filter, "-W", "5"]));
        let text = out(&output) + &err(&output);
        assert!(text.contains("All subscription requests were denied"), "{filter}: {text}");
    }
}

#[test]
fn what_was_acknowledged_waits_over_kill_9() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut server = Server::start(dir.path());
    for qos in ["1", "2"] {
        let filter = format!("queue/{qos}");
        subscribed(&server, "bob", &filter, qos);
        for number in 0..20 {
            publish(&server, &filter, &number.to_string(), &["-q", qos]);
        }
        server.kill();
        server = Server::start(dir.path());
        let expected: Vec<_> = (0..20).map(|number| number.to_string()).collect();
        assert_eq!(waiting(&server, "bob", &filter, qos, 20), expected);
        // What was delivered is gone, and the subscription is not.
        assert_eq!(server.terminate(), Some(0));
        server = Server::start(dir.path());
        publish(&server, &filter, "next", &["-q", qos]);
        assert_eq!(waiting(&server, "bob", &filter, qos, 1), ["next"]);
    }
}

/// A client by hand: every byte at its time.
struct Raw(TcpStream);

impl Raw {
    /// Connects with MQTT 5, a session of 1000 s and no clean start; tells whether there was one.
    fn connect(server: &Server, user: &str) -> (Self, bool) {
        let mut raw = Self(server.connect());
        let mut body = b"\x00\x04MQTT\x05\x80\x00\x00\x05\x11\x00\x00\x03\xE8\x00\x03dev".to_vec();
        body.extend_from_slice(&[0, user.len() as u8]);
        body.extend_from_slice(user.as_bytes());
        raw.send(&[&[0x10, body.len() as u8], &body[..]].concat());
        let ack = raw.next();
        assert_eq!((ack[0], ack[2]), (0x20, 0), "{ack:?}");
        let present = ack[1] == 1;
        (raw, present)
    }

    fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).expect("sent");
    }

    /// The next packet: first byte and body.
    fn next(&mut self) -> Vec<u8> {
        let mut header = [0; 2];
        self.0.read_exact(&mut header).expect("a packet");
        assert!(header[1] < 128, "short");
        let mut body = vec![0; usize::from(header[1])];
        self.0.read_exact(&mut body).expect("all of it");
        [&header[..1], &body].concat()
    }

    /// Nothing more is on its way.
    fn is_silent(&mut self) {
        self.send(b"\xC0\x00");
        assert_eq!(self.next(), b"\xD0");
    }
}

#[test]
fn qos_2_is_exactly_once_over_kill_9() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut server = Server::start(dir.path());
    let (mut bob, present) = Raw::connect(&server, "bob");
    assert!(!present);
    bob.send(b"\x82\x07\x00\x01\x00\x00\x01t\x02");
    assert_eq!(bob.next(), b"\x90\x00\x01\x00\x02");
    let publish = b"\x34\x07\x00\x01t\x00\x07\x00x";
    let (mut alice, _) = Raw::connect(&server, "alice");
    alice.send(publish);
    assert_eq!(alice.next()[..3], *b"\x50\x00\x07", "PUBREC");
    let first = bob.next();
    assert_eq!((first[0], &first[1..4]), (0x34, &b"\x00\x01t"[..]));
    let id = [first[4], first[5]];
    server.kill();

    // Neither has heard of the other's last word: the message is sent again and is the same.
    let mut server = Server::start(dir.path());
    let (mut alice, present) = Raw::connect(&server, "alice");
    assert!(present);
    alice.send(&[b"\x3C", &publish[1..]].concat());
    assert_eq!(alice.next()[..3], *b"\x50\x00\x07", "PUBREC");
    let (mut bob, present) = Raw::connect(&server, "bob");
    assert!(present);
    let again = bob.next();
    assert_eq!((again[0], [again[4], again[5]]), (0x3C, id), "DUP, and its packet id");
    bob.is_silent();
    bob.send(&[0x50, 2, id[0], id[1]]);
    assert_eq!(bob.next()[..3], [0x62, id[0], id[1]], "PUBREL");
    server.kill();

    // He has it, and the server knows.
    let mut server = Server::start(dir.path());
    let (mut bob, _) = Raw::connect(&server, "bob");
    assert_eq!(bob.next()[..3], [0x62, id[0], id[1]], "PUBREL");
    bob.send(&[0x70, 2, id[0], id[1]]);
    bob.is_silent();
    let (mut alice, _) = Raw::connect(&server, "alice");
    alice.send(b"\x62\x02\x00\x07");
    assert_eq!(alice.next()[..3], *b"\x70\x00\x07", "PUBCOMP");
    server.kill();

    // The same packet id is another message now.
    let server = Server::start(dir.path());
    let (mut bob, _) = Raw::connect(&server, "bob");
    let (mut alice, _) = Raw::connect(&server, "alice");
    alice.send(publish);
    assert_eq!(alice.next()[..3], *b"\x50\x00\x07", "PUBREC");
    let next = bob.next();
    assert_eq!((next[0], next.last()), (0x34, Some(&b'x')));
}

#[test]
fn a_session_that_has_ended_is_gone_after_kill_9() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut server = Server::start(dir.path());
    subscribed(&server, "bob", "t", "1");
    publish(&server, "t", "before", &[]);
    let mut clean = server.mosquitto("mosquitto_sub", "bob", "phone");
    assert!(run(clean.args(["-t", "other", "-E"])).status.success());
    publish(&server, "t", "between", &[]);
    subscribed(&server, "bob", "t", "1");
    publish(&server, "t", "after", &[]);
    server.kill();
    let server = Server::start(dir.path());
    assert_eq!(waiting(&server, "bob", "t", "1", 1), ["after"]);
}

#[test]
fn limits_are_reached_and_told() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = server_with(
        dir.path(),
        &[
            ("BLUETICK_LIMITS__RETAINED_MESSAGES_MAX", "1"),
            ("BLUETICK_LIMITS__QUEUED_MESSAGES_MAX", "3"),
        ],
    );
    publish(&server, "one", "1", &["-r"]);
    assert!(publish(&server, "two", "2", &["-r"]).contains("RC:151"), "quota exceeded");
    publish(&server, "one", "in its place", &["-r"]);
    assert_eq!(hear(&server, "#", 1, &[]), ["one 1 in its place"]);
    subscribed(&server, "bob", "q", "1");
    for number in 0..5 {
        publish(&server, "q", &number.to_string(), &[]);
    }
    assert_eq!(waiting(&server, "bob", "q", "1", 3), ["0", "1", "2"]);
    publish(&server, "q", "5", &[]);
    assert_eq!(waiting(&server, "bob", "q", "1", 1), ["5"], "3 and 4 were dropped");
    let dropped = hear(&server, "$SYS/broker/publish/messages/dropped", 1, &[]);
    assert_eq!(dropped, ["$SYS/broker/publish/messages/dropped 1 2"]);
}

#[test]
fn figures_are_for_operators() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = server_with(dir.path(), &[("BLUETICK_PLAIN__OPERATORS", "bob")]);
    let version = hear(&server, "$SYS/broker/version", 1, &[]);
    assert!(version[0].starts_with("$SYS/broker/version 1 bluetick version "), "{version:?}");
    let all = hear(&server, "$SYS/#", 20, &[]);
    assert!(all.iter().any(|line| line.starts_with("$SYS/broker/clients/connected 1 ")), "{all:?}");
    let mut command = server.mosquitto("mosquitto_sub", "mallory", "m");
    let output = run(command.args(["-d", "-t", "$SYS/#", "-W", "5"]));
    assert!((out(&output) + &err(&output)).contains("All subscription requests were denied"));
}
