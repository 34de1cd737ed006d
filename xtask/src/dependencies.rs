//! Holds what we depend on against `deny.toml`: licences, bans, sources. cargo-deny reads the same file and says the
//! same; it takes minutes to build, this takes a second. Advisories need a database from outside and are not checked.

use std::fs;

use cargo_metadata::{Metadata, MetadataCommand, Package};
use serde::Deserialize;

use crate::tally::Tally;
use crate::workspace::{Failure, Workspace};

/// The parts of `deny.toml` that are read.
#[derive(Deserialize)]
struct Rules {
    licenses: Licenses,
    bans: Bans,
}

#[derive(Deserialize)]
struct Licenses {
    allow: Vec<String>,
}

#[derive(Deserialize)]
struct Bans {
    deny: Vec<Ban>,
}

#[derive(Deserialize)]
struct Ban {
    #[serde(rename = "crate")]
    name: String,
}

/// Checks every package that Cargo.lock names, for all targets and features.
pub(crate) fn check(workspace: &Workspace) -> Result<Tally, Failure> {
    let text = fs::read_to_string(workspace.root.join("deny.toml"))?;
    let rules: Rules = toml::from_str(&text).map_err(|error| Failure(format!("deny.toml: {error}")))?;
    let mut command = MetadataCommand::new();
    command.current_dir(&workspace.root).other_options(["--locked".into(), "--all-features".into()]);
    let wrong = violations(&rules, &command.exec()?);
    if wrong.is_empty() { Ok(Tally::PASSED) } else { Err(Failure(wrong.join("\n"))) }
}

fn violations(rules: &Rules, metadata: &Metadata) -> Vec<String> {
    let foreign = metadata.packages.iter().filter(|package| package.source.is_some());
    foreign
        .filter_map(|package| Some(format!("{} {}: {}", package.name, package.version, rules.refusal(package)?)))
        .collect()
}

impl Rules {
    fn refusal(&self, package: &Package) -> Option<String> {
        if package.source.as_ref().is_some_and(|source| !source.is_crates_io()) {
            return Some("comes neither from this project nor from the public registry".into());
        }
        if self.bans.deny.iter().any(|ban| *package.name == ban.name) {
            return Some("is banned".into());
        }
        let license = package.license.as_deref().unwrap_or("none");
        (!self.allows(license)).then(|| format!("has the licence {license}, which is not allowed"))
    }

    fn allows(&self, license: &str) -> bool {
        spdx::Expression::parse_mode(license, spdx::ParseMode::LAX).is_ok_and(|expression| {
            expression.evaluate(|requirement| self.licenses.allow.iter().any(|name| *name == requirement.to_string()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences_are_judged_as_expressions() {
        let rules = Rules {
            licenses: Licenses { allow: vec!["MIT".into(), "Apache-2.0 WITH LLVM-exception".into()] },
            bans: Bans { deny: Vec::new() },
        };
        for (license, allowed) in [
            ("MIT", true),
            ("MIT OR GPL-3.0", true),
            ("MIT/GPL-3.0", true),
            ("MIT AND GPL-3.0", false),
            ("(MIT OR Zlib) AND Zlib", false),
            ("Apache-2.0", false),
            ("Apache-2.0 WITH LLVM-exception", true),
            ("none", false),
        ] {
            assert_eq!(rules.allows(license), allowed, "{license}");
        }
    }

    #[test]
    fn what_is_banned_or_from_elsewhere_is_named() {
        let metadata = MetadataCommand::new().exec().unwrap();
        let rules =
            Rules { licenses: Licenses { allow: Vec::new() }, bans: Bans { deny: vec![Ban { name: "clap".into() }] } };
        let wrong = violations(&rules, &metadata);
        assert!(wrong.iter().any(|line| line.starts_with("clap ") && line.ends_with("is banned")), "{wrong:?}");
        assert!(wrong.iter().any(|line| line.starts_with("serde ") && line.contains("licence")), "{wrong:?}");
        assert!(!wrong.iter().any(|line| line.starts_with("xtask ")), "{wrong:?}");
    }
}
