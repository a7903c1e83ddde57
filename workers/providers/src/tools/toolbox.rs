//! The tools of one agent with their schemas, ready to check arguments.

use std::{collections::BTreeMap, sync::Arc};

use jsonschema::Validator;
use serde_json::{Value, json};

use crate::{Arguments, ToolSpec};

/// A tool that cannot be offered to a model.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTool {
    /// Models take letters, digits, `_` and `-`, at most 64.
    #[error("`{name}` is no name for a tool")]
    Name {
        /// The name, shortened.
        name: String,
    },
    /// Two tools of one name.
    #[error("there are two tools named `{name}`")]
    Twice {
        /// The name.
        name: String,
    },
    /// The parameters are no JSON Schema of an object.
    #[error("the parameters of `{name}` are no JSON Schema of an object")]
    Schema {
        /// The name.
        name: String,
    },
}

impl BadTool {
    /// A stable label.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Name { .. } => "name",
            Self::Twice { .. } => "twice",
            Self::Schema { .. } => "schema",
        }
    }
}

/// Why a call is not made. [`answer`](Self::answer) tells the model, in words it can repair the call by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is no such tool.
    UnknownTool {
        /// Those there are.
        known: Vec<String>,
    },
    /// The arguments are cut off or no object.
    Broken,
    /// The arguments do not fit.
    Misfit {
        /// Where and why, a few at most.
        faults: Vec<String>,
    },
}

impl Refused {
    /// A stable label.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::UnknownTool { .. } => "unknown_tool",
            Self::Broken => "broken",
            Self::Misfit { .. } => "misfit",
        }
    }

    /// The result to give to the model.
    #[must_use]
    pub fn answer(&self) -> String {
        let (error, details) = match self {
            Self::UnknownTool { known } => ("there is no such tool", json!({"tools": known})),
            Self::Broken => (
                "the arguments are not one complete JSON object; call the tool again with all of them",
                Value::Null,
            ),
            Self::Misfit { faults } => (
                "the arguments do not fit the schema; correct them and call the tool again",
                json!({"faults": faults}),
            ),
        };
        json!({"error": error, "details": details}).to_string()
    }
}

/// The tools of one agent. Clones share the compiled schemas.
#[derive(Clone, Debug)]
pub struct Toolbox {
    specs: Arc<[ToolSpec]>,
    validators: Arc<BTreeMap<String, Validator>>,
}

/// More than this helps no model.
const MOST_FAULTS: usize = 5;

impl Toolbox {
    /// Compiles the schemas. References to other documents are not followed.
    ///
    /// # Errors
    /// When a tool cannot be offered to a model.
    pub fn new(specs: Vec<ToolSpec>) -> Result<Self, BadTool> {
        let mut validators = BTreeMap::new();
        for spec in &specs {
            let name = &spec.name;
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
            if name.is_empty() || name.len() > 64 || !name.bytes().all(fits) {
                return Err(BadTool::Name {
                    name: name.chars().take(64).collect(),
                });
            }
            let bad = || BadTool::Schema { name: name.clone() };
            if spec.parameters["type"] != "object" {
                return Err(bad());
            }
            let validator = jsonschema::draft202012::new(&spec.parameters).map_err(|_| bad())?;
            if validators.insert(name.clone(), validator).is_some() {
                return Err(BadTool::Twice { name: name.clone() });
            }
        }
        Ok(Self {
            specs: specs.into(),
            validators: Arc::new(validators),
        })
    }

    /// What to put into [`Session::tools`](crate::Session::tools).
    #[must_use]
    pub fn specs(&self) -> Arc<[ToolSpec]> {
        Arc::clone(&self.specs)
    }

    /// Holds the arguments of a call against the schema of its tool.
    ///
    /// # Errors
    /// When the call must not be made; give [`Refused::answer`] to the model.
    pub fn check(&self, name: &str, arguments: Arguments) -> Result<Value, Refused> {
        let Some(validator) = self.validators.get(name) else {
            return Err(Refused::UnknownTool {
                known: self.validators.keys().cloned().collect(),
            });
        };
        let Arguments::Complete(arguments) = arguments else {
            return Err(Refused::Broken);
        };
        let faults: Vec<String> = validator
            .iter_errors(&arguments)
            .take(MOST_FAULTS)
            // Masked: what the caller said goes back to the model only, but the text may be logged on its way.
            .map(|fault| format!("{}: {}", fault.instance_path(), fault.masked()))
            .collect();
        if faults.is_empty() {
            Ok(arguments)
        } else {
            Err(Refused::Misfit { faults })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tools::{Action, Disposition, TransferMode, TransferTarget, built_in};

    fn toolbox() -> Toolbox {
        Toolbox::new(built_in()).unwrap()
    }

    fn action(name: &str, arguments: Value) -> Result<Action, Refused> {
        let arguments = toolbox().check(name, Arguments::Complete(arguments))?;
        Ok(serde_json::from_value(json!({"tool": name, "arguments": arguments})).unwrap())
    }

    #[test]
    fn what_fits_the_schema_of_a_built_in_tool_is_an_action() {
        assert_eq!(action("hang_up", json!({})), Ok(Action::HangUp { reason: None }));
        let to_queue =
            json!({"mode": "warm", "target": {"kind": "queue", "name": "sales"}, "summary": "Wants two."});
        assert_eq!(
            action("transfer_call", to_queue),
            Ok(Action::TransferCall {
                mode: TransferMode::Warm,
                target: TransferTarget::Queue {
                    name: "sales".to_owned()
                },
                summary: Some("Wants two.".to_owned()),
            })
        );
        assert_eq!(
            action("send_dtmf", json!({"digits": "12w#"})),
            Ok(Action::SendDtmf {
                digits: "12w#".to_owned()
            })
        );
        assert_eq!(
            action("set_disposition", json!({"disposition": "not_interested"})),
            Ok(Action::SetDisposition {
                disposition: Disposition::NotInterested,
                note: None
            })
        );
        assert!(action("schedule_callback", json!({"at": "2026-11-24T15:00:00+01:00"})).is_ok());
        assert!(action("opt_out", json!({"wording": "Stop calling me."})).is_ok());
        assert!(action("look_up_knowledge", json!({"query": "opening hours"})).is_ok());
        assert_eq!(
            action("set_recording", json!({"on": false})),
            Ok(Action::SetRecording { on: false })
        );
    }

    #[test]
    fn what_does_not_fit_is_answered_with_where_and_why_and_without_what_was_said() {
        let secret = "4111 1111 1111 1111";
        for (name, arguments, place) in [
            ("send_dtmf", json!({"digits": secret}), "/digits"),
            (
                "transfer_call",
                json!({"mode": "lukewarm", "target": {"kind": "queue", "name": "x"}}),
                "/mode",
            ),
            (
                "transfer_call",
                json!({"mode": "cold", "target": {"kind": "number", "name": secret}}),
                "/target/kind",
            ),
            ("schedule_callback", json!({"at": "tomorrow"}), "/at"),
            ("hang_up", json!({"force": true}), ""),
            ("set_disposition", json!({}), ""),
        ] {
            let refused = action(name, arguments).unwrap_err();
            assert_eq!(refused.kind(), "misfit", "{name}");
            let answer = refused.answer();
            assert!(answer.contains(place) && !answer.contains("4111"), "{answer}");
        }
    }

    #[test]
    fn an_unknown_tool_and_arguments_cut_off_can_be_repaired() {
        let toolbox = toolbox();
        let unknown = toolbox
            .check("transfer", Arguments::Complete(json!({})))
            .unwrap_err();
        assert!(unknown.answer().contains("transfer_call"));
        let broken = toolbox
            .check("hang_up", Arguments::parse("{\"reason\": \"d"))
            .unwrap_err();
        assert_eq!(broken, Refused::Broken);
        assert!(serde_json::from_str::<Value>(&broken.answer()).is_ok());
    }

    #[test]
    fn a_tool_no_model_would_take_is_not_offered() {
        let spec = |name: &str, parameters: Value| ToolSpec {
            name: name.to_owned(),
            description: String::new(),
            parameters,
        };
        let object = json!({"type": "object"});
        let kind = |specs: Vec<ToolSpec>| Toolbox::new(specs).unwrap_err().kind();
        assert_eq!(kind(vec![spec("white space", object.clone())]), "name");
        assert_eq!(kind(vec![spec("a", object.clone()), spec("a", object)]), "twice");
        assert_eq!(kind(vec![spec("a", json!({"type": "string"}))]), "schema");
        assert_eq!(
            kind(vec![spec("a", json!({"type": "object", "properties": 7}))]),
            "schema"
        );
        let far = json!({"type": "object", "properties": {"a": {"$ref": "https://example.com/schema.json"}}});
        assert_eq!(kind(vec![spec("a", far)]), "schema", "nothing is fetched");
    }
}
