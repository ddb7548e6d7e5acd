//! Conversations with clients that are not ours: mosquitto's, paho's, rumqttc.

mod support;

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rumqttc::{Client, Event, MqttOptions, Packet, QoS};
use serde_json::Value;
use support::{Server, asyncapi, err, out, run};

const ID: &str = "0193a5f0-1c2b-7d3e-8f4a-5b6c7d8e9f00";

fn lines(text: &str) -> Vec<Value> {
    let heard = text.lines().inspect(|line| asyncapi::heard_line(line, None));
    heard.map(|line| serde_json::from_str(line).expect(line)).collect()
}

/// What `mosquitto_sub` gets: `count` messages of `topic`.
fn subscribe(
    server: &Server,
    user: &str,
    device: &str,
    topic: &str,
    count: u32,
    more: &[&str],
) -> Vec<Value> {
    let mut command = server.mosquitto("mosquitto_sub", user, device);
    command.args(["-q", "1", "-t", topic, "-C", &count.to_string(), "-W", "25"]).args(more);
    let output = run(&mut command);
    assert!(output.status.success(), "{command:?}: {}{}", out(&output), err(&output));
    lines(&out(&output))
}

#[test]
fn a_conversation_survives_kill_9() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut server = Server::start(dir.path());
    assert!(server.publish("alice", "users/bob/send", "hi bob", &[]).status.success());
    server.kill();
    let mut server = Server::start(dir.path());
    // Bob was never there before: his first contact finds what waits.
    let got = subscribe(&server, "bob", "bob-phone", "chats/+/messages", 1, &["-c"]);
    assert_eq!((&got[0]["seq"], &got[0]["body"]), (&Value::from(1), &Value::from("hi bob")));
    assert!(server.publish("bob", "chats/alice~bob/read", "1", &[]).status.success());
    server.kill();
    let server = Server::start(dir.path());
    // Alice was off line all the time; blue ticks wait for her.
    let got = subscribe(&server, "alice", "alice-phone", "chats/+/receipts", 1, &[]);
    assert_eq!(got[0]["user"], "bob");
    assert_eq!((&got[0]["delivered"], &got[0]["read"]), (&Value::from(1), &Value::from(1)));
    assert_eq!(server.terminate(), Some(0));
}

#[test]
fn a_message_id_never_makes_a_second_message() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut server = Server::start(dir.path());
    let topic = format!("users/bob/send/{}", ID.to_uppercase());
    assert!(server.publish("alice", &topic, "once", &[]).status.success());
    assert!(server.publish("alice", &topic, "another body", &["-V", "5"]).status.success());
    server.kill();
    let server = Server::start(dir.path());
    assert!(server.publish("alice", &topic, "once", &[]).status.success());
    let property = ["-V", "5", "-D", "PUBLISH", "user-property", "id", ID];
    assert!(server.publish("alice", "chats/alice~bob/send", "once", &property).status.success());
    assert!(server.publish("alice", "users/bob/send", "the end", &[]).status.success());
    let got = subscribe(&server, "bob", "b", "chats/+/messages", 2, &[]);
    assert_eq!((&got[0]["id"], &got[0]["body"]), (&Value::from(ID), &Value::from("once")));
    assert_eq!((&got[1]["seq"], &got[1]["body"]), (&Value::from(2), &Value::from("the end")));
}

#[test]
fn every_form_of_sending() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path());
    let json =
        r#"{"type":"text/markdown","body":"*hi*","reply_to":1,"mentions":["bob"],"ttl_s":3600}"#;
    let v5 = [
        "-V",
        "5",
        "-D",
        "PUBLISH",
        "content-type",
        "text/html",
        "-D",
        "PUBLISH",
        "user-property",
        "reply_to",
        "1",
        "-D",
        "PUBLISH",
        "user-property",
        "mention",
        "bob",
        "-D",
        "PUBLISH",
        "message-expiry-interval",
        "60",
    ];
    assert!(server.publish("alice", "chats/alice~bob/send", "plain", &[]).status.success());
    assert!(server.publish("alice", "chats/alice~bob/send.json", json, &[]).status.success());
    assert!(server.publish("alice", "users/bob/send", "<b>hi</b>", &v5).status.success());
    let binary = dir.path().join("binary");
    std::fs::write(&binary, [0xFF, 0x00, 0xFE]).expect("written");
    let mut command = server.mosquitto("mosquitto_pub", "alice", "a");
    command.args(["-q", "2", "-t", "users/bob/send", "-f"]).arg(&binary);
    assert!(run(&mut command).status.success());
    let got = subscribe(&server, "bob", "b", "chats/alice~bob/messages", 4, &["-V", "5"]);
    assert_eq!(
        (&got[0]["type"], &got[0]["body"]),
        (&Value::from("text/plain"), &Value::from("plain"))
    );
    assert_eq!(got[1]["type"], "text/markdown");
    assert_eq!(
        (&got[1]["reply_to"], &got[1]["mentions"]),
        (&Value::from(1), &serde_json::json!(["bob"]))
    );
    assert!(got[1]["expires_at"].as_u64() > got[1]["at"].as_u64());
    assert_eq!(
        (&got[2]["type"], &got[2]["reply_to"]),
        (&Value::from("text/html"), &Value::from(1))
    );
    assert_eq!(got[3]["type"], "application/octet-stream");
    assert_eq!(got[3]["body_base64"], "/wD+");
}

#[test]
fn the_sender_is_told_where_his_message_is() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path());
    let (client, mut connection) = rumqttc_client(&server, "alice", "a1");
    client.subscribe("me/acks", QoS::AtLeastOnce).expect("asked");
    client.publish(format!("users/bob/send/{ID}"), QoS::AtLeastOnce, false, "x").expect("asked");
    client.publish(format!("users/bob/send/{ID}"), QoS::AtLeastOnce, false, "x").expect("asked");
    let mut acks = Vec::new();
    let mut order = Vec::new();
    for event in connection.iter() {
        match event.expect("connected") {
            Event::Incoming(Packet::PubAck(_)) => order.push('p'),
            Event::Incoming(Packet::Publish(publish)) => {
                order.push('a');
                asyncapi::heard(&publish.topic, &publish.payload);
                acks.push(serde_json::from_slice::<Value>(&publish.payload).expect("JSON"));
            }
            _ => continue,
        }
        if acks.len() == 2 {
            break;
        }
    }
    assert_eq!(order, ['p', 'a', 'p', 'a'], "each right after its PUBACK");
    assert_eq!((&acks[0]["seq"], &acks[0]["duplicate"]), (&Value::from(1), &Value::from(false)));
    assert_eq!((&acks[1]["seq"], &acks[1]["duplicate"]), (&Value::from(1), &Value::from(true)));
}

#[test]
fn what_is_refused_is_told_in_both_versions() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path());
    assert!(server.publish("alice", "users/bob/send", "hi", &[]).status.success());
    // MQTT 5: a reason code. Not a member and no such chat are the same answer.
    for (topic, body, code) in [
        ("chats/alice~bob/send", "x", 135),
        ("chats/alice~carol/send", "x", 135),
        ("chats/g-000000000000/send", "x", 135),
        ("chats/alice~bob/read", "1", 135),
        ("chats/bob~alice/send", "x", 144),
        ("chats/alice~bob/nothing", "x", 144),
        ("users/Bob/send", "x", 144),
        ("$SYS/x", "x", 144),
    ] {
        let output = server.publish("mallory", topic, body, &["-V", "5", "-d"]);
        let text = out(&output) + &err(&output);
        assert!(text.contains(&format!("RC:{code}")), "{topic}: {text}");
    }
    let output = server.publish("alice", "chats/alice~bob/read", "one", &["-V", "5", "-d"]);
    assert!((out(&output) + &err(&output)).contains("RC:153"), "{output:?}");
    // MQTT 3.1.1: acknowledged, nothing stored, told on me/errors.
    let (client, mut connection) = rumqttc_client(&server, "mallory", "m1");
    client.subscribe("me/errors", QoS::AtMostOnce).expect("asked");
    client.publish("chats/alice~bob/send", QoS::AtLeastOnce, false, "intruder").expect("asked");
    let error = next_publish(&mut connection);
    assert_eq!(
        (&error["code"], &error["topic"]),
        (&Value::from(135), &Value::from("chats/alice~bob/send"))
    );
    // Nor may he listen; whether a chat exists makes no difference.
    for version in ["311", "5"] {
        for topic in ["chats/alice~bob/messages", "chats/alice~zoe/messages", "chats/#", "users/#"]
        {
            let mut command = server.mosquitto("mosquitto_sub", "mallory", "m2");
            let output =
                run(command.args(["-V", version, "-q", "1", "-t", topic, "-W", "2", "-d"]));
            let text = out(&output) + &err(&output);
            assert!(text.contains("All subscription requests were denied"), "{topic}: {text}");
        }
    }
    // Wildcards of plain topics never reach into the server's.
    let mut command = server.mosquitto("mosquitto_sub", "mallory", "m3");
    command.args(["-q", "1", "-t", "#", "-t", "+/+/messages", "-C", "1", "-W", "25"]);
    command.stdout(std::process::Stdio::piped());
    let listener = command.spawn().expect("it starts");
    let got = subscribe(&server, "bob", "b", "chats/+/messages", 1, &[]);
    assert_eq!(got[0]["body"], "hi", "the intruder's message is not there");
    // 16: no subscribers yet. It ends by itself in any case (-W).
    let told = |server: &Server| {
        let output = server.publish("bob", "plain/topic", "for all", &["-V", "5", "-d"]);
        !out(&output).contains("RC:16")
    };
    let started = std::time::Instant::now();
    while !told(&server) && started.elapsed() < support::PATIENCE {}
    let heard = out(&listener.wait_with_output().expect("it ends"));
    assert_eq!(heard.trim(), "for all");
}

#[test]
fn each_device_gets_everything_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path());
    // Two persistent devices that are off line when the messages are sent.
    for device in ["phone", "tablet"] {
        let mut command = server.mosquitto("mosquitto_sub", "bob", device);
        command.args(["-c", "-q", "1", "-t", "chats/+/messages", "-E"]);
        assert!(run(&mut command).status.success());
    }
    for n in 1..=30 {
        assert!(server.publish("alice", "users/bob/send", &n.to_string(), &[]).status.success());
    }
    for device in ["phone", "tablet"] {
        let got = subscribe(&server, "bob", device, "chats/+/messages", 30, &["-c"]);
        let seqs: Vec<_> = got.iter().map(|message| message["seq"].as_u64()).collect();
        assert_eq!(seqs, (1..=30).map(Some).collect::<Vec<_>>(), "{device}");
    }
}

#[test]
fn a_retransmission_without_an_id_is_recognised_across_a_restart() {
    use std::io::{Read as _, Write as _};
    let dir = tempfile::tempdir().expect("a folder");
    let mut server = Server::start(dir.path());
    // A persistent session of MQTT 3.1.1 by hand: CONNECT, PUBLISH with packet id 7.
    let connect = b"\x10\x14\x00\x04MQTT\x04\x80\x00\x00\x00\x01d\x00\x05alice";
    let publish = |dup: u8| {
        let mut packet = vec![0x32 | (dup << 3), 20, 0, 14];
        packet.extend(b"users/bob/send\x00\x07hi");
        packet
    };
    for (dup, session_present) in [(0, 0), (1, 1)] {
        let mut stream = server.connect();
        stream.write_all(connect).expect("sent");
        stream.write_all(&publish(dup)).expect("sent");
        let mut answer = [0; 8];
        stream.read_exact(&mut answer).expect("answered");
        assert_eq!(answer, [0x20, 2, session_present, 0, 0x40, 2, 0, 7]);
        server.kill();
        server = Server::start(dir.path());
    }
    assert!(server.publish("alice", "users/bob/send", "next", &[]).status.success());
    let got = subscribe(&server, "bob", "b", "chats/+/messages", 2, &[]);
    assert_eq!((&got[0]["body"], &got[1]["body"]), (&Value::from("hi"), &Value::from("next")));
}

#[test]
fn a_group_converses_with_mosquittos_tools_alone() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/group.sh");
    let (ip, port) = (server.address().ip().to_string(), server.address().port().to_string());
    let output = run(Command::new("bash").arg(script).args([ip, port]));
    assert!(output.status.success(), "{}{}", out(&output), err(&output));
    for line in out(&output).lines().filter(|line| line.starts_with('{')) {
        asyncapi::heard_line(line, None);
    }
    let last = out(&output).lines().last().unwrap_or_default().to_owned();
    let info: Value = serde_json::from_str(&last).expect("an answer");
    let read: Vec<_> = info["ok"]["members"]
        .as_array()
        .expect("members")
        .iter()
        .map(|member| (member["role"].as_str().unwrap_or_default(), member["read"].as_u64()))
        .collect();
    assert_eq!(read, [("owner", Some(0)), ("member", Some(4)), ("member", Some(4))], "{last}");
}

/// A member who types is heard at once by those who look, and falls silent by himself.
#[test]
fn typing_is_heard_and_ends_by_itself() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path());
    assert!(server.publish("alice", "users/bob/send", "hi", &[]).status.success());
    let (bob, mut of_bob) = rumqttc_client(&server, "bob", "bob-phone");
    bob.subscribe("chats/+/typing", QoS::AtMostOnce).expect("queued");
    bob.subscribe("me/errors", QoS::AtMostOnce).expect("queued");
    for _ in 0..2 {
        of_bob
            .iter()
            .find(|event| matches!(event, Ok(Event::Incoming(Packet::SubAck(_)))))
            .expect("subscribed")
            .expect("no error");
    }
    let mut typing = server.mosquitto("mosquitto_pub", "alice", "alice-phone");
    typing.args(["-q", "0", "-t", "chats/alice~bob/typing", "-m", "1"]);
    let started = Instant::now();
    assert!(run(&mut typing).status.success());
    let told =
        |typing: bool| serde_json::json!({"chat":"alice~bob","user":"alice","typing":typing});
    assert_eq!(next_publish(&mut of_bob), told(true));
    assert_eq!(next_publish(&mut of_bob), told(false));
    assert!(started.elapsed() >= Duration::from_millis(5_900), "not before it is over");
    // He is not told of himself, and what is no typing is refused.
    bob.publish("chats/alice~bob/typing", QoS::AtMostOnce, false, "1").expect("queued");
    bob.publish("chats/alice~bob/typing", QoS::AtMostOnce, false, "yes").expect("queued");
    assert_eq!(next_publish(&mut of_bob)["code"], 0x99);
    let output = server.publish("mallory", "chats/alice~bob/typing", "1", &["-V", "5"]);
    assert!(err(&output).contains("Not authorized"), "{}", err(&output));
    let filter = "chats/alice~bob/typing";
    let mut command = server.mosquitto("mosquitto_sub", "mallory", "m");
    let output = run(command.args(["-t", filter, "-W", "5"]));
    assert!(err(&output).contains("denied"), "{}", err(&output));
}

/// A script of `tests/paho/`, to be run against the server.
fn paho(server: &Server, script: &str) -> Command {
    let python = std::env::var("BLUETICK_TEST_PYTHON").unwrap_or_else(|_| {
        panic!("BLUETICK_TEST_PYTHON names no Python with paho-mqtt; run `make test`")
    });
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/paho").join(script);
    let mut command = Command::new(python);
    let (ip, port) = (server.address().ip().to_string(), server.address().port().to_string());
    command.arg(script).args([ip, port]);
    command
}

/// MQTT 3.1.1: [MQTT-7.0.0-2].
#[test]
fn paho_converses() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path());
    let output = run(&mut paho(&server, "conversation.py"));
    assert!(output.status.success(), "{}{}", out(&output), err(&output));
    assert_eq!(out(&output).lines().last(), Some("all ticks seen"), "{}", out(&output));
}

#[test]
fn paho_has_groups_and_what_belongs_to_them() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path());
    let output = run(&mut paho(&server, "groups.py"));
    assert!(output.status.success(), "{}{}", out(&output), err(&output));
    assert_eq!(out(&output).lines().last(), Some("all of it"), "{}", out(&output));
}

#[test]
fn paho_hears_what_only_mqtt_5_can_say_and_the_servers_goodbye() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path());
    let mut command = paho(&server, "properties.py");
    let mut script =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    let mut stdout = BufReader::new(script.stdout.take().expect("its output"));
    let mut said = String::new();
    while !said.ends_with("waiting for the end\n") && stdout.read_line(&mut said).expect("text") > 0
    {
    }
    assert_eq!(server.terminate(), Some(0));
    stdout.read_to_string(&mut said).expect("text");
    let output = script.wait_with_output().expect("its end");
    assert!(output.status.success(), "{said}{}", err(&output));
    assert_eq!(said.lines().last(), Some("all said"), "{said}");
}

fn rumqttc_client(server: &Server, user: &str, device: &str) -> (Client, rumqttc::Connection) {
    let address = server.address();
    let mut options = MqttOptions::new(device, address.ip().to_string(), address.port());
    options.set_credentials(user, "").set_keep_alive(Duration::from_secs(30));
    Client::new(options, 16)
}

fn next_publish(connection: &mut rumqttc::Connection) -> Value {
    for event in connection.iter() {
        if let Event::Incoming(Packet::Publish(publish)) = event.expect("connected") {
            asyncapi::heard(&publish.topic, &publish.payload);
            return serde_json::from_slice(&publish.payload).expect("JSON");
        }
    }
    unreachable!("the connection's iterator has no end")
}
