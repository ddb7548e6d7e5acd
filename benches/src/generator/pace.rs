//! Coalescing: how long the generator lets packets gather before it looks again.
//!
//! A server that answers packet by packet would make the generator pay three system calls for each. As a
//! network card does with interrupts, it waits a little while the sockets hold little: few packets per ready
//! socket mean that the rest of each window is still in the server's hands, which therefore never waits
//! for the generator. A server that answers in bursts is never paused for.

use std::time::Duration;

/// Packets per ready socket below which the pause grows: under a twelfth of the smallest window paced, 100.
const FEW: usize = 6;
/// Packets per ready socket above which the pause shrinks.
const MANY: usize = 12;
/// The shortest pause above none: about what a timer can do.
const PAUSE_MIN: Duration = Duration::from_micros(20);
/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_millis(4);

/// The pause before the next turn.
#[derive(Debug, Default)]
pub struct Pace {
    pause: Duration,
}

impl Pace {
    /// Learns from one turn: how many packets came on how many ready sockets.
    pub fn handle_turn(&mut self, packets: usize, sockets: usize) {
        if packets < FEW * sockets {
            self.pause = (self.pause * 2).clamp(PAUSE_MIN, PAUSE_MAX);
        } else if packets > MANY * sockets {
            self.pause /= 2;
            if self.pause < PAUSE_MIN {
                self.pause = Duration::ZERO;
            }
        }
    }

    /// How long to let packets gather.
    pub fn pause(&self) -> Duration {
        self.pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trickles_are_gathered_and_bursts_are_not_waited_for() {
        let mut pace = Pace::default();
        for _ in 0..20 {
            pace.handle_turn(2, 2);
        }
        assert_eq!(pace.pause(), PAUSE_MAX);
        for _ in 0..20 {
            pace.handle_turn(100, 2);
        }
        assert_eq!(pace.pause(), Duration::ZERO);
        pace.handle_turn(50, 1);
        assert_eq!(pace.pause(), Duration::ZERO);
    }
}
