//! What the libraries below are called stays inside: another one must be no change for applications.

use std::fs;
use std::path::{Path, PathBuf};

/// Names, and the only place that may use them.
const CONFINED: [(&str, &str); 3] =
    [("rumqttc", "connection/"), ("redb", "outbox/disk.rs"), ("rustls", "tls.rs")];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => sources(&path, found),
            false => found.push(path),
        }
    }
}

#[test]
fn libraries_are_named_in_one_place_each() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    sources(&root, &mut found);
    assert!(found.len() > 20, "only {} sources", found.len());
    for path in found {
        let relative =
            path.strip_prefix(&root).expect("below").to_string_lossy().replace('\\', "/");
        let text = fs::read_to_string(&path).expect("text");
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        for line in code {
            for (name, place) in CONFINED {
                let at_home =
                    relative.starts_with(place) || relative.starts_with("connection/options");
                assert!(at_home || !line.contains(&format!("{name}::")), "{relative}: {line}");
            }
        }
    }
}

#[test]
fn nothing_of_the_connection_is_public() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let lib = fs::read_to_string(root.join("lib.rs")).expect("text");
    let exported = lib.lines().filter(|line| line.starts_with("pub use "));
    assert!(exported.into_iter().all(|line| !line.contains("connection::")));
    let mut found = Vec::new();
    sources(&root.join("connection"), &mut found);
    for path in found {
        let text = fs::read_to_string(&path).expect("text");
        let public = text.lines().find(|line| {
            let line = line.trim_start();
            line.starts_with("pub ") && !line.starts_with("pub use ")
        });
        assert_eq!(public, None, "{}", path.display());
    }
}
