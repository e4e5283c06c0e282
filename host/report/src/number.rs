//! Numbers and foreign names as a reader wants them. Foreign text may hold characters that reorder or
//! hide what stands around them; those are written out as their code, which no markup escape would do.

/// A measured value with about four significant digits.
pub(crate) fn value(x: f64) -> String {
    fixed(x, decimals(x))
}

/// Mean and standard deviation with the same number of decimals.
pub(crate) fn spread(mean: f64, deviation: Option<f64>) -> String {
    let Some(deviation) = deviation else {
        return value(mean);
    };
    let places = match decimals(mean) {
        Some(places) if mean == 0.0 => decimals(deviation).unwrap_or(places),
        Some(places) => places,
        None => return format!("{} ± {}", value(mean), value(deviation)),
    };
    format!(
        "{} ± {}",
        fixed(mean, Some(places)),
        fixed(deviation, Some(places))
    )
}

/// A difference with its sign.
pub(crate) fn signed(x: f64) -> String {
    match value(x) {
        text if x > 0.0 => format!("+{text}"),
        text => text,
    }
}

/// A p-value; tiny ones only as that.
pub(crate) fn probability(p: f64) -> String {
    if p < 0.001 {
        "< 0.001".to_owned()
    } else {
        format!("{p:.3}")
    }
}

/// Decimals that leave four significant digits; none where only an exponent is readable.
fn decimals(x: f64) -> Option<usize> {
    let size = x.abs();
    if size == 0.0 {
        return Some(0);
    }
    if !(1e-4..1e6).contains(&size) {
        return None;
    }
    let leading = size.log10().floor() as i32;
    Some((3 - leading).clamp(0, 7) as usize)
}

fn fixed(x: f64, decimals: Option<usize>) -> String {
    let text = match decimals {
        _ if !x.is_finite() => return "–".to_owned(),
        Some(places) => format!("{x:.places$}"),
        None => format!("{x:.2e}"),
    };
    text.replace('-', "−")
}

/// A count with its thousands apart.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A part of a whole in per cent.
pub(crate) fn share(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "–".to_owned();
    }
    let percent = 100.0 * part as f64 / whole as f64;
    match percent {
        p if part > 0 && p < 0.01 => "< 0.01 %".to_owned(),
        p if p < 1.0 => format!("{p:.2} %"),
        p => format!("{p:.1} %"),
    }
}

/// A time span in the two largest units that matter.
pub(crate) fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "–".to_owned();
    }
    let whole = seconds.round() as u64;
    match whole {
        _ if seconds == 0.0 => "0 s".to_owned(),
        _ if seconds < 0.001 => "< 1 ms".to_owned(),
        _ if seconds < 1.0 => format!("{:.0} ms", seconds * 1e3),
        0..10 => format!("{seconds:.1} s"),
        10..60 => format!("{whole} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        3600..86_400 => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
        _ => format!("{} d {:02} h", whole / 86_400, whole % 86_400 / 3600),
    }
}

/// A moment in UTC: machine-readable, and for people.
pub(crate) fn moment(seconds_since_1970: u64) -> Option<(String, String)> {
    let seconds = i64::try_from(seconds_since_1970).ok()?;
    let at = jiff::Timestamp::from_second(seconds).ok()?;
    Some((
        at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        at.strftime("%Y-%m-%d %H:%M UTC").to_string(),
    ))
}

/// Longest foreign name that is shown whole, in characters.
const LONGEST_NAME: usize = 160;

/// Foreign text that may be shown: control characters and those that change the direction of writing are
/// spelt as `\u{202e}`, and what is too long is cut.
pub(crate) fn shown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.chars().enumerate() {
        if at == LONGEST_NAME {
            out.push('…');
            break;
        }
        match c {
            '\n' | '\t' => out.push(' '),
            c if c.is_control() || is_invisible(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    out
}

/// As [`shown`], with lines kept and nothing cut.
pub(crate) fn shown_lines(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => out.push(c),
            c if c.is_control() || is_invisible(c) => out.extend(c.escape_unicode()),
            c => out.push(c),
        }
    }
    out
}

/// Marks of direction, isolates, joiners and fillers that show nothing of themselves.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{061c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_four_significant_digits() {
        for (x, text) in [
            (0.166_252, "0.1663"),
            (0.000_247, "0.0002470"),
            (12.345_6, "12.35"),
            (-0.5, "−0.5000"),
            (123_456.7, "123457"),
            (2.5e-7, "2.50e−7"),
            (0.0, "0"),
            (f64::NAN, "–"),
        ] {
            assert_eq!(value(x), text);
        }
        assert_eq!(spread(0.1673, Some(0.002_96)), "0.1673 ± 0.0030");
        assert_eq!(spread(0.0, Some(0.0)), "0 ± 0");
        assert_eq!(signed(0.02), "+0.02000");
        assert_eq!(probability(0.0001), "< 0.001");
    }

    #[test]
    fn counts_spans_and_moments() {
        assert_eq!(count(1_500_000), "1,500,000");
        assert_eq!(count(12), "12");
        assert_eq!(share(1, 1_000_000), "< 0.01 %");
        assert_eq!(share(0, 5), "0.00 %");
        for (seconds, text) in [
            (0.0, "0 s"),
            (0.000_2, "< 1 ms"),
            (0.25, "250 ms"),
            (9.96, "10 s"),
            (3.21, "3.2 s"),
            (1872.4, "31 min 12 s"),
            (7260.0, "2 h 01 min"),
            (90_000.0, "1 d 01 h"),
        ] {
            assert_eq!(duration(seconds), text);
        }
        let (iso, shown) = moment(1_795_503_661).unwrap();
        assert_eq!(
            (iso.as_str(), shown.as_str()),
            ("2026-11-24T07:01:01Z", "2026-11-24 07:01 UTC")
        );
        assert_eq!(moment(u64::MAX), None);
    }

    #[test]
    fn foreign_text_cannot_reorder_the_page() {
        assert_eq!(shown("a\u{202e}b\0"), "a\\u{202e}b\\u{0}");
        assert_eq!(shown("ŷ <b>\n"), "ŷ <b> ");
        assert_eq!(shown(&"x".repeat(900)).chars().count(), 161);
        assert_eq!(shown_lines("a\nb\u{2066}"), "a\nb\\u{2066}");
    }
}
