//! The Autobahn test suite, against our echo server and with our echo client.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;

use clap::{Args, ValueEnum};

use crate::conformance::{PACKAGE, REFERENCE_APP};
use crate::install;
use crate::server::Server;
use crate::tally::Tally;
use crate::workspace::{Failure, Workspace};

/// What is run of the suite.
#[derive(Args, Clone, Default)]
pub(crate) struct Selection {
    /// Only this role of ours. Default: both.
    #[arg(long)]
    role: Option<Role>,
    /// Every case: large messages and compression of large messages too, which take minutes.
    #[arg(long, conflicts_with = "cases")]
    all: bool,
    /// The server role, of this server (ws://HOST:PORT/PATH) instead of our echo.
    #[arg(long, conflicts_with = "role")]
    url: Option<String>,
    /// Only these cases, as globs.
    cases: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    Client,
    Server,
}

/// Framing, control frames, fragments, UTF-8, closing. Section 9 is performance: large messages.
const SHORT_SECTIONS: &[&str] = &["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"];

/// Compression, by parameters and by what is sent.
const DEFLATE_SECTIONS: &[&str] =
    &["12.1", "12.2", "12.3", "12.4", "12.5", "13.1", "13.2", "13.3", "13.4", "13.5", "13.6", "13.7"];

/// Of each of those, messages of up to 16 KiB.
const SMALL_MESSAGES: &[u8] = &[1, 2, 3, 4, 5, 6, 7, 11, 12];

impl Selection {
    fn cases(&self) -> Vec<String> {
        if self.all {
            return Vec::new();
        }
        if !self.cases.is_empty() {
            return self.cases.clone();
        }
        let deflate = DEFLATE_SECTIONS
            .iter()
            .flat_map(|section| SMALL_MESSAGES.iter().map(move |message| format!("{section}.{message}")));
        SHORT_SECTIONS.iter().map(ToString::to_string).chain(deflate).collect()
    }

    fn has(&self, role: Role) -> bool {
        match self.role {
            Some(only) => only == role,
            None => role == Role::Server || self.url.is_none(),
        }
    }

    /// Runs the roles, all of them whatever the first one's result.
    pub(crate) fn run(&self, workspace: &Workspace) -> Result<Tally, Failure> {
        install::autobahn(workspace)?;
        let mut tally = Tally::default();
        let mut failed = Vec::new();
        let mut count = |(succeeded, output): (bool, String)| {
            tally += Tally::of_autobahn(&output);
            if !succeeded {
                failed.push(output);
            }
        };
        if self.has(Role::Server) {
            count(self.server(workspace)?);
        }
        if self.has(Role::Client) {
            count(self.client(workspace)?);
        }
        if failed.is_empty() { Ok(tally) } else { Err(Failure(failed.join("\n"))) }
    }

    /// Thousands of large messages want an optimised build.
    fn build(&self, workspace: &Workspace, binary: &str) -> Result<PathBuf, Failure> {
        if self.all { workspace.build_release(PACKAGE, binary) } else { workspace.build(PACKAGE, binary) }
    }

    fn server(&self, workspace: &Workspace) -> Result<(bool, String), Failure> {
        let run = |url: &str| workspace.try_run(script(workspace, "fuzz-server.sh").arg(url).args(self.cases()));
        if let Some(url) = &self.url {
            return run(url);
        }
        let server = Server::start(&self.build(workspace, REFERENCE_APP)?, workspace.aloud)?;
        run(&format!("ws://{}/echo", server.address))
    }

    fn client(&self, workspace: &Workspace) -> Result<(bool, String), Failure> {
        let client = self.build(workspace, "autobahn-client")?;
        // The suite cannot be asked where it listens: it is given a port that was free a moment ago.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let mut script = script(workspace, "fuzz-client.sh");
        script.arg(port.to_string()).args(self.cases()).arg("--").arg(client).arg(format!("ws://127.0.0.1:{port}"));
        workspace.try_run(&mut script)
    }
}

fn script(workspace: &Workspace, name: &str) -> Command {
    let mut command = workspace.command(workspace.root.join("conformance/autobahn").join(name));
    command.env("STRICT", "*").env("FAIL_UNIMPLEMENTED", "1").env("SECTIONS", "1").env("TIMEOUT", "3600");
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_set_has_the_small_messages_of_compression() {
        let cases = Selection::default().cases();
        assert_eq!(cases.iter().filter(|case| case.starts_with("12.") || case.starts_with("13.")).count(), 108);
        assert!(!cases.iter().any(|case| case.starts_with("9.")));
        assert!(Selection { all: true, ..Selection::default() }.cases().is_empty());
    }

    #[test]
    fn a_server_by_url_leaves_our_client_alone() {
        let both = Selection::default();
        assert!(both.has(Role::Server) && both.has(Role::Client));
        let named = Selection { url: Some("ws://127.0.0.1:1/".into()), ..Selection::default() };
        assert!(named.has(Role::Server) && !named.has(Role::Client));
        let client = Selection { role: Some(Role::Client), ..Selection::default() };
        assert!(!client.has(Role::Server) && client.has(Role::Client));
    }
}
