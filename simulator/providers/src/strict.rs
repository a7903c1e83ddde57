//! Reads what a client sends as strictly as the providers do: an unknown field is an error, and the error says
//! which field.

use serde::Deserialize;

/// Why a message is refused, in the terms OpenAI and others use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// `unknown_parameter`, `missing_required_parameter`, `invalid_type`, `invalid_value`.
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) param: Option<String>,
}

impl Refusal {
    pub(crate) fn value(param: &str, message: impl Into<String>) -> Self {
        Self::coded("invalid_value", param, message)
    }

    pub(crate) fn coded(code: &'static str, param: &str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            param: (!param.is_empty()).then(|| param.to_owned()),
        }
    }
}

/// Reads JSON into a type whose structures deny unknown fields.
pub(crate) fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Refusal> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let said = error.inner().to_string();
        explain(&path, &said)
    })
}

fn explain(path: &str, said: &str) -> Refusal {
    let path = path.trim_start_matches('.').trim_end_matches(".?");
    let path = if path == "?" || path == "." { "" } else { path };
    let within = |field: &str| {
        if path.is_empty() || path == field || path.ends_with(&format!(".{field}")) {
            if path.is_empty() {
                field.to_owned()
            } else {
                path.to_owned()
            }
        } else {
            format!("{path}.{field}")
        }
    };
    let quoted = |before: &str| {
        let rest = said.split_once(before)?.1;
        Some(rest.split_once('`')?.0.to_owned())
    };
    if let Some(field) = quoted("unknown field `") {
        let param = within(&field);
        Refusal::coded(
            "unknown_parameter",
            &param,
            format!("Unknown parameter: '{param}'."),
        )
    } else if let Some(field) = quoted("missing field `") {
        let param = within(&field);
        Refusal::coded(
            "missing_required_parameter",
            &param,
            format!("Missing required parameter: '{param}'."),
        )
    } else if let Some(variant) = quoted("unknown variant `") {
        Refusal::value(path, format!("Invalid value: '{variant}'."))
    } else if said.starts_with("invalid type") || said.starts_with("invalid value") {
        let what = said.split(" at line").next().unwrap_or_default();
        Refusal::coded(
            "invalid_type",
            path,
            format!("Invalid type for '{path}': {what}."),
        )
    } else {
        Refusal::coded(
            "invalid_json",
            path,
            "The message is not valid JSON for this event.",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        #[serde(rename = "inner")]
        _inner: Inner,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[serde(rename = "format")]
        _format: Format,
        #[serde(rename = "count")]
        _count: Option<u32>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(tag = "type", deny_unknown_fields)]
    enum Format {
        #[serde(rename = "audio/pcmu")]
        Pcmu {},
    }

    fn refusal(text: &str) -> (&'static str, Option<String>) {
        let refusal = read::<Outer>(text).unwrap_err();
        (refusal.code, refusal.param)
    }

    #[test]
    fn a_refusal_names_the_field_by_its_whole_path() {
        let ok = r#"{"inner":{"format":{"type":"audio/pcmu"}}}"#;
        assert!(read::<Outer>(ok).is_ok());
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            refusal(r#"{"inner":{"format":{"type":"audio/pcmu","rate":8000}}}"#),
            ("unknown_parameter", some("inner.format.rate"))
        );
        assert_eq!(
            refusal(r#"{"inner":{"format":{"type":"audio/pcmu"},"colour":1}}"#),
            ("unknown_parameter", some("inner.colour"))
        );
        assert_eq!(
            refusal(r#"{"inner":{}}"#),
            ("missing_required_parameter", some("inner.format"))
        );
        assert_eq!(
            refusal(r#"{"inner":{"format":{"type":"audio/pcmu"},"count":"many"}}"#),
            ("invalid_type", some("inner.count"))
        );
        assert_eq!(
            refusal(r#"{"inner":{"format":{"type":"g711_ulaw"}}}"#),
            ("invalid_value", some("inner.format.type"))
        );
        assert_eq!(refusal("{").0, "invalid_json");
        assert_eq!(refusal(r#"{"other":1}"#), ("unknown_parameter", some("other")));
    }
}
