//! Where one writes: the composer, the search, and the line that asks for something.

use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::text::{Line, Span};

use super::{Look, put};
use crate::app::{App, Editor, Mode, Prompt, Purpose, Question};
use crate::keys::{Action, Context, hint};
use crate::text;

/// Rows of what one writes, at most.
const ROWS_MAX: usize = 6;

/// Draws it at the area's end; how many rows it has taken.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, app: &App, look: &Look) -> u16 {
    let (banner, editor, masked) = match &app.mode {
        Mode::Search { query, hit } => {
            let found = match (query.is_empty(), hit) {
                (true, _) => "search in what is loaded".to_owned(),
                (false, None) => "not found in what is loaded (PgUp loads older)".to_owned(),
                (false, Some(_)) => "found; ↑ older, ↓ newer, Esc takes it".to_owned(),
            };
            (Some(found), Some(query), false)
        }
        Mode::Prompt { kind, line } => {
            (Some(asks(kind).to_owned()), Some(line), *kind == Prompt::Password)
        }
        Mode::Question(question) => (Some(question_text(question)), None, false),
        _ => match app.opened() {
            Some(conversation) => {
                let banner = match conversation.purpose {
                    Purpose::Say => None,
                    Purpose::Edit(_) => Some("edit (Esc gives it up)".to_owned()),
                    Purpose::Reply(seq) => {
                        let said = text::clean_line(conversation.text(seq).unwrap_or("a message"));
                        Some(format!("reply to: {said}"))
                    }
                };
                (banner, Some(&conversation.draft), false)
            }
            None => return 0,
        },
    };
    let is_active = matches!(app.mode, Mode::Writing | Mode::Search { .. } | Mode::Prompt { .. });
    let columns = usize::from(area.width.saturating_sub(2));
    let (lines, row, column) = match editor {
        Some(editor) if masked => masked_rows(editor, columns),
        Some(editor) => editor.rows(columns),
        None => (Vec::new(), 0, 0),
    };
    let first = (row + 1).saturating_sub(ROWS_MAX);
    let seen = lines.len().saturating_sub(first).min(ROWS_MAX);
    // The rule above, the banner, the rows.
    let height = 1 + usize::from(banner.is_some()) + seen;
    let height = u16::try_from(height).unwrap_or(u16::MAX).min(area.height.saturating_sub(1));
    let mut y = area.bottom() - height;
    let rule = "─".repeat(usize::from(area.width));
    put(frame, Rect { y, height: 1, ..area }, Line::styled(rule, look.theme.quiet));
    y += 1;
    if let Some(banner) = banner {
        let banner = text::fit(&banner, usize::from(area.width));
        put(frame, Rect { y, height: 1, ..area }, Line::styled(banner, look.theme.title));
        y += 1;
    }
    for (at, line) in lines.iter().enumerate().skip(first).take(seen) {
        if y >= area.bottom() {
            break;
        }
        let mark = if at == 0 { "› " } else { "  " };
        let line = Line::from(vec![Span::styled(mark, look.theme.quiet), Span::raw(line.clone())]);
        put(frame, Rect { y, height: 1, ..area }, line);
        if at == row && is_active {
            let x = area.x + 2 + u16::try_from(column).unwrap_or(u16::MAX - area.x - 2);
            frame.set_cursor_position(Position { x: x.min(area.right() - 1), y });
        }
        y += 1;
    }
    height
}

/// One star for each character.
fn masked_rows(editor: &Editor, columns: usize) -> (Vec<String>, usize, usize) {
    let stars = editor.text().chars().count().min(columns.saturating_sub(1));
    (vec!["*".repeat(stars)], 0, stars)
}

fn asks(kind: &Prompt) -> &'static str {
    match kind {
        Prompt::NewChat => "write to whom? (a user's name)",
        Prompt::NewGroup => "a new group: title: user user …",
        Prompt::AddMembers(_) => "add whom? (users, with blanks in between)",
        Prompt::RemoveMembers(_) => "remove whom? (users, with blanks in between)",
        Prompt::React(..) => "react with (an emoji; nothing takes it back)",
        Prompt::Password => "the server does not take this user and password; password:",
    }
}

fn question_text(question: &Question) -> String {
    let what = match question {
        Question::Delete(..) => "delete this message for everybody?",
        Question::Leave(_) => "leave this group?",
    };
    let (yes, no) = (hint(Context::Question, Action::Yes), hint(Context::Question, Action::Cancel));
    format!("{what} {yes} / {no}")
}
