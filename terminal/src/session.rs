//! `bluetick chat`: the loop between the terminal, the state and the SDK.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bluetick_client::{ChatId, Client, Connection, Event, Events};
use crossterm::event::EventStream;
use futures_core::Stream;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::Failure;
use crate::account::Account;
use crate::app::{App, Effect, Entry, Input};
use crate::cache::{Cache, Kept};
use crate::input;
use crate::screen::Screen;
use crate::theme::{Choice, Theme};
use crate::view::{self, Drawn, Look};
use crate::worker::Worker;

/// Answers that wait for the loop, at most.
const ANSWERS_MAX: usize = 256;

/// Events that are taken before the screen is drawn again.
const EVENTS_A_FRAME: usize = 128;

/// How long the server may take to hear the goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

/// SIGTSTP, of every Linux and BSD; tokio has no name for it.
const SIGTSTP: i32 = 20;

/// SIGCONT.
const SIGCONT: i32 = 18;

/// Runs the full screen until the person quits, or SIGTERM or SIGHUP comes.
///
/// # Errors
/// [`Failure::Usage`]: an account that cannot be; [`Failure::Other`]: the terminal, or the account's folder.
pub(crate) async fn chat(
    account: &Account,
    open: Option<String>,
    colours: Choice,
) -> Result<(), Failure> {
    let (me, place) = (account.user_id()?, account.place()?);
    let open = open.map(|name| account.chat(&name)).transpose()?;
    let cache_file = place.file("history.redb");
    let (cache, conversations) = Cache::open(&cache_file, &me, now_ms())?;
    let builder = account.builder()?.device(place.device("chat"));
    let builder = builder.outbox(place.file("chat.outbox")).presence(true).typing(true);
    let (client, events) = builder.connect().await.map_err(Failure::of)?;

    let mut app = App::new(me, now_ms());
    for conversation in conversations {
        app.restore(conversation);
    }
    for queued in client.queued().into_iter().filter(|queued| queued.is_message) {
        let text = String::from_utf8_lossy(&queued.body).into_owned();
        app.restore_queued(&queued.chat, queued.id, queued.at_ms, text);
    }
    let theme = Theme::of(colours, |name| std::env::var(name).ok());
    let look = Look { theme, zone: jiff::tz::TimeZone::system() };
    let (answers, receiver) = mpsc::channel(ANSWERS_MAX);
    let worker = Worker::new(client.clone(), answers);
    let mut session = Session { app, look, client, worker, cache, drawn: Drawn::default() };
    let ended = session.run(events, receiver, open).await;
    let _heard = tokio::time::timeout(GOODBYE, session.client.close()).await;
    // What was begun to be written.
    for conversation in session.app.chats.values() {
        session.cache.keep_chat(Kept::of(conversation)).await;
    }
    session.cache.close();
    ended
}

struct Session {
    app: App,
    look: Look,
    client: Client,
    worker: Worker,
    cache: Cache,
    drawn: Drawn,
}

/// The signals that matter to a program on a terminal.
struct Signals {
    terminate: Signal,
    hangup: Signal,
    interrupt: Signal,
    stop: Signal,
    resume: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            stop: signal(SignalKind::from_raw(SIGTSTP))?,
            resume: signal(SignalKind::from_raw(SIGCONT))?,
        })
    }
}

/// Whether to go on.
enum Next {
    GoOn,
    End,
}

impl Session {
    async fn run(
        &mut self,
        mut events: Events,
        mut answers: mpsc::Receiver<Input>,
        open: Option<ChatId>,
    ) -> Result<(), Failure> {
        let mut signals = Signals::new().map_err(Failure::other)?;
        let mut screen = Screen::take()
            .map_err(|error| Failure::Other(format!("this needs a terminal: {error}")))?;
        let mut keys = EventStream::new();
        let mut effects = self.app.open_at_start(open.clone());
        if open.is_some() {
            self.app.mode = crate::app::Mode::Writing;
        }
        loop {
            if let Next::End = self.carry_out(effects, &mut screen).await? {
                return Ok(());
            }
            effects = self.draw(&mut screen)?;
            if !effects.is_empty() {
                continue;
            }
            let tick = self.app.tick_ms().map(Duration::from_millis);
            let tick = async {
                match tick {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            effects = tokio::select! {
                biased;
                _ = signals.terminate.recv() => return Ok(()),
                _ = signals.hangup.recv() => return Ok(()),
                _ = signals.interrupt.recv() => return Ok(()),
                _ = signals.stop.recv() => vec![Effect::Suspend],
                _ = signals.resume.recv() => {
                    screen.resume().map_err(Failure::other)?;
                    Vec::new()
                }
                key = next_key(&mut keys) => match key {
                    Some(Ok(event)) => {
                        let input = input::read(event, &self.app, &self.drawn);
                        input.map_or(Vec::new(), |input| self.update(input))
                    }
                    Some(Err(error)) => return Err(Failure::other(error)),
                    // The terminal is gone.
                    None => return Ok(()),
                },
                Some(answer) = answers.recv() => self.update(answer),
                event = events.next() => match event {
                    Some(event) => self.hear(event, &mut events),
                    None => return Ok(()),
                },
                () = tick => self.update(Input::Tick),
            };
        }
    }

    fn update(&mut self, input: Input) -> Vec<Effect> {
        self.app.update(input, now_ms())
    }

    /// An event, and those behind it: a flood is drawn once.
    fn hear(&mut self, event: Event, events: &mut Events) -> Vec<Effect> {
        let mut effects = Vec::new();
        let mut next = Some(event);
        let mut taken = 0;
        while let Some(event) = next {
            if let Some(input) = self.input(event) {
                effects.extend(self.update(input));
            }
            taken += 1;
            next = if taken < EVENTS_A_FRAME { events.try_next() } else { None };
        }
        effects
    }

    fn input(&self, event: Event) -> Option<Input> {
        Some(match event {
            Event::Receipt(receipt) => Input::Receipt(receipt),
            Event::ReceiptCount(count) => Input::Count(count),
            Event::Presence(presence) => Input::Presence(presence),
            Event::Typing(typing) => Input::Typing(typing),
            Event::Connection(state) => self.connection(state),
            Event::Sent(sent) => {
                Input::Sent { local: None, id: sent.id, seq: sent.seq, at_ms: sent.at_ms }
            }
            Event::NotSent { id, error, .. } => {
                Input::NotSent { local: None, id: Some(id), why: error.to_string() }
            }
            event => Input::Live(Entry::from_event(event)?),
        })
    }

    fn connection(&self, state: Connection) -> Input {
        let why = if state.is_online() { None } else { self.client.last_loss() };
        Input::Connection { state, why }
    }

    /// Draws, and tells the state what is on screen.
    fn draw(&mut self, screen: &mut Screen) -> Result<Vec<Effect>, Failure> {
        let waiting = self.client.queued_len();
        let mut effects = self.update(Input::Waiting(waiting));
        let drawn = &mut self.drawn;
        let (app, look) = (&self.app, &self.look);
        let terminal = &mut screen.terminal;
        terminal.draw(|frame| *drawn = view::draw(frame, app, look)).map_err(Failure::other)?;
        let shown = self.drawn.shown.clone();
        effects.extend(self.update(Input::Shown(shown)));
        Ok(effects)
    }

    async fn carry_out(
        &mut self,
        effects: Vec<Effect>,
        screen: &mut Screen,
    ) -> Result<Next, Failure> {
        // However much has come.
        if effects.contains(&Effect::Bell) {
            screen.bell().map_err(Failure::other)?;
        }
        for effect in effects {
            match effect {
                Effect::Bell => {}
                Effect::Quit => return Ok(Next::End),
                Effect::Suspend => screen.suspend().map_err(Failure::other)?,
                Effect::Redraw => screen.redraw().map_err(Failure::other)?,
                Effect::Keep(entry) => self.cache.keep(entry).await,
                Effect::Erase { chat, seq } => self.cache.erase(chat, seq).await,
                Effect::KeepChat(chat) => {
                    if let Some(conversation) = self.app.chats.get(&chat) {
                        self.cache.keep_chat(Kept::of(conversation)).await;
                    }
                }
                effect => self.worker.take(effect),
            }
        }
        Ok(Next::GoOn)
    }
}

async fn next_key(keys: &mut EventStream) -> Option<std::io::Result<crossterm::event::Event>> {
    std::future::poll_fn(|context| std::pin::Pin::new(&mut *keys).poll_next(context)).await
}

/// Unix milliseconds of this machine's clock.
fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
