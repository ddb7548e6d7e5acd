//! What a device that is there costs the bridge while nothing comes for it: bounds of its parts.

use super::people::Person;
use super::session::Inner;
use crate::delivery::device_bytes;
use crate::engine::Chat;

/// The host's session, bytes.
const SESSION_BYTES_MAX: usize = 240;

/// A user, bytes: one for all his devices.
const PERSON_BYTES_MAX: usize = 176;

/// A device in a partition, bytes: there is one in each, two by default.
const DEVICE_BYTES_MAX: usize = 144;

/// A chat in memory without its members, bytes. Chats that an idle device has looked at do not stay,
/// but for a bounded number of all devices together.
const CHAT_BYTES_MAX: usize = 272;

/// With what the broker has of a connection (its `connection/memory.rs`) and tokio's task and socket,
/// these make about 2 KB; names, the tables that all this is found in and what the allocator rounds
/// up to are the rest of what docs/performance.md gives, "Idle memory".
#[test]
fn an_idle_device_stays_small() {
    let found = [
        ("session", size_of::<Inner>(), SESSION_BYTES_MAX),
        ("person", size_of::<Person>(), PERSON_BYTES_MAX),
        ("device", device_bytes(), DEVICE_BYTES_MAX),
        ("chat", size_of::<Chat>(), CHAT_BYTES_MAX),
    ];
    println!("{found:?}");
    for (what, bytes, bytes_max) in found {
        assert!(bytes <= bytes_max, "the {what} has {bytes} bytes, more than {bytes_max}");
    }
}
