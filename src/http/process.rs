//! What the system knows of this process. Only what is in its own folder of /proc: a hardened
//! service sees no more.

/// Of this process.
pub(super) struct Figures {
    pub(super) cpu_s: f64,
    pub(super) resident_bytes: u64,
    pub(super) virtual_bytes: u64,
    pub(super) fds: u64,
    pub(super) fds_max: u64,
    pub(super) threads: u64,
}

/// `None`: the system does not tell.
#[cfg(target_os = "linux")]
pub(super) fn figures() -> Option<Figures> {
    let read = || -> procfs::ProcResult<Figures> {
        let process = procfs::process::Process::myself()?;
        let stat = process.stat()?;
        let fds_max = match process.limits()?.max_open_files.soft_limit {
            procfs::process::LimitValue::Value(max) => max,
            procfs::process::LimitValue::Unlimited => u64::MAX,
        };
        Ok(Figures {
            cpu_s: (stat.utime + stat.stime) as f64 / procfs::ticks_per_second() as f64,
            resident_bytes: stat.rss.saturating_mul(procfs::page_size()),
            virtual_bytes: stat.vsize,
            fds: process.fd_count()? as u64,
            fds_max,
            threads: u64::try_from(stat.num_threads).unwrap_or(0),
        })
    };
    match read() {
        Ok(figures) => Some(figures),
        Err(error) => {
            tracing::debug!(%error, "/proc tells nothing of this process");
            None
        }
    }
}

/// `None`: the system does not tell.
#[cfg(not(target_os = "linux"))]
pub(super) fn figures() -> Option<Figures> {
    None
}
