//! A server in memory with everything that can happen to it, in virtual time.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bluetick_bridge::bridge::{Environment, InlineReads};
use bluetick_bridge::engine::{Command, CreateChat, Info, PartitionNo};
use bluetick_bridge::partition::{Partition, PartitionOptions, Reply};
use bluetick_bridge::store::{Fault, Store};
use bluetick_bridge::writer::{Batches, Pipeline};
use bluetick_bridge::{Bridge, BridgeOptions, Directory};
use bluetick_broker::host::{self, Attempt};
use bluetick_broker::packet::Reason;
use bluetick_broker::{Broker, Limits};
use bluetick_checker::{Event, History};
use bluetick_harness::{Device, Dial, Habits, Pace, Phase, Plan, Record, Stranger, Wish};
use bluetick_protocol::{ChatId, MessageId, UserId};
use fastrand::Rng;
use tokio::sync::watch;
use tokio::task::LocalSet;
use tokio::time::{Instant, sleep};

use super::faulty_host::FaultyHost;
use super::faulty_kv::FaultyKv;
use super::members::change_members;
use super::sabotage::Sabotage;
use super::wire::{Killed, SimStream, Wire};

const USERS: [&str; 4] = ["alice", "bob", "carol", "dave"];
/// Who is in the group at first; alice is in it for good.
const MEMBERS: [&str; 3] = ["alice", "bob", "carol"];
const CHATS: [(&str, [&str; 2]); 3] = [
    ("alice~bob", ["alice", "bob"]),
    ("alice~carol", ["alice", "carol"]),
    ("carol~carol", ["carol", "carol"]),
];
pub(super) const GROUP: &str = "g-000000000001";

/// What a stranger tries beside the direct chats: the group, and chats that do not exist.
const PROBED: [&str; 4] = [GROUP, "bob~carol", "nobody~zoe", "g-000000000002"];

/// Virtual time that a run is busy.
const BUSY: Duration = Duration::from_secs(12);
/// After so long without an event nothing more will come: it is told after 5 s that somebody is gone.
const QUIET: Duration = Duration::from_secs(6);
/// A run that does not settle within this is judged as it is.
const SETTLE_MAX: Duration = Duration::from_secs(120);

/// What a run gave.
pub(crate) struct Outcome {
    pub(crate) history: History,
    pub(crate) crashes: u64,
    pub(crate) failures: u64,
}

/// Runs one seed, with a server that is as it should be or has this mistake in it.
pub(crate) fn simulate(seed: u64, wire: Wire, sabotage: Option<Sabotage>) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    LocalSet::new().block_on(&runtime, run(seed, wire, sabotage))
}

async fn run(seed: u64, wire: Wire, sabotage: Option<Sabotage>) -> Outcome {
    let mut random = Rng::with_seed(seed);
    let record = Record::default();
    let world = World::new(&mut random, record.clone(), wire, sabotage);
    for (chat, users) in CHATS {
        for user in users {
            record.push(Event::Member { chat: chat.to_owned(), user: user.to_owned() });
        }
    }
    for user in MEMBERS {
        record.push(Event::Member { chat: GROUP.to_owned(), user: user.to_owned() });
    }
    let (phase, _) = watch::channel(Phase::Busy);
    let mut devices = Vec::new();
    let mut open = Vec::new();
    // Somebody is not there in the end.
    let absent = ["dave", "carol", ""][random.usize(..3)];
    // The mistakes of broken servers are made in JSON.
    for plan in plans(&mut random, sabotage.is_none()) {
        let pace = Pace {
            step: Duration::from_millis(random.u64(20..300)),
            cut_one_in: [0, 15, 40][random.usize(..3)],
        };
        let mut habits = habits(&plan, &mut random);
        habits.leaves = plan.user == absent;
        let device = Device::new(plan, pace, record.clone(), random.u64(..)).with_habits(habits);
        let (sender, receiver) = watch::channel(usize::MAX);
        open.push(receiver);
        let future = device.run(Pipe(world.clone()), phase.subscribe(), sender);
        devices.push(tokio::task::spawn_local(future));
    }
    let stranger = Stranger {
        user: "mallory".to_owned(),
        version: if random.bool() { 5 } else { 4 },
        chats: CHATS.iter().map(|(chat, _)| *chat).chain(PROBED).map(str::to_owned).collect(),
        users: USERS.into_iter().chain(["nobody", "zoe"]).map(str::to_owned).collect(),
        record: record.clone(),
        random: random.fork(),
    };
    let stranger = stranger.run(Pipe(world.clone()), phase.subscribe());
    let stranger = tokio::task::spawn_local(stranger);
    let pump = tokio::task::spawn_local(pump(world.clone(), random.fork()));
    let changes = tokio::task::spawn_local(change_members(world.clone(), random.fork()));
    sleep(BUSY).await;
    phase.send_replace(Phase::Settling);
    world.calm.set(true);
    let started = Instant::now();
    let mut last = (record.len(), Instant::now());
    while started.elapsed() < SETTLE_MAX {
        sleep(Duration::from_millis(50)).await;
        let busy = open.iter().any(|open| *open.borrow() > 0) || !changes.is_finished();
        if record.len() != last.0 || busy {
            last = (record.len(), Instant::now());
        } else if last.1.elapsed() >= QUIET {
            break;
        }
    }
    record.push(Event::Settled {});
    phase.send_replace(Phase::Done);
    for device in devices {
        device.await.expect("no panic").expect("the server speaks MQTT");
    }
    stranger.await.expect("no panic");
    pump.abort();
    changes.abort();
    Outcome {
        history: record.read(Clone::clone),
        crashes: world.crashes.get(),
        failures: world.failures.get(),
    }
}

/// Who there is in this run.
fn plans(random: &mut Rng, differences: bool) -> Vec<Plan> {
    let mut plans = Vec::new();
    for user in USERS {
        for at in 0..random.usize(1..=3) {
            let mut sends_to: Vec<String> = CHATS
                .iter()
                .filter(|(_, users)| users.contains(&user))
                .map(|(chat, _)| (*chat).to_owned())
                .collect();
            sends_to.push(GROUP.to_owned());
            let version = if random.bool() { 5 } else { 4 };
            let messages = [Some(1), Some(1), Some(2), Some(0), None][random.usize(..5)];
            // Somebody has to read all that is said of who comes and goes.
            let witness = user == "alice" && at == 0;
            plans.push(Plan {
                user: user.to_owned(),
                device: format!("{user}-{at}"),
                version,
                persistent: random.bool(),
                messages: if witness { Some(1) } else { messages },
                receipts: random.bool(),
                differences: differences && random.u8(..3) == 0,
                // Not for carol: of what her only device writes to herself nobody would see it. Nor
                // for the witness, who may be alone in the group.
                no_local: version == 5 && random.u8(..4) == 0 && user != "carol" && !witness,
                sends_to: if random.u8(..4) == 0 { Vec::new() } else { sends_to },
                ids: random.bool(),
                reads: random.bool(),
            });
        }
    }
    plans
}

/// What a device does beside.
fn habits(plan: &Plan, random: &mut Rng) -> Habits {
    let mut wishes = Vec::new();
    // Also of chats that are not his.
    let chats = CHATS.iter().map(|(chat, _)| *chat).chain([GROUP]).map(str::to_owned).collect();
    wishes.push(Wish::History { chats });
    if plan.user != "dave" {
        let guests = ["bob", "carol", "dave"].map(str::to_owned).to_vec();
        let leaves = plan.user != "alice";
        wishes.push(Wish::Members { chat: GROUP.to_owned(), guests, leaves });
    }
    // Of one device a user, so that somebody knows what was asked last.
    let direct = |chat: &str, user: &str| Wish::Block { chat: chat.into(), user: user.into() };
    match plan.device.as_str() {
        "alice-0" => wishes.push(direct("alice~carol", "carol")),
        "bob-0" => wishes.push(direct("alice~bob", "alice")),
        "carol-0" => wishes.push(Wish::Reading),
        _ => {}
    }
    wishes.retain(|wish| matches!(wish, Wish::Reading) || random.bool());
    let (amends, passes, looks) = (random.bool(), random.bool(), random.bool());
    Habits { amends, passes, looks, leaves: false, wishes }
}

/// The server and what is around it.
pub(super) struct World {
    sabotage: Option<Sabotage>,
    kv: Arc<FaultyKv>,
    directory: Arc<Everybody>,
    server: RefCell<Option<Server>>,
    environment: Arc<SimEnvironment>,
    pub(super) record: Record,
    wire: Wire,
    /// How many connections there were.
    dialled: Cell<u64>,
    /// No more crashes and failures.
    pub(super) calm: Cell<bool>,
    crashes: Cell<u64>,
    failures: Cell<u64>,
}

struct Server {
    broker: Broker<FaultyHost>,
    pipeline: Arc<Pipeline>,
    reads: Arc<InlineReads>,
    bridge: Bridge,
    killed: Rc<Killed>,
}

impl World {
    fn new(random: &mut Rng, record: Record, wire: Wire, sabotage: Option<Sabotage>) -> Rc<Self> {
        let environment = SimEnvironment {
            started: Instant::now(),
            random: parking_lot::Mutex::new(random.fork()),
        };
        let world = Rc::new(Self {
            sabotage,
            kv: FaultyKv::new(sabotage),
            directory: Arc::new(Everybody { sabotage, first: parking_lot::Mutex::default() }),
            server: RefCell::new(None),
            environment: Arc::new(environment),
            record,
            wire,
            dialled: Cell::new(0),
            calm: Cell::new(false),
            crashes: Cell::new(0),
            failures: Cell::new(0),
        });
        world.start();
        world
    }

    fn start(&self) {
        let (store, partitions) = Store::open(self.kv.clone(), 2).expect("a store");
        let reads = Arc::new(InlineReads::default());
        let partitions = (0..partitions).map(|no| {
            let no = PartitionNo(no);
            // Hardly anything stays in memory: most is read from the store.
            let options =
                PartitionOptions { tail_bytes_max: 12_000, ..PartitionOptions::default() };
            let counters = store.counters(no).expect("counters");
            Arc::new(Partition::new(no, counters, &options, reads.clone()))
        });
        let pipeline = Arc::new(Pipeline::new(partitions.collect(), store));
        let bridge = Bridge::new(
            pipeline.clone(),
            self.directory.clone(),
            self.environment.clone(),
            reads.clone(),
            BridgeOptions::default(),
        );
        bridge.recover().expect("recovered");
        self.create_group(&pipeline);
        let limits = Limits { inflight_out_max: 8, ..Limits::default() };
        let broker = Broker::new(FaultyHost::new(bridge.clone(), self.sabotage), limits);
        let killed = Rc::default();
        *self.server.borrow_mut() = Some(Server { broker, bridge, pipeline, reads, killed });
        self.record.push(Event::ServerStarted);
    }

    /// The members are told to the history once and for all, so a commit that fails must not leave
    /// them without their group.
    fn create_group(&self, pipeline: &Pipeline) {
        let chat = ChatId::try_from(GROUP).expect("a group");
        let users = MEMBERS.map(|user| UserId::try_from(user).expect("a user"));
        let create = Command::CreateChat(CreateChat {
            info: Info::default(),
            members_max: 1024,
            over: None,
            chat,
            id: MessageId::from_bytes([7; 16]).expect("an id"),
            owner: users[0].clone(),
            members: users[1..].to_vec(),
        });
        // A repeat is refused: it exists.
        pipeline.partition_of(GROUP).submit(create, self.environment.now_ms(), None);
    }

    /// Asks the partition of the group, if there is a server.
    pub(super) fn submit(&self, command: Command, reply: Reply) {
        if let Some(server) = self.server.borrow().as_ref() {
            let partition = server.pipeline.partition_of(GROUP);
            partition.submit(command, self.environment.now_ms(), Some(reply));
        }
    }

    fn crash(&self) {
        self.record.push(Event::ServerCrashed);
        self.crashes.set(self.crashes.get() + 1);
        if let Some(server) = self.server.borrow_mut().take() {
            server.killed.kill();
        }
        self.kv.crash();
    }
}

/// Does the work of the writers and readers, a step at a time, with faults in between.
async fn pump(world: Rc<World>, mut random: Rng) {
    loop {
        let parts =
            world.server.borrow().as_ref().map(|server| {
                (server.pipeline.clone(), server.reads.clone(), server.bridge.clone())
            });
        let Some((pipeline, reads, bridge)) = parts else {
            sleep(Duration::from_millis(random.u64(..2000))).await;
            world.start();
            continue;
        };
        serve(&world, &pipeline, &reads, &bridge, &mut random).await;
        world.crash();
    }
}

/// Serves until the server is to crash.
async fn serve(
    world: &World,
    pipeline: &Pipeline,
    reads: &InlineReads,
    bridge: &Bridge,
    random: &mut Rng,
) {
    let mut deciding = pipeline.begin();
    let mut some = false;
    let mut syncing: Option<Batches> = None;
    loop {
        sleep(Duration::from_micros(random.u64(..3000))).await;
        let calm = world.calm.get();
        if !calm && random.u16(..4000) == 0 {
            return;
        }
        if random.u8(..64) == 0 {
            bridge.tick();
            bridge.expire().expect("memory can be read");
        }
        for _ in 0..random.usize(..3) {
            reads.step(pipeline);
        }
        // What comes to a partition that a writer has just passed waits for the next time.
        let passed = random.bool();
        some |= pipeline.decide_in(&mut deciding, |_| !passed || random.bool());
        if syncing.is_none() && some && random.bool() {
            let mut batches = std::mem::replace(&mut deciding, pipeline.begin());
            pipeline.close(&mut batches);
            syncing = Some(batches);
            some = false;
        }
        let Some(batches) = syncing.take_if(|_| random.bool()) else { continue };
        if !calm && random.u16(..1500) == 0 {
            world.kv.inject(if random.bool() { Fault::FailBefore } else { Fault::FailAfter });
        }
        if pipeline.commit(&batches).is_ok() {
            if !calm && random.u16(..1500) == 0 {
                // Stored, and nobody was told.
                return;
            }
            let replies = pipeline.committed(batches);
            for replies in replies {
                replies.tell();
            }
            continue;
        }
        world.failures.set(world.failures.get() + 1);
        pipeline.failed(batches);
        pipeline.failed(std::mem::replace(&mut deciding, pipeline.begin()));
        some = false;
        pipeline.reset().expect("the store can be read");
        for _ in 0..random.usize(..20) {
            sleep(Duration::from_millis(random.u64(..100))).await;
            pipeline.decide_without_store();
            reads.step(pipeline);
        }
        pipeline.recover().expect("it works again");
        world.create_group(pipeline);
    }
}

/// Connects devices to whatever server there is.
struct Pipe(Rc<World>);

impl Dial for Pipe {
    type Stream = SimStream;

    async fn dial(&self) -> io::Result<SimStream> {
        let server = self.0.server.borrow();
        let server = server.as_ref().ok_or(io::ErrorKind::ConnectionRefused)?;
        let (mine, theirs) = tokio::io::duplex(2048);
        server.broker.serve_stream(theirs, SocketAddr::from((Ipv4Addr::LOCALHOST, 1)));
        self.0.dialled.set(self.0.dialled.get() + 1);
        let age = self.0.environment.started.elapsed();
        let trouble = self.0.wire.trouble(self.0.dialled.get(), age);
        Ok(SimStream::new(mine, server.killed.clone(), trouble))
    }
}

struct Everybody {
    sabotage: Option<Sabotage>,
    /// Who came first; all come from one address.
    first: parking_lot::Mutex<Option<UserId>>,
}

impl Directory for Everybody {
    fn authenticate(&self, attempt: Attempt, done: Box<dyn FnOnce(Result<UserId, Reason>) + Send>) {
        let user = UserId::try_from(attempt.user_name.unwrap_or_default().as_str());
        let mut user = user.map_err(|_| Reason::BAD_USER_NAME_OR_PASSWORD);
        if self.sabotage == Some(Sabotage::TrustsAddresses) {
            user = user.map(|user| self.first.lock().get_or_insert(user).clone());
        }
        done(user);
    }

    fn exists(&self, _: &UserId) -> bool {
        true
    }

    fn may(&self, _: &host::SessionKey, _: host::Access, _: &str) -> bool {
        true
    }
}

struct SimEnvironment {
    started: Instant,
    random: parking_lot::Mutex<Rng>,
}

impl Environment for SimEnvironment {
    fn now_ms(&self) -> u64 {
        let since = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        1_764_000_000_000 + since
    }

    fn random(&self) -> u64 {
        self.random.lock().u64(..)
    }
}
