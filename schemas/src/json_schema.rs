//! JSON Schemas of the events, generated from the Rust types, and what counts as a breaking change.

use std::collections::{BTreeMap, BTreeSet};

use schemars::generate::SchemaSettings;
use serde_json::Value;

use crate::{
    Envelope,
    envelope::EventData,
    events::{
        agent::AgentData,
        attempt::AttemptData,
        call::CallData,
        campaign::CampaignData,
        contact::{ConsentData, ImportData, SuppressionData},
        media::{MediaData, TranscriptData},
        provider::BreakerData,
        report::ReportData,
    },
};

/// Every schema by file name under `schemas/json/`.
#[must_use]
pub fn all() -> BTreeMap<&'static str, Value> {
    BTreeMap::from([
        of::<CallData>(),
        of::<AttemptData>(),
        of::<AgentData>(),
        of::<CampaignData>(),
        of::<SuppressionData>(),
        of::<ConsentData>(),
        of::<ImportData>(),
        of::<MediaData>(),
        of::<TranscriptData>(),
        of::<BreakerData>(),
        of::<ReportData>(),
    ])
}

fn of<T: EventData>() -> (&'static str, Value) {
    let schema = SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<Envelope<T>>();
    (T::SCHEMA, schema.to_value())
}

/// What a reader or writer of `old` would trip over in `new`; empty when every old event is still valid
/// and still means the same. Adding an optional field or an enum value is allowed.
#[must_use]
pub fn breaking_changes(old: &Value, new: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare("", old, new, &mut found);
    found
}

fn compare(path: &str, old: &Value, new: &Value, found: &mut Vec<String>) {
    for keyword in ["type", "format", "$ref", "const", "pattern"] {
        let (was, is) = (old.get(keyword), new.get(keyword));
        if was != is {
            found.push(format!(
                "{path}: `{keyword}` was {} and is {}",
                show(was),
                show(is)
            ));
        }
    }
    let (was, is) = (strings(old.get("required")), strings(new.get("required")));
    for name in is.difference(&was) {
        found.push(format!("{path}/{name}: became required"));
    }
    for name in was.difference(&is) {
        found.push(format!("{path}/{name}: is no longer always there"));
    }
    let (was, is) = (strings(old.get("enum")), strings(new.get("enum")));
    for value in was.difference(&is) {
        found.push(format!("{path}: the value `{value}` is gone"));
    }
    for container in ["properties", "$defs"] {
        for (name, was) in old
            .get(container)
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            match new.get(container).and_then(|properties| properties.get(name)) {
                Some(is) => compare(&format!("{path}/{name}"), was, is, found),
                None => found.push(format!("{path}/{name}: is gone")),
            }
        }
    }
    if let (Some(was), Some(is)) = (old.get("items"), new.get("items")) {
        compare(&format!("{path}[]"), was, is, found);
    }
    for alternatives in ["oneOf", "anyOf"] {
        let list = |schema: &Value| {
            schema
                .get(alternatives)
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default()
        };
        let remaining = list(new);
        for was in list(old) {
            if !remaining.iter().any(|is| same_meaning(&was, is)) {
                found.push(format!("{path}: the alternative {} is gone", without_prose(&was)));
            }
        }
    }
}

fn same_meaning(a: &Value, b: &Value) -> bool {
    without_prose(a) == without_prose(b)
}

fn without_prose(schema: &Value) -> Value {
    match schema {
        Value::Object(fields) => fields
            .iter()
            .filter(|(name, _)| *name != "description")
            .map(|(name, value)| (name.clone(), without_prose(value)))
            .collect(),
        other => other.clone(),
    }
}

fn strings(value: Option<&Value>) -> BTreeSet<String> {
    value
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect()
}

fn show(value: Option<&Value>) -> String {
    value.map_or_else(|| "absent".to_owned(), Value::to_string)
}

#[cfg(test)]
mod tests {
    use std::{fs, path::PathBuf};

    use serde_json::json;

    use super::*;

    fn folder() -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("json")
    }

    /// `UPDATE_SCHEMAS=1 cargo test -p voice-schemas` writes additive changes; a breaking one never passes.
    #[test]
    fn the_committed_schemas_are_those_of_the_types_and_no_change_breaks_a_reader() {
        let update = std::env::var_os("UPDATE_SCHEMAS").is_some();
        for (name, generated) in all() {
            let path = folder().join(name);
            let committed: Option<Value> = fs::read(&path)
                .ok()
                .map(|bytes| serde_json::from_slice(&bytes).unwrap());
            if let Some(committed) = &committed {
                let broken = breaking_changes(committed, &generated);
                assert!(
                    broken.is_empty(),
                    "{name} breaks its readers; add a new version instead:\n{broken:#?}"
                );
            }
            if update {
                fs::write(&path, serde_json::to_string_pretty(&generated).unwrap() + "\n").unwrap();
            } else {
                assert_eq!(
                    committed.as_ref(),
                    Some(&generated),
                    "{name} is out of date: UPDATE_SCHEMAS=1 cargo test -p voice-schemas"
                );
            }
        }
    }

    #[test]
    fn removing_requiring_retyping_or_narrowing_is_breaking_and_adding_is_not() {
        let old = json!({
            "type": "object",
            "properties": {"a": {"type": "string"}, "b": {"enum": ["x", "y"]}},
            "required": ["a"],
        });
        let mut added = old.clone();
        added["properties"]["c"] = json!({"type": "integer"});
        added["properties"]["b"]["enum"] = json!(["x", "y", "z"]);
        assert_eq!(breaking_changes(&old, &added), Vec::<String>::new());

        type Change = fn(&mut Value);
        let breaks: [(&str, Change); 5] = [
            ("removed", |schema| {
                schema["properties"].as_object_mut().unwrap().remove("b");
            }),
            ("required", |schema| schema["required"] = json!(["a", "b"])),
            ("optional", |schema| schema["required"] = json!([])),
            ("retyped", |schema| {
                schema["properties"]["a"]["type"] = json!("integer")
            }),
            ("narrowed", |schema| {
                schema["properties"]["b"]["enum"] = json!(["x"])
            }),
        ];
        for (what, change) in breaks {
            let mut new = old.clone();
            change(&mut new);
            assert_eq!(breaking_changes(&old, &new).len(), 1, "{what}");
        }
    }
}
