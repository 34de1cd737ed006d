//! `cargo xtask spec`: the rows of a specification, and whether each has a test that bears its name.
//!
//! The rows stand in `conformance/rows/NAME.tsv`: id, level, who, requirement, where. A test of row F7 is called
//! `ws_f7_…`; one of several rows names them all before anything else, `ws_s11_s12_…`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;

use crate::tally::Tally;
use crate::workspace::{Failure, Workspace};

/// A file of rows.
struct Spec {
    /// The name of the file.
    name: &'static str,
    /// What the names of its tests begin with.
    prefix: &'static str,
    waiting: &'static [Waiting],
    declined: &'static [Declined],
}

/// Rows that wait for later work, and why.
struct Waiting {
    rows: &'static [&'static str],
    /// The issue that brings them.
    issue: &'static str,
    reason: &'static str,
}

/// Rows that are not wanted, and why.
struct Declined {
    rows: &'static [&'static str],
    reason: &'static str,
}

const SPECS: &[Spec] = &[Spec {
    name: "websocket",
    prefix: "ws",
    waiting: &[
        Waiting {
            rows: &["U5", "U6", "U7", "U8", "C9", "C10"],
            issue: "Clients",
            reason: "there is no connector yet: the core opens no socket and connects to nothing again",
        },
        Waiting {
            rows: &["CB43"],
            issue: "Handlers",
            reason: "the handler is being completed, and so are HTTP/2 and the limits by rate and address",
        },
        Waiting {
            rows: &["F19", "SEC13"],
            issue: "The inspector",
            reason: "nothing of ours passes on the frames of others yet",
        },
    ],
    declined: &[
        Declined { rows: &["X13"], reason: "HTTP/3 is not spoken here" },
        Declined {
            rows: &["CB10"],
            reason: "a connection is no process whose exit others see: code, reason and cause tell how it ended",
        },
        Declined {
            rows: &["CB11"],
            reason: "what a handler asks for is a method, so there is none that does not exist",
        },
        Declined {
            rows: &["CB12", "CB20", "CB21"],
            reason: "an idle connection has no buffer: its worker has one, which all of its connections share",
        },
        Declined {
            rows: &["CB22"],
            reason: "there is one way from a stream to its connection, and it is the direct one",
        },
    ],
}];

/// One requirement.
struct Row<'t> {
    id: &'t str,
    level: &'t str,
    who: &'t str,
    requirement: &'t str,
}

/// What was found: the closing line counts rows with a test, and faults.
pub(crate) struct Findings {
    pub(crate) tally: Tally,
    pub(crate) text: String,
}

/// Holds the rows of `name` against the tests of the project.
pub(crate) fn check(workspace: &Workspace, name: &str) -> Result<Findings, Failure> {
    let known = || SPECS.iter().map(|spec| spec.name).collect::<Vec<_>>().join(", ");
    let spec = SPECS.iter().find(|spec| spec.name == name);
    let spec = spec.ok_or_else(|| Failure(format!("there are no rows called {name}, only {}", known())))?;
    let path = workspace.root.join("conformance/rows").join(name).with_extension("tsv");
    let table = fs::read_to_string(&path).map_err(|error| Failure(format!("{}: {error}", path.display())))?;
    let rows = parse(&table)?;
    let mut tests = BTreeSet::new();
    for path in workspace.files(&["*.rs", "*.js"])? {
        // One that git still lists may have been deleted.
        let Ok(source) = fs::read_to_string(&path) else { continue };
        tests.extend(test_names(&source).map(str::to_owned));
    }
    Ok(judge(spec, &rows, &tests))
}

/// The same for all rows there are, as a step of the tests.
pub(crate) fn check_all(workspace: &Workspace) -> Result<Tally, Failure> {
    let mut tally = Tally::default();
    for spec in SPECS {
        let findings = check(workspace, spec.name)?;
        if findings.tally.failed > 0 {
            return Err(Failure(format!("{}\n{}", findings.text, findings.tally)));
        }
        tally += findings.tally;
    }
    Ok(tally)
}

fn parse(table: &str) -> Result<Vec<Row<'_>>, Failure> {
    let mut rows: Vec<Row<'_>> = Vec::new();
    for line in table.lines().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        let [id, level, who, requirement, place] = columns[..] else {
            return Err(Failure(format!("not five columns: {line}")));
        };
        if split_id(&id.to_ascii_lowercase()).is_none() || rows.iter().any(|row| row.id == id) {
            return Err(Failure(format!("{id} is no id, or stands twice")));
        }
        let levels = ["MUST", "MUST NOT", "SHOULD", "MAY"];
        if !levels.contains(&level)
            || !["C", "S", "B", "I"].contains(&who)
            || requirement.is_empty()
            || place.is_empty()
        {
            return Err(Failure(format!("level, who, requirement or place is wrong: {line}")));
        }
        rows.push(Row { id, level, who, requirement });
    }
    Ok(rows)
}

/// The names of the tests in a file: functions under a `#[test]` that is not ignored, and what JavaScript calls tests.
fn test_names(source: &str) -> impl Iterator<Item = &str> {
    let (mut is_test, mut is_ignored) = (false, false);
    source.lines().map(str::trim).filter_map(move |line| {
        if line.starts_with("#[") {
            is_test |= line.starts_with("#[test]") || line.contains("::test]") || line.contains("::test(");
            is_ignored |= line.starts_with("#[ignore");
            return None;
        }
        let function = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
        let name = match function.filter(|_| is_test && !is_ignored) {
            Some(function) => function.split(['(', '<']).next(),
            None => line.strip_prefix("test(\"").and_then(|rest| rest.split(['"', ' ']).next()),
        };
        (is_test, is_ignored) = (false, false);
        name
    })
}

/// The rows that a test is for: the ids its name begins with, each with the prefix before it or not.
fn ids<'n>(name: &'n str, prefix: &'n str) -> impl Iterator<Item = &'n str> {
    let words = name.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('_')).unwrap_or_default();
    words.split('_').filter(move |word| *word != prefix).take_while(|word| split_id(word).is_some())
}

/// Up to three letters, and a number.
fn split_id(word: &str) -> Option<(&str, u32)> {
    let digits = word.find(|char: char| !char.is_ascii_lowercase())?;
    let (letters, number) = word.split_at(digits);
    if !(1..=3).contains(&letters.len()) || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some((letters, number.parse().ok()?))
}

fn judge(spec: &Spec, rows: &[Row<'_>], tests: &BTreeSet<String>) -> Findings {
    let mut covered: BTreeMap<String, &str> = BTreeMap::new();
    let mut faults = Vec::new();
    let families: BTreeSet<String> =
        rows.iter().filter_map(|row| Some(split_id(&row.id.to_ascii_lowercase())?.0.to_owned())).collect();
    for test in tests {
        for id in ids(test, spec.prefix) {
            let row = id.to_ascii_uppercase();
            if rows.iter().any(|known| known.id == row) {
                covered.entry(row).or_insert(test);
            } else if split_id(id).is_some_and(|(letters, _)| families.contains(letters)) {
                faults.push(format!("{row:<4} is no row, but {test} is named after it"));
            }
        }
    }
    for waiting in spec.waiting {
        for id in waiting.rows {
            if !rows.iter().any(|row| row.id == *id) {
                faults.push(format!("{id:<4} is no row, but waits for \"{}\"", waiting.issue));
            } else if let Some(test) = covered.get(*id) {
                faults.push(format!("{id:<4} waits for \"{}\", but {test} is there", waiting.issue));
            }
        }
    }
    for id in spec.declined.iter().flat_map(|declined| declined.rows) {
        if !rows.iter().any(|row| row.id == *id) {
            faults.push(format!("{id:<4} is no row, but is declined"));
        } else if let Some(test) = covered.get(*id) {
            faults.push(format!("{id:<4} is declined, but {test} is there"));
        } else if spec.waiting.iter().any(|waiting| waiting.rows.contains(id)) {
            faults.push(format!("{id:<4} is declined, and waits"));
        }
    }
    let waits = |row: &Row<'_>| spec.waiting.iter().any(|waiting| waiting.rows.contains(&row.id));
    let is_declined = |row: &Row<'_>| spec.declined.iter().any(|declined| declined.rows.contains(&row.id));
    for row in rows.iter().filter(|row| !covered.contains_key(row.id) && !waits(row) && !is_declined(row)) {
        let Row { id, level, who, requirement } = row;
        faults.push(format!("{id:<4} has no test   {level} {who}: {requirement}"));
    }
    let mut text = format!("{}: {} rows, {} with a test", spec.name, rows.len(), covered.len());
    for Waiting { rows, issue, reason } in spec.waiting {
        let _ = write!(text, "\n{} wait for \"{issue}\": {reason}", rows.join(", "));
    }
    for Declined { rows, reason } in spec.declined {
        let _ = write!(text, "\n{} not wanted: {reason}", rows.join(", "));
    }
    for fault in &faults {
        let _ = write!(text, "\n{fault}");
    }
    Findings { tally: Tally { passed: covered.len() as u64, failed: faults.len() as u64 }, text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_tests() {
        let source = "
            #[test]
            fn ws_f1_plain() {}
            #[tokio::test(flavor = \"current_thread\")]
            #[should_panic]
            async fn ws_f2_async() {}
            #[test]
            #[ignore = \"slow\"]
            fn ws_f3_ignored() {}
            fn ws_f4_no_test() {}
            // #[test]
            // fn ws_f5_commented() {}
            #[cfg(test)]
            fn ws_f6_helper() {}
            #[test]
            let x = 1;
            fn ws_f7_apart() {}
            test(\"ws_f8_script says so\", () => {});
        ";
        assert!(test_names(source).eq(["ws_f1_plain", "ws_f2_async", "ws_f8_script"]));
    }

    #[test]
    fn ids_of_names() {
        for (name, expected) in [
            ("ws_f7_lengths", &["f7"][..]),
            ("ws_s11_s12_s13_success", &["s11", "s12", "s13"]),
            ("ws_f5_to_f15_broken", &["f5"]),
            ("ws_cb17_ws_t5_unchecked", &["cb17", "t5"]),
            ("ws_s16_http2_gets", &["s16"]),
            ("ws_plain_f7", &[]),
            ("ch_f7_other", &[]),
            ("wsx_f7", &[]),
            ("", &[]),
        ] {
            assert!(ids(name, "ws").eq(expected.iter().copied()), "{name}");
        }
    }

    #[test]
    fn rows_are_held_against_tests() {
        const TABLE: &str = "id\tlevel\twho\trequirement\twhere\n\
            A1\tMUST\tC\tone\tx\nA2\tMAY\tS\ttwo\tx\nA3\tSHOULD\tB\tthree\tx\n";
        const WAITING: &[Waiting] = &[Waiting { rows: &["A3"], issue: "Later", reason: "so" }];
        const NOT: &[Declined] = &[Declined { rows: &["A3"], reason: "so" }];
        const UNKNOWN: &[Declined] = &[Declined { rows: &["A3", "A9"], reason: "" }];
        for (name, tests, waiting, declined, passed, failed) in [
            ("all", &["ws_a1_a2_x"][..], WAITING, &[][..], 2, 0),
            ("one is missing", &["ws_a1_x"], WAITING, &[], 1, 1),
            ("none waits", &["ws_a1_a2_x"], &[], &[], 2, 1),
            ("what waits is there", &["ws_a1_a2_x", "ws_a3_x"], WAITING, &[], 3, 1),
            ("unknown row", &["ws_a1_a2_x", "ws_a4_x"], WAITING, &[], 2, 1),
            ("other family", &["ws_a1_a2_x", "ws_b4_x"], WAITING, &[], 2, 0),
            (
                "unknown row waits",
                &["ws_a1_a2_x"],
                &[Waiting { rows: &["A3", "A9"], issue: "", reason: "" }],
                &[],
                2,
                1,
            ),
            ("one is declined", &["ws_a1_a2_x"], &[], NOT, 2, 0),
            ("what is declined is there", &["ws_a1_a2_x", "ws_a3_x"], &[], NOT, 3, 1),
            ("what is declined waits", &["ws_a1_a2_x"], WAITING, NOT, 2, 1),
            ("unknown row is declined", &["ws_a1_a2_x"], &[], UNKNOWN, 2, 1),
        ] {
            let spec = Spec { name: "", prefix: "ws", waiting, declined };
            let tests = tests.iter().map(|&test| test.to_owned()).collect();
            let findings = judge(&spec, &parse(TABLE).unwrap(), &tests);
            assert_eq!(findings.tally, Tally { passed, failed }, "{name}: {}", findings.text);
        }
        for broken in ["A1\tMUST\tC\tone", "A1\tOUGHT\tC\tone\tx", "Row\tMUST\tC\tone\tx"] {
            assert!(parse(&format!("head\n{broken}\n")).is_err(), "{broken}");
        }
        assert!(parse(&[TABLE, "A1\tMUST\tC\tagain\tx\n"].concat()).is_err());
    }
}
