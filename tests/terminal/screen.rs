//! `bluetick chat` on a terminal.

use std::path::PathBuf;

use vt100::{Color, MouseProtocolMode, Screen};

use crate::pty::Terminal;
use crate::support::Server;

const SIZE: (u16, u16) = (90, 20);

/// Of the dark theme.
const GREY: Color = Color::Idx(8);
const BLUE: Color = Color::Idx(12);

const UP: &str = "\x1b[A";
const TAB: &str = "\t";
const QUIT: &str = "\x11";

struct Stage {
    server: Option<Server>,
    // Removed when the server has ended.
    dir: tempfile::TempDir,
}

impl Stage {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let server = Some(Server::start(&dir.path().join("data")));
        Self { server, dir }
    }

    fn server(&self) -> &Server {
        self.server.as_ref().expect("it runs")
    }

    fn chat(&self, user: &str, with: &str) -> Terminal {
        Terminal::start(&crate::url(self.server()), &self.state(), SIZE, &["--user", user, with])
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }
}

/// The program has the terminal, or has given it back as it was.
fn is_taken(screen: &Screen) -> bool {
    screen.alternate_screen() && screen.bracketed_paste()
}

fn is_given_back(screen: &Screen) -> bool {
    !screen.alternate_screen()
        && !screen.bracketed_paste()
        && !screen.hide_cursor()
        && screen.mouse_protocol_mode() == MouseProtocolMode::None
}

#[test]
fn two_people_see_three_ticks() {
    let stage = Stage::new();
    let mut alice = stage.chat("alice", "bob");
    alice.wait_for(" online");
    alice.press("hi bob, 日本 👍🏽\r");
    alice.wait_for_tick("hi bob, 日本", "✓", GREY);
    // Bob is there, and looks at something else.
    let mut bob = stage.chat("bob", "carol");
    alice.wait_for_tick("hi bob, 日本", "✓✓", GREY);
    alice.wait_for("● online");
    bob.wait_for(" 1 ");
    bob.press(TAB);
    bob.press("k\r");
    bob.wait_for("hi bob, 日本");
    alice.wait_for_tick("hi bob, 日本", "✓✓", BLUE);
    bob.press("an answer");
    alice.wait_for("types …");
    bob.press("\r");
    alice.wait_for("an answer");
    // An answer to an answer, with a reaction.
    alice.press(UP);
    alice.press("+");
    alice.press("👍\r");
    bob.wait_for("👍 alice");
    // Pasted text has several lines, and waits for Enter.
    alice.press("\x1b[200~one\rtwo\x1b[201~");
    alice.wait_for("› one");
    alice.press("\r");
    bob.wait_for("two");
    alice.resize((50, 12));
    alice.wait_until("it fits into 50 columns", |screen| {
        screen.contents().starts_with("bob") && screen.contents().contains("two")
    });
    alice.press(QUIT);
    assert_eq!(alice.wait_for_end().exit_code(), 0);
    assert!(is_given_back(&alice.screen()), "{}", alice.text());
}

#[test]
fn what_others_send_does_not_reach_the_terminal_as_it_is() {
    let stage = Stage::new();
    let alice = stage.chat("alice", "bob");
    alice.wait_for(" online");
    // What the program of another would send: it makes nothing harmless.
    let evil = "\x1b]0;owned\x07\x1b[2J\x1b[5n\u{9b}5n";
    assert!(stage.server().publish("bob", "users/alice/send", evil, &[]).status.success());
    alice.wait_for("␛]0;owned");
    let raw = alice.raw();
    for part in ["\x1b]0;owned", "\x1b[2J\x1b[5n", "\u{9b}"] {
        let found = raw.windows(part.len()).any(|window| window == part.as_bytes());
        assert!(!found, "{part:?} reached the terminal");
    }
}

#[test]
fn off_line_one_reads_and_writes_and_all_is_sent_later() {
    let mut stage = Stage::new();
    let mut alice = stage.chat("alice", "bob");
    alice.wait_for(" online");
    alice.press("before\r");
    alice.wait_for_tick("before", "✓", GREY);
    let address = stage.server().address().to_string();
    drop(stage.server.take());
    alice.wait_for(" offline, again in ");
    alice.press("meanwhile\r");
    alice.wait_for_tick("meanwhile", "…", GREY);
    alice.wait_for("1 waits to be sent");
    alice.press(QUIT);
    assert_eq!(alice.wait_for_end().exit_code(), 0);

    // A second run, still without a server.
    let alice = Terminal::start(
        &format!("mqtt://{address}"),
        &stage.state(),
        SIZE,
        &["--user", "alice", "bob"],
    );
    alice.wait_for("before");
    alice.wait_for_tick("meanwhile", "…", GREY);
    alice.wait_for("1 waits to be sent");
    let data = stage.dir.path().join("data");
    stage.server = Some(Server::start_with(&data, &["--dev", "--mqtt", &address]));
    alice.wait_for_tick("meanwhile", "✓", GREY);
}

#[test]
fn the_terminal_is_given_back_to_whoever_stops_or_ends_the_program() {
    let stage = Stage::new();
    let mut alice = stage.chat("alice", "bob");
    alice.wait_for(" online");
    alice.wait_until("the terminal is taken", is_taken);
    alice.signal("TSTP");
    alice.wait_until("the terminal is given back", is_given_back);
    alice.signal_until("CONT", "the terminal is taken again", |screen| {
        is_taken(screen) && screen.contents().contains(" online")
    });
    alice.press("still there");
    alice.wait_for("› still there");
    // Ctrl-L
    alice.press("\x0c, and drawn anew");
    alice.wait_for("› still there, and drawn anew");
    alice.signal("TERM");
    assert_eq!(alice.wait_for_end().exit_code(), 0);
    assert!(is_given_back(&alice.screen()));
}

#[test]
fn without_a_terminal_it_says_so() {
    let stage = Stage::new();
    let mut command = crate::support::bluetick();
    command.args(["chat", "--user", "alice"]);
    command.envs(crate::environment(&crate::url(stage.server()), &stage.state()));
    let output = command.stdin(std::process::Stdio::null()).output().expect("started");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("this needs a terminal"));
    assert_eq!(output.stdout, b"");
}

#[test]
fn a_second_program_of_the_account_is_told_so() {
    let stage = Stage::new();
    let first = stage.chat("alice", "bob");
    first.wait_for(" online");
    let mut second = stage.chat("alice", "bob");
    assert_eq!(second.wait_for_end().exit_code(), 1);
    assert!(second.text().contains("another `bluetick chat` of this account"), "{}", second.text());
}
