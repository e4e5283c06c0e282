//! Descriptions that the plugin interface's types cannot express: of a newer plugin, or of an older one.

use crate::fault;
use autoloss_plugin_api::serde_json::{self, Value};

/// What a host is told in place of the true description.
pub(crate) fn rewritten(json: Vec<u8>) -> Vec<u8> {
    let Ok(mut info) = serde_json::from_slice::<Value>(&json) else {
        return json;
    };
    if let Some(branch) = info.pointer_mut("/tasks/0/branches/0") {
        if fault::is("describe:activation") {
            branch["activation"] = "tanh".into();
        }
        if fault::is("describe:values") {
            branch["inputs"][1]["values"] = "whole".into();
        }
    }
    if fault::is("describe:newer") {
        info["capabilities"] = listed(&info, |_| true, Some("Task::telepathy"));
    }
    if fault::is("describe:requires") {
        info["requires"] = Value::from(vec!["Task::batch", "Task::telepathy"]);
    }
    if fault::is("describe:older") {
        let required = |name: &str| !OPTIONAL.contains(&name);
        info["capabilities"] = listed(&info, required, None);
    }
    serde_json::to_vec(&info).unwrap_or(json)
}

/// What a plugin of an older interface may lack.
const OPTIONAL: [&str; 9] = [
    "Task::attributes",
    "Task::remarks",
    "Task::check",
    "Task::files",
    "Task::groups",
    "Task::shapes",
    "Task::write_data",
    "Task::draw",
    "ProxyNetwork::buffers",
];

/// The listed capabilities that are kept, and another one.
fn listed(info: &Value, kept: impl Fn(&str) -> bool, another: Option<&str>) -> Value {
    let names = info["capabilities"].as_array().into_iter().flatten();
    let names = names.filter_map(Value::as_str).filter(|name| kept(name));
    names.chain(another).collect()
}
