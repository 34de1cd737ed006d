//! `cargo xtask test`: everything that a change must pass, the quick things first.

use crate::report::Report;
use crate::tally::Tally;
use crate::workspace::{Failure, Workspace};
use crate::{autobahn, conformance, dependencies, fuzz, guard, install, spec};

/// One thing that is checked.
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    run: fn(&Workspace) -> Result<Tally, Failure>,
}

/// All steps in their order.
pub(crate) const STEPS: &[Step] = &[
    Step {
        name: "fmt",
        about: "the sources are formatted",
        run: |workspace| check(workspace, &["fmt", "--all", "--", "--check", "--color", "never"]),
    },
    Step {
        name: "deny",
        about: "licences, bans and sources of what we depend on, as deny.toml says",
        run: dependencies::check,
    },
    Step { name: "spec", about: "each row of the specifications has a test that bears its name", run: spec::check_all },
    Step {
        name: "install",
        about: "a browser, nginx, haproxy, Python's venv, valgrind, npm packages, Autobahn",
        run: install::all,
    },
    Step { name: "clippy", about: "no warning, all targets, all features", run: clippy },
    Step { name: "features", about: "builds without default features", run: no_features },
    Step { name: "doc", about: "the documentation builds without a warning", run: documentation },
    Step { name: "package", about: "every crate can be packaged, with what it needs and no more", run: packages },
    Step { name: "test", about: "unit and integration tests, the layering among them", run: tests },
    Step { name: "doctest", about: "the examples in the documentation", run: doc_tests },
    Step {
        name: "fuzz",
        about: "ten seconds of each fuzz target; without a nightly toolchain their seeds",
        run: |workspace| fuzz::run(workspace, 10, &[]),
    },
    Step { name: "guard", about: "the instructions that hot functions take", run: guard::check },
    Step { name: "client", about: "the browser client's types and its own tests", run: conformance::client },
    Step {
        name: "transcripts",
        about: "what a real Phoenix said, replayed",
        run: |workspace| conformance::transcripts(workspace, None, &[]),
    },
    Step { name: "phoenix", about: "the unmodified npm client", run: conformance::phoenix },
    Step { name: "peers", about: "ws, Python's websockets and Chromium, compressed", run: conformance::peers },
    Step { name: "proxies", about: "nginx and haproxy before us", run: conformance::proxies },
    Step { name: "browser", about: "the chat in a real browser", run: conformance::browser },
    Step {
        name: "autobahn",
        about: "the Autobahn suite's short set, both roles",
        run: |workspace| autobahn::Selection::default().run(workspace),
    },
];

/// Runs the steps, or those named, and says whether all passed.
pub(crate) fn run(workspace: &Workspace, only: &[String]) -> Result<bool, Failure> {
    if let Some(unknown) = only.iter().find(|name| STEPS.iter().all(|step| step.name != **name)) {
        return Err(Failure(format!("there is no step {unknown}; --list names them")));
    }
    let mut report = Report::default();
    for step in STEPS.iter().filter(|step| only.is_empty() || only.iter().any(|name| name == step.name)) {
        report.step(step.name, || (step.run)(workspace));
    }
    Ok(report.finish())
}

/// A command of cargo that is one test of its own.
fn check(workspace: &Workspace, arguments: &[&str]) -> Result<Tally, Failure> {
    workspace.run(&mut workspace.cargo(arguments)).map(|_| Tally::PASSED)
}

fn clippy(workspace: &Workspace) -> Result<Tally, Failure> {
    let arguments = ["clippy", "--workspace", "--all-targets", "--all-features", "--locked", "--", "-D", "warnings"];
    check(workspace, &arguments)
}

fn no_features(workspace: &Workspace) -> Result<Tally, Failure> {
    check(workspace, &["check", "--workspace", "--no-default-features", "--locked"])
}

fn documentation(workspace: &Workspace) -> Result<Tally, Failure> {
    let mut doc = workspace.cargo(["doc", "--workspace", "--lib", "--no-deps", "--all-features", "--locked"]);
    workspace.run(doc.env("RUSTDOCFLAGS", "-D warnings")).map(|_| Tally::PASSED)
}

/// Without building what was packaged: that takes minutes, and tells the same as building it here, but for a file that
/// was left out.
fn packages(workspace: &Workspace) -> Result<Tally, Failure> {
    check(workspace, &["package", "--workspace", "--locked", "--allow-dirty", "--no-verify"])
}

/// By nextest where it is installed, else by cargo itself.
fn tests(workspace: &Workspace) -> Result<Tally, Failure> {
    let (nextest, _) = workspace.try_run(&mut workspace.cargo(["nextest", "--version"]))?;
    let runner: &[&str] = if nextest { &["nextest", "run"] } else { &["test", "--all-targets"] };
    let arguments = ["--workspace", "--all-features", "--locked", "--no-fail-fast"];
    // Without backtraces the end of the output shows every test that failed.
    let output = workspace.run(workspace.cargo(runner).args(arguments).env("RUST_BACKTRACE", "0"))?;
    Ok(Tally::of(&output))
}

fn doc_tests(workspace: &Workspace) -> Result<Tally, Failure> {
    let output = workspace.run(&mut workspace.cargo(["test", "--workspace", "--all-features", "--locked", "--doc"]))?;
    Ok(Tally::of(&output))
}
