//! Verifies the Ed25519 signatures of webhooks that arrive together in one go, for less than half the work.
//!
//! Nothing waits for company. One task verifies; what arrives meanwhile is the next batch. A quiet process
//! thus verifies one by one, without delay, and a busy one in batches that grow with its load. A batch with
//! a forged signature in it is verified again one by one, so nobody is judged by their company; a forger
//! costs at most the batch on top, within the rate limits that stand before this layer.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method};
use tokio::sync::{mpsc, oneshot};
use voice_lifecycle::{CancellationToken, SharedClock};
use voice_telephony::{VerifyError, WebhookRequest, telnyx};

use super::accounts::{Account, Reader};

/// A webhook whose signature is in question.
#[derive(Debug)]
pub(crate) struct Signed {
    pub(crate) account: Arc<Account>,
    pub(crate) url: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Signed {
    pub(crate) fn request(&self) -> WebhookRequest<'_> {
        WebhookRequest {
            method: &Method::POST,
            url: &self.url,
            headers: &self.headers,
            body: &self.body,
        }
    }
}

type Judged = (Signed, Result<(), VerifyError>);

#[derive(Debug)]
struct Job {
    signed: Signed,
    answer: oneshot::Sender<Judged>,
}

/// Where webhooks wait for the verifier.
#[derive(Clone, Debug)]
pub(crate) struct Queue(mpsc::Sender<Job>);

/// The task that verifies.
#[derive(Debug)]
pub(crate) struct Verifier {
    jobs: mpsc::Receiver<Job>,
    most: usize,
    clock: SharedClock,
}

/// A queue for as many webhooks as may be in flight, and the verifier of batches of `most`.
pub(crate) fn batches(waiting: usize, most: usize, clock: SharedClock) -> (Queue, Verifier) {
    let (sender, jobs) = mpsc::channel(waiting);
    (Queue(sender), Verifier { jobs, most, clock })
}

impl Queue {
    /// The webhook back, with what its signature is worth; `None` when the verifier has stopped.
    pub(crate) async fn verify(&self, signed: Signed) -> Option<Judged> {
        let (answer, judged) = oneshot::channel();
        self.0.send(Job { signed, answer }).await.ok()?;
        judged.await.ok()
    }
}

impl Verifier {
    /// Verifies until `token` is cancelled; what waits by then is answered first.
    pub(crate) async fn run(mut self, token: CancellationToken) {
        let mut jobs = Vec::with_capacity(self.most);
        loop {
            tokio::select! {
                biased;
                taken = self.jobs.recv_many(&mut jobs, self.most) => if taken == 0 { return },
                () = token.cancelled() => return,
            }
            // Lets connections that are ready to be read add theirs.
            tokio::task::yield_now().await;
            while jobs.len() < self.most
                && let Ok(job) = self.jobs.try_recv()
            {
                jobs.push(job);
            }
            self.judge(&mut jobs);
        }
    }

    fn judge(&self, jobs: &mut Vec<Job>) {
        let now = self.clock.now();
        let deliveries: Vec<_> = jobs
            .iter()
            .filter_map(|job| match &job.signed.account.reader {
                Reader::Telnyx(webhooks) => Some((webhooks, job.signed.request())),
                Reader::Twilio(_) => None,
            })
            .collect();
        // Only Telnyx signs with Ed25519; anybody else would be told apart by the lengths.
        let results = if deliveries.len() == jobs.len() {
            telnyx::signature::verify_batch(&deliveries, now)
        } else {
            jobs.iter()
                .map(|job| job.signed.account.verify(&job.signed.request(), now))
                .collect()
        };
        for (job, result) in jobs.drain(..).zip(results) {
            let _who_went_away_needs_no_answer = job.answer.send((job.signed, result));
        }
    }
}
