//! Topic names: what one publishes to.

use super::TOPIC_BYTES_MAX;

/// Whether `topic` may be published to: not empty, no wildcard, no NUL, at most
/// [`TOPIC_BYTES_MAX`].
///
/// Source: MQTT 5 §4.7.1, §4.7.3. Empty levels (`/`, `a//b`) are valid.
#[must_use]
pub fn is_valid_name(topic: &str) -> bool {
    !topic.is_empty()
        && topic.len() <= TOPIC_BYTES_MAX
        && !topic.bytes().any(|byte| matches!(byte, b'+' | b'#' | 0))
}

/// The number of levels of a name or filter: one more than it has slashes.
#[must_use]
pub fn depth(topic: &str) -> usize {
    1 + topic.bytes().filter(|&byte| byte == b'/').count()
}

#[cfg(test)]
mod tests {
    use super::{TOPIC_BYTES_MAX, depth, is_valid_name};

    /// MQTT 5: [MQTT-4.7.0-1], [MQTT-4.7.3-1], [MQTT-4.7.3-2], [MQTT-4.7.3-3].
    /// MQTT 3.1.1: [MQTT-4.7.1-1], [MQTT-4.7.3-1], [MQTT-4.7.3-2], [MQTT-4.7.3-3].
    #[test]
    fn names() {
        for good in ["a", "/", "a//b", "$SYS/x", "é/ü", "a b", "\u{feff}"] {
            assert!(is_valid_name(good), "{good:?}");
        }
        for bad in ["", "+", "a/#", "a+b", "a\0b"] {
            assert!(!is_valid_name(bad), "{bad:?}");
        }
        assert!(is_valid_name(&"a".repeat(TOPIC_BYTES_MAX)));
        assert!(!is_valid_name(&"a".repeat(TOPIC_BYTES_MAX + 1)));
    }

    #[test]
    fn depths() {
        assert_eq!(depth(""), 1);
        assert_eq!(depth("a"), 1);
        assert_eq!(depth("/"), 2);
        assert_eq!(depth("a//b"), 3);
    }
}
