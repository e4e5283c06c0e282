use std::path::Path;

use super::support::{config, whole_run};

/// One seed, one trace, byte for byte, of evolution as the paper has it, without mutations of ours. Set `AUTOLOSS_BLESS=1` to write it anew after a deliberate
/// change of how candidates are made.
#[test]
fn one_seed_gives_one_trace() {
    let mut settings = config(700);
    (settings.evolution.addition, settings.evolution.adaptive) = (0.0, false);
    settings.evolution.parsimony = 0.0;
    (settings.proxy.pruning.share, settings.proxy.pruning.history) = (0.4, 20);
    let (_, trace) = whole_run(1, &settings);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/search/golden-trace.txt");
    if std::env::var_os("AUTOLOSS_BLESS").is_some() {
        std::fs::write(&path, &trace).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap();
    for (ours, theirs) in trace.lines().zip(golden.lines()) {
        assert_eq!(
            ours, theirs,
            "the first line that differs from the golden trace"
        );
    }
    assert_eq!(trace, golden);
}

#[test]
fn the_trace_repeats_and_another_seed_gives_another() {
    let settings = config(150);
    let (_, first) = whole_run(1, &settings);
    assert_eq!(first, whole_run(1, &settings).1);
    let other = autoloss_search::SearchConfig {
        seed: 8,
        ..settings
    };
    assert_ne!(first, whole_run(1, &other).1);
}
