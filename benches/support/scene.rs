//! What a login finds: a usersfile of so many people, the PAM services of the modules compared,
//! and the file as it was before each login.

use std::ffi::CString;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use oath_core::otp::{Algorithm, Key, time_step};
use tempfile::TempDir;

use crate::pam::{self, Clock};

/// The window of every module in every comparison, in time steps on each side.
const WINDOW: u64 = 30;
const PERIOD: u32 = 30;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Module {
    /// The module that `make build` leaves, or the one that PAM_OATH_SO names.
    This,
    /// OATH Toolkit's.
    OathToolkit,
    /// pam_google_authenticator, which has a file for each user.
    Google,
    /// The module in its place that `make build` leaves, or the one that PAM_GOOGLE_AUTHENTICATOR_SO
    /// names.
    InPlaceOfGoogle,
    /// Linux-PAM's pam_permit, which does nothing: what libpam itself costs.
    Floor,
}

impl Module {
    pub fn name(self) -> &'static str {
        match self {
            Module::This => "ours",
            Module::OathToolkit => "OATH Toolkit",
            Module::Google => "google-authenticator",
            Module::InPlaceOfGoogle => "ours in its place",
            Module::Floor => "pam_permit",
        }
    }

    /// The PAM service that asks it; libpam takes names in lower case only.
    fn service(self) -> String {
        format!("{self:?}").to_lowercase()
    }

    /// Where it is; `None` if it is not installed.
    pub fn path(self) -> Option<PathBuf> {
        let installed = match self {
            Module::This => return built("PAM_OATH_SO", "libpam_oath.so"),
            Module::InPlaceOfGoogle => {
                let file = "libpam_google_authenticator.so";
                return built("PAM_GOOGLE_AUTHENTICATOR_SO", file);
            }
            Module::OathToolkit => "pam_oath.so",
            Module::Google => "pam_google_authenticator.so",
            Module::Floor => "pam_permit.so",
        };
        let multiarch = format!("/usr/lib/{}-linux-gnu", std::env::consts::ARCH);
        [&multiarch, "/usr/lib64", "/usr/lib", "/lib64", "/lib"]
            .map(|folder| Path::new(folder).join("security").join(installed))
            .into_iter()
            .find(|path| path.exists())
    }
}

/// A module that this project builds, unless the environment names another build of it.
fn built(variable: &str, file: &str) -> Option<PathBuf> {
    let named = std::env::var_os(variable).map(PathBuf::from);
    let path = named.unwrap_or_else(|| {
        let program = std::env::current_exe().expect("this program's path");
        // It runs in target/release/deps.
        program.with_file_name("..").join(file)
    });
    path.exists().then_some(path)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The code of this moment: accepted, and the file replaced.
    Accepted,
    /// A code of no moment near, nor the one used last.
    Refused,
    /// The code used last, at which OATH Toolkit's search ends.
    Replayed,
    /// A user who has no line, as they pass by where `[user_unknown=ignore]` stands.
    Unknown,
}

impl Outcome {
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Accepted => "accepted",
            Outcome::Refused => "refused",
            Outcome::Replayed => "replayed",
            Outcome::Unknown => "unknown",
        }
    }
}

/// What everybody's last code was.
const LAST_OTP: &str = "755224";

/// A person with a token.
pub struct Person {
    pub name: String,
    secret: Vec<u8>,
}

impl Person {
    fn number(n: usize) -> Person {
        // A secret as long as SHA-1's output, the same at every run (splitmix64).
        let mut state = n as u64;
        let mut next = || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (mixed ^ (mixed >> 31)) as u8
        };
        Person {
            name: format!("user{n:07}"),
            secret: (0..20).map(|_| next()).collect(),
        }
    }

    /// The line that this person's last login left, long ago.
    fn line(&self) -> String {
        let secret: String = self.secret.iter().map(|b| format!("{b:02x}")).collect();
        let name = &self.name;
        format!("HOTP/T30\t{name}\t-\t{secret}\t0\t{LAST_OTP}\t2026-01-15T12:00:00L\n")
    }

    /// The state file of pam_google_authenticator for the same token, window and strictness.
    fn google_file(&self) -> String {
        let secret = base32::encode(base32::Alphabet::Rfc4648 { padding: false }, &self.secret);
        let window = 2 * WINDOW + 1;
        format!("{secret}\n\" WINDOW_SIZE {window}\n\" DISALLOW_REUSE\n\" TOTP_AUTH\n")
    }

    /// What this person types for `outcome`.
    pub fn code(&self, outcome: Outcome) -> CString {
        let key = Key::new(Algorithm::Sha1, &self.secret);
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .expect("a clock past 1970");
        let now = time_step(now.as_secs(), PERIOD);
        let code = match outcome {
            Outcome::Accepted => key.code(now, 6).text().to_string(),
            Outcome::Replayed => LAST_OTP.to_owned(),
            Outcome::Refused | Outcome::Unknown => {
                // One step more, should the next begin meanwhile.
                let near: Vec<String> = (now - WINDOW - 1..=now + WINDOW + 1)
                    .map(|step| key.code(step, 6).text().to_string())
                    .collect();
                (0..)
                    .map(|n| format!("{n:06}"))
                    .find(|code| code != LAST_OTP && !near.contains(code))
                    .expect("a code of no step near")
            }
        };
        CString::new(code).expect("digits")
    }
}

/// A folder with the services' configuration and the modules' files.
pub struct Scene {
    folder: TempDir,
    /// Copies of the modules: how a file lies in memory, and so what loading it costs, depends on
    /// how it was written. Linkers, package managers and install(1) differ in that.
    modules: TempDir,
    usersfile: String,
    pub people: Vec<Person>,
}

impl Scene {
    /// A usersfile of `users` lines, in a new folder below `folder`.
    pub fn new(folder: &Path, users: usize) -> Scene {
        let folder = tempfile::Builder::new()
            .prefix("pam_oath-bench-")
            .tempdir_in(folder)
            .expect("a scratch folder");
        let modules = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder on a disk");
        let mut usersfile = String::new();
        let mut people = Vec::with_capacity(users);
        for n in 0..users {
            let person = Person::number(n);
            usersfile += &person.line();
            people.push(person);
        }
        let scene = Scene {
            folder,
            modules,
            usersfile,
            people,
        };
        fs::create_dir(scene.confdir()).unwrap();
        // Where it is missing, libpam complains to syslog at every login.
        fs::write(scene.confdir().join("other"), "").unwrap();
        scene
    }

    /// The same with one user, who has an account: that of this process. A module that looks for the
    /// account of a user who has none waits for every source of the name service.
    pub fn of_account(folder: &Path) -> Scene {
        let mut scene = Scene::new(folder, 1);
        scene.people[0].name = own_name();
        scene
    }

    /// Where the copies of the modules are.
    pub fn modules(&self) -> &Path {
        self.modules.path()
    }

    pub fn confdir(&self) -> PathBuf {
        self.folder.path().join("pam.d")
    }

    /// How long the usersfile is, in bytes.
    pub fn length(&self) -> usize {
        self.usersfile.len()
    }

    /// The usersfile, or the folder with a file for each user.
    fn file(&self, module: Module) -> PathBuf {
        self.folder.path().join(match module {
            Module::Google => "google",
            Module::InPlaceOfGoogle => "in-place-of-google",
            _ => "users.oath",
        })
    }

    /// Writes the module's service and its file.
    pub fn enter(&self, module: Module) {
        let path = module.path().expect("an installed module");
        let copy = self
            .modules
            .path()
            .join(module.service())
            .with_extension("so");
        fs::copy(path, &copy).expect("a copy of the module");
        let file = self.file(module);
        let arguments = match module {
            Module::This | Module::OathToolkit => {
                format!("usersfile={} window={WINDOW}", file.display())
            }
            Module::Google | Module::InPlaceOfGoogle => {
                fs::create_dir_all(&file).unwrap();
                format!("secret={}/${{USER}} user={}", file.display(), own_name())
            }
            Module::Floor => String::new(),
        };
        let line = format!("auth required {} {arguments}\n", copy.display());
        fs::write(self.confdir().join(module.service()), line).unwrap();
        self.reset(module);
    }

    /// The module's file as it was before any login.
    pub fn reset(&self, module: Module) {
        let file = self.file(module);
        match module {
            Module::This | Module::OathToolkit => write_private(&file, &self.usersfile),
            Module::Google | Module::InPlaceOfGoogle => {
                for person in &self.people {
                    write_private(&file.join(&person.name), &person.google_file());
                }
            }
            Module::Floor => {}
        }
    }

    /// A login, to be done and timed.
    pub fn login(&self, module: Module, person: &Person, outcome: Outcome) -> Login {
        let expected = match outcome {
            _ if module == Module::Floor => pam_sys::PAM_SUCCESS,
            Outcome::Accepted => pam_sys::PAM_SUCCESS,
            Outcome::Refused | Outcome::Replayed => pam_sys::PAM_AUTH_ERR,
            Outcome::Unknown => pam_sys::PAM_USER_UNKNOWN,
        };
        let user = match outcome {
            Outcome::Unknown => "somebody-else",
            _ => &person.name,
        };
        Login {
            confdir: c_string(self.confdir().to_str().expect("a UTF-8 path")),
            service: c_string(&module.service()),
            user: c_string(user),
            code: person.code(outcome),
            expected,
        }
    }
}

/// The name of the account that this process runs as.
fn own_name() -> String {
    let name = Command::new("id").arg("-un").output().expect("id(1)");
    let name = String::from_utf8(name.stdout).expect("a name");
    name.trim().to_owned()
}

fn c_string(text: &str) -> CString {
    CString::new(text).expect("no NUL")
}

fn write_private(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
}

pub struct Login {
    pub confdir: CString,
    pub service: CString,
    pub user: CString,
    pub code: CString,
    expected: i32,
}

impl Login {
    /// Does it, and tells how long it took; `None` if the outcome is another than expected.
    pub fn run(&self, clock: Clock) -> Option<Duration> {
        let start = clock.now();
        let result = pam::one_login(&self.confdir, &self.service, &self.user, &self.code);
        let end = clock.now();
        (result == self.expected).then(|| end - start)
    }
}
