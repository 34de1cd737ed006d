//! Who competes in which cells, and how a cell is played.

use std::io;

use super::Suite;
use super::cells::{Cell, Outcome};
use super::programs;
use super::server::{Program, Server};
use super::table::{Figures, Row, Table};
use crate::load::target::Target;

/// What the floor is called.
const FLOOR: &str = "floor";
/// What we are called.
const OURS: &str = "wingbeat";

pub(super) struct Contest {
    name: &'static str,
    /// The floor first, if it takes part.
    programs: Vec<Program>,
    cells: Vec<Cell>,
    /// Whether every turn gets a server that has done nothing yet.
    is_fresh: bool,
}

impl Contest {
    /// Floor, echo server, and what others brought.
    pub(super) fn raw(name: &'static str, suite: &Suite, cells: Vec<Cell>) -> io::Result<Self> {
        let own = env!("CARGO_PKG_NAME");
        let mut programs = vec![
            Program { name: FLOOR.into(), path: programs::build(own, "floor")? },
            Program { name: OURS.into(), path: programs::build(own, "echo")? },
        ];
        programs.extend(suite.peers.iter().map(|peer| Program { name: peer.name.clone(), path: peer.program.clone() }));
        Ok(Self { name, programs, cells, is_fresh: false })
    }

    /// Floor and reference app.
    pub(super) fn channels(name: &'static str, suite: &Suite, cells: Vec<Cell>) -> io::Result<Self> {
        let app = match &suite.app {
            Some(app) => app.clone(),
            None => programs::build("wingbeat-conformance", "reference-app")?,
        };
        let mut programs = vec![Program { name: OURS.into(), path: app }];
        if cells.iter().any(|cell| cell.floor.is_some()) {
            let floor = programs::build(env!("CARGO_PKG_NAME"), "floor")?;
            programs.insert(0, Program { name: FLOOR.into(), path: floor });
        }
        Ok(Self { name, programs, cells, is_fresh: false })
    }

    pub(super) fn with_fresh_servers(self) -> Self {
        Self { is_fresh: true, ..self }
    }

    /// Plays the cells that are asked for. False if one of them failed.
    pub(super) fn run(&self, suite: &Suite, table: &mut Table) -> io::Result<bool> {
        let servers: Vec<_> = match self.is_fresh {
            true => self.programs.iter().map(|_| None).collect(),
            false => self.programs.iter().map(|program| Server::start(program).map(Some)).collect::<io::Result<_>>()?,
        };
        let mut is_good = true;
        table.begin(self.name);
        for cell in self.cells.iter().filter(|cell| cell.name.contains(&suite.only)) {
            match self.play(cell, suite.rounds, &servers) {
                Ok(rows) => table.push(self.name, &rows),
                Err(error) => {
                    is_good = false;
                    table.fail(self.name, &cell.name, &error);
                }
            }
        }
        table.end();
        Ok(is_good)
    }

    fn play(&self, cell: &Cell, rounds: usize, servers: &[Option<Server>]) -> io::Result<Vec<Row>> {
        let names: Vec<_> = self.programs.iter().map(|program| program.name.as_str()).collect();
        let mut figures: Vec<Vec<Figures>> = names.iter().map(|_| Vec::new()).collect();
        for _ in 0..rounds {
            for (index, name) in names.iter().enumerate() {
                let turn = match (&cell.floor, *name) {
                    (Some(floor), FLOOR) => floor,
                    (None, FLOOR) => continue,
                    _ => &cell.others,
                };
                let named = |error: io::Error| io::Error::new(error.kind(), format!("{name}: {error}"));
                let outcome = self.target(index, servers).and_then(|(target, _fresh)| turn(&target)).map_err(named)?;
                figures[index].push(match outcome {
                    Outcome::Load(report) => Figures::from(&report),
                    Outcome::Memory(slope) => Figures { bytes_each: Some(slope.bytes_each), ..Figures::default() },
                });
            }
        }
        let floor = names.iter().position(|&name| name == FLOOR).map(|index| figures[index].clone());
        let rows = names.iter().zip(&figures).filter(|(_, figures)| !figures.is_empty());
        Ok(rows.map(|(name, figures)| Row::new(&cell.name, name, figures, floor.as_deref())).collect())
    }

    /// Whom to load in a turn, and the server to end after it.
    fn target(&self, index: usize, servers: &[Option<Server>]) -> io::Result<(Target, Option<Server>)> {
        if let Some(server) = &servers[index] {
            return Ok((server.target(), None));
        }
        let server = Server::start(&self.programs[index])?;
        Ok((server.target(), Some(server)))
    }
}
