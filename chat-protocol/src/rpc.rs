//! Requests and their answers: `rpc/{method}` and `me/replies/{request}`.
//! Source: docs/protocol.md "Requests".
//!
//! A [`Request`] is read by the server and written by clients; an [`Answer`] the other way round.

mod answer;
mod arguments;
mod error;
mod method;
mod request;

pub use answer::{
    Answer, Changed, ChatInfo, ChatList, ChatSummary, Created, DeviceInfo, Devices, Empty, History,
    MemberInfo, Profile, answer_ok,
};
pub use error::{RpcError, check_correlation};
pub use method::Method;
pub use request::{
    ChangeMembers, CreateGroup, LastSeen, ListChats, Mute, NoArguments, OfChat, OfUser, Page,
    ReadHistory, RemoveDevice, Request, SetPrivacy, SetProfile, SetRole, SetTtl, UpdateGroup,
};

/// Bytes of a request's payload, at most: room for the longest valid one, escapes and all.
pub const REQUEST_BYTES_MAX: usize = 128 * 1024;

/// Bytes of MQTT 5 correlation data, at most.
pub const CORRELATION_BYTES_MAX: usize = 64;

/// Users in one request, at most. How large a group may be is the server's setting.
pub const MEMBERS_MAX: usize = 1024;

/// Characters of a group's title, at most; it has one at least.
pub const TITLE_CHARS_MAX: usize = 100;

/// Characters of a group's description, at most.
pub const DESCRIPTION_CHARS_MAX: usize = 1000;

/// Bytes of a picture's address, at most: it is a reference, not the picture.
pub const PICTURE_BYTES_MAX: usize = 512;

/// Characters of the name in a profile, at most.
pub const NAME_CHARS_MAX: usize = 100;

/// Characters that a user says about himself, at most.
pub const ABOUT_CHARS_MAX: usize = 500;

/// Bytes of a device's name (the MQTT client id), at most: the server takes no longer one.
pub const DEVICE_BYTES_MAX: usize = 256;

/// Bytes of a cursor, at most.
pub const CURSOR_BYTES_MAX: usize = 256;

/// Chats or messages in one answer, at most.
pub const LIMIT_MAX: u16 = 100;

/// Chats or messages in one answer, where the request does not say.
pub const LIMIT_DEFAULT: u16 = 50;

/// Seconds that a chat can be told to let messages live: a year.
pub const CHAT_TTL_S_MAX: u32 = 365 * 24 * 3600;
