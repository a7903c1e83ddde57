//! Where the files of a report lie in the object store.

use std::{path::Path, sync::Arc};

use object_store::{ObjectStore, local::LocalFileSystem, path::Path as ObjectPath};
use sha2::{Digest, Sha256};
use voice_reports::Format;
use voice_schemas::{ReportId, TenantId};

use crate::Error;

/// A file that is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFile {
    /// Its format.
    pub format: Format,
    /// Its key in the object store.
    pub key: String,
    /// Its size.
    pub bytes: u64,
    /// Its digest.
    pub sha256: [u8; 32],
}

/// A folder as object store, made when it is missing.
///
/// # Errors
/// When the folder cannot be made or opened.
pub fn folder(path: &Path) -> Result<Arc<dyn ObjectStore>, Error> {
    let failed = |source| object_store::Error::Generic {
        store: "folder",
        source,
    };
    std::fs::create_dir_all(path).map_err(|error| failed(Box::new(error)))?;
    Ok(Arc::new(LocalFileSystem::new_with_prefix(path)?.with_fsync(true)))
}

/// The key of a file: the same for every try, so that a repeated job overwrites its own file. Made of ids
/// and fixed words only; nothing a person typed gets into a path.
#[must_use]
pub fn key(tenant: TenantId, report: ReportId, kind: &str, period: &str, format: Format) -> ObjectPath {
    ObjectPath::from(format!(
        "reports/{}/{}/{kind}-{period}.{}",
        tenant.0,
        report.0,
        format.extension()
    ))
}

/// Stores a file. The object appears whole or not at all.
///
/// # Errors
/// When the store refuses it.
pub async fn store(
    objects: &dyn ObjectStore,
    key: ObjectPath,
    format: Format,
    content: Vec<u8>,
) -> Result<StoredFile, Error> {
    let bytes = content.len() as u64;
    let sha256 = Sha256::digest(&content).into();
    objects
        .put_opts(&key, content.into(), object_store::PutOptions::default())
        .await?;
    Ok(StoredFile {
        format,
        key: key.to_string(),
        bytes,
        sha256,
    })
}
