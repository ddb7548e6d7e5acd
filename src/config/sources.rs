//! Where values come from: the defaults, a file, the environment, flags. They are kept as text
//! with their source until all are read, so that a mistake can say where it was made.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use super::Mistake;
use super::keys::{KEYS, Key, Kind};
use crate::cli::Settings;

/// What variables of the environment begin with.
const PREFIX: &str = "BLUETICK_";

/// The environment of the process; a list in tests.
pub(crate) trait Environment {
    /// All variables with their values.
    fn variables(&self) -> Vec<(OsString, OsString)>;
}

/// The environment that the process was started with.
pub(crate) struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn variables(&self) -> Vec<(OsString, OsString)> {
        std::env::vars_os().collect()
    }
}

/// A value as it was written, and where.
#[derive(Debug, Clone)]
pub(super) struct Value {
    /// One; any number for a list.
    pub(super) items: Vec<String>,
    /// `None`: the default.
    pub(super) source: Option<String>,
}

impl Value {
    fn new(items: Vec<String>, source: impl Into<String>) -> Self {
        Self { items, source: Some(source.into()) }
    }
}

/// A value for every key.
pub(super) type Values = BTreeMap<&'static str, Value>;

/// Reads all sources, in the order of their weight.
pub(super) fn read(
    settings: &Settings,
    environment: &dyn Environment,
    mistakes: &mut Vec<Mistake>,
) -> Values {
    let mut values = Values::new();
    for key in KEYS {
        values.insert(key.name, Value { items: key.default_items(), source: None });
    }
    if let Some(path) = &settings.place.config {
        read_file(path, &mut values, mistakes);
    }
    read_environment(environment, &mut values, mistakes);
    read_flags(settings, &mut values);
    values
}

fn read_file(path: &Path, values: &mut Values, mistakes: &mut Vec<Mistake>) {
    let source = path.display().to_string();
    let table = std::fs::read_to_string(path)
        .map_err(|error| error.to_string())
        .and_then(|text| text.parse::<toml::Table>().map_err(|error| error.to_string()));
    let table = match table {
        Ok(table) => table,
        Err(error) => {
            mistakes.push(Mistake::new("--config", &source, "command line", error.trim_end()));
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
        let Some(key) = KEYS.iter().find(|key| key.name == name) else {
            mistakes.push(unknown(&name, &name, &value.to_string(), &source));
            continue;
        };
        match items_of(key.kind, &value) {
            Some(items) => {
                values.insert(key.name, Value::new(items, &source));
            }
            None => {
                let should_be = key.kind.to_string();
                mistakes.push(Mistake::new(&name, &value.to_string(), &source, &should_be));
            }
        }
    }
}

/// The text of a value that has the type of its key.
fn items_of(kind: Kind, value: &toml::Value) -> Option<Vec<String>> {
    match (kind, value) {
        (Kind::Bool | Kind::Number { .. }, toml::Value::String(_)) => None,
        (_, toml::Value::String(text)) => Some(vec![text.clone()]),
        (kind, toml::Value::Array(items)) if kind.is_list() => {
            items.iter().map(|item| item.as_str().map(ToOwned::to_owned)).collect()
        }
        (Kind::Bool, toml::Value::Boolean(_)) | (Kind::Number { .. }, toml::Value::Integer(_)) => {
            Some(vec![value.to_string()])
        }
        _ => None,
    }
}

fn read_environment(
    environment: &dyn Environment,
    values: &mut Values,
    mistakes: &mut Vec<Mistake>,
) {
    for (name, text) in environment.variables() {
        let Ok(name) = name.into_string() else { continue };
        let Some(path) = name.strip_prefix(PREFIX) else { continue };
        let path = path.to_lowercase().replace("__", ".");
        let text = match text.into_string() {
            Ok(text) => text,
            Err(text) => {
                let lossy = text.to_string_lossy();
                mistakes.push(Mistake::new(&name, &lossy, "environment", "must be UTF-8"));
                continue;
            }
        };
        match KEYS.iter().find(|key| key.name == path) {
            Some(key) => {
                let items = match key.kind {
                    // Set to nothing: none.
                    kind if kind.is_list() && text.is_empty() => Vec::new(),
                    kind if kind.is_list() => {
                        text.split(',').map(|item| item.trim().to_owned()).collect()
                    }
                    _ => vec![text],
                };
                values.insert(key.name, Value::new(items, name));
            }
            // Others' variables may begin alike (Kubernetes sets BLUETICK_PORT for a service of
            // that name), but hardly with a double underscore.
            None if path.contains('.') => {
                mistakes.push(unknown(&name, &path, &text, "environment"));
            }
            None => {}
        }
    }
}

fn read_flags(settings: &Settings, values: &mut Values) {
    let mut set = |name: &'static str, flag: &str, items: Vec<String>| {
        values.insert(name, Value::new(items, flag));
    };
    if let Some(dir) = &settings.place.data_dir {
        set("data_dir", "--data-dir", vec![dir.clone()]);
    }
    for (name, flag, items) in [
        ("listen.mqtt", "--mqtt", &settings.mqtt),
        ("listen.mqtts", "--mqtts", &settings.mqtts),
        ("listen.ws", "--ws", &settings.ws),
        ("listen.wss", "--wss", &settings.wss),
        ("listen.unix", "--unix", &settings.unix),
        ("listen.http", "--http", &settings.http),
        ("tls.certs", "--cert", &settings.cert),
        ("tls.keys", "--key", &settings.key),
        ("tls.client_cas", "--client-ca", &settings.client_ca),
    ] {
        if !items.is_empty() {
            set(name, flag, items.clone());
        }
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

fn unknown(written: &str, path: &str, value: &str, source: &str) -> Mistake {
    let near = nearest(path).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
    Mistake::new(written, value, source, &format!("there is no such key{near}"))
}

/// The key whose name shares most of its beginning and end with what was written.
fn nearest(path: &str) -> Option<&'static str> {
    let shared = |key: &&Key| {
        let same = |(a, b): &(char, char)| a == b;
        let front = path.chars().zip(key.name.chars()).take_while(same).count();
        let back = path.chars().rev().zip(key.name.chars().rev()).take_while(same).count();
        // What both count of a short name counts once.
        (front + back).min(key.name.len())
    };
    let best = KEYS.iter().max_by_key(shared)?;
    (shared(&best) * 3 > path.len() * 2).then_some(best.name)
}
