//! A login whose system calls are watched, and one of them disturbed, by strace.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::{Scene, program};

/// How long strace may take to write down what it saw.
const PATIENCE: Duration = Duration::from_secs(20);

/// For [`Traced::started_by`]: a process of niceness 0, whatever the test was started with.
pub const OF_NICENESS_0: [&str; 3] = [
    "sh",
    "-c",
    r#"renice -n 0 -p $$ > /dev/null && exec "$0" "$@""#,
];

/// A scene over the same usersfile as another, in a process that strace watches.
pub struct Traced {
    pub scene: Scene,
    trace: PathBuf,
    _folder: TempDir,
}

/// See [`Traced::waits`].
pub struct Waits(PathBuf);

impl Waits {
    /// strace shows the beginning of a call when it is entered, the rest when it returns.
    pub fn now(&self) -> bool {
        let trace = fs::read_to_string(&self.0).unwrap_or_default();
        let last = trace.lines().last().unwrap_or_default();
        last.starts_with("fsync(") || last.starts_with("fdatasync(")
    }
}

/// A system call.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    pub name: String,
    /// Which call of this name it is in the life of the process, from 1.
    pub nth: usize,
    /// As strace shows it, with the file that each descriptor stands for.
    pub text: String,
}

impl Call {
    /// What strace is told to do with this call alone: `signal=KILL`, `error=EIO`.
    pub fn but(&self, disturbance: &str) -> String {
        format!("{}:{disturbance}:when={}", self.name, self.nth)
    }

    pub fn is(&self, name: &str, about: &str) -> bool {
        self.name == name && self.text.contains(about)
    }
}

impl Traced {
    /// A process for one login in which these things go wrong, in strace's own terms
    /// (`fsync:error=EIO:when=1`).
    pub fn new(scene: &Scene, wrong: &[String]) -> Traced {
        Traced::started_by(scene, wrong, [])
    }

    /// The same for a process that this program, with its arguments, becomes.
    pub fn started_by(
        scene: &Scene,
        wrong: &[String],
        program_and_arguments: impl IntoIterator<Item = OsString>,
    ) -> Traced {
        let folder = TempDir::new().unwrap();
        let trace = folder.path().join("trace");
        let mut command = vec![
            // No umask hides a file that is made too open.
            program("sh", "dash").into_os_string(),
            "-c".into(),
            r#"umask 0 && exec "$0" "$@""#.into(),
            program("strace", "strace").into_os_string(),
            // The process that is started is the one that logs in, and strace its grandchild.
            "-D".into(),
            "-y".into(),
            "-o".into(),
            trace.clone().into(),
        ];
        command.extend(wrong.iter().map(|wrong| format!("--inject={wrong}").into()));
        command.extend(program_and_arguments);
        Traced {
            scene: scene.twin("traced").started_by(command),
            trace,
            _folder: folder,
        }
    }

    /// All its system calls so far.
    pub fn calls(&self) -> Vec<Call> {
        let mut calls: Vec<Call> = Vec::new();
        for line in fs::read_to_string(&self.trace).unwrap().lines() {
            let Some((name, _)) = line.split_once('(') else {
                continue;
            };
            let before = calls.iter().filter(|call| call.name == name).count();
            calls.push(Call {
                name: name.into(),
                nth: before + 1,
                text: line.into(),
            });
        }
        calls
    }

    /// For a look from another thread whether the process waits in a call that is delayed.
    pub fn waits(&self) -> Waits {
        Waits(self.trace.clone())
    }

    /// Waits until strace shows that the process has been stopped, by `signal=STOP`.
    pub fn is_stopped(&self) {
        self.shows("stopped by SIGSTOP");
    }

    /// Lets a stopped process go on.
    pub fn goes_on(&self) {
        let process = Pid::from_raw(self.scene.process_id() as i32);
        kill(process, Signal::SIGCONT).unwrap();
    }

    /// Waits until this stands in what strace shows.
    pub fn shows(&self, text: &str) {
        let start = Instant::now();
        while !fs::read_to_string(&self.trace).is_ok_and(|trace| trace.contains(text)) {
            assert!(start.elapsed() < PATIENCE, "strace shows no {text}");
            sleep(Duration::from_millis(1));
        }
    }

    /// All its system calls, but those after the answer.
    pub fn calls_until_the_answer(&self) -> Vec<Call> {
        self.shows("[{\\\"rc\\\"");
        let mut calls = self.calls();
        let answer = calls
            .iter()
            .rposition(|call| call.is("write", "[{\\\"rc\\\""));
        calls.truncate(answer.expect("an answer"));
        calls
    }

    /// From the first that opens the usersfile to the last before the answer.
    pub fn calls_of_the_login(&self) -> Vec<Call> {
        let mut calls = self.calls_until_the_answer();
        let first = calls
            .iter()
            .position(|call| call.is("openat", "users.oath\""));
        calls.split_off(first.expect("a touch"))
    }
}
