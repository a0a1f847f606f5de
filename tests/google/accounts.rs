//! A file system with homes of its own, for the measured cases: what they prepare, a login, and what
//! can be seen afterwards.

use std::fs::{self, File, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;
use test_support::{Module, Scene, bind, released_together_while};

use crate::answer::{Answer, State, Text};

/// The accounts, each with its number and its home below the world's folder (or, after `=`, as it
/// stands).
const ACCOUNTS: [(&str, u32, &str); 11] = [
    ("alice", 20001, "home/alice"),
    ("bob", 20002, "home/bob"),
    ("gauth", 20010, "home/gauth"),
    ("carol", 20003, "home/carol-is-missing"),
    ("relly", 20004, "=relative/home"),
    ("nohome", 20005, "="),
    ("a.b", 20006, "home/a.b"),
    ("żółw", 20007, "home/żółw"),
    ("alice2", 20008, "home/alice2"),
    ("EX\\al", 20009, "home/EX\\al"),
    ("twin", 20001, "home/twin"),
];

/// What stands in the cases for the world's folder.
const FOLDER: &str = "@W@";

/// A case, but for its logins.
#[derive(Deserialize)]
pub struct Setting {
    pub file: Option<Contents>,
    at: Option<String>,
    mode: Option<String>,
    owner: Option<String>,
    #[serde(default)]
    before: Vec<Vec<String>>,
    #[serde(default)]
    then: Vec<Vec<String>>,
    pub args: Vec<String>,
    pub user: String,
    run_as: Option<String>,
    #[serde(default)]
    watch: Vec<String>,
}

/// The text of a file, or texts, each so many times.
#[derive(Deserialize)]
#[serde(untagged)]
pub enum Contents {
    Repeated(Vec<(String, usize)>),
    Plain(Text),
}

impl Contents {
    fn text(&self) -> Vec<u8> {
        match self {
            Contents::Plain(text) => text.0.clone(),
            Contents::Repeated(parts) => {
                let parts = parts.iter().map(|(text, times)| text.repeat(*times));
                parts.collect::<String>().into_bytes()
            }
        }
    }
}

/// One login.
#[derive(Clone, Deserialize)]
pub struct Step {
    pub clock: i64,
    /// What is typed at each prompt, the last one again and again; see [`NO_STRING`] and
    /// [`CONVERSATION_FAILS`].
    pub responses: Vec<String>,
    #[serde(default = "rhost")]
    pub rhost: Option<String>,
    pub preset_authtok: Option<String>,
    #[serde(default)]
    during: Vec<During>,
    #[serde(default)]
    silent: bool,
    pub reference: Option<Answer>,
}

impl Step {
    /// Whether something happens while the prompt waits.
    pub fn is_disturbed(&self) -> bool {
        !self.during.is_empty()
    }
}

pub const NO_STRING: &str = "@NULL";
pub const CONVERSATION_FAILS: &str = "@CONV_ERR";

fn rhost() -> Option<String> {
    Some("192.0.2.7".into())
}

/// What happens while somebody waits at the prompt.
#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum During {
    Login(LoginWord, Box<Step>),
    Action(Vec<String>),
}

#[derive(Clone, Deserialize)]
enum LoginWord {
    #[serde(rename = "login")]
    Login,
}

/// For the thread that makes it, and what that starts.
pub struct World {
    scene: Scene,
    mounted: Vec<PathBuf>,
    /// How many logins wait at their prompt.
    depth: usize,
    /// What was in the file's folder before the first login.
    already_there: Vec<String>,
}

impl World {
    /// Takes root.
    pub fn new() -> World {
        let scene = Scene::new().usersfile_option("");
        let folder = scene.folder();
        let of_root = format!("root:x:0:0:root:{}/home/root:/bin/sh\n", folder.display());
        let mut passwd = of_root;
        let mut group = "root:x:0:\n".to_owned();
        for (name, number, home) in ACCOUNTS {
            let home = match home.strip_prefix('=') {
                Some(home) => home.into(),
                None => folder.join(home).display().to_string(),
            };
            passwd += &format!("{name}:x:{number}:{number}::{home}:/bin/sh\n");
            group += &format!("{name}:x:{number}:\n");
        }
        for (name, text) in [("passwd", passwd), ("group", group)] {
            let path = folder.join(name);
            fs::write(&path, text).unwrap();
            bind::bind(&path, &format!("/etc/{name}"));
        }
        World {
            scene,
            mounted: Vec::new(),
            depth: 0,
            already_there: Vec::new(),
        }
    }

    fn path(&self, text: &str) -> PathBuf {
        self.real(text).into()
    }

    fn real(&self, text: &str) -> String {
        text.replace(FOLDER, self.scene.folder().to_str().unwrap())
    }

    fn shown(&self, text: &str) -> String {
        text.replace(self.scene.folder().to_str().unwrap(), FOLDER)
    }

    /// Where the case's file is.
    fn file(&self, setting: &Setting) -> PathBuf {
        if let Some(at) = &setting.at {
            return self.path(at);
        }
        let own = ACCOUNTS.iter().find(|(name, ..)| *name == setting.user);
        let home = own.map_or(format!("home/{}", setting.user), |(_, _, home)| {
            home.to_string()
        });
        match home.strip_prefix('=') {
            Some(home) => Path::new(home).join(".google_authenticator"),
            None => self.scene.folder().join(home).join(".google_authenticator"),
        }
    }

    /// Homes as they are at the beginning, and what the case puts there.
    pub fn prepare(&mut self, setting: &Setting) {
        while let Some(mounted) = self.mounted.pop() {
            run("umount", &[mounted.to_str().unwrap()]);
        }
        for folder in ["home", "secrets"] {
            let folder = self.scene.folder().join(folder);
            if folder.exists() {
                fs::remove_dir_all(&folder).unwrap();
            }
            make_folder(&folder, 0o755, (0, 0));
        }
        make_folder(&self.scene.folder().join("home/root"), 0o700, (0, 0));
        for (_, number, home) in ACCOUNTS {
            if !home.starts_with('=') && !home.contains("missing") {
                make_folder(&self.scene.folder().join(home), 0o700, (number, number));
            }
        }
        for action in &setting.before {
            self.act(action);
        }
        let path = self.file(setting);
        if let Some(contents) = &setting.file {
            let is_account = ACCOUNTS.iter().any(|(name, ..)| *name == setting.user);
            let own = if is_account { &setting.user } else { "root" };
            let owner = setting.owner.as_deref().unwrap_or(own);
            let mode = setting.mode.as_deref().unwrap_or("0600");
            write(&path, &contents.text(), mode, ids(owner));
        }
        for action in &setting.then {
            self.act(action);
        }
        self.already_there = beside(&path);
    }

    fn act(&mut self, action: &[String]) {
        let action: Vec<String> = action.iter().map(|word| self.real(word)).collect();
        let words: Vec<&str> = action.iter().map(String::as_str).collect();
        let path = Path::new(words[1]);
        match words[..] {
            ["mkdir", _, mode, owner] => make_folder(path, octal(mode), ids(owner)),
            ["chmod", _, mode] => set_mode(path, octal(mode)),
            ["write", _, text, mode, owner] => write(path, text.as_bytes(), mode, ids(owner)),
            // In the second of the last change, however long ago that is: Google's module looks at
            // the seconds alone.
            ["write at once", _, text, mode, owner] => {
                let changed = fs::metadata(path).unwrap().modified().unwrap();
                write(path, text.as_bytes(), mode, ids(owner));
                File::open(path).unwrap().set_modified(changed).unwrap();
            }
            ["symlink", _, target, owner] => {
                symlink(target, path).unwrap();
                let (uid, gid) = ids(owner);
                lchown(path, Some(uid), Some(gid)).unwrap();
            }
            ["link", _, target] => fs::hard_link(target, path).unwrap(),
            ["fifo", _, mode, owner] => {
                run("mkfifo", &[words[1]]);
                give(path, octal(mode), ids(owner));
            }
            ["rm", _] => fs::remove_file(path).unwrap(),
            ["full", folder, size, inodes, owner] => {
                let limits = format!("mode=0700,size={size},nr_inodes={inodes}");
                run("mount", &["-t", "tmpfs", "-o", &limits, "tmpfs", folder]);
                self.mounted.push(path.into());
                give(path, 0o700, ids(owner));
            }
            ["fill", _] => {
                let mut filler = File::create(path.join("filler")).unwrap();
                while filler.write_all(&[b'x'; 4096]).is_ok() {}
            }
            ["readonly", folder] => {
                run("mount", &["--bind", folder, folder]);
                run("mount", &["-o", "remount,bind,ro", folder]);
                self.mounted.push(path.into());
            }
            _ => panic!("no preparation is {action:?}"),
        }
    }

    /// One login of the case by a module.
    pub fn log_in(&mut self, setting: &Setting, step: &Step, module: Module) -> Answer {
        let arguments = setting.args.iter().map(|argument| {
            let argument = self.real(argument);
            match argument.is_empty() || argument.contains([' ', '[', ']']) {
                true => format!("[{}]", argument.replace(']', "\\]")),
                false => argument,
            }
        });
        let arguments: Vec<String> = arguments.collect();
        let mut scene = self
            .scene
            .twin(&format!("google-{}", self.depth))
            .module(module)
            .args(&arguments.join(" "));
        if let Some(user) = &setting.run_as {
            let (uid, gid) = ids(user);
            scene = scene.application_of(uid, gid);
        }
        let responses = step.responses.iter();
        let mut login = scene
            .login(&setting.user)
            .at(step.clock)
            .tty("ssh")
            .answering(responses.map(|typed| (typed != NO_STRING).then_some(typed)));
        if step.responses[0] == CONVERSATION_FAILS {
            login = login.conversation_fails(pam_sys::PAM_CONV_ERR);
        }
        if let Some(host) = &step.rhost {
            login = login.rhost(host);
        }
        if let Some(token) = &step.preset_authtok {
            login = login.stacked(token);
        }
        if step.silent {
            login = login.flags(pam_sys::PAM_SILENT);
        }
        let (outcome, inner) = if step.during.is_empty() {
            (login.run(), Vec::new())
        } else {
            self.depth += 1;
            let gates = ["asked", "answer"].map(|name| format!("{name}-{}", self.depth));
            for gate in &gates {
                run(
                    "mkfifo",
                    &[self.scene.folder().join(gate).to_str().unwrap()],
                );
            }
            let [asked, answer] = gates;
            let login = login.while_asked(&format!("echo >{asked}; read line <{answer}"));
            let mut inner = Vec::new();
            let mut outcomes = released_together_while([login], || {
                let [asked, answer] = [asked, answer].map(|gate| self.scene.folder().join(gate));
                run("timeout", &["20", "cat", asked.to_str().unwrap()]);
                for during in &step.during {
                    match during {
                        During::Login(LoginWord::Login, step) => {
                            inner.push(self.log_in(setting, step, module))
                        }
                        During::Action(action) => self.act(action),
                    }
                }
                fs::write(&answer, "\n").unwrap();
                for gate in [asked, answer] {
                    fs::remove_file(gate).unwrap();
                }
            });
            self.depth -= 1;
            (outcomes.remove(0), inner)
        };
        let path = self.file(setting);
        let is_question =
            |style| [pam_sys::PAM_PROMPT_ECHO_OFF, pam_sys::PAM_PROMPT_ECHO_ON].contains(&style);
        let prompts = outcome.prompts.iter();
        let (questions, messages): (Vec<_>, Vec<_>) =
            prompts.partition(|prompt| is_question(prompt.style));
        let last = questions.last();
        let messages = messages.iter().map(|message| {
            let kind = match message.style {
                pam_sys::PAM_ERROR_MSG => "error",
                _ => "info",
            };
            (kind.to_owned(), self.shown(&message.text))
        });
        let State(after, after_stat) = self.state(&path);
        let mut left_behind = beside(&path);
        left_behind.retain(|name| !self.already_there.contains(name));
        let watch = setting.watch.iter();
        Answer {
            // What libpam makes of a stack in which every module says PAM_IGNORE.
            rc: outcome.rc.replace("PERM_DENIED", "IGNORE"),
            prompts: questions.len(),
            prompt: last.map(|prompt| self.shown(&prompt.text)),
            echo: last.map(|prompt| prompt.echoes()),
            messages: messages.collect(),
            authtok: Some(self.shown(outcome.authtok.as_deref().unwrap_or("(unset)"))),
            after,
            after_stat,
            left_behind,
            watch: watch
                .map(|watched| (watched.clone(), self.state(&self.path(watched))))
                .collect(),
            inner,
            log: outcome
                .log
                .iter()
                .map(|line| self.shown(&line.text))
                .collect(),
        }
    }

    /// The case's file as it is now.
    pub fn file_now(&self, setting: &Setting) -> State {
        self.state(&self.file(setting))
    }

    /// Makes the case's file one of before again.
    pub fn put_back(&self, setting: &Setting, state: &State) {
        let path = self.file(setting);
        let State(Some(text), Some(stat)) = state else {
            panic!("{}: {state:?} was no file", path.display());
        };
        let (mode, owner) = stat.split_once(' ').unwrap();
        let new = path.with_extension("put-back");
        write(&new, &text.0, mode, ids(owner));
        fs::rename(new, path).unwrap();
    }

    fn state(&self, path: &Path) -> State {
        let metadata = match fs::symlink_metadata(path) {
            Err(error)
                if [ErrorKind::NotFound, ErrorKind::NotADirectory].contains(&error.kind()) =>
            {
                return State::default();
            }
            metadata => metadata.unwrap(),
        };
        let kind = metadata.file_type();
        let name = match () {
            () if kind.is_symlink() => "link ",
            () if kind.is_dir() => "folder ",
            () if kind.is_fifo() => "fifo ",
            () => "",
        };
        let of = |number: u32| {
            let account = ACCOUNTS.iter().find(|(_, uid, _)| *uid == number);
            match number {
                0 => "root".into(),
                number => account.map_or(number.to_string(), |(name, ..)| name.to_string()),
            }
        };
        let (uid, gid) = (metadata.uid(), metadata.gid());
        let mut stat = format!("{name}{:04o} {}", metadata.mode() & 0o7777, of(uid));
        if uid != gid {
            stat += &format!(":{}", of(gid));
        }
        if kind.is_symlink() {
            let target = fs::read_link(path).unwrap();
            stat += &format!(" -> {}", self.shown(target.to_str().unwrap()));
        }
        let is_read = kind.is_file() || kind.is_symlink();
        let text = is_read.then(|| fs::read(path).ok()).flatten().map(Text);
        State(text, Some(stat))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for account_file in ["/etc/passwd", "/etc/group"] {
            run("umount", &[account_file]);
        }
        while let Some(mounted) = self.mounted.pop() {
            run("umount", &[mounted.to_str().unwrap()]);
        }
    }
}

/// The owner and the group, `alice` or `alice:bob`.
fn ids(owner: &str) -> (u32, u32) {
    let number = |name: &str| match name {
        "root" => 0,
        name => {
            let account = ACCOUNTS.iter().find(|(account, ..)| *account == name);
            account.map_or_else(|| name.parse().unwrap(), |(_, number, _)| *number)
        }
    };
    match owner.split_once(':') {
        Some((owner, group)) => (number(owner), number(group)),
        None => (number(owner), number(owner)),
    }
}

fn octal(mode: &str) -> u32 {
    u32::from_str_radix(mode, 8).unwrap()
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn give(path: &Path, mode: u32, (uid, gid): (u32, u32)) {
    chown(path, Some(uid), Some(gid)).unwrap();
    set_mode(path, mode);
}

fn make_folder(path: &Path, mode: u32, owner: (u32, u32)) {
    fs::create_dir_all(path).unwrap();
    give(path, mode, owner);
}

fn write(path: &Path, text: &[u8], mode: &str, owner: (u32, u32)) {
    fs::write(path, text).unwrap();
    give(path, octal(mode), owner);
}

/// What else is in a file's folder.
fn beside(path: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(path.parent().unwrap()) else {
        return Vec::new();
    };
    let names = entries.map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = names
        .filter(|name| Some(name.as_os_str()) != path.file_name())
        .map(|name| String::from_utf8_lossy(name.as_bytes()).into_owned())
        .collect();
    names.sort();
    names
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {output:?}"
    );
}
