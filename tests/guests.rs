//! Plugins beside each other: a network and a metric of one serve a task of the other, and what a
//! plugin logs reaches the host.

use autoloss_tests::host::{misbehaving, run, voc_seg, with_plugins};

const GUEST: [&str; 8] = [
    "evaluate",
    "ce",
    "--task",
    "voc_seg",
    "--network",
    "guest",
    "--set",
    "proxy.budget.steps=3",
];

#[test]
fn a_network_and_a_metric_of_one_plugin_serve_the_task_of_another() {
    let command = [&GUEST[..], &["--json"]].concat();
    let both = run(&mut with_plugins(&command, &[&voc_seg(), &misbehaving()])).json();
    let scores = &both["rows"][0]["scores"][0];
    for score in ["mIoU", "BF1", "guestAcc"] {
        let value = scores[score].as_f64();
        assert!(
            value.is_some_and(|value| (0.0..=1.0).contains(&value)),
            "{score}: {scores}"
        );
    }
    // Void pixels count in the one and not in the other.
    assert!(
        scores["guestAcc"].as_f64() < scores["gAcc"].as_f64(),
        "{scores}"
    );
}

#[test]
fn without_the_second_plugin_its_network_is_unknown() {
    run(&mut with_plugins(&GUEST, &[&voc_seg()])).failed(&["network 'guest'", "unet_tiny"]);
}

#[test]
fn what_a_plugin_logs_is_seen_where_it_is_asked_for() {
    let logged = "opened the patches seed=5";
    let check = ["check", "ce", "--seed", "5", "--set", "screening.steps=2"];
    let quiet = run(&mut with_plugins(&check, &[&misbehaving()]));
    assert!(
        !quiet.succeeded().stderr.contains(logged),
        "{}",
        quiet.stderr
    );
    let loud = run(&mut with_plugins(
        &[&check[..], &["-v"]].concat(),
        &[&misbehaving()],
    ));
    assert!(loud.succeeded().stderr.contains(logged), "{}", loud.stderr);
}
