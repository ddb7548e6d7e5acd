//! What the screens look like, drawn on ratatui's test backend.

use bluetick_client::{
    ChatId, Connection, GroupEvent, MessageId, Page, Presence, Receipt, Role, Seq, Typing, UserId,
};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::style::Color;

use crate::app::{App, Effect, Entry, Info, Input, Member, Mode, Shown, Told, What};
use crate::keys::Action;
use crate::theme::Theme;
use crate::view::{self, Drawn, Look};

/// 24 November 2026, 17:00 UTC.
const NOW_MS: u64 = 1_795_539_600_000;

struct Stage {
    app: App,
    terminal: Terminal<TestBackend>,
    look: Look,
    effects: Vec<Effect>,
    drawn: Drawn,
}

impl Stage {
    fn new(columns: u16, rows: u16) -> Self {
        let app = App::new(user("alice"), NOW_MS);
        let terminal = Terminal::new(TestBackend::new(columns, rows)).expect("no I/O");
        let look = Look { theme: Theme::DARK, zone: jiff::tz::TimeZone::UTC };
        Self { app, terminal, look, effects: Vec::new(), drawn: Drawn::default() }
    }

    fn tell(&mut self, input: Input) -> &mut Self {
        self.effects.extend(self.app.update(input, NOW_MS));
        self
    }

    fn press(&mut self, action: Action) -> &mut Self {
        self.tell(Input::Act(action))
    }

    fn type_in(&mut self, text: &str) -> &mut Self {
        self.tell(Input::Type(text.to_owned()))
    }

    /// Alice and Bob, on line, with a message of each.
    fn conversation(columns: u16, rows: u16) -> Self {
        let mut stage = Self::new(columns, rows);
        stage.tell(online());
        stage.tell(Input::Live(said(1, "bob", "hi alice")));
        stage.tell(Input::Live(said(2, "alice", "hi bob")));
        stage.tell(Input::ClickChat(chat()));
        stage
    }

    /// Draws, tells the state so, and gives the lines without the blanks at their ends.
    fn draw(&mut self) -> Vec<String> {
        let (app, look, drawn) = (&self.app, &self.look, &mut self.drawn);
        self.terminal.draw(|frame| *drawn = view::draw(frame, app, look)).expect("no I/O");
        let shown = self.drawn.shown.clone();
        self.tell(Input::Shown(shown));
        lines(self.terminal.backend().buffer())
    }

    #[track_caller]
    fn assert_shows(&mut self, expected: &[&str]) {
        let lines = self.draw();
        assert_eq!(lines, expected, "\n{}\n", lines.join("\n"));
    }

    fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    fn reads(&mut self) -> Vec<u64> {
        let read = |effect| match effect {
            Effect::Read { seq, .. } => Some(seq.0),
            _ => None,
        };
        self.take_effects().into_iter().filter_map(read).collect()
    }

    /// The colour of the first cell with this.
    fn colour_of(&self, symbol: &str) -> Option<Color> {
        let cells = &self.terminal.backend().buffer().content;
        cells.iter().find(|cell| cell.symbol() == symbol).map(|cell| cell.fg)
    }
}

fn lines(buffer: &Buffer) -> Vec<String> {
    let width = usize::from(buffer.area.width);
    let mut lines = Vec::new();
    for row in buffer.content.chunks(width) {
        let (mut line, mut skip) = (String::new(), 0usize);
        for cell in row {
            if skip == 0 {
                line.push_str(cell.symbol());
            }
            skip = skip.max(crate::text::width(cell.symbol())).saturating_sub(1);
        }
        lines.push(line.trim_end().to_owned());
    }
    lines
}

fn user(name: &str) -> UserId {
    UserId::try_from(name).expect("a user")
}

fn chat() -> ChatId {
    ChatId::try_from("alice~bob").expect("a chat")
}

fn group() -> ChatId {
    ChatId::try_from("g-7k2m9x4q1zrt").expect("a chat")
}

fn entry(seq: u64, from: &str, what: What) -> Entry {
    let at_ms = NOW_MS + seq * 60_000;
    Entry {
        chat: chat(),
        seq: Seq(seq),
        id: None,
        from: user(from),
        at_ms,
        expires_at_ms: None,
        what,
    }
}

fn said(seq: u64, from: &str, text: &str) -> Entry {
    entry(seq, from, What::Text { text: text.to_owned(), reply_to: None })
}

fn online() -> Input {
    Input::Connection { state: Connection::Online { session_present: true }, why: None }
}

fn receipt(delivered: u64, read: u64) -> Input {
    let (delivered, read) = (Seq(delivered), Seq(read));
    Input::Receipt(Receipt { chat: chat(), user: user("bob"), delivered, read, at_ms: 0 })
}

#[test]
fn a_conversation() {
    let mut stage = Stage::conversation(72, 14);
    stage.tell(Input::Presence(Presence { user: user("bob"), online: true, last_seen_ms: None }));
    stage.tell(Input::Live(entry(3, "bob", What::React { to: Seq(2), emoji: "👍".to_owned() })));
    let reply = What::Text { text: "see you at sevn".to_owned(), reply_to: Some(Seq(2)) };
    stage.tell(Input::Live(entry(4, "bob", reply)));
    let edit = What::Edit { of: Seq(4), text: "see you at seven".to_owned() };
    stage.tell(Input::Live(entry(5, "bob", edit)));
    stage.tell(receipt(2, 0)).type_in("日本 ok");
    stage.assert_shows(&[
        " alice            │bob                                         ● online",
        "● bob          2  │───────────── Tuesday, 24 November 2026 ─────────────",
        "  see you at seven│──────────────────────── new ────────────────────────",
        "                  │bob",
        "                  │  hi alice                                   17:01",
        "                  │you",
        "                  │  hi bob                                     17:02 ✓✓",
        "                  │    👍 bob",
        "                  │bob",
        "                  │  ┃ hi bob",
        "                  │  see you at seven (edited)                  17:04",
        "                  │─────────────────────────────────────────────────────",
        "                  │› 日本 ok",
        " online                      Enter send  ↑ messages  Tab chats  F1 keys",
    ]);
}

#[test]
fn the_ticks_of_a_message() {
    let mut stage = Stage::conversation(40, 8);
    let tick = |stage: &mut Stage| {
        let lines = stage.draw();
        let line = lines.iter().find(|line| line.contains("one")).expect("it is there").clone();
        line.rsplit(' ').next().expect("a tick").to_owned()
    };
    stage.type_in("one").press(Action::Send);
    assert_eq!(tick(&mut stage), "…");
    let id = MessageId::try_from("0193a5f0-1c2b-7d3e-8f4a-5b6c7d8e9f00").expect("an id");
    let sent = stage.take_effects();
    let Some(Effect::Send { local, .. }) = sent.iter().find(|it| matches!(it, Effect::Send { .. }))
    else {
        panic!("nothing was sent: {sent:?}")
    };
    let local = *local;
    stage.tell(Input::Queued { local, id });
    assert_eq!(tick(&mut stage), "…", "queued is not sent");
    stage.tell(Input::Sent { local: Some(local), id, seq: Seq(3), at_ms: NOW_MS });
    assert_eq!(tick(&mut stage), "✓");
    // It comes by itself as well, and is shown once.
    stage.tell(Input::Live(Entry { id: Some(id), ..said(3, "alice", "one") }));
    assert_eq!(stage.draw().iter().filter(|line| line.contains("one")).count(), 1);
    stage.tell(receipt(3, 0));
    assert_eq!(tick(&mut stage), "✓✓");
    assert_eq!(stage.colour_of("✓"), Some(Color::DarkGray));
    stage.tell(receipt(3, 3));
    assert_eq!(tick(&mut stage), "✓✓");
    assert_eq!(stage.colour_of("✓"), Some(Color::LightBlue));
    stage.look.theme = Theme::NONE;
    assert_eq!(tick(&mut stage), "read");
    let plain = |cell: &ratatui::buffer::Cell| cell.fg == Color::Reset && cell.bg == Color::Reset;
    assert!(stage.terminal.backend().buffer().content.iter().all(plain), "NO_COLOR");
}

#[test]
fn what_is_refused_says_why() {
    let mut stage = Stage::conversation(40, 8);
    stage.type_in("one").press(Action::Send);
    let why = "only an admin may send here\x1b[2J".to_owned();
    stage.tell(Input::NotSent { local: Some(1), id: None, why });
    let lines = stage.draw();
    assert!(
        lines.iter().any(|line| line.contains("not sent: only an admin may send")),
        "{lines:#?}"
    );
    assert!(lines.iter().any(|line| line.contains("one") && line.ends_with('!')), "{lines:#?}");
}

/// What others send (texts, reactions, types, titles) reaches the screen's cells as signs, and nothing that a
/// terminal obeys.
#[test]
fn nobody_else_moves_the_cursor() {
    let evil = "\x1b]0;owned\x07\x1b[2J\x1b[31m\u{9b}5n\r\x08\u{202e}x\0";
    let mut stage = Stage::conversation(80, 24);
    stage.tell(Input::Live(said(3, "bob", evil)));
    stage.tell(Input::Live(entry(4, "bob", What::React { to: Seq(3), emoji: evil.to_owned() })));
    let file = What::File { content_type: evil.to_owned(), bytes: 5 };
    stage.tell(Input::Live(entry(5, "bob", file)));
    stage.tell(Input::Live(entry(
        6,
        "bob",
        What::Text { text: evil.to_owned(), reply_to: Some(Seq(3)) },
    )));
    stage.tell(Input::Live(entry(7, "bob", What::Edit { of: Seq(6), text: evil.to_owned() })));
    let made = GroupEvent::Created { members: vec![user("bob")], title: Some(evil.to_owned()) };
    stage.tell(Input::Live(Entry { chat: group(), ..entry(1, "bob", What::Group(made)) }));
    stage.tell(Input::Failed(evil.to_owned()));
    for open in [chat(), group()] {
        stage.tell(Input::ClickChat(open));
        for mode in [Mode::Writing, Mode::Members, Mode::Message(Seq(3))] {
            stage.app.mode = mode;
            let lines = stage.draw().concat();
            assert!(lines.contains('␛'), "{lines}");
            let obeyed = |char: char| char.is_control() || char == '\u{202e}';
            assert!(!lines.chars().any(obeyed), "{lines:?}");
        }
    }
}

#[test]
fn read_is_what_was_on_screen() {
    let mut stage = Stage::new(40, 8);
    stage.tell(online());
    for seq in 1..=20 {
        stage.tell(Input::Live(said(seq, "bob", &format!("message {seq}"))));
    }
    stage.draw();
    assert!(stage.reads().is_empty(), "the chat was not open");
    assert!(stage.draw().iter().any(|line| line.contains("bob") && line.contains("20")));
    // A window of four lines, with a day, a line 'new' and a name on top.
    stage.tell(Input::ClickChat(chat()));
    let lines = stage.draw();
    assert!(lines.iter().any(|line| line.contains(" new ")), "{lines:#?}");
    assert_eq!(stage.reads(), [1]);
    stage.tell(Input::Focus(false)).press(Action::PageDown);
    stage.draw();
    assert!(stage.reads().is_empty(), "nobody looked");
    stage.tell(Input::Focus(true));
    assert_eq!(stage.reads(), [3]);
    stage.press(Action::Help);
    stage.tell(Input::Live(said(21, "bob", "behind the help")));
    stage.draw();
    stage.press(Action::Help).press(Action::Newest);
    stage.draw();
    assert!(stage.reads().is_empty(), "those in between were not on screen");
    for _ in 0..10 {
        stage.press(Action::PageUp);
        stage.draw();
    }
    for _ in 0..10 {
        stage.press(Action::PageDown);
        stage.draw();
    }
    assert_eq!(stage.reads().last(), Some(&21));
}

#[test]
fn offline_is_told_and_what_waits_is_counted() {
    let mut stage = Stage::conversation(80, 6);
    let state = Connection::Offline { retry_in: std::time::Duration::from_millis(6_100) };
    stage.tell(Input::Connection { state, why: Some("connection refused".to_owned()) });
    stage.tell(Input::Waiting(2));
    let status = stage.draw().pop().expect("a line");
    assert!(
        status.starts_with(" offline, again in 7 s: connection refused · 2 wait to be sent"),
        "{status}"
    );
    stage.tell(Input::Connection { state: Connection::TakenOver, why: None });
    let status = stage.draw().pop().expect("a line");
    assert!(
        status.contains("another program is connected as this device; Ctrl-R takes over"),
        "{status}"
    );
    stage.tell(Input::Connection { state: Connection::CredentialsRefused, why: None });
    stage.type_in("secret");
    let lines = stage.draw();
    assert!(lines.iter().any(|line| line.contains("› ******")), "{lines:#?}");
    stage.press(Action::Send);
    assert!(stage.take_effects().contains(&Effect::SetPassword("secret".to_owned())));
}

#[test]
fn a_group() {
    let mut stage = Stage::new(64, 11);
    stage.tell(online());
    stage.press(Action::NewGroup).type_in("Friday run: bob, carol").press(Action::Send);
    let members = vec![user("bob"), user("carol")];
    let made = Effect::CreateGroup { title: "Friday run".to_owned(), members: members.clone() };
    assert!(stage.take_effects().contains(&made));
    let members = [user("alice")].into_iter().chain(members).collect();
    let created = GroupEvent::Created { members, title: Some("Friday run".to_owned()) };
    stage.tell(Input::Live(Entry { chat: group(), ..entry(1, "alice", What::Group(created)) }));
    stage.tell(Input::Created(group()));
    assert!(stage.take_effects().contains(&Effect::LoadInfo { chat: group() }));
    let member = |name| (Member { user: user(name), role: Role::Member }, Seq(1), Seq(0));
    let info = Info { title: None, members: ["alice", "bob", "carol"].map(member).to_vec() };
    stage.tell(Input::Info { chat: group(), result: Ok(info) });
    stage.tell(Input::Typing(Typing { chat: group(), user: user("bob"), typing: true }));
    stage.tell(Input::Live(Entry { chat: group(), ..said(2, "carol", "I do") }));
    stage.assert_shows(&[
        " alice            │Friday run                       bob types …",
        "  Friday run   1  │",
        "  bob types …     │",
        "                  │",
        "                  │───────── Tuesday, 24 November 2026 ─────────",
        "                  │  · alice made Friday run: alice, bob, carol",
        "                  │carol",
        "                  │  I do                               17:02",
        "                  │─────────────────────────────────────────────",
        "                  │›",
        " online              Enter send  ↑ messages  Tab chats  F1 keys",
    ]);
    stage.press(Action::Leave).press(Action::Yes);
    assert!(stage.take_effects().contains(&Effect::Leave { chat: group() }));
    stage.press(Action::AddMembers).type_in("Dora").press(Action::Send);
    assert!(
        matches!(stage.app.mode, Mode::Prompt { .. }),
        "no such name: it stays to be corrected"
    );
}

#[test]
fn messages_are_edited_deleted_found_and_answered() {
    let mut stage = Stage::conversation(60, 12);
    stage.draw();
    stage.press(Action::Up).press(Action::Edit);
    stage.press(Action::Backspace).type_in("b!").press(Action::Send);
    let sent = stage.take_effects();
    let edit = Effect::Edit { local: 1, chat: chat(), of: Seq(2), text: "hi bob!".to_owned() };
    assert!(sent.contains(&edit), "{sent:?}");
    let lines = stage.draw();
    let waits = |line: &String| line.contains("hi bob") && line.ends_with('…');
    assert!(lines.iter().any(waits), "{lines:#?}");
    // Another's cannot be edited.
    stage.press(Action::Up).press(Action::Up).press(Action::Edit);
    assert_eq!(stage.app.mode, Mode::Message(Seq(1)));
    stage.press(Action::Reply).type_in("so it is").press(Action::Send);
    assert!(
        stage
            .take_effects()
            .iter()
            .any(|it| matches!(it, Effect::Send { reply_to: Some(Seq(1)), .. }))
    );
    stage.draw();
    stage.press(Action::Up).press(Action::DeleteMessage);
    assert!(stage.draw().concat().contains("delete this message for everybody? y / n"));
    stage.press(Action::Reply).press(Action::Yes);
    assert!(stage.take_effects().iter().any(|it| matches!(it, Effect::Delete { of: Seq(2), .. })));
    stage.press(Action::Search).type_in("ALICE");
    assert!(stage.draw().concat().contains("found; ↑ older"));
    assert!(matches!(stage.app.mode, Mode::Search { hit: Some(Seq(1)), .. }));
}

#[test]
fn older_messages_are_loaded_when_one_comes_near() {
    let mut stage = Stage::new(40, 8);
    let last = said(300, "bob", "the newest");
    let told = Told {
        chat: chat(),
        title: None,
        head: Seq(300),
        read: Seq(300),
        unread: 0,
        muted_until_ms: 0,
        last: Some(last),
    };
    stage.tell(online()).tell(Input::Chats { result: Ok(vec![told]) });
    assert_eq!(stage.app.open, Some(chat()));
    stage.app.mode = Mode::Writing;
    assert!(stage.draw().concat().contains("PgUp loads older"));
    let load = Effect::LoadHistory { chat: chat(), page: Page::Before(Seq(300)) };
    assert!(stage.take_effects().contains(&load));
    let page = (250..300).map(|seq| said(seq, "bob", &format!("message {seq}"))).collect();
    stage.tell(Input::History { chat: chat(), page: Page::Before(Seq(300)), result: Ok(page) });
    stage.draw();
    assert!(!stage.take_effects().iter().any(|it| matches!(it, Effect::LoadHistory { .. })));
    for _ in 0..40 {
        stage.press(Action::PageUp);
        stage.draw();
    }
    let load = Effect::LoadHistory { chat: chat(), page: Page::Before(Seq(250)) };
    assert_eq!(stage.take_effects().iter().filter(|it| **it == load).count(), 1);
    stage.tell(Input::History {
        chat: chat(),
        page: Page::Before(Seq(250)),
        result: Ok(Vec::new()),
    });
    stage.draw();
    assert!(!stage.draw().concat().contains("older messages"), "that was the beginning");
}

#[test]
fn no_size_is_too_small_or_too_large() {
    for (columns, rows) in [(1, 1), (2, 9), (8, 3), (9, 4), (20, 2), (63, 5), (64, 5), (300, 100)] {
        let mut stage = Stage::conversation(columns, rows);
        stage.tell(Input::Live(said(3, "bob", &"日本👍🏽 ".repeat(200))));
        stage.tell(Input::Paste("several\r\nlines\nto paste\n\n\n\n\n\n日".to_owned()));
        let modes =
            [Mode::Writing, Mode::Chats, Mode::Message(Seq(3)), Mode::Help(3), Mode::Members];
        for mode in modes {
            stage.app.mode = mode;
            stage.draw();
        }
        stage.press(Action::PageUp);
        stage.draw();
        stage.press(Action::Search).type_in("日");
        stage.draw();
        stage.tell(Input::Shown(Shown::default()));
    }
}
