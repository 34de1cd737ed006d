//! The benchmarks: servers against each other, the protocol core against other crates and against its own past.

use crate::guard;
use crate::workspace::{Failure, Workspace};

/// The protocol core is measured by a package of its own, which depends on what it is compared with.
const CODEC: &str = "codec";

/// Runs the benchmark that the first of the `arguments` names, and says whether all went well.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result<bool, Failure> {
    let (name, options) = arguments.split_first().ok_or_else(|| Failure("which benchmark?".into()))?;
    match name.as_str() {
        CODEC => codec(workspace, options),
        "guard" if options == ["--update"] => guard::update(workspace).map(|()| true),
        "guard" => guard::check(&workspace.aloud()).map(|_| true),
        "all" => {
            let are_good = servers(workspace, arguments)?;
            let options: Vec<_> = options.iter().filter(|option| *option == "--json").cloned().collect();
            Ok(codec(workspace, &options)? && are_good)
        }
        _ => servers(workspace, arguments),
    }
}

fn servers(workspace: &Workspace, arguments: &[String]) -> Result<bool, Failure> {
    let cargo = ["run", "--quiet", "--release", "-p", "wingbeat-bench", "--bin", "bench", "--"];
    Ok(workspace.cargo(cargo).args(arguments).status()?.success())
}

fn codec(workspace: &Workspace, options: &[String]) -> Result<bool, Failure> {
    let cargo = ["run", "--quiet", "--release", "--locked", "--manifest-path", "bench/codec/Cargo.toml"];
    let mut command = workspace.cargo(cargo);
    command.arg("--target-dir").arg(workspace.target.join(CODEC)).arg("--").args(options);
    Ok(command.status()?.success())
}
