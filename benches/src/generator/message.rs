//! The bodies and ids the generator sends, and what it looks for in what comes back.

use std::time::{SystemTime, UNIX_EPOCH};

use uuid::Builder;

/// Bytes of a body, but where bodies of several lengths are compared.
pub const BODY_BYTES: usize = 100;
/// Digits of the index in a body.
const INDEX_DIGITS: usize = 12;

/// Text that bodies are cut from: each begins at one of so many places.
const PLACES: usize = 1 << 16;

/// A body that carries its index: `#000000000042#` and text, or `.` in place of the second `#` on the last one.
///
/// The index lets a receiver check the order, also inside JSON; no topic or name holds a `#`. The text is letters and
/// digits at random, elsewhere in each message: who compresses what is stored gains no more than with real ones.
#[derive(Debug, Clone)]
pub struct Body {
    bytes: Vec<u8>,
    text: Vec<u8>,
}

impl Default for Body {
    fn default() -> Self {
        Self::of(BODY_BYTES)
    }
}

impl Body {
    /// A body of so many bytes, or as many as the index takes.
    pub fn of(bytes: usize) -> Self {
        const LETTERS: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 .";
        let mut state = SEED;
        let letter = || {
            state = step(state);
            LETTERS[(state >> 58) as usize]
        };
        let bytes = vec![b'#'; bytes.max(INDEX_DIGITS + 2)];
        let text = std::iter::repeat_with(letter).take(PLACES + bytes.len()).collect();
        Self { bytes, text }
    }

    /// The body of message `index`; `last` ends the conversation.
    pub fn fill(&mut self, index: u64, last: bool) -> &[u8] {
        let mut left = index;
        for digit in self.bytes[1..=INDEX_DIGITS].iter_mut().rev() {
            *digit = b'0' + (left % 10) as u8;
            left /= 10;
        }
        let (head, rest) = self.bytes.split_at_mut(INDEX_DIGITS + 2);
        head[INDEX_DIGITS + 1] = if last { b'.' } else { b'#' };
        let place = (step(index) >> 48) as usize % PLACES;
        rest.copy_from_slice(&self.text[place..place + rest.len()]);
        &self.bytes
    }
}

/// Finds the index of the body in `payload`, bare or in JSON, and whether it is the last one.
pub fn body_index(payload: &[u8]) -> Option<(u64, bool)> {
    let start = payload.iter().position(|&byte| byte == b'#')? + 1;
    let digits = payload.get(start..start + INDEX_DIGITS)?;
    let end = payload.get(start + INDEX_DIGITS)?;
    Some((number(digits)?, *end == b'.'))
}

/// Finds `"key":` in flat JSON and reads the number behind it.
pub fn json_number(payload: &[u8], key: &str) -> Option<u64> {
    let value = json_value(payload, key)?;
    let digits = value.iter().take_while(|byte| byte.is_ascii_digit());
    number(value.get(..digits.count())?)
}

/// Finds `"key":` in flat JSON; all that stands behind it.
pub fn json_value<'a>(payload: &'a [u8], key: &str) -> Option<&'a [u8]> {
    let key = key.as_bytes();
    let at = payload
        .windows(key.len() + 3)
        .position(|window| matches!(window, [b'"', middle @ .., b'"', b':'] if middle == key))?;
    payload.get(at + key.len() + 3..)
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

/// Where what is random here begins.
const SEED: u64 = 0x9E37_79B9_7F4A_7C15;

/// The next of a row of numbers, of which the high bits are random (Knuth's MMIX).
fn step(state: u64) -> u64 {
    state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407)
}

/// Message ids: UUID version 7 as the usual libraries make them, with a counter behind the time, so that
/// they rise within a millisecond as well (RFC 9562 §6.2); the rest from a fixed seed (a system call per id
/// would cost the generator more than all else).
#[derive(Debug)]
pub struct Ids {
    counter: u32,
    state: u64,
    unix_ms: u64,
}

impl Default for Ids {
    fn default() -> Self {
        let mut ids = Self { counter: 0, state: SEED, unix_ms: 0 };
        ids.tick();
        ids
    }
}

impl Ids {
    /// Takes the clock's time for the ids that follow.
    pub fn tick(&mut self) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        self.unix_ms = since.map_or(0, |since| since.as_millis() as u64);
    }

    /// Appends the next id in text form.
    pub fn put(&mut self, out: &mut Vec<u8>) {
        self.counter = self.counter.wrapping_add(1);
        self.state = step(self.state);
        let mut random = [0; 10];
        // The counter stands right behind the bytes that the version and the variant overwrite bits of.
        random[3..7].copy_from_slice(&self.counter.to_be_bytes());
        random[7..].copy_from_slice(&self.state.to_be_bytes()[..3]);
        let id = Builder::from_unix_timestamp_millis(self.unix_ms, &random).into_uuid();
        let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
        out.extend_from_slice(id.hyphenated().encode_lower(&mut text).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_is_found_bare_and_in_json() {
        let mut body = Body::default();
        let bare = body.fill(1234, false).to_vec();
        assert_eq!(body_index(&bare), Some((1234, false)));
        let text = String::from_utf8(body.fill(5, true).to_vec()).unwrap();
        let json = format!(r#"{{"chat":"r0~s0","seq":7,"id":"x","body":"{text}"}}"#);
        assert_eq!(body_index(json.as_bytes()), Some((5, true)));
        assert_eq!(json_number(json.as_bytes(), "seq"), Some(7));
        assert_eq!(json_number(json.as_bytes(), "delivered"), None);
        assert!(json_value(json.as_bytes(), "chat").is_some_and(|rest| rest.starts_with(b"\"r0~")));
        assert_eq!(body_index(b"no index #12"), None);
    }

    #[test]
    fn ids_rise_and_are_version_7() {
        let mut ids = Ids::default();
        let mut texts: Vec<String> = (0..10_000)
            .map(|_| {
                let mut out = Vec::new();
                ids.put(&mut out);
                String::from_utf8(out).unwrap()
            })
            .collect();
        let first = uuid::Uuid::parse_str(&texts[0]).unwrap();
        assert_eq!(first.get_version_num(), 7);
        let made = texts.clone();
        texts.sort();
        texts.dedup();
        assert_eq!(texts, made, "rising, each once");
    }
}
