//! A machine of its own for one test, made of Linux namespaces.
//!
//! Inside it `/etc`, `/home`, `/root`, `/run`, `/tmp`, `/var/log`, `/dev` and PAM's folder of
//! modules are scratch copies in memory, the network is a loopback interface that nobody else
//! sees, and the processes are its own. So a test can do what an administrator would do, at the
//! very paths the documentation names: add a user, install `/etc/pam.d/sshd`, start sshd on port
//! 22. The module under test stands where `apt-get` would have put it, as `pam_oath.so`.
//!
//! Nothing of it outlives the test. The first process of the machine waits for the end of its
//! standard input, a pipe held by the test: when the test ends, in whatever way, that process
//! ends, the kernel ends every other one in there, and with the last one the mounts are gone.
//!
//! ```ignore
//! let machine = Machine::start();
//! machine.add_user("alice", "correct horse");
//! machine.install("/etc/pam.d/su", SERVICE, 0o644);
//! assert!(machine.command("id").arg("alice").status().unwrap().success());
//! ```

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use oath_core::sys;

use crate::{self as support, Module};

/// How long any one program may run in the machine, and how long a test waits for a log line:
/// far more than a busy computer needs, only so that nothing hangs for ever.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Makes the machine, as its first process. `$1` is the folder that holds PAM's modules.
const SETUP: &str = r#"
set -eu
mount -t tmpfs -o mode=755 run /run
for folder in /etc "$1"; do
    mkdir -p "/run/scratch${folder%/*}"
    cp -a "$folder" "/run/scratch$folder"
    mount --bind "/run/scratch$folder" "$folder"
done

mkdir /run/scratch/dev
cd /run/scratch/dev
mkdir pts shm
chmod 1777 shm
mount --bind /dev/pts pts
for device in null zero full random urandom tty; do
    touch $device
    mount --bind /dev/$device $device
done
# A terminal opened here belongs to the pts beside it, which a mounted ptmx would not find.
mknod -m 666 ptmx c 5 2
ln -s /proc/self/fd fd
ln -s fd/0 stdin
ln -s fd/1 stdout
ln -s fd/2 stderr
mount --rbind . /dev
cd /

mount -t tmpfs -o mode=755 home /home
mount -t tmpfs -o mode=700 root /root
mount -t tmpfs -o mode=1777 tmp /tmp
mount -t tmpfs -o mode=755 log /var/log
touch /var/log/lastlog /var/log/wtmp /var/log/btmp
chmod 660 /var/log/btmp
ip link set lo up

echo ready
exec cat
"#;

/// A machine of its own; see the head of this file. It ends when this value is dropped.
pub struct Machine {
    /// The `unshare` that holds the namespaces, outside of the machine's processes.
    holder: Child,
    services: Vec<Child>,
    syslog: Syslog,
}

impl Machine {
    /// Starts a machine with the module under test installed, and no users besides the system's.
    ///
    /// # Panics
    /// With what to do about it, if the test does not run as root, a program is missing, or this
    /// computer allows no namespaces (an unprivileged container).
    pub fn start() -> Self {
        let is_root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
        assert!(is_root, "this test must run as root: run make test as root");
        for (program, package) in [
            ("unshare", "util-linux"),
            ("ip", "iproute2"),
            ("useradd", "passwd"),
        ] {
            support::program(program, package);
        }

        let modules = modules_folder();
        let mut holder = Command::new("unshare")
            .args(["--mount", "--net", "--pid", "--fork", "--kill-child"])
            .args(["--mount-proc", "--propagation", "private"])
            .args(["sh", "-c", SETUP, "sh"])
            .arg(&modules)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("unshare starts");

        let mut answer = String::new();
        let stdout = holder.stdout.take().expect("a pipe");
        let _ = BufReader::new(stdout).read_line(&mut answer);
        if answer != "ready\n" {
            let mut complaint = String::new();
            let mut stderr = holder.stderr.take().expect("a pipe");
            let _ = stderr.read_to_string(&mut complaint);
            panic!("no machine of its own for this test, which needs CAP_SYS_ADMIN:\n{complaint}");
        }

        let syslog = Syslog::listen(&seen_from_outside(&holder, "/dev/log"));
        let machine = Self {
            holder,
            services: Vec::new(),
            syslog,
        };
        machine.install_module(Module::This);
        machine
    }

    /// Puts a module into PAM's folder, in the place of one of the same name.
    pub fn install_module(&self, module: Module) {
        let installed = modules_folder().join(module.file_name());
        let module = fs::read(module.path()).expect("the module can be read");
        self.install(installed.to_str().expect("a path in ASCII"), module, 0o644);
    }

    /// Where a file of the machine is found from outside of it.
    pub fn path(&self, path: &str) -> PathBuf {
        seen_from_outside(&self.holder, path)
    }

    /// Writes a file into the machine, owned by root.
    pub fn install(&self, path: &str, content: impl AsRef<[u8]>, mode: u32) {
        let outside = self.path(path);
        if mode & 0o111 == 0 {
            fs::write(&outside, content).unwrap_or_else(|error| panic!("{path}: {error}"));
        } else {
            support::write_program_by(self.command("sh"), Path::new(path), content.as_ref());
        }
        fs::set_permissions(&outside, Permissions::from_mode(mode)).expect("chmod");
    }

    /// Puts an empty folder in memory over one of the computer's, for a program that writes there.
    pub fn scratch(&self, folder: &str) {
        self.run(
            "mount",
            ["-t", "tmpfs", "-o", "mode=755", "scratch", folder],
        );
    }

    /// What a file of the machine says.
    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// A program in the machine, as root, in `/`, with a plain environment. It is ended after
    /// [`PATIENCE`].
    pub fn command(&self, program: &str) -> Command {
        let holder = self.holder.id();
        let mut command = Command::new("nsenter");
        command
            .args(["--target", &holder.to_string(), "--mount", "--net"])
            .arg(format!("--pid=/proc/{holder}/ns/pid_for_children"))
            .args(["timeout", "--foreground", "--kill-after=5"])
            .arg(PATIENCE.as_secs().to_string())
            .arg(program)
            .env_clear()
            .envs([
                (
                    "PATH",
                    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                ),
                ("HOME", "/root"),
                ("LANG", "C.UTF-8"),
            ])
            .stdin(Stdio::null());
        command
    }

    /// The same as someone else, with the groups that user has.
    pub fn command_as(&self, user: &str, program: &str) -> Command {
        let mut command = self.command("setpriv");
        command
            .args(["--reuid", user, "--regid", user, "--init-groups", "--"])
            .arg(program)
            .env("HOME", format!("/home/{user}"));
        command
    }

    /// Runs a program that has to succeed, and returns what it printed.
    pub fn run<const N: usize>(&self, program: &str, args: [&str; N]) -> String {
        let output = self
            .command(program)
            .args(args)
            .output()
            .expect("nsenter starts");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success(),
            "{program} {args:?}: {}\n{stderr}",
            output.status
        );
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// Starts a program that stays, in the foreground. What it has to say belongs in syslog; the
    /// rest is thrown away. It ends with the machine.
    pub fn serve<const N: usize>(&mut self, program: &str, args: [&str; N]) {
        let mut service = self.command(program);
        service
            .args(args)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.services.push(service.spawn().expect("nsenter starts"));
    }

    /// Adds a user with a home directory, a group of the same name, and a password.
    pub fn add_user(&self, name: &str, password: &str) {
        self.run(
            "useradd",
            ["--create-home", "--user-group", "--shell", "/bin/sh", name],
        );
        self.set_password(name, password);
    }

    /// Sets a user's password.
    pub fn set_password(&self, name: &str, password: &str) {
        let mut chpasswd = self
            .command("chpasswd")
            .stdin(Stdio::piped())
            .spawn()
            .expect("nsenter starts");
        let mut stdin = chpasswd.stdin.take().expect("a pipe");
        writeln!(stdin, "{name}:{password}").expect("chpasswd reads");
        drop(stdin);
        assert!(chpasswd.wait().expect("chpasswd ends").success());
    }

    /// What was logged to syslog from the machine's start until now.
    pub fn log(&self) -> Vec<String> {
        // All that was sent before this mark has been read when the mark has.
        static MARKS: AtomicU32 = AtomicU32::new(0);
        let mark = format!("<mark {}>", MARKS.fetch_add(1, Ordering::Relaxed));
        let sender = UnixDatagram::unbound().expect("a socket");
        sender
            .send_to(mark.as_bytes(), self.path("/dev/log"))
            .expect("syslog takes the mark");
        self.wait_for_log(&mark);
        let lines = self.syslog.inbox.lines.lock().expect("the log");
        let is_mark = |line: &&String| line.starts_with("<mark ");
        lines
            .iter()
            .filter(|line| !is_mark(line))
            .cloned()
            .collect()
    }

    /// Waits until syslog has a line with `text`, and returns it.
    ///
    /// # Panics
    /// With all that was logged, if the line does not come within [`PATIENCE`].
    pub fn wait_for_log(&self, text: &str) -> String {
        self.wait_for_logs(text, 1).remove(0)
    }

    /// Waits until syslog has so many lines with `text`, and returns them.
    ///
    /// # Panics
    /// As [`Machine::wait_for_log`] does.
    pub fn wait_for_logs(&self, text: &str, count: usize) -> Vec<String> {
        let Inbox { lines, news } = &*self.syslog.inbox;
        let found = |lines: &[String]| -> Vec<String> {
            let with_text = lines.iter().filter(|line| line.contains(text));
            with_text.cloned().collect()
        };
        let lines = lines.lock().expect("the log");
        let (lines, _) = news
            .wait_timeout_while(lines, PATIENCE, |lines| found(lines).len() < count)
            .expect("the log");
        let found = found(&lines);
        let all = lines.join("\n");
        assert!(found.len() >= count, "{text:?} is not in the log:\n{all}");
        found
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
        for service in &mut self.services {
            let _ = service.wait();
        }
    }
}

/// The machine's syslog: a socket at its `/dev/log`, and what came in through it.
struct Syslog {
    socket: UnixDatagram,
    inbox: Arc<Inbox>,
    reader: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Inbox {
    lines: Mutex<Vec<String>>,
    news: Condvar,
}

impl Syslog {
    fn listen(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).expect("a socket at the machine's /dev/log");
        fs::set_permissions(path, Permissions::from_mode(0o666)).expect("chmod");
        let inbox = Arc::new(Inbox::default());
        let reader = thread::spawn({
            let socket = socket.try_clone().expect("a descriptor");
            let inbox = Arc::clone(&inbox);
            move || {
                let mut datagram = [0; 8192];
                // An empty datagram is what a socket that was shut down gives.
                while let Ok(length @ 1..) = socket.recv(&mut datagram) {
                    let line = String::from_utf8_lossy(&datagram[..length]);
                    inbox
                        .lines
                        .lock()
                        .expect("the log")
                        .push(line.trim_end().to_owned());
                    inbox.news.notify_all();
                }
            }
        });
        Self {
            socket,
            inbox,
            reader: Some(reader),
        }
    }
}

impl Drop for Syslog {
    fn drop(&mut self) {
        let _ = self.socket.shutdown(Shutdown::Both);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

fn seen_from_outside(holder: &Child, path: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{}/root{path}", holder.id()))
}

/// Where this computer's PAM keeps its modules.
fn modules_folder() -> PathBuf {
    [
        format!("/usr/lib/{}/security", sys::multiarch()),
        "/usr/lib64/security".into(),
        "/usr/lib/security".into(),
    ]
    .into_iter()
    .map(PathBuf::from)
    .find(|folder| folder.join("pam_unix.so").exists())
    .expect("PAM's modules: install libpam-modules")
}
