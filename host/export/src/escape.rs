//! Text of unknown origin inside generated files.
//!
//! Names and provenance come from whoever wrote a loss file. Whatever they hold, they must stay text:
//! never end a string or a comment, and never change the order in which a line is read.

/// Whether a character shows nothing but may change how others are read: control characters, marks of
/// direction, separators of lines, invisible ones.
pub(crate) fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

/// Text of an element or of a quoted attribute in HTML and XML.
pub(crate) fn xml(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if is_unseen(c) => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// Text on a line of its own or in a comment.
pub(crate) fn shown(text: &str) -> String {
    let visible = |c: char| if is_unseen(c) { '\u{fffd}' } else { c };
    text.chars().map(visible).collect()
}

/// Text inside a string of Python between triple double quotes; printable, with everything else as an
/// escape.
pub(crate) fn python(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '"' => {
                out.push('\\');
                out.push(c);
            }
            c if is_unseen(c) && u32::from(c) > 0xffff => {
                out.push_str(&format!("\\U{:08x}", u32::from(c)));
            }
            c if is_unseen(c) => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_becomes_text() {
        assert_eq!(
            xml("<a b='\"&\u{202e}\n"),
            "&lt;a b=&#39;&quot;&amp;\u{fffd}\u{fffd}"
        );
    }

    #[test]
    fn strings_of_python_stay_strings() {
        assert_eq!(
            python("\"\"\"\\\n\u{202e}<script>-->ŷ"),
            "\\\"\\\"\\\"\\\\\\u000a\\u202e<script>-->ŷ"
        );
        assert_eq!(python("\u{e0041}"), "\\U000e0041");
    }
}
