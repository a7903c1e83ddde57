//! A twin of OpenAI's chat completions, streamed: the mind of a cascade.

use axum::{
    body::{Body, Bytes},
    extract::State,
    response::{IntoResponse as _, Response},
};
use futures::{StreamExt as _, stream};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    script::{Fault, Reply},
    server::{Twins, openai_admits, refused},
    strict::read,
};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    model: String,
    messages: Vec<Message>,
    #[serde(default)]
    stream: bool,
    #[serde(default)]
    stream_options: Option<StreamOptions>,
    #[serde(default, rename = "tools")]
    _tools: Option<Vec<Tool>>,
    #[serde(default, rename = "tool_choice")]
    _tool_choice: Option<Value>,
    #[serde(default, rename = "temperature")]
    _temperature: Option<f64>,
    #[serde(default, rename = "max_completion_tokens")]
    _max_completion_tokens: Option<u32>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Tool {
    #[serde(rename = "type")]
    _kind: String,
    #[serde(rename = "function")]
    _function: Function,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Function {
    #[serde(rename = "name")]
    _name: String,
    #[serde(default, rename = "description")]
    _description: Option<String>,
    #[serde(default, rename = "parameters")]
    _parameters: Option<Value>,
    #[serde(default, rename = "strict")]
    _strict: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "role", rename_all = "lowercase", deny_unknown_fields)]
enum Message {
    System {
        content: String,
    },
    Developer {
        content: String,
    },
    User {
        content: String,
    },
    Assistant {
        content: Option<String>,
        #[serde(default)]
        tool_calls: Vec<Call>,
    },
    Tool {
        tool_call_id: String,
        content: String,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Call {
    id: String,
    #[serde(rename = "type")]
    _kind: String,
    #[serde(rename = "function")]
    _function: Value,
}

fn error(status: StatusCode, code: Option<&str>, param: Option<&str>, message: &str) -> Response {
    let body = json!({"error": {"message": message, "type": "invalid_request_error", "param": param,
                                "code": code}});
    (status, axum::Json(body)).into_response()
}

/// Every call is answered before anything else is said, and nothing is answered that was not asked.
fn check(messages: &[Message]) -> Result<(), &'static str> {
    let mut open: Vec<&str> = Vec::new();
    for message in messages {
        match message {
            Message::Tool { tool_call_id, .. } => {
                let at = open.iter().position(|id| id == tool_call_id);
                open.remove(at.ok_or(
                    "messages with role 'tool' must be a response to a preceding message with 'tool_calls'.",
                )?);
            }
            _ if !open.is_empty() => {
                return Err(
                    "An assistant message with 'tool_calls' must be followed by tool messages responding to each \
                     'tool_call_id'.",
                );
            }
            Message::Assistant { content, tool_calls } => {
                if content.is_none() && tool_calls.is_empty() {
                    return Err("An assistant message has content or tool_calls.");
                }
                open.extend(tool_calls.iter().map(|call| call.id.as_str()));
            }
            Message::System { .. } | Message::Developer { .. } | Message::User { .. } => {}
        }
    }
    if open.is_empty() {
        Ok(())
    } else {
        Err("An assistant message with 'tool_calls' must be followed by tool messages.")
    }
}

fn words(messages: &[Message]) -> usize {
    let texts = messages.iter().map(|message| match message {
        Message::System { content }
        | Message::Developer { content }
        | Message::User { content }
        | Message::Tool { content, .. } => content.as_str(),
        Message::Assistant { content, .. } => content.as_deref().unwrap_or_default(),
    });
    texts.map(|text| text.split_whitespace().count()).sum()
}

/// Answers the nth question of a conversation with the nth reply.
pub(crate) async fn complete(State(twins): State<Twins>, headers: HeaderMap, body: Bytes) -> Response {
    if let Err(refusal) = openai_admits(&twins, &headers) {
        return *refusal;
    }
    let script = twins.scripts.first();
    if let Some(refusal) = refused(&script) {
        return refusal;
    }
    let text = String::from_utf8_lossy(&body);
    let request = match read::<Request>(&text) {
        Ok(request) => request,
        Err(refusal) => {
            let param = refusal.param.as_deref();
            return error(
                StatusCode::BAD_REQUEST,
                Some(refusal.code),
                param,
                &refusal.message,
            );
        }
    };
    if let Err(message) = check(&request.messages) {
        return error(StatusCode::BAD_REQUEST, None, Some("messages"), message);
    }
    if !request.stream {
        return error(
            StatusCode::BAD_REQUEST,
            None,
            Some("stream"),
            "This twin only streams.",
        );
    }
    let said = request
        .messages
        .iter()
        .filter(|message| matches!(message, Message::Assistant { .. }));
    let turn = said.count();
    let chunk = |choice: Value| {
        json!({"id": "chatcmpl-000001", "object": "chat.completion.chunk", "created": 1_790_000_000,
               "model": request.model, "choices": [choice]})
    };
    let choice = |delta: Value, finish: Option<&str>| {
        chunk(json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}))
    };
    let mut chunks = vec![choice(json!({"role": "assistant", "content": ""}), None)];
    let written = match script.reply(turn) {
        Reply::Say { text, .. } => {
            let pieces = text
                .split_inclusive(' ')
                .map(|word| choice(json!({"content": word}), None));
            chunks.extend(pieces);
            chunks.push(choice(json!({}), Some("stop")));
            text.split_whitespace().count()
        }
        Reply::Call { tool, arguments } => {
            let mut arguments = arguments.to_string();
            if script.has(&Fault::BrokenTools) {
                arguments.truncate(arguments.len() / 2);
            }
            let (front, back) = arguments.split_at(arguments.len() / 2);
            let id = format!("call_{turn:06}");
            for piece in [
                json!({"index": 0, "id": id, "type": "function", "function": {"name": tool, "arguments": ""}}),
                json!({"index": 0, "function": {"arguments": front}}),
                json!({"index": 0, "function": {"arguments": back}}),
            ] {
                chunks.push(choice(json!({"tool_calls": [piece]}), None));
            }
            chunks.push(choice(json!({}), Some("tool_calls")));
            10
        }
    };
    if request
        .stream_options
        .is_some_and(|options| options.include_usage)
    {
        let read = words(&request.messages);
        let mut last = chunk(Value::Null);
        last["choices"] = json!([]);
        last["usage"] = json!({"prompt_tokens": read, "completion_tokens": written,
            "total_tokens": read + written, "prompt_tokens_details": {"cached_tokens": 0}});
        chunks.push(last);
    }
    let mut events: Vec<String> = chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect();
    events.push("data: [DONE]\n\n".to_owned());
    let thinks = script.thinks;
    let silent = script.has(&Fault::NeverAnswers);
    let events = stream::once(async move {
        if silent {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(thinks).await;
        stream::iter(events)
    });
    let body = Body::from_stream(events.flatten().map(Ok::<_, std::convert::Infallible>));
    let mut response = Response::new(body);
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream; charset=utf-8"),
    );
    response
}
