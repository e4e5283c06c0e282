//! The embedded scenes, written as a VOC folder and read back, are the same batches, bit for bit.

#![allow(clippy::unwrap_used, reason = "a failed helper fails its test")]

use autoloss_plugin_api::{BatchRequest, ScreeningRequest, Split, Task, TaskOptions};
use std::collections::BTreeMap;
use voc_seg::VocSeg;

fn open(options: TaskOptions) -> VocSeg {
    let settings = BTreeMap::from([("size".to_owned(), 32.into())]);
    VocSeg::open(&match options.data {
        // The side file says the size.
        Some(_) => options,
        None => TaskOptions {
            settings: settings.into(),
            ..options
        },
    })
    .unwrap()
}

#[test]
fn batches_and_screening_samples_are_those_of_the_scenes() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("scenes");
    let seed = 5;
    let scenes = open(TaskOptions {
        seed,
        ..TaskOptions::default()
    });
    let said = scenes.write_data(&folder).unwrap();
    assert!(
        said.starts_with("5120 photographs") && said.contains("test 512"),
        "{said}"
    );
    let read = open(TaskOptions {
        data: Some(folder.clone()),
        ..TaskOptions::default()
    });
    assert_eq!(scenes.attributes(), read.attributes());
    for split in Split::ALL {
        let len = scenes.len(split).unwrap();
        assert_eq!(read.len(split).unwrap(), len, "{split}");
        for augment in [None, Some(3)] {
            let indices = vec![0, 7, len / 2, len - 1];
            let request = BatchRequest {
                split,
                indices,
                augment,
                view: None,
            };
            let [ours, theirs] = [&scenes, &read].map(|task| task.batch(&request).unwrap());
            for (name, tensor) in ours.inputs.iter().chain(ours.targets.iter()) {
                let other = theirs
                    .inputs
                    .get(name)
                    .or_else(|_| theirs.targets.get(name));
                assert_eq!(tensor, other.unwrap(), "{split} {augment:?} {name}");
            }
        }
    }
    let request = ScreeningRequest {
        branch: "seg".into(),
        samples: 5,
        size: 16,
        seed: 1,
    };
    let [ours, theirs] = [&scenes, &read].map(|task| task.screening_samples(&request).unwrap());
    assert_eq!(ours.shape, theirs.shape);
    assert_eq!(ours.fixed.get("y").unwrap(), theirs.fixed.get("y").unwrap());

    let again = scenes.write_data(&folder).unwrap_err().to_string();
    assert!(again.contains("holds files already"), "{again}");
}
