//! docs/asyncapi.yaml as a judge of traffic: is this payload what the document says of its topic?
//!
//! For tests: [`Document::get`] is the document of the tree, [`Document::check`] asks it. It shares no
//! code with the server, so that the two can differ.

mod address;
mod document;
mod error;
mod payload;

pub use document::{Direction, Document};
pub use error::{DocumentError, Mismatch};
