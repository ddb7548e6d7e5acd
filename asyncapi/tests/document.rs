//! The document by itself: it is AsyncAPI 3.0, complete, and of one piece.

use std::collections::BTreeSet;

use bluetick_asyncapi::{Direction, Document};
use bluetick_protocol::rpc::Method;
use bluetick_protocol::{
    ALL_MESSAGES_FILTER, ALL_PRESENCE_FILTER, ALL_RECEIPTS_FILTER, ALL_REPLIES_FILTER,
    ALL_TYPING_FILTER, Filter, PublishTopic, Scope, Target, UserScope, compact,
};
use serde_json::Value;

/// Where the words and places of a document that does not validate are cut off.
const ERRORS_SHOWN_MAX: usize = 10;

fn json() -> &'static Value {
    Document::get().json()
}

fn object(pointer: &str) -> impl Iterator<Item = (&'static String, &'static Value)> {
    json().pointer(pointer).and_then(Value::as_object).expect(pointer).iter()
}

/// Calls `seen` with every value in it, and the pointer to it.
fn walk(value: &'static Value, at: &str, seen: &mut impl FnMut(&str, &'static Value)) {
    seen(at, value);
    match value {
        Value::Object(object) => {
            object.iter().for_each(|(key, value)| walk(value, &format!("{at}/{key}"), seen));
        }
        Value::Array(list) => {
            list.iter()
                .enumerate()
                .for_each(|(no, value)| walk(value, &format!("{at}/{no}"), seen));
        }
        _ => {}
    }
}

#[test]
fn it_is_asyncapi_3_0() {
    let official = include_str!("official/asyncapi-3.0.0.json");
    let official: Value = serde_json::from_str(official).expect("the official schema");
    let official = jsonschema::draft7::new(&official).expect("a schema");
    let errors: Vec<String> = official
        .iter_errors(json())
        .take(ERRORS_SHOWN_MAX)
        .map(|error| format!("{}: {error:.300} ({})", error.instance_path(), error.schema_path()))
        .collect();
    assert!(errors.is_empty(), "{}", errors.join("\n"));
    // It does judge: the same without what is required, and with what is not of AsyncAPI.
    for (pointer, value) in [("/operations/send/action", "publish"), ("/channels/send/adress", "x")]
    {
        let mut broken = json().clone();
        let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
        broken.pointer_mut(parent).expect(parent)[key] = value.into();
        assert!(!official.is_valid(&broken), "{pointer}");
    }
}

#[test]
fn references_lead_somewhere_and_nothing_is_left_over() {
    let mut referred = BTreeSet::new();
    walk(json(), "", &mut |at, value| {
        if let Some(to) = value.get("$ref").and_then(Value::as_str) {
            let target = to.strip_prefix('#').and_then(|pointer| json().pointer(pointer));
            assert!(target.is_some(), "{at} leads to {to}, where there is nothing");
            referred.insert(to.to_owned());
        }
    });
    for (kind, things) in object("/components") {
        for name in things.as_object().expect("components").keys() {
            let reference = format!("#/components/{kind}/{name}");
            assert!(referred.contains(&reference), "nothing refers to {reference}");
        }
    }
    for (name, _) in object("/channels") {
        assert!(referred.contains(&format!("#/channels/{name}")), "nobody uses {name}");
    }
}

/// AsyncAPI 3.0, Operation Object: the messages of an operation are of its channel.
#[test]
fn operations_name_messages_of_their_channels() {
    for (name, operation) in object("/operations") {
        for part in [Some(operation), operation.get("reply")].into_iter().flatten() {
            let channel = part["channel"]["$ref"].as_str().expect("a channel");
            for message in part.get("messages").and_then(Value::as_array).into_iter().flatten() {
                let message = message["$ref"].as_str().expect("a message");
                assert!(message.starts_with(&format!("{channel}/messages/")), "{name}: {message}");
            }
        }
    }
}

/// Each channel's address with something in place of its parameters, and the directions of its operations.
fn channels() -> Vec<(String, &'static str, Vec<Direction>)> {
    let addresses = object("/channels").map(|(name, channel)| {
        let address = channel["address"].as_str().expect("an address");
        let mut topic = address.to_owned();
        for (parameter, example) in [
            ("{chat}", "alice~bob"),
            ("{user}", "bob"),
            ("{message}", "0193A5F0-1c2b-7d3e-8f4a-5b6c7d8e9f00"),
            ("{seq}", "17"),
            ("{request}", "r.1_A-z"),
        ] {
            topic = topic.replace(parameter, example);
        }
        let reference = format!("#/channels/{name}");
        let of_it = object("/operations")
            .filter(|(_, operation)| operation["channel"]["$ref"] == reference.as_str())
            .map(|(_, operation)| match operation["action"].as_str() {
                Some("send") => Direction::ToServer,
                _ => Direction::ToClient,
            });
        (topic, address, of_it.collect())
    });
    addresses.collect()
}

/// The address of what a client publishes to. A new form has to be put down here.
fn published(topic: &str) -> Option<String> {
    if let Ok(topic) = compact::PublishTopic::parse(topic) {
        return Some(match topic {
            compact::PublishTopic::Send { .. } => "c/{chat}/s".to_owned(),
            compact::PublishTopic::Read { .. } => "c/{chat}/d".to_owned(),
            compact::PublishTopic::Typing { .. } => "c/{chat}/t".to_owned(),
        });
    }
    let with_id = |id: bool| if id { "/{message}" } else { "" };
    Some(match PublishTopic::parse(topic).ok()? {
        PublishTopic::Send { to: Target::Chat(_), id } => {
            format!("chats/{{chat}}/send{}", with_id(id.is_some()))
        }
        PublishTopic::Send { to: Target::User(_), id } => {
            format!("users/{{user}}/send{}", with_id(id.is_some()))
        }
        PublishTopic::SendJson { .. } => "chats/{chat}/send.json".to_owned(),
        PublishTopic::Read { .. } => "chats/{chat}/read".to_owned(),
        PublishTopic::Edit { .. } => "chats/{chat}/edit/{seq}".to_owned(),
        PublishTopic::Delete { .. } => "chats/{chat}/delete/{seq}".to_owned(),
        PublishTopic::React { .. } => "chats/{chat}/react/{seq}".to_owned(),
        PublishTopic::Typing { .. } => "chats/{chat}/typing".to_owned(),
        PublishTopic::Rpc { method, request: None } => format!("rpc/{method}"),
        PublishTopic::Rpc { method, request: Some(_) } => format!("rpc/{method}/{{request}}"),
    })
}

/// The address of what a client subscribes to. A new form has to be put down here.
fn subscribed(topic: &str) -> Option<&'static str> {
    if let Ok(filter) = compact::Filter::parse(topic) {
        return Some(match filter {
            compact::Filter::Messages(Scope::All | Scope::Chat(_)) => "c/{chat}/m",
            compact::Filter::Receipts(Scope::All | Scope::Chat(_)) => "c/{chat}/r",
            compact::Filter::MessageDifferences(Scope::All | Scope::Chat(_)) => "c/{chat}/m/d",
            compact::Filter::ReceiptDifferences(Scope::All | Scope::Chat(_)) => "c/{chat}/r/d",
            compact::Filter::Typing(Scope::All | Scope::Chat(_)) => "c/{chat}/t",
        });
    }
    Some(match Filter::parse(topic).ok()? {
        Filter::Messages(Scope::All | Scope::Chat(_)) => "chats/{chat}/messages",
        Filter::Receipts(Scope::All | Scope::Chat(_)) => "chats/{chat}/receipts",
        Filter::Typing(Scope::All | Scope::Chat(_)) => "chats/{chat}/typing",
        Filter::Acks => "me/acks",
        Filter::Errors => "me/errors",
        Filter::Replies(_) => "me/replies/{request}",
        Filter::Presence(UserScope::All | UserScope::User(_)) => "users/{user}/presence",
    })
}

/// Every form of a topic that the server has, as [`published`] and [`subscribed`] name them.
const PUBLISHED: [&str; 13] = [
    "chats/{chat}/send",
    "chats/{chat}/send/{message}",
    "chats/{chat}/send.json",
    "users/{user}/send",
    "users/{user}/send/{message}",
    "chats/{chat}/read",
    "chats/{chat}/edit/{seq}",
    "chats/{chat}/delete/{seq}",
    "chats/{chat}/react/{seq}",
    "chats/{chat}/typing",
    "c/{chat}/s",
    "c/{chat}/d",
    "c/{chat}/t",
];
const SUBSCRIBED: [&str; 12] = [
    "chats/{chat}/messages",
    "chats/{chat}/receipts",
    "chats/{chat}/typing",
    "me/acks",
    "me/errors",
    "me/replies/{request}",
    "users/{user}/presence",
    "c/{chat}/m",
    "c/{chat}/r",
    "c/{chat}/m/d",
    "c/{chat}/r/d",
    "c/{chat}/t",
];

#[test]
fn every_topic_is_of_one_channel_and_the_servers() {
    let mut to_server = BTreeSet::new();
    let mut to_client = BTreeSet::new();
    for (topic, address, directions) in channels() {
        assert_eq!(Document::get().addresses(&topic), [address], "{topic}");
        let publishes = directions.contains(&Direction::ToServer);
        assert_eq!(published(&topic), publishes.then(|| address.to_owned()), "{topic}");
        let subscribes = directions.contains(&Direction::ToClient);
        assert_eq!(subscribed(&topic), subscribes.then_some(address), "{topic}");
        // One operation says all that there is to say in a direction.
        assert_eq!(directions.len(), usize::from(publishes) + usize::from(subscribes), "{topic}");
        to_server.extend(publishes.then_some(address.to_owned()));
        to_client.extend(subscribes.then_some(address.to_owned()));
    }
    let methods = Method::ALL
        .iter()
        .flat_map(|method| [format!("rpc/{method}"), format!("rpc/{method}/{{request}}")]);
    let expected = PUBLISHED.iter().map(ToString::to_string).chain(methods);
    assert_eq!(to_server, expected.collect());
    assert_eq!(to_client, SUBSCRIBED.iter().map(ToString::to_string).collect());
}

#[test]
fn names_are_taken_as_the_server_takes_them() {
    let long = "a".repeat(65);
    for topic in [
        "chats/bob/send",
        "chats//send",
        "chats/alice~bob~carol/send",
        "chats/Alice~bob/send",
        "chats/g-7k2m9x4q1zr/send",
        "chats/g-7K2m9x4q1zrt/send",
        "chats/+/send",
        "users/Bob/send",
        &format!("users/{long}/send"),
        "users/bob/send/7",
        "users/bob/send/00000000-0000-0000-0000-000000000000",
        "users/bob/send.json",
        "chats/alice~bob/edit/0",
        "chats/alice~bob/edit/017",
        "chats/alice~bob/read/1",
        "rpc/groups.disband",
        "rpc/chats.list/a b",
        "c/alice~bob/x",
        "plain/topic",
        "",
    ] {
        assert_eq!(Document::get().addresses(topic), [""; 0], "{topic}");
        // The server knows methods that do not exist by their answer.
        let unknown_method = topic == "rpc/groups.disband";
        assert_eq!(published(topic).is_some(), unknown_method, "{topic}");
    }
    for chat in ["a~a", "0.x~b_-", "g-000000000000", &format!("{}~{}", &long[1..], &long[1..])] {
        let topic = format!("chats/{chat}/send");
        assert_eq!(Document::get().addresses(&topic), ["chats/{chat}/send"], "{topic}");
        assert!(published(&topic).is_some(), "{topic}");
    }
}

/// `x-filter` is the subscription that stands for all topics of its channel.
#[test]
fn filters_are_those_that_the_server_takes() {
    let filters = object("/channels").filter_map(|(_, channel)| {
        let filter = channel.get("x-filter")?.as_str()?;
        assert_eq!(subscribed(filter), channel["address"].as_str(), "{filter}");
        Some(filter)
    });
    let expected = [
        ALL_MESSAGES_FILTER,
        ALL_PRESENCE_FILTER,
        ALL_RECEIPTS_FILTER,
        ALL_REPLIES_FILTER,
        ALL_TYPING_FILTER,
        compact::ALL_MESSAGES_FILTER,
        compact::ALL_MESSAGE_DIFFERENCES_FILTER,
        compact::ALL_RECEIPTS_FILTER,
        compact::ALL_RECEIPT_DIFFERENCES_FILTER,
        compact::ALL_TYPING_FILTER,
    ];
    assert_eq!(filters.collect::<BTreeSet<_>>(), BTreeSet::from(expected));
}

#[test]
fn every_method_has_arguments_and_answers() {
    let error = br#"{"error":{"code":131,"message":"not yet"}}"#;
    for method in Method::ALL {
        let arguments = json().pointer(&format!("/components/messages/{method}"));
        assert!(arguments.is_some_and(|message| message.get("payload").is_some()), "{method}");
        let check = |payload: &[u8]| {
            let method = Some(method.as_str());
            Document::get().check(Direction::ToClient, "me/replies/1", payload, method)
        };
        check(error).unwrap_or_else(|error| panic!("{error}"));
        assert!(check(br#"{"ok":{"colour":1}}"#).is_err(), "{method}");
    }
    let unknown =
        Document::get().check(Direction::ToClient, "me/replies/1", error, Some("no.such"));
    assert!(unknown.expect_err("no method").to_string().contains("no.such"));
}

#[test]
fn examples_are_what_they_show() {
    let mut count = 0;
    for (name, message) in object("/components/messages") {
        let schema = serde_json::json!({
            "$ref": format!("#/components/messages/{name}/payload"), "components": json()["components"]
        });
        let schema = jsonschema::draft7::new(&schema).expect("a schema");
        let examples = message["examples"].as_array().unwrap_or_else(|| panic!("{name} has none"));
        for example in examples {
            count += 1;
            let error = schema.validate(&example["payload"]).err().map(|error| error.to_string());
            assert_eq!(error, None, "{name}: {example}");
        }
    }
    assert!(count > 40, "only {count} examples");
}
