//! What adapters and their models tell operators.

use voice_telemetry::{CounterDef, Emit, Label, Metrics};

use crate::{Provider, models::Shutdown};

impl Label for Provider {
    const NAME: &'static str = "provider";

    fn value(self) -> &'static str {
        self.as_str()
    }
}

/// Agents configured with a model whose end is announced.
pub const ENDING_MODELS: CounterDef<Provider> = CounterDef::new(
    "provider_ending_models_total",
    "Agents loaded with a model whose end the provider has announced.",
);

/// An agent was loaded whose model will end. Nothing is lost yet; somebody must choose another one.
#[derive(Clone, Copy, Debug)]
pub struct ModelEnds {
    /// Whose model it is.
    pub provider: Provider,
    /// Which, when, and what to use instead.
    pub shutdown: &'static Shutdown,
}

impl Emit for ModelEnds {
    fn emit(&self, metrics: &Metrics) {
        let Shutdown { model, on, instead } = self.shutdown;
        tracing::warn!(provider = self.provider.as_str(), model, %on, instead, "the model of an agent will end");
        metrics.counter(&ENDING_MODELS).inc(self.provider);
    }
}

#[cfg(test)]
mod tests {
    use voice_telemetry::{assert_documented, assert_emits};

    use super::*;
    use crate::models;

    #[test]
    fn every_event_is_counted_and_every_metric_documented() {
        let event = ModelEnds {
            provider: Provider::OpenaiRealtime,
            shutdown: models::shutdown("gpt-realtime").unwrap(),
        };
        assert_emits(&[&ENDING_MODELS], |metrics| event.emit(metrics));
        assert_documented(&[&ENDING_MODELS]);
    }
}
