//! What happens, as a line.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bluetick_client::{Event, GroupEvent, Message, Seq, UserId};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::Failure;
use crate::text;

/// An entry of a chat's log as JSON: the keys of docs/protocol.md, behind `kind`.
#[derive(Serialize)]
struct Record<'a> {
    kind: &'static str,
    chat: &'a str,
    seq: Seq,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    from: &'a UserId,
    at: u64,
    r#type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_to: Option<Seq>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    mentions: &'a [UserId],
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<u64>,
    /// The message that is edited, deleted or reacted to.
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<Seq>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'a GroupEvent>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    deleted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    omitted: Option<u64>,
}

/// Something else that happens.
#[derive(Serialize)]
struct News<T> {
    kind: &'static str,
    #[serde(flatten)]
    what: T,
}

#[derive(Serialize)]
struct State {
    online: bool,
}

/// An event as a JSON object in one line; `None`: it is nothing to tell.
pub(super) fn json(event: &Event) -> Option<String> {
    let record = |kind, message: &Message, of, event: Option<&GroupEvent>| {
        let text = message.text();
        let binary = message.body.as_deref().filter(|_| text.is_none());
        to_json(&Record {
            kind,
            chat: message.chat.as_str(),
            seq: message.seq,
            id: message.id.map(|id| id.to_string()),
            from: &message.from,
            at: message.at_ms,
            r#type: &message.content_type,
            body: text,
            body_base64: binary.map(|body| STANDARD.encode(body)),
            reply_to: message.reply_to,
            mentions: &message.mentions,
            expires_at: message.expires_at_ms,
            of,
            event,
            deleted: message.deleted,
            omitted: message.omitted_bytes,
        })
    };
    match event {
        Event::Message(message) => record("message", message, None, None),
        Event::Edited { of, by } => record("edited", by, Some(*of), None),
        Event::Deleted { of, by } => record("deleted", by, Some(*of), None),
        Event::Reaction { to, by } => record("reaction", by, Some(*to), None),
        Event::Membership { what, by } => record("membership", by, None, Some(what)),
        Event::Receipt(what) => to_json(&News { kind: "receipt", what }),
        Event::ReceiptCount(what) => to_json(&News { kind: "receipt_count", what }),
        Event::Presence(what) => to_json(&News { kind: "presence", what }),
        Event::Typing(what) => to_json(&News { kind: "typing", what }),
        Event::Connection(state) => {
            to_json(&News { kind: "connection", what: State { online: state.is_online() } })
        }
        _ => None,
    }
}

/// JSON in which nothing is left that a terminal would obey: it may be printed on one.
fn to_json(value: &impl Serialize) -> Option<String> {
    let json = serde_json::to_string(value).ok()?;
    let mut out = String::with_capacity(json.len());
    for char in json.chars() {
        // Those below U+0020 are escaped already. All of them are in strings.
        match char {
            '\x7f'..='\u{9f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(char)));
            }
            char => out.push(char),
        }
    }
    Some(out)
}

/// An event as a line for people; `None`: it is nothing to tell.
pub(super) fn line(event: &Event) -> Option<String> {
    let said = match event {
        Event::Message(message) if message.deleted => "(deleted)".to_owned(),
        Event::Message(message) => match message.text() {
            Some(text) => text::clean_line(text),
            None => format!("[{}]", text::clean_line(&message.content_type)),
        },
        Event::Edited { of, by } => {
            format!("(edits {of}) {}", text::clean_line(by.text().unwrap_or_default()))
        }
        Event::Deleted { of, .. } => format!("(deletes {of})"),
        Event::Reaction { to, by } => {
            format!("(reacts to {to}) {}", text::clean_line(by.text().unwrap_or_default()))
        }
        Event::Membership { what, .. } => {
            let what = serde_json::to_string(what).ok()?;
            format!("({})", text::clean_line(&what))
        }
        Event::Receipt(it) => {
            return Some(format!(
                "{}: {} has got {} and read {}",
                it.chat, it.user, it.delivered, it.read
            ));
        }
        Event::Presence(it) => {
            let there = if it.online { "is there" } else { "is gone" };
            return Some(format!("{} {there}", it.user));
        }
        Event::Typing(it) if it.typing => return Some(format!("{}: {} types", it.chat, it.user)),
        Event::Connection(state) => {
            return Some(if state.is_online() { "online" } else { "offline" }.to_owned());
        }
        _ => return None,
    };
    let message = event.message()?;
    let at = i64::try_from(message.at_ms).ok();
    let at = at.and_then(|at_ms| Timestamp::from_millisecond(at_ms).ok()).unwrap_or_default();
    let at = TimeZone::system().to_datetime(at).strftime("%Y-%m-%d %H:%M").to_string();
    Some(format!("{at} {} {} {}: {said}", message.chat, message.seq, message.from))
}

/// Prints a line, and makes sure that it is out.
pub(super) fn put(line: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_harmless_and_the_same() {
        let evil = "\x1b[2J\u{9b}31m\u{202e}\u{7f}\n\"é日";
        let json =
            to_json(&News { kind: "x", what: std::collections::BTreeMap::from([("t", evil)]) });
        let json = json.expect("an object");
        assert!(!json.chars().any(char::is_control) && !json.contains('\u{202e}'), "{json}");
        let value: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(value["t"], evil);
    }
}
