//! Names in Python files: words of the language and names that are taken are stepped aside from.

use std::collections::BTreeSet;

/// Words that cannot be names, or that code below would no longer mean the same with.
const RESERVED: &[&str] = &[
    "False",
    "None",
    "True",
    "and",
    "as",
    "assert",
    "async",
    "await",
    "break",
    "case",
    "class",
    "continue",
    "def",
    "del",
    "elif",
    "else",
    "except",
    "finally",
    "for",
    "from",
    "global",
    "if",
    "import",
    "in",
    "is",
    "lambda",
    "match",
    "nonlocal",
    "not",
    "or",
    "pass",
    "print",
    "raise",
    "return",
    "try",
    "type",
    "while",
    "with",
    "yield",
    "ValueError",
    "TypeError",
    "super",
    "float",
    "int",
    "str",
];

/// Names that are taken.
pub(super) struct Names {
    taken: BTreeSet<String>,
}

impl Names {
    pub(super) fn new(taken: &[&str]) -> Self {
        let all = taken.iter().chain(RESERVED);
        Self {
            taken: all.map(|name| (*name).to_owned()).collect(),
        }
    }

    /// The name, or one like it that is free. Names that begin with `_` are those of helpers.
    pub(super) fn unique(&mut self, name: &str) -> String {
        let name = match name.trim_start_matches('_') {
            "" => "x",
            name => name,
        };
        let mut free = name.to_owned();
        let mut number = 2;
        while self.taken.contains(&free) {
            free = format!("{name}_{number}");
            number += 1;
        }
        self.taken.insert(free.clone());
        free
    }
}

/// A name of any origin as that of a class.
pub(super) fn camel(name: &str, otherwise: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric());
    let capital = |word: &str| {
        let (first, rest) = word.split_at(word.len().min(1));
        format!("{}{rest}", first.to_ascii_uppercase())
    };
    let joined: String = words.map(capital).take(8).collect();
    match joined.starts_with(|c: char| c.is_ascii_alphabetic()) {
        true => joined,
        false => format!("{otherwise}{joined}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taken_names_are_stepped_aside_from() {
        let mut names = Names::new(&["torch"]);
        let found = ["lambda", "torch", "y", "y", "_log", "1"].map(|name| names.unique(name));
        assert_eq!(found, ["lambda_2", "torch_2", "y", "y_2", "log", "1"]);
    }

    #[test]
    fn classes_have_names_of_classes() {
        for (name, class) in [
            ("seg", "Seg"),
            ("rpn_cls", "RpnCls"),
            ("", "Task"),
            ("3d", "Task3d"),
            ("__", "Task"),
            ("\"); import os #", "ImportOs"),
            ("ŷ", "Task"),
        ] {
            assert_eq!(camel(name, "Task"), class, "{name}");
        }
    }
}
