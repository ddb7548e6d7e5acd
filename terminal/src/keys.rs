//! What each key does: one table, for the program, its help and docs/terminal.md.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Send,
    NewLine,
    Up,
    Down,
    Left,
    Right,
    WordLeft,
    WordRight,
    LineStart,
    LineEnd,
    Backspace,
    Delete,
    DeleteWord,
    DeleteToStart,
    DeleteToEnd,
    Cancel,
    NextChat,
    PreviousChat,
    ToChats,
    ToConversation,
    PageUp,
    PageDown,
    Newest,
    Search,
    Reply,
    Edit,
    DeleteMessage,
    React,
    NewChat,
    NewGroup,
    AddMembers,
    RemoveMembers,
    Members,
    Leave,
    Help,
    Reconnect,
    Redraw,
    Suspend,
    Quit,
    Yes,
}

/// Where one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Context {
    /// Everywhere.
    Anywhere,
    /// Where one writes: the composer, and the line that asks for something.
    Writing,
    /// In the list of chats.
    Chats,
    /// On a message.
    Message,
    /// In the search.
    Search,
    /// At a question.
    Question,
}

impl Context {
    /// In the order of the help.
    pub(crate) const ALL: [Self; 6] =
        [Self::Anywhere, Self::Writing, Self::Chats, Self::Message, Self::Search, Self::Question];

    /// For people.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Anywhere => "Everywhere",
            Self::Writing => "Writing",
            Self::Chats => "In the list of chats",
            Self::Message => "On a message",
            Self::Search => "Searching",
            Self::Question => "Asked for a yes",
        }
    }
}

/// A key with what is held beside it.
pub(crate) type Chord = (KeyModifiers, KeyCode);

/// A row of the table.
pub(crate) struct Binding {
    pub(crate) context: Context,
    /// Any of these; the first is the one to tell.
    pub(crate) chords: &'static [Chord],
    pub(crate) action: Action,
    pub(crate) help: &'static str,
}

const NONE: KeyModifiers = KeyModifiers::NONE;
const CTRL: KeyModifiers = KeyModifiers::CONTROL;
const ALT: KeyModifiers = KeyModifiers::ALT;
const SHIFT: KeyModifiers = KeyModifiers::SHIFT;

const fn ctrl(char: char) -> Chord {
    (CTRL, KeyCode::Char(char))
}

const fn plain(char: char) -> Chord {
    (NONE, KeyCode::Char(char))
}

const fn key(code: KeyCode) -> Chord {
    (NONE, code)
}

const fn row(
    context: Context,
    chords: &'static [Chord],
    action: Action,
    help: &'static str,
) -> Binding {
    Binding { context, chords, action, help }
}

/// All keys. A context's own rows outweigh those of [`Context::Anywhere`].
pub(crate) const KEYS: &[Binding] = {
    use Action as A;
    use Context as C;
    use KeyCode as K;
    &[
        row(C::Anywhere, &[key(K::F(1))], A::Help, "this help"),
        row(C::Anywhere, &[key(K::F(2))], A::NewChat, "write to somebody"),
        row(C::Anywhere, &[key(K::F(3))], A::NewGroup, "make a group"),
        row(C::Anywhere, &[key(K::F(4))], A::AddMembers, "add members to the group"),
        row(C::Anywhere, &[key(K::F(5))], A::Members, "who is in the chat, and who is there"),
        row(C::Anywhere, &[key(K::F(6))], A::RemoveMembers, "remove members from the group"),
        row(C::Anywhere, &[key(K::F(8))], A::Leave, "leave the group"),
        row(C::Anywhere, &[ctrl('n'), (ALT, K::Down)], A::NextChat, "next chat"),
        row(C::Anywhere, &[ctrl('p'), (ALT, K::Up)], A::PreviousChat, "previous chat"),
        row(C::Anywhere, &[key(K::PageUp)], A::PageUp, "a page up; older messages are loaded"),
        row(C::Anywhere, &[key(K::PageDown)], A::PageDown, "a page down"),
        row(C::Anywhere, &[(CTRL, K::End), ctrl('g')], A::Newest, "to the newest message"),
        row(C::Anywhere, &[ctrl('f')], A::Search, "search in what is loaded"),
        row(C::Anywhere, &[ctrl('r')], A::Reconnect, "connect now"),
        row(C::Anywhere, &[ctrl('l')], A::Redraw, "draw the screen anew"),
        row(C::Anywhere, &[ctrl('z')], A::Suspend, "to the shell; `fg` comes back"),
        row(C::Anywhere, &[ctrl('q'), ctrl('c')], A::Quit, "quit"),
        row(C::Writing, &[key(K::Enter)], A::Send, "send"),
        row(C::Writing, &[(ALT, K::Enter), ctrl('j'), (SHIFT, K::Enter)], A::NewLine, "a new line"),
        row(C::Writing, &[key(K::Up)], A::Up, "a line up; from the first one to the messages"),
        row(C::Writing, &[key(K::Down)], A::Down, "a line down"),
        row(C::Writing, &[key(K::Left), ctrl('b')], A::Left, "left"),
        row(C::Writing, &[key(K::Right)], A::Right, "right"),
        row(C::Writing, &[(CTRL, K::Left), (ALT, K::Char('b'))], A::WordLeft, "a word left"),
        row(C::Writing, &[(CTRL, K::Right), (ALT, K::Char('f'))], A::WordRight, "a word right"),
        row(C::Writing, &[key(K::Home), ctrl('a')], A::LineStart, "to the line's start"),
        row(C::Writing, &[key(K::End), ctrl('e')], A::LineEnd, "to the line's end"),
        row(C::Writing, &[key(K::Backspace), ctrl('h')], A::Backspace, "delete to the left"),
        row(C::Writing, &[key(K::Delete), ctrl('d')], A::Delete, "delete to the right"),
        row(C::Writing, &[ctrl('w'), (ALT, K::Backspace)], A::DeleteWord, "delete a word"),
        row(C::Writing, &[ctrl('u')], A::DeleteToStart, "delete to the line's start"),
        row(C::Writing, &[ctrl('k')], A::DeleteToEnd, "delete to the line's end"),
        row(C::Writing, &[key(K::Tab)], A::ToChats, "to the list of chats"),
        row(
            C::Writing,
            &[key(K::Esc)],
            A::Cancel,
            "give up a reply or an edit; take a refused message back",
        ),
        row(C::Chats, &[key(K::Up), plain('k')], A::Up, "up"),
        row(C::Chats, &[key(K::Down), plain('j')], A::Down, "down"),
        row(
            C::Chats,
            &[key(K::Enter), key(K::Tab), key(K::Right), key(K::Esc)],
            A::ToConversation,
            "into the chat",
        ),
        row(C::Chats, &[plain('q')], A::Quit, "quit"),
        row(C::Chats, &[plain('?')], A::Help, "this help"),
        row(C::Message, &[key(K::Up), plain('k')], A::Up, "the message above"),
        row(C::Message, &[key(K::Down), plain('j')], A::Down, "the message below"),
        row(C::Message, &[plain('r'), key(K::Enter)], A::Reply, "reply"),
        row(C::Message, &[plain('e')], A::Edit, "edit (one's own)"),
        row(C::Message, &[plain('d'), key(K::Delete)], A::DeleteMessage, "delete for everybody"),
        row(C::Message, &[plain('+')], A::React, "react, or take it back"),
        row(C::Message, &[key(K::Esc), key(K::Tab)], A::Cancel, "back to writing"),
        row(C::Message, &[plain('?')], A::Help, "this help"),
        row(C::Search, &[key(K::Up), key(K::Enter)], A::Up, "the next older"),
        row(C::Search, &[key(K::Down)], A::Down, "the next newer"),
        row(C::Search, &[key(K::Esc)], A::Cancel, "end the search"),
        row(C::Question, &[plain('y')], A::Yes, "yes"),
        row(C::Question, &[plain('n'), key(K::Esc)], A::Cancel, "no"),
    ]
};

/// What a key does; `None`: it is text, or nothing.
pub(crate) fn action(context: Context, event: KeyEvent) -> Option<Action> {
    let chord = chord(event);
    // What is typed into the search is edited as everywhere.
    let order: &[Context] = match context {
        Context::Search => &[Context::Search, Context::Anywhere, Context::Writing],
        _ => &[context, Context::Anywhere],
    };
    order.iter().find_map(|context| {
        let rows = KEYS.iter().filter(|row| row.context == *context);
        rows.into_iter().find(|row| row.chords.contains(&chord)).map(|row| row.action)
    })
}

/// The event as the table writes it: what shift does to a character is in the character.
fn chord(event: KeyEvent) -> Chord {
    let mut modifiers = event.modifiers & (CTRL | ALT | SHIFT);
    match event.code {
        KeyCode::Char(char) => {
            modifiers.remove(SHIFT);
            let char = if modifiers.is_empty() { char } else { char.to_ascii_lowercase() };
            (modifiers, KeyCode::Char(char))
        }
        KeyCode::Enter => (modifiers, KeyCode::Enter),
        code => (modifiers - SHIFT, code),
    }
}

/// How a key is written, such as `Ctrl-N`.
pub(crate) fn label((modifiers, code): Chord) -> String {
    let mut label = String::new();
    for (modifier, name) in [(CTRL, "Ctrl-"), (ALT, "Alt-"), (SHIFT, "Shift-")] {
        if modifiers.contains(modifier) {
            label.push_str(name);
        }
    }
    match code {
        KeyCode::Char(char) if modifiers.is_empty() => label.push(char),
        KeyCode::Char(char) => label.extend(char.to_uppercase()),
        KeyCode::F(number) => label.push_str(&format!("F{number}")),
        KeyCode::Up => label.push('↑'),
        KeyCode::Down => label.push('↓'),
        KeyCode::Left => label.push('←'),
        KeyCode::Right => label.push('→'),
        KeyCode::PageUp => label.push_str("PgUp"),
        KeyCode::PageDown => label.push_str("PgDn"),
        code => label.push_str(&format!("{code:?}")),
    }
    label
}

/// All keys of a row, such as `Ctrl-N, Alt-↓`.
pub(crate) fn labels(binding: &Binding) -> String {
    binding.chords.iter().map(|chord| label(*chord)).collect::<Vec<_>>().join(", ")
}

/// The first key for an action, for hints.
pub(crate) fn hint(context: Context, action: Action) -> String {
    let mut rows = KEYS.iter().filter(|row| row.context == context && row.action == action);
    rows.next().and_then(|row| row.chords.first()).map(|chord| label(*chord)).unwrap_or_default()
}

/// The table as docs/terminal.md has it.
#[cfg(test)]
fn markdown() -> String {
    let mut out = String::new();
    for context in Context::ALL {
        out.push_str(&format!("| {} | |\n|---|---|\n", context.title()));
        for row in KEYS.iter().filter(|row| row.context == context) {
            let chords: Vec<_> =
                row.chords.iter().map(|chord| format!("`{}`", label(*chord))).collect();
            out.push_str(&format!("| {} | {} |\n", chords.join(" "), row.help));
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_means_two_things() {
        for (at, row) in KEYS.iter().enumerate() {
            for chord in row.chords {
                let others = KEYS[at + 1..].iter().filter(|other| other.context == row.context);
                let twice = others.into_iter().any(|other| other.chords.contains(chord));
                assert!(!twice, "{} in {:?}", label(*chord), row.context);
            }
        }
    }

    #[test]
    fn shift_is_in_the_character() {
        let event = |modifiers, code| KeyEvent::new(code, modifiers);
        assert_eq!(action(Context::Message, event(SHIFT, KeyCode::Char('+'))), Some(Action::React));
        assert_eq!(action(Context::Writing, event(SHIFT, KeyCode::Char('R'))), None);
        assert_eq!(
            action(Context::Writing, event(CTRL, KeyCode::Char('N'))),
            Some(Action::NextChat)
        );
        assert_eq!(action(Context::Writing, event(ALT, KeyCode::Enter)), Some(Action::NewLine));
        assert_eq!(action(Context::Search, event(NONE, KeyCode::Enter)), Some(Action::Up));
        assert_eq!(action(Context::Search, event(NONE, KeyCode::Left)), Some(Action::Left));
    }

    #[test]
    fn the_guide_has_this_table() {
        let guide = include_str!("../../docs/terminal.md");
        let table = markdown();
        assert!(guide.contains(&table), "docs/terminal.md needs this:\n\n{table}");
    }
}
