//! What covers the screen for a moment: the keys, and who is in the chat.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

use super::{Look, put, rows};
use crate::app::{App, Mode};
use crate::keys::{Context, KEYS, labels};
use crate::text;

/// Columns for the keys.
const KEYS_COLUMNS: usize = 30;

/// Draws it, if there is something; true if it covers what is there.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, app: &App, look: &Look) -> bool {
    let lines = match app.mode {
        Mode::Help(first) => {
            let lines = help(look);
            let last = lines.len().saturating_sub(usize::from(area.height));
            lines.into_iter().skip(first.min(last)).collect()
        }
        Mode::Members => members(app, look),
        _ => return false,
    };
    let blank = " ".repeat(usize::from(area.width));
    let mut lines = lines.into_iter();
    for row in rows(area) {
        put(frame, row, Line::raw(blank.clone()));
        if let Some(line) = lines.next() {
            put(frame, row, line);
        }
    }
    true
}

fn help(look: &Look) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    for context in Context::ALL {
        lines.push(Line::styled(format!(" {}", context.title()), look.theme.title));
        for binding in KEYS.iter().filter(|binding| binding.context == context) {
            let keys = labels(binding);
            let gap = " ".repeat(KEYS_COLUMNS.saturating_sub(text::width(&keys)).max(1));
            lines.push(Line::from(vec![
                Span::styled(format!("   {keys}"), look.theme.strong),
                Span::raw(format!("{gap}{}", binding.help)),
            ]));
        }
    }
    lines.push(Line::styled(
        " PgUp and PgDn turn the page, any other key goes back",
        look.theme.quiet,
    ));
    lines
}

fn members(app: &App, look: &Look) -> Vec<Line<'static>> {
    let theme = &look.theme;
    let Some(conversation) = app.opened() else { return Vec::new() };
    let name = text::clean_line(&conversation.name(&app.me));
    let mut lines = vec![
        Line::styled(format!(" {name}"), theme.title),
        Line::styled(format!(" {}", conversation.chat), theme.quiet),
        Line::default(),
    ];
    match &conversation.members {
        None => lines.push(Line::styled(" not known yet", theme.quiet)),
        Some(members) => lines.extend(members.iter().map(|member| {
            let here = app.presence.get(&member.user).is_some_and(|presence| presence.online);
            let mark = if here { "●" } else { " " };
            let role = format!("{:?}", member.role).to_lowercase();
            Line::from(vec![
                Span::styled(format!(" {mark} "), theme.good),
                Span::styled(
                    format!("{:<24} ", member.user.as_str()),
                    theme.name(member.user.as_str()),
                ),
                Span::styled(role, theme.quiet),
            ])
        })),
    }
    lines
}
