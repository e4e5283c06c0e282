//! The progress bar of a search.

use autoloss_search::{Budget, Counts, Event, Observer, VerdictKind};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Between two lines where standard error is no terminal.
pub(crate) const LINE_EVERY: Duration = Duration::from_secs(10);

/// Shows a search as it goes: a bar on a terminal, a line now and then in a log file.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    budget: Budget,
    counts: Counts,
    best: Option<f64>,
    score: String,
    activity: &'static str,
    before: f64,
    started: Instant,
    lined: Instant,
}

impl Progress {
    /// `before` is what earlier sessions of the run have taken, in seconds.
    pub(crate) fn new(budget: Budget, score: &str, best: Option<f64>, before: f64) -> Self {
        let bar = visible_bar(1000);
        Self {
            bar,
            budget,
            counts: Counts::default(),
            best,
            score: score.to_owned(),
            activity: "screening",
            before,
            started: Instant::now(),
            lined: Instant::now(),
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
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

    /// What matters most, short enough for 80 columns.
    fn headline(&self) -> String {
        let best = self
            .best
            .map_or("none yet".to_owned(), |best| format!("{best:.4}"));
        let used = self.used();
        let left = if used > 0.0 {
            clock(self.elapsed() * (1.0 / used - 1.0))
        } else {
            "?".to_owned()
        };
        format!(
            "{left} left  {} explored  {} proxies  best {} {best}",
            self.counts.explored(),
            self.counts.proxies(),
            self.score,
        )
    }

    fn details(&self) -> String {
        let of = |kind| self.counts.of(kind);
        format!(
            "{}  static {}  duplicate {}  non-finite {}  zero {}  equivalent {}  rejected {}  \
             scored {}  invalid {}",
            self.activity,
            of(VerdictKind::Static),
            of(VerdictKind::Duplicate),
            of(VerdictKind::NonFinite),
            of(VerdictKind::ZeroGradient),
            of(VerdictKind::Equivalent),
            of(VerdictKind::Rejected),
            of(VerdictKind::Scored),
            of(VerdictKind::InvalidTraining),
        )
    }

    fn draw(&mut self) {
        if let Some(bar) = &self.bar {
            bar.set_position((self.used() * 1000.0) as u64);
            bar.set_prefix(self.headline());
            bar.set_message(self.details());
        } else if shown() && self.lined.elapsed() >= LINE_EVERY {
            self.lined = Instant::now();
            eprintln!("{} | {}", self.headline(), self.details());
        }
    }
}

impl Observer for Progress {
    fn observe(&mut self, event: &Event<'_>) {
        match event {
            Event::Explored { counts, .. } => self.counts = **counts,
            Event::EvaluationStarted { .. } => self.activity = "training",
            Event::EvaluationFinished { .. } => self.activity = "screening",
            Event::Improved { best } => self.best = Some(best.score),
            _ => {}
        }
        self.draw();
    }
}

/// Whether progress is wanted at all.
pub(crate) fn shown() -> bool {
    tracing::level_filters::LevelFilter::current() >= tracing::level_filters::LevelFilter::WARN
}

/// A bar on standard error, where that is a terminal and progress is wanted.
pub(crate) fn visible_bar(length: u64) -> Option<ProgressBar> {
    (shown() && std::io::stderr().is_terminal()).then(|| {
        let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{bar:12} {prefix}\n{wide_msg}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.enable_steady_tick(Duration::from_millis(250));
        bar
    })
}

/// Seconds as minutes and seconds.
pub(crate) fn clock(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    match whole {
        0..3600 => format!("{}:{:02}", whole / 60, whole % 60),
        _ => format!("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks() {
        assert_eq!(clock(61.4), "1:01");
        assert_eq!(clock(3725.0), "1:02:05");
        assert_eq!(clock(-1.0), "0:00");
    }
}
