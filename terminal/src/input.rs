//! What the terminal says, as what it means to the program.

use crossterm::event::{
    Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEventKind,
};
use ratatui::layout::Position;

use crate::app::{App, Input};
use crate::keys;
use crate::view::Drawn;

/// Lines that a step of the wheel goes.
const WHEEL_LINES: isize = 3;

/// What an event of the terminal means; `None`: nothing, or that the screen is to be drawn again.
pub(crate) fn read(event: Event, app: &App, drawn: &Drawn) -> Option<Input> {
    match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => read_key(key, app),
        Event::Paste(text) => Some(Input::Paste(text)),
        Event::FocusGained => Some(Input::Focus(true)),
        Event::FocusLost => Some(Input::Focus(false)),
        Event::Mouse(mouse) => {
            let at = Position { x: mouse.column, y: mouse.row };
            let over_chats = drawn.chats_area.contains(at);
            match mouse.kind {
                MouseEventKind::ScrollUp => Some(Input::Wheel(-WHEEL_LINES, over_chats)),
                MouseEventKind::ScrollDown => Some(Input::Wheel(WHEEL_LINES, over_chats)),
                MouseEventKind::Down(MouseButton::Left) => {
                    let chat = drawn.chats.iter().find(|(area, _)| area.contains(at));
                    let message = drawn.messages.iter().find(|(area, _)| area.contains(at));
                    match (chat, message) {
                        (Some((_, chat)), _) => Some(Input::ClickChat(chat.clone())),
                        (None, Some((_, seq))) => Some(Input::ClickMessage(*seq)),
                        (None, None) => None,
                    }
                }
                _ => None,
            }
        }
        _ => None,
    }
}

fn read_key(key: KeyEvent, app: &App) -> Option<Input> {
    if let Some(action) = keys::action(app.context(), key) {
        return Some(Input::Act(action));
    }
    match key.code {
        KeyCode::Char(char) if (key.modifiers - KeyModifiers::SHIFT).is_empty() => {
            Some(Input::Type(char.to_string()))
        }
        KeyCode::Tab => Some(Input::Type("\t".to_owned())),
        // Any key goes back from what covers the screen.
        KeyCode::Esc | KeyCode::Enter => Some(Input::Type(String::new())),
        _ => None,
    }
}
