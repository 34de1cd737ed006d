//! What is measured, and the medians of it.

use serde::Serialize;

use super::cells::Judged;
use super::programs::Kind;
use crate::load::idle::Slope;
use crate::load::report::Report;

/// What one turn has measured.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Figures {
    pub(super) rate: Option<f64>,
    pub(super) cpu_ns: Option<f64>,
    pub(super) utilisation: Option<f64>,
    pub(super) waited: Option<f64>,
    pub(super) p50_us: Option<f64>,
    pub(super) p99_us: Option<f64>,
    pub(super) bytes_each: Option<f64>,
}

impl From<&Report> for Figures {
    fn from(report: &Report) -> Self {
        Self {
            rate: Some(report.rate),
            cpu_ns: report.cpu_ns,
            utilisation: report.utilisation,
            waited: report.waited,
            p50_us: report.latency.map(|latency| latency.p50),
            p99_us: report.latency.map(|latency| latency.p99),
            bytes_each: None,
        }
    }
}

impl From<&Slope> for Figures {
    fn from(slope: &Slope) -> Self {
        Self { bytes_each: Some(slope.bytes_each), ..Self::default() }
    }
}

/// All turns of one server in one cell.
#[derive(Clone, Debug)]
pub(super) struct Turns {
    pub(super) server: String,
    pub(super) kind: Kind,
    pub(super) rounds: Vec<Figures>,
}

/// A cell that has been played.
#[derive(Clone, Debug)]
pub(super) struct Played {
    pub(super) cell: String,
    pub(super) judged: Judged,
    pub(super) servers: Vec<Turns>,
}

impl Played {
    pub(super) fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Turns> {
        self.servers.iter().filter(move |turns| turns.kind == kind)
    }

    /// The median of the ratios of one to another within a round.
    pub(super) fn ratio(&self, one: &Turns, other: &Turns, figure: fn(&Figures) -> Option<f64>) -> Option<f64> {
        let rounds = one.rounds.iter().zip(&other.rounds);
        median(rounds.filter_map(|(one, other)| Some(figure(one)? / figure(other)?)).collect())
    }

    /// The same to the floor.
    pub(super) fn to_floor(&self, turns: &Turns, figure: fn(&Figures) -> Option<f64>) -> Option<f64> {
        self.ratio(turns, self.of_kind(Kind::Floor).next()?, figure)
    }

    /// The rate of `turns` by the mark: the floor's, or a rival's where that one was faster.
    pub(super) fn rate_to_mark(&self, turns: &Turns) -> Option<f64> {
        let floor = self.to_floor(turns, |figures| figures.rate)?;
        let rival = self.of_kind(Kind::Peer).find(|peer| Some(peer.server.as_str()) == self.judged.rival);
        let rival = rival.and_then(|rival| self.ratio(turns, rival, |figures| figures.rate));
        Some(rival.map_or(floor, |rival| rival.min(floor)))
    }

    pub(super) fn rows(&self) -> Vec<Row> {
        self.servers.iter().map(|turns| self.row(turns)).collect()
    }

    fn row(&self, turns: &Turns) -> Row {
        let median = |figure: fn(&Figures) -> Option<f64>| median(turns.rounds.iter().filter_map(figure).collect());
        let is_floor = turns.kind == Kind::Floor;
        let ratio = |figure| self.to_floor(turns, figure).filter(|_| !is_floor);
        Row {
            cell: self.cell.clone(),
            server: turns.server.clone(),
            rounds: turns.rounds.len(),
            rate: median(|turn| turn.rate),
            cpu_ns: median(|turn| turn.cpu_ns),
            utilisation: median(|turn| turn.utilisation),
            waited: median(|turn| turn.waited),
            p50_us: median(|turn| turn.p50_us),
            p99_us: median(|turn| turn.p99_us),
            bytes_each: median(|turn| turn.bytes_each),
            rate_ratio: ratio(|turn| turn.rate),
            cpu_ratio: ratio(|turn| turn.cpu_ns),
            p99_ratio: ratio(|turn| turn.p99_us),
        }
    }
}

/// The medians of one server in one cell; ratios are medians of the ratios to the floor within a round.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Row {
    pub(super) cell: String,
    pub(super) server: String,
    rounds: usize,
    /// Messages, deliveries or joins per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rate: Option<f64>,
    /// CPU time of the server for each, in nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cpu_ns: Option<f64>,
    /// Cores the server kept busy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) utilisation: Option<f64>,
    /// Cores it wanted while others had them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) waited: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) p50_us: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) p99_us: Option<f64>,
    /// Memory of one connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bytes_each: Option<f64>,
    /// More is better.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rate_ratio: Option<f64>,
    /// Less is better.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cpu_ratio: Option<f64>,
    /// Less is better.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) p99_ratio: Option<f64>,
}

pub(super) fn median(mut figures: Vec<f64>) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    match figures.len() {
        0 => None,
        len if len % 2 == 0 => Some((figures[middle - 1] + figures[middle]) / 2.0),
        _ => Some(figures[middle]),
    }
}

/// Of ratios; `None` of nothing.
pub(super) fn geometric_mean(ratios: &[f64]) -> Option<f64> {
    (!ratios.is_empty()).then(|| (ratios.iter().map(|ratio| ratio.ln()).sum::<f64>() / ratios.len() as f64).exp())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A server whose rounds had these rates, CPU times and slowest hundredths.
    pub(in crate::suite) fn turns(server: &str, kind: Kind, rounds: &[(f64, f64)]) -> Turns {
        let figures = |&(rate, cpu_ns): &(f64, f64)| Figures {
            rate: Some(rate),
            cpu_ns: Some(cpu_ns),
            p99_us: Some(cpu_ns),
            ..Figures::default()
        };
        Turns { server: server.into(), kind, rounds: rounds.iter().map(figures).collect() }
    }

    #[test]
    fn ratios_are_medians_within_rounds() {
        let floor = turns("floor", Kind::Floor, &[(100.0, 10.0), (200.0, 5.0), (50.0, 20.0)]);
        let own = turns("own", Kind::Ours, &[(90.0, 20.0), (100.0, 10.0), (50.0, 20.0)]);
        let played = Played { cell: "cell".into(), judged: Judged::default(), servers: vec![floor, own] };
        let rows = played.rows();
        assert_eq!((rows[0].rate, rows[0].rate_ratio), (Some(100.0), None));
        assert_eq!((rows[1].rate, rows[1].rate_ratio, rows[1].cpu_ratio), (Some(90.0), Some(0.9), Some(2.0)));
        assert_eq!(median(vec![4.0, 1.0]), Some(2.5));
        assert_eq!(median(Vec::new()), None);
        assert_eq!(geometric_mean(&[0.5, 2.0]), Some(1.0));
    }

    #[test]
    fn a_rival_is_the_mark_only_where_it_is_faster() {
        let floor = turns("floor", Kind::Floor, &[(100.0, 1.0)]);
        let own = turns("own", Kind::Ours, &[(96.0, 1.0)]);
        let judged = Judged { rival: Some("yawc"), ..Judged::default() };
        for (yawc, expected) in [(120.0, 0.8), (80.0, 0.96)] {
            let servers = vec![floor.clone(), own.clone(), turns("yawc", Kind::Peer, &[(yawc, 1.0)])];
            let played = Played { cell: "cell".into(), judged, servers };
            assert_eq!(played.rate_to_mark(&own), Some(expected));
        }
    }
}
