//! A server as a child process: started on its core, ended with its handle.

use std::io::{self, BufRead, BufReader, Error};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};

use super::programs::Program;
use crate::load::target::Target;
use crate::process::{cores, pin};

/// Where servers and generator run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placement {
    /// Threads of a server; they have the first cores.
    threads: usize,
    /// The core behind them, or the last there is.
    generator: usize,
}

impl Placement {
    /// For servers of so many threads.
    pub(super) fn of(threads: usize) -> io::Result<Self> {
        let cores = cores()?;
        if cores < 2 {
            return Err(Error::other("needs two cores: one for the server, one for the generator"));
        }
        Ok(Self { threads, generator: threads.min(cores - 1) })
    }

    /// The same for servers of one thread.
    pub(super) fn with_one_thread(self) -> Self {
        Self { threads: 1, ..self }
    }

    /// Keeps this thread on the generator's core.
    pub(super) fn keep_generator(self) -> io::Result<()> {
        pin(&[self.generator])
    }

    /// Whether the generator has its core to itself.
    pub(super) fn is_apart(self) -> bool {
        self.generator >= self.threads
    }
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
    /// Starts `program` on the servers' cores and waits until it listens.
    pub(super) fn start(program: &Program, placement: Placement) -> io::Result<Self> {
        // A child inherits the cores of the thread that starts it.
        pin(&(0..placement.threads).collect::<Vec<_>>())?;
        let child = Self::spawn(program, placement.threads);
        placement.keep_generator()?;
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

    fn spawn(program: &Program, threads: usize) -> io::Result<Child> {
        Command::new(&program.path)
            .args(&program.arguments)
            .args(["--listen", "127.0.0.1:0"])
            .env("WINGBEAT_THREADS", threads.to_string())
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
