//! Reads a history of what chat clients did and saw, and names the promise that broke.
//!
//! The promises are those of docs/protocol.md. The checker knows nothing of the server's code: names
//! are plain strings and the order of messages is worked out from the history alone, so that a mistake
//! in the server's own types cannot blind it. It is used by the deterministic simulation and by the
//! torture test of the real server; both write a [`History`] and call [`check`].
//!
//! The checker errs on one side only: what it reports is broken whatever happened on the wire, as long
//! as the history was recorded as [`Event`] asks. What a lost packet may explain is not reported.
//!
//! ```
//! use bluetick_checker::{Event, History, Promise, check};
//!
//! let mut history = History::default();
//! history.push(Event::Member { chat: "alice~bob".into(), user: "alice".into() });
//! history.push(Event::Received {
//!     user: "mallory".into(),
//!     device: "laptop".into(),
//!     chat: "alice~bob".into(),
//!     seq: 1,
//!     id: None,
//!     from: "alice".into(),
//!     body: Some("hi".into()),
//!     amends: None,
//!     deleted: false,
//!     after: None,
//!     qos: 1,
//! });
//! assert_eq!(check(&history)[0].promise, Promise::Private);
//! ```

mod device;
mod event;
mod history;
mod index;
mod message;
mod pairs;
mod promises;
mod ranges;
mod requests;
mod shrink;
mod spans;
mod violation;
mod world;

pub use event::{Amends, Ask, Event, Past, Scope};
pub use history::{History, ReadError};
pub use promises::check;
pub use shrink::{CHECKS_MAX, shrink};
pub use violation::{Promise, Violation};
