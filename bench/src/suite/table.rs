//! Medians and ratios, as a table to read or as one JSON object per line.

use serde::Serialize;

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

/// The medians of one server in one cell; ratios are medians of the ratios within a round.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Row {
    cell: String,
    server: String,
    rounds: usize,
    /// Messages, deliveries or joins per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    rate: Option<f64>,
    /// CPU time of the server for each, in nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_ns: Option<f64>,
    /// Cores the server kept busy.
    #[serde(skip_serializing_if = "Option::is_none")]
    utilisation: Option<f64>,
    /// Cores it wanted while others had them.
    #[serde(skip_serializing_if = "Option::is_none")]
    waited: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p50_us: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p99_us: Option<f64>,
    /// Memory of one connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_each: Option<f64>,
    /// Its rate by the floor's: more is better.
    #[serde(skip_serializing_if = "Option::is_none")]
    rate_ratio: Option<f64>,
    /// Its CPU time per message by the floor's: less is better.
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_ratio: Option<f64>,
}

impl Row {
    pub(super) fn new(cell: &str, server: &str, turns: &[Figures], floor: Option<&[Figures]>) -> Self {
        let median = |figure: fn(&Figures) -> Option<f64>| median(turns.iter().filter_map(figure).collect());
        let ratio = |figure: fn(&Figures) -> Option<f64>| {
            let rounds = turns.iter().zip(floor.unwrap_or_default());
            self::median(rounds.filter_map(|(own, floor)| Some(figure(own)? / figure(floor)?)).collect())
        };
        Self {
            cell: cell.into(),
            server: server.into(),
            rounds: turns.len(),
            rate: median(|turn| turn.rate),
            cpu_ns: median(|turn| turn.cpu_ns),
            utilisation: median(|turn| turn.utilisation),
            waited: median(|turn| turn.waited),
            p50_us: median(|turn| turn.p50_us),
            p99_us: median(|turn| turn.p99_us),
            bytes_each: median(|turn| turn.bytes_each),
            rate_ratio: ratio(|turn| turn.rate),
            cpu_ratio: ratio(|turn| turn.cpu_ns),
        }
    }
}

fn median(mut figures: Vec<f64>) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    match figures.len() {
        0 => None,
        len if len % 2 == 0 => Some((figures[middle - 1] + figures[middle]) / 2.0),
        _ => Some(figures[middle]),
    }
}

/// Prints rows as they come.
#[derive(Debug)]
pub(super) struct Table {
    is_json: bool,
    /// Ratios of all rows but the floor's own: server, rate, CPU.
    ratios: Vec<(String, f64, f64)>,
}

impl Table {
    pub(super) fn new(is_json: bool) -> Self {
        Self { is_json, ratios: Vec::new() }
    }

    pub(super) fn begin(&mut self, bench: &str) {
        if !self.is_json {
            println!(
                "\n{:<26} {:<12} {:>11} {:>9} {:>6} {:>6} {:>9} {:>9} {:>8} {:>7} {:>7}",
                bench, "server", "per second", "CPU ns", "core", "wait", "p50 us", "p99 us", "bytes", "rate x", "CPU x"
            );
        }
    }

    pub(super) fn push(&mut self, bench: &str, rows: &[Row]) {
        let has_floor = rows.len() > 1;
        for (index, row) in rows.iter().enumerate() {
            if self.is_json {
                println!("{}", json(bench, row));
                continue;
            }
            let ratios = row.rate_ratio.zip(row.cpu_ratio).filter(|_| index > 0 && has_floor);
            if let Some((rate, cpu)) = ratios {
                self.ratios.push((row.server.clone(), rate, cpu));
            }
            let number =
                |figure: Option<f64>, digits| figure.map_or(String::new(), |figure| format!("{figure:.digits$}"));
            println!(
                "{:<26} {:<12} {:>11} {:>9} {:>6} {:>6} {:>9} {:>9} {:>8} {:>7} {:>7}",
                if index == 0 { row.cell.as_str() } else { "" },
                row.server,
                number(row.rate, 0),
                number(row.cpu_ns, 0),
                number(row.utilisation, 2),
                number(row.waited, 2),
                number(row.p50_us, 1),
                number(row.p99_us, 1),
                number(row.bytes_each, 0),
                number(ratios.map(|(rate, _)| rate), 2),
                number(ratios.map(|(_, cpu)| cpu), 2),
            );
        }
    }

    pub(super) fn fail(&mut self, bench: &str, cell: &str, error: &std::io::Error) {
        if self.is_json {
            println!("{}", serde_json::json!({ "bench": bench, "cell": cell, "error": error.to_string() }));
        } else {
            println!("{cell:<26} failed: {error}");
        }
    }

    /// The geometric mean of each server over the cells.
    pub(super) fn end(&mut self) {
        let mut ratios = std::mem::take(&mut self.ratios);
        while let Some((server, ..)) = ratios.first().cloned() {
            let (own, others): (Vec<_>, Vec<_>) = ratios.into_iter().partition(|(name, ..)| *name == server);
            let mean = |figure: fn(&(String, f64, f64)) -> f64| {
                (own.iter().map(|row| figure(row).ln()).sum::<f64>() / own.len() as f64).exp()
            };
            println!(
                "{:<26} {server:<12} {:>64} {:>7.2} {:>7.2}",
                "geometric mean",
                "",
                mean(|row| row.1),
                mean(|row| row.2)
            );
            ratios = others;
        }
    }
}

fn json(bench: &str, row: &Row) -> String {
    #[derive(Serialize)]
    struct Line<'a> {
        bench: &'a str,
        #[serde(flatten)]
        row: &'a Row,
    }
    serde_json::to_string(&Line { bench, row }).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_medians_within_rounds() {
        let turn = |rate: f64, cpu_ns: f64| Figures { rate: Some(rate), cpu_ns: Some(cpu_ns), ..Figures::default() };
        let floor = [turn(100.0, 10.0), turn(200.0, 5.0), turn(50.0, 20.0)];
        let own = [turn(90.0, 20.0), turn(100.0, 10.0), turn(50.0, 20.0)];
        let row = Row::new("cell", "own", &own, Some(&floor));
        assert_eq!((row.rate, row.rate_ratio, row.cpu_ratio), (Some(90.0), Some(0.9), Some(2.0)));
        assert_eq!(median(vec![4.0, 1.0]), Some(2.5));
        assert_eq!(median(Vec::new()), None);
    }
}
