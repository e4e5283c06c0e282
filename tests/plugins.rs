//! Which libraries are admitted, how they are found, and what is said of names nobody offers.

use autoloss_plugin_api::API_MAJOR;
use autoloss_tests::foreign::{Record, compile};
use autoloss_tests::host::{host, misbehaving, run, voc_seg, with_plugins};
use std::path::Path;

fn inspect(plugins: &[&Path]) -> autoloss_tests::host::Ended {
    run(&mut with_plugins(&["inspect"], plugins))
}

#[test]
fn a_file_that_is_nowhere() {
    let ended = inspect(&[Path::new("/nowhere/libx.so")]);
    ended.failed(&[
        "plugin '/nowhere/libx.so' was not found",
        "looked in: /nowhere/libx.so",
    ]);
    let folder = tempfile::tempdir().unwrap();
    let mut command = with_plugins(&["inspect"], &[Path::new("libx.so")]);
    let ended = run(command.env("AUTOLOSS_PLUGIN_PATH", folder.path()));
    let beside = misbehaving().with_file_name("libx.so");
    let listed = folder.path().join("libx.so");
    let places = [beside.to_str().unwrap(), listed.to_str().unwrap()];
    ended.failed(&[&["plugin 'libx.so' was not found"], &places[..]].concat());
}

#[test]
fn a_folder_is_no_library() {
    let folder = tempfile::tempdir().unwrap();
    inspect(&[folder.path()]).failed(&[folder.path().to_str().unwrap(), "not found"]);
}

#[test]
fn files_that_are_no_libraries() {
    let folder = tempfile::tempdir().unwrap();
    let elf = std::fs::read(misbehaving()).unwrap();
    for (name, bytes) in [
        ("text.so", &b"I am a text, not a library.\n"[..]),
        ("empty.so", b""),
        ("header.so", &elf[..100]),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        inspect(&[&path]).failed(&[path.to_str().unwrap(), "cannot be loaded as a library: "]);
    }
}

#[test]
fn a_library_whose_copying_was_cut_short() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("half.so");
    let whole = std::fs::read(misbehaving()).unwrap();
    for length in [4096, 100_000] {
        std::fs::write(&path, &whole[..length]).unwrap();
        inspect(&[&path]).failed(&[path.to_str().unwrap(), "cannot be loaded as a library: "]);
    }
}

#[test]
fn a_library_that_needs_what_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let source = "extern int nobody_has_this(void); int f(void) { return nobody_has_this(); }";
    let path = compile(folder.path(), "needy", source);
    inspect(&[&path]).failed(&["cannot be loaded as a library", "nobody_has_this"]);
}

#[test]
fn libraries_that_are_no_plugins() {
    let folder = tempfile::tempdir().unwrap();
    let record = Record::of(&misbehaving());
    for path in [
        compile(folder.path(), "other", "int answer(void) { return 42; }"),
        record
            .clone()
            .with_magic(*b"SOMEBODY")
            .compile(folder.path(), "magic"),
        record.with_length(20).compile(folder.path(), "short"),
    ] {
        let part = "is a library but not an autoloss plugin";
        inspect(&[&path]).failed(&[path.to_str().unwrap(), part, "export_plugin!()"]);
    }
}

#[test]
fn plugins_of_another_time() {
    let host = format!("this host has {API_MAJOR}: ");
    let folder = tempfile::tempdir().unwrap();
    let record = Record::of(&misbehaving()).with_name("time-traveller");
    let cases: [(&str, Record, &[&str]); 8] = [
        (
            "major",
            record.clone().with_interface(API_MAJOR + 1, 0),
            &["plugin interface 3 ", &host, "update autoloss-host"],
        ),
        (
            "older",
            record.clone().with_interface(1, 3),
            &[
                "plugin interface 1 (autoloss-plugin-api 0.1.0)",
                &host,
                "rebuild the plugin with this host's autoloss-plugin-api",
            ],
        ),
        (
            "minor",
            // The minor number has no meaning any more; what follows is checked.
            record.clone().with_interface(API_MAJOR, 7),
            &["laid out differently"],
        ),
        (
            "libtorch",
            record.clone().with_libtorch("1.13.1"),
            &["libtorch 1.13.1, this host for ", "rebuild the plugin"],
        ),
        (
            "target",
            record.clone().with_target("pdp11-dec-unix"),
            &[
                "target pdp11-dec-unix, this host for ",
                "rebuild the plugin",
            ],
        ),
        (
            "abort",
            record.clone().with_aborting_panics(),
            &["panic=abort", "panic=unwind"],
        ),
        // An interface comes before all else: the rest of such a record may mean something new.
        (
            "both",
            record.clone().with_interface(3, 1).with_aborting_panics(),
            &["plugin interface 3 "],
        ),
        ("hollow", record, &["laid out differently", "rebuild it"]),
    ];
    for (name, record, parts) in cases {
        let path = record.compile(folder.path(), name);
        let ended = inspect(&[&path]);
        ended.failed(&[
            "plugin 'time-traveller' 0.1.0",
            path.to_str().unwrap(),
            "does not fit: ",
        ]);
        ended.failed(parts);
    }
}

/// The plugin with another description of itself.
fn described(command: &[&str], faults: &str) -> autoloss_tests::host::Ended {
    let mut host = with_plugins(command, &[&misbehaving()]);
    run(host.env("AUTOLOSS_TEST_FAULT", faults))
}

#[test]
fn values_of_a_newer_interface_are_refused_by_name() {
    for (fault, said) in [
        (
            "describe:activation",
            "plugin 'misbehaving' broke the interface in registration: task 'misbehaving', branch \
             'map', activation: unknown variant `tanh`, expected one of `softmax`, `sigmoid`, \
             `identity`, `boxes`; it needs a newer host",
        ),
        (
            "describe:values",
            "branch 'map', input 'y', values: unknown variant `whole`, expected one of `any`, \
             `nonnegative`, `binary`; it needs a newer host",
        ),
    ] {
        described(&["evaluate", "ce"], fault).failed(&[said]);
    }
}

#[test]
fn a_newer_plugin_is_admitted_unless_it_requires_what_the_host_lacks() {
    let scores = |fault: &str| described(&["evaluate", "ce", "--json"], fault).json();
    assert_eq!(scores("describe:newer"), scores(""));
    described(&["evaluate", "ce"], "describe:requires").failed(&[
        "does not fit: it requires 'Task::telepathy', which this host does not know: update \
         autoloss-host",
    ]);
}

#[test]
fn an_older_plugin_is_asked_only_for_what_it_lists() {
    let never = [
        "Task::attributes",
        "Task::remarks",
        "Task::groups",
        "Task::shapes",
        "Task::write_data",
        "Task::draw",
        "ProxyNetwork::buffers",
    ]
    .map(|method| format!("panic:{method}"));
    let older = format!("describe:older,{}", never.join(","));
    let folder = tempfile::tempdir().unwrap();
    let out = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let scores = |fault: &str| described(&["evaluate", "ce", "--json"], fault).json();
    assert_eq!(scores(&older), scores(""));
    let (run, network, data) = (out("run"), out("network"), out("data"));
    let budget = [
        "--set",
        "retrain.budget.steps=6",
        "--set",
        "retrain.budget.warmup_steps=1",
    ];
    let retrain = [&["retrain", "ce", "--out", &network][..], &budget].concat();
    described(&retrain, &older).succeeded();
    let search = ["search", "--max-proxies", "1", "--seed", "1", "--out", &run];
    let ended = described(&search, &older);
    ended.succeeded();
    assert!(!ended.stderr.contains("example predictions"), "{ended:#?}");
    described(&["write-data", &data], &older).failed(&[
        "plugin 'misbehaving' broke the interface in Task::write_data: it is older than this \
         method; rebuild it",
    ]);
}

#[test]
fn one_plugin_twice() {
    let plugin = misbehaving();
    inspect(&[&plugin, &plugin]).failed(&["both offer", "'misbehaving'", "load only one of them"]);
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("libcopy.so");
    std::fs::copy(&plugin, &copy).unwrap();
    let files = [plugin.to_str().unwrap(), copy.to_str().unwrap()];
    inspect(&[&plugin, &copy]).failed(&files);
}

#[test]
fn found_beside_the_binary() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = with_plugins(&["inspect"], &[Path::new("libmisbehaving.so")]);
    let ended = run(command.current_dir(folder.path()));
    assert!(
        ended.succeeded().stdout.contains("task misbehaving"),
        "{ended:#?}"
    );
}

#[test]
fn found_on_the_path() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(misbehaving(), folder.path().join("liburchin.so")).unwrap();
    let mut command = with_plugins(&["inspect"], &[Path::new("liburchin.so")]);
    let listed = std::env::join_paths([Path::new("/nowhere"), folder.path()]).unwrap();
    let ended = run(command.env("AUTOLOSS_PLUGIN_PATH", listed));
    assert!(
        ended.succeeded().stdout.contains("task misbehaving"),
        "{ended:#?}"
    );
}

#[test]
fn names_nobody_offers() {
    let plugin = misbehaving();
    let refused = |option: &str, parts: &[&str]| {
        let command = ["evaluate", "ce", option, "nobody"];
        run(&mut with_plugins(&command, &[&plugin])).failed(parts);
    };
    refused("--task", &["task 'nobody'", "there are: misbehaving"]);
    refused("--network", &["network 'nobody'", "there are: pebble"]);
    refused("--score", &["score 'nobody'", "there are: mIoU, accuracy"]);
    refused("--device", &["device 'nobody'"]);
    let ended = run(&mut with_plugins(&["evaluate", "nobody"], &[&plugin]));
    ended.failed(&["nobody", "ce, own"]);
    let ended = run(&mut with_plugins(
        &["evaluate", "ce", "--set", "task.nobody=1"],
        &[&plugin],
    ));
    ended.failed(&[
        "plugin 'misbehaving' failed in Task::open",
        "no setting 'nobody'",
    ]);
}

#[test]
fn several_tasks_need_a_name() {
    let plugins = [misbehaving(), voc_seg()];
    let plugins = plugins.each_ref().map(|plugin| plugin.as_path());
    let ended = run(&mut with_plugins(&["evaluate", "ce"], &plugins));
    ended.failed(&["several tasks", "misbehaving", "voc_seg", "--task"]);
    let named = ["evaluate", "ce", "--task", "misbehaving"];
    run(&mut with_plugins(&named, &plugins)).succeeded();
    let strange = [
        "evaluate",
        "ce",
        "--task",
        "misbehaving",
        "--network",
        "unet_tiny",
    ];
    let ended = run(&mut with_plugins(&strange, &plugins));
    ended.failed(&["network 'unet_tiny' serves voc_seg, not task 'misbehaving'"]);
}

#[test]
fn what_a_plugin_offers() {
    let plugin = misbehaving();
    let ended = run(&mut with_plugins(&["inspect", "--json"], &[&plugin]));
    let offer = &ended.json()[0];
    assert_eq!(offer["name"], "misbehaving");
    assert_eq!(offer["tasks"][0]["branches"][0]["name"], "map");
    assert_eq!(offer["networks"][1]["name"], "pebble");
    assert_eq!(offer["metrics"][0]["scores"][0], "mIoU");
}

#[test]
fn commands_that_say_too_little_or_too_much() {
    run(&mut host::<&str>([])).misused("Usage: autoloss-host");
    run(&mut host(["inspect"])).misused("--plugin");
    run(&mut host(["search", "--max-explored", "5"])).misused("--plugin");
    run(&mut host(["inspect", "--plugin", "x.so", "--nonsense"])).misused("--nonsense");
    run(&mut host(["resume"])).misused("<RUN>");
    run(&mut host([
        "evaluate", "ce", "--plugin", "x.so", "--seeds", "0",
    ]))
    .misused("--seeds");
    run(&mut host([
        "evaluate", "ce", "--plugin", "x.so", "--split", "x",
    ]))
    .misused("selection");
}

#[test]
fn the_doctor_sees_a_sound_plugin_and_an_unsound_one() {
    let ended = run(&mut with_plugins(&["doctor"], &[&misbehaving()]));
    assert!(
        ended.succeeded().stdout.contains("misbehaving"),
        "{ended:#?}"
    );
    let folder = tempfile::tempdir().unwrap();
    let path = Record::of(&misbehaving())
        .with_libtorch("1.13.1")
        .compile(folder.path(), "old");
    let ended = run(&mut with_plugins(&["doctor"], &[&path]));
    let all = format!("{}{}", ended.stdout, ended.stderr);
    assert!(
        all.contains("libtorch 1.13.1") && ended.code == Some(1),
        "{ended:#?}"
    );
}
