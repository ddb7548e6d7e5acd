//! What the server answers: `me/replies/{request}`.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::RpcError;
use crate::names::{ChatId, UserId};
use crate::payload::{Message, PayloadError, from_object, is_false, write_value};
use crate::role::Role;
use crate::seq::Seq;

/// An answer: `{"ok":{…}}` or `{"error":{"code","message"}}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer<T> {
    /// What was asked for.
    Ok(T),
    /// Why not.
    Error(RpcError),
}

impl<T: Serialize> Answer<T> {
    /// The JSON: no spaces.
    ///
    /// # Panics
    /// If `T` has no JSON form; all of this crate's have one.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(128);
        write_value(&mut out, self);
        out
    }
}

impl<T: DeserializeOwned> Answer<T> {
    /// Reads the JSON. Keys it does not know are passed over: a later server may add some.
    ///
    /// # Errors
    /// [`PayloadError`]: it is something else.
    pub fn from_json(json: &[u8]) -> Result<Self, PayloadError> {
        from_object(json)
    }
}

impl<T> From<Answer<T>> for Result<T, RpcError> {
    fn from(answer: Answer<T>) -> Self {
        match answer {
            Answer::Ok(value) => Ok(value),
            Answer::Error(error) => Err(error),
        }
    }
}

/// The bytes of a success: `{"ok":{…}}`.
///
/// # Panics
/// If the value has no JSON form; all of this crate's have one.
#[must_use]
pub fn answer_ok(value: &impl Serialize) -> Vec<u8> {
    Answer::Ok(value).to_json()
}

/// Where nothing more is to be said: `{}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Empty {}

/// To `groups.create`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Created {
    /// The group's name.
    pub chat: ChatId,
}

/// To `groups.add` and `groups.remove`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// Those whom it changed: the others were members before, or were not.
    pub members: Vec<UserId>,
}

/// To `chats.list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatList {
    /// Newest first.
    pub chats: Vec<ChatSummary>,
    /// The cursor of the next page; `None`: this is the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A chat in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatSummary {
    /// Which.
    pub chat: ChatId,
    /// A group's title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The place of its newest entry.
    pub head: Seq,
    /// How far it was delivered to the caller.
    pub delivered: Seq,
    /// How far he read.
    pub read: Seq,
    /// Messages of others beyond that.
    pub unread: u64,
    /// Until when he muted it, Unix milliseconds; JSON `muted_until`.
    #[serde(rename = "muted_until", skip_serializing_if = "Option::is_none")]
    pub muted_until_ms: Option<u64>,
    /// Its newest message, as it is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Box<Message>>,
}

/// To `chats.history`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct History {
    /// Rising, as they are now.
    pub messages: Vec<Message>,
}

/// To `chats.info`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatInfo {
    /// Which.
    pub chat: ChatId,
    /// A group's title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Its description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its picture's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub picture: Option<String>,
    /// Whether only admins may send; left out where all may.
    #[serde(default, skip_serializing_if = "is_false")]
    pub admins_only: bool,
    /// Seconds that its messages live; 0: no end.
    pub ttl_s: u32,
    /// Who is in it.
    pub members: Vec<MemberInfo>,
}

/// A member in a [`ChatInfo`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberInfo {
    /// Who.
    pub user: UserId,
    /// What he may do.
    pub role: Role,
    /// A device of his has acknowledged everything up to here.
    pub delivered: Seq,
    /// He has said that he read up to here.
    pub read: Seq,
}

/// To `users.profile`; what a user has not set is left out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Profile {
    /// What he wants to be called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What he says about himself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// His picture's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub picture: Option<String>,
}

/// To `devices.list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Devices {
    /// The caller's.
    pub devices: Vec<DeviceInfo>,
}

/// A device in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceInfo {
    /// Its MQTT client id.
    pub device: String,
    /// Whether it is connected.
    pub online: bool,
    /// When it was last, Unix milliseconds; JSON `last_seen`.
    #[serde(rename = "last_seen", skip_serializing_if = "Option::is_none")]
    pub last_seen_ms: Option<u64>,
    /// What is known of its program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use super::*;
    use crate::message_id::MessageId;
    use crate::payload::MessageRef;

    /// Written so, and read back as the same.
    fn check<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: T, json: &str) {
        let json = format!(r#"{{"ok":{json}}}"#);
        assert_eq!(String::from_utf8_lossy(&answer_ok(&value)), json);
        assert_eq!(Answer::from_json(json.as_bytes()), Ok(Answer::Ok(value)));
    }

    fn user(name: &str) -> UserId {
        UserId::try_from(name).expect("a user")
    }

    fn group() -> ChatId {
        ChatId::try_from("g-7k2m9x4q1zrt").expect("a chat")
    }

    const MESSAGE: &str = concat!(
        r#"{"chat":"g-7k2m9x4q1zrt","seq":7,"id":"0193a5f0-1c2b-7d3e-8f4a-5b6c7d8e9f00","#,
        r#""from":"alice","at":5,"type":"text/plain","body":"hi"}"#
    );

    fn message() -> Message {
        let id = MessageId::try_from("0193a5f0-1c2b-7d3e-8f4a-5b6c7d8e9f00").expect("an id");
        let (chat, from) = (group(), user("alice"));
        let bare = MessageRef::new(&chat, Seq(7), id, &from, 5, "text/plain");
        Message::from(&MessageRef { body: Some(b"hi"), ..bare })
    }

    #[test]
    fn are_as_the_contract_shows_them() {
        check(Empty {}, "{}");
        check(Created { chat: group() }, r#"{"chat":"g-7k2m9x4q1zrt"}"#);
        check(
            Changed { members: vec![user("bob"), user("carol")] },
            r#"{"members":["bob","carol"]}"#,
        );
        check(History { messages: vec![message()] }, &format!(r#"{{"messages":[{MESSAGE}]}}"#));
        check(Profile::default(), "{}");
        check(
            Profile {
                name: Some("Bob".to_owned()),
                about: Some(String::new()),
                picture: Some("p".to_owned()),
            },
            r#"{"name":"Bob","about":"","picture":"p"}"#,
        );
        let here =
            DeviceInfo { device: "a".to_owned(), online: true, last_seen_ms: None, client: None };
        let gone = DeviceInfo {
            online: false,
            last_seen_ms: Some(9),
            client: Some("MQTT 5".to_owned()),
            ..here.clone()
        };
        check(
            Devices { devices: vec![here, gone] },
            concat!(
                r#"{"devices":[{"device":"a","online":true},"#,
                r#"{"device":"a","online":false,"last_seen":9,"client":"MQTT 5"}]}"#
            ),
        );
    }

    #[test]
    fn chats_are_as_the_contract_shows_them() {
        let summary = ChatSummary {
            chat: group(),
            title: Some("Run".to_owned()),
            head: Seq(9),
            delivered: Seq(8),
            read: Seq(7),
            unread: 2,
            muted_until_ms: Some(6),
            last: Some(Box::new(message())),
        };
        let bare = ChatSummary { title: None, muted_until_ms: None, last: None, ..summary.clone() };
        let json = format!(
            concat!(
                r#"{{"chats":[{{"chat":"g-7k2m9x4q1zrt","title":"Run","head":9,"delivered":8,"#,
                r#""read":7,"unread":2,"muted_until":6,"last":{message}}},"#,
                r#"{{"chat":"g-7k2m9x4q1zrt","head":9,"delivered":8,"read":7,"unread":2}}],"#,
                r#""next":"c"}}"#
            ),
            message = MESSAGE
        );
        check(ChatList { chats: vec![summary, bare], next: Some("c".to_owned()) }, &json);
        check(ChatList { chats: vec![], next: None }, r#"{"chats":[]}"#);
        let member =
            MemberInfo { user: user("bob"), role: Role::Owner, delivered: Seq(2), read: Seq(1) };
        let info = ChatInfo {
            chat: group(),
            title: Some("Run".to_owned()),
            description: Some("d".to_owned()),
            picture: Some("p".to_owned()),
            admins_only: true,
            ttl_s: 60,
            members: vec![member],
        };
        let json = concat!(
            r#"{"chat":"g-7k2m9x4q1zrt","title":"Run","description":"d","picture":"p","#,
            r#""admins_only":true,"ttl_s":60,"#,
            r#""members":[{"user":"bob","role":"owner","delivered":2,"read":1}]}"#
        );
        check(info.clone(), json);
        let bare =
            ChatInfo { title: None, description: None, picture: None, admins_only: false, ..info };
        let bare = ChatInfo { ttl_s: 0, members: vec![], ..bare };
        check(bare, r#"{"chat":"g-7k2m9x4q1zrt","ttl_s":0,"members":[]}"#);
    }

    #[test]
    fn is_one_of_two() {
        let json = br#"{"error":{"code":135,"message":"no","hint":1}}"#;
        let answer = Answer::<Created>::from_json(json).expect("an answer");
        assert_eq!(Result::from(answer), Err(RpcError::new(0x87, "no")));
        assert_eq!(Result::from(Answer::Ok(7)), Ok(7));
        for bad in [
            "",
            "{}",
            "null",
            "[]",
            r#""ok""#,
            r#"{"ok":{}}"#,
            r#"{"ok":{"chat":"x"}}"#,
            r#"{"ok":{"chat":"a~b"},"error":{"code":1,"message":""}}"#,
            r#"{"error":{"code":256,"message":""}}"#,
            r#"{"error":{"code":1}}"#,
            r#"{"Ok":{"chat":"a~b"}}"#,
        ] {
            assert!(Answer::<Created>::from_json(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
