//! The servers' programs: ours lie beside our own, built by cargo just before; the peers' package is built apart.

use std::io::{self, Error};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The servers on other crates: as they are called by their program, and whether they have smaller buffers to choose.
pub(super) const PEERS: [(&str, bool); 6] = [
    ("tungstenite", true),
    ("fastwebsockets", false),
    ("tokio-websockets", false),
    ("wtx", false),
    ("yawc", true),
    ("axum", true),
];
const PEERS_PACKAGE: &str = "wingbeat-bench-peers";

/// How to start a server.
#[derive(Clone, Debug)]
pub(super) struct Program {
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) arguments: Vec<String>,
    pub(super) kind: Kind,
}

/// What a server is to the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// What the kernel leaves possible.
    Floor,
    /// We.
    Ours,
    /// We, in another lane: told beside, not judged.
    Variant,
    /// Another crate.
    Peer,
    /// What was brought along for this run: plays wherever we do, and is not judged.
    Brought,
}

impl Program {
    pub(super) fn new(kind: Kind, name: impl Into<String>, path: PathBuf) -> Self {
        Self { name: name.into(), path, arguments: Vec::new(), kind }
    }

    /// The same under another name, with more arguments.
    pub(super) fn with(&self, name: impl Into<String>, arguments: &[&str]) -> Self {
        let more = arguments.iter().map(ToString::to_string);
        Self { name: name.into(), arguments: self.arguments.iter().cloned().chain(more).collect(), ..self.clone() }
    }
}

/// Builds the program `bin` of `package` as we were built ourselves, and returns where it is.
pub(super) fn build(package: &str, bin: &str) -> io::Result<PathBuf> {
    let folder = own_folder()?;
    let mut command = cargo();
    command.args(["build", "--quiet", "--package", package, "--bin", bin]).stdout(Stdio::null());
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    if !command.status()?.success() {
        return Err(Error::other(format!("{bin} does not build")));
    }
    Ok(folder.join(bin))
}

/// Builds the servers on other crates, always as released: nothing else would be fair.
pub(super) fn build_peers() -> io::Result<Vec<Program>> {
    let own = own_folder()?;
    let target = own.parent().ok_or_else(|| Error::other("our own program lies nowhere"))?.join("peers");
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/Cargo.toml");
    let mut command = cargo();
    command.args(["build", "--quiet", "--release", "--locked", "--manifest-path"]).arg(manifest);
    command.arg("--target-dir").arg(&target).stdout(Stdio::null());
    if !command.status()?.success() {
        return Err(Error::other("the peers do not build; --no-peers leaves them out"));
    }
    let all = Program::new(Kind::Peer, PEERS_PACKAGE, target.join("release").join(PEERS_PACKAGE));
    Ok(PEERS.map(|(name, _)| all.with(name, &["--peer", name])).into())
}

fn own_folder() -> io::Result<PathBuf> {
    let own = std::env::current_exe()?;
    Ok(own.parent().ok_or_else(|| Error::other("our own program lies nowhere"))?.to_owned())
}

fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}
