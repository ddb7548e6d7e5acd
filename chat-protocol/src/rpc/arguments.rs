//! A request's arguments, taken one by one: each is checked where it is taken, so that a refusal
//! names it and says what it should be, which a derived reader does for keys but not for values.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;

use super::{LIMIT_DEFAULT, LIMIT_MAX, MEMBERS_MAX, REQUEST_BYTES_MAX, RpcError};
use crate::names::{ChatId, NameError, UserId};
use crate::payload::from_object;

/// Keys of a request, at most: more than any method has, so that what is wrong is still named.
const KEYS_MAX: usize = 16;

/// What a text has to be.
pub(super) struct Text {
    /// In words, for the refusal.
    pub(super) what: fn() -> String,
    /// In code.
    pub(super) fits: fn(&str) -> bool,
}

/// What is left of a request's arguments.
pub(super) struct Arguments {
    left: Vec<(String, Value)>,
    known: Vec<&'static str>,
}

impl Arguments {
    /// Reads the object. An empty payload has no arguments; a key must not stand there twice.
    pub(super) fn read(payload: &[u8]) -> Result<Self, RpcError> {
        if payload.len() > REQUEST_BYTES_MAX {
            return Err(RpcError::too_large());
        }
        let left = if payload.is_empty() {
            Vec::new()
        } else {
            let Keys(keys) =
                from_object(payload).map_err(|error| RpcError::arguments(&error.to_string()))?;
            keys
        };
        Ok(Self { left, known: Vec::new() })
    }

    /// Takes an argument; null counts as left out.
    fn take(&mut self, name: &'static str) -> Option<Value> {
        self.take_or_null(name).filter(|value| !value.is_null())
    }

    fn take_or_null(&mut self, name: &'static str) -> Option<Value> {
        self.known.push(name);
        let at = self.left.iter().position(|(key, _)| key == name)?;
        Some(self.left.swap_remove(at).1)
    }

    pub(super) fn text(&mut self, name: &'static str, text: &Text) -> Result<String, RpcError> {
        self.maybe_text(name, text)?.ok_or_else(|| wrong(name, &(text.what)()))
    }

    pub(super) fn maybe_text(
        &mut self,
        name: &'static str,
        text: &Text,
    ) -> Result<Option<String>, RpcError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(given)) if (text.fits)(&given) => Ok(Some(given)),
            Some(_) => Err(wrong(name, &(text.what)())),
        }
    }

    pub(super) fn chat(&mut self) -> Result<ChatId, RpcError> {
        self.name("chat", "the name of a chat")
    }

    pub(super) fn user(&mut self) -> Result<UserId, RpcError> {
        self.name("user", "the name of a user")
    }

    fn name<T: FromStr<Err = NameError>>(
        &mut self,
        name: &'static str,
        what: &str,
    ) -> Result<T, RpcError> {
        let value = self.take(name);
        let text = value.as_ref().and_then(Value::as_str).ok_or_else(|| wrong(name, what))?;
        text.parse().map_err(|error| wrong(name, &format!("{what}: {error}")))
    }

    /// The list `members`, each user once, in the order given.
    pub(super) fn members(&mut self) -> Result<Vec<UserId>, RpcError> {
        let refuse = |why: &str| {
            wrong("members", &format!("a list of at most {MEMBERS_MAX} user names{why}"))
        };
        let Some(Value::Array(list)) = self.take("members") else { return Err(refuse("")) };
        if list.len() > MEMBERS_MAX {
            return Err(refuse(""));
        }
        let (mut users, mut seen) = (Vec::with_capacity(list.len()), HashSet::new());
        for name in &list {
            let name = name.as_str().ok_or_else(|| refuse(""))?;
            let user = UserId::try_from(name).map_err(|error| refuse(&format!(": {error}")))?;
            if seen.insert(user.clone()) {
                users.push(user);
            }
        }
        Ok(users)
    }

    pub(super) fn maybe_bool(&mut self, name: &'static str) -> Result<Option<bool>, RpcError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(value)),
            Some(_) => Err(wrong(name, "true or false")),
        }
    }

    pub(super) fn maybe_seq(&mut self, name: &'static str) -> Result<Option<u64>, RpcError> {
        let refuse = || wrong(name, "a seq: a whole number, 0 or greater");
        self.take(name).map(|value| value.as_u64().ok_or_else(refuse)).transpose()
    }

    /// A whole number up to `max`, or null; it has to be there, as both mean something.
    pub(super) fn number_or_null(
        &mut self,
        name: &'static str,
        max: u64,
        what: impl FnOnce() -> String,
    ) -> Result<Option<u64>, RpcError> {
        match self.take_or_null(name) {
            Some(Value::Null) => Ok(None),
            Some(value) if value.as_u64().is_some_and(|number| number <= max) => Ok(value.as_u64()),
            _ => Err(wrong(name, &what())),
        }
    }

    pub(super) fn limit(&mut self) -> Result<u16, RpcError> {
        let refuse = || wrong("limit", &format!("a whole number from 1 to {LIMIT_MAX}"));
        let Some(value) = self.take("limit") else { return Ok(LIMIT_DEFAULT) };
        value
            .as_u64()
            .and_then(|limit| u16::try_from(limit).ok())
            .filter(|limit| (1..=LIMIT_MAX).contains(limit))
            .ok_or_else(refuse)
    }

    pub(super) fn word<T: Copy>(
        &mut self,
        name: &'static str,
        words: &[(&str, T)],
    ) -> Result<T, RpcError> {
        self.maybe_word(name, words)?.ok_or_else(|| not_of(name, words))
    }

    /// One of a few words.
    pub(super) fn maybe_word<T: Copy>(
        &mut self,
        name: &'static str,
        words: &[(&str, T)],
    ) -> Result<Option<T>, RpcError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let found = words.iter().find(|(word, _)| value.as_str() == Some(word));
        found.map(|(_, value)| Some(*value)).ok_or_else(|| not_of(name, words))
    }

    /// Nothing may be left: what an unknown key asks for would not be done.
    pub(super) fn finish(self) -> Result<(), RpcError> {
        let Some((key, _)) = self.left.first() else { return Ok(()) };
        let known: Vec<String> = self.known.iter().map(|name| format!("'{name}'")).collect();
        // First what would be right: a long key is cut.
        let takes = match known.as_slice() {
            [] => "this method takes no arguments".to_owned(),
            known => format!("this method takes {}", known.join(", ")),
        };
        Err(RpcError::arguments(&format!("{takes}, and not '{key}'")))
    }
}

pub(super) fn wrong(name: &str, what: &str) -> RpcError {
    RpcError::arguments(&format!("'{name}' has to be {what}"))
}

fn not_of<T>(name: &str, words: &[(&str, T)]) -> RpcError {
    let words: Vec<String> = words.iter().map(|(word, _)| format!("'{word}'")).collect();
    wrong(name, &words.join(" or "))
}

/// An object's keys and values in the order given.
struct Keys(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Keys;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
                let mut keys: Vec<(String, Value)> = Vec::new();
                while let Some(key) = map.next_key::<String>()? {
                    if keys.iter().any(|(other, _)| *other == key) {
                        return Err(A::Error::custom(format_args!("'{key}' stands there twice")));
                    }
                    if keys.len() == KEYS_MAX {
                        return Err(A::Error::custom(format_args!("more than {KEYS_MAX} keys")));
                    }
                    keys.push((key, map.next_value()?));
                }
                Ok(Keys(keys))
            }
        }

        deserializer.deserialize_map(Object)
    }
}
