//! The stack a suite runs on: the one of the environment, or an instance of its own.

use std::{path::PathBuf, process::Output};

use tokio::process::Command;

/// The addresses everybody knows.
const VARIABLES: [&str; 3] = ["KAFKA_BROKERS", "DATABASE_URL", "CLICKHOUSE_URL"];

/// Where the parts of a stack are.
#[derive(Clone, Debug)]
pub(crate) struct Stack {
    pub(crate) brokers: String,
    pub(crate) postgres: String,
    pub(crate) clickhouse: String,
}

impl Stack {
    /// The stack the environment names.
    pub(crate) fn of_the_environment() -> Self {
        Self::from(|name| {
            std::env::var(name).unwrap_or_else(|_| {
                panic!(
                    "{name} is not set; start the stack: eval \"$(VOICE_STACK=test deploy/local/stack env)\""
                )
            })
        })
    }

    fn from(value: impl Fn(&str) -> String) -> Self {
        let [brokers, postgres, clickhouse] = VARIABLES.map(value);
        Self {
            brokers,
            postgres,
            clickhouse,
        }
    }
}

/// An instance that belongs to one test, which may break it. Its data is gone when the test is over.
pub(crate) struct OwnStack {
    name: &'static str,
    pub(crate) stack: Stack,
}

impl OwnStack {
    /// Starts it from nothing.
    pub(crate) async fn up(name: &'static str) -> Self {
        // Made first, so that a start that fails half way is cleaned up, too.
        let mut own = Self {
            name,
            stack: Stack::from(|_| String::new()),
        };
        own.run(&["reset"]).await;
        own.run(&["up"]).await;
        let shown = String::from_utf8(own.run(&["env"]).await.stdout).unwrap();
        own.stack = Stack::from(|variable| {
            let prefix = format!("export {variable}=");
            let line = shown.lines().find_map(|line| line.strip_prefix(&prefix));
            line.unwrap_or_else(|| panic!("{variable} is missing in {shown}"))
                .replace('\\', "")
        });
        own
    }

    /// SIGKILL.
    pub(crate) async fn kill(&self, part: &str) {
        self.run(&["kill", part]).await;
    }

    /// Starts a part again; answers when it does.
    pub(crate) async fn revive(&self, part: &str) {
        self.run(&["up", part]).await;
    }

    async fn run(&self, words: &[&str]) -> Output {
        let mut command = Command::from(command(self.name, words));
        let output = command.output().await.expect("deploy/local/stack can be run");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "stack {}: {}\n{said}",
            words.join(" "),
            output.status
        );
        output
    }
}

impl Drop for OwnStack {
    fn drop(&mut self) {
        match command(self.name, &["reset"]).output() {
            Ok(output) if output.status.success() => {}
            other => eprintln!("the instance {} could not be taken down: {other:?}", self.name),
        }
    }
}

fn command(name: &str, words: &[&str]) -> std::process::Command {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../deploy/local/stack");
    let mut command = std::process::Command::new(script);
    // What the environment says is about another stack.
    for variable in VARIABLES {
        command.env_remove(variable);
    }
    command.args(words).env("VOICE_STACK", name);
    command
}
