//! The window over a conversation.

use bluetick_client::{GroupEvent, Seq};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use super::{Drawn, Look, ends, put, rows};
use crate::app::{App, Conversation, Entry, Mode, Outgoing, Scroll, Tick, What};
use crate::text;

/// One line of the window, and whose it is.
struct Row {
    line: Line<'static>,
    seq: Option<Seq>,
    /// Which line of its message.
    part: usize,
}

pub(super) fn draw(
    frame: &mut Frame<'_>,
    area: Rect,
    app: &App,
    conversation: &Conversation,
    look: &Look,
    drawn: &mut Drawn,
) {
    let lines = Lines { app, conversation, look, columns: usize::from(area.width) };
    let height = usize::from(area.height);
    // At the end no more than fits is needed: each message has a line at least.
    let is_newest = conversation.scroll == Scroll::Newest && conversation.scroll_by >= 0;
    let skip = match app.mode {
        Mode::Message(_) => 0,
        _ if is_newest => conversation.entries.len().saturating_sub(height + 1),
        _ => 0,
    };
    let all = lines.from(skip);
    let top = place(&all, conversation, &app.mode, height);
    let window = &all[top..(top + height).min(all.len())];
    // Few lines stand at the end, where one writes.
    let pad = height - window.len();
    for (row, it) in rows(area).skip(pad).zip(window) {
        put(frame, row, it.line.clone());
        if let Some(seq) = it.seq {
            drawn.messages.push((row, seq));
        }
    }
    let ends_here = |at: usize| all.get(at + 1).is_none_or(|next| next.seq != all[at].seq);
    let shown = (top..top + window.len()).filter(|at| ends_here(*at));
    drawn.shown.chat = Some(conversation.chat.clone());
    drawn.shown.seqs = shown.filter_map(|at| all[at].seq).collect();
    drawn.shown.top = window.iter().find_map(|row| row.seq);
    drawn.shown.at_top = top == 0 && skip == 0;
    drawn.shown.lines = height;
    drawn.shown.scroll = if top + height >= all.len() {
        Scroll::Newest
    } else {
        let first = window.iter().find_map(|row| row.seq.map(|seq| (seq, row.part)));
        first.map_or(Scroll::Newest, |(seq, part)| Scroll::Top(seq, part))
    };
}

/// The line on top.
fn place(all: &[Row], conversation: &Conversation, mode: &Mode, height: usize) -> usize {
    let last = all.len().saturating_sub(height);
    let first_of = |seq: Seq| all.iter().position(|row| row.seq == Some(seq));
    let top = match conversation.scroll {
        Scroll::Newest => last,
        Scroll::FirstAfter(seq) => {
            let first = all.iter().position(|row| row.seq.is_some_and(|it| it > seq));
            first.unwrap_or(last)
        }
        Scroll::Top(seq, part) => first_of(seq).map_or(last, |first| {
            let rows = all[first..].iter().take_while(|row| row.seq == Some(seq)).count();
            first + part.min(rows.saturating_sub(1))
        }),
        Scroll::Show(seq) => first_of(seq).map_or(last, |first| first.saturating_sub(height / 2)),
    };
    let mut top = top.saturating_add_signed(conversation.scroll_by).min(last);
    // The message that one is on is always to be seen.
    if let Mode::Message(seq) = mode
        && conversation.scroll_by == 0
        && let Some(first) = first_of(*seq)
    {
        let rows = all[first..].iter().take_while(|row| row.seq == Some(*seq)).count();
        top = top.max((first + rows).saturating_sub(height)).min(first);
    }
    top
}

struct Lines<'a> {
    app: &'a App,
    conversation: &'a Conversation,
    look: &'a Look,
    columns: usize,
}

impl Lines<'_> {
    /// The lines of all messages but so many of the oldest.
    fn from(&self, skip: usize) -> Vec<Row> {
        let mut all = Vec::new();
        let mut entries = self.conversation.entries.values();
        let mut previous = skip.checked_sub(1).and_then(|before| entries.nth(before));
        for entry in entries {
            let mut lines = self.above(previous, entry);
            lines.extend(self.entry(previous, entry));
            let own = lines.into_iter().enumerate();
            all.extend(own.map(|(part, line)| Row { line, seq: Some(entry.seq), part }));
            previous = Some(entry);
        }
        for outgoing in &self.conversation.outgoing {
            let mut lines = Vec::new();
            if previous.is_none_or(|previous| previous.from != self.app.me) {
                lines.push(self.author(&self.app.me));
            }
            lines.extend(self.outgoing(outgoing));
            all.extend(lines.into_iter().map(|line| Row { line, seq: None, part: 0 }));
        }
        all
    }

    /// What stands between two messages: a day, what is not loaded, what is new.
    fn above(&self, previous: Option<&Entry>, entry: &Entry) -> Vec<Line<'static>> {
        let (theme, mut lines) = (&self.look.theme, Vec::new());
        let start = self.conversation.covered.start_of(entry.seq.0).unwrap_or(entry.seq.0);
        let is_gap = match previous {
            Some(previous) => start > previous.seq.0 + 1,
            None => start > 1,
        };
        if is_gap {
            let text = match (self.conversation.loading, self.app.line.state.is_online()) {
                (true, _) => "older messages are being loaded",
                (false, true) => "PgUp loads older messages",
                (false, false) => "older messages are with the server",
            };
            lines.push(self.rule(text, theme.quiet));
        }
        let day = self.look.day(entry.at_ms);
        if previous.is_none_or(|previous| self.look.day(previous.at_ms) != day) {
            lines.push(self.rule(&day, theme.quiet));
        }
        if let Some(after) = self.conversation.new_after {
            let is_first = entry.seq > after && previous.is_none_or(|it| it.seq <= after);
            if is_first {
                lines.push(self.rule("new", theme.good));
            }
        }
        lines
    }

    fn rule(&self, text: &str, style: Style) -> Line<'static> {
        let text = format!(" {text} ");
        let room = self.columns.saturating_sub(text::width(&text));
        let (left, right) = (room / 2, room - room / 2);
        Line::styled(format!("{}{text}{}", "─".repeat(left), "─".repeat(right)), style)
    }

    fn author(&self, user: &bluetick_client::UserId) -> Line<'static> {
        let name = if *user == self.app.me { "you" } else { user.as_str() };
        Line::styled(name.to_owned(), self.look.theme.name(user.as_str()))
    }

    fn entry(&self, previous: Option<&Entry>, entry: &Entry) -> Vec<Line<'static>> {
        if let What::Group(event) = &entry.what {
            let text = format!("{} {}", entry.from, group_event(event));
            let lines = text::wrap(&text::clean_line(&text), self.columns.saturating_sub(4));
            let line = |line| Line::styled(format!("  · {line}"), self.look.theme.quiet);
            return lines.into_iter().map(line).collect();
        }
        let mut lines = Vec::new();
        let goes_on = previous.is_some_and(|previous| {
            previous.is_message()
                && previous.from == entry.from
                && self.look.day(previous.at_ms) == self.look.day(entry.at_ms)
        });
        if !goes_on {
            lines.push(self.author(&entry.from));
        }
        lines.extend(self.message(entry));
        lines
    }

    fn message(&self, entry: &Entry) -> Vec<Line<'static>> {
        let theme = &self.look.theme;
        let mut right = vec![Span::styled(self.look.time(entry.at_ms), theme.quiet)];
        if entry.from == self.app.me {
            let (ticks, style) = theme.tick(self.conversation.tick(entry.seq, &self.app.me));
            right.push(Span::styled(format!(" {ticks:<2}"), style));
        } else {
            right.push(Span::raw("   "));
        }
        let changes = self.conversation.changes(entry.seq);
        let (text, style) = match &entry.what {
            What::Text { .. } => {
                let mut text = text::clean(self.conversation.text(entry.seq).unwrap_or_default());
                if changes.is_some_and(|changes| changes.edited.is_some()) {
                    text.push_str(" (edited)");
                }
                (text, Style::new())
            }
            What::File { content_type, bytes } => {
                let content_type = text::clean_line(content_type);
                (format!("[{content_type}, {bytes} bytes: not for a terminal]"), theme.quiet)
            }
            _ => ("(deleted)".to_owned(), theme.quiet),
        };
        let reply_to = match entry.what {
            What::Text { reply_to, .. } => reply_to,
            _ => None,
        };
        let mut lines = self.quote(reply_to);
        let style = match &self.app.mode {
            Mode::Message(seq) if *seq == entry.seq => theme.selected,
            Mode::Question(_) => style,
            Mode::Search { hit: Some(seq), .. } if *seq == entry.seq => theme.hit,
            _ => style,
        };
        lines.extend(self.said(&text, style, right));
        let reactions = changes.map(|changes| &changes.reactions).into_iter().flatten();
        let reactions = reactions.filter(|(_, (_, emoji))| !emoji.is_empty());
        let reactions: Vec<_> = reactions
            .map(|(user, (_, emoji))| {
                let who = if *user == self.app.me { "you" } else { user.as_str() };
                format!("{} {who}", text::clean_line(emoji))
            })
            .collect();
        if !reactions.is_empty() {
            let reactions = text::fit(&reactions.join("  "), self.columns.saturating_sub(4));
            lines.push(Line::styled(format!("    {reactions}"), theme.quiet));
        }
        lines
    }

    /// The message that is answered, in one line.
    fn quote(&self, reply_to: Option<Seq>) -> Vec<Line<'static>> {
        let Some(seq) = reply_to else { return Vec::new() };
        let said = match self.conversation.text(seq) {
            Some(said) => text::clean_line(said),
            None => format!("message {seq}"),
        };
        let said = text::fit(&said, self.columns.saturating_sub(16));
        vec![Line::styled(format!("  ┃ {said}"), self.look.theme.quiet)]
    }

    /// A text, with time and ticks behind its last line.
    fn said(&self, text: &str, style: Style, right: Vec<Span<'static>>) -> Vec<Line<'static>> {
        let right_columns: usize = right.iter().map(|span| text::width(&span.content)).sum();
        let room = self.columns.saturating_sub(right_columns + 3);
        let wrapped = text::wrap(text, room);
        let last = wrapped.len().saturating_sub(1);
        let line = |(at, line): (usize, String)| {
            let right = if at == last { right.clone() } else { Vec::new() };
            ends(&format!("  {line}"), style, right, self.columns)
        };
        wrapped.into_iter().enumerate().map(line).collect()
    }

    fn outgoing(&self, outgoing: &Outgoing) -> Vec<Line<'static>> {
        let theme = &self.look.theme;
        let (tick, style) = match outgoing.failed {
            Some(_) => ("!", theme.bad),
            None => theme.tick(Tick::Waiting),
        };
        let time = Span::styled(self.look.time(outgoing.at_ms), theme.quiet);
        let right = vec![time, Span::styled(format!(" {tick:<2}"), style)];
        let mut lines = self.quote(outgoing.reply_to);
        lines.extend(self.said(&text::clean(&outgoing.text), Style::new(), right));
        if let Some(why) = &outgoing.failed {
            let why = text::clean_line(&format!("not sent: {why}"));
            let why = text::fit(&why, self.columns.saturating_sub(4));
            lines.push(Line::styled(format!("    {why}"), theme.bad));
        }
        lines
    }
}

/// What happened to a group, behind the name of who did it.
fn group_event(event: &GroupEvent) -> String {
    let names = |members: &[bluetick_client::UserId]| {
        members.iter().map(bluetick_client::UserId::as_str).collect::<Vec<_>>().join(", ")
    };
    match event {
        GroupEvent::Created { title, members } => {
            let title = title.as_deref().unwrap_or("the group");
            format!("made {title}: {}", names(members))
        }
        GroupEvent::Added { members } => format!("added {}", names(members)),
        GroupEvent::Removed { members } => format!("removed {}", names(members)),
        GroupEvent::Left => "left".to_owned(),
        GroupEvent::Role { user, role } => format!("made {user} {role:?}").to_lowercase(),
        GroupEvent::Updated { title: Some(title), .. } => format!("calls it {title}"),
        GroupEvent::Updated { .. } => "changed the group's settings".to_owned(),
    }
}
