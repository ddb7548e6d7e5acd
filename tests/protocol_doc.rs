//! The examples of docs/protocol.md, run as they stand: every line that starts with `$` in a
//! `console` block is given to a shell, in order, against one server, and must print what follows
//! it. Times and ids that the server makes differ from run to run and are not compared. All JSON that is
//! printed has to be what docs/asyncapi.yaml says.
//!
//! `BLESS=1 cargo test --test protocol_doc` writes what was printed into the document.

mod support;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use regex::Regex;
use support::{Server, asyncapi, out, run};

/// One command and what it is said to print.
struct Example {
    line: usize,
    command: String,
    expected: String,
}

#[test]
fn the_examples_print_what_the_document_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/protocol.md");
    let text = fs::read_to_string(&path).expect("the document");
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(&dir.path().join("data"));
    // Where mosquitto's tools look for their defaults: the document names neither host nor port.
    let address = server.address();
    for tool in ["mosquitto_pub", "mosquitto_sub", "mosquitto_rr"] {
        let options = format!("-h {}\n-p {}\n", address.ip(), address.port());
        fs::write(dir.path().join(tool), options).expect("room for two lines");
    }
    let (mut blessed, mut wrong) = (String::new(), String::new());
    let (mut count, mut heard) = (0, 0);
    let mut lines = text.lines().enumerate().peekable();
    let mut inside = false;
    while let Some((at, line)) = lines.next() {
        let Some(mut command) = line.strip_prefix("$ ").filter(|_| inside).map(str::to_owned)
        else {
            inside = if inside { line != "```" } else { line == "```console" };
            writeln!(blessed, "{line}").expect("memory");
            continue;
        };
        writeln!(blessed, "{line}").expect("memory");
        while command.ends_with('\\') {
            let (_, more) = lines.next().expect("a line that goes on");
            writeln!(blessed, "{more}").expect("memory");
            command.pop();
            command.push_str(more.trim_start());
        }
        let mut expected = String::new();
        while let Some((_, line)) =
            lines.next_if(|(_, line)| !line.starts_with("$ ") && *line != "```")
        {
            writeln!(expected, "{line}").expect("memory");
        }
        let example = Example { line: at + 1, command, expected };
        let printed = example.run(dir.path());
        count += 1;
        heard += example.judge(&printed);
        let (told, got) = (comparable(&example.expected), comparable(&printed));
        if told == got {
            blessed.push_str(&example.expected);
        } else {
            blessed.push_str(&printed);
            let Example { line, command, expected } = example;
            write!(wrong, "\ndocs/protocol.md:{line}: {command}\nsaid:\n{expected}got:\n{printed}")
                .expect("memory");
        }
    }
    assert!(count >= 40 && heard >= 40, "only {count} examples, {heard} lines of JSON in them");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, blessed).expect("the document is written");
    } else {
        assert!(wrong.is_empty(), "{wrong}");
    }
}

impl Example {
    fn run(&self, options: &Path) -> String {
        let mut command = Command::new("bash");
        command.env("XDG_CONFIG_HOME", options);
        command.args(["-c", &format!("exec 2>&1\n{}", self.command)]);
        out(&run(&mut command))
    }

    /// Holds what was printed against docs/asyncapi.yaml; gives how many lines of JSON it were.
    fn judge(&self, printed: &str) -> usize {
        let method = Regex::new(r"\brpc/([a-z_.]+)").expect("a pattern");
        let method = method.captures(&self.command).map(|found| found[1].to_owned());
        let json = printed.lines().filter(|line| line.starts_with('{'));
        json.inspect(|line| asyncapi::heard_line(line, method.as_deref())).count()
    }
}

/// The text without what differs from run to run: times, and ids made by the server (version 4 and 8; the examples have version 7).
fn comparable(text: &str) -> String {
    let time = Regex::new(r"\b1[6-9]\d{11}\b").expect("a pattern");
    let id = Regex::new("[0-9a-f]{8}-[0-9a-f]{4}-[48][0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}");
    let text = time.replace_all(text, "TIME");
    id.expect("a pattern").replace_all(&text, "ID").into_owned()
}
