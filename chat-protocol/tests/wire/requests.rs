//! Every method's arguments: as the contract lists them, at their bounds, and wrong.

use bluetick_protocol::rpc::{
    ABOUT_CHARS_MAX, CHAT_TTL_S_MAX, CURSOR_BYTES_MAX, DESCRIPTION_CHARS_MAX, DEVICE_BYTES_MAX,
    LIMIT_DEFAULT, ListChats, MEMBERS_MAX, Method, Mute, NAME_CHARS_MAX, PICTURE_BYTES_MAX, Page,
    REQUEST_BYTES_MAX, ReadHistory, Request, RpcError, SetPrivacy, SetProfile, SetTtl,
    TITLE_CHARS_MAX,
};
use bluetick_protocol::{ChatId, Seq};
use serde_json::json;

const CHAT: &str = "g-7k2m9x4q1zrt";

fn chat() -> ChatId {
    ChatId::try_from(CHAT).expect("a chat")
}

fn parse(method: &str, json: &str) -> Result<Request, RpcError> {
    Request::parse(method, json.as_bytes())
}

fn refused(method: &str, json: &str) -> String {
    let error = parse(method, json).expect_err(json);
    assert_eq!(error.code, 0x99, "{method} {json}: {error}");
    error.message
}

#[test]
fn every_method_takes_what_the_contract_lists() {
    for (method, json) in [
        ("groups.create", r#"{"title":"Run","members":["bob","carol"]}"#),
        (
            "groups.create",
            r#"{"title":"Run","members":[],"description":"a\nb","picture":"https://example.org/p"}"#,
        ),
        ("groups.add", r#"{"chat":"g-7k2m9x4q1zrt","members":["bob"]}"#),
        ("groups.remove", r#"{"chat":"g-7k2m9x4q1zrt","members":["bob"]}"#),
        ("groups.leave", r#"{"chat":"g-7k2m9x4q1zrt"}"#),
        ("groups.set_role", r#"{"chat":"g-7k2m9x4q1zrt","user":"bob","role":"owner"}"#),
        ("groups.set_role", r#"{"chat":"g-7k2m9x4q1zrt","user":"bob","role":"admin"}"#),
        ("groups.set_role", r#"{"chat":"g-7k2m9x4q1zrt","user":"bob","role":"member"}"#),
        ("groups.update", r#"{"chat":"g-7k2m9x4q1zrt"}"#),
        (
            "groups.update",
            concat!(
                r#"{"chat":"g-7k2m9x4q1zrt","title":"T","description":"","picture":"","#,
                r#""admins_only":true}"#
            ),
        ),
        ("chats.list", r#"{"limit":7,"cursor":"c"}"#),
        ("chats.history", r#"{"chat":"alice~bob","before":17,"limit":100}"#),
        ("chats.history", r#"{"chat":"alice~bob","after":0,"limit":1}"#),
        ("chats.info", r#"{"chat":"alice~bob"}"#),
        ("chats.mute", r#"{"chat":"alice~bob","until":1764000000000}"#),
        ("chats.mute", r#"{"chat":"alice~bob","until":null}"#),
        ("chats.set_ttl", r#"{"chat":"alice~bob","ttl_s":60}"#),
        ("users.block", r#"{"user":"bob"}"#),
        ("users.unblock", r#"{"user":"bob"}"#),
        ("users.profile", r#"{"user":"bob"}"#),
        ("profile.set", r#"{"name":"Bob","about":"","picture":"p"}"#),
        ("privacy.set", r#"{"last_seen":"contacts","receipts":true}"#),
        ("privacy.set", r#"{"last_seen":"nobody","receipts":false}"#),
        ("devices.list", "{}"),
        ("devices.remove", r#"{"device":"bob-phone"}"#),
    ] {
        let request = parse(method, json).expect(json);
        assert_eq!(request.method().as_str(), method);
        assert_eq!(String::from_utf8_lossy(&request.to_json()), json, "{method}");
    }
}

#[test]
fn what_is_left_out_has_a_default() {
    let list = Request::ChatsList(ListChats { limit: LIMIT_DEFAULT, cursor: None });
    for json in ["", "{}", " { } ", r#"{"limit":null,"cursor":null}"#] {
        assert_eq!(parse("chats.list", json), Ok(list.clone()), "{json:?}");
    }
    assert_eq!(LIMIT_DEFAULT, 50);
    let history = ReadHistory { chat: chat(), page: Page::Newest, limit: 50 };
    let json = format!(r#"{{"before":null,"chat":"{CHAT}"}}"#);
    assert_eq!(parse("chats.history", &json), Ok(Request::ChatsHistory(history.clone())));
    let json = format!(r#"{{"before":null,"after":3,"chat":"{CHAT}"}}"#);
    let after = ReadHistory { page: Page::After(Seq(3)), ..history };
    assert_eq!(parse("chats.history", &json), Ok(Request::ChatsHistory(after)));
    assert_eq!(parse("profile.set", ""), Ok(Request::ProfileSet(SetProfile::default())));
    assert_eq!(parse("privacy.set", ""), Ok(Request::PrivacySet(SetPrivacy::default())));
    assert!(parse("devices.list", "").is_ok());
}

#[test]
fn null_is_a_value_where_the_contract_says_so() {
    let (mute, ttl) = (
        |until_ms| Request::ChatsMute(Mute { chat: chat(), until_ms }),
        |ttl_s| Request::ChatsSetTtl(SetTtl { chat: chat(), ttl_s }),
    );
    let with = |key: &str, value: &str| format!(r#"{{"chat":"{CHAT}","{key}":{value}}}"#);
    assert_eq!(parse("chats.mute", &with("until", "null")), Ok(mute(None)));
    let most = with("until", "18446744073709551615");
    assert_eq!(parse("chats.mute", &most), Ok(mute(Some(u64::MAX))));
    for (value, ttl_s) in [("null", 0), ("0", 0), ("31536000", CHAT_TTL_S_MAX)] {
        assert_eq!(parse("chats.set_ttl", &with("ttl_s", value)), Ok(ttl(ttl_s)));
    }
    // Neither may be forgotten: that is no way to say null.
    let bare = format!(r#"{{"chat":"{CHAT}"}}"#);
    assert!(refused("chats.mute", &bare).contains("'until' has to be"));
    assert!(refused("chats.set_ttl", &bare).contains("'ttl_s' has to be 0 to 31536000 seconds"));
}

#[test]
fn texts_are_taken_up_to_their_bounds() {
    // Of four bytes each, to tell characters from bytes.
    let wide = |chars: usize| "😀".repeat(chars);
    let bytes = |bytes: usize| "p".repeat(bytes);
    for (method, key, longest, over) in [
        ("groups.create", "title", wide(TITLE_CHARS_MAX), wide(TITLE_CHARS_MAX + 1)),
        ("groups.update", "title", wide(TITLE_CHARS_MAX), wide(TITLE_CHARS_MAX + 1)),
        (
            "groups.create",
            "description",
            wide(DESCRIPTION_CHARS_MAX),
            wide(DESCRIPTION_CHARS_MAX + 1),
        ),
        (
            "groups.update",
            "description",
            wide(DESCRIPTION_CHARS_MAX),
            wide(DESCRIPTION_CHARS_MAX + 1),
        ),
        ("groups.create", "picture", bytes(PICTURE_BYTES_MAX), wide(PICTURE_BYTES_MAX / 4 + 1)),
        ("groups.update", "picture", bytes(PICTURE_BYTES_MAX), bytes(PICTURE_BYTES_MAX + 1)),
        ("profile.set", "picture", bytes(PICTURE_BYTES_MAX), bytes(PICTURE_BYTES_MAX + 1)),
        ("profile.set", "name", wide(NAME_CHARS_MAX), wide(NAME_CHARS_MAX + 1)),
        ("profile.set", "about", wide(ABOUT_CHARS_MAX), wide(ABOUT_CHARS_MAX + 1)),
        ("chats.list", "cursor", bytes(CURSOR_BYTES_MAX), bytes(CURSOR_BYTES_MAX + 1)),
        ("devices.remove", "device", bytes(DEVICE_BYTES_MAX), bytes(DEVICE_BYTES_MAX + 1)),
    ] {
        let with = |value: serde_json::Value| {
            let mut json = match method {
                "groups.create" => json!({"title": "t", "members": []}),
                "groups.update" => json!({"chat": CHAT}),
                _ => json!({}),
            };
            json[key] = value;
            json.to_string()
        };
        assert!(parse(method, &with(json!(longest))).is_ok(), "{method} {key}");
        for bad in [json!(over), json!(7), json!([]), json!({}), json!(true)] {
            let message = refused(method, &with(bad));
            assert!(message.starts_with(&format!("'{key}' has to be ")), "{method}: {message}");
        }
    }
}

#[test]
fn members_are_bounded_and_each_once() {
    let list = |count: usize| {
        let names: Vec<String> = (0..count).map(|no| format!("u{no}")).collect();
        json!({"chat": CHAT, "members": names}).to_string()
    };
    assert!(parse("groups.add", &list(MEMBERS_MAX)).is_ok());
    assert!(refused("groups.add", &list(MEMBERS_MAX + 1)).contains("at most 1024 user names"));
    let twice = format!(r#"{{"chat":"{CHAT}","members":["bob","al","bob"]}}"#);
    let Ok(Request::GroupsAdd(add)) = parse("groups.add", &twice) else { panic!("{twice}") };
    let names: Vec<&str> = add.members.iter().map(|user| user.as_str()).collect();
    assert_eq!(names, ["bob", "al"]);
    // The longest valid names, of the longest valid title and text, written as wastefully as JSON
    // allows, fit into a request.
    let names: Vec<String> = (0..MEMBERS_MAX).map(|no| format!("{no:064}")).collect();
    let (title, about) =
        (r"\ud83d\ude00".repeat(TITLE_CHARS_MAX), r"\ud83d\ude00".repeat(DESCRIPTION_CHARS_MAX));
    let picture = r"\u0070".repeat(PICTURE_BYTES_MAX);
    let members = serde_json::to_string(&names).expect("texts");
    let json = format!(
        r#"{{"title":"{title}","members":{members},"description":"{about}","picture":"{picture}"}}"#
    );
    assert!(json.len() < REQUEST_BYTES_MAX && parse("groups.create", &json).is_ok());
}

#[test]
fn refusals_name_the_argument_and_say_what_would_be_right() {
    for (method, json, what) in [
        ("groups.create", r#"{"members":[]}"#, "'title' has to be text of 1 to 100 characters"),
        ("groups.create", r#"{"title":"","members":[]}"#, "'title' has to be text of 1 to 100"),
        ("groups.create", r#"{"title":"a\nb","members":[]}"#, "none of them a control character"),
        ("groups.create", r#"{"title":"a"}"#, "'members' has to be a list of at most 1024"),
        ("groups.create", r#"{"title":"a","members":"bob"}"#, "'members' has to be a list"),
        ("groups.create", r#"{"title":"a","members":[7]}"#, "'members' has to be a list"),
        ("groups.create", r#"{"title":"a","members":["Bob"]}"#, "a user name has 1 to 64"),
        ("groups.create", r#"{"title":"a","members":[],"picture":"\u0000"}"#, "'picture'"),
        ("groups.leave", "", "'chat' has to be the name of a chat"),
        ("groups.leave", r#"{"chat":7}"#, "'chat' has to be the name of a chat"),
        ("groups.leave", r#"{"chat":"bob~alice"}"#, "stand in byte order"),
        ("groups.set_role", r#"{"chat":"a~b","user":"b"}"#, "'role' has to be 'owner' or"),
        ("groups.set_role", r#"{"chat":"a~b","user":"b","role":"Owner"}"#, "or 'member'"),
        ("groups.set_role", r#"{"chat":"a~b","role":"owner"}"#, "'user' has to be"),
        ("groups.update", r#"{"chat":"a~b","title":""}"#, "'title' has to be"),
        ("groups.update", r#"{"chat":"a~b","admins_only":1}"#, "true or false"),
        ("chats.list", r#"{"limit":0}"#, "'limit' has to be a whole number from 1 to 100"),
        ("chats.list", r#"{"limit":101}"#, "1 to 100"),
        ("chats.list", r#"{"limit":65586}"#, "1 to 100"),
        ("chats.list", r#"{"limit":-1}"#, "1 to 100"),
        ("chats.list", r#"{"limit":1.5}"#, "1 to 100"),
        ("chats.list", r#"{"limit":"5"}"#, "1 to 100"),
        ("chats.list", r#"{"cursor":""}"#, "'cursor' has to be the 'next'"),
        (
            "chats.history",
            r#"{"chat":"a~b","before":2,"after":1}"#,
            "'before' or 'after', not both",
        ),
        ("chats.history", r#"{"chat":"a~b","before":"2"}"#, "'before' has to be a seq"),
        ("chats.history", r#"{"chat":"a~b","after":-1}"#, "'after' has to be a seq"),
        ("chats.mute", r#"{"chat":"a~b","until":-1}"#, "Unix milliseconds, or null"),
        ("chats.mute", r#"{"chat":"a~b","until":1e3}"#, "'until'"),
        ("chats.set_ttl", r#"{"chat":"a~b","ttl_s":31536001}"#, "0 to 31536000 seconds"),
        ("chats.set_ttl", r#"{"chat":"a~b","ttl_s":"60"}"#, "0 to 31536000 seconds"),
        ("users.block", r#"{"user":""}"#, "a user name has 1 to 64"),
        ("profile.set", r#"{"name":"\u202a\u0007"}"#, "'name' has to be"),
        ("privacy.set", r#"{"last_seen":"all"}"#, "'contacts' or 'nobody'"),
        ("privacy.set", r#"{"receipts":"no"}"#, "'receipts' has to be true or false"),
        ("devices.remove", r#"{"device":""}"#, "as devices.list names it: 1 to 256 bytes"),
        ("devices.list", r#"{"device":"a"}"#, "takes no arguments, and not 'device'"),
        ("chats.info", r#"{"chat":"a~b","limit":1}"#, "takes 'chat', and not 'limit'"),
        ("chats.info", r#"{"chat":"a~b","colour":null}"#, "not 'colour'"),
        ("chats.info", r#"{"chat":"a~b","chat":"a~b"}"#, "'chat' stands there twice"),
    ] {
        let message = refused(method, json);
        assert!(message.contains(what), "{method} {json}: {message}");
    }
}

#[test]
fn what_is_no_object_is_refused() {
    let keys: Vec<String> = (0..17).map(|no| format!("\"k{no}\":1")).collect();
    let many = format!("{{{}}}", keys.join(","));
    let (deep, long) = ("[".repeat(10_000), "k".repeat(10_000));
    let (deep, long) = (format!("{{\"chat\":{deep}"), format!(r#"{{"{long}":1}}"#));
    for method in Method::ALL {
        for bad in [
            "null",
            "[]",
            "7",
            "\"\"",
            " ",
            "{",
            "}",
            "{}x",
            "{\"a\"}",
            "\0",
            "{\"\\u0000\":1}",
            &many,
            &deep,
            &long,
        ] {
            let message = refused(method.as_str(), bad);
            let bounded = !message.is_empty() && message.len() < 300;
            assert!(bounded && !message.contains(char::is_control), "{method}: {message}");
        }
        let error = Request::parse(method.as_str(), b"{\"chat\":\"\xff\"}").expect_err("no UTF-8");
        assert_eq!(error.code, 0x99);
        let large = " ".repeat(REQUEST_BYTES_MAX + 1);
        let error = parse(method.as_str(), &large).expect_err("too large");
        assert_eq!((error.code, error.message.contains("131072 bytes")), (0x95, true));
    }
    let error = parse("groups.destroy", "{").expect_err("unknown");
    assert_eq!(error.code, 0x90);
}
