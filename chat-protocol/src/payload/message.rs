//! A message as a member receives it: `chats/{chat}/messages`.

use std::io::Write as _;

use base64::Engine as _;
use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::event::{Event, known};
use super::{PayloadError, body_of, from_object, is_false, write_value};
use crate::message_id::MessageId;
use crate::names::{ChatId, UserId};
use crate::seq::Seq;

/// Bytes of the JSON around the body in the usual case: what to reserve beforehand.
const ENVELOPE_BYTES: usize = 192;

/// A message as a member receives it, borrowed for encoding; [`Message`] is its other end.
#[derive(Debug, Clone, Copy)]
pub struct MessageRef<'a> {
    /// Which chat.
    pub chat: &'a ChatId,
    /// Its place.
    pub seq: Seq,
    /// Its id.
    pub id: MessageId,
    /// Its author; of an event, who did it.
    pub from: &'a UserId,
    /// When it was stored, Unix milliseconds; JSON `at`.
    pub at_ms: u64,
    /// What the body is; JSON `type`.
    pub content_type: &'a str,
    /// The body; JSON `body` where it is UTF-8, else `body_base64`. `None`: the entry has none,
    /// or it is left out.
    pub body: Option<&'a [u8]>,
    /// The entry it answers.
    pub reply_to: Option<Seq>,
    /// Whom it mentions.
    pub mentions: &'a [UserId],
    /// When it ends, Unix milliseconds; JSON `expires_at`.
    pub expires_at_ms: Option<u64>,
    /// The message whose body this one replaces.
    pub edit_of: Option<Seq>,
    /// The message that is deleted by this.
    pub delete_of: Option<Seq>,
    /// The message to which this is a reaction: the body is an emoji, or empty to take it back.
    pub react_to: Option<Seq>,
    /// What happened in the group.
    pub event: Option<&'a Event>,
    /// The body was deleted before it could be delivered.
    pub deleted: bool,
    /// The body has so many bytes and was left out to fit the device's packets; JSON `omitted`.
    pub omitted_bytes: Option<u64>,
    /// The entries between this place and this message have expired or are not for this user.
    pub after: Option<Seq>,
}

impl<'a> MessageRef<'a> {
    /// With what every message has; all else is not set.
    #[must_use]
    pub const fn new(
        chat: &'a ChatId,
        seq: Seq,
        id: MessageId,
        from: &'a UserId,
        at_ms: u64,
        content_type: &'a str,
    ) -> Self {
        Self {
            chat,
            seq,
            id,
            from,
            at_ms,
            content_type,
            body: None,
            reply_to: None,
            mentions: &[],
            expires_at_ms: None,
            edit_of: None,
            delete_of: None,
            react_to: None,
            event: None,
            deleted: false,
            omitted_bytes: None,
            after: None,
        }
    }

    /// Appends the JSON: keys in the contract's order, those that are not set left out, no spaces.
    ///
    /// Written by hand, without a tree or text in between: this is done for every message. Names
    /// and ids are of an alphabet that needs no escapes; all other text is escaped by `serde_json`.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        out.reserve(ENVELOPE_BYTES + self.body.map_or(0, <[u8]>::len));
        out.extend_from_slice(b"{\"chat\":\"");
        out.extend_from_slice(self.chat.as_str().as_bytes());
        out.extend_from_slice(b"\",\"seq\":");
        write_value(out, &self.seq.0);
        out.extend_from_slice(b",\"id\":\"");
        let mut id = [0; MessageId::TEXT_LENGTH];
        out.extend_from_slice(self.id.encode(&mut id).as_bytes());
        out.extend_from_slice(b"\",\"from\":\"");
        out.extend_from_slice(self.from.as_str().as_bytes());
        out.extend_from_slice(b"\",\"at\":");
        write_value(out, &self.at_ms);
        out.extend_from_slice(b",\"type\":");
        write_value(out, self.content_type);
        if let Some(body) = self.body {
            write_body(out, body);
        }
        write_number(out, "reply_to", self.reply_to.map(|seq| seq.0));
        if !self.mentions.is_empty() {
            out.extend_from_slice(b",\"mentions\":");
            write_value(out, self.mentions);
        }
        write_number(out, "expires_at", self.expires_at_ms);
        write_number(out, "edit_of", self.edit_of.map(|seq| seq.0));
        write_number(out, "delete_of", self.delete_of.map(|seq| seq.0));
        write_number(out, "react_to", self.react_to.map(|seq| seq.0));
        if let Some(event) = self.event {
            out.extend_from_slice(b",\"event\":");
            write_value(out, event);
        }
        if self.deleted {
            out.extend_from_slice(b",\"deleted\":true");
        }
        write_number(out, "omitted", self.omitted_bytes);
        write_number(out, "after", self.after.map(|seq| seq.0));
        out.push(b'}');
    }
}

fn write_body(out: &mut Vec<u8>, body: &[u8]) {
    match std::str::from_utf8(body) {
        Ok(text) => {
            out.extend_from_slice(b",\"body\":");
            write_value(out, text);
        }
        Err(_) => {
            let base64 = Base64Display::new(body, &STANDARD);
            write!(out, ",\"body_base64\":\"{base64}\"").expect("memory takes it");
        }
    }
}

fn write_number(out: &mut Vec<u8>, key: &str, number: Option<u64>) {
    let Some(number) = number else { return };
    out.extend_from_slice(b",\"");
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":");
    write_value(out, &number);
}

/// A message as a member receives it, owned; [`MessageRef`] is its other end. Written as JSON it is
/// what [`MessageRef::write_json`] writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Which chat.
    pub chat: ChatId,
    /// Its place.
    pub seq: Seq,
    /// Its id.
    pub id: MessageId,
    /// Its author; of an event, who did it.
    pub from: UserId,
    /// When it was stored, Unix milliseconds; JSON `at`.
    #[serde(rename = "at")]
    pub at_ms: u64,
    /// What the body is; JSON `type`.
    #[serde(rename = "type")]
    pub content_type: String,
    /// The JSON `body`, there if the body is text; [`Message::body`] has it in either case.
    #[serde(rename = "body", skip_serializing_if = "Option::is_none")]
    pub body_text: Option<String>,
    /// The JSON `body_base64`, there if the body is not text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body_base64: Option<String>,
    /// The entry it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<Seq>,
    /// Whom it mentions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<UserId>,
    /// When it ends, Unix milliseconds; JSON `expires_at`.
    #[serde(rename = "expires_at", skip_serializing_if = "Option::is_none")]
    pub expires_at_ms: Option<u64>,
    /// The message whose body this one replaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edit_of: Option<Seq>,
    /// The message that is deleted by this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delete_of: Option<Seq>,
    /// The message to which this is a reaction: the body is an emoji, or empty to take it back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub react_to: Option<Seq>,
    /// What happened in the group; `None` also for a kind that this version does not know.
    #[serde(default, deserialize_with = "known", skip_serializing_if = "Option::is_none")]
    pub event: Option<Event>,
    /// The body was deleted before it could be delivered.
    #[serde(default, skip_serializing_if = "is_false")]
    pub deleted: bool,
    /// The body has so many bytes and was left out to fit the device's packets; JSON `omitted`.
    #[serde(rename = "omitted", skip_serializing_if = "Option::is_none")]
    pub omitted_bytes: Option<u64>,
    /// The entries between this place and this message have expired or are not for this user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Seq>,
}

/// A copy that owns its parts: for answers, which hold several.
impl From<&MessageRef<'_>> for Message {
    fn from(message: &MessageRef<'_>) -> Self {
        let text = message.body.map(std::str::from_utf8);
        Self {
            chat: message.chat.clone(),
            seq: message.seq,
            id: message.id,
            from: message.from.clone(),
            at_ms: message.at_ms,
            content_type: message.content_type.to_owned(),
            body_text: text.and_then(Result::ok).map(str::to_owned),
            body_base64: message
                .body
                .filter(|_| text.is_some_and(|text| text.is_err()))
                .map(|body| STANDARD.encode(body)),
            reply_to: message.reply_to,
            mentions: message.mentions.to_vec(),
            expires_at_ms: message.expires_at_ms,
            edit_of: message.edit_of,
            delete_of: message.delete_of,
            react_to: message.react_to,
            event: message.event.cloned(),
            deleted: message.deleted,
            omitted_bytes: message.omitted_bytes,
            after: message.after,
        }
    }
}

impl Message {
    /// Reads the JSON. Keys it does not know are passed over: a later server may add some.
    ///
    /// # Errors
    /// [`PayloadError`]: it is not a message.
    pub fn from_json(json: &[u8]) -> Result<Self, PayloadError> {
        from_object(json)
    }

    /// The body; `None` where the entry has none, or it was left out.
    ///
    /// # Errors
    /// [`PayloadError::Base64`], [`PayloadError::TwoBodies`]: the server does not keep to the
    /// contract.
    pub fn body(&self) -> Result<Option<Vec<u8>>, PayloadError> {
        body_of(self.body_text.as_deref(), self.body_base64.as_deref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(name: &str) -> UserId {
        UserId::try_from(name).expect("a user")
    }

    fn json(message: &MessageRef<'_>) -> String {
        // Appended: what is there stays.
        let mut out = b"> ".to_vec();
        message.write_json(&mut out);
        String::from_utf8(out).expect("JSON is text").split_off(2)
    }

    #[test]
    fn is_written_as_the_contract_shows_it() {
        let chat = ChatId::direct(&user("alice"), &user("bob"));
        let (from, mentions) = (user("alice"), [user("bob"), user("carol")]);
        let id = MessageId::try_from("0193A5F0-1C2B-7D3E-8F4A-5B6C7D8E9F00").expect("an id");
        let event = Event::Left;
        let at_ms = 1_764_000_000_000;
        let bare = MessageRef::new(&chat, Seq(7), id, &from, at_ms, "text/plain");
        let plain = MessageRef { body: Some(b"hi"), ..bare };
        let head = concat!(
            r#"{"chat":"alice~bob","seq":7,"id":"0193a5f0-1c2b-7d3e-8f4a-5b6c7d8e9f00","#,
            r#""from":"alice","at":1764000000000,"type":"text/plain""#
        );
        assert_eq!(json(&plain), format!(r#"{head},"body":"hi"}}"#));
        let empty = MessageRef { body: Some(b""), ..plain };
        assert_eq!(json(&empty), format!(r#"{head},"body":""}}"#));
        let bytes = MessageRef { body: Some(b"\xff\xd8\xff\xe0"), ..plain };
        assert_eq!(json(&bytes), format!(r#"{head},"body_base64":"/9j/4A=="}}"#));
        let full = MessageRef {
            body: Some(b"a\"\n"),
            reply_to: Some(Seq(3)),
            mentions: &mentions,
            expires_at_ms: Some(1_764_000_060_000),
            omitted_bytes: Some(70_000),
            after: Some(Seq(4)),
            edit_of: Some(Seq(1)),
            delete_of: Some(Seq(2)),
            react_to: Some(Seq(3)),
            deleted: true,
            event: Some(&event),
            ..plain
        };
        let tail = concat!(
            r#","body":"a\"\n","reply_to":3,"mentions":["bob","carol"],"expires_at":1764000060000,"#,
            r#""edit_of":1,"delete_of":2,"react_to":3,"event":{"kind":"left"},"deleted":true,"#,
            r#""omitted":70000,"after":4}"#
        );
        assert_eq!(json(&full), format!("{head}{tail}"));
        let deleted = MessageRef { deleted: true, ..bare };
        assert_eq!(json(&deleted), format!(r#"{head},"deleted":true}}"#));
        for message in [bare, plain, empty, bytes, full, deleted] {
            let owned = serde_json::to_string(&Message::from(&message)).expect("an object");
            assert_eq!(owned, json(&message));
        }
    }

    const READ: &str = concat!(
        r#"{"chat":"a~b","seq":1,"id":"0193a5f0-1c2b-7d3e-8f4a-5b6c7d8e9f00","#,
        r#""from":"a","at":1,"type":"t""#
    );

    #[test]
    fn is_read_with_keys_to_come() {
        let text = format!(r#" {READ},"body":"x","colour":4,"event":{{"kind":"painted"}}}} "#);
        let message = Message::from_json(text.as_bytes()).expect("a message");
        assert_eq!(message.body(), Ok(Some(b"x".to_vec())));
        assert_eq!(message.event, None);
        let bare = Message::from_json(format!("{READ}}}").as_bytes()).expect("a message");
        assert_eq!((bare.body(), bare.mentions, bare.after), (Ok(None), Vec::new(), None));
    }

    #[test]
    fn a_body_that_cannot_be_read_is_an_error() {
        for (rest, error) in [
            (r#""body":"x","body_base64":"eA==""#, PayloadError::TwoBodies),
            (r#""body_base64":"eA""#, PayloadError::Base64),
            (r#""body_base64":"_-==""#, PayloadError::Base64),
        ] {
            let message = Message::from_json(format!("{READ},{rest}}}").as_bytes());
            assert_eq!(message.expect("a message").body(), Err(error), "{rest}");
        }
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        for bad in ["", "null", "[]", "{}", READ, &format!(r#"{READ},"seq":2}}"#)] {
            assert!(Message::from_json(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
