//! Rows as they come: a table to read, or one JSON object per line.

use std::io;

use serde::Serialize;

use super::Format;
use super::figures::{Played, Row, geometric_mean};
use super::programs::Kind;
use super::verdict::Goal;

/// Prints what has been played.
#[derive(Debug)]
pub(super) struct Table {
    bench: &'static str,
    format: Format,
}

impl Table {
    pub(super) fn begin(bench: &'static str, format: Format) -> Self {
        if format == Format::Table {
            println!(
                "\n{:<26} {:<18} {:>11} {:>9} {:>6} {:>6} {:>9} {:>9} {:>8} {:>7} {:>7} {:>7}",
                bench,
                "server",
                "per second",
                "CPU ns",
                "core",
                "wait",
                "p50 us",
                "p99 us",
                "bytes",
                "rate x",
                "CPU x",
                "p99 x"
            );
        }
        Self { bench, format }
    }

    /// Without a head.
    pub(super) fn quiet(bench: &'static str, format: Format) -> Self {
        Self { bench, format }
    }

    pub(super) fn push(&self, played: &Played) {
        for (index, row) in played.rows().iter().enumerate() {
            match self.format {
                Format::Table => print_row(row, index == 0),
                Format::Json => self.print_json(row),
                Format::Markdown => {}
            }
        }
    }

    pub(super) fn fail(&self, cell: &str, error: &io::Error) {
        match self.format {
            Format::Table => println!("{cell:<26} failed: {error}"),
            Format::Json => self.print_json(&serde_json::json!({ "cell": cell, "error": error.to_string() })),
            Format::Markdown => eprintln!("{cell} failed: {error}"),
        }
    }

    /// The geometric mean of each server over the cells that it and the floor have played.
    pub(super) fn end(&self, played: &[Played]) {
        if self.format != Format::Table {
            return;
        }
        let mut servers: Vec<&str> = Vec::new();
        for turns in played.iter().flat_map(|played| &played.servers).filter(|turns| turns.kind != Kind::Floor) {
            if !servers.contains(&turns.server.as_str()) {
                servers.push(&turns.server);
            }
        }
        for server in servers {
            let rows = || played.iter().flat_map(Played::rows).filter(|row| row.server == server);
            let mean = |figure: fn(&Row) -> Option<f64>| {
                let mean = geometric_mean(&rows().filter_map(|row| figure(&row)).collect::<Vec<_>>());
                mean.map_or(String::new(), |mean| format!("{mean:.2}"))
            };
            let count = rows().filter(|row| row.rate_ratio.is_some()).count();
            if count == 0 {
                continue;
            }
            println!(
                "{:<26} {server:<18} {:>64} {:>7} {:>7} {:>7}",
                format!("mean of {count}"),
                "",
                mean(|row| row.rate_ratio),
                mean(|row| row.cpu_ratio),
                mean(|row| row.p99_ratio)
            );
        }
    }

    /// Whether each goal is met, and all of them in a line.
    pub(super) fn judge(&self, goals: &[Goal], summary: &str) {
        if goals.is_empty() {
            return;
        }
        if self.format == Format::Markdown {
            println!("\n| goal | figure | |\n| --- | --- | --- |");
        }
        for goal in goals {
            match self.format {
                Format::Table => println!("{:<58} {:<44} {}", goal.what, goal.figure, goal.met()),
                Format::Json => self.print_json(goal),
                Format::Markdown => println!("| {} | {} | {} |", goal.what, goal.figure, goal.met()),
            }
        }
        match self.format {
            Format::Json => {}
            Format::Table | Format::Markdown => println!("\n{}: {summary}", self.bench),
        }
    }

    pub(super) fn print_json(&self, line: &impl Serialize) {
        #[derive(Serialize)]
        struct Line<'a, T> {
            bench: &'a str,
            #[serde(flatten)]
            line: &'a T,
        }
        println!("{}", serde_json::to_string(&Line { bench: self.bench, line }).unwrap_or_default());
    }
}

fn print_row(row: &Row, is_first: bool) {
    println!(
        "{:<26} {:<18} {:>11} {:>9} {:>6} {:>6} {:>9} {:>9} {:>8} {:>7} {:>7} {:>7}",
        if is_first { row.cell.as_str() } else { "" },
        row.server,
        number(row.rate, 0),
        number(row.cpu_ns, if row.cpu_ns < Some(100.0) { 1 } else { 0 }),
        number(row.utilisation, 2),
        number(row.waited, 2),
        number(row.p50_us, 1),
        number(row.p99_us, 1),
        number(row.bytes_each, 0),
        number(row.rate_ratio, 2),
        number(row.cpu_ratio, 2),
        number(row.p99_ratio, 2),
    );
}

pub(super) fn number(figure: Option<f64>, digits: usize) -> String {
    figure.map_or(String::new(), |figure| format!("{figure:.digits$}"))
}
