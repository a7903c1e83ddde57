//! Waiting for what other processes announce with NOTIFY.

use sqlx::{PgPool, postgres::PgListener};

use crate::Result;

/// What a [`Listener`] heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A notification.
    Notification {
        /// Its channel.
        channel: String,
        /// Its text.
        payload: String,
    },
    /// The connection was lost and is being reopened: anything may have been missed, so look yourself.
    Gap,
}

/// A connection of its own that listens to channels.
#[derive(Debug)]
pub struct Listener {
    inner: PgListener,
}

impl Listener {
    pub(crate) async fn open(pool: &PgPool, channels: &[&str]) -> Result<Self> {
        let mut inner = PgListener::connect_with(pool).await?;
        inner.listen_all(channels.iter().copied()).await?;
        Ok(Self { inner })
    }

    /// Waits for the next notification, or for news that some may have been missed. Safe to drop and call
    /// again.
    ///
    /// # Errors
    /// When the connection was lost and cannot be reopened now; calling again tries again.
    pub async fn next(&mut self) -> Result<Heard> {
        Ok(match self.inner.try_recv().await? {
            Some(notification) => Heard::Notification {
                channel: notification.channel().to_owned(),
                payload: notification.payload().to_owned(),
            },
            None => Heard::Gap,
        })
    }

    /// Takes what has already arrived, so that a burst is answered once. True when there was any.
    pub fn drain(&mut self) -> bool {
        let mut any = false;
        while self.inner.next_buffered().is_some() {
            any = true;
        }
        any
    }
}
