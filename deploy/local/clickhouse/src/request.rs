//! What a client asks for: the URL, the headers and the form fields of a
//! request, sorted into the things this server acts on, query parameters and
//! ClickHouse settings.

use std::time::Duration;

use axum::http::{HeaderMap, Method, Uri, header};
use base64::Engine as _;

use crate::compression::Encoding;
use crate::errors::QueryError;

/// One request for a query, without its body.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) query: String,
    pub(crate) query_id: String,
    pub(crate) database: Option<String>,
    pub(crate) default_format: String,
    pub(crate) settings: Vec<(String, String)>,
    pub(crate) parameters: Vec<(String, String)>,
    pub(crate) session: Option<NamedSession>,
    /// The response's compression.
    pub(crate) encoding: Encoding,
    /// The body comes in ClickHouse's block framing.
    pub(crate) decompress: bool,
    pub(crate) content_encoding: Option<String>,
    /// Buffer everything, so that an error always has its status.
    pub(crate) wait_end_of_query: bool,
    /// GET must not change anything.
    pub(crate) read_only: bool,
}

/// Temporary tables and SET live on between requests with the same id.
#[derive(Debug, Clone)]
pub(crate) struct NamedSession {
    pub(crate) id: String,
    pub(crate) timeout: Duration,
    /// Fail if there is no such session yet.
    pub(crate) must_exist: bool,
}

/// Who may ask.
#[derive(Debug, Clone)]
pub(crate) struct Credentials {
    pub(crate) user: String,
    pub(crate) password: String,
}

/// The longest time ClickHouse keeps an idle session, `max_session_timeout`.
const MAX_SESSION_TIMEOUT: u64 = 3600;

impl Request {
    pub(crate) fn parse(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Self, QueryError> {
        let mut request = Self {
            query: String::new(),
            query_id: String::new(),
            database: text(headers, "x-clickhouse-database"),
            default_format: text(headers, "x-clickhouse-format").unwrap_or_default(),
            settings: Vec::new(),
            parameters: Vec::new(),
            session: None,
            encoding: Encoding::Plain,
            decompress: false,
            content_encoding: text(headers, "content-encoding"),
            wait_end_of_query: false,
            read_only: method == Method::GET || method == Method::HEAD,
        };
        let mut fields = Fields::default();
        for (name, value) in url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
            request.take(&mut fields, &name, value.into_owned())?;
        }
        let http_compression = request
            .settings
            .iter()
            .rev()
            .find(|(name, _)| name == "enable_http_compression")
            .is_none_or(|(_, value)| is_true(value));
        if fields.compress {
            request.encoding = Encoding::Blocks;
        } else if http_compression {
            request.encoding = Encoding::accepted(&text(headers, "accept-encoding").unwrap_or_default());
        }
        if let Some(id) = fields.session_id {
            let seconds = fields.session_timeout.unwrap_or(60).min(MAX_SESSION_TIMEOUT);
            request.session = Some(NamedSession {
                id,
                timeout: Duration::from_secs(seconds),
                must_exist: fields.session_check,
            });
        }
        if request.query_id.is_empty() {
            request.query_id = uuid::Uuid::new_v4().to_string();
        }
        Ok(request)
    }

    /// One field of a multipart form; ClickHouse reads them like the URL's.
    pub(crate) fn take_form_field(&mut self, name: &str, value: String) -> Result<(), QueryError> {
        if name != "query" && !name.starts_with("param_") {
            return Err(QueryError::not_implemented(format!(
                "The form field '{name}' (external tables are not supported by the local server)"
            )));
        }
        self.take(&mut Fields::default(), name, value)
    }

    fn take(&mut self, fields: &mut Fields, name: &str, value: String) -> Result<(), QueryError> {
        match name {
            "query" => self.query.push_str(&value),
            "query_id" => self.query_id = value,
            "database" => self.database = Some(value),
            "default_format" => self.default_format = value,
            "compress" => fields.compress = is_true(&value),
            "decompress" => self.decompress = is_true(&value),
            "wait_end_of_query" => self.wait_end_of_query = is_true(&value),
            "session_id" => fields.session_id = Some(value).filter(|id| !id.is_empty()),
            "session_check" => fields.session_check = is_true(&value),
            "session_timeout" => {
                fields.session_timeout = Some(
                    value
                        .parse()
                        .map_err(|_not_a_number| QueryError::bad_arguments("Invalid session timeout"))?,
                );
            }
            "role" => {
                return Err(QueryError::not_implemented(
                    "Roles: the local server has one user",
                ));
            }
            // Seen by the credentials check, or without meaning for one local engine.
            "user"
            | "password"
            | "quota_key"
            | "buffer_size"
            | "stacktrace"
            | "client_protocol_version"
            | "close_session" => {}
            _ => match name.strip_prefix("param_") {
                Some(parameter) => self.parameters.push((parameter.to_owned(), value)),
                None => self.settings.push((name.to_owned(), value)),
            },
        }
        Ok(())
    }
}

/// URL fields that only mean something together with others.
#[derive(Default)]
struct Fields {
    compress: bool,
    session_id: Option<String>,
    session_timeout: Option<u64>,
    session_check: bool,
}

fn is_true(value: &str) -> bool {
    value == "1" || value.eq_ignore_ascii_case("true")
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned()).filter(|value| !value.is_empty())
}

impl Credentials {
    /// Headers first, then Basic, then the URL, as ClickHouse looks for them.
    pub(crate) fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), QueryError> {
        let given = Self::given(uri, headers);
        if given.user == self.user && given.password == self.password {
            return Ok(());
        }
        let user = given.user;
        Err(QueryError::new(
            516,
            "AUTHENTICATION_FAILED",
            format!(
                "{user}: Authentication failed: password is incorrect, or there is no user with such name"
            ),
        ))
    }

    fn given(uri: &Uri, headers: &HeaderMap) -> Self {
        let (user, password) = (
            text(headers, "x-clickhouse-user"),
            text(headers, "x-clickhouse-key"),
        );
        if user.is_some() || password.is_some() {
            return Self::or_default(user, password);
        }
        if let Some(basic) = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            && let Some(encoded) = basic.strip_prefix("Basic ")
            && let Ok(decoded) = base64::engine::general_purpose::STANDARD.decode(encoded.trim())
            && let Ok(pair) = String::from_utf8(decoded)
            && let Some((user, password)) = pair.split_once(':')
        {
            return Self::or_default(Some(user.to_owned()), Some(password.to_owned()));
        }
        let field = |wanted: &str| {
            url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes())
                .find(|(name, _)| name == wanted)
                .map(|(_, value)| value.into_owned())
        };
        Self::or_default(field("user"), field("password"))
    }

    fn or_default(user: Option<String>, password: Option<String>) -> Self {
        let user = user
            .filter(|user| !user.is_empty())
            .unwrap_or_else(|| "default".to_owned());
        Self {
            user,
            password: password.unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(uri: &str, headers: &[(&'static str, &str)]) -> Request {
        Request::parse(&Method::POST, &uri.parse().unwrap(), &map(headers)).unwrap()
    }

    fn map(headers: &[(&'static str, &str)]) -> HeaderMap {
        headers
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect()
    }

    #[test]
    fn parameters_settings_and_the_servers_own_fields_are_told_apart() {
        let request = parse(
            "/?query=SELECT+1&param_a=x%20y&max_threads=2&database=d&compress=1&query_id=q",
            &[],
        );
        assert_eq!(request.query, "SELECT 1");
        assert_eq!(request.parameters, [("a".to_owned(), "x y".to_owned())]);
        assert_eq!(request.settings, [("max_threads".to_owned(), "2".to_owned())]);
        assert_eq!(request.database.as_deref(), Some("d"));
        assert_eq!(request.encoding, Encoding::Blocks);
        assert_eq!(request.query_id, "q");
    }

    #[test]
    fn http_compression_is_on_unless_the_request_turns_it_off() {
        let accept = [("accept-encoding", "lz4")];
        assert_eq!(parse("/", &accept).encoding, Encoding::Lz4);
        assert_eq!(
            parse("/?enable_http_compression=0", &accept).encoding,
            Encoding::Plain
        );
        assert_eq!(
            parse("/?enable_http_compression=1&compress=1", &accept).encoding,
            Encoding::Blocks
        );
    }

    #[test]
    fn the_password_counts_wherever_it_stands() {
        let credentials = Credentials {
            user: "voice".into(),
            password: "s3cret".into(),
        };
        let uri: Uri = "/?user=voice&password=s3cret".parse().unwrap();
        assert!(credentials.check(&uri, &HeaderMap::new()).is_ok());
        let plain: Uri = "/".parse().unwrap();
        assert_eq!(
            credentials.check(&plain, &HeaderMap::new()).unwrap_err().code,
            516
        );
        let named = map(&[("x-clickhouse-user", "voice"), ("x-clickhouse-key", "s3cret")]);
        assert!(credentials.check(&plain, &named).is_ok());
        let basic = map(&[("authorization", "Basic dm9pY2U6czNjcmV0")]);
        assert!(credentials.check(&plain, &basic).is_ok());
    }
}
