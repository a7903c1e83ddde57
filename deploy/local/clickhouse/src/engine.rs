//! libchdb.so, the ClickHouse engine as a library, behind a safe interface.
//!
//! The only module with `unsafe` code. A [`Session`] is one connection of the
//! library: its settings, current database and temporary tables are its own,
//! and it runs one statement at a time. Sessions run beside each other; opening
//! one costs a fraction of a millisecond, so every request gets a fresh one and
//! nothing a request sets can leak into another.
#![allow(unsafe_code)]

use std::ffi::{CString, OsStr, c_char, c_int, c_void};
use std::mem::ManuallyDrop;
use std::path::Path;
use std::sync::Arc;

use libloading::Library;

use crate::errors::EngineError;

/// `chdb_connection` of the C API.
type Connection = *mut c_void;
/// `chdb_result` of the C API.
type RawResult = *mut c_void;

type ConnectFn = unsafe extern "C" fn(c_int, *const *const c_char) -> *mut Connection;
type CloseFn = unsafe extern "C" fn(*mut Connection);
type QueryFn = unsafe extern "C" fn(
    Connection,
    *const c_char,
    usize,
    *const c_char,
    usize,
    *const *const c_char,
    *const usize,
    *const *const c_char,
    *const usize,
    usize,
) -> RawResult;
type PointerFn = unsafe extern "C" fn(RawResult) -> *const c_char;
type NumberFn = unsafe extern "C" fn(RawResult) -> u64;
type LengthFn = unsafe extern "C" fn(RawResult) -> usize;
type DestroyFn = unsafe extern "C" fn(RawResult);
type SignalsFn = unsafe extern "C" fn(c_int);

/// The functions of the library that are used here.
struct Api {
    connect: ConnectFn,
    close: CloseFn,
    query: QueryFn,
    error: PointerFn,
    buffer: PointerFn,
    length: LengthFn,
    rows_read: NumberFn,
    bytes_read: NumberFn,
    storage_rows_read: NumberFn,
    storage_bytes_read: NumberFn,
    rows_written: NumberFn,
    bytes_written: NumberFn,
    destroy: DestroyFn,
    /// Never unloaded: the engine's threads run its code until the process ends.
    _library: ManuallyDrop<Library>,
}

/// The loaded engine, with its data folder open.
pub(crate) struct Engine {
    api: Arc<Api>,
    path: CString,
    /// Closing the last connection stops the engine; this one stays until the end.
    anchor: Session,
}

/// One connection to the engine.
pub(crate) struct Session {
    api: Arc<Api>,
    handle: *mut Connection,
}

// SAFETY: the C API documents its calls as thread-safe; a connection may move
// between threads as long as one statement runs at a time, which `&mut self` on
// `query` guarantees. The anchor is only opened and closed.
unsafe impl Send for Session {}
// SAFETY: see above; no method takes `&self`.
unsafe impl Sync for Session {}

/// What a statement produced.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// The formatted result; empty when it went to a pipe.
    pub(crate) body: Vec<u8>,
    pub(crate) counts: Counts,
}

/// Rows and bytes that a statement moved.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) result_rows: u64,
    pub(crate) result_bytes: u64,
    pub(crate) read_rows: u64,
    pub(crate) read_bytes: u64,
    pub(crate) written_rows: u64,
    pub(crate) written_bytes: u64,
}

impl Engine {
    /// Loads the library and opens (or makes) the data folder.
    pub(crate) fn open(library: &Path, data: &Path) -> Result<Self, EngineError> {
        let api = Arc::new(Api::load(library.as_os_str())?);
        let path = CString::new(format!("--path={}", data.display()))
            .map_err(|_nul| EngineError::Open("the data folder's name has a zero byte".into()))?;
        let anchor = Session::open(&api, &path)?;
        Ok(Self { api, path, anchor })
    }

    /// A fresh connection with default settings.
    pub(crate) fn session(&self) -> Result<Session, EngineError> {
        Session::open(&self.api, &self.path)
    }

    /// Closes the last connection, which flushes and stops the engine. Only
    /// meaningful when every other session is gone.
    pub(crate) fn close(self) {
        drop(self.anchor);
    }
}

impl Session {
    fn open(api: &Arc<Api>, path: &CString) -> Result<Self, EngineError> {
        let arguments = [c"clickhouse".as_ptr(), path.as_ptr()];
        // SAFETY: two valid C strings that outlive the call, and their count.
        let handle = unsafe { (api.connect)(2, arguments.as_ptr()) };
        if handle.is_null() {
            return Err(EngineError::Open("the engine refused the connection".into()));
        }
        Ok(Self {
            api: Arc::clone(api),
            handle,
        })
    }

    /// Runs one statement to its end. `format` shapes the result where the
    /// statement names none; `parameters` fill `{name:Type}` places.
    pub(crate) fn query(
        &mut self,
        sql: &[u8],
        format: &str,
        parameters: &[(String, String)],
    ) -> Result<Answer, EngineError> {
        let names: Vec<*const c_char> = parameters.iter().map(|(name, _)| name.as_ptr().cast()).collect();
        let name_lengths: Vec<usize> = parameters.iter().map(|(name, _)| name.len()).collect();
        let values: Vec<*const c_char> = parameters
            .iter()
            .map(|(_, value)| value.as_ptr().cast())
            .collect();
        let value_lengths: Vec<usize> = parameters.iter().map(|(_, value)| value.len()).collect();
        // SAFETY: `handle` is live until drop and points to a connection; every
        // pointer comes with its length, the arrays have `parameters.len()`
        // entries, and all of them outlive the call.
        let result = unsafe {
            (self.api.query)(
                *self.handle,
                sql.as_ptr().cast(),
                sql.len(),
                format.as_ptr().cast(),
                format.len(),
                names.as_ptr(),
                name_lengths.as_ptr(),
                values.as_ptr(),
                value_lengths.as_ptr(),
                parameters.len(),
            )
        };
        if result.is_null() {
            return Err(EngineError::Query(
                "Code: 49. DB::Exception: no result. (LOGICAL_ERROR)".into(),
            ));
        }
        let result = ResultGuard {
            api: &self.api,
            raw: result,
        };
        if let Some(message) = result.error() {
            return Err(EngineError::Query(message));
        }
        Ok(Answer {
            body: result.body(),
            counts: result.counts(),
        })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // SAFETY: opened by `connect`, closed once, no statement runs (`query` borrows mutably).
        unsafe { (self.api.close)(self.handle) }
    }
}

/// Frees a result of the library when it goes out of scope.
struct ResultGuard<'a> {
    api: &'a Api,
    raw: RawResult,
}

impl ResultGuard<'_> {
    fn error(&self) -> Option<String> {
        // SAFETY: the result is live; the message is a C string it owns.
        unsafe {
            let text = (self.api.error)(self.raw);
            if text.is_null() {
                return None;
            }
            Some(std::ffi::CStr::from_ptr(text).to_string_lossy().into_owned())
        }
    }

    fn body(&self) -> Vec<u8> {
        // SAFETY: buffer and length describe one allocation that the live result owns.
        unsafe {
            let (start, length) = ((self.api.buffer)(self.raw), (self.api.length)(self.raw));
            if start.is_null() || length == 0 {
                return Vec::new();
            }
            std::slice::from_raw_parts(start.cast::<u8>(), length).to_vec()
        }
    }

    fn counts(&self) -> Counts {
        // SAFETY: plain getters of a live result that holds no error (after an
        // error they return rubbish, so they are not called then).
        unsafe {
            Counts {
                result_rows: (self.api.rows_read)(self.raw),
                result_bytes: (self.api.bytes_read)(self.raw),
                read_rows: (self.api.storage_rows_read)(self.raw),
                read_bytes: (self.api.storage_bytes_read)(self.raw),
                written_rows: (self.api.rows_written)(self.raw),
                written_bytes: (self.api.bytes_written)(self.raw),
            }
        }
    }
}

impl Drop for ResultGuard<'_> {
    fn drop(&mut self) {
        // SAFETY: made by `query`, freed once.
        unsafe { (self.api.destroy)(self.raw) }
    }
}

impl Api {
    fn load(path: &OsStr) -> Result<Self, EngineError> {
        let fault = |error: libloading::Error| EngineError::Open(error.to_string());
        // SAFETY: the signatures are those of chdb.h, engine 26.5; loading runs
        // the library's initialisers, which is what it is made for.
        unsafe {
            let library = ManuallyDrop::new(Library::new(path).map_err(fault)?);
            // SIGTERM is ours: the engine must not install handlers of its own.
            let signals = *library
                .get::<SignalsFn>(b"chdb_set_signal_handlers_enabled")
                .map_err(fault)?;
            signals(0);
            Ok(Self {
                connect: *library.get(b"chdb_connect").map_err(fault)?,
                close: *library.get(b"chdb_close_conn").map_err(fault)?,
                query: *library.get(b"chdb_query_with_params_n").map_err(fault)?,
                error: *library.get(b"chdb_result_error").map_err(fault)?,
                buffer: *library.get(b"chdb_result_buffer").map_err(fault)?,
                length: *library.get(b"chdb_result_length").map_err(fault)?,
                rows_read: *library.get(b"chdb_result_rows_read").map_err(fault)?,
                bytes_read: *library.get(b"chdb_result_bytes_read").map_err(fault)?,
                storage_rows_read: *library.get(b"chdb_result_storage_rows_read").map_err(fault)?,
                storage_bytes_read: *library.get(b"chdb_result_storage_bytes_read").map_err(fault)?,
                rows_written: *library.get(b"chdb_result_rows_written").map_err(fault)?,
                bytes_written: *library.get(b"chdb_result_bytes_written").map_err(fault)?,
                destroy: *library.get(b"chdb_destroy_query_result").map_err(fault)?,
                _library: library,
            })
        }
    }
}

/// Ends the process at once. The engine's static destructors crash while its
/// threads still run, so a normal exit would turn success into SIGSEGV.
pub(crate) fn leave(code: c_int) -> ! {
    // SAFETY: no destructors or exit handlers run, which is the point.
    unsafe { libc::_exit(code) }
}
