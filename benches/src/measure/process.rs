//! What a process costs, from `/proc`.

use std::fs;
use std::time::Duration;

use crate::error::Error;

/// Ticks per second of the times in `/proc`: the kernel's `USER_HZ`, 100 on every Linux that runs Rust's tier 1.
const TICKS_PER_S: u64 = 100;

/// One process, by its id; `None` is the generator itself.
#[derive(Debug, Clone, Copy)]
pub struct Process(Option<u32>);

impl Process {
    /// The process with this id.
    pub fn new(pid: u32) -> Self {
        Self(Some(pid))
    }

    /// The generator.
    pub fn own() -> Self {
        Self(None)
    }

    /// User and system time of all its threads so far, to 10 ms.
    ///
    /// # Errors
    /// [`Error::Io`] if the process is gone.
    pub fn cpu(self) -> Result<Duration, Error> {
        let text = self.read("stat")?;
        // The name in parentheses may hold anything; fields are counted behind it (proc(5): utime is field 14).
        let ticks = text.rsplit_once(')').and_then(|(_, rest)| {
            let mut fields = rest.split_ascii_whitespace().skip(11);
            let user: u64 = fields.next()?.parse().ok()?;
            let system: u64 = fields.next()?.parse().ok()?;
            Some(user + system)
        });
        ticks
            .map(ticks_to_time)
            .ok_or_else(|| Error::Setting("/proc/PID/stat has no CPU times".into()))
    }

    /// Resident memory.
    ///
    /// # Errors
    /// [`Error::Io`] if the process is gone.
    pub fn resident_bytes(self) -> Result<u64, Error> {
        self.status_bytes("VmRSS")
    }

    /// The most resident memory since [`Process::forget_peak`].
    ///
    /// # Errors
    /// [`Error::Io`] if the process is gone.
    pub fn peak_bytes(self) -> Result<u64, Error> {
        self.status_bytes("VmHWM")
    }

    /// Begins to look for the peak anew.
    ///
    /// # Errors
    /// [`Error::Io`] if the process is gone.
    pub fn forget_peak(self) -> Result<(), Error> {
        // What 5 means: proc(5), clear_refs.
        let path = self.path("clear_refs");
        fs::write(&path, "5").map_err(Error::io(format!("write {path}")))
    }

    fn status_bytes(self, field: &str) -> Result<u64, Error> {
        let text = self.read("status")?;
        let kib = text
            .lines()
            .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))
            .and_then(|value| value.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        kib.map(|kib| kib * 1024)
            .ok_or_else(|| Error::Setting(format!("/proc/PID/status has no {field}")))
    }

    fn read(self, file: &str) -> Result<String, Error> {
        let path = self.path(file);
        fs::read_to_string(&path).map_err(Error::io(format!("read {path}")))
    }

    fn path(self, file: &str) -> String {
        let pid = self.0.map_or("self".to_owned(), |pid| pid.to_string());
        format!("/proc/{pid}/{file}")
    }
}

/// CPU time that all of the machine's processes have used so far.
///
/// # Errors
/// [`Error::Io`] without `/proc`.
pub fn machine_cpu() -> Result<Duration, Error> {
    let text = fs::read_to_string("/proc/stat").map_err(Error::io("read /proc/stat"))?;
    let line = text.lines().next().unwrap_or_default();
    // user nice system idle iowait irq softirq (proc(5)); idle and iowait are nobody's.
    let ticks: u64 = line
        .split_ascii_whitespace()
        .skip(1)
        .take(7)
        .enumerate()
        .filter(|(at, _)| !matches!(at, 3 | 4))
        .filter_map(|(_, field)| field.parse::<u64>().ok())
        .sum();
    Ok(ticks_to_time(ticks))
}

/// How many files this process, and the servers it starts, may open.
pub fn open_files_max() -> Option<usize> {
    let text = fs::read_to_string("/proc/self/limits").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

fn ticks_to_time(ticks: u64) -> Duration {
    Duration::from_millis(ticks * 1000 / TICKS_PER_S)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_process_has_used_something() {
        // Real work until the counter moves: bounded by the test runner only if /proc is broken.
        let start = Process::own().cpu().unwrap();
        while Process::own().cpu().unwrap() == start {
            std::hint::spin_loop();
        }
        assert!(Process::own().resident_bytes().unwrap() > 100 * 1024);
        Process::own().forget_peak().unwrap();
        assert!(Process::own().peak_bytes().unwrap() > 100 * 1024);
        assert!(machine_cpu().unwrap() > Duration::ZERO);
        assert!(open_files_max().unwrap() > 0);
    }
}
