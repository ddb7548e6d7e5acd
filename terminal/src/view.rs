//! The screen: a function of the state.

mod chats;
mod composer;
mod log;
mod overlay;
mod status;

use bluetick_client::{ChatId, Seq};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::app::{App, Mode, Shown};
use crate::text;
use crate::theme::Theme;

/// Columns below which list and conversation are not side by side.
const SIDE_BY_SIDE: u16 = 64;

/// How the screen looks, whatever is on it.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    pub(crate) theme: Theme,
    pub(crate) zone: TimeZone,
}

impl Look {
    /// A time of day, such as `17:05`.
    fn time(&self, at_ms: u64) -> String {
        self.at(at_ms).strftime("%H:%M").to_string()
    }

    /// A day, such as `Tuesday, 24 November 2026`.
    fn day(&self, at_ms: u64) -> String {
        self.at(at_ms).strftime("%A, %-d %B %Y").to_string()
    }

    fn at(&self, at_ms: u64) -> DateTime {
        let at_ms = i64::try_from(at_ms).unwrap_or(i64::MAX);
        // Beyond year 9999 a peer's mistake: shown as the beginning of time.
        self.zone.to_datetime(Timestamp::from_millisecond(at_ms).unwrap_or_default())
    }
}

/// What was drawn where, for the mouse, and for what counts as read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Drawn {
    pub(crate) shown: Shown,
    pub(crate) chats: Vec<(Rect, ChatId)>,
    pub(crate) messages: Vec<(Rect, Seq)>,
    pub(crate) chats_area: Rect,
}

/// Draws all.
pub(crate) fn draw(frame: &mut Frame<'_>, app: &App, look: &Look) -> Drawn {
    let area = frame.area();
    let mut drawn = Drawn::default();
    if area.width < 8 || area.height < 3 {
        return drawn;
    }
    let body = Rect { height: area.height - 1, ..area };
    let status = Rect { y: area.bottom() - 1, height: 1, ..area };
    if area.width >= SIDE_BY_SIDE {
        let list = (area.width / 4).clamp(18, 32);
        let (left, rule) = (Rect { width: list, ..body }, Rect { x: list, width: 1, ..body });
        let right = Rect { x: list + 1, width: body.width - list - 1, ..body };
        chats::draw(frame, left, app, look, &mut drawn);
        for y in rule.top()..rule.bottom() {
            put(frame, Rect { y, height: 1, ..rule }, Line::styled("│", look.theme.quiet));
        }
        conversation(frame, right, app, look, &mut drawn);
    } else if matches!(app.mode, Mode::Chats) {
        chats::draw(frame, body, app, look, &mut drawn);
    } else {
        conversation(frame, body, app, look, &mut drawn);
    }
    status::draw(frame, status, app, look);
    if overlay::draw(frame, body, app, look) {
        // What is behind it is not to be seen.
        drawn.shown = Shown { chat: None, lines: usize::from(body.height), ..drawn.shown };
        (drawn.chats, drawn.messages) = (Vec::new(), Vec::new());
    }
    drawn
}

fn conversation(frame: &mut Frame<'_>, area: Rect, app: &App, look: &Look, drawn: &mut Drawn) {
    let Some(conversation) = app.opened() else {
        let lines = [
            "Nobody here yet.",
            "",
            "F2 writes to somebody: type a name, Enter, and say something.",
            "F3 makes a group.   F1 shows all keys.   Ctrl-Q quits.",
        ];
        for (line, y) in lines.iter().zip(area.top()..area.bottom()) {
            let row = Rect { y, height: 1, ..area };
            put(frame, row, Line::from(vec![Span::raw("  "), Span::raw(*line)]));
        }
        composer::draw(frame, area, app, look);
        return;
    };
    let head = Rect { height: 1, ..area };
    status::head(frame, head, app, conversation, look);
    let below = composer::draw(frame, area, app, look);
    let height = area.height.saturating_sub(1 + below);
    let window = Rect { y: area.y + 1, height, ..area };
    log::draw(frame, window, app, conversation, look, drawn);
}

/// Puts a line into a row; what does not fit is cut.
fn put(frame: &mut Frame<'_>, area: Rect, line: Line<'_>) {
    let area = area.intersection(frame.area());
    if area.height > 0 {
        frame.buffer_mut().set_line(area.x, area.y, &line, area.width);
    }
}

/// The rows of an area.
fn rows(area: Rect) -> impl Iterator<Item = Rect> {
    (area.top()..area.bottom()).map(move |y| Rect { y, height: 1, ..area })
}

/// Two texts at the two ends of a row; the left one is cut if there is no room for both.
fn ends(left: &str, style: Style, right: Vec<Span<'static>>, columns: usize) -> Line<'static> {
    let right_columns: usize = right.iter().map(|span| text::width(&span.content)).sum();
    let room = columns.saturating_sub(right_columns + usize::from(right_columns > 0));
    let left = text::fit(left, room);
    let gap = columns.saturating_sub(right_columns + text::width(&left));
    let mut spans = vec![Span::styled(left, style), Span::styled(" ".repeat(gap), style)];
    spans.extend(right);
    Line::from(spans)
}
