//! Holds the instructions that hot functions take against a table. Time is noisy, instructions are not.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::install;
use crate::tally::Tally;
use crate::workspace::{Failure, Workspace};

/// Name and instructions, a line each.
const TABLE: &str = "bench/guard/instructions.tsv";

/// How far from the table a count may be, in percent, either way: another compiler shifts a few.
const TOLERANCE: u64 = 5;

/// What is done, and how many instructions it takes once.
#[derive(Debug, PartialEq, Eq)]
struct Count {
    name: String,
    instructions: u64,
}

/// Counts and compares.
pub(crate) fn check(workspace: &Workspace) -> Result<Tally, Failure> {
    let counts = count(workspace)?;
    let table = parse(&fs::read_to_string(workspace.root.join(TABLE))?)?;
    let wrong = differences(&counts, &table);
    if workspace.aloud {
        counts.iter().for_each(|count| println!("{:<24}{:>8}", count.name, count.instructions));
    }
    if wrong.is_empty() {
        return Ok(Tally { passed: counts.len() as u64, failed: 0 });
    }
    let advice = format!("If it is meant to be so: cargo xtask bench guard --update, and commit {TABLE}");
    Err(Failure(format!("{}\n{advice}", wrong.join("\n"))))
}

/// Counts and writes the table.
pub(crate) fn update(workspace: &Workspace) -> Result<(), Failure> {
    let mut table = String::new();
    for Count { name, instructions } in count(workspace)? {
        let _ = writeln!(table, "{name}\t{instructions}");
    }
    Ok(fs::write(workspace.root.join(TABLE), table)?)
}

fn count(workspace: &Workspace) -> Result<Vec<Count>, Failure> {
    install::valgrind(workspace)?;
    let program = workspace.build_release("wingbeat-bench-guard", "wingbeat-bench-guard")?;
    let mut quiet = workspace.clone();
    quiet.aloud = false;
    let deeds = parse(&quiet.run(&mut workspace.command(&program))?)?;
    let one = |Count { name, instructions: times }: Count| {
        let instructions = instructions(&quiet, &program, &name)? / times.max(1);
        Ok(Count { name, instructions })
    };
    deeds.into_iter().map(one).collect()
}

/// All that are spent inside `measured` and what it calls.
fn instructions(workspace: &Workspace, program: &Path, name: &str) -> Result<u64, Failure> {
    let file = workspace.target.join("callgrind.out");
    let mut valgrind = workspace.command("valgrind");
    valgrind.args(["--quiet", "--tool=callgrind", "--collect-atstart=no", "--toggle-collect=*measured*"]);
    valgrind.arg(format!("--callgrind-out-file={}", file.display())).arg(program).arg(name);
    workspace.run(&mut valgrind)?;
    let profile = fs::read_to_string(&file)?;
    let total = profile.lines().find_map(|line| line.strip_prefix("totals:")?.trim().parse().ok());
    total.ok_or_else(|| Failure(format!("callgrind has not counted {name}")))
}

fn parse(table: &str) -> Result<Vec<Count>, Failure> {
    let line = |line: &str| {
        let (name, number) = line.split_once('\t')?;
        Some(Count { name: name.into(), instructions: number.trim().parse().ok()? })
    };
    let lines = table.lines().filter(|line| !line.trim().is_empty());
    lines.map(|text| line(text).ok_or_else(|| Failure(format!("{text:?} is not a name and a number")))).collect()
}

/// What is not as the table says, in words.
fn differences(counts: &[Count], table: &[Count]) -> Vec<String> {
    let find = |name: &str, all: &[Count]| all.iter().find(|count| count.name == name).map(|count| count.instructions);
    let mut wrong = Vec::new();
    for Count { name, instructions } in counts {
        match find(name, table) {
            Some(expected) if instructions.abs_diff(expected) * 100 <= expected * TOLERANCE => {}
            Some(expected) => wrong.push(format!("{name}: {instructions} instructions instead of {expected}")),
            None => wrong.push(format!("{name}: {instructions} instructions, and not in the table")),
        }
    }
    let gone = table.iter().filter(|row| find(&row.name, counts).is_none());
    wrong.extend(gone.map(|row| format!("{}: in the table, and not counted", row.name)));
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_twentieth_more_or_less_is_told() {
        let table = parse("read\t100\nold\t7\n").unwrap();
        let told = |instructions| differences(&[Count { name: "read".into(), instructions }], &table[..1]);
        for (instructions, is_told) in [(94, true), (95, false), (100, false), (105, false), (106, true)] {
            assert_eq!(!told(instructions).is_empty(), is_told, "{instructions}");
        }
        let counts = [Count { name: "new".into(), instructions: 1 }];
        assert_eq!(differences(&counts, &table).len(), 3);
        assert!(parse("read 100").is_err());
    }
}
