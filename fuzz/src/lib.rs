//! What takes bytes of strangers (or of a disk), as functions of those bytes that panic where a
//! promise is broken.
//!
//! `make fuzz` drives them with libFuzzer, which follows the coverage; `tests/corpus.rs` runs the
//! same functions over the corpora in `corpus/` and seeded mutations of them, in every `make test`.

mod codec;
pub mod corpus;
mod input;
pub mod mutate;
mod other_codec;
mod payload;
mod records;
mod session;
mod topic;

/// A function of bytes with a promise to keep.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name, and that of its folder in `corpus/`.
    pub name: &'static str,
    /// Takes any bytes; panics where a promise is broken.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target { name: "codec_v4", run: codec::v4 },
    Target { name: "codec_v5", run: codec::v5 },
    Target { name: "session", run: session::run },
    Target { name: "topic", run: topic::run },
    Target { name: "records", run: records::run },
    Target { name: "plain_records", run: records::plain },
    Target { name: "json", run: payload::json },
    Target { name: "cbor", run: payload::cbor },
    Target { name: "rpc", run: payload::rpc },
];
