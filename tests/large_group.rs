//! A group of 5,000: made, added to, sent to, counted.

mod support;

use serde_json::{Value, json};
use support::Server;
use support::listener::Listener;

fn names(range: std::ops::Range<u32>) -> Vec<String> {
    range.map(|n| format!("member{n}")).collect()
}

#[test]
fn five_thousand_members_and_counts_in_place_of_receipts() {
    let dir = tempfile::tempdir().expect("a folder");
    let config = dir.path().join("bluetick.toml");
    std::fs::write(&config, "[chat]\ngroup_members_max = 5000\n").expect("written");
    let config = config.to_str().expect("a path in UTF-8");
    let data_dir = dir.path().join("data");
    let server =
        Server::start_with(&data_dir, &["--dev", "--mqtt", "127.0.0.1:0", "--config", config]);
    let mut owner = Listener::connect(&server, "owner", "phone");
    let arguments = json!({"title": "Everybody", "members": names(0..1000)});
    let made = owner.request("groups.create", &arguments.to_string());
    let group = made["ok"]["chat"].as_str().expect("a group").to_owned();
    for from in (1000..4999).step_by(1000) {
        let members = names(from..(from + 1000).min(4999));
        let added =
            owner.request("groups.add", &json!({"chat": group, "members": members}).to_string());
        assert_eq!(added["ok"]["members"].as_array().expect("who").len(), members.len());
    }
    let full = json!({"chat": group, "members": ["one-more"]}).to_string();
    assert_eq!(owner.request("groups.add", &full)["error"]["code"], 0x97);

    assert!(owner.subscribe("chats/+/receipts"));
    assert!(owner.subscribe("c/+/r"), "both dialects: JSON once");
    let mut readers: Vec<Listener> = ["member0", "member2500", "member4998"]
        .map(|name| Listener::connect(&server, name, "phone"))
        .into();
    for reader in &mut readers {
        assert!(reader.subscribe("chats/+/messages"));
    }
    owner.publish(&format!("chats/{group}/send"), "hello, all");
    for reader in &mut readers {
        let said = loop {
            let (_, message) = reader.next();
            if let Some(body) = message.get("body") {
                break body.clone();
            }
        };
        assert_eq!(said, "hello, all");
    }
    readers[1].publish(&format!("chats/{group}/read"), "6");
    // Coalesced, and at last it is all three, one of whom has read it.
    let mut told = Value::Null;
    let all = json!({"chat": group, "seq": 6, "delivered_by": 3, "read_by": 1});
    while told != all {
        let (topic, count) = owner.next();
        assert_eq!(topic, format!("chats/{group}/receipts"));
        assert!(count["delivered_by"].as_u64() <= Some(3), "{count}");
        told = count;
    }
    let info = owner.request("chats.info", &json!({"chat": group}).to_string());
    assert_eq!(info["ok"]["members"].as_array().expect("who").len(), 5000);
}
