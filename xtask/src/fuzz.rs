//! `cargo xtask fuzz`: each target of `fuzz/` for a while, several at once. Where there is no nightly toolchain, which
//! the fuzzer wants, the bodies of the targets run over their seeds instead.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::thread;

use crate::tally::Tally;
use crate::workspace::{Failure, Workspace};

/// Longest input, in bytes: all that matters happens to short ones.
const MAX_LEN: usize = 4096;
/// One input may take as long, in seconds, and a target as much memory, in MiB.
const TIMEOUT_SECONDS: u32 = 10;
const MAX_MIB: u32 = 2048;

/// Runs the targets named, or all, for `seconds` each. A target without a finding has passed.
pub(crate) fn run(workspace: &Workspace, seconds: u64, only: &[String]) -> Result<Tally, Failure> {
    let folder = workspace.root.join("fuzz");
    let cargo = |arguments: &[&str]| {
        let mut command = workspace.cargo(arguments);
        command.current_dir(&folder);
        command
    };
    workspace.run(&mut cargo(&["fmt", "--check"]))?;
    if !workspace.try_run(&mut nightly(workspace, &["--version"])).is_ok_and(|(found, _)| found) {
        println!("there is no nightly toolchain, which the fuzzer wants: only the seeds are run");
        return Ok(Tally::of(&workspace.run(&mut cargo(&["test", "--locked"]))?));
    }
    if !workspace.try_run(&mut nightly(workspace, &["fuzz", "--version"]))?.0 {
        workspace.run(&mut workspace.cargo(["install", "--locked", "cargo-fuzz"]))?;
    }
    let mut targets = targets(workspace)?;
    if let Some(unknown) = only.iter().find(|name| !targets.contains(name)) {
        return Err(Failure(format!("there is no target {unknown}, only {}", targets.join(", "))));
    }
    targets.retain(|target| only.is_empty() || only.contains(target));
    workspace.run(nightly(workspace, &["fuzz", "build"]).current_dir(&folder))?;
    all_targets(workspace, &targets, seconds)
}

/// One worker for each core, which takes the next target when it is done with one.
fn all_targets(workspace: &Workspace, targets: &[String], seconds: u64) -> Result<Tally, Failure> {
    let waiting = Mutex::new(targets.iter());
    let findings = Mutex::new(Vec::new());
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..cores.min(targets.len()) {
            scope.spawn(|| {
                while let Some(target) = next(&waiting) {
                    if let Err(finding) = one_target(workspace, target, seconds) {
                        findings.lock().expect("no panic").push(finding);
                    }
                }
            });
        }
    });
    let findings = findings.into_inner().expect("no panic");
    if findings.is_empty() {
        return Ok(Tally { passed: targets.len() as u64, failed: 0 });
    }
    let shown: Vec<String> = findings.iter().map(Failure::to_string).collect();
    let (passed, failed) = (targets.len() - findings.len(), findings.len());
    Err(Failure(format!("{}\n{passed} passed, {failed} failed", shown.join("\n"))))
}

fn next<'t>(waiting: &Mutex<impl Iterator<Item = &'t String>>) -> Option<&'t String> {
    waiting.lock().expect("no panic").next()
}

fn one_target(workspace: &Workspace, target: &str, seconds: u64) -> Result<(), Failure> {
    let folder = workspace.root.join("fuzz");
    // What the fuzzer finds interesting is kept from run to run, beside the seeds and not among them.
    let corpus = PathBuf::from("corpus").join(target);
    fs::create_dir_all(folder.join(&corpus))?;
    let mut fuzz = nightly(workspace, &["fuzz", "run", target]);
    fuzz.current_dir(&folder).arg(corpus).arg(PathBuf::from("seeds").join(target)).arg("--").args([
        format!("-max_total_time={seconds}"),
        format!("-max_len={MAX_LEN}"),
        format!("-timeout={TIMEOUT_SECONDS}"),
        format!("-rss_limit_mb={MAX_MIB}"),
        "-print_final_stats=0".to_owned(),
    ]);
    let output = Workspace { aloud: false, ..workspace.clone() }.run(&mut fuzz)?;
    if workspace.aloud {
        let done = output.lines().rev().find(|line| line.starts_with("Done ")).unwrap_or_default();
        println!("{target:<14} {done}");
    }
    Ok(())
}

/// The names of the targets, in order.
fn targets(workspace: &Workspace) -> Result<Vec<String>, Failure> {
    let files = workspace.files(&["fuzz/fuzz_targets/*.rs"])?;
    let mut names: Vec<String> = files.iter().filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    Ok(names)
}

/// Cargo of the nightly toolchain.
fn nightly(workspace: &Workspace, arguments: &[&str]) -> Command {
    let mut command = workspace.command("rustup");
    command.args(["run", "nightly", "cargo"]).args(arguments);
    command
}
