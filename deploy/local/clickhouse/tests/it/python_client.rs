//! The official Python client against the local server.

use std::path::PathBuf;
use std::process::Command;

use crate::server::Server;

#[test]
fn the_official_python_client_works_with_its_defaults() {
    let python = python();
    let server = Server::start();
    let (host, port) = server.url.trim_start_matches("http://").split_once(':').unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python_client.py");
    let output = Command::new(python).args([script, host, port]).output().unwrap();
    let (said, wrong) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{said}{wrong}");
    println!("{said}");
}

/// Python with the client, in a virtual environment that is made once per set
/// of requirements.
fn python() -> PathBuf {
    let requirements = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/requirements.txt");
    let hash = cityhash_rs::cityhash_102_128(&std::fs::read(requirements).unwrap());
    let folder = crate::server::cache().join(format!("venv-{hash:032x}"));
    let python = folder.join("bin/python");
    let complete = folder.join("complete");
    if !complete.exists() {
        let run = |command: &mut Command| assert!(command.status().unwrap().success(), "{command:?}");
        run(Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(&folder));
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--requirement", requirements]));
        std::fs::write(complete, "").unwrap();
    }
    python
}
