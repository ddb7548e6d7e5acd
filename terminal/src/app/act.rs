//! What the person does.

use bluetick_client::{ChatId, ChatKind, Seq, UserId};

use super::entry::TEXT_BYTES_MAX;
use super::{App, Conversation, Editor, Effect, Mode, Outgoing, Prompt, Purpose, Question, Scroll};
use crate::keys::Action;

/// Lines that stay on screen when a page is turned.
const PAGE_OVERLAP: usize = 2;

impl App {
    pub(super) fn act(&mut self, action: Action) {
        match action {
            Action::Quit => {
                self.stop_typing();
                self.effect(Effect::Quit);
            }
            Action::Suspend => self.effect(Effect::Suspend),
            Action::Redraw => self.effect(Effect::Redraw),
            Action::Reconnect => self.effect(Effect::Reconnect),
            // Whoever is asked something answers first.
            _ if matches!(self.mode, Mode::Question(_)) => self.act_on_question(action),
            Action::Help => {
                let is_open = matches!(self.mode, Mode::Help(_));
                self.mode = if is_open { Mode::Writing } else { Mode::Help(0) };
            }
            Action::NextChat => self.step(1),
            Action::PreviousChat => self.step(-1),
            Action::NewChat => self.prompt(Prompt::NewChat),
            Action::NewGroup => self.prompt(Prompt::NewGroup),
            Action::AddMembers => self.prompt_in_group(Prompt::AddMembers),
            Action::RemoveMembers => self.prompt_in_group(Prompt::RemoveMembers),
            Action::Members => self.show_members(),
            Action::Leave => {
                if let Some(chat) = self.open_group() {
                    self.mode = Mode::Question(Question::Leave(chat));
                }
            }
            Action::Search => {
                self.mode = Mode::Search { query: Editor::default(), hit: None };
            }
            Action::PageUp => self.page(-1),
            Action::PageDown => self.page(1),
            Action::Newest => {
                if let Some(conversation) = self.opened_mut() {
                    (conversation.scroll, conversation.scroll_by) = (Scroll::Newest, 0);
                }
            }
            action => self.act_in_mode(action),
        }
    }

    fn act_in_mode(&mut self, action: Action) {
        match self.mode.clone() {
            Mode::Writing => self.act_in_composer(action),
            Mode::Chats => match action {
                Action::Up => self.step(-1),
                Action::Down => self.step(1),
                _ => self.mode = Mode::Writing,
            },
            Mode::Message(seq) => self.act_on_message(seq, action),
            Mode::Search { query, hit } => self.act_in_search(query, hit, action),
            Mode::Prompt { kind, line } => self.act_in_prompt(kind, line, action),
            Mode::Question(_) => {}
            Mode::Help(_) | Mode::Members => self.mode = Mode::Writing,
        }
    }

    fn step(&mut self, by: isize) {
        let order = self.order();
        let at = order.iter().position(|chat| Some(chat) == self.open.as_ref());
        let last = order.len().saturating_sub(1);
        let next = at.map_or(0, |at| at.saturating_add_signed(by).min(last));
        if let Some(chat) = order.get(next) {
            self.open_chat(chat);
            if !matches!(self.mode, Mode::Chats) {
                self.mode = Mode::Writing;
            }
        }
    }

    fn page(&mut self, direction: isize) {
        let lines = self.shown.lines.saturating_sub(PAGE_OVERLAP).max(1);
        let by = direction.saturating_mul(isize::try_from(lines).unwrap_or(1));
        if let Mode::Help(line) = &mut self.mode {
            *line = line.saturating_add_signed(by);
        } else if let Some(conversation) = self.opened_mut() {
            conversation.scroll_by += by;
        }
    }

    pub(super) fn wheel(&mut self, lines: isize, over_chats: bool) {
        if let Mode::Help(line) = &mut self.mode {
            *line = line.saturating_add_signed(lines);
        } else if over_chats {
            self.step(lines.signum());
        } else if let Some(conversation) = self.opened_mut() {
            conversation.scroll_by += lines;
        }
    }

    /// Types or pastes.
    pub(super) fn insert(&mut self, text: &str) {
        match &mut self.mode {
            Mode::Writing => {
                if let Some(conversation) = self.opened_mut() {
                    conversation.draft.insert(text);
                    self.start_typing();
                }
            }
            Mode::Search { query, hit } => {
                query.insert(text);
                *hit = None;
                self.find(true);
            }
            Mode::Prompt { line, .. } => line.insert(&text.replace(['\r', '\n'], " ")),
            Mode::Help(_) | Mode::Members => self.mode = Mode::Writing,
            Mode::Chats | Mode::Message(_) | Mode::Question(_) => {}
        }
    }

    fn start_typing(&mut self) {
        let Some(conversation) = self.opened() else { return };
        let chat = conversation.chat.clone();
        if conversation.draft.is_empty() || conversation.purpose != Purpose::Say {
            return self.stop_typing();
        }
        self.typing_told = Some(chat.clone());
        self.effect(Effect::Typing { chat, typing: true });
    }

    pub(super) fn stop_typing(&mut self) {
        if let Some(chat) = self.typing_told.take() {
            self.effect(Effect::Typing { chat, typing: false });
        }
    }

    fn act_in_composer(&mut self, action: Action) {
        match action {
            Action::Send => return self.submit(),
            Action::ToChats => {
                self.mode = Mode::Chats;
                return;
            }
            Action::Cancel => {
                if let Some(conversation) = self.opened_mut() {
                    conversation.give_up();
                }
                return self.stop_typing();
            }
            _ => {}
        }
        let Some(conversation) = self.opened_mut() else { return };
        if action == Action::Up && !conversation.draft.up() {
            return self.select_newest();
        }
        if action == Action::Up {
            return;
        }
        let before = conversation.draft.text().len();
        edit(&mut conversation.draft, action);
        if conversation.draft.text().len() != before {
            self.start_typing();
        }
    }

    /// Sends what is in the composer.
    fn submit(&mut self) {
        let now_ms = self.now_ms;
        let local = self.next_local();
        let Some(conversation) = self.opened_mut() else { return };
        if conversation.draft.text().trim().is_empty() {
            return;
        }
        if conversation.left {
            return self.say("you are no member of this group any more");
        }
        let text = conversation.draft.take();
        let chat = conversation.chat.clone();
        let purpose = std::mem::take(&mut conversation.purpose);
        let effect = match purpose {
            Purpose::Edit(of) => {
                conversation.changing.insert(local, of);
                Effect::Edit { local, chat, of, text }
            }
            Purpose::Say | Purpose::Reply(_) => {
                let reply_to = match purpose {
                    Purpose::Reply(seq) => Some(seq),
                    _ => None,
                };
                let (at_ms, id, failed) = (now_ms, None, None);
                let outgoing = Outgoing { local, id, text: text.clone(), reply_to, at_ms, failed };
                conversation.outgoing.push(outgoing);
                conversation.scroll = Scroll::Newest;
                conversation.scroll_by = 0;
                conversation.new_after = None;
                Effect::Send { local, chat, text, reply_to }
            }
        };
        self.effect(effect);
        // The server says itself that one types no longer.
        self.typing_told = None;
    }

    fn select_newest(&mut self) {
        let newest = self.opened().and_then(Conversation::last).map(|entry| entry.seq);
        // Rather one that is on screen.
        let seen = self.shown.seqs.iter().rev().copied().find(|seq| self.is_message(*seq));
        if let Some(seq) = seen.or(newest) {
            self.mode = Mode::Message(seq);
        }
    }

    fn is_message(&self, seq: Seq) -> bool {
        let entry = self.opened().and_then(|conversation| conversation.entries.get(&seq));
        entry.is_some_and(super::Entry::is_message)
    }

    fn act_on_message(&mut self, seq: Seq, action: Action) {
        let me = self.me.clone();
        let Some(conversation) = self.opened_mut() else { return };
        let is_mine = conversation.entries.get(&seq).is_some_and(|entry| entry.from == me);
        let chat = conversation.chat.clone();
        match action {
            Action::Up | Action::Down => {
                let messages = conversation.entries.values().filter(|entry| entry.is_message());
                let mut seqs = messages.map(|entry| entry.seq);
                let next = match action {
                    Action::Up => seqs.rfind(|it| *it < seq),
                    _ => seqs.find(|it| *it > seq),
                };
                self.mode = match next {
                    Some(next) => {
                        conversation.scroll = Scroll::Show(next);
                        Mode::Message(next)
                    }
                    None if action == Action::Down => Mode::Writing,
                    None => Mode::Message(seq),
                };
            }
            Action::Reply => {
                conversation.purpose = Purpose::Reply(seq);
                self.mode = Mode::Writing;
            }
            Action::Edit => match conversation.text(seq).filter(|_| is_mine) {
                Some(text) if text.len() >= TEXT_BYTES_MAX => {
                    self.say("it is too long to be edited here");
                }
                Some(text) => {
                    conversation.draft = Editor::new(text);
                    conversation.purpose = Purpose::Edit(seq);
                    self.mode = Mode::Writing;
                }
                None => self.say("only a text of your own can be edited"),
            },
            Action::DeleteMessage => self.mode = Mode::Question(Question::Delete(chat, seq)),
            Action::React => self.prompt(Prompt::React(chat, seq)),
            _ => self.mode = Mode::Writing,
        }
    }

    fn act_on_question(&mut self, action: Action) {
        let Mode::Question(question) = std::mem::replace(&mut self.mode, Mode::Writing) else {
            return;
        };
        match (action, question) {
            (Action::Yes, Question::Delete(chat, of)) => {
                let local = self.next_local();
                self.conversation(&chat).changing.insert(local, of);
                self.effect(Effect::Delete { local, chat, of });
            }
            (Action::Yes, Question::Leave(chat)) => self.effect(Effect::Leave { chat }),
            (Action::Cancel, _) => {}
            (_, question) => self.mode = Mode::Question(question),
        }
    }

    fn prompt(&mut self, kind: Prompt) {
        self.mode = Mode::Prompt { kind, line: Editor::default() };
    }

    fn open_group(&mut self) -> Option<ChatId> {
        let group = self.open.clone().filter(|chat| chat.kind() == ChatKind::Group);
        if group.is_none() {
            self.say("this is no group");
        }
        group
    }

    fn prompt_in_group(&mut self, kind: impl FnOnce(ChatId) -> Prompt) {
        if let Some(chat) = self.open_group() {
            self.prompt(kind(chat));
        }
    }

    fn show_members(&mut self) {
        if let Some(chat) = self.open.clone() {
            self.mode = Mode::Members;
            if self.is_online() {
                self.effect(Effect::LoadInfo { chat });
            }
        }
    }

    fn act_in_search(&mut self, mut query: Editor, hit: Option<Seq>, action: Action) {
        match action {
            Action::Up => self.find(true),
            Action::Down => self.find(false),
            Action::Cancel | Action::Send | Action::ToChats => {
                self.mode = hit.map_or(Mode::Writing, Mode::Message);
            }
            action => {
                edit(&mut query, action);
                self.mode = Mode::Search { query, hit: None };
                self.find(true);
            }
        }
    }

    /// The next message with the search's words, above or below the one that was found last.
    fn find(&mut self, older: bool) {
        let Mode::Search { query, hit } = &self.mode else { return };
        let (query, from) = (query.text().to_lowercase(), *hit);
        let Some(conversation) = self.opened() else { return };
        let has = |seq: &&Seq| {
            let text = conversation.text(**seq);
            !query.is_empty() && text.is_some_and(|text| text.to_lowercase().contains(&query))
        };
        let mut seqs = conversation.entries.keys();
        let found = match (from, older) {
            (Some(from), true) => conversation.entries.range(..from).map(|(seq, _)| seq).rfind(has),
            (Some(from), false) => {
                conversation.entries.range(from.next()..).map(|(seq, _)| seq).find(has)
            }
            (None, _) => seqs.rfind(has),
        };
        let found = found.copied().or(from);
        if let (Some(seq), Some(conversation)) = (found, self.opened_mut()) {
            conversation.scroll = Scroll::Show(seq);
        }
        if let Mode::Search { hit, .. } = &mut self.mode {
            *hit = found;
        }
    }

    fn act_in_prompt(&mut self, kind: Prompt, mut line: Editor, action: Action) {
        match action {
            Action::Send => self.answer(kind, line.text()),
            Action::Cancel => self.mode = Mode::Writing,
            Action::NewLine | Action::ToChats => {}
            action => {
                edit(&mut line, action);
                self.mode = Mode::Prompt { kind, line };
            }
        }
    }

    /// The line is written. If it cannot be what was asked for, it stays.
    fn answer(&mut self, kind: Prompt, line: &str) {
        let done = match kind {
            Prompt::NewChat => self.begin_chat(line),
            Prompt::NewGroup => self.begin_group(line),
            Prompt::AddMembers(chat) => users(line).map(|members| {
                self.effect(Effect::AddMembers { chat, members });
            }),
            Prompt::RemoveMembers(chat) => users(line).map(|members| {
                self.effect(Effect::RemoveMembers { chat, members });
            }),
            Prompt::React(chat, to) => {
                let local = self.next_local();
                self.conversation(&chat).changing.insert(local, to);
                let emoji = line.trim().to_owned();
                self.effect(Effect::React { local, chat, to, emoji });
                Ok(())
            }
            Prompt::Password => {
                self.effect(Effect::SetPassword(line.to_owned()));
                Ok(())
            }
        };
        match done {
            Ok(()) => self.mode = Mode::Writing,
            Err(why) => self.say(why),
        }
    }

    fn begin_chat(&mut self, line: &str) -> Result<(), String> {
        let name = line.trim();
        let user = UserId::try_from(name);
        let chat = ChatId::try_from(name).or_else(|error| match &user {
            Ok(user) => Ok(ChatId::direct(&self.me, user)),
            Err(_) if name.contains('~') => Err(error),
            Err(error) => Err(*error),
        });
        let chat = chat.map_err(|error| error.to_string())?;
        self.open_chat(&chat);
        Ok(())
    }

    fn begin_group(&mut self, line: &str) -> Result<(), String> {
        let (title, members) = line.split_once(':').unwrap_or((line, ""));
        let title = title.trim().to_owned();
        if title.is_empty() {
            return Err("a group has a title: Friday run: bob carol".to_owned());
        }
        let members = if members.trim().is_empty() { Vec::new() } else { users(members)? };
        self.effect(Effect::CreateGroup { title, members });
        Ok(())
    }
}

fn users(line: &str) -> Result<Vec<UserId>, String> {
    let names: Vec<_> = line.split([' ', ',']).filter(|name| !name.is_empty()).collect();
    if names.is_empty() {
        return Err("name one or more users, with blanks in between".to_owned());
    }
    let user = |name: &str| UserId::try_from(name).map_err(|error| format!("{name}: {error}"));
    names.into_iter().map(user).collect()
}

/// What an action does to a text; what is none of these does nothing.
fn edit(editor: &mut Editor, action: Action) {
    match action {
        Action::NewLine => editor.insert("\n"),
        Action::Up => drop(editor.up()),
        Action::Down => drop(editor.down()),
        Action::Left => editor.left(),
        Action::Right => editor.right(),
        Action::WordLeft => editor.word_left(),
        Action::WordRight => editor.word_right(),
        Action::LineStart => editor.home(),
        Action::LineEnd => editor.end(),
        Action::Backspace => editor.backspace(),
        Action::Delete => editor.delete(),
        Action::DeleteWord => editor.delete_word(),
        Action::DeleteToStart => editor.delete_to_start(),
        Action::DeleteToEnd => editor.delete_to_end(),
        _ => {}
    }
}
