//! How many passed and failed, read from what a runner prints.

use std::fmt;
use std::ops::AddAssign;

/// Tests that passed and failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
}

impl Tally {
    /// A check that is one test of its own.
    pub(crate) const PASSED: Self = Self { passed: 1, failed: 0 };

    /// The closing lines of nextest, `cargo test`, `node --test` and of our own runners, added up.
    pub(crate) fn of(output: &str) -> Self {
        let mut tally = Self::default();
        // nextest shows what a failed test printed, closing lines of its harness included.
        let nextest = output.lines().any(|line| line.trim().starts_with("Summary ["));
        for line in output.lines().map(str::trim) {
            let words: Vec<&str> = line.split([' ', ',', ';']).filter(|word| !word.is_empty()).collect();
            match words[..] {
                ["#" | "ℹ", "pass", count] => tally.passed += number(count),
                ["#" | "ℹ", "fail", count] => tally.failed += number(count),
                ["test", "result:", ..] if nextest => {}
                ["Summary", ..] | ["test", "result:", ..] | [_, "passed", _, "failed", ..] => {
                    tally.passed += before("passed", &words);
                    tally.failed += before("failed", &words);
                }
                _ => {}
            }
        }
        tally
    }

    /// The line of Autobahn's summary: `server: 290 OK, 2 NON-STRICT, …`. What counts as failed is the script's to say.
    pub(crate) fn of_autobahn(output: &str) -> Self {
        let counts = output.lines().find(|line| line.contains(" OK, ")).unwrap_or_default();
        let words: Vec<&str> = counts.split([' ', ',']).filter(|word| !word.is_empty()).collect();
        let listed = output.lines().find_map(|line| line.strip_prefix("FAILING: "));
        let failed =
            listed.map_or(0, |cases| cases.split_whitespace().filter(|word| word.contains('(')).count() as u64);
        let all: u64 = words.iter().filter_map(|word| word.parse::<u64>().ok()).sum();
        Self { passed: all.saturating_sub(failed), failed }
    }
}

fn number(word: &str) -> u64 {
    word.parse().unwrap_or(0)
}

fn before(name: &str, words: &[&str]) -> u64 {
    words.windows(2).find(|pair| pair[1] == name).map_or(0, |pair| number(pair[0]))
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_runners_print() {
        for (name, output, passed, failed) in [
            ("nextest", "     Summary [   3.017s] 21 tests run: 21 passed, 0 skipped", 21, 0),
            (
                "nextest, failing",
                "     Summary [   0.4s] 15/21 tests run: 14 passed (1 slow), 1 failed, 0 skipped",
                14,
                1,
            ),
            ("cargo", "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out", 3, 2),
            ("cargo, twice", "test result: ok. 3 passed; 0 failed;\ntest result: ok. 4 passed; 0 failed;", 7, 0),
            ("node", "# tests 9\n# pass 8\n# fail 1\n# skipped 0", 8, 1),
            ("node on a terminal", "ℹ tests 9\nℹ pass 9\nℹ fail 0", 9, 0),
            ("ours", "82 passed, 1 failed, 3 skipped", 82, 1),
            ("prose", "all of the 12 passed through here", 0, 0),
        ] {
            assert_eq!(Tally::of(output), Tally { passed, failed }, "{name}");
        }
    }

    #[test]
    fn reads_what_autobahn_prints() {
        let line = "server: 290 OK, 1 NON-STRICT, 3 INFORMATIONAL, 1 FAILED, 0 UNCLEAN, 0 UNIMPLEMENTED, 2 MISSING";
        assert_eq!(Tally::of_autobahn(line), Tally { passed: 297, failed: 0 });
        let output =
            format!("{line}\nFAILING: 6.4.1(NON-STRICT/OK) 7.1.1(FAILED/OK 1000) 9.1.1(MISSING) 9.1.2(MISSING)\n");
        assert_eq!(Tally::of_autobahn(&output), Tally { passed: 293, failed: 4 });
    }
}
