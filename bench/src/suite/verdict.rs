//! Whether the goals are met. What was not played is not judged.

use serde::Serialize;

use super::figures::{Played, Turns, geometric_mean};
use super::programs::Kind;

/// Echo: the geometric mean of the rates by the floor's, and the least of them.
const ECHO_MEAN: f64 = 0.95;
const ECHO_WORST: f64 = 0.85;
/// Text by the binary floor.
const TEXT: f64 = 0.85;
/// p99 by the floor's, with one message in flight.
const P99: f64 = 1.25;
/// Fan-out, each cell.
const FANOUT: f64 = 0.95;
/// Bytes of an idle connection with a plain handler.
const IDLE_BYTES: f64 = 300.0;

/// What was to be reached, and what was.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Goal {
    #[serde(rename = "goal")]
    pub(super) what: String,
    pub(super) figure: String,
    pub(super) is_met: bool,
}

impl Goal {
    pub(super) fn new(what: impl Into<String>, figure: impl Into<String>, is_met: bool) -> Self {
        Self { what: what.into(), figure: figure.into(), is_met }
    }

    pub(super) fn met(&self) -> &'static str {
        if self.is_met { "met" } else { "NOT met" }
    }
}

/// A ratio, and the cell it comes from.
type Found<'a> = (f64, &'a str);

pub(super) fn echo(played: &[Played]) -> Vec<Goal> {
    let grid: Vec<_> = played.iter().filter(|played| !played.judged.is_text).collect();
    let rates = ratios(&grid, Played::rate_to_mark);
    let cpu = ratios(&grid, |played, ours| Some(1.0 / played.to_floor(ours, |figures| figures.cpu_ns)?));
    let p99 = ratios(&grid, |played, ours| played.to_floor(ours, |figures| figures.p99_us));
    let text: Vec<_> = played.iter().filter(|played| played.judged.is_text).collect();
    let text = ratios(&text, Played::rate_to_mark);
    let mut goals = Vec::new();
    if let Some(mean) = mean(&rates) {
        let by_cpu = mean_of(&cpu);
        goals.push(Goal::new(
            format!("geometric mean of {} cells at least {ECHO_MEAN} of the floor", rates.len()),
            format!("{mean:.3} (by CPU time {by_cpu})"),
            mean >= ECHO_MEAN,
        ));
    }
    goals.extend(least(&rates, ECHO_WORST, "worst cell"));
    goals.extend(ahead(&grid));
    goals.extend(most(&p99, P99, "p99 with one in flight"));
    goals.extend(least(&text, TEXT, "checked text beside the binary floor"));
    goals
}

pub(super) fn fanout(played: &[Played]) -> Vec<Goal> {
    let played: Vec<_> = played.iter().collect();
    let rates = ratios(&played, Played::rate_to_mark);
    least(&rates, FANOUT, "each cell of the fan-out").into_iter().chain(ahead(&played)).collect()
}

pub(super) fn idle(played: &[Played]) -> Vec<Goal> {
    let ours = played.iter().flat_map(|played| played.of_kind(Kind::Ours));
    let bytes =
        |turns: &Turns| super::figures::median(turns.rounds.iter().filter_map(|figures| figures.bytes_each).collect());
    let goal = |bytes| {
        let what = format!("an idle plain connection takes at most {IDLE_BYTES} bytes");
        Goal::new(what, format!("{bytes:.0} bytes"), bytes <= IDLE_BYTES)
    };
    ours.filter_map(bytes).map(goal).collect()
}

/// All goals in a few words.
pub(super) fn summary(goals: &[Goal]) -> String {
    let met = goals.iter().filter(|goal| goal.is_met).count();
    let figures: Vec<_> = goals.iter().map(|goal| format!("{}: {}", goal.what, goal.figure)).collect();
    format!("{met} of {} goals met; {}", goals.len(), figures.join("; "))
}

fn ratios<'a>(played: &[&'a Played], ratio: impl Fn(&Played, &Turns) -> Option<f64>) -> Vec<Found<'a>> {
    let ours = |played: &'a Played| Some((ratio(played, played.of_kind(Kind::Ours).next()?)?, played.cell.as_str()));
    played.iter().filter_map(|played| ours(played)).collect()
}

fn mean(found: &[Found<'_>]) -> Option<f64> {
    geometric_mean(&found.iter().map(|found| found.0).collect::<Vec<_>>())
}

fn mean_of(found: &[Found<'_>]) -> String {
    mean(found).map_or("unknown".into(), |mean| format!("{mean:.3}"))
}

fn least(found: &[Found<'_>], goal: f64, what: &str) -> Option<Goal> {
    let (ratio, cell) = found.iter().min_by(|one, other| one.0.total_cmp(&other.0))?;
    Some(Goal::new(format!("{what} at least {goal}"), format!("{ratio:.3} ({cell})"), *ratio >= goal))
}

fn most(found: &[Found<'_>], goal: f64, what: &str) -> Option<Goal> {
    let (ratio, cell) = found.iter().max_by(|one, other| one.0.total_cmp(&other.0))?;
    Some(Goal::new(format!("{what} at most {goal} of the floor's"), format!("{ratio:.3} ({cell})"), *ratio <= goal))
}

/// In how many of the named cells we are ahead of every other crate.
fn ahead(played: &[&Played]) -> Option<Goal> {
    let (mut cells, mut won, mut closest) = (0, 0, None::<(f64, String)>);
    for played in played.iter().filter(|played| played.judged.is_named) {
        let Some(ours) = played.of_kind(Kind::Ours).next() else { continue };
        let rates = played.of_kind(Kind::Peer).filter_map(|peer| {
            Some((played.ratio(ours, peer, |figures| figures.rate)?, format!("{}, {}", peer.server, played.cell)))
        });
        let Some(nearest) = rates.min_by(|one, other| one.0.total_cmp(&other.0)) else { continue };
        cells += 1;
        won += usize::from(nearest.0 > 1.0);
        if closest.as_ref().is_none_or(|closest| nearest.0 < closest.0) {
            closest = Some(nearest);
        }
    }
    let (ratio, who) = closest?;
    let figure = format!("{won} of {cells}; nearest {ratio:.3} ({who})");
    Some(Goal::new("ahead of every other crate in the named cells", figure, won == cells))
}

#[cfg(test)]
mod tests {
    use super::super::cells::Judged;
    use super::super::figures::tests::turns;
    use super::*;

    fn cell(name: &str, judged: Judged, ours: (f64, f64), peer: f64) -> Played {
        let servers = vec![
            turns("floor", Kind::Floor, &[(100.0, 10.0)]),
            turns("ours", Kind::Ours, &[ours]),
            turns("yawc", Kind::Peer, &[(peer, 10.0)]),
        ];
        Played { cell: name.into(), judged, servers }
    }

    #[test]
    fn every_goal_of_echo_can_be_met_and_missed() {
        let named = Judged { is_named: true, ..Judged::default() };
        let text = Judged { is_text: true, ..Judged::default() };
        let good = [
            cell("a", named, (100.0, 10.0), 90.0),
            cell("b", named, (92.0, 12.0), 91.0),
            cell("text", text, (86.0, 30.0), 200.0),
        ];
        let goals = echo(&good);
        assert_eq!(goals.len(), 5);
        assert!(goals.iter().all(|goal| goal.is_met), "{goals:?}");
        let bad = [cell("a", named, (80.0, 13.0), 81.0), cell("text", text, (84.0, 10.0), 1.0)];
        let goals = echo(&bad);
        assert_eq!(goals.len(), 5);
        assert!(goals.iter().all(|goal| !goal.is_met), "{goals:?}");
        assert!(goals[2].figure.starts_with("0 of 1"), "{goals:?}");
        assert!(echo(&[]).is_empty());
    }

    #[test]
    fn every_cell_of_the_fan_out_counts() {
        let cells = [cell("a", Judged::default(), (99.0, 1.0), 1.0), cell("b", Judged::default(), (94.0, 1.0), 1.0)];
        assert!(fanout(&cells[..1])[0].is_met);
        assert!(!fanout(&cells)[0].is_met);
    }
}
