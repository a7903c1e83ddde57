//! A provider that is dead for two minutes, and many calls. Time is stopped and jumps from timer to timer.

use std::time::Duration;

use futures::future::join_all;
use tokio::time::Instant;
use voice_providers::Provider;
use voice_simulator_providers::{Reply, Script, Scripts};
use voice_workers::{Ending, facts::Fact};

use crate::{
    carrier::{Stream, open},
    faults::announcing,
    relay::{Door, Relay},
    world::{PATIENCE, Wanted, World},
};

/// Nobody listens to silence for longer (RES-02), but for the frame in which it ends.
const LIMIT: Duration = Duration::from_millis(5_040);
const CALLS: u8 = 6;
/// Somebody calls every so often.
const EVERY: Duration = Duration::from_secs(10);

async fn call(world: &World, number: u8) -> Stream {
    let path = format!("/media/twilio/{}", world.token(60, number));
    let mut stream = open(world.address, &path).await.unwrap();
    stream.start().await;
    stream
}

/// Breakers as they changed.
fn breaker(world: &World) -> Vec<(&'static str, &'static str)> {
    let changes = world.facts.all().into_iter().filter_map(|fact| match fact {
        Fact::BreakerChanged(change) => Some((change.provider.as_str(), change.to)),
        _ => None,
    });
    changes.collect()
}

struct Outage {
    world: World,
    calls: Vec<Stream>,
    next: u8,
}

/// Long answers, so that a provider dies in the middle of one.
fn chatty() -> Script {
    let say = |lasts| Reply::Say {
        text: "As I was saying, the appointment is next week.".to_owned(),
        lasts: Duration::from_secs(lasts),
    };
    Script::default().replying(vec![say(1), say(10)])
}

impl Outage {
    /// Calls that were greeted and have asked something.
    async fn approaches() -> Self {
        let voices = vec![
            (Provider::OpenaiRealtime, Scripts::all(chatty())),
            (Provider::GeminiLive, Scripts::all(chatty())),
        ];
        let world = World::new(Wanted::voices(voices).plan(announcing).stopped()).await;
        let mut calls = join_all((0..CALLS).map(|number| call(&world, number))).await;
        let greeted = calls.iter_mut().map(|stream| async move {
            stream.wait_for(|stream| stream.received.len() >= 8_000).await;
            stream.wait_for(|stream| stream.queued().is_zero()).await;
        });
        join_all(greeted).await;
        let mut outage = Self {
            world,
            calls,
            next: CALLS,
        };
        outage.ask().await;
        outage
    }

    /// How all calls there ever were have ended.
    async fn endings(&self) -> Vec<Ending> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let endings = self.world.facts.all().into_iter().filter_map(|fact| match fact {
                Fact::Stopped(stopped) => Some(stopped.ending),
                _ => None,
            });
            let endings: Vec<Ending> = endings.collect();
            if endings.len() == usize::from(self.next) {
                return endings;
            }
            assert!(Instant::now() < deadline, "some calls never ended: {endings:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn doors(&self) -> (Relay, Relay) {
        (self.world.doors[0].clone(), self.world.doors[1].clone())
    }

    /// Every call says something and is answered in time.
    async fn ask(&mut self) {
        let asked = self
            .calls
            .iter_mut()
            .enumerate()
            .map(|(number, stream)| async move {
                // Not all at the same moment.
                stream.be_silent(300 * number as u64).await;
                let waited = stream.ask(1_200).await;
                stream.wait_for(|stream| stream.queued().is_zero()).await;
                stream.be_silent(200).await;
                waited
            });
        let waits = join_all(asked).await;
        assert!(waits.iter().all(|wait| *wait < LIMIT), "{waits:?}");
    }

    /// Doors shut without a sound while one of the callers listens to an answer. They hear somebody go on with it, the
    /// others are answered as soon as they say something.
    async fn begins(&mut self, doors: &[&Relay]) {
        self.calls[0].ask(1_200).await;
        for door in doors {
            door.set(Door::Swallows);
        }
        let heard = self
            .calls
            .iter_mut()
            .enumerate()
            .map(|(number, stream)| async move {
                if number > 0 {
                    let waited = stream.ask(1_200).await;
                    assert!(waited < LIMIT, "{waited:?}");
                    return;
                }
                assert!(!stream.queued().is_zero(), "it is in the middle of its answer");
                stream.watch_stillness();
                stream.wait_for(|stream| stream.queued().is_zero()).await;
                let before = stream.received.len();
                stream.wait_for(|stream| stream.received.len() > before).await;
                assert!(stream.stillest() < LIMIT, "{:?}", stream.stillest());
            });
        join_all(heard).await;
    }

    /// Somebody new calls while the others listen; how long they waited for the first word.
    async fn newcomer(&mut self) -> Duration {
        let number = self.next;
        self.next += 1;
        let world = &self.world;
        let newcomer = async {
            let mut stream = call(world, number).await;
            let began = Instant::now();
            stream.wait_for(|stream| !stream.received.is_empty()).await;
            let waited = began.elapsed();
            stream.wait_for(|stream| stream.queued().is_zero()).await;
            stream.stop().await;
            waited
        };
        let others = join_all(self.calls.iter_mut().map(|stream| stream.pause(EVERY)));
        let (waited, _) = tokio::join!(newcomer, others);
        assert!(waited < LIMIT, "caller {number} waited {waited:?}");
        waited
    }
}

/// RES-01, RES-02: all calls move, later ones do not even try, and when the provider is back it is used again.
#[tokio::test(start_paused = true)]
async fn two_minutes_without_a_provider_end_no_call_and_it_is_used_again_afterwards() {
    let mut outage = Outage::approaches().await;
    let (first, second) = outage.doors();
    let all = usize::from(CALLS);
    assert_eq!((first.live(), second.live()), (all, 0));

    // It does not answer any more, and nobody is told so.
    let died = Instant::now();
    outage.begins(&[&first]).await;
    assert_eq!((first.live(), second.live()), (0, all), "all calls have moved");
    assert_eq!(breaker(&outage.world), [("openai_realtime", "open")]);
    let mut waits = Vec::new();
    while died.elapsed() < Duration::from_secs(120) {
        if died.elapsed() > Duration::from_secs(60) {
            first.set(Door::Breaks);
        }
        waits.push(outage.newcomer().await);
    }
    let at_once = waits
        .iter()
        .filter(|wait| **wait < Duration::from_secs(1))
        .count();
    // Some of them have tried whether it is back, at most one a minute has to wait for that.
    assert!(at_once + 4 >= waits.len(), "{waits:?}");
    outage.ask().await;
    assert_eq!((first.live(), second.live()), (0, all));
    let tripped = breaker(&outage.world);
    let open = tripped
        .iter()
        .filter(|change| **change == ("openai_realtime", "open"))
        .count();
    assert!(open >= 2, "it was tried in vain: {tripped:?}");

    // It is back. Nobody knows until the breaker lets somebody try.
    first.set(Door::Open);
    let back = Instant::now();
    while breaker(&outage.world).last() != Some(&("openai_realtime", "closed")) {
        assert!(
            back.elapsed() < Duration::from_secs(100),
            "{:?}",
            breaker(&outage.world)
        );
        outage.newcomer().await;
    }
    let before = (first.visits().len(), second.visits().len());
    for _ in 0..3 {
        let waited = outage.newcomer().await;
        assert!(waited < Duration::from_secs(1), "{waited:?}");
    }
    let since = (first.visits().len() - before.0, second.visits().len() - before.1);
    assert_eq!(since, (3, 0), "new calls use it again");

    outage.ask().await;
    assert_eq!((first.live(), second.live()), (0, all), "those who moved stay");
    for stream in &mut outage.calls {
        stream.stop().await;
    }
    let endings = outage.endings().await;
    assert!(
        endings.iter().all(|ending| *ending == Ending::Carrier),
        "{endings:?}"
    );
}

/// RES-02: both providers fall silent while callers talk. Everybody hears the recorded sentence within five seconds,
/// and is handed to a person.
#[tokio::test(start_paused = true)]
async fn when_every_provider_dies_in_the_middle_everybody_hears_a_sentence_and_gets_a_person() {
    let mut outage = Outage::approaches().await;
    let (first, second) = outage.doors();
    outage.begins(&[&first, &second]).await;
    let handed_over = outage.calls.iter_mut().map(|stream| async move {
        stream.until_closed().await;
    });
    join_all(handed_over).await;
    assert_eq!((first.live(), second.live()), (0, 0));
    let endings = outage.endings().await;
    assert!(
        endings.iter().all(|ending| *ending == Ending::Transferred),
        "{endings:?}"
    );
}
