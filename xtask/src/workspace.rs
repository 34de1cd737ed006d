//! Where the project lies, and the commands it is worked with.

use std::ffi::OsStr;
use std::fmt;
use std::io::{self, BufRead as _, BufReader, PipeReader};
use std::path::PathBuf;
use std::process::Command;

use cargo_metadata::MetadataCommand;

/// The project's folder.
#[derive(Clone, Debug)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    pub(crate) target: PathBuf,
    /// Whether the output of commands is shown as it comes.
    pub(crate) aloud: bool,
}

/// A chore could not be done, in words for the person at the terminal.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<cargo_metadata::Error> for Failure {
    fn from(error: cargo_metadata::Error) -> Self {
        Self(error.to_string())
    }
}

impl Workspace {
    /// The workspace that this command was started in.
    pub(crate) fn find() -> Result<Self, Failure> {
        let metadata = MetadataCommand::new().no_deps().exec()?;
        let (root, target) = (metadata.workspace_root.into(), metadata.target_directory.into());
        Ok(Self { root, target, aloud: false })
    }

    /// The same, with the output of commands shown as it comes.
    pub(crate) fn aloud(&self) -> Self {
        Self { aloud: true, ..self.clone() }
    }

    /// `program`, in the project's folder.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root);
        command
    }

    /// The cargo that we were started by.
    pub(crate) fn cargo<I: IntoIterator<Item: AsRef<OsStr>>>(&self, arguments: I) -> Command {
        let mut command = self.command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(arguments);
        command
    }

    /// Builds a binary with the settings of tests, so that overflows and assertions are caught, and says where it is.
    pub(crate) fn build(&self, package: &str, binary: &str) -> Result<PathBuf, Failure> {
        self.run(&mut self.cargo(["build", "--quiet", "-p", package, "--bin", binary]))?;
        Ok(self.target.join("debug").join(binary))
    }

    /// Builds a binary as it is released.
    pub(crate) fn build_release(&self, package: &str, binary: &str) -> Result<PathBuf, Failure> {
        self.run(&mut self.cargo(["build", "--quiet", "--release", "-p", package, "--bin", binary]))?;
        Ok(self.target.join("release").join(binary))
    }

    /// Runs a command to its end and returns what it printed, both streams as they came.
    pub(crate) fn run(&self, command: &mut Command) -> Result<String, Failure> {
        let (succeeded, output) = self.try_run(command)?;
        match succeeded {
            true => Ok(output),
            false if self.aloud => Err(Failure(format!("failed: {}", shown(command)))),
            false => Err(Failure(format!("{}\n{output}", shown(command)))),
        }
    }

    /// The same for commands whose failing is an answer too.
    pub(crate) fn try_run(&self, command: &mut Command) -> Result<(bool, String), Failure> {
        let (reader, writer) = io::pipe()?;
        command.stdin(std::process::Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
        let child = command.spawn().map_err(|error| Failure(format!("{}: {error}", shown(command))));
        // The command holds the pipe's other end until it is given something else: reading would never end.
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        let mut child = child?;
        let output = self.read(reader)?;
        Ok((child.wait()?.success(), output))
    }

    fn read(&self, reader: PipeReader) -> Result<String, Failure> {
        let mut output = String::new();
        for line in BufReader::new(reader).split(b'\n') {
            let line = line?;
            let line = String::from_utf8_lossy(&line);
            if self.aloud {
                println!("{line}");
            }
            output.push_str(&line);
            output.push('\n');
        }
        Ok(output)
    }

    /// Folders of the project that hold npm packages, found by their committed lock files.
    pub(crate) fn npm_folders(&self) -> Result<Vec<PathBuf>, Failure> {
        let lock_files = self.files(&["*package-lock.json"])?;
        Ok(lock_files.iter().filter_map(|path| Some(path.parent()?.to_owned())).collect())
    }

    /// Files of the project that match, committed or about to be, as git sees it.
    pub(crate) fn files(&self, patterns: &[&str]) -> Result<Vec<PathBuf>, Failure> {
        let listed = ["ls-files", "--cached", "--others", "--exclude-standard", "--"];
        let (found, output) = self.try_run(self.command("git").args(listed).args(patterns))?;
        if !found {
            return Err(Failure(format!("git cannot list the project's files: {output}")));
        }
        Ok(output.lines().map(|path| self.root.join(path)).collect())
    }
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}
