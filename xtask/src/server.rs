//! A server under test: started on a port that the system chooses, ended by its handle.

use std::io::{BufRead as _, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;

use crate::workspace::Failure;

/// A running server. Ends when dropped.
pub(crate) struct Server {
    child: Child,
    /// Where it listens: `127.0.0.1:PORT`.
    pub(crate) address: String,
}

impl Server {
    /// Starts the binary and waits until it says `listening on ADDRESS`. What it complains of is shown if `aloud`:
    /// a suite makes servers complain.
    pub(crate) fn start(binary: &Path, aloud: bool) -> Result<Self, Failure> {
        let mut command = Command::new(binary);
        command
            .args(["--listen", "127.0.0.1:0"])
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        if !aloud {
            command.stderr(Stdio::null());
        }
        let mut child = command.spawn().map_err(|error| Failure(format!("{}: {error}", binary.display())))?;
        let mut lines = BufReader::new(child.stdout.take().expect("standard output is piped")).lines();
        match address(&mut lines) {
            Some(address) => {
                // Whoever goes on printing must be read, or it stops at a full pipe.
                thread::spawn(move || lines.for_each(drop));
                Ok(Self { child, address })
            }
            None => {
                let status = child.wait()?;
                Err(Failure(format!("{} ended before it listened: {status}", binary.display())))
            }
        }
    }
}

fn address(lines: &mut Lines<BufReader<ChildStdout>>) -> Option<String> {
    lines.map_while(Result::ok).find_map(|line| line.strip_prefix("listening on ").map(str::to_owned))
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_ends_without_listening_is_told() {
        for program in ["true", "echo"] {
            let failure = Server::start(Path::new(program), true).err().map(|failure| failure.to_string());
            assert!(failure.is_some_and(|text| text.contains("ended before it listened")), "{program}");
        }
        assert!(Server::start(Path::new("no-such-program"), true).is_err());
    }
}
