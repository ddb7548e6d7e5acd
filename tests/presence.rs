//! Who is there and who was: told to those who look, at once and when it changes.

mod support;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use support::Server;
use support::listener::Listener;

const CONTACTS: &str = "users/+/presence";

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    u64::try_from(since.as_millis()).expect("a time of this age")
}

/// That somebody is gone; gives when he was last seen.
fn gone(told: &(String, Value), user: &str) -> u64 {
    assert_eq!(told.0, format!("users/{user}/presence"));
    assert_eq!((&told.1["user"], &told.1["online"]), (&json!(user), &json!(false)));
    told.1["last_seen"].as_u64().expect("when")
}

fn there(user: &str) -> (String, Value) {
    (format!("users/{user}/presence"), json!({"user": user, "online": true}))
}

/// As told of who was never there, hides, or has blocked the one who asks.
fn nothing(user: &str) -> (String, Value) {
    (format!("users/{user}/presence"), json!({"user": user, "online": false}))
}

fn begin_chat(server: &Server, from: &str, to: &str) {
    let sent = server.publish(from, &format!("users/{to}/send"), "hi", &[]);
    assert!(sent.status.success(), "{sent:?}");
}

#[test]
fn comings_and_goings_are_told_to_contacts_who_look() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path());
    begin_chat(&server, "alice", "bob");
    let mut alice = Listener::connect(&server, "alice", "phone");
    assert!(alice.subscribe(CONTACTS));
    assert_eq!(alice.next(), nothing("bob"), "at once on subscribing");

    let phone = Listener::connect(&server, "bob", "phone");
    assert_eq!(alice.next(), there("bob"));
    // A second device changes nothing, nor does the first one's goodbye then.
    let tablet = Listener::connect(&server, "bob", "tablet");
    phone.goodbye();
    let before = now_ms();
    tablet.goodbye();
    let seen = gone(&alice.next(), "bob");
    assert!((before..=now_ms()).contains(&seen), "a goodbye is told at once, with its time");

    // Who joins later is looked at too; who is none of hers is not to be.
    begin_chat(&server, "carol", "alice");
    while alice.next().1.get("last_seen").is_none() {}
    assert!(!alice.subscribe("users/mallory/presence"));
    assert!(!alice.subscribe("users/nobody/presence"));
    assert!(alice.subscribe("users/bob/presence"));
    let told = std::iter::repeat_with(|| alice.next()).find(|told| told.1["user"] == "bob");
    gone(&told.expect("there is no end"), "bob");
}

#[test]
fn a_lost_connection_that_comes_back_is_not_told() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path());
    begin_chat(&server, "alice", "bob");
    let mut alice = Listener::connect(&server, "alice", "phone");
    assert!(alice.subscribe("users/bob/presence"));
    assert_eq!(alice.next(), nothing("bob"));
    let bob = Listener::connect(&server, "bob", "phone");
    assert_eq!(alice.next(), there("bob"));
    drop(bob);
    let bob = Listener::connect(&server, "bob", "phone");
    // Nothing of a flap came before the answer.
    assert_eq!(alice.request("users.profile", r#"{"user":"bob"}"#), json!({"ok": {}}));
    assert!(alice.unread().is_empty(), "{:?}", alice.unread());
    let lost = (Instant::now(), now_ms());
    drop(bob);
    let seen = gone(&alice.next(), "bob");
    assert!(lost.0.elapsed() >= Duration::from_millis(4_900), "not before it is over");
    assert!(seen <= lost.1 + 1000, "it counts from the last packet");
}

#[test]
fn last_seen_survives_kill_9() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut server = Server::start(dir.path());
    begin_chat(&server, "alice", "bob");
    let came = now_ms();
    let mut bob = Listener::connect(&server, "bob", "phone");
    // What is acknowledged is stored with all that came before, his coming too.
    bob.publish("users/alice/send", "hi alice");
    server.kill();
    drop(bob);
    let server = Server::start(dir.path());
    let mut alice = Listener::connect(&server, "alice", "phone");
    assert!(alice.subscribe(CONTACTS));
    let seen = gone(&alice.next(), "bob");
    assert!((came..=now_ms()).contains(&seen), "{seen} is not since {came}");
}

#[test]
fn who_hides_and_who_blocks_look_like_nobody() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path());
    begin_chat(&server, "alice", "bob");
    begin_chat(&server, "carol", "bob");
    let mut bob = Listener::connect(&server, "bob", "phone");
    let mut alice = Listener::connect(&server, "alice", "phone");
    assert!(alice.subscribe(CONTACTS));
    assert_eq!(alice.next(), there("bob"));
    let mut carol = Listener::connect(&server, "carol", "phone");
    assert!(carol.subscribe(CONTACTS));
    assert_eq!(carol.next(), there("bob"));
    let ok = json!({"ok": {}});

    assert_eq!(bob.request("users.block", r#"{"user":"alice"}"#), ok);
    assert_eq!(alice.next(), nothing("bob"));
    // What she hears next is after the unblock: nothing of what he does until then is told her.
    assert_eq!(bob.request("privacy.set", r#"{"last_seen":"nobody"}"#), ok);
    assert_eq!(carol.next(), nothing("bob"));
    assert!(bob.subscribe(CONTACTS));
    let mut others = [bob.next(), bob.next()];
    others.sort_by_key(|(topic, _)| topic.clone());
    assert_eq!(others, [nothing("alice"), nothing("carol")], "who hides sees nobody's either");
    assert_eq!(bob.request("privacy.set", r#"{"last_seen":"contacts"}"#), ok);
    assert_eq!(carol.next(), there("bob"));
    let mut others = [bob.next(), bob.next()];
    others.sort_by_key(|(topic, _)| topic.clone());
    assert_eq!(others, [there("alice"), there("carol")]);
    assert_eq!(bob.request("users.unblock", r#"{"user":"alice"}"#), ok);
    assert_eq!(alice.next(), there("bob"));
}

#[test]
fn who_leaves_the_last_common_chat_is_seen_no_more() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(dir.path());
    let mut alice = Listener::connect(&server, "alice", "phone");
    assert!(alice.subscribe(CONTACTS));
    let arguments = r#"{"title":"Run","members":["bob"]}"#;
    let made = alice.request("groups.create", arguments);
    let group = made["ok"]["chat"].as_str().expect("a group").to_owned();
    assert_eq!(alice.next(), nothing("bob"));
    let mut bob = Listener::connect(&server, "bob", "phone");
    assert_eq!(alice.next(), there("bob"));
    let leave = format!(r#"{{"chat":"{group}"}}"#);
    assert_eq!(bob.request("groups.leave", &leave), json!({"ok": {}}));
    bob.goodbye();
    // Neither his goodbye nor his coming back is hers to know.
    let _bob = Listener::connect(&server, "bob", "phone");
    assert!(!alice.subscribe("users/bob/presence"));
    let profile = alice.request("users.profile", r#"{"user":"bob"}"#);
    assert_eq!(profile["error"]["code"], 0x87);
    assert!(alice.unread().is_empty(), "{:?}", alice.unread());
}
