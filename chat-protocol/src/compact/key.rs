//! The keys of the maps.

use std::fmt;

/// A key. It means the same in every map of the dialect but an event, which has its own few.
///
/// All are below 24: one byte each. The usual message and receipt have the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Key {
    Seq,
    At,
    Body,
    From,
    Type,
    Id,
    ReplyTo,
    Mentions,
    TtlS,
    ExpiresAt,
    After,
    Omitted,
    Deleted,
    EditOf,
    DeleteOf,
    ReactTo,
    Event,
    Delivered,
    Unread,
    Typing,
    DeliveredBy,
    ReadBy,
}

impl Key {
    /// All, in the order of their numbers, with what JSON calls them.
    const ALL: [(Self, &'static str); 22] = [
        (Self::Seq, "seq"),
        (Self::At, "at"),
        (Self::Body, "body"),
        (Self::From, "from"),
        (Self::Type, "type"),
        (Self::Id, "id"),
        (Self::ReplyTo, "reply_to"),
        (Self::Mentions, "mentions"),
        (Self::TtlS, "ttl_s"),
        (Self::ExpiresAt, "expires_at"),
        (Self::After, "after"),
        (Self::Omitted, "omitted"),
        (Self::Deleted, "deleted"),
        (Self::EditOf, "edit_of"),
        (Self::DeleteOf, "delete_of"),
        (Self::ReactTo, "react_to"),
        (Self::Event, "event"),
        (Self::Delivered, "delivered"),
        (Self::Unread, "unread"),
        (Self::Typing, "typing"),
        (Self::DeliveredBy, "delivered_by"),
        (Self::ReadBy, "read_by"),
    ];

    pub(super) const fn number(self) -> u8 {
        self as u8
    }

    pub(super) fn of(number: u64) -> Option<Self> {
        usize::try_from(number).ok().and_then(|at| Self::ALL.get(at)).map(|(key, _)| *key)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (_, name) = Self::ALL[usize::from(self.number())];
        write!(f, "'{name}' (key {})", self.number())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_places_and_take_one_byte() {
        for (at, (key, _)) in Key::ALL.iter().enumerate() {
            assert_eq!((usize::from(key.number()), Key::of(at as u64)), (at, Some(*key)));
        }
        assert!(Key::ALL.len() <= 24);
        assert_eq!((Key::of(22), Key::of(u64::MAX)), (None, None));
        assert_eq!(Key::ReplyTo.to_string(), "'reply_to' (key 6)");
    }
}
