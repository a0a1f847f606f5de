//! The packages, and what becomes of a login when they are installed and removed.
//!
//! The roots they are installed into are fresh ones, made by debootstrap.

mod support;

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use support::codes::Token;
use support::program;
use tempfile::TempDir;

const SECRET: &str = "3132333435363738393031323334353637383930";
const PAM_LINE: &str = "auth required pam_oath.so usersfile=/etc/users.oath window=20\n";

fn run(command: &mut Command) -> Output {
    let output = command.output().expect("the command starts");
    assert!(
        output.status.success(),
        "{command:?}\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// The one package that `make KIND` builds.
fn package(kind: &str) -> PathBuf {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        let mut make = Command::new("make");
        run(make
            .args(["deb", "rpm"])
            .current_dir(env!("CARGO_MANIFEST_DIR")));
    });
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let packages = fs::read_dir(target.join("packages")).unwrap();
    let mut packages = packages
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == kind));
    match (packages.next(), packages.next()) {
        (Some(package), None) => package,
        _ => panic!("one {kind} in target/packages"),
    }
}

/// A fresh Debian of this machine's release, with its own libpam-oath, and alice enrolled.
struct Debian {
    root: TempDir,
}

impl Debian {
    fn new() -> Debian {
        let debian = Debian {
            root: tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap(),
        };
        run(Command::new("cp")
            .args(["--archive", "--no-target-directory"])
            .arg(Debian::base())
            .arg(debian.root.path()));
        fs::copy(package("deb"), debian.path("/root/ours.deb")).unwrap();
        debian.write("/etc/pam.d/demo", PAM_LINE);
        debian.write("/etc/users.oath", &format!("HOTP\talice\t-\t{SECRET}\n"));
        debian
    }

    /// Made once; every test has its own copy.
    fn base() -> &'static Path {
        static BASE: OnceLock<TempDir> = OnceLock::new();
        let base = BASE.get_or_init(|| {
            let base = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
            let release = fs::read_to_string("/etc/os-release").unwrap();
            let codename = release
                .lines()
                .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
                .expect("a release of Debian");
            run(Command::new(program("debootstrap", "debootstrap"))
                .args([
                    "--variant=minbase",
                    "--include=libpam-oath,pamtester",
                    codename,
                ])
                .arg(base.path()));
            base
        });
        base.path()
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path.trim_start_matches('/'))
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.path(path), text).unwrap();
        fs::set_permissions(self.path(path), Permissions::from_mode(0o600)).unwrap();
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("chroot");
        command
            .arg(self.root.path())
            .arg(program)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .env("LC_ALL", "C")
            .stdin(Stdio::null());
        command
    }

    fn run<const N: usize>(&self, program: &str, args: [&str; N]) -> String {
        let output = run(self.command(program).args(args));
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }

    /// Whether alice gets in with the code of this counter.
    fn logs_in(&self, counter: u64) -> bool {
        let script = format!(
            "echo {} | pamtester demo alice authenticate",
            Token::new(SECRET).code(counter)
        );
        let output = self.command("sh").args(["-c", &script]).output().unwrap();
        output.status.success()
    }

    fn has_installed(&self, package: &str) -> bool {
        let mut query = self.command("dpkg-query");
        query.args(["--show", "--showformat=${db:Status-Status}", package]);
        query.output().unwrap().stdout == b"installed"
    }

    /// Every file below /etc and what it holds, but for the usersfile, which logins change.
    fn configuration(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut folders = vec![self.path("/etc")];
        while let Some(folder) = folders.pop() {
            for path in fs::read_dir(folder)
                .unwrap()
                .map(|entry| entry.unwrap().path())
            {
                if path.is_symlink() || path.ends_with("users.oath") {
                    continue;
                } else if path.is_dir() {
                    folders.push(path);
                } else {
                    files.insert(path.clone(), fs::read(path).unwrap());
                }
            }
        }
        files
    }
}

#[test]
#[ignore = "needs root, debootstrap, dpkg-dev, rpm: run make test"]
fn the_package_takes_the_originals_place_and_gives_it_back_and_logins_go_on() {
    let debian = Debian::new();
    assert!(debian.logs_in(0), "with the original");
    let configuration = debian.configuration();

    debian.run("dpkg", ["--install", "/root/ours.deb"]);
    assert!(debian.has_installed("libpam-oath-rs") && !debian.has_installed("libpam-oath"));
    assert!(debian.logs_in(1), "with ours");
    assert!(!debian.logs_in(1), "a code is good once");

    debian.run("dpkg", ["--install", "/root/ours.deb"]);
    assert!(debian.logs_in(2), "after an upgrade");
    assert_eq!(debian.configuration(), configuration);

    debian.run("apt-get", ["install", "--yes", "libpam-oath"]);
    assert!(debian.has_installed("libpam-oath") && !debian.has_installed("libpam-oath-rs"));
    assert!(debian.logs_in(3), "with the original, back in its place");

    debian.run("dpkg", ["--purge", "libpam-oath-rs"]);
    assert!(debian.logs_in(4), "after ours was purged");
    assert_eq!(debian.configuration(), configuration);
    assert!(debian.path("/etc/users.oath").exists());
}

#[test]
#[ignore = "needs root, debootstrap, dpkg-dev, rpm: run make test"]
fn removing_the_package_names_the_services_that_still_ask_for_the_module() {
    let debian = Debian::new();
    debian.run("dpkg", ["--install", "/root/ours.deb"]);
    let said = debian.run("dpkg", ["--purge", "libpam-oath-rs"]);
    assert!(said.contains("/etc/pam.d/demo"), "{said}");
    assert!(debian.path("/etc/users.oath").exists());
    assert_eq!(
        fs::read(debian.path("/etc/pam.d/demo")).unwrap(),
        PAM_LINE.as_bytes()
    );
}

#[test]
#[ignore = "needs root, debootstrap, dpkg-dev, rpm: run make test"]
fn the_profile_is_off_until_an_administrator_turns_it_on_and_goes_with_the_package() {
    let debian = Debian::new();
    let asks = || {
        let common = fs::read_to_string(debian.path("/etc/pam.d/common-auth")).unwrap();
        common.contains("pam_oath.so")
    };
    debian.run("dpkg", ["--install", "/root/ours.deb"]);
    assert!(!asks(), "after the installation");
    debian.run("pam-auth-update", ["--package"]);
    assert!(
        !asks(),
        "after a run of pam-auth-update for another package"
    );
    debian.run("pam-auth-update", ["--enable", "oath-rs"]);
    assert!(asks(), "after it was turned on");
    debian.run("dpkg", ["--remove", "libpam-oath-rs"]);
    assert!(!asks(), "after the package was removed");
}

#[test]
#[ignore = "needs lintian, dpkg-dev, rpm: run make test"]
fn lintian_finds_no_error_and_no_warning_in_the_package() {
    let output = Command::new(program("lintian", "lintian"))
        .args(["--allow-root", "--fail-on", "error,warning"])
        .arg(package("deb"))
        .output()
        .unwrap();
    let found = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{found}");
}

#[test]
#[ignore = "needs dpkg-dev, rpm: run make test"]
fn the_rpm_holds_the_module_the_manual_and_the_documents() {
    let mut rpm = Command::new(program("rpm", "rpm"));
    let listing = run(rpm.args(["-qpl"]).arg(package("rpm")));
    let listing = String::from_utf8(listing.stdout).unwrap();
    let held: Vec<&str> = listing.lines().collect();
    for file in [
        "/usr/lib64/security/pam_oath.so",
        "/usr/sbin/oathctl",
        "/usr/share/man/man8/oathctl.8",
        "/usr/share/man/man5/users.oath.5",
        "/usr/share/man/man8/pam_oath.8",
        "/usr/share/doc/pam_oath/README.md",
        "/usr/share/doc/pam_oath/CHANGELOG.md",
        "/usr/share/doc/pam_oath/LICENSE-MIT",
        "/usr/share/doc/pam_oath/docs/locked-out.md",
        "/usr/share/doc/pam_oath/examples/pam.d-examples/sshd",
    ] {
        assert!(held.contains(&file), "{file} is not in\n{listing}");
    }
    let ours = |file: &&str| {
        ["/usr/lib64/security/", "/usr/share/", "/usr/sbin/"]
            .iter()
            .any(|folder| file.starts_with(folder))
    };
    assert!(held.iter().all(ours), "{listing}");
}
