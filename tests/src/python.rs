//! Python packages as independent judges: the official clients of a protocol say whether we speak it.
//!
//! Each set of requirements has one virtual environment under `.local/cache`, built once and shared by all
//! tests and processes that ask for the same set.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
};

/// A virtual environment that is ready.
#[derive(Clone, Debug)]
pub struct Venv {
    python: PathBuf,
}

/// The environment with these requirements (`name==version`), built when it is not there yet.
///
/// # Errors
/// When there is no Python 3 with `venv`, or a package cannot be installed; the message says which.
pub fn venv(requirements: &[&str]) -> io::Result<Venv> {
    let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.local/cache");
    fs::create_dir_all(&cache)?;
    let cache = cache.canonicalize()?;
    let folder = cache.join(format!("venv-{:016x}", hash(requirements)));
    let venv = Venv {
        python: folder.join("bin/python"),
    };
    let ready = folder.join("ready");
    if ready.exists() {
        return Ok(venv);
    }
    // Other test processes may want the same one: the first builds it, the others wait here.
    let lock = File::create(folder.with_extension("lock"))?;
    lock.lock()?;
    if ready.exists() {
        return Ok(venv);
    }
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    checked(Command::new("python3").arg("-m").arg("venv").arg(&folder))?;
    if !requirements.is_empty() {
        let mut pip = Command::new(&venv.python);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(requirements);
        checked(&mut pip)?;
    }
    // Written last: a build that was interrupted has none and starts over.
    fs::write(ready, requirements.join("\n"))?;
    Ok(venv)
}

impl Venv {
    /// The interpreter.
    #[must_use]
    pub fn python(&self) -> &Path {
        &self.python
    }

    /// Runs a script, gives it `input` on its standard input, and returns what it printed.
    ///
    /// # Errors
    /// When it ends with another code than zero; the message holds what it said.
    pub fn run(&self, script: impl AsRef<OsStr>, input: &str) -> io::Result<String> {
        let mut child = Command::new(&self.python)
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let stdin = child.stdin.take();
        // Fed from a thread of its own: a script that prints before it has read everything must not block.
        let output = thread::scope(|scope| {
            scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(input.as_bytes())));
            child.wait_with_output()
        })?;
        let output = succeeded(output, "the script")?;
        String::from_utf8(output.stdout).map_err(io::Error::other)
    }
}

fn checked(command: &mut Command) -> io::Result<Output> {
    let name = format!("{command:?}");
    let output = command
        .output()
        .map_err(|error| io::Error::other(format!("{name}: {error}")))?;
    succeeded(output, &name)
}

fn succeeded(output: Output, name: &str) -> io::Result<Output> {
    if output.status.success() {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!(
        "{name} ended with {}:\n{said}",
        output.status
    )))
}

/// FNV-1a, which unlike the hasher of the standard library is the same in every release.
fn hash(requirements: &[&str]) -> u64 {
    requirements
        .iter()
        .flat_map(|requirement| requirement.bytes().chain([b'\n']))
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_is_built_once_and_runs_scripts() {
        let first = venv(&[]).unwrap();
        let again = venv(&[]).unwrap();
        assert_eq!(first.python(), again.python());
        let folder = std::env::temp_dir().join(format!("voice-python-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let script = folder.join("echo.py");
        fs::write(&script, "import sys\nprint(sys.stdin.read().upper(), end='')\n").unwrap();
        assert_eq!(first.run(&script, "hello").unwrap(), "HELLO");
        fs::write(&script, "raise SystemExit('no such luck')\n").unwrap();
        let failed = first.run(&script, "").unwrap_err().to_string();
        assert!(failed.contains("no such luck"), "{failed}");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn other_requirements_are_another_environment() {
        assert_ne!(hash(&["a", "b"]), hash(&["ab"]));
        assert_ne!(hash(&["a"]), hash(&["b"]));
    }
}
