//! One look at everything that is counted, as Prometheus's text.
//!
//! Nothing is counted here: the figures are those of the broker, the writer and the store at the
//! moment of the scrape.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bluetick_bridge::partition::PartitionCounts;
use bluetick_bridge::store::{StoreFigures, TableFigures};
use bluetick_bridge::writer::WriterStats;
use bluetick_broker::{HistogramSnapshot, Stats};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, prometheus_text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::metric::{self, Metric, label};
use super::{Sources, State, process};

const NS_PER_S: f64 = 1e9;

/// Packets that are never counted in one direction (MQTT 5 §2.1.2).
const ONLY_SERVERS_SEND: [&str; 4] = ["connack", "suback", "unsuback", "pingresp"];
const ONLY_CLIENTS_SEND: [&str; 4] = ["connect", "subscribe", "unsubscribe", "pingreq"];

/// All metrics as text (version 0.0.4 of the format). Blocks on the disk.
///
/// # Errors
/// Never, for a string takes all that is written to it.
pub(super) fn text(state: &Arc<State>) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Scrape(state.clone())));
    let mut text = String::new();
    prometheus_text::encode(&mut text, &registry)?;
    Ok(text)
}

/// A figure of a table.
type OfTable = fn(&TableFigures) -> u64;

struct Scrape(Arc<State>);

impl fmt::Debug for Scrape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scrape")
    }
}

impl Collector for Scrape {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page(encoder);
        page.build()?;
        page.process(self.0.started_s)?;
        // Before the store is open there is no more to tell.
        self.0.sources.get().map_or(Ok(()), |sources| page.server(sources))
    }
}

/// What is being written.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn build(&mut self) -> fmt::Result {
        let labels =
            [(label::VERSION, env!("CARGO_PKG_VERSION")), (label::COMMIT, env!("BLUETICK_COMMIT"))];
        self.describe(&metric::BUILD)?.encode_info(&labels)
    }

    fn process(&mut self, started_s: f64) -> fmt::Result {
        self.float(&metric::PROCESS_START, started_s)?;
        let Some(process) = process::figures() else { return Ok(()) };
        self.float(&metric::PROCESS_CPU, process.cpu_s)?;
        self.one(&metric::PROCESS_RESIDENT, process.resident_bytes)?;
        self.one(&metric::PROCESS_VIRTUAL, process.virtual_bytes)?;
        self.one(&metric::PROCESS_FDS, process.fds)?;
        self.one(&metric::PROCESS_FDS_MAX, process.fds_max)?;
        self.one(&metric::PROCESS_THREADS, process.threads)
    }

    fn server(&mut self, sources: &Sources) -> fmt::Result {
        let Sources { broker, bridge, pipeline, reads } = sources;
        self.broker(broker.stats())?;
        let (online, offline) = broker.sessions();
        self.many(
            &metric::SESSIONS,
            [([(label::STATE, "online")], online), ([(label::STATE, "offline")], offline)]
                .map(|(labels, sessions)| (labels, sessions as u64)),
        )?;
        let limits = broker.stats().limits_reached().into_iter();
        let limits = limits.chain(bridge.quota_stats().reached());
        self.many(
            &metric::LIMITS_REACHED,
            limits.map(|(limit, count)| ([(label::LIMIT, limit)], count)),
        )?;
        self.one(&metric::USERS_ONLINE, bridge.users_online() as u64)?;
        let counts: Vec<PartitionCounts> =
            pipeline.partitions().iter().map(|partition| partition.counts()).collect();
        let sum = |of: fn(&PartitionCounts) -> u64| counts.iter().map(of).sum();
        self.one(&metric::CHATS, sum(|counts| counts.chats))?;
        self.one(&metric::CHATS_RESIDENT, sum(|counts| counts.resident_chats as u64))?;
        self.one(&metric::COMMANDS_WAITING, sum(|counts| counts.commands_waiting as u64))?;
        self.one(&metric::READS_WAITING, reads.waiting() as u64)?;
        self.writer(pipeline.stats())?;
        match pipeline.store().figures() {
            Ok(Some(figures)) => self.store(&figures),
            Ok(None) => Ok(()),
            Err(error) => {
                tracing::debug!(%error, "the store tells nothing of itself at the moment");
                Ok(())
            }
        }
    }

    fn broker(&mut self, stats: &Stats) -> fmt::Result {
        self.one(&metric::CONNECTIONS, stats.connections.load(Ordering::Relaxed))?;
        let directions = [
            ("in", &stats.packets_in, ONLY_SERVERS_SEND),
            ("out", &stats.packets_out, ONLY_CLIENTS_SEND),
        ];
        let packets = directions.into_iter().flat_map(|(direction, packets, never)| {
            let types = packets.by_type().filter(move |(of, _)| !never.contains(of));
            types
                .map(move |(of, count)| ([(label::DIRECTION, direction), (label::TYPE, of)], count))
        });
        self.many(&metric::PACKETS, packets)?;
        self.many(
            &metric::BYTES,
            [("in", &stats.bytes_in), ("out", &stats.bytes_out)].map(|(direction, bytes)| {
                ([(label::DIRECTION, direction)], bytes.load(Ordering::Relaxed))
            }),
        )?;
        self.histogram(&metric::PUBACK_SECONDS, &stats.publish_acks.snapshot(), NS_PER_S)?;
        for (metric, gauge) in [
            (&metric::PUBLISHES_INFLIGHT, &stats.publishes_inflight),
            (&metric::DELIVERIES_INFLIGHT, &stats.deliveries_inflight),
            (&metric::PLAIN_QUEUED, &stats.plain_queued),
        ] {
            // What is added here may be taken back there before the addition is seen.
            let value = u64::try_from(gauge.load(Ordering::Relaxed)).unwrap_or(0);
            self.one(metric, value)?;
        }
        self.one(&metric::WILLS, stats.wills.load(Ordering::Relaxed))
    }

    fn writer(&mut self, stats: &WriterStats) -> fmt::Result {
        self.histogram(&metric::COMMIT_SECONDS, &stats.commits.snapshot(), NS_PER_S)?;
        self.histogram(&metric::COMMIT_RECORDS, &stats.records.snapshot(), 1.0)?;
        for (metric, counter) in [
            (&metric::COMMIT_BYTES, &stats.bytes),
            (&metric::COMMIT_FAILURES, &stats.failures),
            (&metric::MESSAGES, &stats.messages),
            (&metric::AMENDMENTS, &stats.amendments),
            (&metric::EVENTS, &stats.events),
            (&metric::RECEIPTS, &stats.receipts),
        ] {
            self.one(metric, counter.load(Ordering::Relaxed))?;
        }
        self.one(&metric::STORE_FAILING, stats.failing.load(Ordering::Acquire).into())
    }

    fn store(&mut self, figures: &StoreFigures) -> fmt::Result {
        let of_table: [(&Metric, OfTable); 7] = [
            (&metric::ROCKSDB_RECORDS, |table| table.records),
            (&metric::ROCKSDB_FILE_BYTES, |table| table.file_bytes),
            (&metric::ROCKSDB_WRITE_BUFFER_BYTES, |table| table.write_buffer_bytes),
            (&metric::ROCKSDB_FULL_WRITE_BUFFERS, |table| table.full_write_buffers),
            (&metric::ROCKSDB_LEVEL0_FILES, |table| table.level0_files),
            (&metric::ROCKSDB_PENDING_COMPACTION_BYTES, |table| table.pending_compaction_bytes),
            (&metric::ROCKSDB_READER_BYTES, |table| table.reader_bytes),
        ];
        for (metric, of) in of_table {
            let tables = figures.tables.iter();
            self.many(
                metric,
                tables.map(|table| ([(label::TABLE, table.table.name())], of(table))),
            )?;
        }
        for (metric, value) in [
            (&metric::DISK_FREE, figures.disk_free_bytes),
            (&metric::DISK_RESERVE, figures.disk_reserve_bytes),
            (&metric::ROCKSDB_CACHE_BYTES, figures.cache_bytes),
            (&metric::ROCKSDB_CACHE_PINNED_BYTES, figures.cache_pinned_bytes),
            (&metric::ROCKSDB_BACKGROUND_JOBS, figures.background_jobs),
            (&metric::ROCKSDB_BACKGROUND_ERRORS, figures.background_errors),
            (&metric::ROCKSDB_DELAYED_WRITE_RATE, figures.delayed_write_bytes_per_s),
            (&metric::ROCKSDB_WRITES_STOPPED, figures.writes_stopped.into()),
            (&metric::ROCKSDB_BATCH_BYTES, figures.written.batch_bytes),
            (&metric::JOURNAL_BYTES, figures.written.log_bytes),
            (&metric::ROCKSDB_FLUSH_BYTES, figures.written.flush_bytes),
            (&metric::ROCKSDB_COMPACTION_BYTES, figures.written.compaction_bytes),
            (&metric::ROCKSDB_STALL_MICROSECONDS, figures.written.stall_us),
        ] {
            self.one(metric, value)?;
        }
        Ok(())
    }

    fn one(&mut self, metric: &Metric, value: u64) -> fmt::Result {
        self.many(metric, [([], value)])
    }

    /// Counters or gauges, each with its labels.
    fn many<const LABELS: usize>(
        &mut self,
        metric: &Metric,
        values: impl IntoIterator<Item = ([(&'static str, &'static str); LABELS], u64)>,
    ) -> fmt::Result {
        let mut encoder = self.describe(metric)?;
        for (labels, value) in values {
            let mut one = encoder.encode_family(&labels)?;
            match metric.kind {
                MetricType::Counter => one.encode_counter::<NoLabelSet, _, f64>(&value, None)?,
                _ => one.encode_gauge(&value)?,
            }
        }
        Ok(())
    }

    fn float(&mut self, metric: &Metric, value: f64) -> fmt::Result {
        let mut encoder = self.describe(metric)?;
        match metric.kind {
            MetricType::Counter => encoder.encode_counter::<NoLabelSet, _, f64>(&value, None),
            _ => encoder.encode_gauge(&value),
        }
    }

    /// A histogram whose values are so many to the unit it is served in.
    fn histogram(&mut self, metric: &Metric, of: &HistogramSnapshot, unit: f64) -> fmt::Result {
        let scale = |value: u64| value as f64 / unit;
        let buckets: Vec<_> = of.buckets.iter().map(|(to, count)| (scale(*to), *count)).collect();
        self.describe(metric)?.encode_histogram::<NoLabelSet>(
            scale(of.sum),
            of.count,
            &buckets,
            None,
        )
    }

    fn describe(&mut self, metric: &Metric) -> Result<MetricEncoder<'_>, fmt::Error> {
        // The encoder puts the suffix of its kind behind the name by itself.
        let suffix = match metric.kind {
            MetricType::Counter => "_total",
            MetricType::Info => "_info",
            _ => "",
        };
        let name = metric.name.strip_suffix(suffix).unwrap_or(metric.name);
        self.0.encode_descriptor(name, metric.help, None, metric.kind)
    }
}
