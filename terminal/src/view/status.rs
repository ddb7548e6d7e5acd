//! The line below, which tells how the connection is, and the one above a conversation.

use bluetick_client::Connection;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

use super::{Look, SIDE_BY_SIDE, ends, put};
use crate::app::{App, Conversation, Mode};
use crate::keys::{Action, Context, hint};
use crate::text;

/// The status line.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, app: &App, look: &Look) {
    let theme = &look.theme;
    let (mut state, style) = connection(app);
    let style = match style {
        Health::Good => theme.good,
        Health::Passing => theme.quiet,
        Health::Bad => theme.bad,
    };
    if app.waiting > 0 {
        let verb = if app.waiting == 1 { "waits" } else { "wait" };
        state.push_str(&format!(" · {} {verb} to be sent", app.waiting));
    }
    // The list of chats says it where there is room for it.
    let elsewhere = app.chats.values().filter(|it| Some(&it.chat) != app.open.as_ref());
    let unread: u64 = elsewhere.map(|conversation| conversation.unread(&app.me)).sum();
    if area.width < SIDE_BY_SIDE && unread > 0 {
        state.push_str(&format!(" · {unread} unread elsewhere"));
    }
    let columns = usize::from(area.width);
    let (right, right_style) = match &app.notice {
        Some((notice, _)) => (text::clean_line(notice), theme.bad),
        None => (hints(app), theme.quiet),
    };
    let room = columns.saturating_sub(text::width(&state) + 3);
    let right = Span::styled(text::fit(&right, room), right_style);
    put(frame, area, ends(&format!(" {state}"), style, vec![right], columns));
}

enum Health {
    Good,
    Passing,
    Bad,
}

fn connection(app: &App) -> (String, Health) {
    let why = app.line.why.as_deref();
    let because = why.map(|why| format!(": {why}")).unwrap_or_default();
    let reconnect = hint(Context::Anywhere, Action::Reconnect);
    match app.line.state {
        Connection::Online { .. } => ("online".to_owned(), Health::Good),
        Connection::Connecting => ("connecting …".to_owned(), Health::Passing),
        Connection::Offline { .. } => {
            let left_ms = app.line.retry_at_ms.map(|at_ms| at_ms.saturating_sub(app.now_ms));
            let left_s = left_ms.unwrap_or_default().div_ceil(1000);
            (format!("offline, again in {left_s} s{because}"), Health::Bad)
        }
        Connection::TakenOver => {
            let text =
                format!("another program is connected as this device; {reconnect} takes over");
            (text, Health::Bad)
        }
        Connection::CredentialsRefused => ("user or password refused".to_owned(), Health::Bad),
        Connection::Rejected { code } => {
            (format!("refused by the server (0x{code:02x}){because}"), Health::Bad)
        }
        _ => ("closed".to_owned(), Health::Bad),
    }
}

/// The keys that are of use here.
fn hints(app: &App) -> String {
    let (anywhere, context) = (Context::Anywhere, app.context());
    let pairs: &[(Context, Action, &str)] = match app.mode {
        Mode::Writing => &[
            (context, Action::Send, "send"),
            (context, Action::Up, "messages"),
            (context, Action::ToChats, "chats"),
            (anywhere, Action::Help, "keys"),
        ],
        Mode::Chats => &[
            (context, Action::ToConversation, "open"),
            (anywhere, Action::NewChat, "new"),
            (anywhere, Action::NewGroup, "group"),
            (anywhere, Action::Help, "keys"),
            (anywhere, Action::Quit, "quit"),
        ],
        Mode::Message(_) => &[
            (context, Action::Reply, "reply"),
            (context, Action::Edit, "edit"),
            (context, Action::DeleteMessage, "delete"),
            (context, Action::React, "react"),
            (context, Action::Cancel, "back"),
        ],
        Mode::Prompt { .. } => &[(context, Action::Send, "ok"), (context, Action::Cancel, "back")],
        Mode::Search { .. } => &[(context, Action::Cancel, "end")],
        Mode::Question(_) | Mode::Help(_) | Mode::Members => &[(anywhere, Action::Help, "keys")],
    };
    let hint = |(context, action, word): &(Context, Action, &str)| {
        format!("{} {word}", hint(*context, *action))
    };
    format!("{} ", pairs.iter().map(hint).collect::<Vec<_>>().join("  "))
}

/// Who it is, and whether he is there.
pub(super) fn head(
    frame: &mut Frame<'_>,
    area: Rect,
    app: &App,
    conversation: &Conversation,
    look: &Look,
) {
    let theme = &look.theme;
    let name = text::clean_line(&conversation.name(&app.me));
    let (right, style) = beside(app, conversation, look);
    let columns = usize::from(area.width);
    let right = text::fit(&right, columns.saturating_sub(12));
    let right = vec![Span::styled(right, style), Span::raw(" ")];
    put(frame, area, ends(&name, theme.title, right, columns));
}

fn beside(app: &App, conversation: &Conversation, look: &Look) -> (String, Style) {
    let theme = &look.theme;
    let typists: Vec<_> = conversation.typing.keys().map(bluetick_client::UserId::as_str).collect();
    match typists.as_slice() {
        [] => {}
        [_] if !conversation.is_group() => return ("types …".to_owned(), theme.good),
        [one] => return (format!("{one} types …"), theme.good),
        many => return (format!("{} type …", many.join(", ")), theme.good),
    }
    if conversation.left {
        return ("you are no member any more".to_owned(), theme.bad);
    }
    let Some(partner) = conversation.partner(&app.me) else {
        let members = conversation.members.as_ref().map(Vec::len);
        let text = members.map(|members| format!("{members} members")).unwrap_or_default();
        return (text, theme.quiet);
    };
    match app.presence.get(&partner) {
        _ if partner == app.me => (String::new(), theme.quiet),
        Some(presence) if presence.online => ("● online".to_owned(), theme.good),
        Some(presence) => match presence.last_seen_ms {
            Some(at_ms) if look.day(at_ms) == look.day(app.now_ms) => {
                (format!("last seen {}", look.time(at_ms)), theme.quiet)
            }
            Some(at_ms) => {
                (format!("last seen {} {}", look.day(at_ms), look.time(at_ms)), theme.quiet)
            }
            None => (String::new(), theme.quiet),
        },
        // Without a connection nobody knows.
        None => (String::new(), theme.quiet),
    }
}
