//! Who competes in which cells, and how a cell is played.

use std::io;

use super::cells::{Cell, Outcome, Peers};
use super::figures::{Figures, Played, Turns};
use super::programs::{self, Kind, PEERS, Program};
use super::server::{Placement, Server};
use super::table::Table;
use super::verdict::{self, Goal};
use super::{Format, Suite, markdown};
use crate::load::idle::Lane;
use crate::load::target::Target;

/// What the floor is called.
const FLOOR: &str = "floor";
/// What we are called.
const OURS: &str = "wingbeat";
/// How a peer with small buffers is told from itself.
const LEAN: &str = "lean";

pub(super) struct Contest {
    name: &'static str,
    /// The floor first, if it takes part.
    programs: Vec<Program>,
    cells: Vec<Cell>,
    /// Whether every turn gets a server that has done nothing yet.
    is_fresh: bool,
    judge: fn(&[Played]) -> Vec<Goal>,
}

impl Contest {
    /// Floor, echo server, and what others brought.
    pub(super) fn raw(name: &'static str, suite: &Suite, cells: Vec<Cell>) -> io::Result<Self> {
        let own = env!("CARGO_PKG_NAME");
        let mut programs = vec![
            Program::new(Kind::Floor, FLOOR, programs::build(own, "floor")?),
            Program::new(Kind::Ours, OURS, programs::build(own, "echo")?),
        ];
        if suite.peers != Peers::Nowhere {
            programs.extend(programs::build_peers()?);
        }
        let others = suite.others.iter();
        programs.extend(others.map(|other| Program {
            arguments: other.arguments.clone(),
            ..Program::new(Kind::Brought, other.name.clone(), other.program.clone())
        }));
        Ok(Self { name, programs, cells, is_fresh: false, judge: |_| Vec::new() })
    }

    /// Floor and reference app.
    pub(super) fn channels(name: &'static str, suite: &Suite, cells: Vec<Cell>) -> io::Result<Self> {
        let app = match &suite.app {
            Some(app) => app.clone(),
            None => programs::build("wingbeat-conformance", "reference-app")?,
        };
        let mut programs = vec![Program::new(Kind::Ours, OURS, app)];
        if cells.iter().any(Cell::has_floor) {
            let floor = programs::build(env!("CARGO_PKG_NAME"), "floor")?;
            programs.insert(0, Program::new(Kind::Floor, FLOOR, floor));
        }
        Ok(Self { name, programs, cells, is_fresh: false, judge: |_| Vec::new() })
    }

    pub(super) fn with_fresh_servers(self) -> Self {
        Self { is_fresh: true, ..self }
    }

    /// Peers that have buffers to choose play twice: as they are used for speed, and with small ones.
    pub(super) fn with_lean_peers(mut self) -> Self {
        let has_buffers = |program: &Program| PEERS.contains(&(program.name.as_str(), true));
        let lean = |program: &Program| program.with(format!("{}, {LEAN}", program.name), &["--lean"]);
        let more: Vec<_> = self.programs.iter().filter(|program| has_buffers(program)).map(lean).collect();
        self.programs.extend(more);
        self
    }

    /// Our echo server once more for each of the lanes, which have cells of their own.
    pub(super) fn with_lanes(mut self, lanes: &[(&str, &[&str], Lane)]) -> Self {
        if let Some(ours) = self.programs.iter().find(|program| program.kind == Kind::Ours).cloned() {
            let lane = |(name, arguments, _): &(&str, &[&str], Lane)| Program {
                kind: Kind::Variant,
                ..ours.with(*name, arguments)
            };
            self.programs.extend(lanes.iter().map(lane));
        }
        self
    }

    pub(super) fn judged_by(self, judge: fn(&[Played]) -> Vec<Goal>) -> Self {
        Self { judge, ..self }
    }

    /// Plays the cells that are asked for. False if one of them failed.
    pub(super) fn run(&self, suite: &Suite, placement: Placement) -> io::Result<bool> {
        let start = |program: &Program| Server::start(program, placement).map(Some);
        let servers: Vec<_> = match self.is_fresh {
            true => self.programs.iter().map(|_| None).collect(),
            false => self.programs.iter().map(start).collect::<io::Result<_>>()?,
        };
        let mut is_good = true;
        let table = Table::begin(self.name, suite.format);
        let mut played = Vec::new();
        for cell in self.cells.iter().filter(|cell| cell.name.contains(&suite.only)) {
            match self.play(cell, suite, placement, &servers) {
                Ok(cell) => {
                    table.push(&cell);
                    played.push(cell);
                }
                Err(error) => {
                    is_good = false;
                    table.fail(&cell.name, &error);
                }
            }
        }
        if suite.format == Format::Markdown {
            markdown::print(&played);
        }
        table.end(&played);
        let goals = (self.judge)(&played);
        table.judge(&goals, &verdict::summary(&goals));
        Ok(is_good)
    }

    fn play(&self, cell: &Cell, suite: &Suite, placement: Placement, servers: &[Option<Server>]) -> io::Result<Played> {
        let turns = |program: &Program| {
            let server = if program.kind == Kind::Variant { OURS } else { &program.name };
            Turns { server: server.into(), kind: program.kind, rounds: Vec::new() }
        };
        let mut played: Vec<_> = self.programs.iter().map(turns).collect();
        for _ in 0..suite.rounds {
            for (index, program) in self.programs.iter().enumerate() {
                let Some(turn) = cell.turn(program, suite.peers) else { continue };
                let named = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", program.name));
                let target = self.target(index, placement, servers);
                let outcome = target.and_then(|(target, _fresh)| turn(&target)).map_err(named)?;
                played[index].rounds.push(match outcome {
                    Outcome::Load(report) => Figures::from(&report),
                    Outcome::Memory(slope) => Figures::from(&slope),
                });
            }
        }
        played.retain(|turns| !turns.rounds.is_empty());
        Ok(Played { cell: cell.name.clone(), judged: cell.judged, servers: played })
    }

    /// Whom to load in a turn, and the server to end after it.
    fn target(
        &self,
        index: usize,
        placement: Placement,
        servers: &[Option<Server>],
    ) -> io::Result<(Target, Option<Server>)> {
        if let Some(server) = &servers[index] {
            return Ok((server.target(), None));
        }
        let server = Server::start(&self.programs[index], placement)?;
        Ok((server.target(), Some(server)))
    }
}
