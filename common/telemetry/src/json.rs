//! Log lines as flat JSON: what the event says, and beside it what the spans around it say.

use std::{fmt, io::Write as _};

use serde_json::{Map, Value};
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{
    Layer,
    fmt::{
        MakeWriter,
        format::Writer,
        time::{FormatTime, SystemTime},
    },
    layer::Context,
    registry::LookupSpan,
};

/// Keys of the line itself. A field with such a name is written with `field_` before it.
const RESERVED: [&str; 4] = ["timestamp", "level", "target", "message"];

/// Writes one JSON object per event. Fields of inner spans win over those of outer ones, the event's own
/// win over both; so `request_id`, `tenant`, `call_id` and `correlation_id` stand in every line below
/// the span that set them, and a search needs no nesting.
#[derive(Debug)]
pub(crate) struct JsonLines<W> {
    writer: W,
}

impl<W> JsonLines<W> {
    pub(crate) fn new(writer: W) -> Self {
        Self { writer }
    }
}

/// The fields of one span.
struct SpanFields(Map<String, Value>);

impl<S, W> Layer<S> for JsonLines<W>
where
    S: Subscriber + for<'lookup> LookupSpan<'lookup>,
    W: for<'writer> MakeWriter<'writer> + 'static,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut fields = Fields::default();
            attributes.record(&mut fields);
            span.extensions_mut().insert(SpanFields(fields.0));
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(known) = span.extensions_mut().get_mut::<SpanFields>()
        {
            let mut fields = Fields::default();
            values.record(&mut fields);
            known.0.extend(fields.0);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut timestamp = String::with_capacity(27);
        // Writing into a string cannot fail.
        let _infallible = SystemTime.format_time(&mut Writer::new(&mut timestamp));
        let mut own = Fields::default();
        event.record(&mut own);
        let metadata = event.metadata();

        let mut line = Map::new();
        line.insert("timestamp".to_owned(), timestamp.into());
        line.insert("level".to_owned(), metadata.level().as_str().into());
        // Events that came through the `log` crate carry their true target in a field.
        let target = own
            .0
            .remove("log.target")
            .unwrap_or_else(|| metadata.target().into());
        own.0.retain(|name, _| !name.starts_with("log."));
        line.insert("target".to_owned(), target);
        line.insert(
            "message".to_owned(),
            own.0.remove("message").unwrap_or_else(|| metadata.name().into()),
        );
        for span in context
            .event_scope(event)
            .into_iter()
            .flat_map(|scope| scope.from_root())
        {
            if let Some(fields) = span.extensions().get::<SpanFields>() {
                merge(&mut line, fields.0.clone());
            }
        }
        merge(&mut line, own.0);

        let mut text = serde_json::to_vec(&line).unwrap_or_default();
        text.push(b'\n');
        // A closed standard error must not stop the program.
        let _ignored = self.writer.make_writer_for(metadata).write_all(&text);
    }
}

fn merge(line: &mut Map<String, Value>, fields: Map<String, Value>) {
    for (name, value) in fields {
        if RESERVED.contains(&name.as_str()) {
            line.insert(format!("field_{name}"), value);
        } else {
            line.insert(name, value);
        }
    }
}

#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn insert(&mut self, field: &Field, value: Value) {
        // `r#type` and the like.
        let name = field.name().strip_prefix("r#").unwrap_or_else(|| field.name());
        self.0.insert(name.to_owned(), value);
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.insert(field, value.into());
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.insert(field, value.into());
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.insert(field, value.into());
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.insert(field, value.into());
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.insert(field, value.into());
    }
    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.insert(field, value.to_string().into());
    }
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.insert(field, format!("{value:?}").into());
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use tracing::{Level, field::Empty};
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Captured(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines(log: impl FnOnce()) -> Vec<Value> {
        let captured = Captured::default();
        let writer = captured.clone();
        let subscriber = tracing_subscriber::registry().with(JsonLines::new(move || writer.clone()));
        tracing::subscriber::with_default(subscriber, log);
        let bytes = captured.0.lock().unwrap().clone();
        let text = String::from_utf8(bytes).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// OBS-01
    #[test]
    fn fields_of_all_spans_stand_beside_those_of_the_event() {
        let lines = lines(|| {
            let _request = tracing::info_span!("http", request_id = "req-12345678", tenant = "t1").entered();
            let _call = tracing::info_span!("call", call_id = "c1", tenant = "t2").entered();
            tracing::warn!(attempt = 3_u64, share = 0.5, ok = false, "carrier is slow");
        });
        let line = lines[0].as_object().unwrap();
        assert_eq!(line["message"], "carrier is slow");
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["target"], module_path!());
        assert_eq!(line["request_id"], "req-12345678");
        assert_eq!(line["call_id"], "c1");
        assert_eq!(line["tenant"], "t2", "the inner span knows better");
        assert_eq!(
            (&line["attempt"], &line["share"], &line["ok"]),
            (&3.into(), &0.5.into(), &false.into())
        );
    }

    /// OBS-01
    #[test]
    fn a_field_recorded_later_stands_in_the_lines_that_follow() {
        let lines = lines(|| {
            let span = tracing::info_span!("http", tenant = Empty);
            let _entered = span.enter();
            tracing::info!("before");
            span.record("tenant", "t1");
            tracing::info!("after");
        });
        assert_eq!(lines[0].get("tenant"), None);
        assert_eq!(lines[1]["tenant"], "t1");
    }

    #[test]
    fn times_are_utc_with_microseconds() {
        let lines = lines(|| tracing::info!("now"));
        let timestamp = lines[0]["timestamp"].as_str().unwrap();
        assert_eq!(
            timestamp.len(),
            "2026-11-21T09:30:00.123456Z".len(),
            "{timestamp}"
        );
        assert!(
            timestamp.ends_with('Z') && timestamp.as_bytes()[19] == b'.',
            "{timestamp}"
        );
    }

    /// ASVS 16: text from outside cannot forge a line or one of the line's own keys.
    #[test]
    fn fields_can_neither_break_the_line_nor_take_the_place_of_its_keys() {
        let lines = lines(|| {
            tracing::event!(
                Level::INFO,
                level = "ERROR",
                text = "a\n{\"level\":\"ERROR\"}",
                "one line"
            );
        });
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["level"], "INFO");
        assert_eq!(lines[0]["field_level"], "ERROR");
        assert_eq!(lines[0]["text"], "a\n{\"level\":\"ERROR\"}");
    }
}
