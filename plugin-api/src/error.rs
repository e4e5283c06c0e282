//! Errors of plugin code.
//!
//! An author's functions meet errors of many crates, so the error type is the boxed one that `?`
//! turns anything into; only its message crosses the boundary.

/// Any error, as `?` makes it.
pub type Error = Box<dyn std::error::Error + Send + Sync + 'static>;

/// What the methods of a plugin return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The message of an error and of its causes on one line, without the C++ backtrace that libtorch
/// appends to its own.
///
/// ```
/// let error: autoloss_plugin_api::Error = "shapes differ\nException raised from f at x.cpp".into();
/// assert_eq!(autoloss_plugin_api::brief(&*error), "shapes differ");
/// ```
pub fn brief(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(current) = next {
        let message = current.to_string();
        let message = without_backtrace(&message);
        // Many errors repeat their source in their own message.
        if !text.contains(message) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(message);
        }
        next = current.source();
    }
    text
}

/// What libtorch says before its backtrace in C++.
pub(crate) fn without_backtrace(message: &str) -> &str {
    let end = message
        .find("Exception raised from")
        .unwrap_or(message.len());
    message[..end].trim_end()
}
