//! The borders between the crates, and a few habits, read off manifests and sources as text.
//!
//! A rule that breaks says where, and why the rule is there. Code under `#[cfg(test)]` at the end
//! of a file, and everything in a `tests` folder, may do as it likes unless a rule says otherwise.

use std::fs;
use std::path::{Path, PathBuf};

/// Lines of a file before its tests.
const LINES_MAX: usize = 600;

/// What a crate must not depend on, and why. All kinds of dependencies count but `dev`.
const DEPENDENCIES: &[(&str, &[&str], &str)] = &[
    (
        "broker",
        &["bluetick", "rocksdb", "serde_json", "bincode"],
        "the broker is MQTT and one trait: it is of use without chats, and chats change without it",
    ),
    (
        "chat-protocol",
        &["bluetick", "rocksdb", "tokio", "bincode", "rumqtt"],
        "names and payloads are shared with clients, which must not pay for a server",
    ),
    (
        "client-sdk",
        &["bluetick-broker", "bluetick-bridge", "bluetick-checker", "rocksdb", "bincode"],
        "whoever writes a client must not need RocksDB to build it",
    ),
    (
        "terminal",
        &[
            "bluetick-broker",
            "bluetick-bridge",
            "bluetick-protocol",
            "rocksdb",
            "bincode",
            "rumqtt",
        ],
        "the terminal client shows what the SDK can do: whatever it lacks is the SDK's to have",
    ),
    (
        "checker",
        &["bluetick", "rocksdb", "tokio"],
        "the checker judges the server: it must not share the server's mistakes",
    ),
    (
        "asyncapi",
        &["bluetick", "rocksdb", "tokio"],
        "the document judges what the server says: whoever reads it must not share the server's mistakes",
    ),
    (
        "chat-bridge",
        &["tokio", "rumqtt"],
        "the engine runs under the simulator's time, not tokio's",
    ),
    (
        ".",
        &["rocksdb", "bincode", "rumqttd"],
        "the binary wires; store and codec have their crates",
    ),
];

/// Words that only these places may use, and why.
const CONFINED: &[(&str, &[&str], &str)] = &[
    (
        "rocksdb::",
        &["chat-bridge/src/store/"],
        "another store must be a change in one folder; key bytes have one owner",
    ),
    (
        "bincode::",
        &["chat-bridge/src/store/records"],
        "the stored form is fixed by the golden bytes of one module",
    ),
    (
        "rumqttd::",
        // The benches run the whole of it, as a server beside bluetick.
        &["broker/src/codec/", "benches/"],
        "the codec has traps (ARCHITECTURE.md): one module knows and guards them",
    ),
];

/// State machines: everything they know comes in as an argument, so that one seed repeats a run.
const PURE: &[&str] =
    &["chat-bridge/src/engine/", "broker/src/session/", "terminal/src/app", "terminal/src/view"];
const IMPURE: &[&str] = &[
    "tokio",
    "rocksdb",
    "std::fs",
    "std::net",
    "SystemTime",
    "Instant::now",
    "std::thread",
    "fastrand",
    "rand::",
    "RandomState",
];

#[test]
fn crates_depend_in_one_direction() {
    let mut broken = Vec::new();
    for (folder, forbidden, why) in DEPENDENCIES {
        let path = root().join(folder).join("Cargo.toml");
        for (at, name) in dependencies(&read(&path)) {
            // "bluetick" stands for every crate of this workspace.
            let hit = forbidden.iter().any(|it| match *it {
                "bluetick" => name.starts_with("bluetick"),
                "rumqtt" => name.starts_with("rumqtt"),
                it => name == it,
            });
            if hit {
                broken.push(format!("{folder}/Cargo.toml:{at}: depends on {name}: {why}"));
            }
        }
    }
    tell(&broken);
}

#[test]
fn store_formats_and_codec_have_one_owner_each() {
    let mut broken = Vec::new();
    let sources = sources();
    for (word, places, why) in CONFINED {
        let at_home = |source: &&Source| places.iter().any(|place| source.path.starts_with(place));
        let mut owners = sources.iter().filter(at_home);
        assert!(
            owners.any(|source| source.code().any(|(_, line)| line.contains(word))),
            "{word} is not in {places:?} any more: say here where it is now"
        );
        for source in sources.iter().filter(|source| !at_home(source)) {
            for (at, line) in source.code() {
                if line.contains(word) {
                    broken.push(format!("{}:{at}: uses {word}: {why}", source.path));
                }
            }
        }
    }
    tell(&broken);
}

#[test]
fn state_machines_are_pure() {
    let mut broken = Vec::new();
    for folder in PURE {
        let machines: Vec<_> =
            sources().into_iter().filter(|source| source.path.starts_with(folder)).collect();
        assert!(!machines.is_empty(), "{folder} is gone: say here where its state machine is now");
        for source in machines {
            for (at, line) in source.code().take(source.lines_before_tests()) {
                if let Some(word) = IMPURE.iter().find(|word| line.contains(**word)) {
                    broken.push(format!(
                        "{}:{at}: {word} inside a state machine: time, chance and I/O come in as \
                         arguments, or a run cannot be repeated from its seed",
                        source.path
                    ));
                }
            }
        }
    }
    tell(&broken);
}

#[test]
fn imports_name_what_they_import() {
    let mut broken = Vec::new();
    for source in sources() {
        for (at, line) in source.code() {
            let is_use = line.starts_with("use ") || line.starts_with("pub use ");
            if is_use && line.ends_with("::*;") && line != "use super::*;" {
                broken.push(format!(
                    "{}:{at}: a glob import: a reader cannot tell where a name comes from",
                    source.path
                ));
            }
        }
    }
    tell(&broken);
}

#[test]
fn files_stay_short() {
    let mut broken = Vec::new();
    for source in sources().into_iter().filter(|source| !source.is_test()) {
        let lines = source.lines_before_tests();
        if lines > LINES_MAX {
            broken.push(format!(
                "{}:{LINES_MAX}: {lines} lines: a file this long is about two things; which is \
                 the second one?",
                source.path
            ));
        }
    }
    tell(&broken);
}

#[test]
fn the_rules_see_what_they_forbid() {
    let manifest = "[dependencies]\nserde.workspace = true\n# rocksdb = \"1\"\n\n\
                    [dependencies.tokio]\nversion = \"1\"\n\n[dev-dependencies]\nfastrand = \"2\"\n\n\
                    [target.'cfg(unix)'.dependencies]\nrocksdb = { version = \"1\" }\n";
    let names: Vec<_> = dependencies(manifest);
    let expected = [(2, "serde"), (5, "tokio"), (12, "rocksdb")];
    assert_eq!(names, expected.map(|(at, name)| (at, name.to_owned())));

    let source = Source {
        path: "a.rs".to_owned(),
        text: "//! rocksdb::\nuse a; // rocksdb::\n    let url = \"http://b\";\n".to_owned(),
    };
    let code: Vec<_> = source.code().collect();
    assert_eq!(code, [(1, ""), (2, "use a;"), (3, "let url = \"http://b\";")]);
}

/// A file of the workspace.
struct Source {
    /// From the root, with `/`.
    path: String,
    text: String,
}

impl Source {
    fn is_test(&self) -> bool {
        self.path.starts_with("tests/") || self.path.contains("/tests/")
    }

    /// How many lines come before the tests at its end.
    fn lines_before_tests(&self) -> usize {
        let lines: Vec<_> = self.text.lines().collect();
        let tests = ["#[cfg(test)]", "mod tests {"];
        lines.windows(2).position(|pair| pair == tests).unwrap_or(lines.len())
    }

    /// Its lines without indentation and comments, numbered from 1.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(at, line)| {
            let line = line.trim();
            let code = match line.starts_with("//") {
                true => "",
                false => line.split_once(" //").map_or(line, |(code, _)| code.trim_end()),
            };
            (at + 1, code)
        })
    }
}

/// The names a manifest's tables of dependencies give, with their lines; not the dev ones.
fn dependencies(manifest: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut inside = false;
    for (at, line) in manifest.lines().enumerate() {
        let line = line.trim();
        if let Some(table) = line.strip_prefix('[') {
            let table = table.trim_end_matches(']');
            let is_table = |name: &str| table == name || table.ends_with(&format!(".{name}"));
            inside = (is_table("dependencies") || is_table("build-dependencies"))
                && !table.starts_with("workspace");
            if let Some((_, name)) = table.split_once("dependencies.")
                && !table.starts_with("workspace")
                && !table.starts_with("dev-")
            {
                found.push((at + 1, name.to_owned()));
            }
            continue;
        }
        let name = line.split(['=', '.', ' ']).next().unwrap_or_default();
        if inside && !name.is_empty() && !name.starts_with('#') {
            found.push((at + 1, name.to_owned()));
        }
    }
    found
}

/// All Rust sources of the workspace but this file, whose text is made of what it forbids.
fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    collect(&root(), &mut found);
    found.retain(|source| source.path != "tests/layering.rs");
    assert!(found.len() > 50, "only {} sources: is this the workspace?", found.len());
    found
}

fn collect(dir: &Path, found: &mut Vec<Source>) {
    let entries = fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    for entry in entries {
        let path = entry.expect("a folder's entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() {
            // Build output and what begins with a dot is not ours; nor is a data directory.
            if !name.starts_with('.') && !["target", "data"].contains(&name) {
                collect(&path, found);
            }
        } else if name.ends_with(".rs") {
            let relative = path.strip_prefix(root()).expect("below the root");
            let path_text = relative.to_str().expect("a name in UTF-8").replace('\\', "/");
            found.push(Source { path: path_text, text: read(&path) });
        }
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn tell(broken: &[String]) {
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}
