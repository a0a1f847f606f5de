//! Runs `oathctl` as a person or a script does.
//!
//! ```ignore
//! let tool = Tool::new().usersfile("HOTP\talice\t-\t00\n");
//! let output = tool.run(["list"]);
//! assert_eq!(output.code, 0);
//! ```
//!
//! A test that uses this file says `mod support;` and
//! `#[path = "support/oathctl.rs"] mod oathctl;`. The usersfile is the one of a
//! [`Scene`], so that what the tool writes can be logged in with.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use rexpect::reader::{ReadUntil, Regex};
use rexpect::session::{Options, PtySession, spawn_with_options};

use crate::{NOON, Scene, built_oathctl, program};

/// How long the tool may take to say something before it counts as hung.
const PATIENCE: Duration = Duration::from_secs(30);

/// A usersfile, a PAM configuration that names it, and the tool that works on them at noon.
pub struct Tool {
    pub scene: Scene,
    user: Option<(u32, u32)>,
    now: i64,
    colours: bool,
}

/// What the tool came to.
#[derive(Debug)]
pub struct Output {
    /// The exit code; -1 if a signal ended it.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    /// Runs a command without a terminal, with this on standard input.
    pub fn of(command: &mut Command, input: &str) -> Output {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It need not read what it does not need.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Output {
            code: output.status.code().unwrap_or(-1),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// Standard output of a command that must have done what it was asked to.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.stdout, self.stderr);
        self.stdout
    }

    /// Standard error of a command that must have failed with this exit code.
    #[track_caller]
    pub fn fails(self, code: i32) -> String {
        assert_eq!(self.code, code, "{}{}", self.stdout, self.stderr);
        self.stderr
    }

    /// Standard output as JSON.
    #[track_caller]
    pub fn json(self) -> serde_json::Value {
        serde_json::from_str(&self.ok()).unwrap()
    }
}

impl Tool {
    /// The service `sshd` uses the usersfile with the module's default arguments.
    pub fn new() -> Tool {
        let tool = Tool {
            scene: Scene::new(),
            user: None,
            now: NOON,
            colours: false,
        };
        fs::create_dir(tool.pam_dir()).unwrap();
        tool.pam("sshd", "")
    }

    /// Where the tool looks for PAM services.
    pub fn pam_dir(&self) -> PathBuf {
        self.scene.folder().with_file_name("pam.d-of-the-tool")
    }

    /// A service that uses the usersfile with these arguments.
    pub fn pam(self, service: &str, args: &str) -> Tool {
        let usersfile = self.scene.path();
        let line = format!(
            "auth required pam_oath.so usersfile={} {args}\n",
            usersfile.display()
        );
        self.pam_file(service, &line)
    }

    /// A file of the PAM configuration.
    pub fn pam_file(self, service: &str, text: &str) -> Tool {
        fs::write(self.pam_dir().join(service), text).unwrap();
        self
    }

    pub fn usersfile(self, text: impl AsRef<[u8]>) -> Tool {
        self.scene.write_usersfile(text);
        self
    }

    /// The usersfile as it is now.
    #[track_caller]
    pub fn usersfile_now(&self) -> String {
        self.scene.usersfile_now().expect("a usersfile")
    }

    /// The user and group that run the tool. Only root can ask for another than its own.
    pub fn run_by(self, uid: u32, gid: u32) -> Tool {
        let user = Some((uid, gid));
        Tool { user, ..self }
    }

    /// The moment the tool and the logins take for now.
    pub fn at(self, now: i64) -> Tool {
        let scene = self.scene.at(now);
        Tool { scene, now, ..self }
    }

    /// Lets a terminal show colours.
    pub fn in_colour(self) -> Tool {
        let colours = true;
        Tool { colours, ..self }
    }

    /// Runs the tool without a terminal and without input.
    pub fn run<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Output {
        self.run_with_input(args, "")
    }

    /// Runs the tool without a terminal, with this on standard input.
    pub fn run_with_input<A: AsRef<OsStr>>(
        &self,
        args: impl IntoIterator<Item = A>,
        input: &str,
    ) -> Output {
        Output::of(&mut self.command(args), input)
    }

    /// The tool without a terminal, for a test that runs it itself.
    pub fn command<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Command {
        // A session of its own has no controlling terminal.
        let mut command = Command::new(program("setsid", "util-linux"));
        command.arg(built_oathctl()).args(args);
        self.prepare(&mut command);
        command
    }

    /// Runs a line of shell with `oathctl` in it, in the usersfile's folder and on a terminal, at
    /// which `answer` answers the questions for a code, given what was said so far and how many
    /// codes were asked for, and other questions are answered with yes.
    pub fn run_example(&self, line: &str, answer: impl Fn(&str, u64) -> String) -> Output {
        let oathctl = format!(
            "{} --pam-dir={} --now={}",
            built_oathctl(),
            self.pam_dir().display(),
            self.now
        );
        // The shell's own name for the tool, with the options of this scene before all others.
        let script = format!("oathctl() {{ {oathctl} \"$@\"; }}\n{line}\necho exit code $?\n");
        let mut command = Command::new("sh");
        command
            .arg("-c")
            .arg(script)
            .current_dir(self.scene.folder())
            .env("NO_COLOR", "1")
            .env("TZ", "UTC");
        let options = Options::new().timeout_ms(Some(PATIENCE.as_millis() as u64));
        let mut session = spawn_with_options(command, options).unwrap();
        let mut stdout = String::new();
        let mut codes = 0;
        let question = Regex::new("(now|of alice|the token|after that): $").unwrap();
        loop {
            let (said, matched) = session
                .exp_any(vec![
                    ReadUntil::String("exit code ".into()),
                    ReadUntil::String("[y/N] ".into()),
                    ReadUntil::Regex(question.clone()),
                ])
                .unwrap_or_else(|error| panic!("{line}: {error}"));
            stdout += &said;
            match matched.as_str() {
                "exit code " => break,
                "[y/N] " => {
                    session.send_line("y").unwrap();
                }
                _ => {
                    session.send_line(&answer(&stdout, codes)).unwrap();
                    codes += 1;
                }
            }
        }
        let code = session.read_line().unwrap().trim().parse().unwrap();
        let stderr = String::new();
        Output {
            code,
            stdout,
            stderr,
        }
    }

    /// Runs the tool on a terminal of its own.
    pub fn on_terminal<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> PtySession {
        self.on_terminal_with(args, &[])
    }

    /// The same with more in its environment.
    pub fn on_terminal_with<A: AsRef<OsStr>>(
        &self,
        args: impl IntoIterator<Item = A>,
        env: &[(&str, &str)],
    ) -> PtySession {
        self.on_terminal_set_up("sane", args, env)
    }

    /// The same on a terminal of so many rows and columns.
    pub fn on_terminal_of<A: AsRef<OsStr>>(
        &self,
        rows: u16,
        columns: u16,
        args: impl IntoIterator<Item = A>,
    ) -> PtySession {
        let settings = format!("sane rows {rows} columns {columns}");
        self.on_terminal_set_up(&settings, args, &[])
    }

    fn on_terminal_set_up<A: AsRef<OsStr>>(
        &self,
        settings: &str,
        args: impl IntoIterator<Item = A>,
        env: &[(&str, &str)],
    ) -> PtySession {
        // The echo that every terminal begins with; rexpect takes it away.
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!(r#"stty {settings} && exec "$0" "$@""#)])
            .arg(built_oathctl())
            .args(args)
            .env("TERM", "xterm-256color")
            .envs(env.iter().copied());
        self.prepare(&mut command);
        let options = Options::new().timeout_ms(Some(PATIENCE.as_millis() as u64));
        spawn_with_options(command, options).unwrap()
    }

    fn prepare(&self, command: &mut Command) {
        command
            .arg("--pam-dir")
            .arg(self.pam_dir())
            .arg(format!("--now={}", self.now))
            .env("TZ", "UTC")
            .env_remove("NO_COLOR");
        if !self.colours {
            command.env("NO_COLOR", "1");
        }
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
    }
}

impl Default for Tool {
    fn default() -> Tool {
        Tool::new()
    }
}
