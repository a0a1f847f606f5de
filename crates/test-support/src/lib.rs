//! Logins through the real libpam, as any application does them, without root and without a
//! syslog daemon, at a moment of the test's choice.
//!
//! ```ignore
//! let scene = Scene::new().usersfile("HOTP\talice\t-\t00\n").args("window=20");
//! let outcome = scene.login("alice").types("328482");
//! assert_eq!(outcome.rc, "SUCCESS");
//! ```
//!
//! A [`Scene`] is a usersfile in a folder of its own, a PAM service whose stack holds the module
//! under test, and a process that logs people in (`pam_login.rs`). A login that makes the process
//! die, hang or print fails the test; [`Login::dies`] is for the module of which that is expected.

#![allow(
    clippy::new_without_default,
    reason = "a new scene is a folder and a process, not a value"
)]

pub mod answer;
pub mod any_bytes;
pub mod bare;
pub mod bind;
pub mod codes;
pub mod directory;
pub mod example;
pub mod guide;
pub mod homes;
pub mod kind;
pub mod machine;
pub mod oathctl;
pub mod oathtool;
pub mod protocol;
pub mod rights;
pub mod setuid;
pub mod small_disk;
pub mod spelling;
pub mod sshd;
pub mod strace;
pub mod terminal;
pub mod tool;

use std::cell::RefCell;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, SystemTime};

use oath_core::sys;
use tempfile::TempDir;

use protocol::Clock;
pub use protocol::Prompt;

/// The moment of every login that names no other: 2026-01-15 12:00:00 UTC, the start of a time
/// step of 30 and of 60 seconds.
pub const NOON: i64 = 1_768_478_400;

/// How long a login may take before it counts as hung. Waiting for a lock takes 10 seconds; a million
/// codes take a minute and more without optimisation on a busy computer.
const PATIENCE: Duration = Duration::from_secs(300);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Module {
    /// The module that was built here, or the one that PAM_OATH_SO names.
    This,
    /// OATH Toolkit's, as the system has installed it.
    OathToolkit,
    /// The module in place of Google's that was built here, or the one that
    /// PAM_GOOGLE_AUTHENTICATOR_SO names.
    Google,
    /// Google's, as the system has installed it.
    DebiansGoogle,
}

impl Module {
    /// What the PAM line names.
    pub fn path(self) -> PathBuf {
        match self {
            Module::This => match std::env::var_os("PAM_OATH_SO") {
                Some(path) => existing(path.into(), "PAM_OATH_SO names it"),
                None => build().join("libpam_oath.so"),
            },
            Module::OathToolkit => installed_module("pam_oath.so", "libpam-oath"),
            Module::Google => match std::env::var_os("PAM_GOOGLE_AUTHENTICATOR_SO") {
                Some(path) => existing(path.into(), "PAM_GOOGLE_AUTHENTICATOR_SO names it"),
                None => build().join("libpam_google_authenticator.so"),
            },
            Module::DebiansGoogle => {
                installed_module("pam_google_authenticator.so", "libpam-google-authenticator")
            }
        }
    }

    /// The name it is installed with.
    pub fn file_name(self) -> &'static str {
        match self {
            Module::This | Module::OathToolkit => "pam_oath.so",
            Module::Google | Module::DebiansGoogle => "pam_google_authenticator.so",
        }
    }

    /// Whether it was built here.
    pub fn is_ours(self) -> bool {
        matches!(self, Module::This | Module::Google)
    }

    /// The argument that names this file. For Google's the file is that of the account that the
    /// test runs as, whoever logs in.
    fn file_option(self, path: &Path) -> String {
        let path = path.display();
        match self {
            Module::This | Module::OathToolkit => format!("usersfile={path}"),
            Module::Google | Module::DebiansGoogle => {
                format!("secret={path} user={}", sys::effective_user())
            }
        }
    }
}

/// Builds, in the profile that this test runs in, what the tests run beside themselves: the module,
/// the tool and the harness's own programs. Cargo builds none of them for a test of another package.
fn build() -> &'static Path {
    static PROFILE_FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
        let test = std::env::current_exe().expect("the path of this test");
        let folder = test
            .ancestors()
            .nth(2)
            .expect("a test runs in target/PROFILE/deps");
        let profile = match cfg!(debug_assertions) {
            true => "dev",
            false => "release",
        };
        // Where cargo is told which machine it builds for, it puts the name of that between.
        let above = match std::env::var_os("CARGO_BUILD_TARGET") {
            Some(_) => 2,
            None => 1,
        };
        let build = Command::new(env!("CARGO"))
            .args(["build", "--locked", "--quiet", "--profile", profile])
            .args(["--package", "pam_oath", "--package", "oathctl"])
            .args(["--package", "pam_google_authenticator"])
            .args(["--package", "test-support", "--lib", "--bins", "--examples"])
            .arg("--target-dir")
            .arg(folder.ancestors().nth(above).expect("the target folder"))
            .current_dir(root())
            .status();
        assert!(build.expect("cargo").success(), "the build failed");
        folder.to_owned()
    });
    &PROFILE_FOLDER
}

/// The folder of the whole project.
pub fn root() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).expect("crates/test-support")
}

/// A folder on a disk for what tests leave, below cargo's own.
pub fn scratch() -> PathBuf {
    let folder = build().with_file_name("tmp");
    fs::create_dir_all(&folder).expect("a folder for scratch files");
    folder
}

/// A program of this package: `pam_login`, `pam_bare`, `search_window`.
pub fn helper(name: &str) -> PathBuf {
    existing(build().join(name), "cargo builds it")
}

/// A shared library of this package: `libpam_neighbour.so`, `libnss_spelling.so`.
pub fn library(name: &str) -> PathBuf {
    existing(build().join("examples").join(name), "cargo builds it")
}

/// The tool, as it was built here.
pub fn built_oathctl() -> &'static str {
    static OATHCTL: LazyLock<PathBuf> = LazyLock::new(|| build().join("oathctl"));
    OATHCTL.to_str().expect("a path in UTF-8")
}

/// Where Linux-PAM finds a module that is named without a folder.
fn installed_module(name: &str, package: &str) -> PathBuf {
    let multiarch = sys::multiarch();
    [
        Path::new("/usr/lib").join(&multiarch).join("security"),
        Path::new("/lib").join(&multiarch).join("security"),
        PathBuf::from("/usr/lib64/security"),
        PathBuf::from("/lib64/security"),
        PathBuf::from("/usr/lib/security"),
        PathBuf::from("/lib/security"),
    ]
    .into_iter()
    .map(|folder| folder.join(name))
    .find(|path| path.exists())
    .unwrap_or_else(|| panic!("no {name} in PAM's folders: install the package {package}"))
}

fn existing(path: PathBuf, why: &str) -> PathBuf {
    assert!(path.exists(), "there is no {} ({why})", path.display());
    path
}

/// A usersfile, a PAM service and a process that logs in with them. The folder goes when the last
/// scene in it is dropped.
pub struct Scene {
    folder: Arc<TempDir>,
    service: String,
    module: Module,
    control: String,
    /// In place of the argument that names the usersfile.
    usersfile_option: Option<String>,
    args: String,
    clock: Clock,
    env: Vec<(String, String)>,
    user: Option<(u32, u32)>,
    starter: Vec<OsString>,
    process: RefCell<Option<Process>>,
}

impl Scene {
    /// A scene without a usersfile, for our module, at noon.
    pub fn new() -> Scene {
        // In memory where possible: ten thousands of logins wait for the disk otherwise.
        let shm = Path::new("/dev/shm");
        match shm.is_dir() {
            true => Scene::below(shm),
            false => Scene::below(&scratch()),
        }
    }

    /// A scene somewhere else, for what a file system in memory can't do. Every folder above it
    /// has to be one that the module trusts.
    pub fn below(folder: &Path) -> Scene {
        let folder = tempfile::Builder::new()
            .prefix("pam_oath-")
            .permissions(Permissions::from_mode(0o755))
            .tempdir_in(folder)
            .expect("a scratch folder");
        // The umask may have taken bits that another user needs to get here.
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        for name in ["pam.d", "users"] {
            let path = folder.path().join(name);
            fs::create_dir(&path).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        }
        // Without it libpam complains in the log about every login.
        fs::write(folder.path().join("pam.d/other"), "").unwrap();
        Scene {
            folder: Arc::new(folder),
            service: "oath".into(),
            module: Module::This,
            control: "required".into(),
            usersfile_option: None,
            args: String::new(),
            clock: Clock::Held(NOON),
            // No file: a system that keeps universal time.
            env: vec![
                (protocol::LOCALTIME.into(), "/nonexistent/localtime".into()),
                ("TZ".into(), "UTC".into()),
            ],
            user: None,
            starter: Vec::new(),
            process: RefCell::new(None),
        }
    }

    /// A second service over the same usersfile, set up as this one is now, in a process of its
    /// own: for logins from several processes, or with other arguments.
    pub fn twin(&self, service: &str) -> Scene {
        assert_ne!(service, self.service, "each service has its own name");
        Scene {
            folder: Arc::clone(&self.folder),
            service: service.into(),
            module: self.module,
            control: self.control.clone(),
            usersfile_option: self.usersfile_option.clone(),
            args: self.args.clone(),
            clock: self.clock,
            env: self.env.clone(),
            user: self.user,
            starter: self.starter.clone(),
            process: RefCell::new(None),
        }
    }

    /// Writes the usersfile anew, mode 0600, as one that has not been touched for long.
    pub fn usersfile(self, text: impl AsRef<[u8]>) -> Scene {
        self.write_usersfile(text);
        self
    }

    pub fn write_usersfile(&self, text: impl AsRef<[u8]>) {
        fs::write(self.path(), text).unwrap();
        fs::set_permissions(self.path(), Permissions::from_mode(0o600)).unwrap();
        let moment = match self.clock {
            Clock::Held(moment) => moment,
            Clock::Real | Clock::Broken => NOON,
        };
        let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(moment as u64 - 3600);
        File::open(self.path())
            .unwrap()
            .set_modified(long_ago)
            .unwrap();
    }

    pub fn without_usersfile(self) -> Scene {
        match fs::remove_file(self.path()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}"),
            _ => self,
        }
    }

    pub fn module(self, module: Module) -> Scene {
        Scene { module, ..self }
    }

    /// What stands on the PAM line after `usersfile=PATH`, as PAM reads it: an argument with a
    /// space is written `[window= 5]`.
    pub fn args(self, args: &str) -> Scene {
        Scene {
            args: args.into(),
            ..self
        }
    }

    /// What stands on the PAM line in place of `usersfile=PATH`, or for Google's module of
    /// `secret=PATH`.
    pub fn usersfile_option(self, option: &str) -> Scene {
        Scene {
            usersfile_option: Some(option.into()),
            ..self
        }
    }

    /// The control of the PAM line, `required` if not set: `requisite`, `[success=ok ...]`.
    pub fn control(self, control: &str) -> Scene {
        Scene {
            control: control.into(),
            ..self
        }
    }

    /// The moment of the logins from here on, in seconds since 1970.
    pub fn at(self, moment: i64) -> Scene {
        Scene {
            clock: Clock::Held(moment),
            ..self
        }
    }

    /// The clock runs as everywhere: for what depends on when a file was changed.
    pub fn in_real_time(self) -> Scene {
        Scene {
            clock: Clock::Real,
            ..self
        }
    }

    /// There is no clock: whoever asks for the time gets an error.
    pub fn without_a_clock(self) -> Scene {
        Scene {
            clock: Clock::Broken,
            ..self
        }
    }

    /// A program, with its arguments, that starts the process that logs in: `strace`, `prlimit`.
    pub fn started_by<S: AsRef<OsStr>>(self, command: impl IntoIterator<Item = S>) -> Scene {
        Scene {
            starter: command.into_iter().map(|s| s.as_ref().into()).collect(),
            process: RefCell::new(None),
            ..self
        }
    }

    /// The system's time zone, universal time if not set; OATH Toolkit's module takes it from TZ.
    pub fn zone(self, name: &str) -> Scene {
        let file = format!("/usr/share/zoneinfo/{name}");
        let file = existing(file.into(), "install the package tzdata");
        self.env(protocol::LOCALTIME, file.to_str().unwrap())
            .env("TZ", name)
    }

    /// An environment variable of the process that logs in. TZ is UTC if not set.
    pub fn env(mut self, name: &str, value: &str) -> Scene {
        self.env.push((name.into(), value.into()));
        Scene {
            process: RefCell::new(None),
            ..self
        }
    }

    /// The user and group the application runs as. Only root can ask for another than its own.
    pub fn application_of(self, uid: u32, gid: u32) -> Scene {
        Scene {
            user: Some((uid, gid)),
            process: RefCell::new(None),
            ..self
        }
    }

    /// A login by this user, to be completed by what is typed.
    pub fn login(&self, user: impl AsRef<[u8]>) -> Login<'_> {
        self.unnamed_login().user(Some(user.as_ref()))
    }

    /// A login by somebody whose name the application does not know: the first answer is for the
    /// module's question who it is.
    pub fn unnamed_login(&self) -> Login<'_> {
        Login {
            scene: self,
            request: protocol::Login {
                confdir: self.folder.path().join("pam.d").to_str().unwrap().into(),
                service: self.service.clone(),
                user: None,
                responses: Vec::new(),
                at_prompt: None,
                clock_at_prompt: None,
                conversation: pam_sys::PAM_SUCCESS,
                stacked: None,
                rhost: None,
                tty: None,
                flags: 0,
                clock: self.clock,
            },
        }
    }

    /// Logins at the same moment, each in a thread of its own of one process, in the order given.
    pub fn at_once<'a>(&self, logins: impl IntoIterator<Item = Login<'a>>) -> Vec<Outcome> {
        let requests = logins.into_iter().map(|login| login.request).collect();
        self.run(requests)
            .unwrap_or_else(|death| panic!("{death:?}"))
    }

    /// Writes a service of another name as it stands, or a file that one includes.
    pub fn write_service(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.pam_folder().join(name), text).unwrap();
    }

    /// Where the services of this scene are.
    pub fn pam_folder(&self) -> PathBuf {
        self.folder.path().join("pam.d")
    }

    /// Authenticates with a service that [`write_service`](Scene::write_service) wrote: what
    /// `pam_authenticate` returned, and what the modules showed. `None` if it came to nothing,
    /// because `pam_start` failed or libpam crashed.
    pub fn authenticate(&self, service: &str) -> Option<(&'static str, Vec<String>)> {
        let mut login = self.login("root").request;
        login.service = service.into();
        let mut process = self.process.borrow_mut();
        let started = process.get_or_insert_with(|| self.start());
        started.ask(&protocol::Request {
            logins: vec![login],
            gated: false,
        });
        let answer = started.answer().inspect_err(|_| *process = None);
        let (mut outcomes, _) = answer.ok()?;
        let outcome = outcomes.remove(0);
        let shown = outcome.prompts.into_iter().map(|prompt| prompt.text);
        Some((rc_name(outcome.rc), shown.collect()))
    }

    /// The usersfile's folder, for what a test puts there.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().join("users")
    }

    /// The usersfile.
    pub fn path(&self) -> PathBuf {
        self.folder().join("users.oath")
    }

    /// The usersfile as it is now.
    pub fn usersfile_now(&self) -> Option<String> {
        match fs::read(self.path()) {
            Ok(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => panic!("{}: {error}", self.path().display()),
        }
    }

    /// What else is in the usersfile's folder now, by name.
    pub fn left_behind(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.folder())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .filter(|name| name != "users.oath")
            .collect();
        names.sort();
        names
    }

    /// The process that logs in, started if it is not running: for a look into /proc.
    pub fn process_id(&self) -> u32 {
        self.process
            .borrow_mut()
            .get_or_insert_with(|| self.start())
            .child
            .id()
    }

    fn run(&self, logins: Vec<protocol::Login>) -> Result<Vec<Outcome>, Death> {
        self.ask(logins, false);
        self.answer()
    }

    fn ask(&self, logins: Vec<protocol::Login>, gated: bool) {
        let neighbour = library("libpam_neighbour.so");
        let neighbour = neighbour.display();
        let module = self.module_under_its_name();
        let (module, control) = (module.display(), &self.control);
        let usersfile = match &self.usersfile_option {
            Some(option) => option,
            None => &self.module.file_option(&self.path()),
        };
        let args = &self.args;
        let stack = format!(
            "auth optional {neighbour} set\n\
             auth {control} {module} {usersfile} {args}\n\
             auth optional {neighbour} record\n"
        );
        fs::write(self.folder.path().join("pam.d").join(&self.service), stack).unwrap();
        let mut process = self.process.borrow_mut();
        let process = process.get_or_insert_with(|| self.start());
        process.ask(&protocol::Request { logins, gated });
    }

    fn answer(&self) -> Result<Vec<Outcome>, Death> {
        let mut process = self.process.borrow_mut();
        let answer = process.as_mut().expect("who was asked").answer();
        let (outcomes, printed) = answer.inspect_err(|_| *process = None)?;
        assert!(
            !self.module.is_ours() || printed.is_empty(),
            "the module printed {printed:?}"
        );
        Ok(outcomes
            .into_iter()
            .map(|outcome| Outcome::new(outcome, &printed))
            .collect())
    }

    /// A link to the module by the name it is installed with: libpam puts it before log lines.
    fn module_under_its_name(&self) -> PathBuf {
        let folder = self.folder.path().join(format!("{:?}", self.module));
        let link = folder.join(self.module.file_name());
        if !link.exists() {
            fs::create_dir_all(&folder).unwrap();
            symlink(self.module.path(), &link).unwrap();
        }
        link
    }

    fn start(&self) -> Process {
        let printed = self
            .folder
            .path()
            .join(format!("printed-by-{}", self.service));
        let mut command = match self.starter.as_slice() {
            [] => Command::new(helper("pam_login")),
            [starter, arguments @ ..] => {
                let mut command = Command::new(starter);
                command.args(arguments).arg(helper("pam_login"));
                command
            }
        };
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        Process::start(command, &printed)
    }
}

impl Default for Scene {
    fn default() -> Scene {
        Scene::new()
    }
}

/// Logins at the same moment, each in the process of its own scene, in the order given.
pub fn released_together<'a>(logins: impl IntoIterator<Item = Login<'a>>) -> Vec<Outcome> {
    released_together_while(logins, || ())
}

/// The same, with something else going on meanwhile.
pub fn released_together_while<'a>(
    logins: impl IntoIterator<Item = Login<'a>>,
    meanwhile: impl FnOnce(),
) -> Vec<Outcome> {
    let scenes: Vec<&Scene> = logins
        .into_iter()
        .map(|login| {
            login.scene.ask(vec![login.request], true);
            login.scene
        })
        .collect();
    for scene in &scenes {
        let mut process = scene.process.borrow_mut();
        process.as_mut().expect("who was asked").open_gate();
    }
    meanwhile();
    scenes
        .into_iter()
        .map(|scene| match scene.answer() {
            Ok(mut outcomes) => outcomes.remove(0),
            Err(death) => panic!("{death:?}"),
        })
        .collect()
}

/// A login that still lacks what is typed.
#[derive(Clone)]
pub struct Login<'a> {
    scene: &'a Scene,
    request: protocol::Login,
}

impl Login<'_> {
    fn user(mut self, user: Option<&[u8]>) -> Self {
        self.request.user = user.map(<[u8]>::to_vec);
        self
    }

    /// PAM_AUTHTOK as a module earlier in the stack set it.
    pub fn stacked(mut self, token: impl AsRef<[u8]>) -> Self {
        self.request.stacked = Some(token.as_ref().to_vec());
        self
    }

    pub fn rhost(mut self, rhost: impl AsRef<[u8]>) -> Self {
        self.request.rhost = Some(rhost.as_ref().to_vec());
        self
    }

    /// The moment of this login, in seconds since 1970.
    pub fn at(mut self, moment: i64) -> Self {
        self.request.clock = Clock::Held(moment);
        self
    }

    pub fn tty(mut self, tty: &str) -> Self {
        self.request.tty = Some(tty.into());
        self
    }

    /// Flags of pam_authenticate, such as PAM_SILENT.
    pub fn flags(mut self, flags: i32) -> Self {
        self.request.flags = flags;
        self
    }

    /// The conversation fails with this PAM return code.
    pub fn conversation_fails(mut self, rc: i32) -> Self {
        self.request.conversation = rc;
        self
    }

    /// What to type, for [`Scene::at_once`].
    pub fn typing(self, response: impl AsRef<[u8]>) -> Self {
        self.answering([Some(response)])
    }

    /// Answers to the prompts in turn, the last one again and again; `None` is a conversation
    /// that succeeds without a string.
    pub fn answering<R: AsRef<[u8]>>(
        mut self,
        responses: impl IntoIterator<Item = Option<R>>,
    ) -> Self {
        self.request.responses = responses
            .into_iter()
            .map(|r| r.map(|r| r.as_ref().to_vec()))
            .collect();
        self
    }

    /// What happens while the person who is asked has not answered, in the shell's words; it is
    /// done in the scene's folder.
    pub fn while_asked(mut self, command: &str) -> Self {
        let folder = self.scene.folder();
        self.request.at_prompt = Some(format!("cd '{}' && {command}", folder.display()));
        self
    }

    /// Somebody sets the clock to this moment while the person who is asked has not answered.
    pub fn clock_set_while_asked(mut self, moment: i64) -> Self {
        self.request.clock_at_prompt = Some(Clock::Held(moment));
        self
    }

    /// Logs in and types this at every prompt.
    pub fn types(self, response: impl AsRef<[u8]>) -> Outcome {
        self.typing(response).run()
    }

    /// Logs in and answers every prompt without a string.
    pub fn types_nothing(self) -> Outcome {
        self.answering([None::<&str>]).run()
    }

    /// Logs in with the answers given before.
    pub fn run(self) -> Outcome {
        let died = |death| panic!("{death:?}");
        self.scene
            .run(vec![self.request])
            .unwrap_or_else(died)
            .remove(0)
    }

    /// What pam_authenticate returned; `None` if the process died before. For a process that may
    /// lack even what it takes to load the module.
    pub fn rc_if_it_lives(self) -> Option<&'static str> {
        self.scene.ask(vec![self.request], false);
        let mut process = self.scene.process.borrow_mut();
        let answer = process.as_mut().expect("who was asked").answer();
        let (outcomes, _) = answer.inspect_err(|_| *process = None).ok()?;
        Some(rc_name(outcomes[0].rc))
    }

    /// Logs in with a module that takes the process along.
    pub fn dies(self) -> Death {
        match self.scene.run(vec![self.request]) {
            Err(death) => death,
            Ok(outcomes) => panic!("nobody died: {outcomes:?}"),
        }
    }
}

/// What a login came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// What pam_authenticate returned, without `PAM_`.
    pub rc: &'static str,
    /// What pam_setcred said, asked only after a success.
    pub setcred: Option<&'static str>,
    pub prompts: Vec<Prompt>,
    /// PAM_AUTHTOK as the next module finds it.
    pub authtok: Option<String>,
    pub log: Vec<LogLine>,
    /// What came on standard output and standard error; always empty for our module.
    pub printed: String,
}

impl Outcome {
    fn new(outcome: protocol::Outcome, printed: &str) -> Outcome {
        let log: Vec<LogLine> = outcome.log.into_iter().map(LogLine::new).collect();
        let rc = rc_name(outcome.rc);
        assert!(
            rc != "MODULE_UNKNOWN"
                && !log
                    .iter()
                    .any(|line| line.text.contains("unable to dlopen")),
            "libpam could not load a module of the stack: {log:#?}"
        );
        Outcome {
            rc,
            setcred: outcome.setcred.map(rc_name),
            prompts: outcome.prompts,
            authtok: outcome
                .authtok
                .map(|token| String::from_utf8_lossy(&token).into_owned()),
            log,
            printed: printed.into(),
        }
    }

    /// The log's lines in one text, `level: text` each.
    pub fn log_text(&self) -> String {
        self.log
            .iter()
            .map(|line| format!("{}: {}\n", line.level, line.text))
            .collect()
    }
}

impl Prompt {
    pub fn echoes(&self) -> bool {
        self.style == pam_sys::PAM_PROMPT_ECHO_ON
    }
}

/// A line in the system's log.
#[derive(Clone, Debug, PartialEq)]
pub struct LogLine {
    /// `err`, `notice`, `info`, ...
    pub level: &'static str,
    /// With libpam's prefix, `pam_oath(SERVICE:auth): ` for lines of the module.
    pub text: String,
}

impl LogLine {
    fn new(line: protocol::LogLine) -> LogLine {
        assert_eq!(
            line.priority & !7,
            libc::LOG_AUTHPRIV,
            "the facility of {:?}",
            line.text
        );
        LogLine {
            level: LEVELS[(line.priority & 7) as usize],
            text: line.text,
        }
    }
}

/// How a module took its process along.
#[derive(Debug)]
pub struct Death {
    pub status: ExitStatus,
    pub printed: String,
}

struct Process {
    child: Child,
    socket: BufReader<UnixStream>,
    printed: File,
}

impl Process {
    fn start(mut command: Command, printed: &Path) -> Process {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_read_timeout(Some(PATIENCE)).unwrap();
        let out = File::options()
            .create(true)
            .append(true)
            .open(printed)
            .unwrap();
        let child = command
            .stdin(OwnedFd::from(theirs))
            .stdout(out.try_clone().unwrap())
            .stderr(out)
            .spawn()
            .unwrap_or_else(|error| panic!("{:?}: {error}", command.get_program()));
        let mut printed = File::open(printed).unwrap();
        std::io::copy(&mut printed, &mut std::io::sink()).unwrap();
        Process {
            child,
            socket: BufReader::new(ours),
            printed,
        }
    }

    fn ask(&mut self, request: &protocol::Request) {
        self.send(&serde_json::to_string(request).unwrap());
        if request.gated {
            assert_eq!(self.receive(), "\n", "the process is ready");
        }
    }

    fn open_gate(&mut self) {
        self.send("");
    }

    fn send(&mut self, line: &str) {
        // A process that is gone shows in the answer, or rather in that there is none.
        let _ = self
            .socket
            .get_mut()
            .write_all(format!("{line}\n").as_bytes());
    }

    fn receive(&mut self) -> String {
        let mut line = String::new();
        match self.socket.read_line(&mut line) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                panic!("no end of the login in {PATIENCE:?}")
            }
            _ => line,
        }
    }

    fn answer(&mut self) -> Result<(Vec<protocol::Outcome>, String), Death> {
        let answer = self.receive();
        let mut printed = Vec::new();
        self.printed.read_to_end(&mut printed).unwrap();
        let printed = String::from_utf8_lossy(&printed).into_owned();
        if answer.ends_with('\n') {
            Ok((serde_json::from_str(&answer).unwrap(), printed))
        } else {
            Err(Death {
                status: self.child.wait().unwrap(),
                printed,
            })
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program that a test runs; the message names the package that has it.
pub fn program(name: &str, package: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
        .unwrap_or_else(|| panic!("no program {name}: install the package {package}"))
}

/// Writes a program that everybody may execute.
pub fn write_program(path: &Path, content: impl AsRef<[u8]>) {
    write_program_by(Command::new("sh"), path, content.as_ref());
    fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
}

/// A program is written by a process of its own. A process that another test starts at this
/// moment has a copy of every descriptor of this one until it executes its program, and what
/// anybody has open to write on cannot be executed.
fn write_program_by(mut shell: Command, path: &Path, content: &[u8]) {
    let mut writer = shell
        .args(["-c", "cat > \"$0\""])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .expect("the shell starts");
    let mut stdin = writer.stdin.take().expect("a pipe");
    stdin.write_all(content).expect("cat reads");
    drop(stdin);
    let ended = writer.wait().expect("cat ends");
    assert!(ended.success(), "{}", path.display());
}

fn rc_name(rc: i32) -> &'static str {
    RCS.get(rc as usize)
        .unwrap_or_else(|| panic!("{rc} is no PAM return code"))
}

const LEVELS: [&str; 8] = [
    "emerg", "alert", "crit", "err", "warning", "notice", "info", "debug",
];

/// Linux-PAM's return codes from 0, without `PAM_`.
const RCS: [&str; 32] = [
    "SUCCESS",
    "OPEN_ERR",
    "SYMBOL_ERR",
    "SERVICE_ERR",
    "SYSTEM_ERR",
    "BUF_ERR",
    "PERM_DENIED",
    "AUTH_ERR",
    "CRED_INSUFFICIENT",
    "AUTHINFO_UNAVAIL",
    "USER_UNKNOWN",
    "MAXTRIES",
    "NEW_AUTHTOK_REQD",
    "ACCT_EXPIRED",
    "SESSION_ERR",
    "CRED_UNAVAIL",
    "CRED_EXPIRED",
    "CRED_ERR",
    "NO_MODULE_DATA",
    "CONV_ERR",
    "AUTHTOK_ERR",
    "AUTHTOK_RECOVERY_ERR",
    "AUTHTOK_LOCK_BUSY",
    "AUTHTOK_DISABLE_AGING",
    "TRY_AGAIN",
    "IGNORE",
    "ABORT",
    "AUTHTOK_EXPIRED",
    "MODULE_UNKNOWN",
    "BAD_ITEM",
    "CONV_AGAIN",
    "INCOMPLETE",
];
