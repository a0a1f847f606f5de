//! Runs `pam_bare`, the application that keeps no copy of what is typed, and looks at it from
//! outside while it waits.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use memchr::memmem;

use crate::{self as support, Module, Scene};

/// Logins that are about to happen, all with one PAM service.
pub struct Bare {
    /// For the usersfile and its folder.
    pub scene: Scene,
    confdir: PathBuf,
    wrapper: Vec<OsString>,
    logins: Vec<(String, PathBuf)>,
    one_by_one: bool,
}

impl Bare {
    /// A service whose line has these arguments; `FOLDER` in them is the scene's folder.
    pub fn new(scene: Scene, arguments: &str) -> Bare {
        let confdir = scene.folder().join("pam.d");
        fs::create_dir(&confdir).unwrap();
        let folder = scene.folder().display().to_string();
        let line = format!(
            "auth required {} {}\n",
            Module::This.path().display(),
            arguments.replace("FOLDER", &folder)
        );
        fs::write(confdir.join("oath"), line).unwrap();
        Bare {
            scene,
            confdir,
            wrapper: Vec::new(),
            logins: Vec::new(),
            one_by_one: false,
        }
    }

    /// The logins follow each other in the process's main thread. Otherwise they happen at once,
    /// each in a thread of its own.
    pub fn one_by_one(mut self) -> Bare {
        self.one_by_one = true;
        self
    }

    /// A program to run the application with, such as a debugger.
    pub fn under(mut self, wrapper: &[&str]) -> Bare {
        self.wrapper = wrapper.iter().map(OsString::from).collect();
        self
    }

    /// One more user, who types this.
    pub fn login(mut self, user: &str, response: &str) -> Bare {
        let path = self.confdir.join(format!("response-{}", self.logins.len()));
        fs::write(&path, response).unwrap();
        self.logins.push((user.into(), path));
        self
    }

    /// Starts the application and returns when everybody has an answer.
    pub fn start(self) -> Waiting {
        let application = support::helper("pam_bare").into_os_string();
        let mut words = self.wrapper.clone();
        words.push(application);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        command.args(self.one_by_one.then_some("--one-by-one"));
        command.arg(&self.confdir).arg("oath");
        for (user, response) in &self.logins {
            command.arg(user).arg(response);
        }
        let mut child = command
            // A word that a search of the memory must find.
            .env("FOUND", "this word is in the process's memory")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let mut waiting = Waiting {
            child,
            stdout,
            answers: BTreeMap::new(),
            changed_credentials: Vec::new(),
            scene: self.scene,
        };
        waiting.read_until("authenticated");
        waiting
    }
}

/// An application that has logged everybody in and holds the transactions open.
pub struct Waiting {
    child: Child,
    stdout: BufReader<ChildStdout>,
    /// What pam_authenticate returned, by user.
    pub answers: BTreeMap<String, i32>,
    /// Credentials before and after, of each login that changed them.
    pub changed_credentials: Vec<String>,
    pub scene: Scene,
}

impl Waiting {
    fn read_until(&mut self, end: &str) {
        loop {
            let mut line = String::new();
            let length = self.stdout.read_line(&mut line).unwrap();
            assert_ne!(
                length,
                0,
                "the application is gone: {:?}",
                self.child.wait()
            );
            let line = line.trim_end();
            if line == end {
                return;
            }
            match line.split_once(' ').map(|(user, rc)| (user, rc.parse())) {
                Some((user, Ok(rc))) => {
                    self.answers.insert(user.into(), rc);
                }
                _ => self.changed_credentials.push(line.into()),
            }
        }
    }

    fn go_on(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    }

    /// Ends the transactions.
    pub fn end_transactions(&mut self) {
        self.go_on();
        self.read_until("ended");
    }

    /// Lets the application come to its end, after [`Self::end_transactions`]; whether it was a
    /// good one.
    pub fn finish(mut self) -> bool {
        self.go_on();
        self.child.wait().unwrap().success()
    }

    /// Where in the process's memory, as far as it can be written, each of the words stands.
    pub fn find_in_memory(&self, words: &[(&str, Vec<u8>)]) -> Vec<String> {
        let process = self.child.id();
        let memory = File::open(format!("/proc/{process}/mem")).unwrap();
        let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
        let mut found = Vec::new();
        for map in maps.lines() {
            let mut fields = map.split_ascii_whitespace();
            let (range, rights) = (fields.next().unwrap(), fields.next().unwrap());
            if !rights.starts_with("rw") {
                continue;
            }
            let (start, end) = range.split_once('-').unwrap();
            let start = u64::from_str_radix(start, 16).unwrap();
            let end = u64::from_str_radix(end, 16).unwrap();
            let mut bytes = vec![0; (end - start) as usize];
            memory.read_exact_at(&mut bytes, start).unwrap();
            for (name, word) in words {
                for hit in memmem::find_iter(&bytes, word) {
                    found.push(format!("{name} at {hit:#x} of {map}"));
                }
            }
        }
        found
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
