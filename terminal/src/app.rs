//! The state of the screen: what happens goes in, what is to be done comes out. No I/O, and no clock: the
//! time comes in as an argument, in Unix milliseconds.

mod act;
mod conversation;
mod covered;
mod editor;
mod entry;
mod news;

use std::collections::BTreeMap;

use bluetick_client::{
    ChatId, Connection, MessageId, Page, Presence, Receipt, ReceiptCount, Seq, Typing, UserId,
};

pub(crate) use conversation::{Conversation, Member, Outgoing, Purpose, Scroll, Tick};
pub(crate) use covered::Covered;
pub(crate) use editor::Editor;
pub(crate) use entry::{Entry, What};

use crate::keys::{Action, Context};

/// How long a notice stays, milliseconds.
const NOTICE_MS: u64 = 8_000;

/// How often the time is to be told while something on the screen depends on it, milliseconds.
const TICK_MS: u64 = 1_000;

/// What happens.
#[derive(Debug, Clone)]
pub(crate) enum Input {
    Act(Action),
    Type(String),
    Paste(String),
    /// The wheel, in lines; whether over the list of chats.
    Wheel(isize, bool),
    ClickChat(ChatId),
    ClickMessage(Seq),
    Focus(bool),
    /// A frame was drawn: this is on screen.
    Shown(Shown),
    /// An entry that came by itself.
    Live(Entry),
    History {
        chat: ChatId,
        page: Page,
        result: Result<Vec<Entry>, String>,
    },
    Chats {
        result: Result<Vec<Told>, String>,
    },
    Info {
        chat: ChatId,
        result: Result<Info, String>,
    },
    /// A message is in the outbox.
    Queued {
        local: u64,
        id: MessageId,
    },
    Sent {
        local: Option<u64>,
        id: MessageId,
        seq: Seq,
        at_ms: u64,
    },
    NotSent {
        local: Option<u64>,
        id: Option<MessageId>,
        why: String,
    },
    /// How many messages, edits and so on wait in the outbox.
    Waiting(usize),
    Receipt(Receipt),
    Count(ReceiptCount),
    Presence(Presence),
    Typing(Typing),
    Connection {
        state: Connection,
        why: Option<String>,
    },
    /// A group was made.
    Created(ChatId),
    /// What was asked for is not done.
    Failed(String),
    Tick,
}

/// What the server says of a chat in its list.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) chat: ChatId,
    pub(crate) title: Option<String>,
    pub(crate) head: Seq,
    pub(crate) read: Seq,
    pub(crate) unread: u64,
    pub(crate) muted_until_ms: u64,
    pub(crate) last: Option<Entry>,
}

/// What the server says of a chat when asked.
#[derive(Debug, Clone)]
pub(crate) struct Info {
    pub(crate) title: Option<String>,
    pub(crate) members: Vec<(Member, Seq, Seq)>,
}

/// What of a conversation is on the screen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) chat: Option<ChatId>,
    /// The messages whose end is in the window, rising.
    pub(crate) seqs: Vec<Seq>,
    /// The message on top.
    pub(crate) top: Option<Seq>,
    /// Nothing is above it that is here.
    pub(crate) at_top: bool,
    /// Where the window stands now.
    pub(crate) scroll: Scroll,
    /// Lines of the window.
    pub(crate) lines: usize,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    Send {
        local: u64,
        chat: ChatId,
        text: String,
        reply_to: Option<Seq>,
    },
    Edit {
        local: u64,
        chat: ChatId,
        of: Seq,
        text: String,
    },
    Delete {
        local: u64,
        chat: ChatId,
        of: Seq,
    },
    React {
        local: u64,
        chat: ChatId,
        to: Seq,
        emoji: String,
    },
    Read {
        chat: ChatId,
        seq: Seq,
    },
    Typing {
        chat: ChatId,
        typing: bool,
    },
    LoadChats,
    LoadHistory {
        chat: ChatId,
        page: Page,
    },
    LoadInfo {
        chat: ChatId,
    },
    CreateGroup {
        title: String,
        members: Vec<UserId>,
    },
    AddMembers {
        chat: ChatId,
        members: Vec<UserId>,
    },
    RemoveMembers {
        chat: ChatId,
        members: Vec<UserId>,
    },
    Leave {
        chat: ChatId,
    },
    /// Into the cache.
    Keep(Entry),
    /// What else is known of the chat, into the cache.
    KeepChat(ChatId),
    /// Out of the cache, with its edits.
    Erase {
        chat: ChatId,
        seq: Seq,
    },
    Reconnect,
    SetPassword(String),
    Bell,
    Redraw,
    Suspend,
    Quit,
}

/// Where one is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mode {
    Writing,
    Chats,
    Message(Seq),
    Search {
        query: Editor,
        hit: Option<Seq>,
    },
    Prompt {
        kind: Prompt,
        line: Editor,
    },
    Question(Question),
    /// The help, from this line on.
    Help(usize),
    Members,
}

/// What is asked for in a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Prompt {
    NewChat,
    NewGroup,
    AddMembers(ChatId),
    RemoveMembers(ChatId),
    React(ChatId, Seq),
    Password,
}

/// What is to be answered with yes or no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Question {
    Delete(ChatId, Seq),
    Leave(ChatId),
}

/// The connection, as the status line tells it.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) state: Connection,
    pub(crate) why: Option<String>,
    /// When it is tried again, Unix milliseconds.
    pub(crate) retry_at_ms: Option<u64>,
}

/// All that the screen shows.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) me: UserId,
    pub(crate) now_ms: u64,
    pub(crate) chats: BTreeMap<ChatId, Conversation>,
    pub(crate) open: Option<ChatId>,
    pub(crate) mode: Mode,
    pub(crate) line: Line,
    pub(crate) waiting: usize,
    pub(crate) presence: BTreeMap<UserId, Presence>,
    pub(crate) notice: Option<(String, u64)>,
    pub(crate) shown: Shown,
    /// Whether the person looks at this terminal, as far as it says.
    focused: bool,
    /// The list of chats is here, of this connection.
    listed: bool,
    /// When the server was last told that one types.
    typing_told: Option<ChatId>,
    locals: u64,
    effects: Vec<Effect>,
}

impl App {
    pub(crate) fn new(me: UserId, now_ms: u64) -> Self {
        let line = Line { state: Connection::Connecting, why: None, retry_at_ms: None };
        Self {
            me,
            now_ms,
            chats: BTreeMap::new(),
            open: None,
            mode: Mode::Chats,
            line,
            waiting: 0,
            presence: BTreeMap::new(),
            notice: None,
            shown: Shown::default(),
            focused: true,
            listed: false,
            typing_told: None,
            locals: 0,
            effects: Vec::new(),
        }
    }

    /// What was kept of earlier runs, and what waits in the outbox, before anything else happens.
    pub(crate) fn restore(&mut self, conversation: Conversation) {
        self.chats.insert(conversation.chat.clone(), conversation);
    }

    /// A message that an earlier run has left in the outbox.
    pub(crate) fn restore_queued(
        &mut self,
        chat: &ChatId,
        id: MessageId,
        at_ms: u64,
        text: String,
    ) {
        let local = self.next_local();
        let outgoing = Outgoing { local, id: Some(id), text, reply_to: None, at_ms, failed: None };
        self.conversation(chat).outgoing.push(outgoing);
    }

    /// Opens a chat, as if its name had been given at the start.
    pub(crate) fn open_at_start(&mut self, chat: Option<ChatId>) -> Vec<Effect> {
        if let Some(chat) = chat.or_else(|| self.order().into_iter().next()) {
            self.open_chat(&chat);
        }
        std::mem::take(&mut self.effects)
    }

    /// Something happens; what is to be done about it, in order.
    pub(crate) fn update(&mut self, input: Input, now_ms: u64) -> Vec<Effect> {
        self.now_ms = now_ms;
        match input {
            Input::Act(action) => self.act(action),
            Input::Type(text) | Input::Paste(text) => self.insert(&text),
            Input::Wheel(lines, over_chats) => self.wheel(lines, over_chats),
            Input::ClickChat(chat) => {
                self.open_chat(&chat);
                self.mode = Mode::Writing;
            }
            Input::ClickMessage(seq) => self.mode = Mode::Message(seq),
            Input::Focus(focused) => {
                self.focused = focused;
                self.look();
            }
            Input::Shown(shown) => self.handle_shown(shown),
            Input::Tick => self.handle_tick(),
            news => self.handle_news(news),
        }
        std::mem::take(&mut self.effects)
    }

    /// After how long the time is to be told, milliseconds; `None`: nothing on the screen depends on it.
    pub(crate) fn tick_ms(&self) -> Option<u64> {
        let open = self.open.as_ref().and_then(|chat| self.chats.get(chat));
        let depends = self.line.retry_at_ms.is_some()
            || self.notice.is_some()
            || open.is_some_and(|open| {
                !open.typing.is_empty()
                    || open.entries.values().any(|entry| entry.expires_at_ms.is_some())
            });
        depends.then_some(TICK_MS)
    }

    /// Which keys count.
    pub(crate) fn context(&self) -> Context {
        match self.mode {
            Mode::Writing | Mode::Prompt { .. } => Context::Writing,
            Mode::Chats => Context::Chats,
            Mode::Message(_) => Context::Message,
            Mode::Search { .. } => Context::Search,
            Mode::Question(_) => Context::Question,
            Mode::Help(_) | Mode::Members => Context::Anywhere,
        }
    }

    /// The chats, the newest first.
    pub(crate) fn order(&self) -> Vec<ChatId> {
        let newest = |chat: &Conversation| {
            let waiting = chat.outgoing.iter().map(|outgoing| outgoing.at_ms).max();
            chat.last_at_ms.max(waiting.unwrap_or_default())
        };
        let mut order: Vec<_> =
            self.chats.values().map(|chat| (newest(chat), &chat.chat)).collect();
        order.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(b.1)));
        order.into_iter().map(|(_, chat)| chat.clone()).collect()
    }

    pub(crate) fn opened(&self) -> Option<&Conversation> {
        self.chats.get(self.open.as_ref()?)
    }

    fn opened_mut(&mut self) -> Option<&mut Conversation> {
        self.chats.get_mut(self.open.as_ref()?)
    }

    fn conversation(&mut self, chat: &ChatId) -> &mut Conversation {
        self.chats.entry(chat.clone()).or_insert_with(|| Conversation::new(chat.clone()))
    }

    fn next_local(&mut self) -> u64 {
        self.locals += 1;
        self.locals
    }

    fn effect(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    fn say(&mut self, notice: impl Into<String>) {
        self.notice = Some((notice.into(), self.now_ms + NOTICE_MS));
    }

    fn is_online(&self) -> bool {
        self.line.state.is_online()
    }

    fn handle_tick(&mut self) {
        let now_ms = self.now_ms;
        self.notice.take_if(|(_, until_ms)| *until_ms <= now_ms);
        let mut expired = Vec::new();
        for conversation in self.chats.values_mut() {
            conversation.typing.retain(|_, until_ms| *until_ms > now_ms);
            for seq in conversation.expire(now_ms) {
                expired.push(Effect::Erase { chat: conversation.chat.clone(), seq });
            }
        }
        self.effects.append(&mut expired);
    }

    fn handle_shown(&mut self, shown: Shown) {
        let Some(chat) = &shown.chat else {
            self.shown = shown;
            return;
        };
        if let Some(conversation) = self.chats.get_mut(chat) {
            conversation.scroll = shown.scroll;
            conversation.scroll_by = 0;
        }
        self.shown = shown;
        self.look();
        self.load_older();
    }

    /// What is on screen is read, if somebody looks.
    fn look(&mut self) {
        let Some(chat) = self.shown.chat.clone().filter(|_| self.focused) else { return };
        let (me, seqs) = (self.me.clone(), std::mem::take(&mut self.shown.seqs));
        let conversation = self.conversation(&chat);
        if conversation.saw(&seqs, &me) {
            let seq = conversation.read;
            self.effect(Effect::Read { chat: chat.clone(), seq });
            self.effect(Effect::KeepChat(chat));
        }
        self.shown.seqs = seqs;
    }
}
