//! A plugin that panics, fails or answers wrongly is an error that names the plugin and the method;
//! the host never panics, hangs or dies of it.

use autoloss_tests::{Finished, run};

const SMALL: [&str; 8] = [
    "--plugin",
    "libmisbehaving.so",
    "--set",
    "proxy.budget.steps=3",
    "--set",
    "proxy.budget.warmup_steps=1",
    "--set",
    "screening.steps=3",
];

fn with_fault(fault: &str, command: &[&str]) -> Finished {
    let arguments: Vec<&str> = command.iter().chain(&SMALL).copied().collect();
    run(&arguments, &[("AUTOLOSS_TEST_FAULT", fault)])
}

/// The command in which a method is reached.
fn reaching(method: &str) -> [&'static str; 2] {
    match method {
        "Task::screening_samples" | "Metric::screen" => ["check", "ce"],
        "Task::reference_loss" => ["evaluate", "own"],
        _ => ["evaluate", "ce"],
    }
}

const METHODS: [&str; 11] = [
    "Task::open",
    "Task::len",
    "Task::batch",
    "Task::screening_samples",
    "Task::reference_loss",
    "ProxyNetwork::build",
    "ProxyNetwork::forward",
    "ProxyNetwork::predict",
    "Metric::create",
    "Metric::update",
    "Metric::compute",
];

#[test]
fn without_a_fault_all_is_well() {
    for command in [["check", "ce"], ["evaluate", "own"], ["evaluate", "ce"]] {
        let finished = with_fault("", &command);
        assert_eq!(finished.code, Some(0), "{}", finished.err);
    }
}

#[test]
fn a_panic_in_any_method_is_an_error() {
    for method in METHODS
        .iter()
        .chain(&["Metric::screen", "ProxyNetwork::parameters"])
    {
        let finished = with_fault(&format!("panic:{method}"), &reaching(method));
        let message = finished.failure();
        println!("{message}");
        assert!(
            message.starts_with("plugin 'misbehaving' panicked in "),
            "{message}"
        );
        let text = format!("{method}: the dog ate it in {method} at tests/plugins/misbehaving/");
        assert!(message.contains(&text), "{message}");
    }
}

#[test]
fn panics_without_text_and_with_hostile_payloads_are_errors_too() {
    for fault in [
        "wordless:Task::batch",
        "bomb:Task::batch",
        "bomb:ProxyNetwork::forward",
    ] {
        let finished = with_fault(fault, &["evaluate", "ce"]);
        assert!(
            finished.failure().contains("a panic without text"),
            "{fault}"
        );
    }
    for fault in [
        "panic:Task::drop",
        "bomb:ProxyNetwork::drop",
        "bomb:Metric::drop",
    ] {
        assert_eq!(
            with_fault(fault, &["evaluate", "ce"]).code,
            Some(0),
            "{fault}"
        );
    }
}

#[test]
fn an_error_of_any_method_keeps_its_text() {
    for method in METHODS {
        let finished = with_fault(&format!("error:{method}"), &reaching(method));
        let message = finished.failure();
        let text = format!("plugin 'misbehaving' failed in {method}: the dog ate it in {method}");
        assert_eq!(message, text);
    }
}

#[test]
fn a_panic_while_describing_is_an_error() {
    for method in ["Task::info", "ProxyNetwork::info", "Metric::info"] {
        let finished = with_fault(&format!("panic:{method}"), &["evaluate", "ce"]);
        assert!(
            finished.failure().contains("panicked in registration"),
            "{method}"
        );
    }
}

/// Fault, where it shows, words of the message.
const WRONG_ANSWERS: [(&str, [&str; 2], &str); 28] = [
    (
        "batch:one_more",
        ["evaluate", "ce"],
        "Task::batch: 'image' has shape",
    ),
    (
        "batch:fewer_labels",
        ["evaluate", "ce"],
        "Task::batch: 'labels' has shape",
    ),
    (
        "batch:nan",
        ["evaluate", "ce"],
        "Task::batch: 'image' is not finite",
    ),
    (
        "batch:undefined",
        ["evaluate", "ce"],
        "Task::batch: it sent an undefined tensor",
    ),
    (
        "batch:no_inputs",
        ["evaluate", "ce"],
        "Task::batch: the batch has no input",
    ),
    (
        "empty_split:train",
        ["evaluate", "ce"],
        "the train split is empty",
    ),
    (
        "empty_split:test",
        ["evaluate", "ce"],
        "the test split is empty",
    ),
    (
        "forward:other_branch",
        ["evaluate", "ce"],
        "no inputs for branch 'map'",
    ),
    ("forward:no_y", ["evaluate", "ce"], "no tensor is named 'y'"),
    (
        "forward:narrow_y",
        ["evaluate", "ce"],
        "'y' of branch 'map' has shape",
    ),
    (
        "forward:flat",
        ["evaluate", "ce"],
        "inputs are (N, C, H, W)",
    ),
    ("forward:empty", ["evaluate", "ce"], "not empty"),
    ("forward:nan", ["evaluate", "ce"], "'yhat' is not finite"),
    (
        "forward:detached",
        ["evaluate", "ce"],
        "'yhat' of branch 'map' has no gradient",
    ),
    (
        "parameters:none",
        ["evaluate", "ce"],
        "the network has no parameters",
    ),
    (
        "parameters:twins",
        ["evaluate", "ce"],
        "two parameters are named",
    ),
    (
        "parameters:detached",
        ["evaluate", "ce"],
        "records no gradient",
    ),
    (
        "predict:undefined",
        ["evaluate", "ce"],
        "an undefined tensor",
    ),
    (
        "predict:other_name",
        ["evaluate", "ce"],
        "no tensor is named 'labels'",
    ),
    (
        "compute:nan",
        ["evaluate", "ce"],
        "'mIoU' of 'agreement' is not finite",
    ),
    (
        "compute:missing",
        ["evaluate", "ce"],
        "'mIoU' of 'agreement' is missing",
    ),
    ("reference:map", ["evaluate", "own"], "a loss of shape"),
    (
        "reference:detached",
        ["evaluate", "own"],
        "the loss has no gradient",
    ),
    ("screening:other_count", ["check", "ce"], "for 5 samples"),
    ("screening:smaller_y", ["check", "ce"], "'y' has shape"),
    ("screening:nan", ["check", "ce"], "'y' is not finite"),
    ("screening:wide_valid", ["check", "ce"], "'valid' has shape"),
    ("screen:fewer", ["check", "ce"], "4 scores for 5 samples"),
];

#[test]
fn wrong_answers_are_errors_that_say_what_is_wrong() {
    for (fault, command, words) in WRONG_ANSWERS {
        let finished = with_fault(fault, &command);
        let message = finished.failure();
        println!("{fault}: {message}");
        assert!(
            message.contains(words),
            "{fault}: {words:?} is not in {message:?}"
        );
        assert!(message.contains("misbehaving"), "{message}");
    }
}

#[test]
fn gradients_that_a_plugin_switches_off_are_on_again_for_the_host() {
    let finished = with_fault("forward:gradients_off", &["evaluate", "ce"]);
    assert_eq!(finished.code, Some(0), "{}", finished.err);
}
