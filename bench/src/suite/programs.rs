//! Where the servers' programs are: beside our own, built by cargo just before.

use std::io::{self, Error};
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Builds the program `bin` of `package` as we were built ourselves, and returns where it is.
pub(super) fn build(package: &str, bin: &str) -> io::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folder = own.parent().ok_or_else(|| Error::other("our own program lies nowhere"))?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--package", package, "--bin", bin]).stdout(Stdio::null());
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    if !command.status()?.success() {
        return Err(Error::other(format!("{bin} does not build")));
    }
    Ok(folder.join(bin))
}
