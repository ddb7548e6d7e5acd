//! Topic filters: what one subscribes to.

use super::TOPIC_BYTES_MAX;

/// What a shared subscription starts with (MQTT 5 §4.8.2).
const SHARE_PREFIX: &str = "$share/";

/// Whether `filter` may be subscribed to.
///
/// `+` fills a level, `#` fills the last one, there is no NUL, the length is 1 to
/// [`TOPIC_BYTES_MAX`]; and where it starts with `$share/`, a share name without wildcards and
/// a valid filter follow. Source: MQTT 5 §4.7, §4.8.2.
#[must_use]
pub fn is_valid_filter(filter: &str) -> bool {
    if filter.len() > TOPIC_BYTES_MAX {
        return false;
    }
    if filter.starts_with(SHARE_PREFIX) {
        return split_share(filter).is_some_and(|(_, shared)| has_valid_levels(shared));
    }
    has_valid_levels(filter)
}

/// The share name and the filter of a shared subscription; `None` where `filter` is not of the
/// form `$share/name/filter`. The filter that is returned is not empty, and not checked further.
#[must_use]
pub fn split_share(filter: &str) -> Option<(&str, &str)> {
    let (name, shared) = filter.strip_prefix(SHARE_PREFIX)?.split_once('/')?;
    let named = !name.is_empty() && !name.bytes().any(|byte| matches!(byte, b'+' | b'#' | 0));
    (named && !shared.is_empty()).then_some((name, shared))
}

/// Whether a message published to `topic` is for `filter`.
///
/// Both are taken as valid; the filter of a shared subscription is the part that
/// [`split_share`] returns. A wildcard on the first level does not match a topic that starts
/// with `$` (MQTT 5 §4.7.2).
#[must_use]
pub fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut levels = topic.split('/');
    let mut wanted = filter.split('/').peekable();
    while let Some(want) = wanted.next() {
        if want == "#" && wanted.peek().is_none() {
            return true;
        }
        match levels.next() {
            Some(level) if want == "+" || want == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

fn has_valid_levels(filter: &str) -> bool {
    if filter.is_empty() || filter.contains('\0') {
        return false;
    }
    let mut levels = filter.split('/').peekable();
    while let Some(level) = levels.next() {
        let valid = match level {
            "+" => true,
            "#" => levels.peek().is_none(),
            other => !other.contains(['+', '#']),
        };
        if !valid {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::{is_valid_filter, matches, split_share};

    /// MQTT 5: [MQTT-4.7.0-1], [MQTT-4.7.1-1], [MQTT-4.7.1-2], [MQTT-4.7.3-1], [MQTT-4.7.3-2],
    /// MQTT 5: [MQTT-4.7.3-3].
    /// MQTT 3.1.1: [MQTT-4.7.1-1], [MQTT-4.7.1-2], [MQTT-4.7.1-3], [MQTT-4.7.3-1],
    /// MQTT 3.1.1: [MQTT-4.7.3-2], [MQTT-4.7.3-3].
    #[test]
    fn filters() {
        let good = [
            "a",
            "/",
            "#",
            "+",
            "/#",
            "+/+",
            "a/+/b/#",
            "a//b",
            "$SYS/#",
            "$share",
            "$share/g/a",
            "$share/g/#",
            "$share/g//",
            "$shared/x",
            "$share/g/+/b",
        ];
        for filter in good {
            assert!(is_valid_filter(filter), "{filter:?}");
        }
        let bad = [
            "",
            "a#",
            "#/",
            "a/#/b",
            "a+",
            "+a/b",
            "a/b+",
            "a\0",
            "##",
            "$share/",
            "$share/g",
            "$share/g/",
            "$share//a",
            "$share/+/a",
            "$share/#",
            "$share/g/a#",
            "$share/g\0/a",
        ];
        for filter in bad {
            assert!(!is_valid_filter(filter), "{filter:?}");
        }
        assert!(is_valid_filter(&"/".repeat(65_535)));
        assert!(!is_valid_filter(&"/".repeat(65_536)));
    }

    #[test]
    fn shares() {
        assert_eq!(split_share("$share/g/a/b"), Some(("g", "a/b")));
        assert_eq!(split_share("$share/g//"), Some(("g", "/")));
        for plain in ["a/b", "$share", "$share/g", "$share/g/", "$share//a"] {
            assert_eq!(split_share(plain), None, "{plain:?}");
        }
    }

    /// The examples of MQTT 5 §4.7.1 to §4.7.3.
    /// MQTT 5: [MQTT-4.7.2-1], [MQTT-4.7.3-4].
    /// MQTT 3.1.1: [MQTT-4.7.2-1], [MQTT-4.7.3-4].
    #[test]
    fn examples_of_the_specification() {
        let matching = [
            ("sport/tennis/player1/#", "sport/tennis/player1"),
            ("sport/tennis/player1/#", "sport/tennis/player1/ranking"),
            ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon"),
            ("sport/#", "sport"),
            ("#", "sport/tennis"),
            ("#", "/"),
            ("sport/tennis/+", "sport/tennis/player1"),
            ("sport/+", "sport/"),
            ("+/+", "/finance"),
            ("/+", "/finance"),
            ("+/tennis/#", "sport/tennis"),
            ("$SYS/#", "$SYS/monitor/Clients"),
            ("$SYS/#", "$SYS"),
            ("$SYS/monitor/+", "$SYS/monitor/Clients"),
            ("a/+/$x", "a/$b/$x"),
        ];
        for (filter, topic) in matching {
            assert!(matches(filter, topic), "{filter} {topic}");
        }
        let apart = [
            ("sport/tennis/+", "sport/tennis/player1/ranking"),
            ("sport/+", "sport"),
            ("+", "/finance"),
            ("#", "$SYS/monitor"),
            ("+/monitor/Clients", "$SYS/monitor/Clients"),
            ("sport/tennis/player1/#", "sport/tennis/player2"),
            ("ACCOUNTS", "Accounts"),
            ("/finance", "finance"),
            ("a/b", "a"),
            ("a", "a/b"),
        ];
        for (filter, topic) in apart {
            assert!(!matches(filter, topic), "{filter} {topic}");
        }
    }
}
