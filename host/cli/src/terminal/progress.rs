//! The progress of a search.

use crate::terminal::bar::{Display, Lines, clock};
use crate::terminal::line::Part;
use crate::terminal::workers;
use autoloss_jobs::PoolWatch;
use autoloss_search::{Budget, Counts, Event, GradientKey, Observer, OutcomeKind};
use std::collections::HashMap;
use std::time::Instant;

/// The bar's length: thousandths of the budget.
const WHOLE: f64 = 1000.0;

/// Watches a search.
pub(crate) struct Progress {
    display: Display,
    state: State,
}

/// How far a search is.
struct State {
    budget: Budget,
    counts: Counts,
    best: Option<f64>,
    /// What the best loss is known as.
    best_name: Option<String>,
    /// The names of known losses.
    names: HashMap<GradientKey, String>,
    /// What the candidate explored last is known as.
    last_name: Option<String>,
    score: String,
    activity: &'static str,
    pool: Option<PoolWatch>,
    before: f64,
    started: Instant,
}

impl Progress {
    /// `before` is what earlier sessions of the run have taken, in seconds.
    pub(crate) fn new(budget: Budget, score: &str, best: Option<f64>, before: f64) -> Self {
        Self {
            display: Display::new(WHOLE as u64),
            state: State::new(budget, score, best, before),
        }
    }

    /// The same, calling known losses by their names.
    pub(crate) fn with_names(mut self, names: HashMap<GradientKey, String>) -> Self {
        self.state.names = names;
        self
    }

    /// The same, with what the workers of a pool do.
    pub(crate) fn with_workers(mut self, pool: Option<PoolWatch>) -> Self {
        self.state.pool = pool;
        self
    }

    /// Takes it off the screen.
    pub(crate) fn finish(&self) {
        self.display.finish();
    }
}

impl Observer for Progress {
    fn observe(&mut self, event: &Event<'_>) {
        self.state.note(event);
        let state = &self.state;
        let position = (state.used() * WHOLE) as u64;
        self.display.draw(position, || state.lines());
    }
}

impl State {
    fn new(budget: Budget, score: &str, best: Option<f64>, before: f64) -> Self {
        Self {
            budget,
            counts: Counts::default(),
            best,
            best_name: None,
            names: HashMap::new(),
            last_name: None,
            score: score.to_owned(),
            activity: "screening",
            pool: None,
            before,
            started: Instant::now(),
        }
    }

    fn note(&mut self, event: &Event<'_>) {
        match event {
            Event::Explored { counts, record } => {
                self.counts = **counts;
                let name = record.key.as_ref().and_then(|key| self.names.get(key));
                self.last_name = name.cloned();
            }
            Event::EvaluationStarted { .. } => self.activity = "training",
            Event::EvaluationFinished { .. } => self.activity = "screening",
            Event::Improved { best } => {
                self.best = Some(best.fitness.score());
                // What was explored last is what improved.
                self.best_name.clone_from(&self.last_name);
            }
            Event::Waiting | Event::Comparing { .. } | Event::Compared { .. } => {}
        }
    }

    fn elapsed(&self) -> f64 {
        self.before + self.started.elapsed().as_secs_f64()
    }

    /// The used part of the budget that is closest to its end, 0 to 1.
    fn used(&self) -> f64 {
        let part = |used: f64, limit: Option<f64>| limit.map_or(0.0, |limit| used / limit);
        let parts = [
            part(
                self.counts.explored() as f64,
                self.budget.max_explored.map(|n| n as f64),
            ),
            part(
                self.counts.proxies() as f64,
                self.budget.max_proxies.map(|n| n as f64),
            ),
            part(self.elapsed(), self.budget.max_seconds),
        ];
        parts.into_iter().fold(0.0, f64::max).clamp(0.0, 1.0)
    }

    fn lines(&self) -> Lines {
        [self.headline(), self.details()]
    }

    fn headline(&self) -> Vec<Part> {
        let mut best = self
            .best
            .map_or("none yet".to_owned(), |best| format!("{best:.4}"));
        if let Some(name) = &self.best_name {
            best += &format!(" ({name})");
        }
        let used = self.used();
        let left = if used > 0.0 {
            clock(self.elapsed() * (1.0 / used - 1.0))
        } else {
            "?".to_owned()
        };
        vec![
            Part::new(1, format!("{left} left")),
            Part::new(3, format!("{} explored", self.counts.explored())),
            Part::new(2, format!("{} proxies", self.counts.proxies())),
            Part::new(0, format!("best {} {best}", self.score)),
        ]
    }

    /// What it does, and every outcome there was.
    fn details(&self) -> Vec<Part> {
        let counted = OutcomeKind::ALL
            .iter()
            .map(|&kind| (kind, self.counts.of(kind)))
            .filter(|(_, count)| *count > 0)
            .map(|(kind, count)| {
                let name = kind.code().replace('_', " ");
                Part::new(rank(kind), format!("{name} {count}"))
            });
        match &self.pool {
            None => std::iter::once(Part::new(0, self.activity.to_owned()))
                .chain(counted)
                .collect(),
            Some(pool) => {
                let workers = pool.now();
                let each = workers.iter().map(workers::doing);
                workers::summary(&workers, 0)
                    .into_iter()
                    .chain(counted)
                    .chain(each)
                    .collect()
            }
        }
    }
}

/// What of the outcomes stays in a narrow terminal: what trainings came to, then what screens did.
fn rank(kind: OutcomeKind) -> u8 {
    match kind {
        OutcomeKind::Scored => 1,
        OutcomeKind::StoppedEarly => 2,
        OutcomeKind::InvalidTraining => 3,
        OutcomeKind::Failed => 4,
        OutcomeKind::Rejected => 5,
        OutcomeKind::Equivalent => 6,
        _ => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terminal::bar::compose;
    use autoloss_search::StageTimes;

    /// 100 of 300 seconds have gone.
    fn state() -> State {
        let budget = Budget {
            max_seconds: Some(300.0),
            ..Budget::default()
        };
        let mut state = State::new(budget, "mIoU", Some(0.1909), 100.0);
        for (kind, count) in [
            (OutcomeKind::Static, 1_376_334),
            (OutcomeKind::Rejected, 10_098),
            (OutcomeKind::StoppedEarly, 1062),
            (OutcomeKind::Scored, 316),
        ] {
            state.counts.add(kind, count, &StageTimes::default());
        }
        state
    }

    fn at(columns: usize) -> String {
        let (wide, [first, second]) = compose(state().lines(), columns);
        let bar = if wide { "[bar] " } else { "" };
        format!("{bar}{first}\n{second}")
    }

    #[test]
    fn a_wide_terminal_shows_everything() {
        assert_eq!(
            at(79),
            "[bar] 3:20 left  1387810 explored  1378 proxies  best mIoU 0.1909\n\
             screening  static 1376334  rejected 10098  stopped early 1062  scored 316"
        );
    }

    #[test]
    fn a_narrow_terminal_shows_what_matters_most() {
        assert_eq!(
            at(50),
            "3:20 left  1378 proxies  best mIoU 0.1909\n\
             screening  stopped early 1062  scored 316"
        );
        assert_eq!(at(39), "3:20 left  best mIoU 0.1909\nscreening  scored 316");
        assert_eq!(at(19), "best mIoU 0.1909\nscreening");
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for columns in 1..100 {
            let (_, lines) = compose(state().lines(), columns);
            for line in lines {
                assert!(line.chars().count() <= columns, "{line:?} in {columns}");
            }
        }
    }

    #[test]
    fn outcomes_that_never_came_take_no_room() {
        let state = State::new(Budget::default(), "mIoU", None, 0.0);
        let (_, [first, second]) = compose(state.lines(), 79);
        assert_eq!(first, "? left  0 explored  0 proxies  best mIoU none yet");
        assert_eq!(second, "screening");
    }
}
