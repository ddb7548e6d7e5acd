//! The list of chats.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::{Drawn, Look, ends, put, rows};
use crate::app::{App, Conversation, Mode, Tick, What};
use crate::text;

/// Rows of a chat.
const ROWS: u16 = 2;

pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, app: &App, look: &Look, drawn: &mut Drawn) {
    drawn.chats_area = area;
    let title = format!(" {}", app.me);
    let style = if app.mode == Mode::Chats { look.theme.title } else { look.theme.strong };
    put(frame, Rect { height: 1, ..area }, Line::styled(title, style));
    let area = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    let order = app.order();
    let fits = usize::from(area.height / ROWS).max(1);
    let open = order.iter().position(|chat| Some(chat) == app.open.as_ref()).unwrap_or(0);
    let first = (open + 1).saturating_sub(fits);
    for (chat, at) in order.iter().skip(first).take(fits).zip(0u16..) {
        let Some(conversation) = app.chats.get(chat) else { continue };
        let row = Rect { y: area.y + at * ROWS, height: ROWS, ..area }.intersection(area);
        let lines = entry(app, conversation, look, usize::from(area.width));
        for (row, line) in rows(row).zip(lines) {
            put(frame, row, line);
        }
        drawn.chats.push((row, chat.clone()));
    }
}

fn entry(
    app: &App,
    conversation: &Conversation,
    look: &Look,
    columns: usize,
) -> [Line<'static>; 2] {
    let theme = &look.theme;
    let is_open = app.open.as_ref() == Some(&conversation.chat);
    let base = if is_open { theme.selected } else { Style::new() };
    let partner = conversation.partner(&app.me);
    let presence = partner.and_then(|user| app.presence.get(&user));
    let here = presence.is_some_and(|presence| presence.online);
    let mark = if here { "● " } else { "  " };
    let name = format!("{mark}{}", text::clean_line(&conversation.name(&app.me)));
    let unread = conversation.unread(&app.me);
    let right = match unread {
        0 if conversation.last_at_ms > 0 => {
            let quiet = if is_open { base } else { theme.quiet };
            vec![Span::styled(look.time(conversation.last_at_ms), quiet), Span::styled(" ", base)]
        }
        0 => Vec::new(),
        unread => {
            let unread = format!(
                " {} ",
                if unread >= 1000 { "999+".to_owned() } else { unread.to_string() }
            );
            vec![Span::styled(unread, theme.unread), Span::styled(" ", base)]
        }
    };
    let name_style = if unread > 0 && !is_open { theme.strong } else { base };
    let first = ends(&name, name_style, right, columns);
    let quiet = if is_open { base } else { theme.quiet };
    let (below, ticks) = below(app, conversation, look);
    let ticks = match ticks {
        Some((ticks, style)) => {
            vec![Span::styled(ticks, if is_open { base } else { style }), Span::styled(" ", base)]
        }
        None => Vec::new(),
    };
    [first, ends(&format!("  {below}"), quiet, ticks, columns)]
}

/// What was said last, and its ticks if one said it oneself.
fn below(
    app: &App,
    conversation: &Conversation,
    look: &Look,
) -> (String, Option<(&'static str, Style)>) {
    if let Some(outgoing) = conversation.outgoing.last() {
        let tick = match outgoing.failed {
            Some(_) => ("!", look.theme.bad),
            None => look.theme.tick(Tick::Waiting),
        };
        return (text::clean_line(&outgoing.text), Some(tick));
    }
    if let Some(typist) = conversation.typing.keys().next() {
        let who = if conversation.is_group() { format!("{typist} ") } else { String::new() };
        return (format!("{who}types …"), None);
    }
    let Some(last) = conversation.last() else { return (String::new(), None) };
    let said = match &last.what {
        What::File { content_type, .. } => format!("[{}]", text::clean_line(content_type)),
        What::Gone => "(deleted)".to_owned(),
        _ => text::clean_line(conversation.text(last.seq).unwrap_or_default()),
    };
    if last.from == app.me {
        let tick = conversation.tick(last.seq, &app.me);
        return (said, Some(look.theme.tick(tick)));
    }
    let who = if conversation.is_group() { format!("{}: ", last.from) } else { String::new() };
    (format!("{who}{said}"), None)
}
