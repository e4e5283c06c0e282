//! Every message between host and plugin, as JSON. A change here is a change of the interface.

#![allow(clippy::unwrap_used, reason = "a message that does not encode fails")]

use autoloss_plugin_api::boundary::{
    Call, Create, MetricRequest, MetricResponse, NetworkRequest, NetworkResponse, Request,
    ScreeningMetricRequest, ScreeningMetricResponse, TaskRequest, TaskResponse, capabilities,
};
use autoloss_plugin_api::{
    Activation, BatchRequest, BranchInfo, InputInfo, MetricInfo, MetricOptions, Mode, NetworkInfo,
    NetworkOptions, PluginInfo, ReferenceLoss, ScreeningMetricInfo, ScreeningRequest, Split,
    TaskInfo, TaskOptions, Values, serde_json,
};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap()
}

/// One request for each method.
fn calls() -> Vec<(&'static str, Call)> {
    fn call<R: Request + Into<Call>>(request: R) -> (&'static str, Call) {
        (request.method(), request.into())
    }
    vec![
        call(TaskRequest::Attributes),
        call(TaskRequest::Remarks),
        call(TaskRequest::Check(Split::Reward)),
        call(TaskRequest::Files(Split::Reward)),
        call(TaskRequest::Len(Split::Train)),
        call(TaskRequest::Groups(Split::Reward)),
        call(TaskRequest::Shapes(Split::Reward)),
        call(TaskRequest::Views),
        call(TaskRequest::Batch(BatchRequest {
            split: Split::Selection,
            indices: vec![3, 4],
            augment: Some(5),
            view: None,
        })),
        call(TaskRequest::ConstantPredictions {
            inputs: names(&["image"]),
            targets: names(&["labels"]),
        }),
        call(TaskRequest::ScreeningSamples(ScreeningRequest {
            branch: "seg".into(),
            samples: 5,
            size: 32,
            seed: 1,
        })),
        call(TaskRequest::WriteData("/tmp/data".into())),
        call(TaskRequest::Draw {
            inputs: names(&["image"]),
            targets: names(&["labels"]),
            predictions: Some(names(&["labels"])),
        }),
        call(TaskRequest::ReferenceLoss {
            name: "dice".into(),
            branch: "seg".into(),
            inputs: names(&["yhat", "y"]),
        }),
        call(NetworkRequest::FrozenFeatures {
            inputs: names(&["image"]),
        }),
        call(NetworkRequest::Forward {
            inputs: names(&["image"]),
            targets: names(&["labels"]),
            mode: Mode::Train,
        }),
        call(NetworkRequest::Predict {
            inputs: names(&["image"]),
        }),
        call(NetworkRequest::Parameters),
        call(NetworkRequest::Buffers),
        call(MetricRequest::Update {
            predictions: names(&["labels"]),
            targets: names(&["labels", "size"]),
        }),
        call(MetricRequest::Compute),
        call(ScreeningMetricRequest::Screen {
            score: "mIoU".into(),
            predictions: names(&["yhat"]),
            targets: names(&["labels"]),
        }),
    ]
}

/// One response for each method, by kind.
fn responses() -> Vec<(&'static str, String)> {
    let facts = BTreeMap::from([("num_classes".to_owned(), 11.into())]);
    vec![
        ("Task", json(&TaskResponse::Attributes(facts))),
        (
            "Task",
            json(&TaskResponse::Remarks(names(&["3 samples were skipped"]))),
        ),
        (
            "Task",
            json(&TaskResponse::Check(names(&[
                "half of the pixels are void",
            ]))),
        ),
        (
            "Task",
            json(&TaskResponse::Files(vec!["/data/a.jpg".into()])),
        ),
        ("Task", json(&TaskResponse::Len(64))),
        ("Task", json(&TaskResponse::Groups(vec![0, 1]))),
        ("Task", json(&TaskResponse::Shapes(vec![1, 0]))),
        ("Task", json(&TaskResponse::Views(2))),
        (
            "Task",
            json(&TaskResponse::Batch {
                inputs: names(&["image"]),
                targets: names(&["labels"]),
            }),
        ),
        (
            "Task",
            json(&TaskResponse::ConstantPredictions(vec![names(&["labels"])])),
        ),
        (
            "Task",
            json(&TaskResponse::ScreeningSamples {
                shape: [5, 11, 32, 32],
                fixed: names(&["y"]),
                targets: names(&["labels"]),
                valid: true,
            }),
        ),
        ("Task", json(&TaskResponse::WriteData("64 maps".into()))),
        ("Task", json(&TaskResponse::Draw(names(&["truth"])))),
        ("Task", json(&TaskResponse::ReferenceLoss)),
        (
            "ProxyNetwork",
            json(&NetworkResponse::FrozenFeatures(names(&["quarter"]))),
        ),
        (
            "ProxyNetwork",
            json(&NetworkResponse::Forward(vec![(
                "seg".into(),
                names(&["yhat", "y"]),
            )])),
        ),
        (
            "ProxyNetwork",
            json(&NetworkResponse::Predict(names(&["labels"]))),
        ),
        (
            "ProxyNetwork",
            json(&NetworkResponse::Parameters(vec![("weight".into(), true)])),
        ),
        (
            "ProxyNetwork",
            json(&NetworkResponse::Buffers(names(&["mean"]))),
        ),
        ("Metric", json(&MetricResponse::Update)),
        (
            "Metric",
            json(&MetricResponse::Compute(vec![
                ("mIoU".into(), Some(0.25)),
                ("F1".into(), None),
            ])),
        ),
        (
            "ScreeningMetric",
            json(&ScreeningMetricResponse::Screen(vec![Some(1.0), None])),
        ),
    ]
}

fn task() -> TaskInfo {
    let branch = BranchInfo::new("seg", Activation::Softmax, "mIoU").inputs([
        InputInfo::prediction("yhat")
            .with_constant_channel_mean()
            .with_values(Values::Nonnegative),
        InputInfo::target("y").with_values(Values::Binary),
    ]);
    TaskInfo::new("t", "A task")
        .branches([branch.set_valued()])
        .default_network("n")
        .default_score("mIoU")
        .reference_losses([ReferenceLoss::new("ce", "cross entropy")
            .formula("seg", "neg(mul(y, log(yhat)))")
            .only(["seg"])])
        .attributes([("num_classes", 11)])
        .defaults([("proxy.budget.steps", 120)])
}

fn creations() -> [Create; 4] {
    let metric = || Box::new(MetricOptions { task: task() });
    let options = TaskOptions {
        data: Some("/data".into()),
        seed: 7,
        skip_bad: true,
        settings: [("size".into(), 64.into())].into_iter().collect(),
    };
    let network = NetworkOptions {
        task: task(),
        device: "cuda:0".into(),
        seed: 9,
        weights: None,
        settings: autoloss_plugin_api::Settings::default(),
    };
    [
        Create::Task("t".into(), options),
        Create::Network("n".into(), Box::new(network)),
        Create::Metric("m".into(), metric()),
        Create::ScreeningMetric("s".into(), metric()),
    ]
}

#[test]
fn there_is_an_example_of_every_message() {
    let called: BTreeSet<String> = calls().iter().map(|(name, _)| (*name).into()).collect();
    let answered = responses().into_iter().map(|(kind, json)| {
        // {"len": …} or "compute"
        let name = json.split('"').nth(1).unwrap();
        format!("{kind}::{name}")
    });
    let known: BTreeSet<String> = capabilities().map(str::to_owned).collect();
    assert_eq!(called, known);
    assert_eq!(answered.collect::<BTreeSet<_>>(), known);
}

#[test]
fn the_messages_are_as_they_were() {
    let mut info = PluginInfo::new("p", "1.2.3");
    info.tasks.push(task());
    info.networks
        .push(NetworkInfo::new("n", "A network", ["t"]));
    let metric = MetricInfo::new("m", ["mIoU", "F1"]).tasks(["t"]);
    info.metrics.push(metric.optional(["F1"]));
    info.screening_metrics
        .push(ScreeningMetricInfo::new("s", ["mIoU"]).tasks(["t"]));
    info.capabilities = capabilities().map(str::to_owned).collect();
    let mut lines = vec![json(&info), String::new()];
    for create in creations() {
        lines.push(format!("{}  {}", create.method(), json(&create)));
    }
    lines.push(String::new());
    for (method, call) in calls() {
        lines.push(format!("{method}  {}", json(&call)));
    }
    lines.push(String::new());
    for (kind, response) in responses() {
        lines.push(format!("{kind}  {response}"));
    }
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn what_is_written_is_read() {
    let read = |text: &str| serde_json::from_str::<Call>(text).map(|call| json(&call));
    for (method, call) in calls() {
        assert_eq!(read(&json(&call)).unwrap(), json(&call), "{method}");
    }
    let error = read(r#"{"network": "len"}"#).unwrap_err().to_string();
    assert!(error.contains("unknown variant `len`"), "{error}");
}
