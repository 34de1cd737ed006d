//! A recorded conversation, as it lies in its file.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use serde::Deserialize;

/// One conversation of one or more clients with a real server.
#[derive(Debug, Deserialize)]
pub struct Transcript {
    /// What the file is called.
    pub name: String,
    /// Where its WebSockets connect to.
    pub(super) url: String,
    pub(super) steps: Vec<Step>,
    pub(super) close: Closes,
}

/// One thing said.
#[derive(Debug, Deserialize)]
pub(super) struct Step {
    /// Milliseconds since the conversation began.
    pub(super) t: u64,
    /// The name of the connection.
    pub(super) conn: String,
    pub(super) dir: Direction,
    pub(super) kind: Kind,
    /// Text as it is, bytes in hexadecimal, HTTP as the raw message.
    pub(super) data: String,
}

/// As the client sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Direction {
    Send,
    Recv,
    /// A remark in place of steps that were cut.
    Note,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    Text,
    Binary,
    Ping,
    Pong,
    Http,
}

/// How the connections ended: the only one, or each by its name, or there was none.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Closes {
    One(Close),
    Many(BTreeMap<String, Close>),
}

/// How one connection ended.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Close {
    /// 1006: without a Close.
    pub(super) code: u16,
    pub(super) reason: String,
    pub(super) first: Side,
    pub(super) t: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Side {
    Client,
    Server,
}

impl Transcript {
    /// Reads all in a folder, in the order of their names.
    ///
    /// # Errors
    /// The folder or a file cannot be read, or a file is not a transcript.
    pub fn read_all(folder: &Path) -> io::Result<Vec<Self>> {
        let mut paths = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        paths.sort();
        paths.iter().map(|path| Ok(serde_json::from_slice(&fs::read(path)?)?)).collect()
    }

    pub(super) fn close_of(&self, conn: &str) -> Option<&Close> {
        match &self.close {
            Closes::One(close) => Some(close),
            Closes::Many(closes) => closes.get(conn),
        }
    }

    /// The host and port that it was recorded from.
    pub(super) fn recorded_host(&self) -> &str {
        let rest = self.url.split_once("://").map_or(self.url.as_str(), |(_, rest)| rest);
        rest.split('/').next().unwrap_or(rest)
    }

    /// Path and query of the WebSockets.
    pub(super) fn resource(&self) -> &str {
        self.url.split_once(self.recorded_host()).map_or("/", |(_, resource)| resource)
    }
}
