//! What the tests need and a fresh machine may lack: a browser, Python's venv, npm packages.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::tally::Tally;
use crate::workspace::{Failure, Workspace};

/// Installs what is missing.
pub(crate) fn all(workspace: &Workspace) -> Result<Tally, Failure> {
    system_packages(workspace)?;
    for folder in workspace.npm_folders()? {
        npm_packages(workspace, &folder)?;
    }
    proxies(workspace)?;
    autobahn(workspace)?;
    python_peer(workspace)?;
    Ok(Tally::PASSED)
}

fn system_packages(workspace: &Workspace) -> Result<(), Failure> {
    let missing: Vec<&str> = [
        ("chromium", answers("chromium", &["--version"])),
        ("python3-venv", answers("python3", &["-c", "import ensurepip, venv"])),
        ("nodejs", answers("node", &["--version"])),
        ("npm", answers("npm", &["--version"])),
        ("valgrind", answers("valgrind", &["--version"])),
    ]
    .into_iter()
    .filter_map(|(package, there)| (!there).then_some(package))
    .collect();
    apt_packages(workspace, &missing)
}

/// nginx with its module for streams, and haproxy. Neither is wanted as a service of this machine.
pub(crate) fn proxies(workspace: &Workspace) -> Result<(), Failure> {
    let missing: Vec<&str> = [
        ("nginx-light", answers("nginx", &["-v"])),
        ("libnginx-mod-stream", Path::new("/usr/lib/nginx/modules/ngx_stream_module.so").exists()),
        ("haproxy", answers("haproxy", &["-v"])),
    ]
    .into_iter()
    .filter_map(|(package, there)| (!there).then_some(package))
    .collect();
    apt_packages(workspace, &missing)
}

/// What counts instructions.
pub(crate) fn valgrind(workspace: &Workspace) -> Result<(), Failure> {
    if answers("valgrind", &["--version"]) { Ok(()) } else { apt_packages(workspace, &["valgrind"]) }
}

fn apt_packages(workspace: &Workspace, missing: &[&str]) -> Result<(), Failure> {
    if missing.is_empty() {
        return Ok(());
    }
    let help = |_| Failure(format!("please install {}: the tests need it", missing.join(", ")));
    let apt = || {
        let mut command = workspace.command("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command
    };
    workspace.run(apt().args(["update", "-q"])).map_err(help)?;
    workspace.run(apt().args(["install", "-q", "-y", "--no-install-recommends"]).args(missing))?;
    Ok(())
}

/// Whether the program is there and content with the arguments.
fn answers(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// npm leaves a copy of the lock file behind; while that is the newer, all is as the lock file says.
pub(crate) fn npm_packages(workspace: &Workspace, folder: &Path) -> Result<(), Failure> {
    let changed = |path: &str| folder.join(path).metadata().and_then(|file| file.modified()).ok();
    if changed("node_modules/.package-lock.json") > changed("package-lock.json") {
        return Ok(());
    }
    let npm = ["ci", "--no-audit", "--no-fund", "--ignore-scripts"];
    workspace.run(workspace.command("npm").args(npm).current_dir(folder)).map(drop)
}

/// The suite in its own Python, beside its scripts.
pub(crate) fn autobahn(workspace: &Workspace) -> Result<(), Failure> {
    let folder = workspace.root.join("conformance/autobahn");
    let changed = |path: &str| folder.join(path).metadata().and_then(|file| file.modified()).ok();
    // Written last by `setup.sh`.
    let built = changed(".venv/site/autobahntestsuite/__main__.py");
    if ["setup.sh", "port.py", "sdists.sha256"].into_iter().all(|source| built > changed(source)) {
        return Ok(());
    }
    workspace.run(&mut workspace.command(folder.join("setup.sh"))).map(drop)
}

/// Python's websockets in its own Python, beside its tests.
pub(crate) fn python_peer(workspace: &Workspace) -> Result<(), Failure> {
    let folder = workspace.root.join("conformance/peers");
    let changed = |path: &str| folder.join(path).metadata().and_then(|file| file.modified()).ok();
    // Written last by `setup.sh`.
    let built = changed(".venv/done");
    if ["setup.sh", "requirements.txt"].into_iter().all(|source| built > changed(source)) {
        return Ok(());
    }
    workspace.run(&mut workspace.command(folder.join("setup.sh"))).map(drop)
}
