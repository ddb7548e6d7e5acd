//! Who may use which plain topics: rules from the configuration, read anew at SIGHUP.
//!
//! Rules are looked at from top to bottom and the first that decides counts; where none does, the
//! answer is no. Chats are no matter of theirs: there, membership decides.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bluetick_broker::Rechecked;
use bluetick_broker::host::Access;
use parking_lot::RwLock;
use tokio::signal::unix::{SignalKind, signal};

use crate::Failure;
use crate::config::Config;

/// Levels that stand for who asks.
const USER: &str = "{user}";
const CLIENT: &str = "{client}";

/// The rules in force; they can be replaced while they are used.
#[derive(Debug)]
pub(crate) struct AccessRules {
    rules: RwLock<Arc<[Rule]>>,
}

impl AccessRules {
    pub(crate) fn new(rules: Vec<Rule>) -> Self {
        Self { rules: RwLock::new(rules.into()) }
    }

    /// Puts other rules in force; tells whether they are other ones.
    pub(crate) fn replace(&self, rules: Vec<Rule>) -> bool {
        let mut now = self.rules.write();
        let changes = **now != *rules;
        *now = rules.into();
        changes
    }

    /// Whether a user may publish to a topic, or subscribe to a filter.
    pub(crate) fn allow(&self, user: &str, client: &str, access: Access, topic: &str) -> bool {
        let rules = self.rules.read().clone();
        let asked = Asked { user, client, access, topic };
        rules.iter().find_map(|rule| rule.decide(&asked)).unwrap_or(false)
    }
}

/// Reads the configuration again.
pub(crate) type Reread = Box<dyn Fn() -> Result<Config, Failure> + Send>;

/// Puts the rules of the configuration in force again at each SIGHUP, also for subscriptions that
/// stand, by `recheck`. One with mistakes changes nothing.
///
/// # Errors
/// SIGHUP cannot be listened for.
pub(crate) fn watch(
    rules: Arc<AccessRules>,
    reread: Reread,
    recheck: impl Fn() -> Rechecked + Send + 'static,
) -> Result<(), Failure> {
    let mut hangup = signal(SignalKind::hangup()).map_err(Failure::other)?;
    tokio::spawn(async move {
        while hangup.recv().await.is_some() {
            match reread() {
                Ok(config) => {
                    let changed = rules.replace(config.access);
                    let Rechecked { silenced, restored } =
                        if changed { recheck() } else { Rechecked::default() };
                    tracing::info!(
                        changed,
                        silenced,
                        restored,
                        "the access rules are read again, for the subscriptions that stand, too"
                    );
                }
                Err(error) => tracing::error!(%error, "the access rules stay as they were"),
            }
        }
    });
    Ok(())
}

/// What somebody wants to do.
struct Asked<'a> {
    user: &'a str,
    client: &'a str,
    access: Access,
    topic: &'a str,
}

/// `allow|deny publish|subscribe|all USER PATTERN`; the user may be `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    allow: bool,
    /// `None`: both.
    access: Option<Access>,
    /// `None`: everybody.
    user: Option<String>,
    pattern: String,
}

impl FromStr for Rule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // A topic may contain blanks.
        let mut words = text.splitn(4, ' ');
        let allow = match words.next() {
            Some("allow") => true,
            Some("deny") => false,
            _ => return Err("a rule begins with allow or deny".to_owned()),
        };
        let access = match words.next() {
            Some("publish") => Some(Access::Publish),
            Some("subscribe") => Some(Access::Subscribe),
            Some("all") => None,
            _ => return Err("the second word is publish, subscribe or all".to_owned()),
        };
        let user = match words.next() {
            Some("*") => None,
            Some(user) if bluetick_protocol::UserId::try_from(user).is_ok() => {
                Some(user.to_owned())
            }
            _ => return Err("the third word is a user's name, or * for everybody".to_owned()),
        };
        let pattern = words.next().unwrap_or_default();
        check_pattern(pattern)?;
        Ok(Self { allow, access, user, pattern: pattern.to_owned() })
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let access = match self.access {
            Some(Access::Publish) => "publish",
            Some(Access::Subscribe) => "subscribe",
            None => "all",
        };
        let user = self.user.as_deref().unwrap_or("*");
        write!(f, "{} {access} {user} {}", if self.allow { "allow" } else { "deny" }, self.pattern)
    }
}

fn check_pattern(pattern: &str) -> Result<(), String> {
    let levels: Vec<&str> = pattern.split('/').collect();
    let wild = |level: &str| level.contains(['+', '#']);
    let wrong = levels.iter().enumerate().any(|(at, level)| match *level {
        "#" => at + 1 < levels.len(),
        "+" => false,
        level => wild(level),
    });
    if pattern.is_empty() || wrong {
        return Err("the rest is a pattern of topics, such as pub/# or devices/{user}/+".to_owned());
    }
    Ok(())
}

impl Rule {
    /// What it says to a wish; `None`: nothing.
    fn decide(&self, asked: &Asked<'_>) -> Option<bool> {
        let concerns = self.access.is_none_or(|access| access == asked.access)
            && self.user.as_deref().is_none_or(|user| user == asked.user);
        let pattern = self.pattern.split('/').map(|level| match level {
            // What has wildcards in it names nobody.
            USER | CLIENT => {
                let name = if level == USER { asked.user } else { asked.client };
                (!name.contains(['+', '#', '/'])).then_some(name)
            }
            level => Some(level),
        });
        let pattern: Option<Vec<&str>> = pattern.collect();
        let pattern = pattern.filter(|_| concerns)?;
        let topic: Vec<&str> = asked.topic.split('/').collect();
        // A subscription is allowed if all of it is, and denied if any of it is.
        let matches = match self.allow {
            true => covers(&pattern, &topic),
            false => meets(&pattern, &topic),
        };
        matches.then_some(self.allow)
    }
}

/// Whether all topics of a filter (or the one topic) are topics of the pattern. A wildcard at the
/// first level is not for what begins with `$` (MQTT 5 §4.7.2).
fn covers(pattern: &[&str], filter: &[&str]) -> bool {
    let system = filter.first().is_some_and(|level| level.starts_with('$'));
    if system && pattern.first().is_some_and(|level| ["+", "#"].contains(level)) {
        return false;
    }
    match (pattern.split_first(), filter.split_first()) {
        (Some((&"#", _)), _) | (None, None) => true,
        (Some((_, _)), Some((&"#", _))) => false,
        (Some((&"+", pattern)), Some((_, filter))) => covers(pattern, filter),
        (Some((level, pattern)), Some((same, filter))) if level == same => covers(pattern, filter),
        // `a/#` is also for `a`.
        _ => pattern == ["#"],
    }
}

/// Whether a pattern and a filter have a topic in common.
fn meets(pattern: &[&str], filter: &[&str]) -> bool {
    match (pattern.split_first(), filter.split_first()) {
        (Some((&"#", _)), _) | (_, Some((&"#", _))) | (None, None) => true,
        (Some((a, pattern)), Some((b, filter))) if *a == "+" || *b == "+" || a == b => {
            meets(pattern, filter)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(rules: &[&str]) -> AccessRules {
        AccessRules::new(rules.iter().map(|rule| rule.parse().expect(rule)).collect())
    }

    fn publish(rules: &AccessRules, user: &str, topic: &str) -> bool {
        rules.allow(user, "phone", Access::Publish, topic)
    }

    fn subscribe(rules: &AccessRules, user: &str, filter: &str) -> bool {
        rules.allow(user, "phone", Access::Subscribe, filter)
    }

    #[test]
    fn the_first_rule_that_decides_counts_and_none_is_no() {
        let rules = rules(&[
            "allow all admin secret/#",
            "deny all * secret/#",
            "allow subscribe * pub/#",
            "allow publish sensor pub/+/temperature",
            "allow all * own/{user}/{client}/#",
        ]);
        assert!(publish(&rules, "admin", "secret/plan"));
        assert!(!publish(&rules, "bob", "secret/plan"));
        assert!(!publish(&rules, "bob", "pub/room/temperature"));
        assert!(publish(&rules, "sensor", "pub/room/temperature"));
        assert!(!publish(&rules, "sensor", "pub/room/humidity"));
        assert!(publish(&rules, "bob", "own/bob/phone/x"));
        assert!(publish(&rules, "bob", "own/bob/phone"));
        assert!(!publish(&rules, "bob", "own/alice/phone/x"));
        assert!(!publish(&rules, "bob", "elsewhere"));
        for (filter, allowed) in [
            ("pub", true),
            ("pub/#", true),
            ("pub/+/x", true),
            ("#", false),
            ("+/room", false),
            ("secret/+", false),
            ("own/+/phone/#", false),
            ("own/bob/phone/+", true),
        ] {
            assert_eq!(subscribe(&rules, "bob", filter), allowed, "{filter}");
        }
        // Only from what is denied on: the admin's allowance stands above it.
        assert!(subscribe(&rules, "admin", "secret/#"));
    }

    #[test]
    fn a_filter_that_meets_what_is_denied_is_denied() {
        let rules = rules(&["deny subscribe * a/+/secret", "allow all * #"]);
        for (filter, allowed) in
            [("#", false), ("a/#", false), ("+/b/secret", false), ("a/b", true), ("b/#", true)]
        {
            assert_eq!(subscribe(&rules, "bob", filter), allowed, "{filter}");
        }
        assert!(!subscribe(&rules, "bob", "$SYS/#"), "a wildcard is not for what begins with $");
    }

    #[test]
    fn a_client_id_with_wildcards_is_no_way_in() {
        let rules = rules(&["allow all * own/{client}"]);
        for client in ["+", "#", "a/b"] {
            let topic = format!("own/{client}");
            assert!(!rules.allow("bob", client, Access::Subscribe, &topic), "{client}");
        }
        assert!(rules.allow("bob", "c", Access::Subscribe, "own/c"));
    }

    #[test]
    fn rules_are_read_and_written() {
        for rule in ["allow all * #", "deny publish bob a b/+/#", "allow subscribe x {user}"] {
            assert_eq!(rule.parse::<Rule>().expect(rule).to_string(), rule);
        }
        for rule in [
            "",
            "allow",
            "permit all * #",
            "allow read * #",
            "allow all BOB #",
            "allow all *",
            "allow all * a/#/b",
            "allow all * a+",
        ] {
            assert!(rule.parse::<Rule>().is_err(), "{rule}");
        }
    }

    #[test]
    fn rules_are_replaced_as_a_whole() {
        let rules = rules(&["allow all * #"]);
        assert!(publish(&rules, "bob", "x"));
        assert!(!rules.replace(vec!["allow all * #".parse().expect("a rule")]));
        assert!(rules.replace(Vec::new()));
        assert!(!publish(&rules, "bob", "x"));
    }
}
