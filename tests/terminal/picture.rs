//! docs/terminal.svg: a screen of the real program, as it is in the terminal's cells.
//!
//! `make picture` writes it (to the file that `BLUETICK_PICTURE` names); in every other run it is made all the
//! same, so that it cannot rot.

use std::fmt::Write as _;

use vt100::{Cell, Color, Screen};

use crate::pty::{Terminal, size};
use crate::support::Server;

/// Pixels of a cell.
const CELL: (u16, u16) = (9, 19);

/// Pixels around all.
const MARGIN: u16 = 14;

const GROUND: &str = "#1d2027";
const TEXT: &str = "#d7dae0";

/// The 16 colours of a terminal, as many have them.
const COLOURS: [&str; 16] = [
    "#1d2027", "#e06c75", "#7fb069", "#d9a441", "#3d6fc4", "#b07cc6", "#3fa7b3", "#d7dae0",
    "#7d8594", "#ff7b86", "#8fd47a", "#f2c14e", "#5aa9ff", "#d291f0", "#5fd3df", "#ffffff",
];

#[test]
fn a_conversation() {
    let dir = tempfile::tempdir().expect("a folder");
    let server = Server::start(&dir.path().join("data"));
    let start = |user: &str, size, with: &str| {
        let with = ["--user", user, with];
        Terminal::start(&crate::url(&server), &dir.path().join("state"), size, &with)
    };
    let mut alice = start("alice", (84, 24), "bob");
    alice.wait_for(" online");
    let mut bob = start("bob", (84, 24), "alice");
    bob.wait_for(" online");
    let say = |who: &mut Terminal, other: &Terminal, text: &str| {
        who.press(&format!("{text}\r"));
        other.wait_for(text);
    };
    // A group, and notes, for the list of chats.
    alice.press("\x1b[13~");
    alice.wait_for("a new group");
    alice.press("Friday run: bob carol\r");
    alice.wait_for("made Friday run");
    alice.press("Six o'clock at the bridge?\r");
    alice.wait_for("Six o'clock at the bridge?");
    alice.press("\x1b[12~");
    alice.wait_for("write to whom?");
    alice.press("bob\r");
    alice.wait_for("● online");
    say(&mut bob, &alice, "Are you coming on Friday?");
    say(&mut alice, &bob, "Yes! I bring the map.");
    say(&mut bob, &alice, "Great. Dora asks: is there room for one more?");
    // A reply to the newest, and a reaction to it.
    alice.press("\x1b[A");
    alice.press("+");
    alice.press("👍\r");
    bob.wait_for("👍 alice");
    alice.press("\x1b[A");
    alice.press("r");
    say(&mut alice, &bob, "There is. Tell her: six o'clock.");
    alice.wait_for_tick("six o'clock.", "✓✓", Color::Idx(12));
    bob.press("\x11");
    assert_eq!(bob.wait_for_end().exit_code(), 0);
    alice.wait_for("last seen");
    alice.press("And we need a");
    alice.wait_for("› And we need a");
    let picture = svg(&alice.screen());
    assert!(picture.contains("Are you coming on Friday?") && picture.contains("✓✓"), "{picture}");
    if let Some(path) = std::env::var_os("BLUETICK_PICTURE") {
        std::fs::write(path, picture).expect("written");
    }
}

/// A screen, cell by cell.
fn svg(screen: &Screen) -> String {
    let (rows, columns) = size(screen);
    let (width, height) = (columns * CELL.0 + 2 * MARGIN, rows * CELL.1 + 2 * MARGIN);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" font-family=\"ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace\" \
         font-size=\"15\" xml:space=\"preserve\">\n<rect width=\"100%\" height=\"100%\" rx=\"10\" fill=\"{GROUND}\"/>\n"
    );
    for row in 0..rows {
        let mut column = 0;
        while column < columns {
            let Some(first) = screen.cell(row, column) else { break };
            // What looks alike goes together; its width is told, whatever font there is.
            let (mut text, start) = (String::new(), column);
            while let Some(cell) = screen.cell(row, column)
                && (cell.is_wide_continuation() || style(cell) == style(first))
            {
                if !cell.is_wide_continuation() {
                    text.push_str(if cell.has_contents() { cell.contents() } else { " " });
                }
                column += 1;
            }
            run(&mut svg, first, &text, (start, row), column - start);
        }
    }
    svg.push_str("</svg>\n");
    svg
}

fn style(cell: &Cell) -> (String, String, bool) {
    let colour = |colour: Color, default: &str| match colour {
        Color::Idx(index) => COLOURS.get(usize::from(index)).map_or(default, |it| it).to_owned(),
        Color::Rgb(r, g, b) => format!("#{r:02x}{g:02x}{b:02x}"),
        Color::Default => default.to_owned(),
    };
    let (mut front, mut back) = (colour(cell.fgcolor(), TEXT), colour(cell.bgcolor(), GROUND));
    if cell.inverse() {
        std::mem::swap(&mut front, &mut back);
    }
    (front, back, cell.bold())
}

fn run(svg: &mut String, cell: &Cell, text: &str, (column, row): (u16, u16), columns: u16) {
    let (front, back, bold) = style(cell);
    let (x, y) = (MARGIN + column * CELL.0, MARGIN + row * CELL.1);
    let (width, height) = (columns * CELL.0, CELL.1);
    if back != GROUND {
        writeln!(
            svg,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" fill=\"{back}\"/>"
        )
        .expect("memory");
    }
    if text.trim().is_empty() {
        return;
    }
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    let weight = if bold { " font-weight=\"bold\"" } else { "" };
    let base = y + CELL.1 - 5;
    writeln!(
        svg,
        "<text x=\"{x}\" y=\"{base}\" fill=\"{front}\"{weight} textLength=\"{width}\" \
         lengthAdjust=\"spacingAndGlyphs\">{text}</text>"
    )
    .expect("memory");
}
