//! What happened in a group.

use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::names::UserId;
use crate::role::Role;

/// Something that happened in a group: an entry of its log; who did it is the entry's `from`.
///
/// JSON: `{"kind":"added","members":["carol"]}`. Source: docs/protocol.md "Receiving".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Event {
    /// It was made.
    Created {
        /// Its first members, the owner among them.
        members: Vec<UserId>,
        /// Its title, if it was given one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        title: Option<String>,
    },
    /// Members joined.
    Added {
        /// Who.
        members: Vec<UserId>,
    },
    /// Members were removed.
    Removed {
        /// Who.
        members: Vec<UserId>,
    },
    /// The entry's `from` left.
    Left,
    /// A member was given a role.
    Role {
        /// Who.
        user: UserId,
        /// Which he has now.
        role: Role,
    },
    /// What the group is, or what holds in it, was changed; what is left out is as it was.
    Updated {
        /// Its title.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        title: Option<String>,
        /// Its description; empty: it has none any more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        description: Option<String>,
        /// Its picture; empty: it has none any more.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        picture: Option<String>,
        /// Whether only admins may send.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        admins_only: Option<bool>,
        /// Seconds that its messages live from now on; 0: no end.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        ttl_s: Option<u32>,
    },
}

impl Event {
    /// Each variant's `kind`.
    const KINDS: [&str; 6] = ["created", "added", "removed", "left", "role", "updated"];
}

/// `None` for a kind of which this version has not heard: the entry has its place all the same,
/// so an older client must be able to read it. A known kind that is malformed is an error.
pub(super) fn known<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Event>, D::Error> {
    let Some(value) = Option::<Value>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let kind = value.get("kind").and_then(Value::as_str);
    let kind = kind.ok_or_else(|| D::Error::custom("'event' has to be an object with a 'kind'"))?;
    if Event::KINDS.contains(&kind) {
        Event::deserialize(value).map(Some).map_err(D::Error::custom)
    } else {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events() -> Vec<(Event, &'static str)> {
        let members: Vec<UserId> =
            ["bob", "carol"].map(|name| UserId::try_from(name).expect("a user")).into();
        let title = Some("Friday \"run\"".to_owned());
        vec![
            (
                Event::Created { members: members.clone(), title },
                r#"{"kind":"created","members":["bob","carol"],"title":"Friday \"run\""}"#,
            ),
            (
                Event::Created { members: members.clone(), title: None },
                r#"{"kind":"created","members":["bob","carol"]}"#,
            ),
            (
                Event::Added { members: members.clone() },
                r#"{"kind":"added","members":["bob","carol"]}"#,
            ),
            (Event::Removed { members }, r#"{"kind":"removed","members":["bob","carol"]}"#),
            (Event::Left, r#"{"kind":"left"}"#),
            (
                Event::Role { user: UserId::try_from("bob").expect("a user"), role: Role::Admin },
                r#"{"kind":"role","user":"bob","role":"admin"}"#,
            ),
            (
                Event::Updated {
                    title: Some("Run".to_owned()),
                    description: Some(String::new()),
                    picture: Some("https://example.org/p.png".to_owned()),
                    admins_only: Some(false),
                    ttl_s: Some(0),
                },
                concat!(
                    r#"{"kind":"updated","title":"Run","description":"","#,
                    r#""picture":"https://example.org/p.png","admins_only":false,"ttl_s":0}"#
                ),
            ),
            (
                Event::Updated {
                    title: None,
                    description: None,
                    picture: None,
                    admins_only: None,
                    ttl_s: Some(60),
                },
                r#"{"kind":"updated","ttl_s":60}"#,
            ),
        ]
    }

    /// Named in a match without a wildcard: a new variant has to be added here, and so to `KINDS`.
    fn kind(event: &Event) -> &'static str {
        match event {
            Event::Created { .. } => "created",
            Event::Added { .. } => "added",
            Event::Removed { .. } => "removed",
            Event::Left => "left",
            Event::Role { .. } => "role",
            Event::Updated { .. } => "updated",
        }
    }

    fn read(json: &str) -> Result<Option<Event>, serde_json::Error> {
        known(&mut serde_json::Deserializer::from_str(json))
    }

    #[test]
    fn come_back_from_json() {
        for (event, json) in events() {
            assert_eq!(serde_json::to_string(&event).expect("an object"), json);
            assert_eq!(read(json).expect("an event"), Some(event.clone()));
            assert!(Event::KINDS.contains(&kind(&event)));
        }
    }

    #[test]
    fn an_unknown_kind_is_passed_over_and_a_malformed_one_is_not() {
        for json in ["null", r#"{"kind":"painted","by":"bob"}"#, r#"{"kind":"Left"}"#] {
            assert_eq!(read(json).expect("readable"), None, "{json}");
        }
        // Keys to come are no error.
        let json = r#"{"kind":"left","why":"asleep"}"#;
        assert_eq!(read(json).expect("an event"), Some(Event::Left));
        for json in [
            "{}",
            "[]",
            "7",
            r#"{"kind":7}"#,
            r#"{"kind":"added"}"#,
            r#"{"kind":"role","user":"bob"}"#,
            r#"{"kind":"role","user":"bob","role":"Owner"}"#,
            r#"{"kind":"updated","ttl_s":-1}"#,
        ] {
            assert!(read(json).is_err(), "{json}");
        }
    }
}
