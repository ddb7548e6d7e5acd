//! Who comes and goes in the group of the simulation: requests at any time, also around crashes and
//! failed commits, each asked again until it is answered, and now and then after that.

use std::rc::Rc;
use std::time::Duration;

use bluetick_bridge::engine::{Change, ChangeChat, Command, Outcome, Refused, RequestKey};
use bluetick_checker::{Ask, Event};
use bluetick_protocol::{ChatId, MessageId, UserId};
use fastrand::Rng;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use super::world::{GROUP, World};

/// Who may be added and removed.
const GUESTS: [&str; 3] = ["bob", "carol", "dave"];

/// Requests under way at once, at most.
const AT_ONCE: usize = 3;

/// A request to change who is in the group.
#[derive(Clone)]
struct Request {
    no: u64,
    by: UserId,
    change: Change,
}

impl Request {
    fn new(no: u64, random: &mut Rng) -> Self {
        let mut guests = GUESTS.map(user);
        random.shuffle(&mut guests);
        let some = guests[..random.usize(1..=2)].to_vec();
        let alice = user("alice");
        let (by, change) = match random.u8(..7) {
            0..=2 => (alice, Change::Add(some)),
            3..=5 => (alice, Change::Remove(some)),
            // Not dave: what he asks before he is a member is forgotten, so that a stranger's
            // requests leave nothing behind.
            _ => (user(GUESTS[random.usize(..2)]), Change::Leave),
        };
        Self { no, by, change }
    }

    fn asked(&self) -> Event {
        let names = |users: &[UserId]| users.iter().map(UserId::to_string).collect();
        let (adds, removes) = match &self.change {
            Change::Add(users) => (names(users), Vec::new()),
            Change::Remove(users) => (Vec::new(), names(users)),
            _ => (Vec::new(), vec![self.by.to_string()]),
        };
        let ask = Ask::Members { chat: GROUP.to_owned(), adds, removes };
        Event::Asked { user: self.by.to_string(), request: self.no, ask }
    }

    /// The same request each time: one entry of the log, by its id, is all that may come of it.
    fn command(&self) -> Command {
        let mut id = [9; 16];
        id[8..].copy_from_slice(&self.no.to_be_bytes());
        Command::ChangeChat(Box::new(ChangeChat {
            request: RequestKey { user: self.by.clone(), hash: u128::from(self.no) },
            chat: ChatId::try_from(GROUP).expect("a group"),
            id: MessageId::from_bytes(id).expect("an id"),
            change: self.change.clone(),
            members_max: 1024,
        }))
    }
}

fn user(name: &str) -> UserId {
    UserId::try_from(name).expect("a user")
}

/// Changes who is in the group until all is calm; over once every request is answered.
pub(super) async fn change_members(world: Rc<World>, mut random: Rng) {
    // Nothing comes of this one, but its answer says that there is a group by now.
    let first =
        Request { no: world.record.tag(), by: user("alice"), change: Change::Add(Vec::new()) };
    ask(world.clone(), first.clone(), random.fork()).await;
    let mut made = vec![first];
    while !world.calm.get() {
        sleep(Duration::from_millis(random.u64(..1500))).await;
        let mut asked = Vec::new();
        for _ in 0..random.usize(1..=AT_ONCE) {
            // Whatever has happened since, a repeat gets the first answer and changes nothing.
            let again = random.u8(..4) == 0;
            let request = match again {
                true => made[random.usize(..made.len())].clone(),
                false => Request::new(world.record.tag(), &mut random),
            };
            if !again {
                made.push(request.clone());
            }
            asked.push(tokio::task::spawn_local(ask(world.clone(), request, random.fork())));
        }
        for one in asked {
            one.await.expect("no panic");
        }
    }
}

/// Asks until there is an answer. Patience may end while the request is still under way, so that
/// the same is asked twice at once.
async fn ask(world: Rc<World>, request: Request, mut random: Rng) {
    loop {
        let (answer, answered) = oneshot::channel();
        // Whoever asked may have given up.
        let reply = Box::new(move |outcome| drop(answer.send(outcome)));
        world.record.push(request.asked());
        world.submit(request.command(), reply);
        let patience = Duration::from_millis(random.u64(1..400));
        if let Ok(Ok(Ok(outcome))) = timeout(patience, answered).await {
            let users = match outcome {
                Outcome::Changed(users) => Some(users.iter().map(UserId::to_string).collect()),
                // Its owner would be one: its creation is still to come.
                Outcome::Refused(Refused::NotAMember) if request.by == user("alice") => continue,
                Outcome::Refused(_) => None,
                other => panic!("a change was answered {other:?}"),
            };
            let (chat, request) = (GROUP.to_owned(), request.no);
            world.record.push(Event::Answered { chat, request, users });
            return;
        }
        sleep(Duration::from_millis(random.u64(..200))).await;
    }
}
