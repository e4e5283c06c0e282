//! Every method of a plugin goes wrong in every way, and the host says which and how.
//!
//! The rule under test: whatever a plugin's code does short of ending the process, the command ends
//! with exit code 1 and one sentence that names the plugin, the method and, for a panic, its text;
//! nothing is reported as a result that was not measured.

#![allow(clippy::unwrap_used, reason = "a failure is a failed test")]

use autoloss_plugin_api::boundary::capabilities;
use autoloss_tests::host::{Ended, host, misbehaving, run, with_plugins};
use autoloss_tests::run::number;

/// What every panic and every error of the plugin says.
const TEXT: &str = "the dog ate it";

#[track_caller]
fn with_fault(command: &[&str], fault: &str) -> Ended {
    let mut host = with_plugins(command, &[&misbehaving()]);
    run(host.env("AUTOLOSS_TEST_FAULT", fault))
}

/// Commands that together call every method of a plugin but [`ALONE`], and the methods that each is
/// here for. OUT stands for a folder of its own.
const CALLS: [(&[&str], &[&str]); 6] = [
    (
        &["evaluate", "ce"],
        &[
            "Task::open",
            "Task::attributes",
            "Task::remarks",
            "Task::check",
            "Task::groups",
            "Task::shapes",
            "Task::len",
            "Task::batch",
            "ProxyNetwork::build",
            "ProxyNetwork::forward",
            "ProxyNetwork::predict",
            "ProxyNetwork::parameters",
            "Metric::create",
            "Metric::update",
            "Metric::compute",
        ],
    ),
    (&["evaluate", "ce"], &FROZEN),
    (&["evaluate", "own"], &["Task::reference_loss"]),
    (
        &["check", "ce"],
        &[
            "Task::screening_samples",
            "ScreeningMetric::create",
            "ScreeningMetric::screen",
        ],
    ),
    (&["write-data", "OUT"], &["Task::write_data"]),
    (
        &[
            "retrain",
            "ce",
            "--out",
            "OUT",
            "--set=retrain.budget.steps=6",
            "--set=retrain.budget.warmup_steps=1",
            "--data",
            "fixtures",
        ],
        &["ProxyNetwork::buffers", "Task::files"],
    ),
];

/// The methods that are called for a network with frozen features, which the fault `frozen` makes.
const FROZEN: [&str; 2] = ["Task::views", "ProxyNetwork::frozen_features"];

/// Their faults cost a search nothing but the pictures, or one candidate; each has a test of its own.
const ALONE: [&str; 2] = ["Task::draw", "Task::constant_predictions"];

/// Methods that can panic and cannot return an error.
const INFALLIBLE: [&str; 4] = [
    "Task::attributes",
    "Task::remarks",
    "ProxyNetwork::parameters",
    "ProxyNetwork::buffers",
];

#[test]
fn the_methods_tested_are_all_that_there_are() {
    let tested = CALLS.iter().flat_map(|(_, methods)| *methods);
    let mut tested: Vec<&str> = tested.copied().chain(ALONE).collect();
    let makers = [
        "Task::open",
        "ProxyNetwork::build",
        "Metric::create",
        "ScreeningMetric::create",
    ];
    let mut known: Vec<&str> = capabilities().chain(makers).collect();
    tested.sort_unstable();
    known.sort_unstable();
    assert_eq!(tested, known);
}

#[track_caller]
fn each_method(kind: &str, judge: impl Fn(&str, &Ended)) {
    for (command, methods) in CALLS {
        for method in methods {
            let folder = tempfile::tempdir().unwrap();
            let out = folder.path().join("out");
            let command = command.iter().map(|&word| match word {
                "OUT" => out.to_str().unwrap(),
                word => word,
            });
            let command: Vec<&str> = command.collect();
            let frozen = if FROZEN.contains(method) {
                "frozen,"
            } else {
                ""
            };
            judge(
                method,
                &with_fault(&command, &format!("{frozen}{kind}:{method}")),
            );
        }
    }
}

#[test]
fn panics_are_reported_with_plugin_method_and_text() {
    each_method("panic", |method, ended| {
        let said = format!("plugin 'misbehaving' panicked in {method}: {TEXT} in {method} at ");
        ended.failed(&[&said, "fault.rs:"]);
    });
}

#[test]
fn errors_are_reported_with_plugin_method_and_text() {
    each_method("error", |method, ended| {
        if !INFALLIBLE.contains(&method) {
            let said = format!("plugin 'misbehaving' failed in {method}: {TEXT} in {method}");
            ended.failed(&[&said]);
        }
    });
}

#[test]
fn panics_while_the_plugin_describes_itself() {
    for method in [
        "Task::info",
        "ProxyNetwork::info",
        "Metric::info",
        "ScreeningMetric::info",
    ] {
        let said = format!("plugin 'misbehaving' panicked in registration: {TEXT} in {method}");
        with_fault(&["inspect"], &format!("panic:{method}")).failed(&[&said]);
    }
}

#[test]
fn panics_without_a_text_are_reported_with_their_place() {
    let ended = with_fault(&["evaluate", "ce"], "wordless:Task::batch");
    ended.failed(&[
        "panicked in Task::batch: a panic without text at ",
        "fault.rs:",
    ]);
}

#[test]
fn payloads_that_panic_when_they_are_dropped() {
    let ended = with_fault(&["evaluate", "ce"], "bomb:Task::batch");
    ended.failed(&["plugin 'misbehaving' panicked in Task::batch"]);
    with_fault(&["evaluate", "ce"], "bomb:Task::drop").succeeded();
}

#[test]
fn panics_in_destructors_cost_nothing() {
    let scores = |fault: &str| with_fault(&["evaluate", "ce", "--json"], fault).json();
    let sound = scores("");
    for method in ["Task::drop", "ProxyNetwork::drop", "Metric::drop"] {
        assert_eq!(scores(&format!("panic:{method}")), sound, "{method}");
    }
    // The first panic is the one to hear of.
    let ended = with_fault(&["evaluate", "ce"], "panic:Task::batch,panic:Task::drop");
    ended.failed(&["panicked in Task::batch: the dog ate it in Task::batch"]);
}

#[test]
fn gradients_left_off_by_the_plugin_are_on_again() {
    let scores =
        |fault: &str| with_fault(&["evaluate", "ce", "--seeds", "2", "--json"], fault).json();
    assert_eq!(scores("forward:gradients_off"), scores(""));
}

#[test]
fn contradictory_declarations() {
    for (fault, part) in [
        (
            "twin_branches",
            "task 'misbehaving' declares two branches named 'map'",
        ),
        ("no_branch", "task 'misbehaving' declares no branch"),
        (
            "defaults:unknown",
            "task 'misbehaving': the default 'proxy.budget.stops' of its plugin",
        ),
        (
            "default_network:unknown",
            "network 'nobody' (there are: pebble)",
        ),
        (
            "default_score:unknown",
            "score 'nobody' (there are: mIoU, accuracy)",
        ),
    ] {
        with_fault(&["evaluate", "ce"], fault).failed(&[part]);
    }
    let ended = with_fault(&["check", "ce"], "screening_score:unknown");
    ended.failed(&["screening score 'beauty' (there are: mIoU)"]);
}

/// One answer that breaks the rules: fault, method to blame, what must be said.
type Broken = (&'static str, &'static str, &'static str);

#[track_caller]
fn broke(command: &[&str], cases: &[Broken]) {
    for (fault, method, said) in cases {
        let blame = format!("plugin 'misbehaving' broke the interface in {method}: ");
        with_fault(command, fault).failed(&[&blame, said]);
    }
}

#[test]
fn a_setting_that_nobody_asks_for_is_misspelt() {
    let words = ["evaluate", "ce", "--set", "task.falt=none"];
    let ended = with_fault(&words, "settings:one");
    ended.failed(&[
        "task 'misbehaving' has no setting 'falt' (there are: fault)",
        "did you mean 'fault'?",
    ]);
    let words = ["evaluate", "ce", "--set", "network.depth=3"];
    with_fault(&words, "none").failed(&["network 'pebble' has no setting 'depth'"]);
}

#[test]
fn batches_that_break_the_rules() {
    let task = "Task::batch";
    broke(
        &["evaluate", "ce"],
        &[
            (
                "batch:one_more",
                task,
                "'image' has shape [9, 3, 8, 8] where 8 samples were asked",
            ),
            (
                "batch:fewer_labels",
                task,
                "'labels' has shape [7, 8, 8] where 8 samples were",
            ),
            ("batch:nan", task, "'image' is not finite"),
            (
                "batch:differs",
                task,
                "have another 'image' the second time; what is random in a batch must follow from the request",
            ),
            ("batch:undefined", task, "it sent an undefined tensor"),
            ("batch:no_inputs", task, "no input tensor"),
            (
                "groups:fewer:train",
                "Task::groups",
                "3 groups for 64 samples of split train",
            ),
            (
                "shapes:fewer:test",
                "Task::shapes",
                "3 shapes for 64 samples of split test",
            ),
            ("empty_split:train", "Task::len", "train"),
            ("empty_split:test", "Task::len", "test"),
        ],
    );
}

#[test]
fn networks_that_break_the_rules() {
    let (forward, parameters) = ("ProxyNetwork::forward", "ProxyNetwork::parameters");
    broke(
        &["evaluate", "ce"],
        &[
            (
                "declared:binary,forward:half_y",
                forward,
                "input 'y' of branch 'map' is declared 0 or 1",
            ),
            (
                "forward:no_softmax",
                forward,
                "is to be what a softmax makes of raw predictions, from 0 to 1",
            ),
            ("forward:sigmoid", forward, "and its channels sum to 1."),
            (
                "parameters:copies",
                parameters,
                "after the first backward pass no parameter has a gradient",
            ),
            (
                "forward:other_branch",
                forward,
                "no inputs for branch 'map'",
            ),
            (
                "forward:no_y",
                forward,
                "branch 'map': no tensor is named 'y' (there are: yhat)",
            ),
            (
                "forward:narrow_y",
                forward,
                "'y' of branch 'map' has shape [8, 3, 8, 4]",
            ),
            (
                "forward:flat",
                forward,
                "has shape [1536]; inputs are (N, C, H, W)",
            ),
            ("forward:empty", forward, "has shape [0, 3, 8, 8]"),
            ("forward:undefined", forward, "it sent an undefined tensor"),
            ("forward:detached", forward, "gradient"),
            (
                "predict:undefined",
                "ProxyNetwork::predict",
                "undefined tensor",
            ),
            ("parameters:none", parameters, "no parameters"),
            (
                "parameters:twins",
                parameters,
                "two parameters are named 'weight'",
            ),
            (
                "parameters:detached",
                parameters,
                "parameter 'bias' records no gradient",
            ),
            ("parameters:undefined", parameters, "undefined tensor"),
        ],
    );
    // What a metric needs only the metric knows.
    let ended = with_fault(&["evaluate", "ce"], "predict:other_name");
    ended.failed(&["failed in Metric::update: no tensor is named 'labels' (there are: guesses)"]);
}

#[test]
fn frozen_features_that_break_the_rules() {
    let method = "ProxyNetwork::frozen_features";
    broke(
        &["evaluate", "ce"],
        &[
            ("frozen,views:none", "Task::views", "no view of a sample"),
            ("frozen,features:none", method, "there are no features"),
            ("frozen,features:nan", method, "'image' is not finite"),
            (
                "frozen,features:one_more",
                method,
                "'image': Float of shape [2, 3, 8, 8], expected floats with 1 samples first",
            ),
            ("frozen,features:whole", method, "'image': Int64 of shape"),
        ],
    );
    with_fault(&["evaluate", "ce"], "frozen,features:large")
        .failed(&["'image' has values beyond ±65504, the range of half precision"]);
    with_fault(&["evaluate", "ce"], "frozen").succeeded();
}

#[test]
fn a_fresh_network_owes_finite_predictions() {
    let cases = [(
        "forward:nan",
        "ProxyNetwork::forward",
        "'yhat' of branch 'map' is not finite",
    )];
    broke(&["evaluate", "ce"], &cases);
}

#[test]
fn metrics_that_break_the_rules() {
    let compute = "Metric::compute";
    broke(
        &["evaluate", "ce"],
        &[
            (
                "compute:nan",
                compute,
                "score 'mIoU' of 'agreement' is not finite",
            ),
            ("compute:missing", compute, "mIoU"),
        ],
    );
    let screen = "ScreeningMetric::screen";
    broke(
        &["check", "ce"],
        &[
            ("screen:fewer", screen, "4 scores for 5 samples"),
            ("screen:nan", screen, "score 'mIoU' is not finite"),
        ],
    );
}

#[test]
fn screening_samples_that_break_the_rules() {
    let samples = "Task::screening_samples";
    broke(
        &["check", "ce"],
        &[
            (
                "screening:other_count",
                samples,
                "shape [6, 3, 8, 8] for 5 samples",
            ),
            ("screening:negative_side", samples, "shape [5, 3, -8, 8]"),
            (
                "screening:smaller_y",
                samples,
                "'y' has shape [5, 3, 8, 4], not [5, 3, 8, 8]",
            ),
            ("screening:nan", samples, "'y' is not finite"),
            (
                "screening:undefined",
                samples,
                "it sent an undefined tensor",
            ),
            ("screening:no_y", samples, "'y'"),
            (
                "screening:few_targets",
                samples,
                "target 'labels' has shape [4, 8, 8] where 5 samples were asked for",
            ),
            (
                "declared:binary,screening:half_y",
                samples,
                "input 'y' of branch 'map' is declared 0 or 1 and holds other values, from 0.0000 to 0.5000",
            ),
            (
                "screening:uneven_y",
                samples,
                "the sum over its channels is declared the same everywhere and is from 1.0000 to 3.0000",
            ),
            (
                "screening:wide_valid",
                samples,
                "'valid' has shape [1, 1, 1, 9]",
            ),
            ("screening:nan_valid", samples, "'valid' is not finite"),
        ],
    );
}

#[test]
fn reference_losses_that_break_the_rules() {
    let method = "Task::reference_loss";
    broke(
        &["evaluate", "own"],
        &[
            ("reference:map", method, "a loss of shape [8, 3, 8, 8]"),
            ("reference:undefined", method, "it sent an undefined tensor"),
            ("reference:detached", method, "gradient"),
        ],
    );
}

#[test]
fn a_training_that_fails_is_told_and_costs_a_search_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let words = ["search", "--max-proxies", "2", "--no-final", "--out"];
    let search = [&words[..], &[out.to_str().unwrap()]].concat();
    let ended = with_fault(&search, "panic:ProxyNetwork::forward");
    assert!(ended.succeeded().stdout.contains("failed 2"), "{ended:#?}");
    let why = "SELECT count(*) FROM evaluations WHERE verdict = 'failed' AND detail LIKE \
               'plugin ''misbehaving'' panicked in ProxyNetwork::forward: the dog ate it%'";
    assert_eq!(number(&out, why), 2.0);
    let listed = run(host(["runs"]).arg(&out));
    assert!(
        listed.succeeded().stdout.contains("2 (2 failed)"),
        "{listed:#?}"
    );
}

#[test]
fn constant_predictions_that_fail_are_told_and_cost_a_search_nothing_else() {
    for (fault, said) in [
        (
            "panic:Task::constant_predictions",
            "panicked in Task::constant_predictions: the dog ate it",
        ),
        (
            "error:Task::constant_predictions",
            "failed in Task::constant_predictions: the dog ate it",
        ),
        ("constant:undefined", "it sent an undefined tensor"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("run");
        let words = ["search", "--max-proxies", "1", "--no-final", "--out"];
        let ended = with_fault(&[&words[..], &[out.to_str().unwrap()]].concat(), fault);
        assert!(ended.succeeded().stdout.contains("failed 1"), "{ended:#?}");
        let why = format!(
            "SELECT count(*) FROM evaluations WHERE verdict = 'failed' AND detail LIKE '%{said}%'"
        );
        assert_eq!(number(&out, &why), 1.0, "{fault}");
    }
}

#[test]
fn pictures_that_cannot_be_drawn_cost_a_search_nothing_else() {
    for (fault, said) in [
        ("panic:Task::draw", "panicked in Task::draw: the dog ate it"),
        ("error:Task::draw", "failed in Task::draw: the dog ate it"),
        ("draw:one_plane", "of shape [1, 1, 8, 8]"),
        ("draw:numbers", "pictures 'truth' of 1 samples: Int64"),
        ("none", ""),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("run");
        let threads = ["--threads", "1", "--max-proxies", "2", "--seed", "1"];
        let search = ["search", "--json", "--out", out.to_str().unwrap()];
        let ended = with_fault(&[&search[..], &threads[..]].concat(), fault);
        let rows = ended.json()["test"].as_array().map_or(0, Vec::len);
        assert!(rows >= 2, "{fault}: {ended:#?}");
        let warned = ended
            .stderr
            .contains("the example predictions are not whole");
        assert_eq!(warned, fault != "none", "{fault}: {}", ended.stderr);
        assert!(ended.stderr.contains(said), "{fault}: {}", ended.stderr);
        let index = out.join("pictures/index.json");
        assert_eq!(index.exists(), fault == "none", "{fault}");
    }
}

#[test]
fn remarks_of_a_task_are_told_by_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let (data, run) = (folder.path().join("data"), folder.path().join("run"));
    let data = data.to_str().unwrap();
    let search = ["search", "--no-final", "--max-proxies", "1", "--out"];
    let search = [&search[..], &[run.to_str().unwrap()]].concat();
    let commands: [&[&str]; 4] = [
        &["evaluate", "ce"],
        &["check", "ce"],
        &["write-data", data],
        &search,
    ];
    for command in commands {
        let ended = with_fault(command, "remarks:few");
        let told = ended.succeeded().stderr.matches("one map is upside down");
        assert_eq!(told.count(), 1, "{command:?}: {ended:#?}");
    }
    let silent = with_fault(&["evaluate", "ce"], "none");
    assert!(!silent.stderr.contains("upside down"), "{silent:#?}");
}

#[test]
fn the_setting_of_the_task_serves_as_well() {
    let plugin = misbehaving();
    let command = [
        "evaluate",
        "ce",
        "--set",
        "task.fault=error:Metric::compute",
    ];
    run(&mut with_plugins(&command, &[&plugin])).failed(&["failed in Metric::compute"]);
}
