//! Folders of users who are up to something, and what must not be touched from there.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};

use oath_core::sys::{self, Account};

use crate::codes::Generator;
use crate::kind::{Kind, Token};
use crate::{Login, Outcome, Scene};

/// Alice's token, and her line of the usersfile before the first login.
pub const SECRET: &str = "3132333435363738393031323334353637383930";
pub const LINE: &str = "HOTP\talice\t-\t3132333435363738393031323334353637383930\n";

/// What root's own files say of alice. Whoever lets her in with this has read one.
const ROOTS_SECRET: &str = "00112233445566778899aabbccddeeff00112233";
const ROOTS_SECRET_BASE32: &str = "AAISEM2EKVTHPCEZVK54ZXPO74ABCIRT";

/// The code of alice's token for this counter.
pub fn code(counter: u64) -> String {
    Generator::new(SECRET).code(counter)
}

/// An account that every system has, but for its name no different from a person's.
pub fn account(name: &str) -> Account {
    assert_eq!(sys::effective_user(), 0, "needs root: run make test");
    sys::account_by_name(OsStr::new(name))
        .unwrap()
        .unwrap_or_else(|| panic!("the system has no account {name}"))
}

/// A folder of root's with `home` in it, which belongs to an account, and beside it what is none
/// of that account's business. The file to log in with is `home/users.oath`.
pub struct Home {
    pub kind: Kind,
    pub scene: Scene,
    pub owner: Account,
    pub folder: PathBuf,
    bystander: PathBuf,
}

impl Home {
    /// The home of `daemon`, with nothing in it.
    pub fn new() -> Home {
        Home::of(Kind::Usersfile)
    }

    /// The same for a login by this kind of file.
    pub fn of(kind: Kind) -> Home {
        Home::at("home", kind)
    }

    /// The same with `path` as the home, relative to root's folder.
    pub fn below_a_folder(path: &str) -> Home {
        Home::at(path, Kind::Usersfile)
    }

    fn at(path: &str, kind: Kind) -> Home {
        let scene = Scene::new().module(kind.module());
        let owner = account("daemon");
        let folder = scene.folder().join(path);
        fs::create_dir_all(&folder).unwrap();
        let bystander = scene.folder().join("root");
        let home = Home {
            kind,
            scene,
            owner,
            folder,
            bystander,
        };
        home.give(&home.folder, 0o700);
        home.stand_by();
        home.with_usersfile("users.oath")
    }

    /// Root's folder that nobody has any business in.
    fn stand_by(&self) {
        fs::create_dir(&self.bystander).unwrap();
        for name in ["users.oath", ".users.oath.new", "other"] {
            let text = match self.kind {
                Kind::Usersfile => format!("HOTP\talice\t-\t{ROOTS_SECRET}\n"),
                Kind::SecretFile => format!("{ROOTS_SECRET_BASE32}\n\" HOTP_COUNTER 1\n"),
            };
            let path = self.bystander.join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        }
    }

    /// The PAM line names this path in the home.
    pub fn with_usersfile(mut self, path: &str) -> Home {
        let path = self.folder.join(path);
        let option = match self.kind {
            Kind::Usersfile => format!("usersfile={}", path.display()),
            Kind::SecretFile => format!("secret={} user=daemon", path.display()),
        };
        self.scene = self.scene.usersfile_option(&option);
        self
    }

    /// Alice's token.
    pub fn token(&self) -> Token {
        self.kind.token()
    }

    /// What is said of one kind of file, and of the other.
    pub fn says(&self, usersfile: &'static str, secret_file: &'static str) -> &'static str {
        match self.kind {
            Kind::Usersfile => usersfile,
            Kind::SecretFile => secret_file,
        }
    }

    /// A path in the home.
    pub fn join(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }

    /// Root's file of that name, which is none of the owner's business.
    pub fn roots(&self, name: &str) -> PathBuf {
        self.bystander.join(name)
    }

    /// Makes a path the owner's.
    pub fn give(&self, path: &Path, mode: u32) {
        lchown(path, Some(self.owner.uid), Some(self.owner.gid)).unwrap();
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    /// A folder of the owner's.
    pub fn make_folder(&self, path: &str) -> PathBuf {
        let path = self.join(path);
        fs::create_dir(&path).unwrap();
        self.give(&path, 0o700);
        path
    }

    /// A file of the owner's.
    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.join(path);
        fs::write(&path, text).unwrap();
        self.give(&path, 0o600);
        path
    }

    /// A symbolic link of the owner's.
    pub fn link(&self, path: &str, target: &Path) -> PathBuf {
        let path = self.join(path);
        std::os::unix::fs::symlink(target, &path).unwrap();
        lchown(&path, Some(self.owner.uid), Some(self.owner.gid)).unwrap();
        path
    }

    /// A login of alice's.
    pub fn login(&self) -> Login<'_> {
        self.scene.login("alice")
    }

    /// A login with the code that root's file would accept.
    pub fn login_by_roots_file(&self) -> Outcome {
        let first = match self.kind {
            Kind::Usersfile => 0,
            Kind::SecretFile => 1,
        };
        self.login().types(Generator::new(ROOTS_SECRET).code(first))
    }

    /// Everything outside the home: to be the same afterwards, down to the time of last access.
    pub fn outside(&self) -> BTreeMap<PathBuf, String> {
        let mut seen = BTreeMap::new();
        look(&self.bystander, &mut seen);
        seen
    }
}

/// Notes all that the kernel knows about a path and what is below. Nothing is read, since that
/// would show in the time of last access.
fn look(path: &Path, seen: &mut BTreeMap<PathBuf, String>) {
    let metadata = fs::symlink_metadata(path).unwrap();
    let times = [
        (metadata.mtime(), metadata.mtime_nsec()),
        (metadata.ctime(), metadata.ctime_nsec()),
        // Listing a folder, as here, is an access.
        if metadata.is_dir() {
            (0, 0)
        } else {
            (metadata.atime(), metadata.atime_nsec())
        },
    ];
    let what = format!(
        "inode {} mode {:o} of {}:{} names {} bytes {} times {times:?}",
        metadata.ino(),
        metadata.mode(),
        metadata.uid(),
        metadata.gid(),
        metadata.nlink(),
        metadata.len(),
    );
    seen.insert(path.to_owned(), what);
    if metadata.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            look(&entry.unwrap().path(), seen);
        }
    }
}

/// How many bytes of memory a process has used at most since [`reset_peak_memory`].
pub fn peak_memory(process: u32) -> u64 {
    status(process, "VmHWM:")
}

/// How many bytes of memory a process uses.
pub fn memory(process: u32) -> u64 {
    status(process, "VmRSS:")
}

fn status(process: u32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kilobytes = line.unwrap().trim().trim_end_matches(" kB");
    kilobytes.parse::<u64>().unwrap() * 1024
}

/// Lets [`peak_memory`] begin anew.
pub fn reset_peak_memory(process: u32) {
    fs::write(format!("/proc/{process}/clear_refs"), "5").unwrap();
}

/// The library that gives a process another list of accounts.
pub fn nss_wrapper() -> &'static str {
    let name = "libnss_wrapper.so";
    let folders = [
        format!("/usr/lib/{}", sys::multiarch()),
        "/usr/lib64".into(),
        "/usr/lib".into(),
    ];
    assert!(
        folders
            .iter()
            .any(|folder| Path::new(folder).join(name).exists()),
        "no {name}: install the package libnss-wrapper"
    );
    name
}
