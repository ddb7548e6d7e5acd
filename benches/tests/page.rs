//! No figure of the documentation is written by hand: pages and plots are what the file of results gives.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use bluetick_benches::workloads;

const PAGES: [&str; 2] = ["performance.md", "scaling.md"];
const FOLDER: &str = "performance";
const RESULTS: &str = "results.json";

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The pages and plots below `docs`, by name.
fn made(docs: &Path) -> BTreeMap<String, String> {
    let mut made: BTreeMap<_, _> =
        PAGES.iter().map(|&page| (page.to_owned(), read(&docs.join(page)))).collect();
    for entry in fs::read_dir(docs.join(FOLDER)).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|it| it == "svg") {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            made.insert(name, read(&path));
        }
    }
    made
}

#[test]
fn pages_and_plots_are_what_the_results_give() {
    let copy = tempfile::tempdir().unwrap();
    let copy = copy.path();
    fs::create_dir(copy.join(FOLDER)).unwrap();
    for page in PAGES {
        fs::copy(docs().join(page), copy.join(page)).unwrap();
    }
    let results = copy.join(FOLDER).join(RESULTS);
    fs::copy(docs().join(FOLDER).join(RESULTS), &results).unwrap();
    let mut bench = Command::new(env!("CARGO_BIN_EXE_bench"));
    bench.arg("--show").arg("--results").arg(&results);
    for page in PAGES {
        bench.arg("--page").arg(copy.join(page));
    }
    let output = bench.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (docs, fresh) = (made(&docs()), made(copy));
    let names: Vec<_> = docs.keys().collect();
    assert_eq!(names, fresh.keys().collect::<Vec<_>>(), "plots in docs/{FOLDER}");
    for (name, text) in &docs {
        assert!(
            *text == fresh[name],
            "{name} is not what docs/{FOLDER}/{RESULTS} gives: `make figures` writes it anew"
        );
    }
}

#[test]
fn every_workload_has_its_place() {
    let pages = PAGES.map(|page| read(&docs().join(page)));
    for workload in workloads::ALL {
        let name = workload.name();
        let block = format!("<!-- bench: {name} -->");
        assert!(pages.iter().any(|page| page.contains(&block)), "no page has {block}");
        assert!(pages[0].contains(&format!("`{name}`")), "{} does not name {name}", PAGES[0]);
    }
}

#[test]
fn every_picture_of_a_page_is_there() {
    for page in PAGES {
        let text = read(&docs().join(page));
        for link in text.split("](").skip(1).filter_map(|rest| rest.split_once(')')) {
            if link.0.ends_with(".svg") {
                assert!(docs().join(link.0).exists(), "{page} shows {}", link.0);
            }
        }
    }
}
