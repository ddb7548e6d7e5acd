//! docs/conformance.md against the sources: every normative statement of both specifications has
//! its row, every row its test, and every test that says what it shows is in the row.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A specification: its name in the document, what begins a line of a doc comment that names
/// statements of it, and the statements of its appendix B by section: first and last number.
struct Specification {
    name: &'static str,
    mark: &'static str,
    statements: &'static [(&'static str, u16, u16)],
}

const SPECIFICATIONS: [Specification; 2] = [
    Specification {
        name: "MQTT 5.0",
        mark: "/// MQTT 5: ",
        statements: &[
            ("1.5.4", 1, 3),
            ("1.5.5", 1, 1),
            ("1.5.7", 1, 1),
            ("2.1.3", 1, 1),
            ("2.2.1", 2, 6),
            ("2.2.2", 1, 1),
            ("3.1.0", 1, 2),
            ("3.1.2", 1, 30),
            ("3.1.3", 1, 12),
            ("3.1.4", 1, 6),
            ("3.2.0", 1, 2),
            ("3.2.2", 1, 22),
            ("3.3.1", 1, 13),
            ("3.3.2", 1, 20),
            ("3.3.4", 1, 10),
            ("3.4.2", 1, 3),
            ("3.5.2", 1, 3),
            ("3.6.1", 1, 1),
            ("3.6.2", 1, 3),
            ("3.7.2", 1, 3),
            ("3.8.1", 1, 1),
            ("3.8.3", 1, 5),
            ("3.8.4", 1, 8),
            ("3.9.2", 1, 2),
            ("3.9.3", 1, 2),
            ("3.10.1", 1, 1),
            ("3.10.3", 1, 2),
            ("3.10.4", 1, 6),
            ("3.11.2", 1, 2),
            ("3.11.3", 1, 2),
            ("3.12.4", 1, 1),
            ("3.14.0", 1, 1),
            ("3.14.1", 1, 1),
            ("3.14.2", 1, 4),
            ("3.14.4", 1, 3),
            ("3.15.1", 1, 1),
            ("3.15.2", 1, 3),
            ("4.1.0", 1, 2),
            ("4.2.0", 1, 1),
            ("4.3.1", 1, 1),
            ("4.3.2", 1, 5),
            ("4.3.3", 1, 13),
            ("4.4.0", 1, 2),
            ("4.5.0", 1, 2),
            ("4.6.0", 1, 6),
            ("4.7.0", 1, 1),
            ("4.7.1", 1, 2),
            ("4.7.2", 1, 1),
            ("4.7.3", 1, 4),
            ("4.8.2", 1, 6),
            ("4.9.0", 1, 3),
            ("4.12.0", 1, 7),
            ("4.12.1", 1, 2),
            ("4.13.1", 1, 1),
            ("4.13.2", 1, 1),
            ("6.0.0", 1, 4),
        ],
    },
    Specification {
        name: "MQTT 3.1.1",
        mark: "/// MQTT 3.1.1: ",
        statements: &[
            ("1.5.3", 1, 3),
            ("2.2.2", 1, 2),
            ("2.3.1", 1, 7),
            ("3.1.0", 1, 2),
            ("3.1.2", 1, 24),
            ("3.1.3", 1, 11),
            ("3.1.4", 1, 5),
            ("3.2.0", 1, 1),
            ("3.2.2", 1, 6),
            ("3.3.1", 1, 12),
            ("3.3.2", 1, 3),
            ("3.3.4", 1, 1),
            ("3.3.5", 1, 2),
            ("3.6.1", 1, 1),
            ("3.8.1", 1, 1),
            ("3.8.3", 1, 4),
            ("3.8.4", 1, 6),
            ("3.9.3", 1, 2),
            ("3.10.1", 1, 1),
            ("3.10.3", 1, 2),
            ("3.10.4", 1, 6),
            ("3.12.4", 1, 1),
            ("3.14.1", 1, 1),
            ("3.14.4", 1, 3),
            ("4.1.0", 1, 2),
            ("4.3.1", 1, 1),
            ("4.3.2", 1, 2),
            ("4.3.3", 1, 2),
            ("4.4.0", 1, 1),
            ("4.5.0", 1, 2),
            ("4.6.0", 1, 6),
            ("4.7.1", 1, 3),
            ("4.7.2", 1, 1),
            ("4.7.3", 1, 4),
            ("4.8.0", 1, 2),
            ("6.0.0", 1, 4),
            ("7.0.0", 1, 2),
            ("7.1.1", 1, 1),
            ("7.1.2", 1, 1),
        ],
    },
];

/// A test function: where it is, and what it is called.
type Test = (String, String);

/// What the document says of a statement.
enum Shown {
    By(Vec<Test>),
    DutyOfClients,
    NoConcern,
}

/// The rows and the counts of one specification.
#[derive(Default)]
struct Table {
    rows: BTreeMap<String, Shown>,
    /// All, by a test, of clients, no concern.
    counts: Vec<usize>,
}

#[test]
fn every_statement_has_a_row_and_every_row_its_test() {
    let mut broken = Vec::new();
    let tables = tables(&read(&root().join("docs/conformance.md")), &mut broken);
    let marked = marked_tests();
    for (specification, table) in SPECIFICATIONS.iter().zip(&tables) {
        let name = specification.name;
        let all: BTreeSet<String> = specification.ids().collect();
        for id in all.iter().filter(|id| !table.rows.contains_key(*id)) {
            broken.push(format!("{name}: {id} has no row"));
        }
        for id in table.rows.keys().filter(|id| !all.contains(*id)) {
            broken.push(format!("{name}: there is no {id}"));
        }
        let mut shown = BTreeSet::new();
        for (id, row) in &table.rows {
            let Shown::By(tests) = row else { continue };
            for test in tests {
                let (file, function) = test;
                let key = (name, id.clone(), test.clone());
                if !marked.contains(&key) {
                    broken.push(format!(
                        "{name}: {id}: no test {function} in {file} has \"{}[{id}]\" in its doc \
                         comment",
                        specification.mark
                    ));
                }
                shown.insert(key);
            }
        }
        for (_, id, (file, function)) in
            marked.iter().filter(|key| key.0 == name && !shown.contains(*key))
        {
            broken.push(format!("{file}: {function} shows {name} {id}: say so in its row"));
        }
        let counts = table.count();
        if table.counts != counts {
            broken.push(format!("{name}: the counts are {counts:?}, not {:?}", table.counts));
        }
    }
    assert!(broken.is_empty(), "docs/conformance.md\n{}\n", broken.join("\n"));
}

impl Specification {
    fn ids(&self) -> impl Iterator<Item = String> {
        self.statements
            .iter()
            .flat_map(|(section, first, last)| (*first..=*last).map(move |no| (section, no)))
            .map(|(section, no)| format!("MQTT-{section}-{no}"))
    }
}

impl Table {
    fn count(&self) -> Vec<usize> {
        let count = |is: fn(&Shown) -> bool| self.rows.values().filter(|row| is(row)).count();
        vec![
            self.rows.len(),
            count(|row| matches!(row, Shown::By(_))),
            count(|row| matches!(row, Shown::DutyOfClients)),
            count(|row| matches!(row, Shown::NoConcern)),
        ]
    }
}

/// The tables of the document, one of each specification.
fn tables(document: &str, broken: &mut Vec<String>) -> [Table; 2] {
    let mut tables = [Table::default(), Table::default()];
    let mut heading = "";
    for line in document.lines() {
        if let Some(text) = line.strip_prefix("##") {
            heading = text.trim_start_matches('#').trim();
            continue;
        }
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [first, rest @ ..] = &cells[..] else { continue };
        let of = |name: &str| SPECIFICATIONS.iter().position(|it| it.name == name);
        if let Some(at) = of(first) {
            tables[at].counts = rest.iter().filter_map(|count| count.parse().ok()).collect();
            continue;
        }
        if !first.starts_with("MQTT-") {
            continue;
        }
        let Some(at) = of(heading) else {
            broken.push(format!("{first} stands below \"{heading}\""));
            continue;
        };
        let [statement, cell] = rest else {
            broken.push(format!("{heading}: {first} has {} cells, not 3", cells.len()));
            continue;
        };
        let Some(shown) = parse(cell).filter(|_| !statement.is_empty() && !cell.is_empty()) else {
            broken.push(format!("{heading}: {first}: what shows it? {cell:?}"));
            continue;
        };
        if tables[at].rows.insert((*first).to_owned(), shown).is_some() {
            broken.push(format!("{heading}: {first} has two rows"));
        }
    }
    tables
}

/// The last cell of a row: tests, or why there is none.
fn parse(cell: &str) -> Option<Shown> {
    if cell == "client" || cell.starts_with("client: ") {
        return Some(Shown::DutyOfClients);
    }
    if cell.starts_with("none: ") {
        return Some(Shown::NoConcern);
    }
    let test = |text: &str| {
        let (file, function) = text.strip_prefix('`')?.strip_suffix('`')?.split_once("::")?;
        Some((file.to_owned(), function.to_owned()))
    };
    cell.split(", ").map(test).collect::<Option<_>>().map(Shown::By)
}

/// What tests say that they show: specification, statement, test.
fn marked_tests() -> BTreeSet<(&'static str, String, Test)> {
    let mut files = Vec::new();
    collect(&root(), &mut files);
    assert!(files.len() > 50, "only {} sources: is this the workspace?", files.len());
    let mut found = BTreeSet::new();
    for path in files {
        let relative = path.strip_prefix(root()).expect("below the root");
        let file = relative.to_str().expect("a name in UTF-8").replace('\\', "/");
        found.extend(
            marked_in(&read(&path))
                .into_iter()
                .map(|(specification, id, function)| (specification, id, (file.clone(), function))),
        );
    }
    found
}

/// The same for one file; functions that are no tests show nothing.
fn marked_in(source: &str) -> Vec<(&'static str, String, String)> {
    let mut found = Vec::new();
    let (mut ids, mut is_test) = (Vec::new(), false);
    for line in source.lines().map(str::trim) {
        if line.starts_with("///") {
            for specification in &SPECIFICATIONS {
                let named = line.strip_prefix(specification.mark).unwrap_or_default();
                let named = named.split(['[', ']']).filter(|it| it.starts_with("MQTT-"));
                ids.extend(named.map(|id| (specification.name, id.to_owned())));
            }
        } else if line.starts_with("#[") {
            is_test |= line == "#[test]" || line.starts_with("#[tokio::test");
        } else {
            let function = line.trim_start_matches("async ").strip_prefix("fn ");
            if let Some(name) = function.filter(|_| is_test).and_then(|it| it.split('(').next()) {
                found.extend(ids.drain(..).map(|(of, id)| (of, id, name.to_owned())));
            }
            ids.clear();
            is_test = false;
        }
    }
    found
}

#[test]
fn the_check_sees_what_it_is_to_see() {
    let source = "/// Why.\n/// MQTT 5: [MQTT-1.2.3-4],\n/// MQTT 5: [MQTT-1.2.3-5].\n\
                  /// MQTT 3.1.1: [MQTT-1.2.3-4].\n#[tokio::test(start_paused = true)]\n\
                  async fn one() {\n}\n\n/// MQTT 5: [MQTT-9.9.9-9].\nfn no_test() {\n}\n";
    let found = marked_in(source);
    let found: Vec<_> =
        found.iter().map(|(name, id, function)| (*name, &**id, &**function)).collect();
    assert_eq!(
        found,
        [
            ("MQTT 5.0", "MQTT-1.2.3-4", "one"),
            ("MQTT 5.0", "MQTT-1.2.3-5", "one"),
            ("MQTT 3.1.1", "MQTT-1.2.3-4", "one"),
        ]
    );
    assert!(matches!(parse("`a.rs::b`, `c.rs::d`"), Some(Shown::By(tests)) if tests.len() == 2));
    assert!(matches!(parse("client: because"), Some(Shown::DutyOfClients)));
    assert!(matches!(parse("none: because"), Some(Shown::NoConcern)));
    assert!(parse("some day").is_none());
    let document = "## MQTT 5.0\n| MQTT-1 | says | some day |\n| MQTT-2 | says |\n## Others\n\
                    | MQTT-3 | says | client |\n## MQTT 3.1.1\n\
                    | MQTT-4 | says | none: because |\n| MQTT-4 | says | none: because |\n";
    let mut broken = Vec::new();
    let [_, v4] = tables(document, &mut broken);
    assert_eq!(broken.len(), 4, "{broken:?}");
    assert_eq!(v4.count(), [1, 0, 0, 1]);
}

fn collect(dir: &Path, found: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    for entry in entries {
        let path = entry.expect("a folder's entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() {
            // Build output and what begins with a dot is not ours; nor is a data directory.
            if !name.starts_with('.') && !["target", "data"].contains(&name) {
                collect(&path, found);
            }
        } else if name.ends_with(".rs") && name != "conformance.rs" {
            found.push(path);
        }
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
