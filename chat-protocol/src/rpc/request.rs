//! The requests, with their arguments checked.

use serde::{Serialize, Serializer};

use super::arguments::{Arguments, Text, wrong};
use super::{
    ABOUT_CHARS_MAX, CHAT_TTL_S_MAX, CURSOR_BYTES_MAX, DESCRIPTION_CHARS_MAX, DEVICE_BYTES_MAX,
    Method, NAME_CHARS_MAX, PICTURE_BYTES_MAX, RpcError, TITLE_CHARS_MAX,
};
use crate::names::{ChatId, UserId};
use crate::payload::write_value;
use crate::role::Role;
use crate::seq::Seq;

const TITLE: Text = Text {
    what: || format!("text of 1 to {TITLE_CHARS_MAX} characters, none of them a control character"),
    fits: |text| is_line(text) && (1..=TITLE_CHARS_MAX).contains(&text.chars().count()),
};

// A description and what one says about oneself may have several lines.
const DESCRIPTION: Text = Text {
    what: || format!("text of at most {DESCRIPTION_CHARS_MAX} characters"),
    fits: |text| text.chars().count() <= DESCRIPTION_CHARS_MAX,
};

const PICTURE: Text = Text {
    what: || {
        format!("a URL or another reference of at most {PICTURE_BYTES_MAX} bytes, in one line")
    },
    fits: |text| is_line(text) && text.len() <= PICTURE_BYTES_MAX,
};

const NAME: Text = Text {
    what: || {
        format!("text of at most {NAME_CHARS_MAX} characters, none of them a control character")
    },
    fits: |text| is_line(text) && text.chars().count() <= NAME_CHARS_MAX,
};

const ABOUT: Text = Text {
    what: || format!("text of at most {ABOUT_CHARS_MAX} characters"),
    fits: |text| text.chars().count() <= ABOUT_CHARS_MAX,
};

const CURSOR: Text = Text {
    what: || "the 'next' of an earlier answer".to_owned(),
    fits: |text| (1..=CURSOR_BYTES_MAX).contains(&text.len()) && is_line(text),
};

const DEVICE: Text = Text {
    what: || format!("a device, as devices.list names it: 1 to {DEVICE_BYTES_MAX} bytes"),
    fits: |text| (1..=DEVICE_BYTES_MAX).contains(&text.len()),
};

const ROLES: [(&str, Role); 3] = [
    (Role::Owner.as_str(), Role::Owner),
    (Role::Admin.as_str(), Role::Admin),
    (Role::Member.as_str(), Role::Member),
];

const LAST_SEEN: [(&str, LastSeen); 2] =
    [("contacts", LastSeen::Contacts), ("nobody", LastSeen::Nobody)];

fn is_line(text: &str) -> bool {
    !text.contains(char::is_control)
}

/// A request. Read by the server with [`Request::parse`], written by clients with
/// [`Request::to_json`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Request {
    /// `groups.create`
    GroupsCreate(CreateGroup),
    /// `groups.add`
    GroupsAdd(ChangeMembers),
    /// `groups.remove`
    GroupsRemove(ChangeMembers),
    /// `groups.leave`
    GroupsLeave(OfChat),
    /// `groups.set_role`
    GroupsSetRole(SetRole),
    /// `groups.update`
    GroupsUpdate(UpdateGroup),
    /// `chats.list`
    ChatsList(ListChats),
    /// `chats.history`
    ChatsHistory(ReadHistory),
    /// `chats.info`
    ChatsInfo(OfChat),
    /// `chats.mute`
    ChatsMute(Mute),
    /// `chats.set_ttl`
    ChatsSetTtl(SetTtl),
    /// `users.block`
    UsersBlock(OfUser),
    /// `users.unblock`
    UsersUnblock(OfUser),
    /// `users.profile`
    UsersProfile(OfUser),
    /// `profile.set`
    ProfileSet(SetProfile),
    /// `privacy.set`
    PrivacySet(SetPrivacy),
    /// `devices.list`
    DevicesList(NoArguments),
    /// `devices.remove`
    DevicesRemove(RemoveDevice),
}

/// The arguments of [`Method::GroupsCreate`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CreateGroup {
    /// Its title.
    pub title: String,
    /// Its first members; the caller may be among them or not. Each once.
    pub members: Vec<UserId>,
    /// What it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its picture's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub picture: Option<String>,
}

/// The arguments of [`Method::GroupsAdd`] and [`Method::GroupsRemove`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChangeMembers {
    /// Of which group.
    pub chat: ChatId,
    /// Whom; each once.
    pub members: Vec<UserId>,
}

/// The argument of [`Method::GroupsLeave`] and [`Method::ChatsInfo`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OfChat {
    /// Which.
    pub chat: ChatId,
}

/// The arguments of [`Method::GroupsSetRole`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SetRole {
    /// In which group.
    pub chat: ChatId,
    /// Whose.
    pub user: UserId,
    /// The one he is to have.
    pub role: Role,
}

/// The arguments of [`Method::GroupsUpdate`]; what is left out stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UpdateGroup {
    /// Which group.
    pub chat: ChatId,
    /// Its title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What it is about; empty takes it away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its picture's address; empty takes it away.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub picture: Option<String>,
    /// Whether only admins may send.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admins_only: Option<bool>,
}

/// The arguments of [`Method::ChatsList`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListChats {
    /// How many at most, 1 to [`LIMIT_MAX`](super::LIMIT_MAX).
    pub limit: u16,
    /// Where the list goes on: [`ChatList::next`](super::ChatList::next) of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// The arguments of [`Method::ChatsHistory`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReadHistory {
    /// Of which chat.
    pub chat: ChatId,
    /// Which part of it.
    #[serde(flatten)]
    pub page: Page,
    /// How many at most, 1 to [`LIMIT_MAX`](super::LIMIT_MAX).
    pub limit: u16,
}

/// Which part of a chat's history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// The newest.
    Newest,
    /// The newest of those before a place, which is not among them; JSON `before`.
    Before(Seq),
    /// The oldest of those after a place, which is not among them; JSON `after`.
    After(Seq),
}

/// Flattened into its request: at most one key.
impl Serialize for Page {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(match self {
            Self::Newest => None,
            Self::Before(seq) => Some(("before", seq)),
            Self::After(seq) => Some(("after", seq)),
        })
    }
}

/// The arguments of [`Method::ChatsMute`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mute {
    /// Which chat.
    pub chat: ChatId,
    /// Until when, Unix milliseconds; `None`: no longer. JSON `until`.
    #[serde(rename = "until")]
    pub until_ms: Option<u64>,
}

/// The arguments of [`Method::ChatsSetTtl`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SetTtl {
    /// Of which chat.
    pub chat: ChatId,
    /// Seconds that its messages live from now on, at most
    /// [`CHAT_TTL_S_MAX`]; 0 (null means the same): no end.
    pub ttl_s: u32,
}

/// The argument of [`Method::UsersBlock`], [`Method::UsersUnblock`] and [`Method::UsersProfile`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OfUser {
    /// Whom.
    pub user: UserId,
}

/// The arguments of [`Method::ProfileSet`]; what is left out stays, what is empty is taken away.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct SetProfile {
    /// What one wants to be called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What one says about oneself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// One's picture's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub picture: Option<String>,
}

/// The arguments of [`Method::PrivacySet`]; what is left out stays.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct SetPrivacy {
    /// Who is told when one was last there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<LastSeen>,
    /// Whether others are told what one read, and one what they did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipts: Option<bool>,
}

/// Who is told when a user was last there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LastSeen {
    /// Those with whom he shares a chat.
    #[default]
    Contacts,
    /// Nobody, and he sees nobody's either.
    Nobody,
}

/// Of a method that takes none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct NoArguments {}

/// The argument of [`Method::DevicesRemove`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RemoveDevice {
    /// Its MQTT client id.
    pub device: String,
}

impl Request {
    /// Reads and checks a request: an object, or nothing at all, which is `{}`. An argument that is
    /// null counts as left out, except where null is a value (`until`, `ttl_s`).
    ///
    /// # Errors
    /// [`RpcError`] with code 0x90 for an unknown method, 0x95 for too large a payload, 0x99 for
    /// all else; the message names the argument and says what it has to be.
    pub fn parse(method: &str, payload: &[u8]) -> Result<Self, RpcError> {
        let method = Method::try_from(method)?;
        let mut arguments = Arguments::read(payload)?;
        let request = Self::take(method, &mut arguments)?;
        arguments.finish()?;
        Ok(request)
    }

    fn take(method: Method, arguments: &mut Arguments) -> Result<Self, RpcError> {
        Ok(match method {
            Method::GroupsCreate => Self::GroupsCreate(CreateGroup {
                title: arguments.text("title", &TITLE)?,
                members: arguments.members()?,
                description: arguments.maybe_text("description", &DESCRIPTION)?,
                picture: arguments.maybe_text("picture", &PICTURE)?,
            }),
            Method::GroupsAdd => Self::GroupsAdd(change_members(arguments)?),
            Method::GroupsRemove => Self::GroupsRemove(change_members(arguments)?),
            Method::GroupsLeave => Self::GroupsLeave(OfChat { chat: arguments.chat()? }),
            Method::GroupsSetRole => Self::GroupsSetRole(SetRole {
                chat: arguments.chat()?,
                user: arguments.user()?,
                role: arguments.word("role", &ROLES)?,
            }),
            Method::GroupsUpdate => Self::GroupsUpdate(UpdateGroup {
                chat: arguments.chat()?,
                title: arguments.maybe_text("title", &TITLE)?,
                description: arguments.maybe_text("description", &DESCRIPTION)?,
                picture: arguments.maybe_text("picture", &PICTURE)?,
                admins_only: arguments.maybe_bool("admins_only")?,
            }),
            Method::ChatsList => Self::ChatsList(ListChats {
                limit: arguments.limit()?,
                cursor: arguments.maybe_text("cursor", &CURSOR)?,
            }),
            Method::ChatsHistory => Self::ChatsHistory(ReadHistory {
                chat: arguments.chat()?,
                page: page(arguments)?,
                limit: arguments.limit()?,
            }),
            Method::ChatsInfo => Self::ChatsInfo(OfChat { chat: arguments.chat()? }),
            Method::ChatsMute => {
                Self::ChatsMute(Mute { chat: arguments.chat()?, until_ms: until(arguments)? })
            }
            Method::ChatsSetTtl => {
                Self::ChatsSetTtl(SetTtl { chat: arguments.chat()?, ttl_s: ttl(arguments)? })
            }
            Method::UsersBlock => Self::UsersBlock(OfUser { user: arguments.user()? }),
            Method::UsersUnblock => Self::UsersUnblock(OfUser { user: arguments.user()? }),
            Method::UsersProfile => Self::UsersProfile(OfUser { user: arguments.user()? }),
            Method::ProfileSet => Self::ProfileSet(SetProfile {
                name: arguments.maybe_text("name", &NAME)?,
                about: arguments.maybe_text("about", &ABOUT)?,
                picture: arguments.maybe_text("picture", &PICTURE)?,
            }),
            Method::PrivacySet => Self::PrivacySet(SetPrivacy {
                last_seen: arguments.maybe_word("last_seen", &LAST_SEEN)?,
                receipts: arguments.maybe_bool("receipts")?,
            }),
            Method::DevicesList => Self::DevicesList(NoArguments {}),
            Method::DevicesRemove => {
                Self::DevicesRemove(RemoveDevice { device: arguments.text("device", &DEVICE)? })
            }
        })
    }

    /// Which method it is of.
    #[must_use]
    pub const fn method(&self) -> Method {
        match self {
            Self::GroupsCreate(_) => Method::GroupsCreate,
            Self::GroupsAdd(_) => Method::GroupsAdd,
            Self::GroupsRemove(_) => Method::GroupsRemove,
            Self::GroupsLeave(_) => Method::GroupsLeave,
            Self::GroupsSetRole(_) => Method::GroupsSetRole,
            Self::GroupsUpdate(_) => Method::GroupsUpdate,
            Self::ChatsList(_) => Method::ChatsList,
            Self::ChatsHistory(_) => Method::ChatsHistory,
            Self::ChatsInfo(_) => Method::ChatsInfo,
            Self::ChatsMute(_) => Method::ChatsMute,
            Self::ChatsSetTtl(_) => Method::ChatsSetTtl,
            Self::UsersBlock(_) => Method::UsersBlock,
            Self::UsersUnblock(_) => Method::UsersUnblock,
            Self::UsersProfile(_) => Method::UsersProfile,
            Self::ProfileSet(_) => Method::ProfileSet,
            Self::PrivacySet(_) => Method::PrivacySet,
            Self::DevicesList(_) => Method::DevicesList,
            Self::DevicesRemove(_) => Method::DevicesRemove,
        }
    }

    /// The payload, for clients: keys in the contract's order, those that are not set left out.
    ///
    /// Checks nothing: what [`Request::parse`] would not take, the server refuses.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(128);
        write_value(&mut out, self);
        out
    }
}

fn change_members(arguments: &mut Arguments) -> Result<ChangeMembers, RpcError> {
    Ok(ChangeMembers { chat: arguments.chat()?, members: arguments.members()? })
}

fn page(arguments: &mut Arguments) -> Result<Page, RpcError> {
    match (arguments.maybe_seq("before")?, arguments.maybe_seq("after")?) {
        (None, None) => Ok(Page::Newest),
        (Some(seq), None) => Ok(Page::Before(Seq(seq))),
        (None, Some(seq)) => Ok(Page::After(Seq(seq))),
        (Some(_), Some(_)) => {
            Err(RpcError::arguments("give 'before' or 'after', not both; neither is the newest"))
        }
    }
}

fn until(arguments: &mut Arguments) -> Result<Option<u64>, RpcError> {
    let what = || "a time in Unix milliseconds, or null to unmute".to_owned();
    arguments.number_or_null("until", u64::MAX, what)
}

fn ttl(arguments: &mut Arguments) -> Result<u32, RpcError> {
    let what = || format!("0 to {CHAT_TTL_S_MAX} seconds; 0 or null is no end");
    let ttl_s = arguments.number_or_null("ttl_s", CHAT_TTL_S_MAX.into(), what)?;
    u32::try_from(ttl_s.unwrap_or_default()).map_err(|_| wrong("ttl_s", &what()))
}
