//! What the server says.

use bluetick_client::{ChatId, Connection, MessageId, Page, Receipt, Seq, Typing};

use super::{App, Conversation, Effect, Entry, Info, Input, Mode, Prompt, Told};
use crate::text;

/// How long somebody types without saying so again, milliseconds: a little more than the server waits.
const TYPING_MS: u64 = 8_000;

/// Pages that are loaded by themselves to get back to what is unread, at most.
const PAGES_BACK_MAX: u32 = 10;

impl App {
    pub(super) fn handle_news(&mut self, news: Input) {
        match news {
            Input::Live(entry) => self.handle_live(entry),
            Input::History { chat, page, result } => self.handle_history(&chat, page, result),
            Input::Chats { result } => self.handle_chats(result),
            Input::Info { chat, result } => self.handle_info(&chat, result),
            Input::Queued { local, id } => self.handle_queued(local, id),
            Input::Sent { local, id, seq, at_ms } => self.handle_sent(local, id, seq, at_ms),
            Input::NotSent { local, id, why } => self.handle_not_sent(local, id, &why),
            Input::Waiting(waiting) => self.waiting = waiting,
            Input::Receipt(receipt) => self.handle_receipt(&receipt),
            Input::Count(count) => {
                let chat = count.chat.clone();
                self.conversation(&chat).count = Some(count);
                self.effect(Effect::KeepChat(chat));
            }
            Input::Presence(presence) => {
                self.presence.insert(presence.user.clone(), presence);
            }
            Input::Typing(typing) => self.handle_typing(typing),
            Input::Connection { state, why } => self.handle_connection(state, why),
            Input::Created(chat) => {
                self.effect(Effect::LoadChats);
                self.open_chat(&chat);
                self.mode = Mode::Writing;
            }
            Input::Failed(why) => self.say(why),
            // Those that are no news were dealt with.
            _ => {}
        }
    }

    fn handle_live(&mut self, entry: Entry) {
        let (chat, seq, now_ms) = (entry.chat.clone(), entry.seq, self.now_ms);
        let is_message = entry.is_message() && entry.from != self.me;
        let is_open = self.open.as_ref() == Some(&chat) && self.focused;
        let conversation = self.conversation(&chat);
        // The SDK leaves no hole between what has come in this run and this; before, nobody knows.
        let first = conversation.live.map_or(seq, Seq::next);
        let is_old = conversation.live.is_some_and(|live| live >= seq);
        if !is_old {
            conversation.covered.add(first.0, seq.0);
            conversation.live = Some(seq);
        }
        let is_muted = conversation.muted_until_ms > now_ms;
        self.take(entry);
        self.effect(Effect::KeepChat(chat.clone()));
        if is_message && !is_open && !is_muted && !is_old {
            self.effect(Effect::Bell);
        }
        self.ask_members(&chat);
    }

    /// Shows and keeps an entry.
    fn take(&mut self, entry: Entry) {
        let (chat, me) = (entry.chat.clone(), self.me.clone());
        let erased = self.conversation(&chat).add(entry.clone(), &me);
        self.effect(Effect::Keep(entry));
        if let Some(seq) = erased {
            self.effect(Effect::Erase { chat, seq });
        }
    }

    /// Who is in a group is needed for its ticks.
    pub(super) fn ask_members(&mut self, chat: &ChatId) {
        let is_open = self.open.as_ref() == Some(chat);
        let asks = |it: &Conversation| it.is_group() && it.members.is_none() && !it.left;
        if is_open && self.is_online() && self.chats.get(chat).is_some_and(asks) {
            self.effect(Effect::LoadInfo { chat: chat.clone() });
        }
    }

    fn handle_history(&mut self, chat: &ChatId, page: Page, result: Result<Vec<Entry>, String>) {
        self.conversation(chat).loading = false;
        let entries = match result {
            Ok(entries) => entries,
            // There is no such chat before its first message.
            Err(_) if self.conversation(chat).head == Seq::ZERO => return,
            Err(why) => {
                self.conversation(chat).refused = true;
                return self.say(why);
            }
        };
        let first = entries.first().map(|entry| entry.seq.0);
        let last = entries.last().map(|entry| entry.seq.0);
        let conversation = self.conversation(chat);
        let head = conversation.asked_head.0;
        match page {
            Page::Before(before) => {
                let last = before.0.saturating_sub(1);
                conversation.covered.add(first.unwrap_or(1), last);
            }
            // What is missing up to the head of then has expired, or is not for this user.
            _ => conversation.covered.add(first.unwrap_or(1), last.unwrap_or(0).max(head)),
        }
        for entry in entries {
            self.take(entry);
        }
        let me = self.me.clone();
        let conversation = self.conversation(chat);
        if conversation.fresh {
            conversation.begin_at_unread(&me);
        }
        self.effect(Effect::KeepChat(chat.clone()));
        self.catch_up(chat);
        let conversation = self.conversation(chat);
        conversation.fresh &= conversation.loading;
        self.ask_members(chat);
    }

    /// Loads what the open chat needs: its newest page, and what leads back to what is unread.
    pub(super) fn catch_up(&mut self, chat: &ChatId) {
        let is_online = self.is_online();
        let conversation = self.conversation(chat);
        let head = conversation.head;
        if !is_online || conversation.loading || conversation.refused || head == Seq::ZERO {
            return;
        }
        let page = match conversation.covered.start_of(head.0) {
            None => Page::Newest,
            Some(start) if start > conversation.read.0 + 1 && start > 1 => {
                if conversation.pages_back >= PAGES_BACK_MAX {
                    return;
                }
                conversation.pages_back += 1;
                Page::Before(Seq(start))
            }
            Some(_) => return,
        };
        self.load(chat, page);
    }

    fn load(&mut self, chat: &ChatId, page: Page) {
        let conversation = self.conversation(chat);
        conversation.loading = true;
        conversation.asked_head = conversation.head;
        self.effect(Effect::LoadHistory { chat: chat.clone(), page });
    }

    /// What is above, when the window comes near.
    pub(super) fn load_older(&mut self) {
        let is_online = self.is_online();
        let (top, at_top) = (self.shown.top, self.shown.at_top);
        let Some(conversation) = self.opened() else { return };
        let is_idle = is_online && !conversation.loading && !conversation.refused;
        let (Some(top), true) = (top, is_idle) else { return };
        let Some(start) = conversation.covered.start_of(top.0) else { return };
        // At the edge of what is here: on top of all, or on top of a gap.
        let is_edge = at_top || conversation.entries.range(Seq(start)..top).next().is_none();
        if start > 1 && is_edge {
            let chat = conversation.chat.clone();
            self.load(&chat, Page::Before(Seq(start)));
        }
    }

    fn handle_chats(&mut self, result: Result<Vec<Told>, String>) {
        let told = match result {
            Ok(told) => told,
            Err(why) => {
                self.listed = false;
                return self.say(why);
            }
        };
        for told in told {
            let chat = told.chat.clone();
            if let Some(last) = told.last {
                let conversation = self.conversation(&chat);
                conversation.last_at_ms = conversation.last_at_ms.max(last.at_ms);
                conversation.covered.add(last.seq.0, last.seq.0);
                self.take(last);
            }
            let conversation = self.conversation(&chat);
            conversation.title = told.title.or(conversation.title.take());
            conversation.head = conversation.head.max(told.head);
            conversation.told = (told.read, told.unread, told.head);
            conversation.muted_until_ms = told.muted_until_ms;
            conversation.left = false;
            // Said off line, and not heard by the server.
            let unsaid = (conversation.read > told.read).then_some(conversation.read);
            conversation.read = conversation.read.max(told.read);
            if let Some(seq) = unsaid {
                self.effect(Effect::Read { chat: chat.clone(), seq });
            }
            self.effect(Effect::KeepChat(chat));
        }
        match self.open.clone() {
            Some(chat) => {
                self.catch_up(&chat);
                self.ask_members(&chat);
            }
            None => {
                if let Some(chat) = self.order().into_iter().next() {
                    self.open_chat(&chat);
                }
            }
        }
    }

    fn handle_info(&mut self, chat: &ChatId, result: Result<Info, String>) {
        // A direct chat that is not there yet has none; a group that one has left neither.
        let Ok(info) = result else { return };
        let conversation = self.conversation(chat);
        conversation.title = info.title.or(conversation.title.take());
        let mut members = Vec::new();
        for (member, delivered, read) in info.members {
            let mark = conversation.watermarks.entry(member.user.clone()).or_default();
            *mark = (mark.0.max(delivered), mark.1.max(read));
            members.push(member);
        }
        conversation.members = Some(members);
        self.effect(Effect::KeepChat(chat.clone()));
    }

    fn handle_queued(&mut self, local: u64, id: MessageId) {
        for conversation in self.chats.values_mut() {
            // It may have come back already.
            let is_here = conversation.entries.values().rev().any(|entry| entry.id == Some(id));
            let outgoing = &mut conversation.outgoing;
            if is_here {
                outgoing.retain(|outgoing| outgoing.local != local);
            } else if let Some(outgoing) = outgoing.iter_mut().find(|it| it.local == local) {
                outgoing.id = Some(id);
            }
        }
    }

    fn handle_sent(&mut self, local: Option<u64>, id: MessageId, seq: Seq, at_ms: u64) {
        let me = self.me.clone();
        let mut sent = None;
        for conversation in self.chats.values_mut() {
            if let Some(local) = local {
                conversation.changing.remove(&local);
            }
            let is_it = |it: &super::Outgoing| it.id == Some(id) || Some(it.local) == local;
            let at = conversation.outgoing.iter().position(is_it);
            if let Some(at) = at {
                let outgoing = conversation.outgoing.remove(at);
                let (text, reply_to) = (outgoing.text, outgoing.reply_to);
                let what = super::What::Text { text, reply_to };
                let chat = conversation.chat.clone();
                let (id, from) = (Some(id), me.clone());
                sent = Some(Entry { chat, seq, id, from, at_ms, expires_at_ms: None, what });
            }
        }
        // It comes by itself as well, in its turn; until then the person sees that it is stored.
        if let Some(entry) = sent.filter(|entry| entry.seq > Seq::ZERO) {
            let conversation = self.conversation(&entry.chat);
            if !conversation.entries.contains_key(&entry.seq) {
                conversation.covered.add(entry.seq.0, entry.seq.0);
                self.take(entry);
            }
        }
    }

    fn handle_not_sent(&mut self, local: Option<u64>, id: Option<MessageId>, why: &str) {
        let mut shown = false;
        for conversation in self.chats.values_mut() {
            if let Some(local) = local {
                conversation.changing.remove(&local);
            }
            for outgoing in &mut conversation.outgoing {
                let is_it = Some(outgoing.local) == local || (id.is_some() && outgoing.id == id);
                if is_it {
                    outgoing.failed = Some(why.to_owned());
                    shown = true;
                }
            }
        }
        if !shown {
            self.say(format!("not done: {why}"));
        }
    }

    fn handle_receipt(&mut self, receipt: &Receipt) {
        let is_mine = receipt.user == self.me;
        let conversation = self.conversation(&receipt.chat);
        let mark = conversation.watermarks.entry(receipt.user.clone()).or_default();
        *mark = (mark.0.max(receipt.delivered), mark.1.max(receipt.read));
        if is_mine {
            // Read on another device.
            conversation.read = conversation.read.max(receipt.read);
        }
        self.effect(Effect::KeepChat(receipt.chat.clone()));
    }

    fn handle_typing(&mut self, typing: Typing) {
        let until_ms = self.now_ms + TYPING_MS;
        let typists = &mut self.conversation(&typing.chat).typing;
        if typing.typing {
            typists.insert(typing.user, until_ms);
        } else {
            typists.remove(&typing.user);
        }
    }

    fn handle_connection(&mut self, state: Connection, why: Option<String>) {
        self.line.why = why.map(|why| text::clean_line(&why));
        self.line.state = state;
        self.line.retry_at_ms = match state {
            Connection::Offline { retry_in } => {
                let wait_ms = u64::try_from(retry_in.as_millis()).unwrap_or(u64::MAX);
                Some(self.now_ms.saturating_add(wait_ms))
            }
            _ => None,
        };
        match state {
            Connection::Online { session_present } => {
                for conversation in self.chats.values_mut() {
                    conversation.loading = false;
                    conversation.refused = false;
                    conversation.pages_back = 0;
                    if !session_present {
                        // Another device may have got what was in between.
                        conversation.live = None;
                    }
                }
                self.listed = true;
                self.effect(Effect::LoadChats);
                if let Some(chat) = self.open.clone() {
                    self.catch_up(&chat);
                }
                if matches!(self.mode, Mode::Prompt { kind: Prompt::Password, .. }) {
                    self.mode = Mode::Writing;
                }
            }
            Connection::CredentialsRefused => {
                self.passing_is_over();
                self.mode = Mode::Prompt { kind: Prompt::Password, line: super::Editor::default() };
            }
            _ => self.passing_is_over(),
        }
    }

    /// Without a connection nobody knows who is there and who types.
    fn passing_is_over(&mut self) {
        self.presence.clear();
        self.typing_told = None;
        for conversation in self.chats.values_mut() {
            conversation.typing.clear();
            conversation.loading = false;
        }
    }

    /// Shows a chat, from the first message that is not read on.
    pub(super) fn open_chat(&mut self, chat: &ChatId) {
        if self.open.as_ref() == Some(chat) {
            return;
        }
        self.stop_typing();
        let me = self.me.clone();
        let conversation = self.conversation(chat);
        conversation.fresh = true;
        conversation.begin_at_unread(&me);
        conversation.pages_back = 0;
        self.open = Some(chat.clone());
        self.catch_up(chat);
        self.ask_members(chat);
    }
}
