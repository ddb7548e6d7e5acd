//! An entry of a chat's log, as the application gets it.

use bluetick_protocol::{
    self as protocol, ChatId, Event as GroupEvent, MessageId, Seq, UserId, compact,
};

/// An entry of a chat's log: a message, or what changes one ([`Event`](crate::Event) says which).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// In which chat.
    pub chat: ChatId,
    /// Its place: 1, 2, 3 … in its chat.
    pub seq: Seq,
    /// Its id. In the compact dialect it is told to its author alone.
    pub id: Option<MessageId>,
    /// Its author.
    pub from: UserId,
    /// When it was stored, Unix milliseconds of the server's clock.
    pub at_ms: u64,
    /// What the body is, such as `text/plain`.
    pub content_type: String,
    /// The body; `None` where it was deleted or left out.
    pub body: Option<Vec<u8>>,
    /// The message that it answers.
    pub reply_to: Option<Seq>,
    /// Whom it mentions.
    pub mentions: Vec<UserId>,
    /// When the server forgets it, Unix milliseconds.
    pub expires_at_ms: Option<u64>,
    /// Its author, or an admin, has deleted it: there is no body.
    pub deleted: bool,
    /// The body has so many bytes and was left out, as it exceeds
    /// [`Builder::packet_bytes_max`](crate::Builder::packet_bytes_max).
    pub omitted_bytes: Option<u64>,
    /// It did not come by itself but was read from the history to close a hole; its body is the newest one.
    pub repaired: bool,
    /// What follows is for [`Event`](crate::Event) to tell.
    pub(crate) change: Change,
    /// The places between this one and its own are not for this user, or have expired.
    pub(crate) after: Option<Seq>,
}

/// What an entry does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    None,
    Edit(Seq),
    Delete(Seq),
    React(Seq),
    Group(GroupEvent),
}

impl Message {
    /// The body as text, where it is some.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(self.body.as_deref()?).ok()
    }

    pub(crate) fn from_compact(message: compact::Message) -> Self {
        Self {
            change: change(message.edit_of, message.delete_of, message.react_to, message.event),
            chat: message.chat,
            seq: message.seq,
            id: message.id,
            from: message.from,
            at_ms: message.at_ms,
            content_type: message.content_type,
            body: message.body,
            reply_to: message.reply_to,
            mentions: message.mentions,
            expires_at_ms: message.expires_at_ms,
            deleted: message.deleted,
            omitted_bytes: message.omitted_bytes,
            repaired: false,
            after: message.after,
        }
    }
}

impl From<protocol::Message> for Message {
    fn from(message: protocol::Message) -> Self {
        Self {
            // A body that is no base64 would be the server's mistake: there is none then.
            body: message.body().ok().flatten(),
            change: change(message.edit_of, message.delete_of, message.react_to, message.event),
            chat: message.chat,
            seq: message.seq,
            id: Some(message.id),
            from: message.from,
            at_ms: message.at_ms,
            content_type: message.content_type,
            reply_to: message.reply_to,
            mentions: message.mentions,
            expires_at_ms: message.expires_at_ms,
            deleted: message.deleted,
            omitted_bytes: message.omitted_bytes,
            repaired: false,
            after: message.after,
        }
    }
}

fn change(
    edit_of: Option<Seq>,
    delete_of: Option<Seq>,
    react_to: Option<Seq>,
    event: Option<GroupEvent>,
) -> Change {
    match (edit_of, delete_of, react_to, event) {
        (Some(of), ..) => Change::Edit(of),
        (None, Some(of), ..) => Change::Delete(of),
        (None, None, Some(to), _) => Change::React(to),
        (None, None, None, Some(event)) => Change::Group(event),
        (None, None, None, None) => Change::None,
    }
}
