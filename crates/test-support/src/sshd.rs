//! OpenSSH's own server and clients, logging in through the module under test.
//!
//! A [`Server`] is sshd as Debian configures it, on port 22 of a [`Machine`] of its own, where
//! alice has an account with the password [`PASSWORD`]. The clients run as root of the same
//! machine, answer the server's prompts through `SSH_ASKPASS`, and so need no terminal.
//!
//! ```ignore
//! let server = Server::start(Config {
//!     users_oath: format!("HOTP alice - {SECRET}\n"),
//!     ..Config::default()
//! });
//! let login = server.ssh("alice").answers([hotp(SECRET, 0)]).run("echo hi");
//! assert!(login.succeeded(), "{login}");
//! assert_eq!(login.stdout, "hi\n");
//! ```

use std::fmt;
use std::io::Write;
use std::ops::Deref;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::machine::Machine;
use crate::program;

/// Alice's password.
pub const PASSWORD: &str = "correct horse";

/// The prompt for the code as the ssh client shows it to alice.
pub const CODE_PROMPT: &str = "(alice@127.0.0.1) One-time password (OATH) for `alice': ";

/// The prompt for the password as the ssh client shows it to alice.
pub const PASSWORD_PROMPT: &str = "(alice@127.0.0.1) Password: ";

/// Prints the next answer, one line of the file `answers` beside it, and notes the prompt.
const ASKPASS: &str = r#"#!/bin/sh
set -eu
cd "${0%/*}"
printf '%s\0' "$1" >> prompts
head -n 1 answers
sed -i 1d answers
"#;

/// What distinguishes one server from another. The default asks alice for a code and nothing
/// else, and leaves `/etc/users.oath` empty.
pub struct Config {
    /// `/etc/pam.d/sshd`
    pub pam: String,
    /// `/etc/ssh/sshd_config.d/pam_oath.conf`, which goes before Debian's `sshd_config`
    pub sshd: String,
    /// `/etc/users.oath`
    pub users_oath: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            pam: "auth required pam_oath.so usersfile=/etc/users.oath\n\
                  account required pam_unix.so\n\
                  session required pam_unix.so\n"
                .into(),
            sshd: "KbdInteractiveAuthentication yes\n\
                   AuthenticationMethods keyboard-interactive\n"
                .into(),
            users_oath: String::new(),
        }
    }
}

/// A running sshd and its machine (whose methods it has). Both end when this value is dropped.
pub struct Server {
    machine: Machine,
    logins: AtomicU32,
}

impl Server {
    /// Starts sshd and returns once it listens.
    ///
    /// # Panics
    /// If it does not come to that, with what sshd says about its configuration or in its log.
    pub fn start(config: Config) -> Self {
        program("sshd", "openssh-server");
        program("ssh", "openssh-client");
        let mut machine = Machine::start();
        machine.add_user("alice", PASSWORD);
        machine.install("/etc/pam.d/sshd", config.pam, 0o644);
        machine.install("/etc/users.oath", config.users_oath, 0o600);

        machine.run(
            "sh",
            ["-c", "rm -rf /etc/ssh/ssh_host_* /etc/ssh/ssh*_config.d/*"],
        );
        machine.run(
            "cp",
            ["/usr/share/openssh/sshd_config", "/etc/ssh/sshd_config"],
        );
        machine.install("/etc/ssh/sshd_config.d/pam_oath.conf", config.sshd, 0o644);
        machine.run("mkdir", ["/run/sshd", "/root/.ssh"]);
        make_key(&machine, "/etc/ssh/ssh_host_ed25519_key");
        let host_key = machine.read("/etc/ssh/ssh_host_ed25519_key.pub");
        machine.install(
            "/root/.ssh/known_hosts",
            format!("127.0.0.1 {host_key}"),
            0o600,
        );

        machine.run("/usr/sbin/sshd", ["-t"]);
        machine.serve("/usr/sbin/sshd", ["-D"]);
        machine.wait_for_log("Server listening on 0.0.0.0 port 22");
        Self {
            machine,
            logins: AtomicU32::new(0),
        }
    }

    /// Makes a key for the client and lets it log in as `user`.
    pub fn authorize_key(&self, user: &str) {
        make_key(self, "/root/.ssh/id_ed25519");
        let key = self.read("/root/.ssh/id_ed25519.pub");
        let folder = format!("/home/{user}/.ssh");
        self.run(
            "install",
            ["-d", "-o", user, "-g", user, "-m", "700", &folder],
        );
        self.install(&format!("{folder}/authorized_keys"), key, 0o644);
    }

    /// A login as `user` from the machine itself.
    pub fn ssh(&self, user: &str) -> Client<'_> {
        Client {
            server: self,
            user: user.into(),
            options: Vec::new(),
            answers: Vec::new(),
        }
    }
}

impl Deref for Server {
    type Target = Machine;

    fn deref(&self) -> &Machine {
        &self.machine
    }
}

/// A login that is about to happen.
pub struct Client<'server> {
    server: &'server Server,
    user: String,
    options: Vec<String>,
    answers: Vec<String>,
}

impl Client<'_> {
    /// What to answer to the server's prompts, in their order. A prompt past the last one gets an
    /// empty answer.
    pub fn answers<S: Into<String>>(mut self, answers: impl IntoIterator<Item = S>) -> Self {
        self.answers.extend(answers.into_iter().map(Into::into));
        self
    }

    /// Adds an option as in `ssh_config`, such as `BindAddress=127.0.0.2`.
    pub fn option(mut self, option: &str) -> Self {
        self.options.extend(["-o".into(), option.into()]);
        self
    }

    /// Logs in and runs a command.
    pub fn run(self, command: &str) -> Login {
        self.log_in("ssh", &[], command, "")
    }

    /// Logs in with `sftp` and gives its commands, one a line.
    pub fn sftp(self, commands: &str) -> Login {
        // A batch of commands makes sftp fail when one of them fails, but also switches prompts
        // off; the first value of an option wins.
        self.log_in("sftp", &["-o", "BatchMode=no", "-b", "-"], "", commands)
    }

    fn log_in(self, program: &str, args: &[&str], command: &str, stdin: &str) -> Login {
        let machine = &self.server.machine;
        let number = self.server.logins.fetch_add(1, Ordering::Relaxed);
        let folder = format!("/root/login-{number}");
        machine.run("mkdir", [&folder]);
        let askpass = format!("{folder}/askpass");
        machine.install(&askpass, ASKPASS, 0o755);
        machine.install(
            &format!("{folder}/answers"),
            self.answers.join("\n") + "\n",
            0o600,
        );
        machine.install(&format!("{folder}/prompts"), "", 0o600);

        let mut client = machine.command(program);
        client
            .env("SSH_ASKPASS", &askpass)
            .env("SSH_ASKPASS_REQUIRE", "force")
            .args(["-v", "-o", "NumberOfPasswordPrompts=1"])
            .args(&self.options)
            .args(args)
            .arg(format!("{}@127.0.0.1", self.user));
        if !command.is_empty() {
            client.arg(command);
        }
        let mut client = client
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("nsenter starts");
        // A client that is refused may be gone before it reads any of it.
        let _ = client
            .stdin
            .take()
            .expect("a pipe")
            .write_all(stdin.as_bytes());
        let output = client.wait_with_output().expect("the client ends");
        let prompts = machine.read(&format!("{folder}/prompts"));
        Login {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            client_log: String::from_utf8_lossy(&output.stderr).into_owned(),
            prompts: prompts.split_terminator('\0').map(Into::into).collect(),
        }
    }
}

/// What came of a login. Displays all of it, for the message of an assertion.
pub struct Login {
    pub status: ExitStatus,
    /// What the command printed.
    pub stdout: String,
    /// The client's account of the login (`-v`), and what the command said on standard error.
    pub client_log: String,
    /// The prompts that were shown, in their order.
    pub prompts: Vec<String>,
}

impl Login {
    /// Whether the login was let in and its command succeeded.
    pub fn succeeded(&self) -> bool {
        self.status.success()
    }

    /// Whether the server let the login in by no method.
    pub fn was_refused(&self) -> bool {
        !self.succeeded() && self.client_log.contains(": Permission denied (")
    }
}

impl fmt::Display for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            status,
            stdout,
            client_log,
            prompts,
        } = self;
        write!(
            f,
            "{status}\nprompts: {prompts:?}\nstdout: {stdout}\n{client_log}"
        )
    }
}

/// Makes a key pair without a passphrase.
fn make_key(machine: &Machine, path: &str) {
    machine.run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", path]);
}
