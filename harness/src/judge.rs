//! What devices hear and say, held against docs/asyncapi.yaml.

use bluetick_asyncapi::{Direction, Document};

/// A message from the server.
///
/// # Errors
/// What is not as the document says, and which of its rules says so.
pub(crate) fn heard(topic: &str, payload: &[u8]) -> Result<(), String> {
    let checked = Document::get().check(Direction::ToClient, topic, payload, None);
    checked.map_err(|mismatch| mismatch.to_string())
}

/// A PUBACK of MQTT 5 for a message that is stored. (A PUBREC that is sent again says nothing.)
///
/// # Errors
/// As [`heard`].
pub(crate) fn acked(topic: &str, properties: &[(String, String)]) -> Result<(), String> {
    let checked = Document::get().check_puback(topic, properties);
    checked.map_err(|mismatch| mismatch.to_string())
}

/// A message to the server.
///
/// # Panics
/// If it is not as the document says: a device that says something else shows nothing of the server.
pub(crate) fn said(topic: &str, payload: &[u8]) {
    let checked = Document::get().check(Direction::ToServer, topic, payload, None);
    checked.unwrap_or_else(|mismatch| panic!("{mismatch}"));
}
