//! Making a WAV file of a stored recording.

use std::io;

use futures::TryStreamExt as _;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt as _, path::Path as Key};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio_util::io::StreamReader;
use voice_audio::recording::header;

use crate::{
    keys::KeyRing,
    sealed::{Head, LAST_FRAME, LONGEST_HEAD, Label, Opened, Opener, SealError, Summary, sealed_length},
};

/// Why a recording could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The object store did not give it.
    #[error(transparent)]
    Store(#[from] object_store::Error),
    /// It does not open.
    #[error(transparent)]
    Sealed(#[from] SealError),
    /// It could not be read or written down.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl FetchError {
    /// A stable label.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Store(object_store::Error::NotFound { .. }) => "not_found",
            Self::Store(_) => "object_store",
            Self::Sealed(error) => error.kind(),
            Self::Io(_) => "io",
        }
    }
}

/// What was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Whose it is and how it is coded.
    pub label: Label,
    /// How long it is.
    pub summary: Summary,
}

/// Writes the recording under `key` to `out` as a WAV file, a frame at a time. Both channels are as they were: the
/// caller left, the agent right.
///
/// # Errors
/// When it cannot be read, or is not whole and unchanged. What was written by then is not to be used.
pub async fn fetch(
    objects: &dyn ObjectStore,
    key: &str,
    keys: &KeyRing,
    out: &mut (impl AsyncWrite + Unpin + Send),
) -> Result<Fetched, FetchError> {
    let key = Key::from(key);
    let size = objects.head(&key).await?.size;
    let tail = size.checked_sub(LAST_FRAME as u64).ok_or(SealError::CutOff)?;
    let start = objects.get_range(&key, 0..size.min(LONGEST_HEAD as u64)).await?;
    let head = Head::parse(&start)?;
    let mut opener = Opener::new(&head, keys)?;
    let summary = opener.summary(&objects.get_range(&key, tail..size).await?)?;
    out.write_all(&header(head.label.law, Some(summary.samples)))
        .await?;

    let options = GetOptions {
        range: Some(GetRange::Offset(head.length as u64)),
        ..GetOptions::default()
    };
    let frames = objects.get_opts(&key, options).await?.into_stream();
    let mut frames = StreamReader::new(frames.map_err(io::Error::other));
    let mut sealed = Vec::new();
    loop {
        let mut word = [0; 4];
        whole(&mut frames, &mut word).await?;
        sealed.resize(sealed_length(word)?, 0);
        whole(&mut frames, &mut sealed).await?;
        match opener.open(word, &mut sealed)? {
            Opened::Audio(codes) => out.write_all(codes).await?,
            Opened::End(_) => break,
        }
    }
    if frames.read(&mut [0; 1]).await? != 0 {
        return Err(SealError::Damaged.into());
    }
    out.flush().await?;
    Ok(Fetched {
        label: head.label,
        summary,
    })
}

async fn whole(frames: &mut (impl AsyncRead + Unpin + Send), buffer: &mut [u8]) -> Result<(), FetchError> {
    match frames.read_exact(buffer).await {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(SealError::CutOff.into()),
        Err(error) => Err(error.into()),
    }
}
