//! Quotas: reached, told, counted, and over again; what is stored already is no matter of theirs.

mod support;

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use support::listener::Listener;
use support::{Server, err, out, run};

fn server(dir: &Path, quotas: &str) -> Server {
    let config = dir.join("bluetick.toml");
    fs::write(&config, format!("[quota]\n{quotas}\n")).expect("written");
    let config = config.to_str().expect("a path in UTF-8");
    let data_dir = dir.join("data");
    Server::start_with(&data_dir, &["--dev", "--mqtt", "127.0.0.1:0", "--config", config])
}

/// The notice that a publish was refused for a quota.
fn refused(told: &(String, Value), words: &str) {
    assert_eq!((told.0.as_str(), &told.1["code"]), ("me/errors", &json!(0x97)), "{told:?}");
    let message = told.1["message"].as_str().expect("what to do");
    assert!(message.contains(words), "{message}");
}

/// Tries until it is refused, as a second brings room for one more; gives how often it was not.
fn until_refused(mut try_once: impl FnMut() -> bool) -> usize {
    let taken = (0..100).take_while(|_| try_once()).count();
    assert!(taken < 100, "it is never refused");
    taken
}

#[test]
fn too_much_at_once_is_refused_until_later() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = server(dir.path(), "chat_messages_per_s = 1\nuser_messages_per_s = 2");
    let mut alice = Listener::connect(&server, "alice", "phone");
    assert!(alice.subscribe("me/errors"));
    assert!(alice.subscribe("me/acks"));
    let id = "0193a5f0-1c2b-7d3e-8f4a-5b6c7d8e9f00";
    alice.publish(&format!("users/bob/send/{id}"), "the first");
    assert_eq!(alice.next().1["seq"], 1);
    let mut send = |to: &str| {
        alice.publish(&format!("users/{to}/send"), "another");
        let told = alice.next();
        let taken = told.0 == "me/acks";
        if !taken {
            refused(&told, "send more slowly");
        }
        taken
    };
    let taken = until_refused(|| send("bob"));
    assert!(taken >= 9, "{taken} of ten seconds' worth");
    // In MQTT 5 by the acknowledgement, at QoS 0 by a notice, in both dialects.
    until_refused(|| {
        let output = server.publish("alice", "users/bob/send", "hi", &["-V", "5"]);
        let taken = err(&output).is_empty();
        assert!(taken || err(&output).contains("Quota exceeded"), "{output:?}");
        taken
    });
    until_refused(|| {
        let mut compact = server.mosquitto("mosquitto_rr", "alice", "rr");
        compact.args(["-q", "0", "-e", "me/errors", "-t", "c/alice~bob/s", "-m", "bhi"]);
        let notice = out(&run(compact.args(["-W", "1"])));
        if notice.trim().is_empty() {
            return true;
        }
        let notice: Value = serde_json::from_str(notice.trim()).expect("JSON");
        assert_eq!((&notice["topic"], &notice["code"]), (&json!("c/alice~bob/s"), &json!(0x97)));
        false
    });
    // Other chats have the rest of the user's own quota, and then none has.
    assert!(until_refused(|| send("carol")) >= 1);
    until_refused(|| {
        let answer = alice.request("chats.history", r#"{"chat":"alice~bob"}"#);
        assert!(answer.get("ok").is_some() || answer["error"]["code"] == 0x97, "{answer}");
        answer.get("ok").is_some()
    });
    // What is stored is acknowledged again.
    alice.publish(&format!("users/bob/send/{id}"), "the first");
    let (_, ack) = alice.next();
    assert_eq!((&ack["seq"], &ack["duplicate"]), (&json!(1), &json!(true)), "{ack}");
}

#[test]
fn room_in_the_store_comes_back_with_deletions() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = server(dir.path(), "stored_bytes_max = 1000");
    let mut alice = Listener::connect(&server, "alice", "phone");
    assert!(alice.subscribe("me/errors"));
    alice.publish("users/bob/send", &"x".repeat(600));
    alice.publish("users/bob/send", &"x".repeat(300));
    // 1,100 are used: the next one is refused, and so is an edit.
    alice.publish("users/bob/send", "more");
    refused(&alice.next(), "delete some");
    alice.publish("chats/alice~bob/edit/1", "shorter");
    refused(&alice.next(), "delete some");
    alice.publish("chats/alice~bob/delete/1", "");
    alice.publish("users/bob/send", "more");
    let newest = alice.request("chats.history", r#"{"chat":"alice~bob","limit":1}"#);
    assert_eq!(newest["ok"]["messages"][0]["body"], "more");
    alice.goodbye();
    // The count outlives the server.
    assert_eq!(server.terminate(), Some(0));
    let mut inspect = support::bluetick();
    inspect.args(["inspect", "user", "alice", "--json", "--data-dir"]);
    let text = out(&run(inspect.arg(dir.path().join("data"))));
    // Two bodies, one deletion without any, and 100 for each entry.
    assert!(text.contains(&format!("{}", 300 + 4 + 3 * 100)), "{text}");
}

#[test]
fn groups_and_strangers_are_counted() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = server(dir.path(), "groups_owned_max = 2\nstrangers_per_hour = 3");
    let mut alice = Listener::connect(&server, "alice", "phone");
    let create = |alice: &mut Listener, title: &str| {
        alice.request("groups.create", &format!(r#"{{"title":"{title}","members":["bob"]}}"#))
    };
    let first = create(&mut alice, "one")["ok"]["chat"].as_str().expect("a group").to_owned();
    assert!(create(&mut alice, "two").get("ok").is_some());
    let third = create(&mut alice, "three");
    assert_eq!(third["error"]["code"], 0x97, "{third}");
    let leave = format!(r#"{{"chat":"{first}"}}"#);
    assert_eq!(alice.request("groups.leave", &leave), json!({"ok": {}}));
    assert!(create(&mut alice, "three").get("ok").is_some());

    assert!(alice.subscribe("me/errors"));
    for user in ["bob", "carol", "dave"] {
        alice.publish(&format!("users/{user}/send"), "hi");
    }
    alice.publish("users/erin/send", "hi");
    refused(&alice.next(), "new chats");
    // Chats that there are go on, also those that others begin.
    alice.publish("users/bob/send", "how are you?");
    let sent = server.publish("frank", "users/alice/send", "hi", &[]);
    assert!(sent.status.success());
    alice.publish("users/frank/send", "hi frank");
    let chats = alice.request("chats.list", "{}")["ok"]["chats"].clone();
    assert_eq!(chats[0]["last"]["body"], "hi frank");
}
