//! Everything that the server's own types can say is in the document, also what no traffic of the tests
//! shows, up to the bounds; and what they cannot say is not.

use bluetick_asyncapi::{Direction, Document};
use bluetick_protocol::rpc::{
    ABOUT_CHARS_MAX, Answer, CHAT_TTL_S_MAX, Changed, ChatInfo, ChatList, ChatSummary, Created,
    DESCRIPTION_CHARS_MAX, DEVICE_BYTES_MAX, DeviceInfo, Devices, Empty, History, LIMIT_MAX,
    MEMBERS_MAX, MemberInfo, NAME_CHARS_MAX, PICTURE_BYTES_MAX, Profile, Request, RpcError,
    TITLE_CHARS_MAX, answer_ok,
};
use bluetick_protocol::{
    CONTENT_TYPE_BYTES_MAX, ChatId, Event, MENTIONS_MAX, Message, MessageId, MessageRef, Presence,
    REACTION_BYTES_MAX, Receipt, ReceiptCount, Refusal, Role, SendAck, SendJson, Seq, TTL_S_MAX,
    Typing, UserId, compact,
};
use serde_json::Value;

const GROUP: &str = "g-7k2m9x4q1zrt";

fn check(direction: Direction, topic: &str, payload: &[u8]) -> Result<(), String> {
    let checked = Document::get().check(direction, topic, payload, None);
    checked.map_err(|mismatch| mismatch.to_string())
}

fn told(topic: &str, payload: &[u8]) {
    check(Direction::ToClient, topic, payload).unwrap_or_else(|error| panic!("{error}"));
}

fn said(topic: &str, payload: &[u8]) {
    check(Direction::ToServer, topic, payload).unwrap_or_else(|error| panic!("{error}"));
}

fn answered(method: &str, payload: &[u8]) {
    let checked = Document::get().check(Direction::ToClient, "me/replies/1", payload, Some(method));
    checked.unwrap_or_else(|error| panic!("{method}: {error}"));
}

fn user(name: &str) -> UserId {
    UserId::try_from(name).expect("a user")
}

fn users(count: usize) -> Vec<UserId> {
    (0..count).map(|no| user(&format!("u{no}"))).collect()
}

fn chat(name: &str) -> ChatId {
    ChatId::try_from(name).expect("a chat")
}

fn id() -> MessageId {
    MessageId::try_from("0193a5f0-1c2b-7d3e-8f4a-5b6c7d8e9f00").expect("an id")
}

fn events() -> Vec<Event> {
    let title = Some("ü".repeat(TITLE_CHARS_MAX));
    vec![
        Event::Created { members: users(MEMBERS_MAX + 1), title: title.clone() },
        Event::Added { members: users(MEMBERS_MAX) },
        Event::Removed { members: users(1) },
        Event::Left,
        Event::Role { user: user("bob"), role: Role::Owner },
        Event::Role { user: user("bob"), role: Role::Member },
        Event::Updated {
            title,
            description: Some("ü".repeat(DESCRIPTION_CHARS_MAX)),
            picture: Some("p".repeat(PICTURE_BYTES_MAX)),
            admins_only: Some(true),
            ttl_s: Some(CHAT_TTL_S_MAX),
        },
        Event::Updated {
            title: None,
            description: Some(String::new()),
            picture: None,
            admins_only: None,
            ttl_s: None,
        },
    ]
}

/// Gives every kind of entry, in both dialects, to `see`: topic and payload.
fn entries(mut see: impl FnMut(&MessageRef<'_>)) {
    let (direct, group, alice) = (chat("alice~bob"), chat(GROUP), user("alice"));
    let mentions = users(MENTIONS_MAX);
    let long_type = "t".repeat(CONTENT_TYPE_BYTES_MAX);
    for chat in [&direct, &group] {
        let bare = MessageRef::new(chat, Seq(u64::MAX), id(), &alice, u64::MAX, "text/plain");
        let text = MessageRef { body: Some("hi\0\u{1F600}".as_bytes()), ..bare };
        see(&MessageRef { body: Some(b""), after: Some(Seq(0)), ..bare });
        see(&MessageRef { content_type: &long_type, body: Some(b"\xff\xd8\xff"), ..bare });
        see(&MessageRef {
            reply_to: Some(Seq(1)),
            mentions: &mentions,
            expires_at_ms: Some(1),
            after: Some(Seq(4)),
            ..text
        });
        see(&MessageRef { edit_of: Some(Seq(1)), ..text });
        see(&MessageRef { edit_of: Some(Seq(1)), deleted: true, ..bare });
        let reaction = "a".repeat(REACTION_BYTES_MAX);
        see(&MessageRef { react_to: Some(Seq(1)), body: Some(reaction.as_bytes()), ..bare });
        see(&MessageRef { react_to: Some(Seq(1)), body: Some(b""), ..bare });
        see(&MessageRef { delete_of: Some(Seq(1)), ..bare });
        see(&MessageRef { deleted: true, ..bare });
        see(&MessageRef { omitted_bytes: Some(0), ..bare });
        // What has no body has none to be left out either, and may still be too large.
        see(&MessageRef { omitted_bytes: Some(0), delete_of: Some(Seq(1)), ..bare });
        for event in &events() {
            see(&MessageRef { event: Some(event), ..bare });
        }
    }
}

#[test]
fn entries_in_both_dialects() {
    entries(|message| {
        let mut json = Vec::new();
        message.write_json(&mut json);
        told(&format!("chats/{}/messages", message.chat), &json);
        for reader in ["alice", "bob", "carol"] {
            let mut cbor = Vec::new();
            message.write_compact(&user(reader), &mut cbor);
            told(&format!("c/{}/m", message.chat), &cbor);
            let topic = format!("c/{}/m/d", message.chat);
            told(&topic, &cbor);
            for (seq, after) in [(7, None), (9, Some(Seq(6)))] {
                let message = MessageRef { seq: Seq(seq), after, ..*message };
                let last = compact::LastMessage::new(Seq(6), message.at_ms.saturating_sub(30_000));
                cbor.clear();
                assert!(message.write_difference(last, &user(reader), &mut cbor));
                told(&topic, &cbor);
            }
        }
        if message.after.is_none() && message.omitted_bytes.is_none() {
            let messages = vec![Message::from(message)];
            answered("chats.history", &answer_ok(&History { messages }));
        }
    });
}

#[test]
fn notices_in_both_dialects() {
    let (direct, group) = (chat("alice~bob"), chat(GROUP));
    for chat in [&direct, &group] {
        let ack = SendAck { chat: chat.clone(), id: id(), seq: Seq(1), at_ms: 1, duplicate: true };
        told("me/acks", &ack.to_json());
        for (delivered, read) in [(0, 0), (7, 7), (u64::MAX, 1)] {
            let (delivered, read) = (Seq(delivered), Seq(read));
            let receipt =
                Receipt { chat: chat.clone(), user: user("bob"), delivered, read, at_ms: 5 };
            told(&format!("chats/{chat}/receipts"), &receipt.to_json());
            for reader in ["alice", "bob"] {
                let mut cbor = Vec::new();
                receipt.write_compact(&user(reader), &mut cbor);
                told(&format!("c/{chat}/r"), &cbor);
                let topic = format!("c/{chat}/r/d");
                told(&topic, &cbor);
                for (more, read) in [(0, 0), (0, 5), (1, 0), (9, 0), (9, 1)] {
                    let delivered = Seq(100 + more);
                    let last = Receipt { delivered: Seq(100), read: Seq(95), ..receipt.clone() };
                    let read = Seq(95 + read);
                    let receipt = Receipt { delivered, read, ..receipt.clone() };
                    cbor.clear();
                    let last = compact::LastReceipt::of(&last);
                    assert!(receipt.write_difference(last, &user(reader), &mut cbor));
                    told(&topic, &cbor);
                }
            }
        }
        let count = ReceiptCount { chat: chat.clone(), seq: Seq(7), delivered_by: 900, read_by: 0 };
        told(&format!("chats/{chat}/receipts"), &count.to_json());
        let mut cbor = Vec::new();
        count.write_compact(&mut cbor);
        told(&format!("c/{chat}/r"), &cbor);
        told(&format!("c/{chat}/r/d"), &cbor);
        for typing in [true, false] {
            let notice = Typing { chat: chat.clone(), user: user("bob"), typing };
            told(&format!("chats/{chat}/typing"), &notice.to_json());
            let notice = compact::TypingNotice { chat: chat.clone(), user: user("bob"), typing };
            let mut cbor = Vec::new();
            notice.write_compact(&user("alice"), &mut cbor);
            told(&format!("c/{chat}/t"), &cbor);
        }
    }
    for (online, last_seen_ms) in [(true, None), (false, Some(1)), (false, None)] {
        let presence = Presence { user: user("bob"), online, last_seen_ms };
        told("users/bob/presence", &presence.to_json());
    }
    let refusal = Refusal {
        topic: "x".to_owned(),
        packet_id: u16::MAX,
        code: 0x99,
        message: "no".to_owned(),
    };
    told("me/errors", &refusal.to_json());
}

#[test]
fn answers() {
    let member = |no: usize| MemberInfo {
        user: user(&format!("u{no}")),
        role: Role::Admin,
        delivered: Seq(0),
        read: Seq(0),
    };
    let bare = ChatInfo {
        chat: chat("alice~bob"),
        title: None,
        description: None,
        picture: None,
        admins_only: false,
        ttl_s: 0,
        members: vec![member(0)],
    };
    let full = ChatInfo {
        title: Some("t".repeat(TITLE_CHARS_MAX)),
        description: Some("a\nb".to_owned()),
        picture: Some("p".to_owned()),
        admins_only: true,
        ttl_s: CHAT_TTL_S_MAX,
        members: (0..2000).map(member).collect(),
        ..bare.clone()
    };
    answered("chats.info", &answer_ok(&bare));
    answered("chats.info", &answer_ok(&full));
    let (group, alice) = (chat(GROUP), user("alice"));
    let last = MessageRef::new(&group, Seq(7), id(), &alice, 5, "text/plain");
    let last = Message::from(&MessageRef { body: Some(b"hi"), ..last });
    let summary = ChatSummary {
        chat: group.clone(),
        title: Some("Run".to_owned()),
        head: Seq(9),
        delivered: Seq(0),
        read: Seq(0),
        unread: 1000,
        muted_until_ms: Some(6),
        last: Some(Box::new(last.clone())),
    };
    let chats = vec![summary; usize::from(LIMIT_MAX)];
    answered("chats.list", &answer_ok(&ChatList { chats, next: Some("1.2".to_owned()) }));
    answered("chats.list", &answer_ok(&ChatList { chats: vec![], next: None }));
    let messages = vec![last; usize::from(LIMIT_MAX)];
    answered("chats.history", &answer_ok(&History { messages }));
    answered("groups.create", &answer_ok(&Created { chat: group }));
    for members in [users(0), users(MEMBERS_MAX)] {
        answered("groups.add", &answer_ok(&Changed { members }));
    }
    answered("groups.leave", &answer_ok(&Empty {}));
    answered("users.profile", &answer_ok(&Profile::default()));
    let profile = Profile {
        name: Some("n".repeat(NAME_CHARS_MAX)),
        about: Some("a".repeat(ABOUT_CHARS_MAX)),
        picture: None,
    };
    answered("users.profile", &answer_ok(&profile));
    let device = DeviceInfo {
        device: "d".repeat(DEVICE_BYTES_MAX),
        online: false,
        last_seen_ms: Some(1),
        client: Some("MQTT 5".to_owned()),
    };
    answered("devices.list", &answer_ok(&Devices { devices: vec![device] }));
    for code in [0x83, 0x87, 0x90, 0x95, 0x97, 0x99] {
        let error = Answer::<Empty>::Error(RpcError::new(code, &"ключ\0".repeat(1000)));
        answered("chats.mute", &error.to_json());
    }
}

/// The document and [`Request::parse`] take the same arguments.
#[test]
fn arguments() {
    let long = |length: usize| "a".repeat(length);
    let names = |count| serde_json::to_string(&users(count)).expect("names");
    let cases = [
        ("groups.create", format!(r#"{{"title":"{}","members":[]}}"#, long(TITLE_CHARS_MAX)), true),
        ("groups.create", format!(r#"{{"title":"{}","members":[]}}"#, long(101)), false),
        ("groups.create", r#"{"title":"","members":[]}"#.to_owned(), false),
        ("groups.create", r#"{"title":"a\nb","members":[]}"#.to_owned(), false),
        ("groups.create", r#"{"title":"x"}"#.to_owned(), false),
        ("groups.add", format!(r#"{{"chat":"{GROUP}","members":{}}}"#, names(MEMBERS_MAX)), true),
        ("groups.add", format!(r#"{{"chat":"{GROUP}","members":{}}}"#, names(1025)), false),
        ("groups.add", format!(r#"{{"chat":"{GROUP}","members":["Bob"]}}"#), false),
        ("groups.set_role", r#"{"chat":"a~b","user":"b","role":"admin"}"#.to_owned(), true),
        ("groups.set_role", r#"{"chat":"a~b","user":"b","role":"Admin"}"#.to_owned(), false),
        ("groups.update", format!(r#"{{"chat":"a~b","description":"{}"}}"#, long(1000)), true),
        ("groups.update", format!(r#"{{"chat":"a~b","description":"{}"}}"#, long(1001)), false),
        ("groups.update", format!(r#"{{"chat":"a~b","picture":"{}"}}"#, long(512)), true),
        ("groups.update", format!(r#"{{"chat":"a~b","picture":"{}"}}"#, long(513)), false),
        ("groups.leave", r#"{"chat":"a~b","force":true}"#.to_owned(), false),
        ("chats.list", r#"{"limit":100}"#.to_owned(), true),
        ("chats.list", r#"{"limit":101}"#.to_owned(), false),
        ("chats.list", r#"{"limit":0}"#.to_owned(), false),
        ("chats.list", format!(r#"{{"cursor":"{}"}}"#, long(256)), true),
        ("chats.list", format!(r#"{{"cursor":"{}"}}"#, long(257)), false),
        ("chats.history", r#"{"chat":"a~b","before":0}"#.to_owned(), true),
        ("chats.history", r#"{"chat":"a~b","before":2,"after":1}"#.to_owned(), false),
        ("chats.mute", r#"{"chat":"a~b","until":null}"#.to_owned(), true),
        ("chats.mute", r#"{"chat":"a~b"}"#.to_owned(), false),
        ("chats.set_ttl", r#"{"chat":"a~b","ttl_s":31536000}"#.to_owned(), true),
        ("chats.set_ttl", r#"{"chat":"a~b","ttl_s":31536001}"#.to_owned(), false),
        ("users.block", r#"{"user":"bob"}"#.to_owned(), true),
        ("users.profile", r#"{"user":"~"}"#.to_owned(), false),
        ("profile.set", format!(r#"{{"name":"{}","about":"{}"}}"#, long(100), long(500)), true),
        ("profile.set", format!(r#"{{"name":"{}"}}"#, long(101)), false),
        ("profile.set", format!(r#"{{"about":"{}"}}"#, long(501)), false),
        ("privacy.set", r#"{"last_seen":"nobody","receipts":false}"#.to_owned(), true),
        ("privacy.set", r#"{"last_seen":"everybody"}"#.to_owned(), false),
        ("devices.list", "{}".to_owned(), true),
        ("devices.list", r#"{"limit":1}"#.to_owned(), false),
        ("devices.remove", format!(r#"{{"device":"{}"}}"#, long(DEVICE_BYTES_MAX)), true),
        ("devices.remove", format!(r#"{{"device":"{}"}}"#, long(DEVICE_BYTES_MAX + 1)), false),
    ];
    for (method, arguments, right) in cases {
        let parsed = Request::parse(method, arguments.as_bytes());
        assert_eq!(parsed.is_ok(), right, "the server: {method} {arguments:.200} {parsed:?}");
        for topic in [format!("rpc/{method}"), format!("rpc/{method}/1")] {
            let checked = check(Direction::ToServer, &topic, arguments.as_bytes());
            assert_eq!(checked.is_ok(), right, "the document: {topic} {checked:?}");
        }
        // What clients write is within it, too.
        if let Ok(request) = parsed {
            said(&format!("rpc/{method}"), &request.to_json());
        }
    }
}

#[test]
fn sends_in_both_dialects() {
    let send = SendJson {
        id: Some(id()),
        content_type: Some("t".repeat(CONTENT_TYPE_BYTES_MAX)),
        body: b"hi".to_vec(),
        reply_to: Some(Seq(1)),
        mentions: users(MENTIONS_MAX),
        ttl_s: Some(TTL_S_MAX),
    };
    let bytes = SendJson { body: b"\xff".to_vec(), mentions: vec![], ..send.clone() };
    for send in [&send, &bytes] {
        said("chats/alice~bob/send.json", &send.to_json());
        let content_type = send.content_type.as_deref().unwrap_or_default();
        let compact = compact::SendRef {
            id: send.id,
            reply_to: send.reply_to,
            mentions: send.mentions.clone(),
            ttl_s: send.ttl_s,
            ..compact::SendRef::new(&send.body, content_type)
        };
        said("c/alice~bob/s", &compact.to_compact());
    }
    said("c/alice~bob/s", &compact::SendRef::text("hi").to_compact());
    said("c/alice~bob/d", &compact::read_payload(Seq(0)));
    said("c/alice~bob/d", b"");
    said("c/alice~bob/t", &compact::typing_payload(false));
    let wrong = |topic: &str, payload: &[u8]| {
        assert!(check(Direction::ToServer, topic, payload).is_err(), "{topic} {payload:?}");
    };
    for json in [
        "{}",
        r#"{"body":"a","body_base64":""}"#,
        r#"{"body":"a","text":"b"}"#,
        r#"{"body":"a","ttl_s":0}"#,
        r#"{"body":"a","ttl_s":315360001}"#,
        r#"{"body":"a","reply_to":0}"#,
        r#"{"body":"a","id":"7"}"#,
        r#"{"body_base64":"eA"}"#,
    ] {
        assert!(SendJson::from_json(json.as_bytes()).is_err(), "{json}");
        wrong("chats/alice~bob/send.json", json.as_bytes());
    }
    for (topic, right, bad) in [
        ("chats/a~b/read", &b"17"[..], &b"+1"[..]),
        ("chats/a~b/typing", b"1", b"true"),
        ("chats/a~b/react/1", "👍".as_bytes(), b"a b"),
        ("chats/a~b/delete/1", b"", b"please"),
        ("c/a~b/s", b"\x42\xff\xfe", b"\x07"),
        ("c/a~b/d", b"\x07", b"7"),
        ("c/a~b/t", b"\xf5", b"1"),
    ] {
        said(topic, right);
        wrong(topic, bad);
    }
    for any in [&b""[..], b"\xff\0", b"{}"] {
        said("chats/a~b/send", any);
        said("users/b/send/0193A5F0-1c2b-7d3e-8f4a-5b6c7d8e9f00", any);
        said("chats/a~b/edit/7", any);
    }
}

/// One thing wrong in each: a key more, a key less, a value of another kind or out of bounds, two that
/// exclude each other, a place where nothing is said.
#[test]
fn what_the_server_must_not_say() {
    let message = concat!(
        r#"{"chat":"a~b","seq":7,"id":"0193a5f0-1c2b-7d3e-8f4a-5b6c7d8e9f00","from":"a","at":5,"#,
        r#""type":"text/plain","body":"hi","edit_of":3,"after":4}"#
    );
    told("chats/a~b/messages", message.as_bytes());
    for (was, is) in [
        (r#""edit_of":3"#, r#""colour":3"#),
        (r#""edit_of":3"#, r#""edit_of":0"#),
        (r#""edit_of":3"#, r#""mentions":[]"#),
        (r#""edit_of":3"#, r#""deleted":true"#),
        (r#""edit_of":3"#, r#""omitted":2"#),
        (r#""edit_of":3"#, r#""react_to":1,"edit_of":1"#),
        (r#""edit_of":3"#, r#""event":{"kind":"left"}"#),
        (r#""body":"hi","#, ""),
        (r#""body":"hi""#, r#""body_base64":"""#),
        (r#""body":"hi""#, r#""event":{"kind":"painted"}"#),
        (r#""body":"hi""#, r#""event":{"kind":"left","members":[]}"#),
        (r#""from":"a","#, ""),
        (r#""from":"a""#, r#""from":"A""#),
        (r#""a~b""#, r#""a""#),
        ("0193a5f0", "0193A5F0"),
        (r#""seq":7"#, r#""seq":"7""#),
        (r#""seq":7"#, r#""seq":0"#),
        ("text/plain", ""),
        ("text/plain", r"a\u0000"),
    ] {
        let broken = message.replacen(was, is, 1);
        assert_ne!(broken, message, "{was}");
        assert!(serde_json::from_str::<Value>(&broken).is_ok(), "{broken}");
        let error = check(Direction::ToClient, "chats/a~b/messages", broken.as_bytes());
        let error = error.expect_err(&broken);
        // All that one needs to find it: where, what, which rule.
        assert!(error.contains("chats/a~b/messages to a client"), "{error}");
        assert!(error.contains("#/components/schemas/"), "{error}");
        assert!(error.contains(r#"\"chat\":"#), "{error}");
    }
    for topic in ["chats/a~b/send", "chats/a~b/nothing", "me/replies", "plain"] {
        assert!(check(Direction::ToClient, topic, message.as_bytes()).is_err(), "{topic}");
    }
    assert!(check(Direction::ToServer, "chats/a~b/messages", message.as_bytes()).is_err());
    for (topic, payload) in [
        ("me/acks", r#"{"chat":"a~b","seq":1,"at":5,"duplicate":false}"#),
        ("chats/a~b/receipts", r#"{"chat":"a~b","user":"a","delivered":1,"read":-1,"at":5}"#),
        ("chats/a~b/receipts", r#"{"chat":"a~b","seq":1,"delivered_by":1,"read_by":1,"at":5}"#),
        ("users/a/presence", r#"{"user":"a","online":true,"last_seen":5}"#),
        ("me/errors", r#"{"topic":"t","packet_id":65536,"code":135,"message":"m"}"#),
        ("me/replies/1", r#"{"ok":{},"error":{"code":135,"message":"m"}}"#),
        ("me/replies/1", r#"{"error":{"code":0,"message":"m"}}"#),
        ("me/replies/1", "null"),
        ("c/a~b/m", "\u{1}"),
    ] {
        assert!(check(Direction::ToClient, topic, payload.as_bytes()).is_err(), "{payload}");
    }
    // An id for one who is not its author, and an author's message without one.
    for cbor in
        [&b"\xa4\0\x07\x01\x05\x02\x62hi\x03\0"[..], b"\xa3\0\x07\x01\x05\x05\x50aaaaaaaaaaaaaaaa"]
    {
        assert!(check(Direction::ToClient, "c/a~b/m", cbor).is_err(), "{cbor:x?}");
    }
}

#[test]
fn a_puback_says_where_the_message_is() {
    let check = |properties: &[(&str, &str)]| {
        let owned =
            properties.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Document::get().check_puback("chats/a~b/send", &owned.collect::<Vec<_>>())
    };
    assert!(check(&[("seq", "1"), ("at", "5")]).is_ok());
    assert!(check(&[("seq", "1"), ("at", "5"), ("duplicate", "1")]).is_ok());
    for bad in [
        &[("seq", "1")][..],
        &[("seq", "0"), ("at", "5")],
        &[("seq", "1"), ("at", "5"), ("duplicate", "0")],
        &[("seq", "1"), ("at", "5"), ("id", "x")],
    ] {
        assert!(check(bad).is_err(), "{bad:?}");
    }
}
