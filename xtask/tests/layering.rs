//! Who may import what, and what a crate must never know. The table of ARCHITECTURE.md, held over `cargo metadata`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

/// A published crate: which of ours it may import, and which of others it must never know.
struct Room {
    name: &'static str,
    imports: &'static [&'static str],
    never: &'static [&'static str],
}

const RUNTIME: &[&str] =
    &["tokio", "mio", "hyper", "hyper-util", "futures-util", "socket2", "tracing", "rustix", "libc"];

const ROOMS: &[Room] = &[
    Room { name: "wingbeat-websocket", imports: &[], never: &["serde", "serde_json", "axum"] },
    Room { name: "wingbeat-phoenix", imports: &[], never: &["http", "httparse", "axum"] },
    Room { name: "wingbeat-transport", imports: &["wingbeat-websocket"], never: &["serde", "serde_json"] },
    Room {
        name: "wingbeat-channels",
        imports: &["wingbeat-transport", "wingbeat-phoenix", "wingbeat-websocket"],
        never: &["mio", "clap"],
    },
    Room {
        name: "wingbeat",
        imports: &["wingbeat-channels", "wingbeat-transport", "wingbeat-phoenix", "wingbeat-websocket"],
        never: &["clap"],
    },
    Room { name: "wingbeat-cli", imports: &["wingbeat"], never: &[] },
];

/// Crates that do no IO: nothing of a runtime, and `no_std`, so that clocks, threads and sockets do not compile.
const PURE_CRATES: &[&str] = &["websocket", "phoenix"];

/// Files in other crates that take the time as an argument and touch nothing outside.
const PURE_FILES: &[&str] =
    &["crates/channels/src/token/etf", "crates/channels/src/token/payload.rs", "crates/transport/src/worker/wheel.rs"];

const IMPURE: &[&str] = &["tokio", "mio::", "std::net", "std::thread", "std::fs", "Instant::now", "SystemTime::now"];

fn metadata() -> Metadata {
    MetadataCommand::new().no_deps().exec().unwrap()
}

/// The crates that the package names, other than for its tests.
fn imports(metadata: &Metadata, name: &str) -> Vec<String> {
    let package = metadata.packages.iter().find(|package| *package.name == name);
    let package = package.unwrap_or_else(|| panic!("{name} is in the table but not in the workspace"));
    let real = package.dependencies.iter().filter(|dependency| dependency.kind != DependencyKind::Development);
    real.map(|dependency| dependency.name.clone()).collect()
}

fn refusals(room: &Room, imports: &[String]) -> Vec<String> {
    let pure = PURE_CRATES.iter().any(|name| room.name.strip_prefix("wingbeat-") == Some(name));
    let ours = |name: &str| name == "wingbeat" || name.starts_with("wingbeat-");
    let refused = |name: &str| {
        (ours(name) && !room.imports.contains(&name)) || room.never.contains(&name) || (pure && RUNTIME.contains(&name))
    };
    let refused = imports.iter().filter(|name| refused(name));
    refused.map(|name| format!("{} must not import {name}", room.name)).collect()
}

#[test]
fn crates_import_only_what_the_table_allows() {
    let metadata = metadata();
    let wrong: Vec<String> = ROOMS.iter().flat_map(|room| refusals(room, &imports(&metadata, room.name))).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_published_crate_is_in_the_table() {
    for package in metadata().packages {
        let published = package.publish.is_none();
        let listed = ROOMS.iter().any(|room| *room.name == **package.name);
        assert_eq!(published, listed, "{} is published, or in the table, but not both", package.name);
    }
}

#[test]
fn what_is_not_allowed_is_refused() {
    let wrong = |room: &str, import: &str| {
        let room = ROOMS.iter().find(|candidate| candidate.name == room).unwrap();
        refusals(room, &[import.to_owned()])
    };
    assert_eq!(
        wrong("wingbeat-transport", "wingbeat-channels"),
        ["wingbeat-transport must not import wingbeat-channels"]
    );
    assert_eq!(wrong("wingbeat-websocket", "tokio"), ["wingbeat-websocket must not import tokio"]);
    assert_eq!(wrong("wingbeat-transport", "serde_json"), ["wingbeat-transport must not import serde_json"]);
    assert!(wrong("wingbeat-transport", "tokio").is_empty());
    assert!(wrong("wingbeat-channels", "wingbeat-phoenix").is_empty());
}

#[test]
fn pure_crates_are_no_std() {
    for name in PURE_CRATES {
        let source = fs::read_to_string(root().join(format!("crates/{name}/src/lib.rs"))).unwrap();
        assert!(source.contains("#![no_std]"), "crates/{name} is not no_std");
    }
}

#[test]
fn pure_files_touch_nothing_outside() {
    for path in PURE_FILES {
        for file in rust_files(&root().join(path)) {
            let source = fs::read_to_string(&file).unwrap();
            let code = source
                .lines()
                .take_while(|line| *line != "#[cfg(test)]")
                .filter(|line| !line.trim_start().starts_with("//"));
            for (line, word) in code.flat_map(|line| IMPURE.iter().map(move |word| (line, word))) {
                assert!(!line.contains(word), "{} says {word}: {}", file.display(), line.trim());
            }
        }
    }
}

/// Law 7: a file is read in one sitting. Tests do not count.
#[test]
fn files_end_before_line_600() {
    for file in rust_files(&root().join("crates")).iter().filter(|file| !file.ends_with("tests.rs")) {
        let inside = file.strip_prefix(root()).unwrap();
        if inside
            .components()
            .any(|part| ["tests", "target", "node_modules"].iter().any(|name| part.as_os_str() == *name))
        {
            continue;
        }
        let source = fs::read_to_string(file).unwrap();
        let lines = code(&source).count();
        assert!(lines <= 600, "{} has {lines} lines", inside.display());
    }
}

/// The lines before the tests at the foot.
fn code(source: &str) -> impl Iterator<Item = &str> {
    source.lines().take_while(|line| *line != "#[cfg(test)]")
}

fn root() -> &'static Path {
    static ROOT: LazyLock<PathBuf> = LazyLock::new(|| metadata().workspace_root.into());
    &ROOT
}

/// The file itself, or all below the folder.
fn rust_files(path: &Path) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path.to_owned()];
    }
    let entries = fs::read_dir(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut files: Vec<PathBuf> = entries
        .flat_map(|entry| {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("node_modules") { rust_files(&path) } else { vec![path] }
        })
        .collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "rs"));
    files
}
