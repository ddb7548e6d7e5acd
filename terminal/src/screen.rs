//! The terminal: taken, and given back whatever happens.

use std::io::{self, IsTerminal as _, Stdout, Write as _, stdout};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crossterm::event::{
    DisableBracketedPaste, DisableFocusChange, DisableMouseCapture, EnableBracketedPaste,
    EnableFocusChange, EnableMouseCapture,
};
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen};
use crossterm::{cursor, execute, terminal};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;

/// The terminal is ours at the moment.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// What is to be said on standard error once the screen is given back: at most [`SAID_MAX`] lines.
static SAID: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Lines that are kept to be said.
const SAID_MAX: usize = 16;

/// Says something on standard error once the screen is given back.
pub(crate) fn say_at_end(line: String) {
    let mut said = SAID.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if said.len() < SAID_MAX && said.last() != Some(&line) {
        said.push(line);
    }
}

/// The terminal, in raw mode and on its alternate screen. Dropping it gives it back; so does a panic of any
/// thread, before its message.
pub(crate) struct Screen {
    pub(crate) terminal: Terminal<CrosstermBackend<Stdout>>,
}

impl Screen {
    pub(crate) fn take() -> io::Result<Self> {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            give_back();
            before(info);
        }));
        if !io::stdin().is_terminal() || !stdout().is_terminal() {
            return Err(io::Error::other("standard input or output is none"));
        }
        let terminal = take().and_then(|()| Terminal::new(CrosstermBackend::new(stdout())));
        match terminal {
            Ok(terminal) => Ok(Self { terminal }),
            Err(error) => {
                give_back();
                Err(error)
            }
        }
    }

    /// Gives the terminal back, and stops this process until it is continued.
    pub(crate) fn suspend(&mut self) -> io::Result<()> {
        give_back();
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP)?;
        self.resume()
    }

    /// Takes it anew, whatever others have made of it.
    pub(crate) fn resume(&mut self) -> io::Result<()> {
        TAKEN.store(false, Ordering::SeqCst);
        take()?;
        self.redraw()
    }

    /// Has the next frame drawn whole. (ratatui's own `clear` asks the terminal where its cursor is, and the
    /// answer would go to whoever reads the keys.)
    pub(crate) fn redraw(&mut self) -> io::Result<()> {
        execute!(stdout(), terminal::Clear(terminal::ClearType::All))?;
        self.terminal = Terminal::new(CrosstermBackend::new(stdout()))?;
        Ok(())
    }

    pub(crate) fn bell(&self) -> io::Result<()> {
        stdout().write_all(b"\x07")?;
        stdout().flush()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
        let said =
            std::mem::take(&mut *SAID.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
        for line in said {
            eprintln!("bluetick: {line}");
        }
    }
}

fn take() -> io::Result<()> {
    TAKEN.store(true, Ordering::SeqCst);
    terminal::enable_raw_mode()?;
    execute!(
        stdout(),
        EnterAlternateScreen,
        EnableBracketedPaste,
        EnableMouseCapture,
        EnableFocusChange
    )
}

fn give_back() {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    // There is nobody to tell if the terminal is gone.
    let _left = execute!(
        stdout(),
        DisableFocusChange,
        DisableMouseCapture,
        DisableBracketedPaste,
        LeaveAlternateScreen,
        cursor::Show
    );
    let _cooked = terminal::disable_raw_mode();
}
