//! The configuration: a TOML file, the environment, flags, in that order of growing weight.
//! Everything is read and checked before a port is bound, and all mistakes are told at once.

mod keys;

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bluetick_bridge::BridgeOptions;
use bluetick_bridge::store::RocksOptions;
use bluetick_broker::Limits;

use crate::cli::Settings;
use keys::{KEYS, Key, Kind};

/// Looks a variable of the environment up; a map in tests.
pub(crate) type Sources<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// The effective configuration.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) data_dir: PathBuf,
    pub(crate) dev: bool,
    pub(crate) mqtt: Vec<SocketAddr>,
    pub(crate) log_json: bool,
    pub(crate) log_filter: String,
    pub(crate) grace: Duration,
    pub(crate) limits: Limits,
    pub(crate) bridge: BridgeOptions,
    pub(crate) store: RocksOptions,
    pub(crate) partitions: u16,
    values: Values,
}

/// A value that is not what it should be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    key: String,
    value: String,
    source: String,
    should_be: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, value, source, should_be } = self;
        write!(f, "{key} = {value} ({source}): {should_be}")
    }
}

/// A value as it was written, and where.
#[derive(Debug, Clone)]
struct Value {
    items: Vec<String>,
    source: String,
}

type Values = BTreeMap<&'static str, Value>;

impl Config {
    /// Puts the sources together.
    ///
    /// # Errors
    /// All mistakes there are.
    pub(crate) fn load(
        settings: &Settings,
        environment: &Sources<'_>,
    ) -> Result<Self, Vec<Mistake>> {
        let mut mistakes = Vec::new();
        let mut values = Values::new();
        for key in KEYS {
            let items = key.default.iter().map(ToString::to_string).collect();
            values.insert(key.name, Value { items, source: "default".to_owned() });
        }
        read_file(settings, &mut values, &mut mistakes);
        read_environment(environment, &mut values);
        read_flags(settings, &mut values);
        for key in KEYS {
            if let Some(value) = values.get(key.name) {
                key.check(value, &mut mistakes);
            }
        }
        if mistakes.is_empty() {
            let config = Self::build(values);
            config.check_dev(&mut mistakes);
            if mistakes.is_empty() {
                return Ok(config);
            }
        }
        Err(mistakes)
    }

    /// From values that were checked one by one.
    fn build(values: Values) -> Self {
        let text = |name: &str| values[name].items.first().cloned().unwrap_or_default();
        let number = |name: &str| text(name).replace('_', "").parse::<u64>().unwrap_or_default();
        let size = |name: &str| usize::try_from(number(name)).unwrap_or(usize::MAX);
        let small = |name: &str| u16::try_from(number(name)).unwrap_or(u16::MAX);
        let limits = Limits {
            connections_max: size("limits.connections_max"),
            connecting_per_address_max: size("limits.connecting_per_address_max"),
            connect_timeout_ms: number("limits.connect_timeout_s") * 1000,
            packet_bytes_max: size("limits.packet_bytes_max"),
            topic_bytes_max: size("limits.topic_bytes_max"),
            topic_levels_max: size("limits.topic_levels_max"),
            subscriptions_max: size("limits.subscriptions_max"),
            inflight_in_max: small("limits.inflight_in_max"),
            inflight_out_max: small("limits.inflight_out_max"),
            user_properties_max: size("limits.user_properties_max"),
            topic_aliases_max: small("limits.topic_aliases_max"),
            pending_bytes_max: size("limits.pending_bytes_max"),
            queued_messages_max: size("limits.queued_messages_max"),
            session_expiry_s_max: u32::try_from(number("limits.session_expiry_s_max"))
                .unwrap_or(u32::MAX),
            keep_alive_s_max: small("limits.keep_alive_s_max"),
        };
        Self {
            data_dir: text("data_dir").into(),
            dev: text("dev") == "true",
            mqtt: values["listen.mqtt"].items.iter().filter_map(|at| at.parse().ok()).collect(),
            log_json: text("log.format") == "json",
            log_filter: text("log.filter"),
            grace: Duration::from_secs(number("shutdown.grace_s")),
            limits,
            bridge: BridgeOptions {
                message_bytes_max: size("chat.message_bytes_max"),
                tail_bytes_max: size("chat.tail_bytes_max"),
            },
            store: RocksOptions {
                write_buffer_bytes: size("store.write_buffer_bytes"),
                block_cache_bytes: size("store.block_cache_bytes"),
            },
            partitions: small("store.partitions"),
            values,
        }
    }

    /// Without passwords the server must not be reachable from elsewhere.
    fn check_dev(&self, mistakes: &mut Vec<Mistake>) {
        if !self.dev {
            return;
        }
        for address in self.mqtt.iter().filter(|address| !address.ip().is_loopback()) {
            mistakes.push(Mistake {
                key: "listen.mqtt".to_owned(),
                value: address.to_string(),
                source: self.values["listen.mqtt"].source.clone(),
                should_be: "with dev = true, which asks for no passwords, only loopback \
                            addresses such as 127.0.0.1:1883 are allowed"
                    .to_owned(),
            });
        }
    }

    /// The effective configuration as a file that would give it, with comments.
    pub(crate) fn to_toml(&self) -> String {
        let mut out = String::new();
        let mut section = "";
        for key in KEYS {
            let (of, name) = key.name.rsplit_once('.').unwrap_or(("", key.name));
            if of != section {
                section = of;
                let _ = writeln!(out, "[{section}]\n");
            }
            for line in key.doc.lines() {
                let _ = writeln!(out, "# {}", line.trim());
            }
            let value = &self.values[key.name];
            if value.source != "default" {
                let _ = writeln!(out, "# set by: {}", value.source);
            }
            let _ = writeln!(out, "{name} = {}\n", key.kind.to_toml(&value.items));
        }
        out
    }
}

fn read_file(settings: &Settings, values: &mut Values, mistakes: &mut Vec<Mistake>) {
    let Some(path) = &settings.config else { return };
    let source = path.display().to_string();
    let mistake = |key: &str, value: String, should_be: String| Mistake {
        key: key.to_owned(),
        value,
        source: source.clone(),
        should_be,
    };
    let table = std::fs::read_to_string(path)
        .map_err(|error| error.to_string())
        .and_then(|text| text.parse::<toml::Table>().map_err(|error| error.to_string()));
    let table = match table {
        Ok(table) => table,
        Err(error) => {
            mistakes.push(mistake("--config", source.clone(), error));
            return;
        }
    };
    let mut flat = Vec::new();
    for (name, value) in table {
        match value {
            toml::Value::Table(section) => {
                flat.extend(
                    section.into_iter().map(|(key, value)| (format!("{name}.{key}"), value)),
                );
            }
            value => flat.push((name, value)),
        }
    }
    for (name, value) in flat {
        match KEYS.iter().find(|key| key.name == name) {
            Some(key) => {
                values.insert(key.name, Value { items: items_of(&value), source: source.clone() });
            }
            None => {
                let near = nearest(&name).map(|near| format!("; did you mean {near}?"));
                let should_be = format!("there is no such key{}", near.unwrap_or_default());
                mistakes.push(mistake(&name, value.to_string(), should_be));
            }
        }
    }
}

fn items_of(value: &toml::Value) -> Vec<String> {
    match value {
        toml::Value::String(text) => vec![text.clone()],
        toml::Value::Array(items) => items.iter().flat_map(items_of).collect(),
        other => vec![other.to_string()],
    }
}

/// The key whose name shares the longest end or beginning with what was written.
fn nearest(name: &str) -> Option<&'static str> {
    let shared = |key: &&Key| {
        let same = |(a, b): &(char, char)| a == b;
        let front = name.chars().zip(key.name.chars()).take_while(same).count();
        let back = name.chars().rev().zip(key.name.chars().rev()).take_while(same).count();
        front + back
    };
    let best = KEYS.iter().max_by_key(shared)?;
    (shared(&best) * 2 > name.len()).then_some(best.name)
}

fn read_environment(environment: &Sources<'_>, values: &mut Values) {
    for key in KEYS {
        let name = format!("BLUETICK_{}", key.name.to_uppercase().replace('.', "__"));
        if let Some(text) = environment(&name) {
            let items = match key.kind {
                Kind::Addresses => text.split(',').map(|item| item.trim().to_owned()).collect(),
                _ => vec![text],
            };
            values.insert(key.name, Value { items, source: name });
        }
    }
}

fn read_flags(settings: &Settings, values: &mut Values) {
    let mut set = |name: &'static str, flag: &str, items: Vec<String>| {
        values.insert(name, Value { items, source: flag.to_owned() });
    };
    if let Some(dir) = &settings.data_dir {
        set("data_dir", "--data-dir", vec![dir.clone()]);
    }
    if !settings.mqtt.is_empty() {
        set("listen.mqtt", "--mqtt", settings.mqtt.clone());
    }
    if settings.dev {
        set("dev", "--dev", vec!["true".to_owned()]);
    }
    if let Some(format) = &settings.log_format {
        set("log.format", "--log-format", vec![format.clone()]);
    }
    if let Some(filter) = &settings.log {
        set("log.filter", "--log", vec![filter.clone()]);
    }
}

impl Key {
    fn check(&self, value: &Value, mistakes: &mut Vec<Mistake>) {
        let mut wrong = |item: &str| {
            mistakes.push(Mistake {
                key: self.name.to_owned(),
                value: item.to_owned(),
                source: value.source.clone(),
                should_be: self.kind.to_string(),
            });
        };
        if value.items.len() != 1 && !(self.kind == Kind::Addresses && !value.items.is_empty()) {
            wrong(&format!("{:?}", value.items));
            return;
        }
        for item in &value.items {
            if !self.kind.takes(item) {
                wrong(item);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(settings: &Settings, environment: &[(&str, &str)]) -> Result<Config, Vec<String>> {
        let map: BTreeMap<_, _> = environment.iter().copied().collect();
        let look_up = |name: &str| map.get(name).map(ToString::to_string);
        Config::load(settings, &look_up)
            .map_err(|mistakes| mistakes.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn the_defaults_are_those_of_the_crates() {
        let config = load(&Settings::default(), &[]).expect("valid");
        assert_eq!(format!("{:?}", config.limits), format!("{:?}", Limits::default()));
        assert_eq!(format!("{:?}", config.bridge), format!("{:?}", BridgeOptions::default()));
        assert_eq!(format!("{:?}", config.store), format!("{:?}", RocksOptions::default()));
    }

    #[test]
    fn flags_outweigh_the_environment_and_that_the_file() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(
            file.path(),
            "data_dir = 'a'\n[chat]\nmessage_bytes_max = 7\n[limits]\ninflight_in_max = 5\n",
        )
        .expect("written");
        let settings = Settings {
            config: Some(file.path().to_owned()),
            data_dir: Some("c".to_owned()),
            ..Settings::default()
        };
        let config = load(
            &settings,
            &[("BLUETICK_DATA_DIR", "b"), ("BLUETICK_CHAT__MESSAGE_BYTES_MAX", "8")],
        )
        .expect("valid");
        assert_eq!(config.data_dir, PathBuf::from("c"));
        assert_eq!(config.bridge.message_bytes_max, 8);
        assert_eq!(config.limits.inflight_in_max, 5);
        let again = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(again.path(), config.to_toml()).expect("written");
        let settings = Settings { config: Some(again.path().to_owned()), ..Settings::default() };
        let config = load(&settings, &[]).expect("what is printed can be read");
        assert_eq!(config.data_dir, PathBuf::from("c"));
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let settings = Settings { mqtt: vec!["nowhere".to_owned()], ..Settings::default() };
        let mistakes = load(
            &settings,
            &[("BLUETICK_LIMITS__INFLIGHT_IN_MAX", "0"), ("BLUETICK_LOG__FORMAT", "xml")],
        )
        .expect_err("three mistakes");
        assert_eq!(mistakes.len(), 3, "{mistakes:?}");
        assert!(
            mistakes
                .iter()
                .any(|text| text.contains("inflight_in_max = 0") && text.contains("1 to 65535"))
        );
    }

    #[test]
    fn dev_is_for_loopback_only() {
        let settings =
            Settings { dev: true, mqtt: vec!["0.0.0.0:1883".to_owned()], ..Settings::default() };
        let mistakes = load(&settings, &[]).expect_err("refused");
        assert!(mistakes.concat().contains("loopback"), "{mistakes:?}");
    }
}
