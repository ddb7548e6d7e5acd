//! What a client whose session goes on must not see while the session comes on line: the whole
//! server over a store in memory, its writer a step at a time.

#[path = "support/around.rs"]
mod around;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bluetick_bridge::bridge::InlineReads;
use bluetick_bridge::engine::PartitionNo;
use bluetick_bridge::partition::{Partition, PartitionOptions};
use bluetick_bridge::store::{Fault, MemoryKv, Store};
use bluetick_bridge::writer::Pipeline;
use bluetick_bridge::{Bridge, BridgeOptions};
use bluetick_broker::{Broker, Limits};
use bluetick_harness::wire::{self, Packet};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::{sleep, timeout};

use around::{Clock, Everybody};

const USER: &str = "bob";
const MQTT5: u8 = 5;
const SERVER_UNAVAILABLE: u8 = 0x88;

struct Server {
    broker: Broker<Bridge>,
    pipeline: Arc<Pipeline>,
    reads: Arc<InlineReads>,
}

impl Server {
    /// A new process over what there is.
    async fn start(kv: &Arc<MemoryKv>) -> Self {
        let (store, partitions) = Store::open(kv.clone(), 2).expect("a store");
        let reads = Arc::new(InlineReads::default());
        let partitions = (0..partitions).map(PartitionNo).map(|no| {
            let counters = store.counters(no).expect("counters");
            Arc::new(Partition::new(no, counters, &PartitionOptions::default(), reads.clone()))
        });
        let pipeline = Arc::new(Pipeline::new(partitions.collect(), store));
        let (clock, options) = (Arc::<Clock>::default(), BridgeOptions::default());
        let bridge =
            Bridge::new(pipeline.clone(), Arc::new(Everybody), clock, reads.clone(), options);
        bridge.recover().expect("recovered");
        let server = Self { broker: Broker::new(bridge, Limits::default()), pipeline, reads };
        server.settle(|_| true).await;
        server
    }

    /// Works, in these partitions, until there is nothing left to do.
    async fn settle(&self, chosen: impl Fn(PartitionNo) -> bool) {
        loop {
            // Time is virtual: it goes on once all connections wait.
            sleep(Duration::from_millis(1)).await;
            let mut busy = false;
            while self.reads.step(&self.pipeline) {
                busy = true;
            }
            let mut batches = self.pipeline.begin();
            if self.pipeline.decide_in(&mut batches, &chosen) {
                busy = true;
                self.pipeline.close(&mut batches);
                match self.pipeline.commit(&batches) {
                    Ok(()) => {
                        let replies = self.pipeline.committed(batches);
                        replies.into_iter().for_each(|replies| replies.tell());
                    }
                    Err(_) => {
                        self.pipeline.failed(batches);
                        self.pipeline.recover().expect("it works again");
                    }
                }
            }
            if !busy {
                return;
            }
        }
    }

    /// Begins a connection of a device whose session is kept.
    async fn connect(&self, clean: bool) -> Client {
        let (mut stream, theirs) = tokio::io::duplex(4096);
        self.broker.serve_stream(theirs, SocketAddr::from((Ipv4Addr::LOCALHOST, 1)));
        let connect =
            wire::Connect { version: MQTT5, clean, expiry_s: 3600, client_id: "phone", user: USER };
        let mut out = Vec::new();
        wire::connect(&mut out, &connect);
        stream.write_all(&out).await.expect("the server is there");
        Client { stream, inbox: Vec::new() }
    }
}

struct Client {
    stream: DuplexStream,
    inbox: Vec<u8>,
}

impl Client {
    /// What the server has sent; `None`: nothing more, and it is idle.
    async fn received(&mut self) -> Option<Packet> {
        loop {
            if let Some(packet) = wire::decode(&mut self.inbox, MQTT5).expect("MQTT") {
                return Some(packet);
            }
            let read = self.stream.read_buf(&mut self.inbox);
            // Virtual again: over once the server has nothing to do.
            let read = timeout(Duration::from_millis(1), read).await.ok()?;
            assert!(read.expect("readable") > 0, "the server has hung up");
        }
    }

    async fn connack(&mut self) -> (u8, bool) {
        match self.received().await {
            Some(Packet::ConnAck { code, session_present }) => (code, session_present),
            other => panic!("{other:?}"),
        }
    }
}

/// A store with a session that is subscribed to all chats, and whose server is gone.
async fn with_session() -> Arc<MemoryKv> {
    let kv = Arc::<MemoryKv>::default();
    let server = Server::start(&kv).await;
    let mut client = server.connect(true).await;
    server.settle(|_| true).await;
    assert_eq!(client.connack().await, (0, false));
    let mut out = Vec::new();
    wire::subscribe(&mut out, MQTT5, 1, &[("chats/+/messages".to_owned(), 1)]);
    client.stream.write_all(&out).await.expect("the server is there");
    server.settle(|_| true).await;
    assert!(matches!(client.received().await, Some(Packet::SubAck { .. })));
    kv
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_meanwhile_ends_no_session() {
    for fault in [Fault::FailBefore, Fault::FailAfter] {
        let kv = with_session().await;
        let server = Server::start(&kv).await;
        let mut client = server.connect(false).await;
        kv.inject(fault);
        server.settle(|_| true).await;
        assert_eq!(client.connack().await, (SERVER_UNAVAILABLE, false));
        drop(client);
        server.settle(|_| true).await;
        let mut client = server.connect(false).await;
        server.settle(|_| true).await;
        assert_eq!(client.connack().await, (0, true));
    }
}

/// Else it could acknowledge what no partition has heard of yet that it was given.
#[tokio::test(start_paused = true)]
async fn it_is_open_once_all_partitions_have_taken_it_up() {
    let kv = with_session().await;
    let server = Server::start(&kv).await;
    let its = server.pipeline.partition_of(USER).no();
    let mut client = server.connect(false).await;
    server.settle(|no| no == its).await;
    assert_eq!(client.received().await.map(|packet| format!("{packet:?}")), None);
    server.settle(|_| true).await;
    assert_eq!(client.connack().await, (0, true));
}
