//! A client that sends more than the host can take.

use std::time::Duration;

use bluetick_broker::host::HostEvent;
use bluetick_broker::packet::Reason;
use bluetick_broker::{Broker, Limits};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use crate::host::{Anybody, dial};

/// MQTT has no window for QoS 0: what the host has not answered holds up the client.
#[tokio::test(start_paused = true)]
async fn what_comes_at_qos_0_waits_for_the_host() {
    const MANY: usize = 20_000;
    let host = Anybody::default();
    let published = host.published.clone();
    let broker = Broker::new(host, Limits::default());
    let mut client = dial(&broker);
    client.write_all(b"\x10\x0C\x00\x04MQTT\x04\x02\x00\x00\x00\x00").await.expect("taken");
    let flood = b"\x30\x09\x00\x06host/xa".repeat(MANY);
    let mut write = tokio::spawn(async move { client.write_all(&flood).await.map(|()| client) });
    let mut all = 0;
    while all < MANY {
        let waits = timeout(Duration::from_secs(60), &mut write).await.is_err();
        let asked = std::mem::take(&mut *published.lock().expect("no panic"));
        // The window of 100, and what one read brings at most through this wire of 4 KiB.
        assert!((1..=100 + 4096 / 11 + 1).contains(&asked.len()), "{} at once", asked.len());
        all += asked.len();
        assert!(waits || all + 1000 > MANY, "it is not held up");
        for (line, token) in asked {
            let (reason, properties, notice) = (Reason::SUCCESS, None, None);
            line.host(HostEvent::Published { token, reason, properties, notice });
        }
        if !waits {
            break;
        }
    }
}
