//! What a call asks the platform for, written down and answered as a test wants it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::future::BoxFuture;
use serde_json::{Value, json};
use tokio::sync::watch;
use voice_workers::hands::{Deed, Hands, HandsError, Line};

use crate::world::PATIENCE;

/// What comes of a deed.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Fails(HandsError),
    /// Never comes back.
    Hangs,
    /// Comes back after a while.
    After(Duration, Value),
}

/// The platform.
#[derive(Clone, Debug)]
pub(crate) struct Platform {
    answers: Arc<BTreeMap<&'static str, Answer>>,
    deeds: Arc<Mutex<Vec<(Line, Deed)>>>,
    told: Arc<watch::Sender<usize>>,
}

impl Platform {
    /// Everything that is not named succeeds at once.
    pub(crate) fn answering(answers: impl IntoIterator<Item = (&'static str, Answer)>) -> Self {
        Self {
            answers: Arc::new(answers.into_iter().collect()),
            deeds: Arc::default(),
            told: Arc::new(watch::Sender::new(0)),
        }
    }

    /// Waits for this tool to be used and gives what was asked for.
    pub(crate) async fn deed(&self, tool: &str) -> (Line, Deed) {
        let mut told = self.told.subscribe();
        let found = async {
            loop {
                let found = self
                    .deeds
                    .lock()
                    .unwrap()
                    .iter()
                    .find(|(_, deed)| deed.tool() == tool)
                    .cloned();
                if let Some(found) = found {
                    return found;
                }
                told.changed().await.unwrap();
            }
        };
        tokio::time::timeout(PATIENCE, found)
            .await
            .unwrap_or_else(|_| panic!("`{tool}` was never used: {:?}", self.deeds.lock().unwrap()))
    }

    /// The names of everything that was asked for.
    pub(crate) fn used(&self) -> Vec<String> {
        let deeds = self.deeds.lock().unwrap();
        deeds.iter().map(|(_, deed)| deed.tool().to_owned()).collect()
    }
}

impl Hands for Platform {
    fn act(&self, line: &Line, deed: Deed) -> BoxFuture<'static, Result<Value, HandsError>> {
        let answer = self.answers.get(deed.tool()).cloned();
        let mut deeds = self.deeds.lock().unwrap();
        deeds.push((line.clone(), deed));
        self.told.send_replace(deeds.len());
        Box::pin(async move {
            match answer {
                None => Ok(json!({"ok": true})),
                Some(Answer::Fails(error)) => Err(error),
                Some(Answer::Hangs) => std::future::pending().await,
                Some(Answer::After(wait, value)) => {
                    tokio::time::sleep(wait).await;
                    Ok(value)
                }
            }
        })
    }
}
