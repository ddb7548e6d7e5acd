//! What clients of the tests hear and say, held against docs/asyncapi.yaml.

use bluetick_asyncapi::{Direction, Document};
use bluetick_protocol::rpc::Method;
use serde_json::Value;

/// A message from the server has to be what the document says of its topic.
pub(crate) fn heard(topic: &str, payload: &[u8]) {
    check(Direction::ToClient, topic, payload, None);
}

/// So has one that the server is to take.
pub(crate) fn said(topic: &str, payload: &[u8]) {
    check(Direction::ToServer, topic, payload, None);
}

/// JSON as mosquitto's tools print it, without its topic, which its keys tell. Of an answer, `method` is
/// what was asked, where that is known.
pub(crate) fn heard_line(line: &str, method: Option<&str>) {
    let json: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    let of = |what: &str| format!("chats/{}/{what}", json["chat"].as_str().unwrap_or_default());
    let has = |key: &str| json.get(key).is_some();
    let topic = if has("ok") || has("error") {
        "me/replies/1".to_owned()
    } else if has("duplicate") {
        "me/acks".to_owned()
    } else if has("packet_id") {
        "me/errors".to_owned()
    } else if has("online") {
        format!("users/{}/presence", json["user"].as_str().unwrap_or_default())
    } else if has("typing") {
        of("typing")
    } else if has("delivered") || has("delivered_by") {
        of("receipts")
    } else {
        of("messages")
    };
    // One that does not exist has an answer as well: that it does not.
    let method = method.filter(|method| Method::try_from(*method).is_ok());
    check(Direction::ToClient, &topic, line.as_bytes(), method);
}

fn check(direction: Direction, topic: &str, payload: &[u8], method: Option<&str>) {
    let checked = Document::get().check(direction, topic, payload, method);
    checked.unwrap_or_else(|mismatch| panic!("{mismatch}"));
}
