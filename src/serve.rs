//! `bluetick serve`: opens the store, starts the writer, binds the ports, waits for the end.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bluetick_bridge::bridge::{ReadPool, SystemEnvironment};
use bluetick_bridge::engine::PartitionNo;
use bluetick_bridge::partition::Partition;
use bluetick_bridge::store::{Kv, PlainStore, PlainWriter, RocksKv, Store, StoreError};
use bluetick_bridge::writer::{Pipeline, Writer, WriterSignal};
use bluetick_bridge::{Bridge, Directory};
use bluetick_broker::keep::Kept;
use bluetick_broker::transport::Tls;
use bluetick_broker::{Broker, Limits};
use sd_notify::NotifyState;
use tokio::runtime::{Handle, Runtime};
use tokio::signal::unix::{SignalKind, signal};

use crate::Failure;
use crate::access::{self, AccessRules, Reread};
use crate::accounts::Accounts;
use crate::certificates;
use crate::config::Config;
use crate::data_dir::DataDir;
use crate::directory::{Everybody, Members};
use crate::http::{Http, Sources};
use crate::listeners::Listeners;
use crate::logging;
use crate::open_files;
use crate::report;

/// How often sessions that nobody comes back for are looked for in the store.
const SWEEP: Duration = Duration::from_secs(3600);

/// How often messages whose time is over are looked for. Each time a bounded number is erased: at
/// two partitions, two thousand a second.
const EXPIRE: Duration = Duration::from_millis(500);

/// How often those who have fallen silent are looked for.
const TICK: Duration = Duration::from_millis(250);

/// Runs the server until it is told to stop; `reread` is for what can change meanwhile.
pub(crate) fn run(config: &Config, reread: Reread) -> Result<(), Failure> {
    logging::start(config)?;
    let tls = config.tls.clone().map(certificates::load).transpose()?;
    let data_dir = DataDir::take(&config.data_dir)?;
    // Before the store, whose opening may take long after a crash: it can be asked meanwhile.
    let http = Http::start(&config.http)?;
    let (engine, kept) = ChatServer::open(config, &data_dir)?;
    let runtime = Runtime::new().map_err(Failure::other)?;
    let left = runtime.block_on(serve(config, reread, tls, &engine, kept, &http))?;
    http.stop();
    runtime.shutdown_timeout(Duration::from_secs(1));
    let failing = engine.stop();
    if left > 0 {
        tracing::warn!(connections = left, "did not end within the grace period");
    }
    tracing::info!("stopped");
    if failing { Err(Failure::StoreFailing) } else { Ok(()) }
}

/// Store, partitions and writer, in the order they depend on each other.
struct ChatServer {
    pipeline: Arc<Pipeline>,
    reads: Arc<ReadPool>,
    writer: Writer,
    plain: PlainStore,
    plain_writer: PlainWriter,
}

impl ChatServer {
    /// With it, what is kept of plain topics.
    fn open(config: &Config, data_dir: &DataDir) -> Result<(Self, Kept), Failure> {
        let started = Instant::now();
        let database = data_dir.database();
        let kv = RocksKv::open(&database, config.store.clone()).map_err(store_failure)?;
        let kv: Arc<dyn Kv> = Arc::new(kv);
        let (store, partitions) =
            Store::open(kv.clone(), config.partitions).map_err(store_failure)?;
        if partitions != config.partitions {
            tracing::info!(
                partitions,
                "the data directory was made with another number of partitions"
            );
        }
        let signal = Arc::new(WriterSignal::default());
        let reads = ReadPool::new(signal.clone());
        let parts: Result<Vec<_>, StoreError> = (0..partitions)
            .map(|no| {
                let no = PartitionNo(no);
                let counters = store.counters(no)?;
                Ok(Arc::new(Partition::new(no, counters, &config.partition, reads.clone())))
            })
            .collect();
        let pipeline = Arc::new(Pipeline::new(parts.map_err(store_failure)?, store));
        reads.start(&pipeline).map_err(Failure::other)?;
        let writer = Writer::start(pipeline.clone(), signal).map_err(Failure::other)?;
        let (plain, plain_writer, kept) = PlainStore::open(kv).map_err(store_failure)?;
        tracing::info!(
            data_dir = %config.data_dir.display(),
            partitions,
            took_ms = started.elapsed().as_millis(),
            "opened the store"
        );
        Ok((Self { pipeline, reads, writer, plain, plain_writer }, kept))
    }

    /// Commits what is under way and closes the store; tells whether it took no writes.
    fn stop(self) -> bool {
        self.reads.stop();
        self.writer.stop();
        self.plain_writer.stop();
        self.pipeline.stats().failing.load(Ordering::Acquire)
    }
}

/// Accepts connections until a signal; gives how many did not end in time.
async fn serve(
    config: &Config,
    reread: Reread,
    tls: Option<Arc<Tls>>,
    engine: &ChatServer,
    kept: Kept,
    http: &Http,
) -> Result<u64, Failure> {
    let rules = Arc::new(AccessRules::new(config.access.clone()));
    let directory: Arc<dyn Directory> = if config.dev {
        Arc::new(Everybody { rules: rules.clone() })
    } else {
        let accounts = Accounts::open(&config.data_dir)?;
        if accounts.table().is_empty() {
            tracing::warn!("there are no users yet: add one with `bluetick user add NAME`");
        }
        Arc::new(Members::new(accounts, rules.clone(), Handle::current())?)
    };
    let environment = Arc::new(SystemEnvironment);
    let bridge = Bridge::new(
        engine.pipeline.clone(),
        directory,
        environment,
        engine.reads.clone(),
        config.bridge.clone(),
    );
    bridge.recover().map_err(store_failure)?;
    // Before anybody is told of the ports: who stops the server right then must be heard.
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::other)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::other)?;
    let listeners = Listeners::bind(config, tls.as_ref()).await?;
    if let Some(tls) = tls {
        certificates::watch(tls)?;
    }
    let connections_max = open_files::connections_max(config.limits.connections_max);
    let limits = Limits { connections_max, ..config.limits.clone() };
    let keeper = Arc::new(engine.plain.clone());
    let broker = Broker::with_keeper(bridge.clone(), limits, keeper, kept);
    let rechecking = broker.clone();
    access::watch(rules, reread, move || rechecking.recheck_access())?;
    // Whoever is told of the ports finds the server ready: what connects already is accepted soon.
    http.ready(Sources {
        broker: broker.clone(),
        bridge: bridge.clone(),
        pipeline: engine.pipeline.clone(),
        reads: engine.reads.clone(),
    });
    listeners.announce(config.dev)?;
    listeners.serve(&broker);
    tell_supervisor(NotifyState::Ready);
    let expiring = broker.clone();
    tokio::spawn(async move { expiring.expire_sessions().await });
    tokio::spawn(tick(bridge.clone()));
    for (every, what, job) in [
        (SWEEP, "ending sessions whose time is over", Bridge::sweep as fn(&Bridge) -> _),
        (EXPIRE, "erasing messages whose time is over", Bridge::expire),
        (config.erase_every, "having erased bodies leave the disk", Bridge::drop_erased),
    ] {
        tokio::spawn(now_and_then(every, what, bridge.clone(), job));
    }
    tokio::spawn(report::limits(broker.clone(), bridge.clone()));
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
        _ = interrupt.recv() => tracing::info!("interrupted: stopping"),
    }
    http.stopping();
    tell_supervisor(NotifyState::Stopping);
    let left = broker.shutdown(config.grace).await;
    bridge.flush();
    report::totals(broker.stats(), engine.pipeline.stats());
    Ok(left)
}

/// Tells systemd, if it is who has started the server.
fn tell_supervisor(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "the supervisor cannot be told how the server is");
    }
}

async fn tick(bridge: Bridge) {
    let mut tick = tokio::time::interval(TICK);
    loop {
        tick.tick().await;
        bridge.tick();
    }
}

/// Does something that blocks, now and then, for ever.
async fn now_and_then(
    every: Duration,
    what: &'static str,
    bridge: Bridge,
    job: fn(&Bridge) -> Result<usize, StoreError>,
) {
    let mut tick = tokio::time::interval(every);
    loop {
        tick.tick().await;
        let bridge = bridge.clone();
        match tokio::task::spawn_blocking(move || job(&bridge)).await {
            Ok(Ok(0)) => {}
            Ok(Ok(count)) => tracing::debug!(count, "{what}"),
            Ok(Err(error)) => tracing::error!(%error, "failed, and tried again later: {what}"),
            Err(error) => tracing::error!(%error, "failed: {what}"),
        }
    }
}

fn store_failure(error: StoreError) -> Failure {
    match error {
        StoreError::Locked(_) => Failure::InUse(error.to_string()),
        other => Failure::Other(format!("cannot open the store: {other}")),
    }
}
