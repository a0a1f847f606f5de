//! `make install` and `make uninstall`, into folders of the test's own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;
use test_support::Module;

const ORIGINAL: &str = "a module that stood there before";

/// A system to install into.
struct System {
    folder: TempDir,
}

impl System {
    fn new() -> System {
        let system = System {
            folder: tempfile::tempdir().unwrap(),
        };
        fs::create_dir_all(system.security()).unwrap();
        system
    }

    fn with_oath_toolkits() -> System {
        let system = System::new();
        fs::write(system.module(), ORIGINAL).unwrap();
        system
    }

    fn prefix(&self) -> PathBuf {
        self.folder.path().join("usr/local")
    }

    fn security(&self) -> PathBuf {
        self.folder.path().join("lib/security")
    }

    fn module(&self) -> PathBuf {
        self.security().join("pam_oath.so")
    }

    fn install(&self) -> String {
        self.install_with("")
    }

    /// `make install GOOGLE=` this.
    fn install_with(&self, google: &str) -> String {
        let built = Module::This.path();
        let mut install = script("install");
        install.arg(built.parent().unwrap()).env("GOOGLE", google);
        self.run(install)
    }

    fn googles_module(&self) -> PathBuf {
        self.security().join("pam_google_authenticator.so")
    }

    fn has_our_module_in_place_of_googles(&self) -> bool {
        let built = Module::This.path();
        let built = built.with_file_name("libpam_google_authenticator.so");
        fs::read(self.googles_module()).unwrap() == fs::read(built).unwrap()
    }

    fn uninstall(&self) -> String {
        self.run(script("uninstall"))
    }

    fn run(&self, mut script: Command) -> String {
        script
            .env("PREFIX", self.prefix())
            .env("SECURITYDIR", self.security());
        printed(&script.output().unwrap())
    }

    fn has_our_module(&self) -> bool {
        fs::read(self.module()).unwrap() == fs::read(Module::This.path()).unwrap()
    }

    fn has_oath_toolkits_module(&self) -> bool {
        fs::read(self.module()).unwrap() == ORIGINAL.as_bytes()
    }

    /// What is there, folders aside.
    fn files(&self) -> Vec<PathBuf> {
        files_below(self.folder.path())
    }
}

fn script(name: &str) -> Command {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("scripts")
        .join(name);
    let mut command = Command::new(path);
    for variable in ["PREFIX", "DESTDIR", "DOCDIR", "SECURITYDIR", "GOOGLE"] {
        command.env_remove(variable);
    }
    command
}

fn printed(output: &Output) -> String {
    let printed = [&output.stdout[..], &output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed).into_owned();
    assert!(output.status.success(), "{printed}");
    printed
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap().path())
        .flat_map(|path| match path.is_dir() {
            true => files_below(&path),
            false => vec![path],
        })
        .collect()
}

#[test]
fn install_puts_the_module_and_the_manual_in_place_and_says_how_to_try_it_safely() {
    let system = System::new();
    let printed = system.install();
    assert!(system.has_our_module());
    let man = system.prefix().join("share/man");
    assert!(man.join("man8/pam_oath.8").exists());
    assert!(man.join("man5/users.oath.5").exists());
    let (_, advice) = printed.split_once("try it safely").expect(&printed);
    assert!(advice.contains("keep a root shell open"), "{printed}");
    assert!(
        advice.contains("auth required pam_oath.so usersfile="),
        "{printed}"
    );
}

#[test]
fn uninstall_removes_every_file_that_install_put_there() {
    let system = System::new();
    system.install();
    assert!(!system.files().is_empty());
    system.uninstall();
    assert_eq!(system.files(), Vec::<PathBuf>::new());
}

#[test]
fn the_module_that_stood_there_is_kept_and_put_back_by_uninstall() {
    let system = System::with_oath_toolkits();
    system.install();
    assert!(system.has_our_module());
    system.uninstall();
    assert!(system.has_oath_toolkits_module());
    assert_eq!(system.files(), [system.module()]);
}

#[test]
fn a_second_install_does_not_take_this_one_for_the_module_that_stood_there() {
    let system = System::with_oath_toolkits();
    system.install();
    // An older version of this module, as the first install recorded it.
    fs::write(system.module(), "this module, older").unwrap();
    let manifest = system.prefix().join("share/doc/pam_oath/installed.sha256");
    let sums = fs::read_to_string(&manifest).unwrap();
    let older = Command::new("sha256sum")
        .arg(system.module())
        .output()
        .unwrap();
    let older = String::from_utf8(older.stdout).unwrap();
    let sums: Vec<&str> = sums
        .lines()
        .filter(|line| !line.ends_with("pam_oath.so"))
        .chain([older.trim_end()])
        .collect();
    fs::write(&manifest, sums.join("\n") + "\n").unwrap();

    system.install();
    assert!(system.has_our_module());
    system.uninstall();
    assert!(system.has_oath_toolkits_module());
}

#[test]
fn what_an_earlier_version_had_besides_goes_unless_somebody_has_changed_it() {
    let system = System::new();
    system.install();
    let doc = system.prefix().join("share/doc/pam_oath");
    let old = [
        system.prefix().join("sbin/oathctl"),
        doc.join("examples/sshd"),
        doc.join("examples/su"),
    ];
    let mut sums = fs::read_to_string(doc.join("installed.sha256")).unwrap();
    for file in &old {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "of an earlier version").unwrap();
        let sum = Command::new("sha256sum").arg(file).output().unwrap();
        sums += &String::from_utf8(sum.stdout).unwrap();
    }
    fs::write(doc.join("installed.sha256"), sums).unwrap();
    fs::write(&old[2], "changed").unwrap();

    let printed = system.install();
    assert_eq!(
        old.each_ref().map(|file| file.exists()),
        [false, false, true]
    );
    assert!(
        printed.contains("it is not as it was installed"),
        "{printed}"
    );
    fs::remove_file(&old[2]).unwrap();
    system.install();
    assert!(system.prefix().join("bin/oathctl").exists());
}

#[test]
fn a_module_that_a_package_has_put_over_this_one_stays_when_this_one_is_uninstalled() {
    let system = System::new();
    system.install();
    fs::write(system.module(), ORIGINAL).unwrap();
    let printed = system.uninstall();
    assert!(system.has_oath_toolkits_module());
    assert!(
        printed.contains("it is not as it was installed"),
        "{printed}"
    );
}

#[test]
fn with_destdir_everything_goes_below_it_and_nothing_is_advised() {
    let root = tempfile::tempdir().unwrap();
    let printed = install_into(&root);
    assert!(root.path().join("usr/lib/security/pam_oath.so").exists());
    assert!(root.path().join("usr/share/man/man8/pam_oath.8").exists());
    assert!(!printed.contains("root shell"), "{printed}");
}

#[test]
fn every_link_in_an_installed_document_leads_to_a_file_that_is_installed() {
    let system = System::new();
    system.install();
    let documents = system.files().into_iter();
    let documents = documents.filter(|path| path.extension().is_some_and(|kind| kind == "md"));
    let mut links = 0;
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        for (_, rest) in text
            .match_indices("](")
            .map(|(at, _)| text.split_at(at + 2))
        {
            let link = rest.split([')', '#']).next().unwrap();
            if !link.contains("://") {
                let file = document.parent().unwrap().join(link);
                assert!(file.exists(), "{link} in {}", document.display());
                links += 1;
            }
        }
    }
    assert!(links > 0);
}

/// A root to install into with `DESTDIR`, in which these files of `/etc/pam.d` have that text.
fn root_with(services: &[(&str, &str)]) -> TempDir {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("etc/pam.d");
    fs::create_dir_all(&folder).unwrap();
    for (service, text) in services {
        fs::write(folder.join(service), text).unwrap();
    }
    root
}

fn in_root(name: &str, root: &TempDir) -> Command {
    let mut command = script(name);
    command
        .env("DESTDIR", root.path())
        .env("PREFIX", "/usr")
        .env("SECURITYDIR", "/usr/lib/security");
    command
}

fn install_into(root: &TempDir) -> String {
    let built = Module::This.path();
    let mut install = in_root("install", root);
    printed(&install.arg(built.parent().unwrap()).output().unwrap())
}

const SERVICES: [(&str, &str); 3] = [
    ("sshd", "auth required pam_oath.so\n"),
    ("login", "#auth required pam_oath.so\n"),
    ("su", "auth required pam_unix.so\n"),
];

/// What `make uninstall` says on standard error, before its first line about a file, where
/// everything is printed into one stream.
fn said_before(root: &TempDir) -> String {
    let mut uninstall = Command::new("sh");
    let script = in_root("uninstall", root);
    uninstall.args(["-c", "exec \"$0\" 2>&1"]);
    uninstall.arg(script.get_program());
    for (name, value) in script.get_envs() {
        match value {
            Some(value) => uninstall.env(name, value),
            None => uninstall.env_remove(name),
        };
    }
    let said = printed(&uninstall.output().unwrap());
    let first = said.find("removed  ").or_else(|| said.find("put back  "));
    said[..first.expect(&said)].to_owned()
}

#[test]
fn uninstall_says_before_which_files_still_name_the_module() {
    let root = root_with(&SERVICES);
    install_into(&root);
    let said = said_before(&root);
    let named = |service: &str| said.contains(&format!("/etc/pam.d/{service}\n"));
    assert!(said.contains("denies everybody"), "{said}");
    assert!(named("sshd") && !named("login") && !named("su"), "{said}");
    assert!(!root.path().join("usr/lib/security/pam_oath.so").exists());
}

#[test]
fn uninstall_says_before_which_files_name_the_module_that_is_put_back() {
    let root = root_with(&SERVICES);
    let security = root.path().join("usr/lib/security");
    fs::create_dir_all(&security).unwrap();
    fs::write(security.join("pam_oath.so"), ORIGINAL).unwrap();
    install_into(&root);
    let said = said_before(&root);
    assert!(
        said.contains("the module that stood there before"),
        "{said}"
    );
    assert!(said.contains("/etc/pam.d/sshd\n"), "{said}");
    assert!(!said.contains("WARNING"), "{said}");
}

#[test]
fn uninstall_says_nothing_where_no_file_names_the_module() {
    let root = root_with(&SERVICES[1..]);
    install_into(&root);
    assert_eq!(said_before(&root), "");
}

#[test]
fn install_finds_the_folder_in_which_the_systems_libpam_has_its_modules() {
    let output = script("security-dir").arg(Module::This.path()).output();
    let found = printed(&output.unwrap());
    assert!(
        Path::new(found.trim_end()).join("pam_unix.so").exists(),
        "{found}"
    );
}

#[test]
fn install_without_a_build_says_what_to_run() {
    let folder = tempfile::tempdir().unwrap();
    let output = script("install").arg(folder.path()).output().unwrap();
    assert!(!output.status.success());
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(complaint.contains("make build"), "{complaint}");
}

#[test]
fn googles_module_is_replaced_only_if_that_is_asked_for_and_put_back_by_uninstall() {
    let system = System::new();
    fs::write(system.googles_module(), ORIGINAL).unwrap();
    system.install();
    assert_eq!(
        fs::read_to_string(system.googles_module()).unwrap(),
        ORIGINAL
    );
    let printed = system.install_with("1");
    assert!(system.has_our_module() && system.has_our_module_in_place_of_googles());
    assert!(printed.contains("Keep a root shell open"), "{printed}");
    let command = system.prefix().join("bin/google-authenticator");
    assert!(
        Command::new(command)
            .arg("-h")
            .output()
            .unwrap()
            .status
            .success()
    );
    let man = system.prefix().join("share/man");
    assert!(man.join("man1/google-authenticator.1").exists());
    assert!(man.join("man8/pam_google_authenticator.8").exists());
    // Whoever upgrades need not say it again, and what stood there first is not forgotten.
    system.install();
    assert!(system.has_our_module_in_place_of_googles());
    system.uninstall();
    assert_eq!(
        fs::read_to_string(system.googles_module()).unwrap(),
        ORIGINAL
    );
    assert_eq!(system.files(), [system.googles_module()]);
}

#[test]
fn uninstall_names_the_services_that_name_the_module_in_place_of_googles() {
    let system = System::new();
    let root = system.folder.path().join("root");
    let services = root.join("etc/pam.d");
    fs::create_dir_all(&services).unwrap();
    fs::write(
        services.join("su"),
        "auth required pam_google_authenticator.so\n",
    )
    .unwrap();
    let mut install = script("install");
    let built = Module::This.path();
    install.arg(built.parent().unwrap()).env("GOOGLE", "only");
    install.env("DESTDIR", &root);
    system.run(install);
    assert!(!root.join("usr/local/bin/oathctl").exists());
    let mut uninstall = script("uninstall");
    uninstall.env("DESTDIR", &root);
    let printed = system.run(uninstall);
    assert!(printed.contains("WARNING: "), "{printed}");
    assert!(
        printed.contains("pam_google_authenticator.so is still named in")
            && printed.contains("/etc/pam.d/su"),
        "{printed}"
    );
}
