//! A server as a child process: started on its core, ended with its handle.

use std::io::{self, BufRead, BufReader, Error};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use super::{GENERATOR_CORE, SERVER_CORE};
use crate::load::target::Target;
use crate::process::pin;

/// How to start one.
#[derive(Clone, Debug)]
pub(super) struct Program {
    pub(super) name: String,
    pub(super) path: PathBuf,
}

/// One that runs. Dropped, it ends.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    address: SocketAddr,
    /// Kept open, so that it may go on printing.
    _stdout: BufReader<ChildStdout>,
}

impl Server {
    /// Starts `program` with one thread on the servers' core and waits until it listens.
    pub(super) fn start(program: &Program) -> io::Result<Self> {
        // A child inherits the core of the thread that starts it.
        pin(SERVER_CORE)?;
        let child = Self::spawn(&program.path);
        pin(GENERATOR_CORE)?;
        let mut child =
            child.map_err(|error| Error::new(error.kind(), format!("{}: {error}", program.path.display())))?;
        let Some(stdout) = child.stdout.take() else { return Err(Error::other("a child without output")) };
        let mut stdout = BufReader::new(stdout);
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        match line.trim().strip_prefix("listening on ").and_then(|address| address.parse().ok()) {
            Some(address) => Ok(Self { child, address, _stdout: stdout }),
            None => {
                child.kill()?;
                child.wait()?;
                Err(Error::other(format!("{} does not listen; it says {line:?}", program.name)))
            }
        }
    }

    fn spawn(path: &Path) -> io::Result<Child> {
        Command::new(path)
            .args(["--listen", "127.0.0.1:0"])
            .env("WINGBEAT_THREADS", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
    }

    pub(super) fn target(&self) -> Target {
        Target { address: self.address, pid: Some(self.child.id()) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only if it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
