//! What a server costs, read from outside; and where it and the generator run.

use std::fs;
use std::io::{self, Error};
use std::time::Duration;

use rustix::process::{
    Pid, PidfdFlags, PidfdGetfdFlags, Resource, Rlimit, getrlimit, pidfd_getfd, pidfd_open, setrlimit,
};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use socket2::SockRef;

/// What the threads of a process have had of the cores so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time.
    pub ran: Duration,
    /// Time in which they could have run while others had the core; zero where the kernel does not tell.
    pub waited: Duration,
}

impl Usage {
    /// Of the threads that `pid` has now: from `schedstat` to the nanosecond, or from `stat` to 10 ms.
    pub fn of(pid: u32) -> io::Result<Self> {
        Self::of_threads(pid).or_else(|_| Ok(Self { ran: cpu_time(pid)?, waited: Duration::ZERO }))
    }

    fn of_threads(pid: u32) -> io::Result<Self> {
        let mut usage = Self::default();
        for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
            let schedstat = fs::read_to_string(thread?.path().join("schedstat"))?;
            let mut fields = schedstat.split_whitespace().map_while(|field| field.parse().ok());
            let (Some(ran), Some(waited)) = (fields.next(), fields.next()) else {
                return Err(Error::other("schedstat is not as expected"));
            };
            usage.ran += Duration::from_nanos(ran);
            usage.waited += Duration::from_nanos(waited);
        }
        if usage.ran.is_zero() { Err(Error::other("schedstat is not kept")) } else { Ok(usage) }
    }
}

fn cpu_time(pid: u32) -> io::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name may contain anything, also blanks; the fields that count stand behind its bracket.
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let mut ticks = fields.split_whitespace().skip(11).map_while(|field| field.parse::<u64>().ok());
    match (ticks.next(), ticks.next()) {
        (Some(user), Some(system)) => {
            Ok(Duration::from_secs_f64((user + system) as f64 / rustix::param::clock_ticks_per_second() as f64))
        }
        _ => Err(Error::other(format!("/proc/{pid}/stat is not as expected"))),
    }
}

/// The resident memory of `pid` in bytes: exact, which VmRSS of `status` no longer is.
pub fn resident_bytes(pid: u32) -> io::Result<u64> {
    let (file, name) = match fs::read_to_string(format!("/proc/{pid}/smaps_rollup")) {
        Ok(file) => (file, "Rss:"),
        Err(_) => (fs::read_to_string(format!("/proc/{pid}/status"))?, "VmRSS:"),
    };
    let line = file.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.map(|kib| kib * 1024).ok_or_else(|| Error::other(format!("/proc/{pid} tells no resident memory")))
}

/// The most resident memory that `pid` has had.
pub fn peak_bytes(pid: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok());
    kib.map(|kib| kib * 1024).ok_or_else(|| Error::other(format!("/proc/{pid} tells no peak of its memory")))
}

/// Gives the connections that `pid` accepts from now on send buffers of so many bytes in the kernel, whatever server it
/// is: they inherit them from its listeners.
pub fn narrow_listeners(pid: u32, send_bytes: usize) -> io::Result<()> {
    let process = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::NotFound)?;
    let process = pidfd_open(process, PidfdFlags::empty())?;
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        let Some(number) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // One that is gone meanwhile was no listener.
        let Ok(file) = pidfd_getfd(&process, number, PidfdGetfdFlags::empty()) else { continue };
        let socket = SockRef::from(&file);
        if socket.is_listener().unwrap_or(false) {
            socket.set_send_buffer_size(send_bytes)?;
        }
    }
    Ok(())
}

/// Raises the soft limit of open files to the hard one and returns it.
pub fn raise_open_files() -> io::Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
    Ok(limit.maximum.unwrap_or(u64::MAX))
}

/// Keeps this thread, and the processes it starts from now on, on `cores`; those that do not exist count for nothing.
pub fn pin(cores: &[usize]) -> io::Result<()> {
    let mut set = CpuSet::new();
    for &core in cores.iter().filter(|&&core| core < CpuSet::MAX_CPU) {
        set.set(core);
    }
    Ok(sched_setaffinity(None, &set)?)
}

/// How many cores this thread may use.
pub fn cores() -> io::Result<usize> {
    Ok(sched_getaffinity(None)?.count() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_can_be_read() {
        let own = std::process::id();
        let before = cpu_time(own).expect("a process knows its CPU time");
        while cpu_time(own).expect("and later") < before + Duration::from_millis(20) {}
        assert!(Usage::of(own).expect("and its usage").ran >= before);
        assert!(resident_bytes(own).expect("it has memory") > 100_000);
    }
}
