//! Who is typing, so that it ends by itself when nothing more is heard.

use std::collections::HashMap;

use bluetick_protocol::{ChatId, UserId};
use parking_lot::Mutex;

/// How long one is typing without saying so again, milliseconds.
const TYPING_MS: u64 = 6_000;

/// Those who type at the moment, with the time when that ends.
#[derive(Default)]
pub(super) struct Typists {
    until: Mutex<HashMap<(ChatId, UserId), u64>>,
}

impl Typists {
    /// A member has said that he is typing, or no longer.
    pub(super) fn note(&self, chat: ChatId, user: &UserId, typing: bool, now: u64) {
        let (mut until, key) = (self.until.lock(), (chat, user.clone()));
        if typing {
            until.insert(key, now + TYPING_MS);
        } else {
            until.remove(&key);
        }
    }

    /// Takes out those of whom nothing more was heard.
    pub(super) fn take_silent(&self, now: u64) -> Vec<(ChatId, UserId)> {
        let mut silent = Vec::new();
        self.until.lock().retain(|key, until| {
            let over = *until <= now;
            if over {
                silent.push(key.clone());
            }
            !over
        });
        silent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_falls_silent_is_taken_out_once() {
        let user = UserId::try_from("alice").expect("a user");
        let chat = || ChatId::try_from("alice~bob").expect("a chat");
        let typists = Typists::default();
        typists.note(chat(), &user, true, 1000);
        typists.note(chat(), &user, true, 3000);
        assert!(typists.take_silent(8999).is_empty(), "he has said it again");
        assert_eq!(typists.take_silent(9000), [(chat(), user.clone())]);
        assert!(typists.take_silent(9000).is_empty());
        typists.note(chat(), &user, true, 1000);
        typists.note(chat(), &user, false, 1500);
        assert!(typists.take_silent(u64::MAX).is_empty());
    }
}
