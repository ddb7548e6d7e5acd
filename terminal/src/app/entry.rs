//! An entry of a chat's log, as this program shows and caches it.

use bluetick_client::{ChatId, Event, GroupEvent, Message, MessageId, Seq, UserId};
use serde::{Deserialize, Serialize};

/// Bytes of a text that are kept, at most: more than a person reads, and little enough that nobody fills
/// another's memory, or makes his screen slow.
pub(crate) const TEXT_BYTES_MAX: usize = 16 * 1024;

/// An entry of a chat's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) chat: ChatId,
    pub(crate) seq: Seq,
    pub(crate) id: Option<MessageId>,
    pub(crate) from: UserId,
    pub(crate) at_ms: u64,
    pub(crate) expires_at_ms: Option<u64>,
    pub(crate) what: What,
}

/// What an entry says or does. Texts are as they came: they are made safe when they are shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum What {
    Text {
        text: String,
        reply_to: Option<Seq>,
    },
    /// Something that this program cannot show.
    File {
        content_type: String,
        bytes: u64,
    },
    /// A message whose body was deleted before it came.
    Gone,
    Edit {
        of: Seq,
        text: String,
    },
    Delete {
        of: Seq,
    },
    React {
        to: Seq,
        emoji: String,
    },
    Group(GroupEvent),
}

impl Entry {
    /// The entry that an event of the SDK tells of.
    pub(crate) fn from_event(event: Event) -> Option<Self> {
        let (what, message) = match event {
            Event::Message(message) => (What::of_message(&message), message),
            Event::Edited { of, by } => (What::Edit { of, text: text_of(&by) }, by),
            Event::Deleted { of, by } => (What::Delete { of }, by),
            Event::Reaction { to, by } => (What::React { to, emoji: text_of(&by) }, by),
            Event::Membership { what, by } => (What::Group(what), by),
            _ => return None,
        };
        Some(Self {
            chat: message.chat,
            seq: message.seq,
            id: message.id,
            from: message.from,
            at_ms: message.at_ms,
            expires_at_ms: message.expires_at_ms,
            what,
        })
    }

    /// The same for what a request for history gives.
    pub(crate) fn from_message(message: Message) -> Option<Self> {
        Self::from_event(Event::from(message))
    }

    /// Whether it is something said, rather than something done.
    pub(crate) const fn is_message(&self) -> bool {
        matches!(self.what, What::Text { .. } | What::File { .. } | What::Gone)
    }

    pub(crate) fn is_expired(&self, now_ms: u64) -> bool {
        self.expires_at_ms.is_some_and(|at_ms| at_ms <= now_ms)
    }
}

impl What {
    fn of_message(message: &Message) -> Self {
        if message.deleted {
            return Self::Gone;
        }
        match message.text().filter(|_| message.content_type.starts_with("text/")) {
            Some(text) => Self::Text { text: cut(text), reply_to: message.reply_to },
            None => {
                let here = message.body.as_ref().map(|body| body.len() as u64);
                let bytes = here.or(message.omitted_bytes).unwrap_or_default();
                Self::File { content_type: message.content_type.clone(), bytes }
            }
        }
    }
}

fn text_of(message: &Message) -> String {
    cut(message.text().unwrap_or_default())
}

/// A text, or its beginning and how much more there is.
fn cut(text: &str) -> String {
    let end = text.floor_char_boundary(TEXT_BYTES_MAX);
    match text.len() - end {
        0 => text.to_owned(),
        more => format!("{}… ({more} bytes more: `bluetick history` has them)", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(cut("日本"), "日本");
        let long = cut(&"日".repeat(TEXT_BYTES_MAX));
        let end = "日… (32769 bytes more: `bluetick history` has them)";
        assert!(
            long.ends_with(end) && long.len() >= TEXT_BYTES_MAX,
            "{}",
            &long[long.len() - 60..]
        );
    }
}
