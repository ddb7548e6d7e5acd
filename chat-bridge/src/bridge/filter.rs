//! What a filter of the server's topics is for, in any form.

use bluetick_protocol::{ChatId, Filter, Scope, UserId, UserScope, compact};

use crate::delivery::Form;
use crate::engine::SubscriptionKind;

/// A filter that is served.
pub(super) enum Wish {
    /// Notices of the session's own: acknowledgements, refusals, answers.
    Notices,
    /// Who is typing.
    Typing {
        /// In one chat; `None`: in all.
        chat: Option<ChatId>,
        /// How.
        form: Form,
    },
    /// Who is there: a user; `None`: all with whom one shares a chat.
    Presence(Option<UserId>),
    /// Something of chats that waits for who is away.
    Chats {
        /// What.
        kind: SubscriptionKind,
        /// Of one chat; `None`: of all.
        chat: Option<ChatId>,
        /// How.
        form: Form,
    },
}

impl Wish {
    /// Reads a filter; `None`: it has no form that is served.
    pub(super) fn parse(filter: &str) -> Option<Self> {
        if let Ok(filter) = compact::Filter::parse(filter) {
            return match filter {
                compact::Filter::Messages(scope) => Some(chats(MESSAGES, scope, Form::Compact)),
                compact::Filter::Receipts(scope) => Some(chats(RECEIPTS, scope, Form::Compact)),
                compact::Filter::MessageDifferences(scope) => {
                    Some(chats(MESSAGES, scope, Form::Differences))
                }
                compact::Filter::ReceiptDifferences(scope) => {
                    Some(chats(RECEIPTS, scope, Form::Differences))
                }
                compact::Filter::Typing(scope) => {
                    Some(Self::Typing { chat: one(scope), form: Form::Compact })
                }
            };
        }
        match Filter::parse(filter).ok()? {
            Filter::Messages(scope) => Some(chats(MESSAGES, scope, Form::Json)),
            Filter::Receipts(scope) => Some(chats(RECEIPTS, scope, Form::Json)),
            Filter::Acks | Filter::Errors | Filter::Replies(_) => Some(Self::Notices),
            Filter::Typing(scope) => Some(Self::Typing { chat: one(scope), form: Form::Json }),
            Filter::Presence(UserScope::All) => Some(Self::Presence(None)),
            Filter::Presence(UserScope::User(user)) => Some(Self::Presence(Some(user))),
        }
    }

    /// Whether it brings the same of this chat, or where `one` is `None`, of any.
    pub(super) fn overlaps(&self, of: SubscriptionKind, one: Option<&ChatId>) -> bool {
        match self {
            Self::Notices | Self::Typing { .. } | Self::Presence(_) => false,
            Self::Chats { kind, chat, .. } => {
                *kind == of && (chat.is_none() || one.is_none() || chat.as_ref() == one)
            }
        }
    }
}

const MESSAGES: SubscriptionKind = SubscriptionKind::Messages;
const RECEIPTS: SubscriptionKind = SubscriptionKind::Receipts;

fn chats(kind: SubscriptionKind, scope: Scope, form: Form) -> Wish {
    Wish::Chats { kind, chat: one(scope), form }
}

fn one(scope: Scope) -> Option<ChatId> {
    match scope {
        Scope::All => None,
        Scope::Chat(chat) => Some(chat),
    }
}
