//! What the SDK is asked to do, beside the loop.

use std::future::Future;
use std::time::Duration;

use bluetick_client::{Chat, Client, Draft, Error, Message, Page, Pending, Seq};
use tokio::sync::mpsc;

use crate::app::{Effect, Entry, Info, Input, Member, Told};

/// Messages on their way into the outbox, at most; what is beyond is refused at once.
const SENDS_MAX: usize = 256;

/// Entries of a page of history.
const PAGE: u16 = 100;

/// Pages of the list of chats, at most.
const CHAT_PAGES_MAX: usize = 20;

/// How long to wait for the server to hear of what was read; the SDK goes on saying it.
const READ_WAIT: Duration = Duration::from_secs(30);

/// Does what the SDK is for. Answers come back as [`Input`]s.
pub(crate) struct Worker {
    client: Client,
    answers: mpsc::Sender<Input>,
    sends: mpsc::Sender<Effect>,
}

impl Worker {
    pub(crate) fn new(client: Client, answers: mpsc::Sender<Input>) -> Self {
        let (sends, receiver) = mpsc::channel(SENDS_MAX);
        tokio::spawn(send_in_turn(client.clone(), answers.clone(), receiver));
        Self { client, answers, sends }
    }

    /// Begins with it; does not wait.
    pub(crate) fn take(&self, effect: Effect) {
        let client = self.client.clone();
        match effect {
            // In the order in which they were said.
            effect @ (Effect::Send { local, .. }
            | Effect::Edit { local, .. }
            | Effect::Delete { local, .. }
            | Effect::React { local, .. }) => {
                let Err(_full) = self.sends.try_send(effect) else { return };
                let why = "too much at once; try again".to_owned();
                self.ask(async move { Some(not_sent(local, why)) });
            }
            Effect::Read { chat, seq } => self.ask(async move {
                let chat = client.chat(&chat);
                let read = tokio::time::timeout(READ_WAIT, chat.read(seq)).await;
                read.ok()?.err().map(|error| Input::Failed(error.to_string()))
            }),
            Effect::Typing { chat, typing } => self.ask(async move {
                // It lasts for a moment; if it is not told, nothing is lost.
                let _told = client.chat(&chat).typing(typing).await;
                None
            }),
            Effect::LoadChats => self.ask(async move {
                let result = load_chats(&client).await.map_err(|error| error.to_string());
                Some(Input::Chats { result })
            }),
            Effect::LoadHistory { chat, page } => self.ask(async move {
                let result = load_page(&client.chat(&chat), page).await;
                let result = result.map_err(|error| error.to_string());
                Some(Input::History { chat, page, result })
            }),
            Effect::LoadInfo { chat } => self.ask(async move {
                let result = load_info(&client.chat(&chat)).await;
                Some(Input::Info { chat, result: result.map_err(|error| error.to_string()) })
            }),
            Effect::CreateGroup { title, members } => self.ask(async move {
                Some(match client.create_group(title, members).await {
                    Ok(chat) => Input::Created(chat.id().clone()),
                    Err(error) => Input::Failed(error.to_string()),
                })
            }),
            Effect::AddMembers { chat, members } => {
                self.ask(async move { failed(client.chat(&chat).add(members).await) })
            }
            Effect::RemoveMembers { chat, members } => {
                self.ask(async move { failed(client.chat(&chat).remove(members).await) })
            }
            Effect::Leave { chat } => {
                self.ask(async move { failed(client.chat(&chat).leave().await) });
            }
            Effect::Reconnect => self.ask(async move { failed(client.reconnect().await) }),
            Effect::SetPassword(password) => client.set_password(password),
            // Those are the loop's.
            _ => {}
        }
    }

    fn ask(&self, request: impl Future<Output = Option<Input>> + Send + 'static) {
        let answers = self.answers.clone();
        tokio::spawn(async move {
            if let Some(answer) = request.await {
                // The loop may have ended.
                let _heard = answers.send(answer).await;
            }
        });
    }
}

fn failed<T>(result: Result<T, Error>) -> Option<Input> {
    result.err().map(|error| Input::Failed(error.to_string()))
}

fn not_sent(local: u64, why: String) -> Input {
    Input::NotSent { local: Some(local), id: None, why }
}

/// Puts into the outbox what is said, one after the other.
async fn send_in_turn(
    client: Client,
    answers: mpsc::Sender<Input>,
    mut sends: mpsc::Receiver<Effect>,
) {
    while let Some(effect) = sends.recv().await {
        let Some((local, queued)) = queue(&client, effect).await else { continue };
        let pending = match queued {
            Ok(pending) => pending,
            Err(error) => {
                let _heard = answers.send(not_sent(local, error.to_string())).await;
                continue;
            }
        };
        let _heard = answers.send(Input::Queued { local, id: pending.id() }).await;
        let answers = answers.clone();
        // As many of these as the outbox holds, at most.
        tokio::spawn(async move {
            let id = pending.id();
            let answer = match pending.await {
                Ok(sent) => {
                    Input::Sent { local: Some(local), id, seq: sent.seq, at_ms: sent.at_ms }
                }
                Err(error) => {
                    Input::NotSent { local: Some(local), id: Some(id), why: error.to_string() }
                }
            };
            let _heard = answers.send(answer).await;
        });
    }
}

async fn queue(client: &Client, effect: Effect) -> Option<(u64, Result<Pending, Error>)> {
    Some(match effect {
        Effect::Send { local, chat, text, reply_to } => {
            let draft = match reply_to {
                Some(seq) => Draft::text(text).reply_to(seq),
                None => Draft::text(text),
            };
            (local, client.chat(&chat).send(draft).await)
        }
        Effect::Edit { local, chat, of, text } => (local, client.chat(&chat).edit(of, text).await),
        Effect::Delete { local, chat, of } => (local, client.chat(&chat).delete(of).await),
        Effect::React { local, chat, to, emoji } => {
            (local, client.chat(&chat).react(to, &emoji).await)
        }
        _ => return None,
    })
}

async fn load_chats(client: &Client) -> Result<Vec<Told>, Error> {
    let (mut told, mut cursor) = (Vec::new(), None);
    for _ in 0..CHAT_PAGES_MAX {
        let page = client.chats(cursor).await?;
        told.extend(page.chats.into_iter().map(|summary| Told {
            chat: summary.chat,
            title: summary.title,
            head: summary.head,
            read: summary.read,
            unread: summary.unread,
            muted_until_ms: summary.muted_until_ms.unwrap_or_default(),
            last: summary.last.and_then(|last| Entry::from_message(Message::from(*last))),
        }));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    Ok(told)
}

async fn load_page(chat: &Chat, page: Page) -> Result<Vec<Entry>, Error> {
    let messages = chat.history(page, PAGE).await?;
    Ok(messages.into_iter().filter_map(Entry::from_message).collect())
}

async fn load_info(chat: &Chat) -> Result<Info, Error> {
    let info = chat.info().await?;
    let member = |it: bluetick_client::MemberInfo| -> (Member, Seq, Seq) {
        (Member { user: it.user, role: it.role }, it.delivered, it.read)
    };
    Ok(Info { title: info.title, members: info.members.into_iter().map(member).collect() })
}
