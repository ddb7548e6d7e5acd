//! What can be asked of the server.

use std::fmt;
use std::str::FromStr;

use super::RpcError;

macro_rules! methods {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $changes:literal;)*) => {
        /// What can be asked of the server. Source: docs/protocol.md "Requests".
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Method {
            $($(#[$doc])* #[doc = concat!("`", $name, "`")] $variant,)*
        }

        impl Method {
            /// All of them, in the contract's order.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// As it stands in a topic.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// Whether it may change something, so that a repeat has to get the first answer.
            #[must_use]
            pub const fn changes(self) -> bool {
                match self {
                    $(Self::$variant => $changes,)*
                }
            }
        }

        impl TryFrom<&str> for Method {
            type Error = RpcError;

            fn try_from(name: &str) -> Result<Self, RpcError> {
                match name {
                    $($name => Ok(Self::$variant),)*
                    _ => Err(RpcError::unknown_method()),
                }
            }
        }
    };
}

methods! {
    /// Makes a group; the caller is its owner.
    GroupsCreate = "groups.create", true;
    /// Adds members.
    GroupsAdd = "groups.add", true;
    /// Removes members.
    GroupsRemove = "groups.remove", true;
    /// Leaves a group.
    GroupsLeave = "groups.leave", true;
    /// Gives a member a role.
    GroupsSetRole = "groups.set_role", true;
    /// Changes what a group is.
    GroupsUpdate = "groups.update", true;
    /// The caller's chats, newest first.
    ChatsList = "chats.list", false;
    /// A chat's messages, as they are now.
    ChatsHistory = "chats.history", false;
    /// What a chat is, who is in it, and how far they got.
    ChatsInfo = "chats.info", false;
    /// Mutes a chat for a time.
    ChatsMute = "chats.mute", true;
    /// Sets how long a chat's messages live.
    ChatsSetTtl = "chats.set_ttl", true;
    /// Blocks a user.
    UsersBlock = "users.block", true;
    /// Takes that back.
    UsersUnblock = "users.unblock", true;
    /// A user's profile.
    UsersProfile = "users.profile", false;
    /// Changes the caller's own.
    ProfileSet = "profile.set", true;
    /// Changes what others are told of the caller.
    PrivacySet = "privacy.set", true;
    /// The caller's devices.
    DevicesList = "devices.list", false;
    /// Ends a device's session.
    DevicesRemove = "devices.remove", true;
}

impl FromStr for Method {
    type Err = RpcError;

    fn from_str(name: &str) -> Result<Self, RpcError> {
        Self::try_from(name)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        assert_eq!(Method::ALL.len(), 18);
        for method in Method::ALL {
            assert_eq!(method.to_string().parse(), Ok(*method));
        }
        let reads = Method::ALL.iter().filter(|method| !method.changes());
        let reads: Vec<&str> = reads.map(|method| method.as_str()).collect();
        assert_eq!(
            reads,
            ["chats.list", "chats.history", "chats.info", "users.profile", "devices.list"]
        );
    }

    #[test]
    fn others_are_unknown() {
        for name in ["", "groups", "Groups.create", "groups.create ", "groups/create", "groups.\0"]
        {
            let error = Method::try_from(name).expect_err(name);
            assert_eq!(error.code, 0x90);
            assert!(error.message.contains("no such method"), "{}", error.message);
        }
    }
}
