//! What a member of a group may do.

use serde::{Deserialize, Serialize};

/// What a member may do beyond sending and leaving; in JSON in lower case.
/// Source: docs/protocol.md "Requests".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything.
    Owner,
    /// Manages members and messages.
    Admin,
    /// Sends and leaves.
    Member,
}

impl Role {
    /// As it stands in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Admin => "admin",
            Self::Member => "member",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_lower_case_in_json() {
        for role in [Role::Owner, Role::Admin, Role::Member] {
            let json = format!("\"{}\"", role.as_str());
            assert_eq!(serde_json::to_string(&role).expect("a text"), json);
            assert_eq!(serde_json::from_str::<Role>(&json).expect("a role"), role);
        }
        for bad in ["\"Owner\"", "\"\"", "0", "null", "{\"owner\":null,\"x\":1}"] {
            assert!(serde_json::from_str::<Role>(bad).is_err(), "{bad}");
        }
    }
}
