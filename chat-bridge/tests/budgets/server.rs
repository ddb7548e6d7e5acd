//! The whole server on one thread, over RocksDB and pipes in memory, a step at a time; and its clients,
//! whose own work is not measured.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bluetick_bridge::bridge::{Environment as _, InlineReads};
use bluetick_bridge::engine::{Command, PartitionNo};
use bluetick_bridge::partition::{Partition, PartitionOptions};
use bluetick_bridge::store::{RocksKv, RocksOptions, Store};
use bluetick_bridge::writer::Pipeline;
use bluetick_bridge::{Bridge, BridgeOptions};
use bluetick_broker::{Broker, Limits};
use bluetick_harness::wire::{self, Packet};
use bluetick_protocol::ChatId;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::runtime::Runtime;

use super::around::{Clock, Everybody};
use super::cost::{Cost, Counters};
use super::counted::{CountedKv, CountedStream};

/// What is under way on a pipe, bytes: more than any step of these tests.
const PIPE_BYTES: usize = 1 << 20;

/// The store's memory for writes, bytes; RocksDB clears some of it when it is opened.
const WRITE_BUFFER_BYTES: usize = 4 << 20;

/// How far the clock is put forward from step to step: no quota is reached.
const STEP_MS: u64 = 10_000;

/// A server without threads of its own: its connections run on the caller's, and so does its writer.
pub(crate) struct Server {
    runtime: Runtime,
    broker: Broker<Bridge>,
    pipeline: Arc<Pipeline>,
    reads: Arc<InlineReads>,
    clock: Arc<Clock>,
    counters: Arc<Counters>,
}

impl Server {
    pub(crate) fn open(data: &Path) -> Self {
        let counters = Arc::<Counters>::default();
        let options =
            RocksOptions { write_buffer_bytes: WRITE_BUFFER_BYTES, ..RocksOptions::default() };
        let inner = Arc::new(RocksKv::open(data, options).expect("a database"));
        let kv = Arc::new(CountedKv { inner, counters: counters.clone() });
        let (store, partitions) = Store::open(kv, 2).expect("a store");
        let reads = Arc::new(InlineReads::default());
        let partitions = (0..partitions).map(PartitionNo).map(|no| {
            let counters = store.counters(no).expect("counters");
            Arc::new(Partition::new(no, counters, &PartitionOptions::default(), reads.clone()))
        });
        let pipeline = Arc::new(Pipeline::new(partitions.collect(), store));
        let clock = Arc::<Clock>::default();
        let options = BridgeOptions::default();
        let (directory, environment) = (Arc::new(Everybody), clock.clone());
        let bridge = Bridge::new(pipeline.clone(), directory, environment, reads.clone(), options);
        bridge.recover().expect("recovered");
        let broker = Broker::new(bridge, Limits::default());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        Self { runtime, broker, pipeline, reads, clock, counters }
    }

    /// Connects a device and subscribes it to these at QoS 1.
    pub(crate) fn connect(&self, device: &Device<'_>, filters: &[&str]) -> Client {
        let (mut client, _) = self.reconnect(device);
        client.receive();
        let filters: Vec<_> = filters.iter().map(|it| ((*it).to_owned(), 1)).collect();
        if !filters.is_empty() {
            wire::subscribe(&mut client.out, device.version, 1, &filters);
            client.flush();
            self.step();
            client.receive();
        }
        client
    }

    /// Connects a device that may be known; gives what that cost.
    pub(crate) fn reconnect(&self, device: &Device<'_>) -> (Client, Cost) {
        let (mine, inner) = tokio::io::duplex(PIPE_BYTES);
        let theirs = CountedStream { inner, counters: self.counters.clone() };
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        self.runtime.block_on(async { self.broker.serve_stream(theirs, address) });
        let mut client = Client::new(mine, device.version);
        let connect = wire::Connect {
            version: device.version,
            clean: !device.persistent,
            expiry_s: if device.persistent { 3600 } else { 0 },
            client_id: device.user,
            user: device.user,
        };
        wire::connect(&mut client.out, &connect);
        client.flush();
        (client, self.step())
    }

    /// Has a command carried out.
    pub(crate) fn submit(&self, chat: &ChatId, command: Command) {
        self.pipeline.partition_of(chat.as_str()).submit(command, self.clock.now_ms(), None);
        self.step();
    }

    /// Works until nobody has anything left to do, and gives what it cost.
    pub(crate) fn step(&self) -> Cost {
        self.clock.0.fetch_add(STEP_MS, Ordering::Relaxed);
        self.counters.cost_of(|| self.run())
    }

    fn run(&self) {
        loop {
            // Time is virtual: it goes on once all connections wait.
            self.runtime.block_on(async { tokio::time::sleep(Duration::from_millis(1)).await });
            let mut busy = false;
            while self.reads.step(&self.pipeline) {
                busy = true;
            }
            let mut batches = self.pipeline.begin();
            if self.pipeline.decide(&mut batches) {
                busy = true;
                self.pipeline.close(&mut batches);
                self.pipeline.commit(&batches).expect("stored");
                for replies in self.pipeline.committed(batches) {
                    replies.tell();
                }
            }
            if !busy {
                return;
            }
        }
    }
}

/// Who connects.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Device<'a> {
    pub(crate) user: &'a str,
    /// 4 or 5.
    pub(crate) version: u8,
    pub(crate) persistent: bool,
}

/// A client's end of a connection.
pub(crate) struct Client {
    stream: DuplexStream,
    version: u8,
    inbox: Vec<u8>,
    /// What is to be sent next.
    out: Vec<u8>,
    next_id: u16,
}

/// What came in.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) pubacks: usize,
    pub(crate) messages: usize,
}

impl Client {
    fn new(stream: DuplexStream, version: u8) -> Self {
        Self { stream, version, inbox: Vec::new(), out: Vec::new(), next_id: 1 }
    }

    /// Puts a PUBLISH beside what is to be sent next.
    pub(crate) fn publish(&mut self, topic: &str, qos: u8, payload: &[u8]) {
        let id = self.next_id;
        self.next_id = if id == u16::MAX { 1 } else { id + 1 };
        let publish = wire::Publish { qos, id, topic, payload, ..wire::Publish::default() };
        wire::publish(&mut self.out, self.version, &publish);
    }

    /// Sends what is to be sent.
    pub(crate) fn flush(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        let out = std::mem::take(&mut self.out);
        let mut rest = &out[..];
        while !rest.is_empty() {
            match Pin::new(&mut self.stream).poll_write(&mut context, rest) {
                Poll::Ready(written) => rest = &rest[written.expect("the server is there")..],
                Poll::Pending => panic!("the pipe is full: the step is too large"),
            }
        }
    }

    /// Reads what there is; puts a PUBACK for each message at QoS 1 beside what is to be sent next.
    pub(crate) fn receive(&mut self) -> Received {
        let mut context = Context::from_waker(Waker::noop());
        let mut bytes = [0; 4096];
        loop {
            let mut some = ReadBuf::new(&mut bytes);
            match Pin::new(&mut self.stream).poll_read(&mut context, &mut some) {
                Poll::Pending => break,
                Poll::Ready(read) => read.expect("the server is there"),
            }
            assert!(!some.filled().is_empty(), "the server has hung up");
            self.inbox.extend(some.filled());
        }
        let mut received = Received::default();
        while let Some(packet) = wire::decode(&mut self.inbox, self.version).expect("MQTT") {
            match packet {
                Packet::Ack { kind: 4, reason, properties, .. } => {
                    assert_eq!(reason, 0, "{properties:?}");
                    received.pubacks += 1;
                }
                Packet::Publish { qos, id, .. } => {
                    received.messages += 1;
                    if qos == 1 {
                        wire::ack(&mut self.out, 4, id);
                    }
                }
                Packet::ConnAck { code: 0, .. } => {}
                Packet::SubAck { codes, .. } => {
                    assert!(codes.iter().all(|code| *code <= 2), "{codes:?}");
                }
                other => panic!("{other:?} was not expected"),
            }
        }
        received
    }
}
