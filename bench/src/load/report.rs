//! What a run has measured.

use std::fmt;
use std::io;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::process::Usage;

/// The outcome of a run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Messages that came back, deliveries in a fan-out, joins in a storm.
    pub messages: u64,
    /// The length of the run.
    pub seconds: f64,
    /// Messages per second.
    pub rate: f64,
    /// CPU time of the server per message in nanoseconds, if its process is known.
    pub cpu_ns: Option<f64>,
    /// Cores that the server kept busy: at one thread it must be near 1, or the generator is what was measured.
    pub utilisation: Option<f64>,
    /// Cores that the server wanted but others had: more than a little, and the machine was not ours alone.
    pub waited: Option<f64>,
    /// How long messages took, if that was watched.
    pub latency: Option<Latency>,
}

/// Percentiles in microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Latency {
    /// Half were faster.
    pub p50: f64,
    /// Nine of ten were faster.
    pub p90: f64,
    /// 99 of 100 were faster.
    pub p99: f64,
    /// 999 of 1,000 were faster.
    pub p999: f64,
    /// The slowest.
    pub max: f64,
}

impl From<&Histogram<u64>> for Latency {
    /// From nanoseconds.
    fn from(histogram: &Histogram<u64>) -> Self {
        let micros = |quantile| histogram.value_at_quantile(quantile) as f64 / 1000.0;
        Self { p50: micros(0.5), p90: micros(0.9), p99: micros(0.99), p999: micros(0.999), max: micros(1.0) }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} messages in {:.2} s, {:.0} a second", self.messages, self.seconds, self.rate)?;
        if let (Some(cpu_ns), Some(utilisation)) = (self.cpu_ns, self.utilisation) {
            write!(f, "; server: {cpu_ns:.0} ns CPU each, {:.0} % of a core", utilisation * 100.0)?;
        }
        if let Some(waited) = self.waited.filter(|&waited| waited > 0.02) {
            write!(f, ", kept from it for {:.0} %", waited * 100.0)?;
        }
        if let Some(Latency { p50, p90, p99, p999, max }) = self.latency {
            write!(f, "; latency in us: p50 {p50:.1}, p90 {p90:.1}, p99 {p99:.1}, p99.9 {p999:.1}, max {max:.1}")?;
        }
        Ok(())
    }
}

/// Started at the beginning of what is measured.
#[derive(Debug)]
pub struct Meter {
    pid: Option<u32>,
    usage: Usage,
    since: Instant,
    messages: u64,
}

impl Meter {
    /// Starts, when `messages` have already been counted.
    pub fn start(pid: Option<u32>, messages: u64) -> io::Result<Self> {
        let usage = pid.map_or(Ok(Usage::default()), Usage::of)?;
        Ok(Self { pid, usage, since: Instant::now(), messages })
    }

    /// When it was started.
    pub fn since(&self) -> Instant {
        self.since
    }

    /// Ends, when `messages` have been counted.
    pub fn stop(self, messages: u64, latency: &Histogram<u64>) -> io::Result<Report> {
        let seconds = self.since.elapsed().as_secs_f64();
        let messages = messages - self.messages;
        let usage = self.pid.map(Usage::of).transpose()?;
        let since = |now: Duration, then: Duration| now.saturating_sub(then).as_secs_f64();
        let cpu = usage.map(|usage| since(usage.ran, self.usage.ran));
        Ok(Report {
            messages,
            seconds,
            rate: messages as f64 / seconds,
            cpu_ns: cpu.map(|cpu| cpu * 1e9 / messages.max(1) as f64),
            utilisation: cpu.map(|cpu| cpu / seconds),
            waited: usage.map(|usage| since(usage.waited, self.usage.waited) / seconds),
            latency: (!latency.is_empty()).then(|| latency.into()),
        })
    }
}

/// A histogram of nanoseconds with three digits, up to a minute.
pub fn histogram() -> Histogram<u64> {
    // The bounds are constants, so it cannot fail; growing by itself is the second best.
    Histogram::new_with_bounds(1, 60_000_000_000, 3).or_else(|_| Histogram::new(3)).unwrap_or_else(|_| unreachable!())
}
