//! Waiting until a server has nothing more to do, so that what is measured next is not of before.

use std::time::{Duration, Instant};

use crate::error::{Deadline, Error};
use crate::generator::fleet::{Fleet, Traffic};
use crate::generator::wire::{Packet, put_puback};
use crate::measure::process::Process;
use crate::peers::Delivery;

/// How long a server may take to become quiet.
const QUIET_LIMIT: Duration = Duration::from_secs(60);
/// What quiet means: this long with hardly any CPU time.
const QUIET_TIME: Duration = Duration::from_secs(1);
/// CPU time in [`QUIET_TIME`] that still counts as quiet: one tick, which a periodic timer may take.
const QUIET_CPU: Duration = Duration::from_millis(10);

/// Returns once the server has used no CPU time for a while; serves `fleet` meanwhile, and counts what it got.
pub(crate) fn wait_until_quiet(
    server: Process,
    fleet: Option<&mut Fleet>,
    what: &str,
) -> Result<u64, Error> {
    let mut listener = Listener::default();
    match fleet {
        Some(fleet) => {
            serve_until_quiet(server, what, |left| fleet.turn(left, &mut listener))?;
        }
        None => serve_until_quiet(server, what, |left| {
            // Time itself is what is waited for here.
            std::thread::sleep(left);
            Ok(())
        })?,
    }
    Ok(listener.messages)
}

/// Calls `serve`, with the time that it may take, until the server has used no CPU time for a while.
pub(crate) fn serve_until_quiet(
    server: Process,
    what: &str,
    mut serve: impl FnMut(Duration) -> Result<(), Error>,
) -> Result<(), Error> {
    let deadline = Deadline::new(what, QUIET_LIMIT);
    loop {
        deadline.check(|| "one quiet second of the server".into())?;
        let before = server.cpu()?;
        let window = Instant::now();
        while let Some(left) =
            QUIET_TIME.checked_sub(window.elapsed()).filter(|left| !left.is_zero())
        {
            serve(left)?;
        }
        if server.cpu()? - before <= QUIET_CPU {
            return Ok(());
        }
    }
}

/// Takes what comes to connections that only listen.
#[derive(Default)]
struct Listener {
    messages: u64,
}

impl Traffic for Listener {
    fn handle_packet(
        &mut self,
        conn: usize,
        packet: &Packet<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        match *packet {
            Packet::Publish { topic, packet_id, .. }
                if Delivery::of(topic) == Delivery::Message =>
            {
                self.messages += 1;
                acknowledge(packet_id, out)
            }
            ref other => Err(Error::Wrong(format!("quiet user {conn}: {other:?}"))),
        }
    }
}

/// Appends the PUBACK of a delivery that has to be at QoS 1.
pub(crate) fn acknowledge(packet_id: u16, out: &mut Vec<u8>) -> Result<(), Error> {
    if packet_id == 0 {
        return Err(Error::Wrong("a QoS 0 delivery to a QoS 1 filter".into()));
    }
    put_puback(out, packet_id);
    Ok(())
}
