//! A message's place in its chat.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A place in a chat's log: 1, 2, 3 … without holes; in JSON a number.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl Seq {
    /// Before the first entry: the head of an empty chat, the watermark of one who has nothing.
    pub const ZERO: Self = Self(0);

    /// The place after this one. Stays at the greatest number, which no chat reaches but a peer
    /// may name.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_from_one_and_never_wraps() {
        assert_eq!(Seq::ZERO.next(), Seq(1));
        assert_eq!(Seq(u64::MAX).next(), Seq(u64::MAX));
        assert_eq!(Seq::default(), Seq::ZERO);
    }

    #[test]
    fn is_a_number_in_json() {
        let json = serde_json::to_string(&Seq(u64::MAX)).expect("a number");
        assert_eq!(json, u64::MAX.to_string());
        assert_eq!(serde_json::from_str::<Seq>(&json).expect("a number"), Seq(u64::MAX));
        for bad in ["-1", "1.5", "\"1\"", "[1]"] {
            assert!(serde_json::from_str::<Seq>(bad).is_err(), "{bad}");
        }
    }
}
