//! Suites and clients of others, each against a server of ours that is started for it.

use std::process::Command;

use clap::Subcommand;

use crate::server::Server;
use crate::tally::Tally;
use crate::workspace::{Failure, Workspace};
use crate::{autobahn, install};

#[derive(Subcommand)]
pub(crate) enum Suite {
    /// Replays what a real Phoenix said, frame by frame.
    Transcripts {
        /// Against this server (ws://HOST:PORT) instead of our reference app.
        #[arg(long)]
        url: Option<String>,
        /// Only transcripts whose name begins so.
        names: Vec<String>,
    },
    /// Drives the unmodified npm package `phoenix` against us.
    Phoenix,
    /// Runs the Autobahn test suite against our server and client roles: by default the short set.
    Autobahn(autobahn::Selection),
    /// Talks to other implementations, compressed: ws and Python's websockets both ways, Chromium.
    Peers,
    /// Connects through nginx and haproxy.
    Proxies,
    /// Checks the browser client by itself.
    Client,
    /// Chats in a real browser.
    Browser,
}

impl Suite {
    pub(crate) fn run(&self, workspace: &Workspace) -> Result<Tally, Failure> {
        match self {
            Self::Transcripts { url, names } => transcripts(workspace, url.as_deref(), names),
            Self::Phoenix => phoenix(workspace),
            Self::Autobahn(selection) => selection.run(workspace),
            Self::Peers => peers(workspace),
            Self::Proxies => proxies(workspace),
            Self::Client => client(workspace),
            Self::Browser => browser(workspace),
        }
    }
}

pub(crate) const PACKAGE: &str = "wingbeat-conformance";
pub(crate) const REFERENCE_APP: &str = "reference-app";

/// The reference app, or nothing if another server is named.
fn reference_app(workspace: &Workspace, url: Option<&str>) -> Result<Option<Server>, Failure> {
    match url {
        Some(_) => Ok(None),
        None => Server::start(&workspace.build(PACKAGE, REFERENCE_APP)?, workspace.aloud).map(Some),
    }
}

pub(crate) fn transcripts(workspace: &Workspace, url: Option<&str>, names: &[String]) -> Result<Tally, Failure> {
    let runner = workspace.build(PACKAGE, "transcripts")?;
    let server = reference_app(workspace, url)?;
    let url = match (url, &server) {
        (Some(url), _) => url.to_owned(),
        (None, server) => format!("ws://{}", server.as_ref().map_or("", |server| &server.address)),
    };
    let output = workspace.run(workspace.command(runner).args(["--url", &url]).args(names))?;
    Ok(Tally::of(&output))
}

pub(crate) fn phoenix(workspace: &Workspace) -> Result<Tally, Failure> {
    let folder = workspace.root.join("conformance/phoenix");
    install::npm_packages(workspace, &folder)?;
    let app = workspace.build(PACKAGE, REFERENCE_APP)?;
    let mut npm = workspace.command("npm");
    let output =
        workspace.run(npm.args(["test", "--silent"]).current_dir(folder).env("WINGBEAT_REFERENCE_APP", app))?;
    Ok(Tally::of(&output))
}

/// The browser client by itself: its types, and what it does without a server.
pub(crate) fn client(workspace: &Workspace) -> Result<Tally, Failure> {
    let browser = workspace.root.join("conformance/browser");
    install::npm_packages(workspace, &browser)?;
    workspace.run(workspace.command("npm").args(["run", "--silent", "types"]).current_dir(browser))?;
    let folder = workspace.root.join("crates/channels/js");
    let output = workspace.run(workspace.command("node").arg("--test").current_dir(folder))?;
    Ok(Tally::of(&output))
}

pub(crate) fn browser(workspace: &Workspace) -> Result<Tally, Failure> {
    let folder = workspace.root.join("conformance/browser");
    install::npm_packages(workspace, &folder)?;
    let binary = workspace.build("wingbeat-cli", "wingbeat")?;
    let mut npm = workspace.command("npm");
    let output = workspace.run(npm.args(["test", "--silent"]).current_dir(folder).env("WINGBEAT_BINARY", binary))?;
    Ok(Tally::of(&output))
}

/// Our server behind proxies of others.
pub(crate) fn proxies(workspace: &Workspace) -> Result<Tally, Failure> {
    let folder = workspace.root.join("conformance/proxies");
    install::npm_packages(workspace, &folder)?;
    install::proxies(workspace)?;
    let app = workspace.build(PACKAGE, "proxied-app")?;
    let mut npm = workspace.command("npm");
    let output = workspace.run(npm.args(["test", "--silent"]).current_dir(folder).env("WINGBEAT_PROXIED_APP", app))?;
    Ok(Tally::of(&output))
}

/// Other implementations, in whatever runs them: both are run whatever the first one's result.
pub(crate) fn peers(workspace: &Workspace) -> Result<Tally, Failure> {
    let folder = workspace.root.join("conformance/peers");
    install::npm_packages(workspace, &folder)?;
    install::python_peer(workspace)?;
    let app = workspace.build(PACKAGE, REFERENCE_APP)?;
    let client = workspace.build(PACKAGE, "peer-client")?;
    let http2 = workspace.build(PACKAGE, "http2-app")?;
    let run = |mut command: Command| {
        command.current_dir(&folder).env("WINGBEAT_REFERENCE_APP", &app).env("WINGBEAT_PEER_CLIENT", &client);
        command.env("WINGBEAT_HTTP2_APP", &http2);
        workspace.try_run(&mut command)
    };
    let mut npm = workspace.command("npm");
    npm.args(["test", "--silent"]);
    let mut python = workspace.command(folder.join(".venv/bin/python"));
    python.arg("peers.py");
    let outcomes = [run(npm)?, run(python)?];
    let tally = Tally::of(&outcomes.each_ref().map(|(_, output)| output.as_str()).concat());
    if outcomes.iter().all(|(succeeded, _)| *succeeded) {
        return Ok(tally);
    }
    Err(Failure(outcomes.map(|(_, output)| output).concat()))
}
