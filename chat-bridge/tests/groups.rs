//! Who may do what in a group, and what a request changes: the table of docs/protocol.md, on the
//! engine alone.

use std::sync::Arc;

use bluetick_bridge::engine::{
    Amends, Batch, Change, ChangeChat, Command, ContentType, Counters, CreateChat, Engine, Entry,
    Facts, Info, Outcome, PartitionNo, Refused, RequestKey, Send,
};
use bluetick_bridge::store::{MemoryKv, Store, Supplied};
use bluetick_protocol::{ChatId, Event, MessageId, Role, Seq, UserId};

const P: PartitionNo = PartitionNo(0);
const HOUR_MS: u64 = 3_600_000;

/// An engine over a store in memory; every command is a batch of its own.
struct World {
    engine: Engine,
    store: Store,
    now: u64,
    requests: u128,
}

fn user(name: &str) -> UserId {
    UserId::try_from(name).expect("a name")
}

fn users(names: &[&str]) -> Vec<UserId> {
    names.iter().map(|name| user(name)).collect()
}

fn group() -> ChatId {
    ChatId::try_from("g-7k2m9x4q1zrt").expect("a name")
}

fn id(number: u128) -> MessageId {
    MessageId::from_bytes(number.to_be_bytes()).expect("not nil")
}

impl World {
    /// A group of an owner, an admin and two members.
    fn new() -> Self {
        let (store, _) = Store::open(Arc::new(MemoryKv::default()), 1).expect("a store");
        let engine = Engine::new(P, Counters::default(), 8);
        let mut world = Self { engine, store, now: 1_764_000_000_000, requests: 0 };
        let create = Command::CreateChat(CreateChat {
            chat: group(),
            id: id(1),
            owner: user("owner"),
            members: users(&["admin", "ann", "bob"]),
            info: Info::default(),
            members_max: 5,
            over: None,
        });
        assert!(matches!(world.decide(&create), Outcome::Created { .. }));
        assert!(matches!(world.decide(&create), Outcome::Created { .. }), "a repeat finds it");
        let role = Change::SetRole(user("admin"), Role::Admin);
        assert_eq!(world.change("owner", role), Ok(users(&["admin"])));
        world
    }

    fn decide(&mut self, command: &Command) -> Outcome {
        let (mut facts, mut batch) = (Facts::default(), Batch::default());
        let outcome = loop {
            match self.engine.decide(command, &facts, self.now, &mut batch) {
                Ok(outcome) => break outcome,
                Err(need) => match self.store.supply(P, need, &mut facts).expect("readable") {
                    Supplied::Chat(chat) => self.engine.supply_chat(chat),
                    Supplied::Noted => {}
                },
            }
        };
        self.engine.close_batch(&mut batch);
        self.store.commit([(P, &batch)]).expect("stored");
        self.engine.handle_committed(&batch);
        outcome
    }

    fn request(&mut self, by: &str, hash: u128, change: Change) -> Result<Vec<UserId>, Refused> {
        let command = Command::ChangeChat(Box::new(ChangeChat {
            request: RequestKey { user: user(by), hash },
            chat: group(),
            id: id(0xFF00 + hash),
            change,
            members_max: 5,
        }));
        match self.decide(&command) {
            Outcome::Changed(users) => Ok(users),
            Outcome::Refused(refused) => Err(refused),
            other => panic!("{other:?}"),
        }
    }

    fn change(&mut self, by: &str, change: Change) -> Result<Vec<UserId>, Refused> {
        self.requests += 1;
        self.request(by, self.requests, change)
    }

    fn send(&mut self, by: &str, body: &str, amends: Option<Amends>) -> Result<Seq, Refused> {
        let send = Send {
            from: user(by),
            chat: group(),
            peer_exists: false,
            may_begin: true,
            over: None,
            id: None,
            fingerprint: None,
            dup: false,
            origin: 0,
            body: body.to_owned().into(),
            content_type: ContentType::Text,
            reply_to: None,
            mentions: Vec::new(),
            ttl_s: None,
            amends,
            edit_window_ms: HOUR_MS,
        };
        match self.decide(&Command::Send(Box::new(send))) {
            Outcome::Sent { seq, .. } => Ok(seq),
            Outcome::Refused(refused) => Err(refused),
            other => panic!("{other:?}"),
        }
    }

    fn entry(&self, seq: Seq) -> Arc<Entry> {
        let chat = self.store.chat_by_name(P, &group()).expect("readable").expect("there");
        let entries = self.store.entries(P, chat.no, seq, seq, 1, 0).expect("readable");
        entries.first().expect("an entry").clone()
    }

    /// The log, in words.
    fn events(&self) -> Vec<Event> {
        let chat = self.store.chat_by_name(P, &group()).expect("readable").expect("there");
        let all = self.store.entries(P, chat.no, Seq(1), chat.head, 1000, usize::MAX);
        all.expect("readable").iter().filter_map(|entry| entry.event.clone()).collect()
    }

    /// Whether a user may read an entry, and whether he is a member.
    fn sees(&self, name: &str) -> (Vec<u64>, bool) {
        let chat = self.store.chat_by_name(P, &group()).expect("readable").expect("there");
        let member = chat.member_index(&user(name)).and_then(|at| chat.member(at)).expect("known");
        let seen = (1..=chat.head.0).filter(|seq| member.may_read(Seq(*seq)));
        (seen.collect(), member.is_active())
    }
}

const TITLE: fn() -> Change = || Change::Update {
    title: Some("Run".to_owned()),
    description: None,
    picture: None,
    admins_only: None,
};

#[test]
fn who_may_do_what() {
    use Refused::{AdminsOnly, NotAMember, Owner, OwnersOnly};
    let add = || Change::Add(users(&["new"]));
    let remove = |name: &str| Change::Remove(users(&[name]));
    let role = || Change::SetRole(user("ann"), Role::Admin);
    for (by, change, expected) in [
        ("owner", add(), Ok(users(&["new"]))),
        ("admin", add(), Ok(users(&["new"]))),
        ("ann", add(), Err(AdminsOnly)),
        ("stranger", add(), Err(NotAMember)),
        ("owner", remove("admin"), Ok(users(&["admin"]))),
        ("admin", remove("ann"), Ok(users(&["ann"]))),
        ("admin", remove("owner"), Err(Owner)),
        ("admin", remove("admin"), Err(OwnersOnly)),
        ("ann", remove("bob"), Err(AdminsOnly)),
        ("owner", remove("stranger"), Ok(vec![])),
        ("owner", role(), Ok(users(&["ann"]))),
        ("admin", role(), Err(OwnersOnly)),
        ("ann", role(), Err(AdminsOnly)),
        ("owner", Change::SetRole(user("stranger"), Role::Admin), Err(NotAMember)),
        ("owner", TITLE(), Ok(vec![])),
        ("admin", TITLE(), Ok(vec![])),
        ("ann", TITLE(), Err(AdminsOnly)),
        ("admin", Change::SetTtl(60), Ok(vec![])),
        ("ann", Change::SetTtl(60), Err(AdminsOnly)),
        ("ann", Change::Leave, Ok(users(&["ann"]))),
        ("stranger", Change::Leave, Err(NotAMember)),
    ] {
        let mut world = World::new();
        assert_eq!(world.change(by, change.clone()), expected, "{by}: {change:?}");
    }
}

#[test]
fn a_group_always_has_an_owner() {
    let mut world = World::new();
    let step_down = Change::SetRole(user("owner"), Role::Member);
    assert_eq!(world.change("owner", step_down.clone()), Err(Refused::LastOwner));
    assert_eq!(world.change("owner", Change::Leave), Ok(users(&["owner"])));
    let events = world.events();
    let heir = Event::Role { user: user("admin"), role: Role::Owner };
    assert_eq!(events[events.len() - 2..], [heir, Event::Left], "the admin, and before he is gone");
    // With two of them one can step down, and the heir of the last is who has been there longest.
    assert!(world.change("admin", Change::SetRole(user("bob"), Role::Owner)).is_ok());
    assert!(world.change("bob", Change::SetRole(user("admin"), Role::Member)).is_ok());
    assert!(world.change("bob", Change::Leave).is_ok());
    let heir = Event::Role { user: user("admin"), role: Role::Owner };
    assert!(world.events().ends_with(&[heir, Event::Left]));
    for name in ["admin", "ann"] {
        assert!(world.change(name, Change::Leave).is_ok());
    }
    assert_eq!(world.change("ann", Change::Leave), Err(Refused::NotAMember), "nobody is left");
}

#[test]
fn a_membership_begins_and_ends_with_its_event() {
    let mut world = World::new();
    assert_eq!(world.sees("ann"), (vec![1, 2], true));
    world.change("owner", Change::Remove(users(&["ann"]))).expect("removed");
    world.send("bob", "not for ann", None).expect("sent");
    assert_eq!(world.sees("ann"), (vec![1, 2, 3], false));
    assert_eq!(world.send("ann", "let me in", None), Err(Refused::NotAMember));
    let both = users(&["ann", "new", "ann", "bob"]);
    assert_eq!(world.change("admin", Change::Add(both)), Ok(users(&["ann", "new"])));
    world.send("ann", "back again", None).expect("sent");
    assert_eq!(world.sees("ann"), (vec![1, 2, 3, 5, 6], true));
    assert_eq!(world.sees("new"), (vec![5, 6], true));
    // Five is the limit of this group.
    let one_more = world.change("admin", Change::Add(users(&["newer"])));
    assert_eq!(one_more, Err(Refused::TooManyMembers));
}

#[test]
fn a_repeat_gets_the_first_answer_and_changes_nothing() {
    let mut world = World::new();
    let add = Change::Add(users(&["new"]));
    assert_eq!(world.request("owner", 100, add.clone()), Ok(users(&["new"])));
    assert_eq!(world.request("ann", 200, add.clone()), Err(Refused::AdminsOnly));
    world.change("owner", Change::Remove(users(&["new"]))).expect("removed");
    world.change("owner", Change::SetRole(user("ann"), Role::Admin)).expect("an admin now");
    let events = world.events();
    assert_eq!(world.request("owner", 100, add.clone()), Ok(users(&["new"])));
    assert_eq!(world.request("ann", 200, add.clone()), Err(Refused::AdminsOnly), "as it was then");
    // Also from memory lost, and for one who has left since.
    world.engine.reset(world.store.counters(P).expect("readable"));
    world.change("owner", Change::Leave).expect("left");
    assert_eq!(world.request("owner", 100, add.clone()), Ok(users(&["new"])));
    assert_eq!(world.events().len(), events.len() + 2, "but for his leaving");
    // Another's request of the same name is another one.
    assert_eq!(world.request("admin", 100, add), Ok(users(&["new"])));
}

#[test]
fn what_is_said_of_a_group_is_told_only_if_it_is_new() {
    let mut world = World::new();
    world.change("admin", TITLE()).expect("an admin may");
    let said = world.events();
    world.change("owner", TITLE()).expect("it is nothing new");
    world.change("owner", Change::SetTtl(0)).expect("nor is this");
    assert_eq!(world.events(), said);
    world.change("owner", Change::SetTtl(60)).expect("set");
    let seq = world.send("bob", "brief", None).expect("sent");
    let entry = world.entry(seq);
    assert_eq!(entry.expires_at_ms, Some(entry.at_ms + 60_000));
    let quiet =
        Change::Update { title: None, description: None, picture: None, admins_only: Some(true) };
    world.change("owner", quiet).expect("set");
    assert_eq!(world.send("bob", "hello?", None), Err(Refused::AdminsOnly));
    world.send("admin", "listen", None).expect("an admin may");
    world.send("bob", "👍", Some(Amends::React(seq))).expect("a reaction is no message");
}

#[test]
fn who_may_change_a_message() {
    let mut world = World::new();
    let stranger = Err(Refused::NotAMember);
    let said = world.send("ann", "one", None).expect("sent");
    let edit = |seq| Some(Amends::Edit(seq));
    assert_eq!(world.send("bob", "two", edit(said)), stranger, "only its author");
    assert_eq!(world.send("admin", "two", edit(said)), stranger, "nor an admin");
    assert_eq!(world.send("ann", "two", edit(Seq(1))), stranger, "an event is no message");
    assert_eq!(world.send("ann", "two", edit(Seq(99))), stranger);
    let edited = world.send("ann", "two", edit(said)).expect("she may");
    assert_eq!(world.send("ann", "three", edit(edited)), stranger, "an edit is no message");
    world.now += HOUR_MS + 1;
    assert_eq!(world.send("ann", "late", edit(said)), stranger);

    let none = world.send("bob", "", Some(Amends::React(said)));
    assert_eq!(none, Err(Refused::NoReaction));
    world.send("bob", "👍", Some(Amends::React(said))).expect("he may");
    world.send("bob", "", Some(Amends::React(said))).expect("and take it back");
    assert_eq!(world.send("bob", "", Some(Amends::React(said))), Err(Refused::NoReaction));

    assert_eq!(world.send("bob", "", Some(Amends::Delete(said))), stranger);
    world.send("admin", "", Some(Amends::Delete(said))).expect("an admin may");
    for seq in [said, edited] {
        let entry = world.entry(seq);
        assert!(entry.deleted && entry.body.is_empty(), "{entry:?}");
    }
    assert_eq!(world.send("ann", "", Some(Amends::Delete(said))), stranger, "it is deleted");
    assert_eq!(world.send("ann", "👍", Some(Amends::React(said))), stranger);
    // What was said while one was not there cannot be touched.
    world.change("owner", Change::Remove(users(&["bob"]))).expect("removed");
    let unseen = world.send("ann", "without bob", None).expect("sent");
    world.change("owner", Change::Add(users(&["bob"]))).expect("added");
    assert_eq!(world.send("bob", "👍", Some(Amends::React(unseen))), stranger);
}
