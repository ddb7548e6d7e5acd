//! The devices of one user.

use super::DeviceKey;

/// The devices of a user, in the order they came. Most have one.
pub(super) enum Keys {
    One(DeviceKey),
    Several(Box<[DeviceKey]>),
}

impl Keys {
    pub(super) fn as_slice(&self) -> &[DeviceKey] {
        match self {
            Self::One(key) => std::slice::from_ref(key),
            Self::Several(keys) => keys,
        }
    }

    /// These; `None`: there is none.
    pub(super) fn of(keys: &[DeviceKey]) -> Option<Self> {
        match keys {
            [] => None,
            [key] => Some(Self::One(*key)),
            keys => Some(Self::Several(keys.into())),
        }
    }
}
