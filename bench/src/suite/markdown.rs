//! All cells of a bench as one table to paste: a row for each cell, a column for each server.

use super::figures::{Played, Row};
use super::programs::Kind;
use super::table::number;

/// Prints the table.
pub(super) fn print(played: &[Played]) {
    let peers = [names(played, Kind::Brought), names(played, Kind::Peer)].concat();
    if played.iter().flat_map(Played::rows).any(|row| row.bytes_each.is_some()) {
        print_memory(played);
        return;
    }
    print_line(
        ["cell", "floor per second", "CPU ns", "ours: rate", "CPU", "p99", "core"]
            .into_iter()
            .map(String::from)
            .chain(peers.iter().cloned()),
    );
    print_line((0..7 + peers.len()).map(|_| "---".into()));
    for played in played {
        let rows = played.rows();
        let of = |kind: Kind| played.of_kind(kind).next().and_then(|turns| row(&rows, &turns.server));
        let (floor, ours) = (of(Kind::Floor), of(Kind::Ours));
        let mut columns = vec![
            played.cell.clone(),
            number(floor.and_then(|row| row.rate), 0),
            number(floor.and_then(|row| row.cpu_ns), 0),
            number(ours.and_then(|row| row.rate_ratio), 2),
            number(ours.and_then(|row| row.cpu_ratio), 2),
            number(ours.and_then(|row| row.p99_ratio), 2),
            number(ours.and_then(|row| row.utilisation), 2),
        ];
        columns.extend(peers.iter().map(|peer| number(row(&rows, peer).and_then(|row| row.rate_ratio), 2)));
        print_line(columns);
    }
}

fn print_memory(played: &[Played]) {
    print_line(["server", "cell", "bytes each"].map(String::from));
    print_line(["---", "---", "---"].map(String::from));
    for row in played.iter().flat_map(Played::rows) {
        print_line([row.server, row.cell, number(row.bytes_each, 0)]);
    }
}

fn names(played: &[Played], kind: Kind) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for turns in played.iter().flat_map(|played| played.of_kind(kind)) {
        if !names.contains(&turns.server) {
            names.push(turns.server.clone());
        }
    }
    names
}

fn row<'a>(rows: &'a [Row], server: &str) -> Option<&'a Row> {
    rows.iter().find(|row| row.server == server)
}

fn print_line(columns: impl IntoIterator<Item = String>) {
    println!("| {} |", columns.into_iter().collect::<Vec<_>>().join(" | "));
}
