//! Progress as it is shown: on a terminal two lines that are drawn again and again, in a log file a line
//! now and then, without escape codes.
//!
//! The lines are composed for the width there is at that moment. The bar in front goes before any of
//! their parts does, then the parts by rank.

use crate::terminal::line::{self, Part};
use crate::terminal::logging;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::{Duration, Instant};

/// Between two lines where standard error is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// Columns of the bar itself.
const BAR: usize = 12;

/// What is shown: what matters most, and details.
pub(crate) type Lines = [Vec<Part>; 2];

/// Where progress is shown.
pub(crate) struct Display {
    bar: Option<ProgressBar>,
    /// Whether the bar was drawn beside the first line when it was drawn last.
    wide: Option<bool>,
    lined: Instant,
}

impl Display {
    /// A bar of this length, where standard error is a terminal and progress is wanted.
    pub(crate) fn new(length: u64) -> Self {
        let bar = (shown() && line::columns().is_some()).then(|| {
            let target = ProgressDrawTarget::hidden();
            let bar = logging::show(ProgressBar::with_draw_target(Some(length), target));
            bar.enable_steady_tick(Duration::from_millis(250));
            bar
        });
        Self {
            bar,
            wide: None,
            lined: Instant::now(),
        }
    }

    /// Shows how far it is; the lines are only made where they are shown.
    pub(crate) fn draw(&mut self, position: u64, lines: impl FnOnce() -> Lines) {
        if let Some(bar) = &self.bar {
            let columns = line::columns().unwrap_or(80);
            let (wide, [first, second]) = compose(lines(), columns.saturating_sub(1));
            if self.wide.replace(wide) != Some(wide) {
                bar.set_style(style(wide));
            }
            bar.set_position(position);
            bar.set_prefix(first);
            bar.set_message(second);
        } else if shown() && self.lined.elapsed() >= LINE_EVERY {
            self.lined = Instant::now();
            let [first, second] = lines();
            let (first, second) = (line::whole(&first), line::whole(&second));
            logging::line(&format!("{first} | {second}"));
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// Two lines of at most so many columns, and whether the bar has room before the first.
pub(crate) fn compose([first, second]: Lines, columns: usize) -> (bool, [String; 2]) {
    let wide = line::width(&line::whole(&first)) + BAR < columns;
    let lines = [first, second].map(|parts| line::fit(parts, columns));
    (wide, lines)
}

fn style(wide: bool) -> ProgressStyle {
    let template = if wide {
        format!("{{bar:{BAR}}} {{prefix}}\n{{msg}}")
    } else {
        "{prefix}\n{msg}".to_owned()
    };
    ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// Whether progress is wanted at all.
fn shown() -> bool {
    tracing::level_filters::LevelFilter::current() >= tracing::level_filters::LevelFilter::WARN
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

    #[test]
    fn the_bar_is_drawn_where_the_whole_first_line_fits_beside_it() {
        let lines = || {
            let part = |text: &str| vec![Part::new(0, text.to_owned())];
            [part("0:10 left"), part("training")]
        };
        assert!(compose(lines(), 22).0);
        let (wide, [first, _]) = compose(lines(), 21);
        assert_eq!((wide, first.as_str()), (false, "0:10 left"));
    }
}
