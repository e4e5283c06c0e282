//! The page's style and scripts, and the policy that lets a browser run these and nothing else. Each is
//! allowed by its hash, so that no markup that might slip into the page could run or load anything.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// The style sheet.
pub(crate) const STYLE: &str = include_str!("../assets/page.css");

/// The scripts in the order they run: two libraries, then ours, each file a unit of its own.
pub(crate) const SCRIPTS: [&str; 5] = [
    include_str!("../assets/vendor/d3.min.js"),
    include_str!("../assets/vendor/plot.umd.min.js"),
    include_str!("../assets/charts.js"),
    include_str!("../assets/page.js"),
    include_str!("../assets/live.js"),
];

/// The style that Observable Plot puts into each chart, letter for letter.
const PLOT_STYLE: &str = ":where(.plot-d6a7b5) {
  --plot-background: white;
  display: block;
  height: auto;
  height: intrinsic;
  max-width: 100%;
}
:where(.plot-d6a7b5 text),
:where(.plot-d6a7b5 tspan) {
  white-space: pre;
}";

/// The content security policy of a file, and of a page that fetches what changed from its own server.
pub(crate) fn policy(live: bool) -> &'static str {
    static POLICIES: LazyLock<[String; 2]> = LazyLock::new(|| [false, true].map(written));
    &POLICIES[usize::from(live)]
}

fn written(live: bool) -> String {
    let scripts: Vec<String> = SCRIPTS.iter().map(|script| hash(script)).collect();
    let connect = if live { "; connect-src 'self'" } else { "" };
    format!(
        "default-src 'none'; script-src {}; style-src {} {}; img-src data:; base-uri 'none'; \
         form-action 'none'{connect}",
        scripts.join(" "),
        hash(STYLE),
        hash(PLOT_STYLE)
    )
}

fn hash(text: &str) -> String {
    format!(
        "'sha256-{}'",
        STANDARD.encode(Sha256::digest(text.as_bytes()))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_can_stand_within_a_page_and_the_policy_lets_nothing_else() {
        for text in SCRIPTS.iter().chain([&STYLE]) {
            let lower = text.to_lowercase();
            assert!(
                !lower.contains("</script")
                    && !lower.contains("</style")
                    && !lower.contains("<!--")
            );
        }
        assert!(SCRIPTS[1].contains("plot-d6a7b5"));
        for live in [false, true] {
            let policy = policy(live);
            assert!(policy.starts_with("default-src 'none'; script-src 'sha256-"));
            assert!(
                !policy.contains("unsafe") && !policy.contains("http") && !policy.contains('*')
            );
            assert_eq!(policy.contains("connect-src"), live);
        }
    }
}
