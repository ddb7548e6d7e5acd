//! Topic names, topic filters, and which filter matches which name (MQTT 5 §4.7).
//!
//! Names and filters are plain `&str`: levels are split where they are needed, never stored.

mod entries;
mod filter;
mod name;
mod trie;

pub use filter::{is_valid_filter, matches, split_share};
pub use name::{depth, is_valid_name};
pub use trie::Trie;

/// The longest name or filter in bytes: what a length prefix of two bytes can say.
pub const TOPIC_BYTES_MAX: usize = u16::MAX as usize;
