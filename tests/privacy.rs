//! What one user keeps from another: blocks, read receipts off, removed devices.

mod support;

use serde_json::{Value, json};
use support::listener::Listener;
use support::{Server, err};

fn ok() -> Value {
    json!({"ok": {}})
}

fn chats(of: &mut Listener) -> Value {
    of.request("chats.list", "{}")["ok"]["chats"].clone()
}

/// A blocked sender gets his tick, and the same answers as ever; the blocker gets nothing.
#[test]
fn one_who_is_blocked_cannot_tell() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path());
    let mut alice = Listener::connect(&server, "alice", "phone");
    let mut bob = Listener::connect(&server, "bob", "phone");
    // Before the first message: it holds, and there is no chat to be seen.
    assert_eq!(bob.request("users.block", r#"{"user":"alice"}"#), ok());
    assert_eq!(chats(&mut bob), json!([]));
    assert_eq!(chats(&mut alice), json!([]));
    for filter in ["chats/alice~bob/messages", "chats/alice~bob/typing", "users/bob/presence"] {
        assert!(!alice.subscribe(filter), "there is no chat yet: {filter}");
    }
    let info = alice.request("chats.info", r#"{"chat":"alice~bob"}"#);
    assert_eq!(info, alice.request("chats.info", r#"{"chat":"alice~nobody"}"#));

    assert!(bob.subscribe("chats/+/messages"));
    assert!(bob.subscribe("chats/+/typing"));
    assert!(alice.subscribe("me/acks"));
    assert!(alice.subscribe("chats/+/receipts"));
    alice.publish("users/bob/send", "hello?");
    let (_, ack) = alice.next();
    assert_eq!((&ack["seq"], &ack["duplicate"]), (&json!(1), &json!(false)));
    alice.publish("chats/alice~bob/typing", "1");
    alice.publish("chats/alice~bob/edit/1", "hello, bob?");
    assert_eq!(alice.next().1["seq"], 2);
    // His own devices have it; the other's list has the chat, and nothing of what is in it.
    let of_alice = chats(&mut alice);
    assert_eq!(of_alice[0]["last"]["body"], "hello, bob?");
    let of_bob = chats(&mut bob);
    assert_eq!((&of_bob[0]["unread"], &of_bob[0].get("last")), (&json!(0), &None));
    let history = r#"{"chat":"alice~bob"}"#;
    assert_eq!(bob.request("chats.history", history), json!({"ok": {"messages": []}}));
    let messages = alice.request("chats.history", history)["ok"]["messages"].clone();
    assert_eq!(messages[0]["body"], "hello, bob?");
    // What he says is delivered; how far he got is not told.
    bob.publish("users/alice/send", "not to you");
    assert_eq!(bob.next().1["seq"], 3);
    bob.publish("chats/alice~bob/read", "3");
    let info = alice.request("chats.info", r#"{"chat":"alice~bob"}"#);
    let members = info["ok"]["members"].as_array().expect("two");
    let of_bob = members.iter().find(|member| member["user"] == "bob").expect("bob");
    assert_eq!((&of_bob["delivered"], &of_bob["read"]), (&json!(0), &json!(0)));

    assert_eq!(bob.request("users.unblock", r#"{"user":"alice"}"#), ok());
    alice.publish("users/bob/send", "and now?");
    assert_eq!(alice.next().1["seq"], 4);
    let (_, message) = bob.next();
    assert_eq!((&message["seq"], &message["body"]), (&json!(4), &json!("and now?")));
    assert!(message.get("after").is_none(), "he had 3 before");
    // No typing of the blocked time came, and receipts go on.
    let (_, receipt) = alice.next();
    assert_eq!((&receipt["user"], &receipt["delivered"]), (&json!("bob"), &json!(4)));
}

#[test]
fn read_receipts_are_off_in_both_directions() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path());
    let mut alice = Listener::connect(&server, "alice", "phone");
    let mut bob = Listener::connect(&server, "bob", "phone");
    assert_eq!(bob.request("privacy.set", r#"{"receipts":false}"#), ok());
    for device in [&mut alice, &mut bob] {
        assert!(device.subscribe("chats/+/messages"));
        assert!(device.subscribe("chats/+/receipts"));
    }
    alice.publish("users/bob/send", "read this");
    assert_eq!(alice.next().1["seq"], 1);
    assert_eq!(bob.next().1["seq"], 1);
    let receipt = alice.next().1;
    assert_eq!((&receipt["delivered"], &receipt["read"]), (&json!(1), &json!(0)));
    // His other devices know, nobody else.
    let mut tablet = Listener::connect(&server, "bob", "tablet");
    assert!(tablet.subscribe("chats/+/receipts"));
    bob.publish("chats/alice~bob/read", "1");
    for device in [&mut bob, &mut tablet] {
        let own = device.next().1;
        assert_eq!((&own["user"], &own["read"]), (&json!("bob"), &json!(1)));
    }
    bob.publish("users/alice/send", "what did you say?");
    let next = alice.next();
    assert_eq!(next.1["seq"], 2, "and no receipt before it: {next:?}");
    // Nor is he told what she has read: that she got it is all. It may come before his message.
    let heard = [bob.next().1, bob.next().1];
    assert!(heard.iter().any(|heard| heard["seq"] == 2), "{heard:?}");
    let receipt =
        heard.iter().find(|heard| heard["user"] == "alice").unwrap_or_else(|| panic!("{heard:?}"));
    assert_eq!((&receipt["delivered"], &receipt["read"]), (&json!(2), &json!(0)));
    alice.publish("chats/alice~bob/read", "2");
    assert_eq!(alice.next().1["read"], 2);
    let info = bob.request("chats.info", r#"{"chat":"alice~bob"}"#)["ok"]["members"].clone();
    let read: Vec<_> = info.as_array().expect("two").iter().map(|of| &of["read"]).collect();
    assert_eq!(read, [&json!(0), &json!(1)], "alice's, and his own");
    assert_eq!(bob.request("privacy.set", r#"{"receipts":true}"#), ok());
    bob.publish("chats/alice~bob/read", "2");
    assert_eq!(bob.next().1["read"], 2);
}

#[test]
fn a_removed_device_is_gone_with_its_places() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path());
    for n in 1..=3 {
        let sent = server.publish("alice", "users/bob/send", &format!("message {n}"), &[]);
        assert!(sent.status.success());
    }
    let persistent = |device: &str, more: &[&str]| {
        let mut command = server.mosquitto("mosquitto_sub", "bob", device);
        command.args(["-c", "-q", "1", "-t", "chats/+/messages"]).args(more);
        command
    };
    assert!(support::run(&mut persistent("old", &["-E"])).status.success());
    // One that is connected is told why it has to go (0x98).
    let mut connected = persistent("laptop", &["-V", "5", "-W", "20", "-d"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut bob = Listener::connect(&server, "bob", "phone");
    let names = |bob: &mut Listener| {
        let list = bob.request("devices.list", "{}")["ok"]["devices"].clone();
        let devices = list.as_array().expect("a list").clone();
        devices.iter().map(|of| of["device"].as_str().expect("a name").to_owned()).collect()
    };
    let mut devices: Vec<String> = names(&mut bob);
    while devices != ["laptop", "old", "phone"] {
        // The laptop is still on its way.
        assert!(connected.try_wait().expect("asked").is_none());
        devices = names(&mut bob);
    }
    // Three receipts for alice: it has all.
    let mut alice = Listener::connect(&server, "alice", "phone");
    assert!(alice.subscribe("chats/+/receipts"));
    while alice.next().1["delivered"] != 3 {}
    for device in ["old", "laptop"] {
        let arguments = format!(r#"{{"device":"{device}"}}"#);
        assert_eq!(bob.request("devices.remove", &arguments), ok());
    }
    let ended = connected.wait_with_output().expect("it ends");
    let said = format!("{}{}", support::out(&ended), err(&ended));
    assert!(said.contains("Administrative action") || said.contains("DISCONNECT"), "{said}");
    let left: Vec<String> = names(&mut bob);
    assert_eq!(left, ["phone"]);
    // Another's devices are not his to remove.
    let mut mallory = Listener::connect(&server, "mallory", "m");
    let refused = mallory.request("devices.remove", r#"{"device":"phone"}"#);
    assert_eq!(refused["error"]["code"], 0x87);
    // The laptop had all; a device of that name is a new one and gets what nobody has yet.
    let sent = server.publish("alice", "users/bob/send", "message 4", &[]);
    assert!(sent.status.success());
    let heard = support::run(&mut persistent("old", &["-C", "1", "-W", "20"]));
    let first: Value =
        serde_json::from_str(support::out(&heard).lines().next().expect("a line")).expect("JSON");
    assert_eq!(first["seq"], 4);
}

/// A device that does not come back loses its session and its places; what was for it waits.
#[test]
fn a_session_that_does_not_come_back_ends_with_its_cursors() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = dir.path().join("bluetick.toml");
    std::fs::write(&config, "[limits]\nsession_expiry_s_max = 1\n").expect("written");
    let config = config.to_str().expect("a path in UTF-8");
    let data_dir = dir.path().join("data");
    let server =
        Server::start_with(&data_dir, &["--dev", "--mqtt", "127.0.0.1:0", "--config", config]);
    let send = |body| server.publish("alice", "users/bob/send", body, &[]).status.success();
    assert!(send("for the old device"));
    let mut old = server.mosquitto("mosquitto_sub", "bob", "old");
    old.args(["-c", "-q", "1", "-t", "chats/+/messages", "-C", "1", "-W", "20"]);
    assert!(support::run(&mut old).status.success());
    assert!(send("hi bob"));
    let mut bob = Listener::connect(&server, "bob", "phone");
    let started = std::time::Instant::now();
    while bob.request("devices.list", "{}").to_string().contains("old") {
        assert!(started.elapsed() < support::PATIENCE, "the session does not end");
    }
    assert!(bob.subscribe("chats/+/messages"));
    while bob.next().1["body"] != "hi bob" {}
    bob.goodbye();
    assert_eq!(server.terminate(), Some(0));
    let mut inspect = support::bluetick();
    inspect.args(["inspect", "user", "bob", "--json", "--data-dir"]);
    let text = support::out(&support::run(inspect.arg(&data_dir)));
    assert!(text.contains(r#""cursors":0"#), "{text}");
}
