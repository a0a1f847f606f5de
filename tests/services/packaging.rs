//! The packages, and what becomes of a login when they are installed and removed.
//!
//! The roots they are installed into are fresh ones, made by debootstrap.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;
use test_support::codes::Generator;
use test_support::program;

const SECRET: &str = "3132333435363738393031323334353637383930";
const PAM_LINE: &str = "auth required pam_oath.so usersfile=/etc/users.oath window=20\n";

/// Three services that ask alice for her password, each with the command that makes it do so.
const SERVICES: [(&str, &str); 3] = [
    ("login", "pamtester login alice authenticate setcred"),
    (
        "su",
        "setpriv --reuid=bob --regid=bob --init-groups su alice -c true",
    ),
    (
        "sudo",
        "setpriv --reuid=alice --regid=alice --init-groups sudo -k -S true",
    ),
];
const PASSWORD: &str = "correct horse";
const WRONG_PASSWORD: &str = "wrong horse";

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

/// The package of `pam_oath.so` that `make KIND` builds.
fn package(kind: &str) -> PathBuf {
    package_named(kind, "oath")
}

/// The package of the module in place of Google's.
fn googles_package(kind: &str) -> PathBuf {
    package_named(kind, "google")
}

/// The one package of a kind with this in its name.
fn package_named(kind: &str, part: &str) -> PathBuf {
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
        .filter(|path| path.extension().is_some_and(|extension| extension == kind))
        .filter(|path| path.file_name().unwrap().to_str().unwrap().contains(part));
    match (packages.next(), packages.next()) {
        (Some(package), None) => package,
        _ => panic!("one {kind} of {part} in target/packages"),
    }
}

/// How a login went.
#[derive(Debug, PartialEq)]
enum Login {
    In { asked_for_code: bool },
    Refused { asked_for_code: bool },
}

/// A fresh Debian of this machine's release, with its own libpam-oath and libpam-google-authenticator,
/// and alice enrolled.
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
        fs::copy(googles_package("deb"), debian.path("/root/google.deb")).unwrap();
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
                    "--include=libpam-oath,libpam-google-authenticator,pamtester,sudo",
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
            Generator::new(SECRET).code(counter)
        );
        let output = self.command("sh").args(["-c", &script]).output().unwrap();
        output.status.success()
    }

    /// With the package, its profile turned on, and the users alice and bob. Alice may use sudo.
    fn with_profile() -> Debian {
        let debian = Debian::new();
        debian.run("dpkg", ["--install", "/root/ours.deb"]);
        debian.run("pam-auth-update", ["--enable", "oath-rs"]);
        for user in ["alice", "bob"] {
            debian.run("useradd", [user]);
        }
        debian.shell(&format!("echo 'alice:{PASSWORD}' | chpasswd"));
        debian.write("/etc/sudoers.d/alice", "alice ALL=(ALL) ALL\n");
        debian
    }

    fn shell(&self, script: &str) -> String {
        self.run("sh", ["-c", script])
    }

    /// Answers a service's questions for a password and a code.
    fn login(&self, command: &str, password: &str, code: &str) -> Login {
        let script = format!("printf '%s\\n' '{password}' '{code}' | {command}");
        let output = self.command("sh").args(["-c", &script]).output().unwrap();
        let printed = [output.stdout, output.stderr].concat();
        let asked_for_code = String::from_utf8_lossy(&printed).contains("One-time password");
        match output.status.success() {
            true => Login::In { asked_for_code },
            false => Login::Refused { asked_for_code },
        }
    }

    fn enrol(&self, user: &str) {
        let line = format!("HOTP\t{user}\t-\t{SECRET}\n");
        self.write("/etc/users.oath", &line);
    }

    fn asks_in_common_auth(&self) -> bool {
        let common = fs::read_to_string(self.path("/etc/pam.d/common-auth")).unwrap();
        common.contains("pam_oath.so")
    }

    /// Has pam-auth-update say that it runs, before it does.
    fn announce_pam_auth_update(&self) {
        self.shell(
            "cd /usr/sbin && mv pam-auth-update real-pam-auth-update &&
            printf '#!/bin/sh\\necho RUNNING >&2\\nexec real-pam-auth-update \"$@\"\\n' \\
                >pam-auth-update && chmod 755 pam-auth-update",
        );
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
fn the_package_takes_oath_toolkits_place_and_gives_it_back_and_logins_go_on() {
    let debian = Debian::new();
    assert!(debian.logs_in(0), "with OATH Toolkit's");
    let configuration = debian.configuration();

    debian.run("dpkg", ["--install", "/root/ours.deb"]);
    assert!(debian.has_installed("libpam-oath-rs") && !debian.has_installed("libpam-oath"));
    assert!(debian.logs_in(1), "with this module");
    assert!(!debian.logs_in(1), "a code is good once");

    debian.run("dpkg", ["--install", "/root/ours.deb"]);
    assert!(debian.logs_in(2), "after an upgrade");
    assert_eq!(debian.configuration(), configuration);

    debian.run("apt-get", ["install", "--yes", "libpam-oath"]);
    assert!(debian.has_installed("libpam-oath") && !debian.has_installed("libpam-oath-rs"));
    assert!(debian.logs_in(3), "with OATH Toolkit's, back in its place");

    debian.run("dpkg", ["--purge", "libpam-oath-rs"]);
    assert!(debian.logs_in(4), "after this one was purged");
    assert_eq!(debian.configuration(), configuration);
    assert!(debian.path("/etc/users.oath").exists());
}

#[test]
#[ignore = "needs root, debootstrap, dpkg-dev, rpm: run make test"]
fn removing_the_package_names_the_files_that_still_name_the_module_and_goes_on() {
    let debian = Debian::new();
    debian.run("dpkg", ["--install", "/root/ours.deb"]);
    // As a link, as authselect makes them; and one that only speaks of the module.
    debian.write("/etc/linked", PAM_LINE);
    debian.shell("ln -s /etc/linked /etc/pam.d/linked");
    debian.write("/etc/pam.d/comment", &format!("#{PAM_LINE}"));
    let said = debian.run("dpkg", ["--purge", "libpam-oath-rs"]);
    assert!(said.contains("a required line denies"), "{said}");
    assert!(said.contains("/etc/pam.d/demo /etc/pam.d/linked"), "{said}");
    assert!(!said.contains("/etc/pam.d/comment"), "{said}");
    assert!(!debian.has_installed("libpam-oath-rs"));
    assert!(!debian.logs_in(0), "without a module");
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
    let asks = || debian.asks_in_common_auth();
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
#[ignore = "needs root, debootstrap, dpkg-dev, rpm: run make test"]
fn the_profile_leaves_who_has_no_token_to_the_password() {
    let debian = Debian::with_profile();
    let unasked = |file: &str| {
        for (service, command) in SERVICES {
            assert_eq!(
                debian.login(command, PASSWORD, "000000"),
                Login::In {
                    asked_for_code: false
                },
                "{service}, {file}"
            );
            assert_eq!(
                debian.login(command, WRONG_PASSWORD, "000000"),
                Login::Refused {
                    asked_for_code: false
                },
                "{service}, {file}, with a wrong password"
            );
        }
    };
    fs::remove_file(debian.path("/etc/users.oath")).unwrap();
    unasked("no file");
    debian.write("/etc/users.oath", "");
    unasked("an empty file");
    debian.enrol("bob");
    unasked("a file with bob's token");
}

#[test]
#[ignore = "needs root, debootstrap, dpkg-dev, rpm: run make test"]
fn the_profile_asks_who_has_a_token_and_lets_no_wrong_code_and_no_wrong_password_in() {
    let debian = Debian::with_profile();
    let (right, wrong) = (
        Generator::new(SECRET).code(0),
        Generator::new(SECRET).code(99),
    );
    for (service, command) in SERVICES {
        debian.enrol("alice");
        assert_eq!(
            debian.login(command, PASSWORD, &wrong),
            Login::Refused {
                asked_for_code: true
            },
            "{service}, with a wrong code"
        );
        for code in [&right, &wrong] {
            assert!(
                matches!(
                    debian.login(command, WRONG_PASSWORD, code),
                    Login::Refused { .. }
                ),
                "{service}, with a wrong password and {code}"
            );
        }
        assert_eq!(
            debian.login(command, PASSWORD, &right),
            Login::In {
                asked_for_code: true
            },
            "{service}"
        );
        assert!(
            matches!(
                debian.login(command, PASSWORD, &right),
                Login::Refused { .. }
            ),
            "{service}, with a used code"
        );
    }

    let from_root = debian.login("su alice -c true", "", "");
    let asked_for_code = false;
    assert_eq!(from_root, Login::In { asked_for_code }, "su by root");
    let other_spelling = "pamtester login Alice authenticate";
    assert_eq!(
        debian.login(other_spelling, PASSWORD, &right),
        Login::Refused { asked_for_code },
        "a spelling of which there is no account"
    );
}

#[test]
#[ignore = "needs root, debootstrap, dpkg-dev, rpm: run make test"]
fn with_the_profile_a_usersfile_that_cannot_be_used_denies_instead_of_counting_as_no_token() {
    let debian = Debian::with_profile();
    let code = Generator::new(SECRET).code(0);
    for spoil in [
        "chmod 666 /etc/users.oath",
        "rm /etc/users.oath && mkdir /etc/users.oath",
        "rmdir /etc/users.oath && ln -s /srv/not-mounted/users.oath /etc/users.oath",
    ] {
        debian.shell(spoil);
        for (service, command) in SERVICES {
            let login = debian.login(command, PASSWORD, &code);
            assert!(
                matches!(login, Login::Refused { .. }),
                "{service} after {spoil}: {login:?}"
            );
        }
    }
}

#[test]
#[ignore = "needs root, debootstrap, dpkg-dev, rpm: run make test"]
fn the_profiles_line_alone_lets_nobody_in_who_has_no_token() {
    let debian = Debian::with_profile();
    debian.shell("grep pam_oath.so /etc/pam.d/common-auth >/etc/pam.d/alone");
    for user in ["bob", "root", "nobody", "nosuchuser"] {
        let login = debian.login(&format!("pamtester alone {user} authenticate"), "", "");
        let asked_for_code = false;
        assert_eq!(login, Login::Refused { asked_for_code }, "{user}");
    }
}

#[test]
#[ignore = "needs root, debootstrap, dpkg-dev, rpm: run make test"]
fn whoever_removes_the_package_is_told_before_that_the_profile_asks_for_no_code_any_more() {
    for (swap, program, args) in [
        (false, "dpkg", &["--remove", "libpam-oath-rs"][..]),
        (true, "apt-get", &["install", "--yes", "libpam-oath"]),
    ] {
        let debian = Debian::with_profile();
        debian.announce_pam_auth_update();
        let output = run(debian.command(program).args(args));
        let said = String::from_utf8(output.stderr).unwrap();
        let (before, after) = said.split_once("RUNNING").expect(&said);
        for word in [
            "/etc/pam.d/common-auth",
            "ask for no code any more",
            "/etc/pam.d/login",
            "/etc/pam.d/su ",
            "/etc/pam.d/sudo ",
        ] {
            assert!(before.contains(word), "{word} in\n{said}");
        }
        assert!(!debian.asks_in_common_auth());
        // This one has its line from the administrator.
        assert!(after.contains("/etc/pam.d/demo"), "{said}");
        assert_eq!(debian.logs_in(0), swap);
        assert_eq!(
            debian.login(SERVICES[1].1, PASSWORD, ""),
            Login::In {
                asked_for_code: false
            }
        );
    }
}

#[test]
#[ignore = "needs root, debootstrap, dpkg-dev, rpm: run make test"]
fn a_profile_in_a_common_auth_that_was_edited_by_hand_is_named_as_a_line_that_stays() {
    let debian = Debian::with_profile();
    // pam-auth-update leaves a file alone in which it finds a line that is not its own.
    debian.shell("sed -i '/pam_oath/i auth optional pam_echo.so' /etc/pam.d/common-auth");
    let said = debian.run("dpkg", ["--remove", "libpam-oath-rs"]);
    assert!(debian.asks_in_common_auth());
    let (_, still) = said.split_once("still name it").expect(&said);
    assert!(still.contains("/etc/pam.d/common-auth"), "{said}");
}

#[test]
#[ignore = "needs root, debootstrap, dpkg-dev, rpm: run make test"]
fn a_removal_that_is_called_off_leaves_the_profile_on() {
    let debian = Debian::with_profile();
    debian.shell(
        "mkdir -p /root/other/DEBIAN && cd /root/other/DEBIAN &&
        printf '%s\\n' 'Package: other' 'Version: 1' 'Architecture: all' 'Description: another' \\
            'Maintainer: nobody <nobody@example.org>' \\
            'Conflicts: libpam-oath-rs' 'Replaces: libpam-oath-rs' >control &&
        printf '#!/bin/sh\\nexit 1\\n' >preinst && chmod 755 preinst &&
        dpkg-deb --build /root/other",
    );
    let mut install = debian.command("dpkg");
    let output = install.args(["--install", "/root/other.deb"]).output();
    let said = String::from_utf8(output.unwrap().stderr).unwrap();
    assert!(said.contains("ask for no code any more"), "{said}");
    assert!(said.contains("the profile oath-rs is on again"), "{said}");
    assert!(debian.has_installed("libpam-oath-rs") && debian.asks_in_common_auth());
    let login = debian.login(SERVICES[1].1, PASSWORD, &Generator::new(SECRET).code(0));
    let asked_for_code = true;
    assert_eq!(login, Login::In { asked_for_code });

    debian.run("dpkg", ["--remove", "libpam-oath-rs"]);
    let left = fs::read_dir(debian.path("/run")).unwrap();
    let mut left = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(!left.any(|name| name.contains("oath")), "{left:?}");
}

#[test]
#[ignore = "needs root, debootstrap, dpkg-dev, rpm: run make test"]
fn an_upgrade_brings_the_profiles_new_line_where_it_is_on() {
    let debian = Debian::with_profile();
    // As an earlier version had it.
    let old = "[success=ok user_unknown=ignore default=bad]\tpam_oath.so usersfile=/etc/users.oath";
    debian.shell(&format!(
        "sed -i 's|^\tre.*|\t{old}|' /usr/share/pam-configs/oath-rs && pam-auth-update --package &&
        grep -q user_unknown /etc/pam.d/common-auth"
    ));
    debian.run("dpkg", ["--install", "/root/ours.deb"]);
    let common = fs::read_to_string(debian.path("/etc/pam.d/common-auth")).unwrap();
    assert!(
        common.contains("nullok") && !common.contains("user_unknown"),
        "{common}"
    );
}

#[test]
#[ignore = "needs root, debootstrap, dpkg-dev, rpm: run make test"]
fn installing_the_package_says_if_libpam_oath_has_turned_the_administrators_own_profile_off() {
    let debian = Debian::new();
    let profile = "packaging/deb/pam-auth-update";
    let profile = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(profile)).unwrap();
    debian.write("/usr/share/pam-configs/oath", &profile);
    debian.run("pam-auth-update", ["--enable", "oath"]);
    let enable = "pam-auth-update --enable oath\n";
    let said = debian.run("dpkg", ["--install", "/root/ours.deb"]);
    assert!(said.contains(enable), "{said}");
    assert!(!debian.asks_in_common_auth());
    debian.shell(enable);
    assert!(debian.asks_in_common_auth());

    let said = debian.run("dpkg", ["--install", "/root/ours.deb"]);
    assert!(!said.contains(enable), "at an upgrade: {said}");
    assert!(debian.asks_in_common_auth());
}

#[test]
#[ignore = "needs root, debootstrap, dpkg-dev, rpm: run make test"]
fn by_the_guide_back_the_users_of_the_profile_go_on_being_asked() {
    let debian = Debian::with_profile();
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/moving-from-oath-toolkit.md");
    let guide = fs::read_to_string(guide).unwrap();
    let mut steps = guide
        .split("```sh\n")
        .map(|block| block.split("```").next());
    let step = steps.find_map(|step| step.filter(|step| step.contains("--disable oath-rs")));
    debian.shell(step.expect("a step of the guide"));

    let said = debian.run("apt-get", ["install", "--yes", "libpam-oath"]);
    assert!(!said.contains("ask for no code any more"), "{said}");
    let (right, wrong) = (
        Generator::new(SECRET).code(0),
        Generator::new(SECRET).code(99),
    );
    let asked_for_code = true;
    for (code, login) in [
        (&wrong, Login::Refused { asked_for_code }),
        (&right, Login::In { asked_for_code }),
    ] {
        assert_eq!(debian.login(SERVICES[1].1, PASSWORD, code), login);
    }
}

#[test]
#[ignore = "needs lintian, dpkg-dev, rpm: run make test"]
fn lintian_finds_no_error_and_no_warning_in_the_packages() {
    let output = Command::new(program("lintian", "lintian"))
        .args(["--allow-root", "--fail-on", "error,warning"])
        .args([package("deb"), googles_package("deb")])
        .output()
        .unwrap();
    let found = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{found}");
}

/// Every file of a package, in a folder of its own.
fn unpack(package: &Path) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let unpack = match package.extension() {
        Some(kind) if kind == "deb" => "dpkg-deb --extract \"$1\" \"$2\"",
        _ => "rpm2archive - <\"$1\" | tar --extract --gzip --directory \"$2\"",
    };
    run(Command::new("sh")
        .args(["-c", unpack, "sh"])
        .args([package, folder.path()]));
    folder
}

/// The files of a folder with this extension, at any depth.
fn files_with(extension: &str, folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in fs::read_dir(folder).unwrap() {
        let path = path.unwrap().path();
        if path.is_dir() {
            found.append(&mut files_with(extension, &path));
        } else if path.extension().is_some_and(|end| end == extension) {
            found.push(path);
        }
    }
    found
}

#[test]
#[ignore = "needs dpkg-dev, rpm: run make test"]
fn every_link_among_the_documents_of_a_package_leads_somewhere_in_it() {
    for package in ["deb", "rpm"].map(|kind| [package(kind), googles_package(kind)]) {
        for package in package {
            let files = unpack(&package);
            let documents = files_with("md", files.path());
            let readme = documents.iter().find(|path| path.ends_with("README.md"));
            assert!(readme.is_some(), "{}", package.display());
            for document in documents {
                let text = fs::read_to_string(&document).unwrap();
                let links = text.split("](").skip(1);
                for link in links.filter_map(|rest| rest.split([')', '#']).next()) {
                    let target = document.parent().unwrap().join(link);
                    assert!(
                        link.starts_with("https:") || target.exists(),
                        "{}: {link}",
                        document.display()
                    );
                }
            }
        }
    }
}

#[test]
#[ignore = "needs dpkg-dev, rpm: run make test"]
fn the_packages_name_the_authors_of_cargo_toml_and_no_address_that_is_nobodys() {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let workspace = fs::read_to_string(workspace).unwrap();
    let (_, authors) = workspace.split_once("\nauthors = [\"").unwrap();
    let author = authors.split('"').next().unwrap();
    for package in [package("deb"), googles_package("deb")] {
        let field = |name| {
            let mut query = Command::new("dpkg-deb");
            let output = run(query.arg("--field").arg(&package).arg(name));
            String::from_utf8(output.stdout).unwrap()
        };
        assert_eq!(field("Maintainer").trim(), author);
        let files = unpack(&package);
        let changelog = format!(
            "usr/share/doc/{}/changelog.Debian.gz",
            field("Package").trim()
        );
        let changelog = run(Command::new("zcat").arg(files.path().join(changelog))).stdout;
        let changelog = String::from_utf8(changelog).unwrap();
        assert!(
            changelog.contains(&format!("\n -- {author}")),
            "{changelog}"
        );
        let version = format!("{} ({})", field("Package").trim(), field("Version").trim());
        assert!(changelog.starts_with(&version), "{changelog}");
        let placeholder = [author, &changelog, &field("Homepage")].concat();
        assert!(!placeholder.contains("example."), "{placeholder}");
    }
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
        "/usr/bin/oathctl",
        "/usr/share/man/man8/oathctl.8",
        "/usr/share/man/man5/users.oath.5",
        "/usr/share/man/man8/pam_oath.8",
        "/usr/share/doc/pam_oath/README.md",
        "/usr/share/doc/pam_oath/CHANGELOG.md",
        "/usr/share/doc/pam_oath/LICENSE-MIT",
        "/usr/share/doc/pam_oath/docs/locked-out.md",
        "/usr/share/doc/pam_oath/SECURITY.md",
        "/usr/share/doc/pam_oath/docs/login.svg",
        "/usr/share/doc/pam_oath/pam.d-examples/sshd",
        "/usr/share/doc/pam_oath/contrib/fail2ban/pam_oath.conf",
        "/usr/share/doc/pam_oath/contrib/selinux/pam_oath.te",
        "/usr/share/doc/pam_oath/contrib/selinux/pam_oath.fc",
        "/usr/share/doc/pam_oath/users.oath.example",
    ] {
        assert!(held.contains(&file), "{file} is not in\n{listing}");
    }
    let ours = |file: &&str| {
        ["/usr/lib64/security/", "/usr/share/", "/usr/bin/"]
            .iter()
            .any(|folder| file.starts_with(folder))
    };
    assert!(held.iter().all(ours), "{listing}");
}

#[test]
#[ignore = "needs root, debootstrap, dpkg-dev, rpm: run make test"]
fn erasing_the_rpm_names_the_files_that_still_name_the_module_and_upgrading_does_not() {
    // Only as a root with a shell and a PAM configuration.
    let debian = Debian::new();
    debian.write("/etc/pam.d/comment", &format!("#{PAM_LINE}"));
    let package = package("rpm");
    let rpm = |args: &[&str]| {
        let mut rpm = Command::new(program("rpm", "rpm"));
        rpm.args(["--force-debian", "--root"])
            .arg(debian.root.path());
        String::from_utf8(run(rpm.args(args)).stderr).unwrap()
    };
    let install = ["--upgrade", "--nodeps", "--ignoreos", "--replacepkgs"];
    let install = [&install[..], &[package.to_str().unwrap()]].concat();
    for attempt in ["installation", "upgrade"] {
        let said = rpm(&install);
        assert!(!said.contains("pam_oath.so"), "{attempt}: {said}");
    }
    let said = rpm(&["--erase", "pam_oath-rs"]);
    assert!(said.contains("a required line"), "{said}");
    assert!(said.contains("\n/etc/pam.d/demo\n"), "{said}");
    assert!(!said.contains("/etc/pam.d/comment"), "{said}");
    assert!(!debian.path("/usr/lib64/security/pam_oath.so").exists());
}

#[test]
#[ignore = "needs dpkg-dev, rpm: run make test"]
fn the_rpm_in_place_of_googles_holds_the_module_the_command_and_their_manual() {
    let mut rpm = Command::new(program("rpm", "rpm"));
    let listing = run(rpm.args(["-qpl"]).arg(googles_package("rpm")));
    let listing = String::from_utf8(listing.stdout).unwrap();
    let held: Vec<&str> = listing.lines().collect();
    for file in [
        "/usr/lib64/security/pam_google_authenticator.so",
        "/usr/bin/google-authenticator",
        "/usr/share/man/man1/google-authenticator.1",
        "/usr/share/man/man8/pam_google_authenticator.8",
        "/usr/share/doc/google-authenticator-rs/docs/moving-from-google-authenticator.md",
    ] {
        assert!(held.contains(&file), "{file} is not in\n{listing}");
    }
    // It stands beside the other package.
    assert!(held.iter().all(|file| file.contains("google")), "{listing}");
}

/// Whether alice gets in with the code of this counter, by her own file.
fn logs_in_by_her_own_file(debian: &Debian, counter: u64) -> bool {
    let code = Generator::new(SECRET).code(counter);
    let script = format!("echo {code} | pamtester google alice authenticate");
    let output = debian.command("sh").args(["-c", &script]).output().unwrap();
    output.status.success()
}

#[test]
#[ignore = "needs root, debootstrap, dpkg-dev, rpm: run make test"]
fn the_package_takes_the_place_of_googles_module_and_gives_it_back_and_logins_go_on() {
    const THEIRS: &str = "libpam-google-authenticator";
    const OURS: &str = "libpam-google-authenticator-rs";
    let debian = Debian::new();
    debian.run("useradd", ["--create-home", "alice"]);
    debian.write(
        "/etc/pam.d/google",
        "auth required pam_google_authenticator.so\n",
    );
    debian.write(
        "/home/alice/.google_authenticator",
        "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\n\" HOTP_COUNTER 1\n",
    );
    debian.shell("chown alice: /home/alice/.google_authenticator");
    let logs_in = |counter| logs_in_by_her_own_file(&debian, counter);
    assert!(logs_in(1), "with Google's");
    let configuration = debian.configuration();

    debian.run("dpkg", ["--install", "/root/google.deb"]);
    assert!(debian.has_installed(OURS) && !debian.has_installed(THEIRS));
    assert!(logs_in(2), "with this module");
    assert!(!logs_in(2), "a code is good once");
    let help = debian.run("google-authenticator", ["--version"]);
    assert!(help.contains("google-authenticator 0."), "{help}");

    // Both packages of this project beside each other.
    debian.run("dpkg", ["--install", "/root/ours.deb"]);
    assert!(debian.has_installed(OURS) && debian.has_installed("libpam-oath-rs"));
    assert!(debian.logs_in(0) && logs_in(3));

    debian.run("dpkg", ["--install", "/root/google.deb"]);
    assert!(logs_in(4), "after an upgrade");
    assert_eq!(debian.configuration(), configuration);

    debian.run("apt-get", ["install", "--yes", THEIRS]);
    assert!(debian.has_installed(THEIRS) && !debian.has_installed(OURS));
    assert!(logs_in(5), "with Google's, back in its place");
    debian.run("dpkg", ["--purge", OURS]);
    assert!(logs_in(6), "after this one was purged");
    assert_eq!(debian.configuration(), configuration);
}

#[test]
#[ignore = "needs root, debootstrap, dpkg-dev, rpm: run make test"]
fn removing_the_package_in_place_of_googles_names_the_files_that_still_name_the_module() {
    let debian = Debian::new();
    debian.run("dpkg", ["--install", "/root/google.deb"]);
    debian.write(
        "/etc/pam.d/google",
        "auth required pam_google_authenticator.so\n",
    );
    let said = debian.run("dpkg", ["--purge", "libpam-google-authenticator-rs"]);
    assert!(said.contains("/etc/pam.d/google"), "{said}");
    assert!(said.contains("denies everybody"), "{said}");
}
