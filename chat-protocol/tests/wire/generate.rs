//! Random values, all of them valid.

use bluetick_protocol::rpc::{
    ABOUT_CHARS_MAX, CHAT_TTL_S_MAX, ChangeMembers, CreateGroup, DESCRIPTION_CHARS_MAX,
    DEVICE_BYTES_MAX, LIMIT_MAX, LastSeen, ListChats, Method, Mute, NAME_CHARS_MAX, NoArguments,
    OfChat, OfUser, PICTURE_BYTES_MAX, Page, ReadHistory, RemoveDevice, Request, SetPrivacy,
    SetProfile, SetRole, SetTtl, TITLE_CHARS_MAX, UpdateGroup,
};
use bluetick_protocol::{
    ChatId, Event, MENTIONS_MAX, MessageId, Role, SendJson, Seq, TTL_S_MAX, UserId,
};
use fastrand::Rng;

pub(crate) fn user(rng: &mut Rng) -> UserId {
    const FIRST: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    const REST: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789._-";
    let mut name = String::from(char::from(FIRST[rng.usize(..FIRST.len())]));
    for _ in 0..rng.usize(..64) {
        name.push(char::from(REST[rng.usize(..REST.len())]));
    }
    UserId::try_from(name).expect("of the alphabet")
}

pub(crate) fn chat(rng: &mut Rng) -> ChatId {
    if rng.bool() {
        return ChatId::direct(&user(rng), &user(rng));
    }
    let length = rng.usize(12..=64);
    let name = std::iter::repeat_with(|| rng.digit(36)).take(length).collect::<String>();
    ChatId::try_from(format!("g-{name}")).expect("of the alphabet")
}

pub(crate) fn message_id(rng: &mut Rng) -> MessageId {
    MessageId::from_bytes(rng.u128(1..).to_be_bytes()).expect("not nil")
}

/// Small and greatest numbers are as likely as those between.
pub(crate) fn number(rng: &mut Rng) -> u64 {
    rng.u64(..) >> rng.u32(..64)
}

pub(crate) fn maybe<T>(rng: &mut Rng, value: impl FnOnce(&mut Rng) -> T) -> Option<T> {
    rng.bool().then(|| value(rng))
}

pub(crate) fn users(rng: &mut Rng, max: usize) -> Vec<UserId> {
    (0..rng.usize(..=max)).map(|_| user(rng)).collect()
}

/// Text of which a good part has to be escaped, or is of several bytes.
pub(crate) fn text(rng: &mut Rng, chars_max: usize) -> String {
    const ODD: [char; 14] = [
        '"', '\\', '/', '\0', '\n', '\r', '\t', '\u{8}', '\u{c}', '\u{1f}', '\u{7f}', '\u{2028}',
        '\u{feff}', '😀',
    ];
    (0..rng.usize(..=chars_max))
        .map(|_| match rng.u8(..3) {
            0 => ODD[rng.usize(..ODD.len())],
            1 => char::from(rng.u8(b' '..=b'~')),
            _ => rng.char(..),
        })
        .collect()
}

/// UTF-8, bytes of any kind, or UTF-8 with one byte gone wrong.
pub(crate) fn body(rng: &mut Rng) -> Vec<u8> {
    let mut body = text(rng, 100).into_bytes();
    match rng.u8(..3) {
        0 => {}
        1 => rng.fill(&mut body),
        _ => {
            if let Some(at) = (!body.is_empty()).then(|| rng.usize(..body.len())) {
                body[at] = rng.u8(..);
            }
        }
    }
    body
}

pub(crate) fn event(rng: &mut Rng) -> Event {
    match rng.u8(..6) {
        0 => Event::Created { members: users(rng, 5), title: maybe(rng, |rng| text(rng, 20)) },
        1 => Event::Added { members: users(rng, 5) },
        2 => Event::Removed { members: users(rng, 5) },
        3 => Event::Role { user: user(rng), role: role(rng) },
        4 => Event::Updated {
            title: maybe(rng, |rng| text(rng, 20)),
            description: maybe(rng, |rng| text(rng, 20)),
            picture: maybe(rng, |rng| text(rng, 20)),
            admins_only: maybe(rng, Rng::bool),
            ttl_s: maybe(rng, |rng| rng.u32(..)),
        },
        _ => Event::Left,
    }
}

fn role(rng: &mut Rng) -> Role {
    [Role::Owner, Role::Admin, Role::Member][rng.usize(..3)]
}

/// Text in one line, not empty.
fn line(rng: &mut Rng, chars_max: usize) -> String {
    let mut line: String =
        text(rng, chars_max - 1).chars().filter(|char| !char.is_control()).collect();
    line.push('x');
    line
}

/// Users, each once.
fn members(rng: &mut Rng) -> Vec<UserId> {
    let mut members = users(rng, 5);
    members.sort();
    members.dedup();
    members
}

/// Of each method as often.
pub(crate) fn request(rng: &mut Rng) -> Request {
    let chat = chat(rng);
    let of_user = |rng: &mut Rng| OfUser { user: user(rng) };
    match Method::ALL[rng.usize(..Method::ALL.len())] {
        Method::GroupsCreate => Request::GroupsCreate(CreateGroup {
            title: line(rng, TITLE_CHARS_MAX),
            members: members(rng),
            description: maybe(rng, |rng| text(rng, DESCRIPTION_CHARS_MAX)),
            picture: maybe(rng, |rng| line(rng, PICTURE_BYTES_MAX / 4)),
        }),
        Method::GroupsAdd => Request::GroupsAdd(ChangeMembers { chat, members: members(rng) }),
        Method::GroupsRemove => {
            Request::GroupsRemove(ChangeMembers { chat, members: members(rng) })
        }
        Method::GroupsLeave => Request::GroupsLeave(OfChat { chat }),
        Method::GroupsSetRole => {
            Request::GroupsSetRole(SetRole { chat, user: user(rng), role: role(rng) })
        }
        Method::GroupsUpdate => Request::GroupsUpdate(UpdateGroup {
            chat,
            title: maybe(rng, |rng| line(rng, TITLE_CHARS_MAX)),
            description: maybe(rng, |rng| text(rng, DESCRIPTION_CHARS_MAX)),
            picture: maybe(rng, |rng| line(rng, PICTURE_BYTES_MAX / 4)),
            admins_only: maybe(rng, Rng::bool),
        }),
        Method::ChatsList => Request::ChatsList(ListChats {
            limit: rng.u16(1..=LIMIT_MAX),
            cursor: maybe(rng, |rng| line(rng, 60)),
        }),
        Method::ChatsHistory => Request::ChatsHistory(ReadHistory {
            chat,
            page: match rng.u8(..3) {
                0 => Page::Before(Seq(number(rng))),
                1 => Page::After(Seq(number(rng))),
                _ => Page::Newest,
            },
            limit: rng.u16(1..=LIMIT_MAX),
        }),
        Method::ChatsInfo => Request::ChatsInfo(OfChat { chat }),
        Method::ChatsMute => Request::ChatsMute(Mute { chat, until_ms: maybe(rng, number) }),
        Method::ChatsSetTtl => {
            Request::ChatsSetTtl(SetTtl { chat, ttl_s: rng.u32(..=CHAT_TTL_S_MAX) })
        }
        Method::UsersBlock => Request::UsersBlock(of_user(rng)),
        Method::UsersUnblock => Request::UsersUnblock(of_user(rng)),
        Method::UsersProfile => Request::UsersProfile(of_user(rng)),
        Method::ProfileSet => Request::ProfileSet(SetProfile {
            name: maybe(rng, |rng| line(rng, NAME_CHARS_MAX)),
            about: maybe(rng, |rng| text(rng, ABOUT_CHARS_MAX)),
            picture: maybe(rng, |rng| line(rng, PICTURE_BYTES_MAX / 4)),
        }),
        Method::PrivacySet => {
            Request::PrivacySet(SetPrivacy {
                last_seen: maybe(rng, |rng| {
                    if rng.bool() { LastSeen::Contacts } else { LastSeen::Nobody }
                }),
                receipts: maybe(rng, Rng::bool),
            })
        }
        Method::DevicesList => Request::DevicesList(NoArguments {}),
        Method::DevicesRemove => {
            Request::DevicesRemove(RemoveDevice { device: line(rng, DEVICE_BYTES_MAX / 4) })
        }
    }
}

pub(crate) fn send_json(rng: &mut Rng) -> SendJson {
    const TYPES: [&str; 3] = ["text/plain", "application/x;a=\"\\é\"", "t"];
    SendJson {
        id: maybe(rng, message_id),
        content_type: maybe(rng, |rng| TYPES[rng.usize(..TYPES.len())].to_owned()),
        body: body(rng),
        reply_to: maybe(rng, |rng| Seq(number(rng).max(1))),
        mentions: users(rng, MENTIONS_MAX),
        ttl_s: maybe(rng, |rng| rng.u32(1..=TTL_S_MAX)),
    }
}
