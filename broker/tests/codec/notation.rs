//! A notation for packets in tests.

use bluetick_broker::codec::{DecodeError, decode};
use bluetick_broker::packet::{Packet, Version};

/// Larger than any packet of these tests.
pub(crate) const LIMIT_BYTES: usize = 1 << 20;

/// Bytes from text: hexadecimal digits, and `'text'` for a string with its two-byte length.
pub(crate) fn bytes(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for (index, part) in text.split('\'').enumerate() {
        if index % 2 == 1 {
            out.extend_from_slice(
                &u16::try_from(part.len()).expect("a short string").to_be_bytes(),
            );
            out.extend_from_slice(part.as_bytes());
            continue;
        }
        let digits: Vec<u8> = part
            .chars()
            .filter(|c| !c.is_whitespace())
            .map(|c| u8::try_from(c.to_digit(16).expect("a hexadecimal digit")).expect("a digit"))
            .collect();
        assert!(digits.len().is_multiple_of(2), "half a byte in {part:?}");
        out.extend(digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]));
    }
    out
}

/// The packet that `text` stands for, which has to be all of it.
pub(crate) fn packet(version: Option<Version>, text: &str) -> Packet {
    let bytes = bytes(text);
    let (packet, used) = decode(&bytes, version, LIMIT_BYTES)
        .unwrap_or_else(|error| panic!("{text}: {error}"))
        .unwrap_or_else(|| panic!("{text}: not complete"));
    assert_eq!(used, bytes.len(), "{text}");
    for len in 0..bytes.len() {
        let part = decode(&bytes[..len], version, LIMIT_BYTES);
        assert_eq!(part, Ok(None), "{text}: the first {len} bytes");
    }
    packet
}

pub(crate) fn error(version: Option<Version>, text: &str) -> DecodeError {
    match decode(&bytes(text), version, LIMIT_BYTES) {
        Err(error) => error,
        Ok(other) => panic!("{text}: {other:?}"),
    }
}
