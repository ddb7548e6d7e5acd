//! The primitives of MQTT (MQTT 5 §1.5), written.

/// The longest packet that MQTT can say, header included.
pub const PACKET_BYTES_MAX: usize = 5 + VAR_INT_MAX;

/// The largest variable byte integer.
pub(super) const VAR_INT_MAX: usize = 268_435_455;

/// The longest string or binary data.
const FIELD_BYTES_MAX: usize = u16::MAX as usize;

pub(super) fn put_u16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_be_bytes());
}

pub(super) fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_be_bytes());
}

/// A variable byte integer. What does not fit would put the receiver out of step: it is a fault
/// of the caller, who knows the limits of what he sends.
pub(super) fn put_var_int(out: &mut Vec<u8>, value: usize) {
    assert!(value <= VAR_INT_MAX, "{value} is more than a packet can hold");
    let mut rest = value;
    while rest >= 0x80 {
        out.push((rest & 0x7F) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// How many bytes [`put_var_int`] writes.
pub(super) const fn var_int_len(value: usize) -> usize {
    match value {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        0x4000..0x20_0000 => 3,
        _ => 4,
    }
}

/// Binary data with its length before it, cut to what a field can hold.
pub(super) fn put_binary(out: &mut Vec<u8>, bytes: &[u8]) {
    let bytes = bytes.get(..FIELD_BYTES_MAX).unwrap_or(bytes);
    put_u16(out, bytes.len() as u16);
    out.extend_from_slice(bytes);
}

/// A string with its length before it, cut to what a field can hold.
pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_binary(out, clip(text).as_bytes());
}

/// `text`, cut at a character so that it fits a field.
pub(super) fn clip(text: &str) -> &str {
    &text[..text.floor_char_boundary(FIELD_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use super::{VAR_INT_MAX, clip, put_text, put_var_int, var_int_len};

    #[test]
    fn numbers_at_the_edges() {
        for (value, bytes) in [
            (0, &[0][..]),
            (127, &[0x7F]),
            (128, &[0x80, 1]),
            (16_383, &[0xFF, 0x7F]),
            (16_384, &[0x80, 0x80, 1]),
            (2_097_151, &[0xFF, 0xFF, 0x7F]),
            (2_097_152, &[0x80, 0x80, 0x80, 1]),
            (VAR_INT_MAX, &[0xFF, 0xFF, 0xFF, 0x7F]),
        ] {
            let mut out = Vec::new();
            put_var_int(&mut out, value);
            assert_eq!(out, bytes, "{value}");
            assert_eq!(var_int_len(value), bytes.len(), "{value}");
        }
    }

    #[test]
    fn a_string_is_cut_at_a_character() {
        let long = format!("{}é", "a".repeat(65_534));
        assert_eq!(clip(&long).len(), 65_534);
        let mut out = Vec::new();
        put_text(&mut out, &long);
        assert_eq!(out.len(), 2 + 65_534);
        assert_eq!(&out[..2], [0xFF, 0xFE]);
    }
}
