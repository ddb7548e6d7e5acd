//! A program on a terminal of its own, and what its screen shows.

use std::io::{Read as _, Write};
use std::num::NonZero;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, ExitStatus, MasterPty, PtySize, native_pty_system};
use vt100::{Color, Parser, Screen};

use crate::environment;
use crate::support::PATIENCE;

/// How long one look at the screen waits for the next.
const LOOK: Duration = Duration::from_millis(50);

/// `bluetick chat` on a terminal. It is killed when dropped.
pub(crate) struct Terminal {
    child: Box<dyn Child + Send + Sync>,
    master: Box<dyn MasterPty + Send>,
    keyboard: Box<dyn Write + Send>,
    output: Arc<Output>,
}

struct Output {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    parser: Parser,
    raw: Vec<u8>,
    ended: bool,
}

impl Terminal {
    pub(crate) fn start(url: &str, state: &Path, size: (u16, u16), arguments: &[&str]) -> Self {
        let (cols, rows) = size;
        let size = PtySize { rows, cols, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).expect("a pty");
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_bluetick"));
        command.env_clear();
        for (name, value) in environment(url, state) {
            command.env(name, value);
        }
        command.arg("chat");
        command.args(arguments);
        let child = pair.slave.spawn_command(command).expect("started");
        drop(pair.slave);
        let keyboard = pair.master.take_writer().expect("a keyboard");
        let mut reader = pair.master.try_clone_reader().expect("a screen");
        let parser = Parser::new(some(rows), some(cols), 0);
        let state = Mutex::new(State { parser, raw: Vec::new(), ended: false });
        let output = Arc::new(Output { state, changed: Condvar::new() });
        let writer = output.clone();
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            loop {
                // Linux says EIO when the program is gone.
                let count = reader.read(&mut chunk).unwrap_or(0);
                let mut state = writer.state.lock().expect("no panic");
                state.parser.process(&chunk[..count]);
                state.raw.extend_from_slice(&chunk[..count]);
                state.ended = count == 0;
                writer.changed.notify_all();
                if count == 0 {
                    return;
                }
            }
        });
        Self { child, master: pair.master, keyboard, output }
    }

    pub(crate) fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).expect("pressed");
        self.keyboard.flush().expect("pressed");
    }

    pub(crate) fn resize(&self, (cols, rows): (u16, u16)) {
        self.state().parser.screen_mut().set_size(some(rows), some(cols));
        let size = PtySize { rows, cols, pixel_width: 0, pixel_height: 0 };
        self.master.resize(size).expect("resized");
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.output.state.lock().expect("no panic")
    }

    /// Waits until the screen is so.
    #[track_caller]
    pub(crate) fn wait_until(&self, what: &str, is_so: impl Fn(&Screen) -> bool) {
        assert!(self.is_soon(PATIENCE, &is_so), "waited until {what}; it shows:\n{}", self.text());
    }

    fn is_soon(&self, patience: Duration, is_so: &impl Fn(&Screen) -> bool) -> bool {
        let until = Instant::now() + patience;
        let mut state = self.state();
        loop {
            if is_so(state.parser.screen()) {
                return true;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || state.ended {
                return false;
            }
            (state, _) = self.output.changed.wait_timeout(state, left).expect("no panic");
        }
    }

    /// Waits until a line has this in it.
    #[track_caller]
    pub(crate) fn wait_for(&self, part: &str) {
        self.wait_until(&format!("it shows {part:?}"), |screen| screen.contents().contains(part));
    }

    /// Waits until a line of the conversation has these two in this order, the second in this colour.
    #[track_caller]
    pub(crate) fn wait_for_tick(&self, text: &str, tick: &str, colour: Color) {
        let what = format!("{text:?} has {tick} in {colour:?}");
        self.wait_until(&what, |screen| {
            let (rows, columns) = size(screen);
            (0..rows).any(|row| {
                let line = screen.contents_between(row, 0, row, columns);
                let is_it = line.contains(text) && line.trim_end().ends_with(&format!(" {tick}"));
                let cell = |column| screen.cell(row, column);
                let mut cells = (0..columns).rev().filter_map(cell);
                let last = cells.find(|cell| cell.has_contents() && cell.contents() != " ");
                is_it && last.is_some_and(|cell| cell.fgcolor() == colour)
            })
        });
    }

    pub(crate) fn text(&self) -> String {
        self.state().parser.screen().contents()
    }

    pub(crate) fn screen(&self) -> Screen {
        self.state().parser.screen().clone()
    }

    /// All that has come out so far.
    pub(crate) fn raw(&self) -> Vec<u8> {
        self.state().raw.clone()
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.process_id().expect("it runs").to_string();
        let sent = Command::new("kill").args([&format!("-{name}"), &pid]).status();
        assert!(sent.expect("kill is there").success());
    }

    /// Signals until the screen is so: for one that may come before the program is ready for it.
    #[track_caller]
    pub(crate) fn signal_until(&self, name: &str, what: &str, is_so: impl Fn(&Screen) -> bool) {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            self.signal(name);
            if self.is_soon(LOOK, &is_so) {
                return;
            }
        }
        panic!("waited until {what}; it shows:\n{}", self.text());
    }

    pub(crate) fn wait_for_end(&mut self) -> ExitStatus {
        let ended = self.child.wait().expect("ended");
        let mut state = self.output.state.lock().expect("no panic");
        while !state.ended {
            state = self.output.changed.wait(state).expect("no panic");
        }
        ended
    }
}

fn some(length: u16) -> NonZero<u16> {
    NonZero::new(length).expect("a terminal has cells")
}

/// Rows and columns.
pub(crate) fn size(screen: &Screen) -> (u16, u16) {
    let (rows, columns) = screen.size();
    (rows.get(), columns.get())
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may have ended.
        let _killed = self.child.kill();
        let _ended = self.child.wait();
    }
}
