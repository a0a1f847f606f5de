//! A user who controls a home directory and wants something of root's read, changed, replaced or
//! held up. And what is fine, which must work.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rustix::fs::{
    CWD, FileType, FlockOperation, Mode, RenameFlags, flock, makedev, mknodat, renameat_with,
};
use test_support::bare::Bare;
use test_support::bind::bind;
use test_support::codes::Generator;
use test_support::homes;
use test_support::homes::{Home, LINE, account, code, memory, peak_memory, reset_peak_memory};
use test_support::kind::Kind;
use test_support::strace::Traced;
use test_support::{Outcome, Scene};

/// What no login may use, and none that isn't waiting for a lock may take.
const MOST_MEMORY: u64 = 64 << 20;
const SOON: Duration = Duration::from_secs(5);
/// What no login may compute, built without optimisation.
const SOME_SECONDS: Duration = Duration::from_secs(20);

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Denied, for this reason, and nothing outside the home is any different.
#[track_caller]
fn assert_refused(home: &Home, reason: &str) {
    let before = home.outside();
    let own = home.login().types(home.token().code(0));
    for outcome in [own, home.login_by_roots_file()] {
        assert_denied(&outcome, reason);
    }
    assert_eq!(home.outside(), before);
}

#[track_caller]
fn assert_denied(outcome: &Outcome, reason: &str) {
    assert_eq!(outcome.rc, "AUTH_ERR", "{outcome:#?}");
    let said = outcome.log.iter().any(|line| line.text.contains(reason));
    assert!(said, "nothing about {reason:?} in {:#?}", outcome.log);
}

/// Let in, with the file replaced by one of the same owner and mode, and nothing outside the home
/// is any different.
#[track_caller]
fn assert_let_in(home: &Home) -> Outcome {
    let path = home.join("users.oath");
    let of = |path: &Path| fs::metadata(path).map(|file| (file.uid(), file.gid(), file.mode()));
    let text_before = fs::read_to_string(&path).unwrap();
    let (before, file_before) = (home.outside(), of(&path).unwrap());
    let outcome = home.login().types(home.token().code(0));
    assert_eq!(outcome.rc, "SUCCESS", "{outcome:#?}");
    assert_eq!(home.outside(), before);
    let (uid, gid, mode) = file_before;
    let mode = match home.kind {
        Kind::Usersfile => mode,
        // As Google's module leaves it.
        Kind::SecretFile => 0o100_400,
    };
    assert_eq!(of(&path).unwrap(), (uid, gid, mode));
    let written = fs::read_to_string(path).unwrap();
    assert_ne!(written, text_before, "the counter is recorded");
    outcome
}

/// Set when the logins are done with, and also when one of them fails the test: the threads that
/// disturb them end then.
#[derive(Default)]
struct Done(AtomicBool);

impl Done {
    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn set_when_dropped(&self) -> impl Drop + '_ {
        struct SetWhenDropped<'a>(&'a AtomicBool);
        impl Drop for SetWhenDropped<'_> {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }
        SetWhenDropped(&self.0)
    }
}

// --- Her file is something else.

#[test]
#[ignore = "needs root: run make test"]
fn a_symbolic_link_as_the_file_is_refused() {
    for kind in Kind::ALL {
        let home = Home::of(kind);
        home.link("users.oath", &home.roots("users.oath"));
        assert_refused(
            &home,
            home.says("is a symbolic link that is not root's", "belongs to uid 0"),
        );
    }
}

#[test]
#[ignore = "needs root: run make test"]
fn a_symbolic_link_to_her_own_file_is_refused_too() {
    let home = Home::new();
    let file = home.write("file", LINE);
    home.link("users.oath", &file);
    assert_refused(&home, "is a symbolic link that is not root's");
}

/// Google's module follows it, and puts a file in its place.
#[test]
#[ignore = "needs root: run make test"]
fn a_symbolic_link_to_her_own_secret_file_is_followed_and_kept() {
    let home = Home::of(Kind::SecretFile);
    let file = home.write("file", home.token().text());
    home.link("users.oath", &file);
    assert_let_in(&home);
    assert_eq!(fs::read_link(home.join("users.oath")).unwrap(), file);
    assert_eq!(
        fs::read_to_string(file).unwrap(),
        home.token().recorded([0])
    );
}

#[test]
#[ignore = "needs root: run make test"]
fn a_symbolic_link_as_a_folder_on_the_way_is_refused() {
    for kind in Kind::ALL {
        let home = Home::of(kind).with_usersfile("sub/users.oath");
        home.link("sub", home.roots("users.oath").parent().unwrap());
        assert_refused(
            &home,
            home.says("is a symbolic link that is not root's", "belongs to uid 0"),
        );
    }
}

#[test]
#[ignore = "needs root: run make test"]
fn a_link_that_root_made_in_her_folder_is_refused_as_hers_would_be() {
    for kind in Kind::ALL {
        let home = Home::of(kind);
        symlink(home.roots("users.oath"), home.join("users.oath")).unwrap();
        assert_refused(&home, home.says("is a symbolic link", "belongs to uid 0"));
    }
}

#[test]
#[ignore = "needs root: run make test"]
fn a_hard_link_to_a_file_of_roots_is_refused() {
    for kind in Kind::ALL {
        let home = Home::of(kind);
        fs::hard_link(home.roots("users.oath"), home.join("users.oath")).unwrap();
        assert_refused(&home, "belongs to uid 0");
    }
}

#[test]
#[ignore = "needs root: run make test"]
fn a_hard_link_to_a_file_of_her_own_is_refused() {
    for kind in Kind::ALL {
        let home = Home::of(kind);
        let file = home.write("file", home.token().text());
        fs::hard_link(file, home.join("users.oath")).unwrap();
        assert_refused(&home, "has 2 names (hard links)");
    }
}

#[test]
#[ignore = "needs root: run make test"]
fn a_pipe_a_socket_a_device_or_a_folder_is_refused_at_once() {
    for kind in Kind::ALL {
        let special = |file_type, device| {
            move |home: &Home| {
                let path = home.join("users.oath");
                mknodat(CWD, &path, file_type, Mode::from(0o600), device).unwrap();
                home.give(&path, 0o600);
            }
        };
        let socket = |home: &Home| {
            UnixListener::bind(home.join("users.oath")).unwrap();
            home.give(&home.join("users.oath"), 0o600);
        };
        let folder = |home: &Home| drop(home.make_folder("users.oath"));
        let make: [&dyn Fn(&Home); 6] = [
            &special(FileType::Fifo, 0),
            &socket,
            // /dev/zero, which has no end, and /dev/tty, which waits for somebody to type.
            &special(FileType::CharacterDevice, makedev(1, 5)),
            &special(FileType::CharacterDevice, makedev(5, 0)),
            &special(FileType::BlockDevice, makedev(7, 0)),
            &folder,
        ];
        for make in make {
            let home = Home::of(kind);
            make(&home);
            let start = Instant::now();
            assert_refused(&home, "is not a regular file");
            assert!(start.elapsed() < SOON);
        }
    }
}

/// Makes a file that long, and takes no room for it.
fn make_10_gigabytes_long(path: &Path) {
    let file = File::options().write(true).open(path).unwrap();
    file.set_len(10 << 30).unwrap();
}

#[test]
#[ignore = "needs root: run make test"]
fn a_sparse_file_of_10_gigabytes_is_refused_unread() {
    for kind in Kind::ALL {
        let home = Home::of(kind);
        let path = home.write("users.oath", home.token().text());
        make_10_gigabytes_long(&path);
        let start = Instant::now();
        assert_little_memory(&home.scene, || {
            assert_refused(&home, "a usersfile that is not root's may have 1 MiB here");
        });
        assert!(start.elapsed() < SOON);
    }
}

#[test]
#[ignore = "needs root: run make test"]
fn a_file_that_root_gave_away_cannot_grow_without_bounds() {
    let scene = Scene::new().usersfile(LINE);
    chown(scene.path(), Some(account("daemon").uid), None).unwrap();
    make_10_gigabytes_long(&scene.path());
    let start = Instant::now();
    assert_little_memory(&scene, || {
        let outcome = scene.login("alice").types(code(0));
        assert_denied(
            &outcome,
            "a usersfile that is not root's may have 4 MiB here",
        );
    });
    assert!(start.elapsed() < SOON);
}

#[test]
#[ignore = "needs root: run make test"]
fn a_file_that_grows_while_the_login_waits_for_its_lock_is_refused() {
    for kind in Kind::ALL {
        let home = Home::of(kind);
        let path = home.write("users.oath", home.token().text());
        let hers = File::options().write(true).open(&path).unwrap();
        flock(&hers, FlockOperation::LockExclusive).unwrap();
        let process = home.scene.process_id();
        thread::scope(|scope| {
            scope.spawn(|| {
                wait_until_open(process, &path);
                hers.set_len(10 << 30).unwrap();
                flock(&hers, FlockOperation::Unlock).unwrap();
            });
            assert_little_memory_of(process, || {
                let outcome = home.login().types(home.token().code(0));
                assert_denied(
                    &outcome,
                    "a usersfile that is not root's may have 1 MiB here",
                );
            });
        });
    }
}

fn assert_little_memory(scene: &Scene, login: impl FnOnce()) {
    assert_little_memory_of(scene.process_id(), login);
}

fn assert_little_memory_of(process: u32, login: impl FnOnce()) {
    reset_peak_memory(process);
    let before = memory(process);
    login();
    let used = peak_memory(process) - before;
    assert!(used < MOST_MEMORY, "{used} bytes");
}

/// Returns when the process has the file open, as it has while it waits for the lock.
fn wait_until_open(process: u32, path: &Path) {
    let is_open = || {
        fs::read_dir(format!("/proc/{process}/fd"))
            .unwrap()
            .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
            .any(|target| target == path)
    };
    while !is_open() {
        thread::sleep(Duration::from_millis(1));
    }
}

// --- Somebody else has a hand in it.

#[test]
#[ignore = "needs root: run make test"]
fn a_file_or_a_folder_that_everybody_can_write_is_refused() {
    let home = Home::new();
    set_mode(&home.write("users.oath", LINE), 0o602);
    assert_refused(&home, "is writable by others; run chmod 600");

    let home = Home::new().with_usersfile("sub/users.oath");
    home.make_folder("sub");
    home.write("sub/users.oath", LINE);
    set_mode(&home.join("sub"), 0o707);
    assert_refused(
        &home,
        "is a folder that everybody can write to; run chmod o-w",
    );

    let scene = Scene::new().usersfile(LINE);
    set_mode(&scene.folder(), 0o777);
    let outcome = scene.login("alice").types(code(0));
    assert_denied(&outcome, "is a folder that everybody can write to");
}

#[test]
#[ignore = "needs root: run make test"]
fn a_secret_file_in_a_folder_that_everybody_can_write_is_refused() {
    let home = Home::of(Kind::SecretFile).with_usersfile("sub/users.oath");
    home.make_folder("sub");
    home.write("sub/users.oath", home.token().text());
    set_mode(&home.join("sub"), 0o707);
    assert_refused(&home, "is a folder that everybody can write to");
}

#[test]
#[ignore = "needs root: run make test"]
fn two_owners_besides_root_on_the_way_are_refused() {
    for kind in Kind::ALL {
        let home = Home::of(kind).with_usersfile("sub/users.oath");
        home.make_folder("sub");
        home.write("sub/users.oath", home.token().text());
        let games = account("games");
        for path in ["sub", "sub/users.oath"] {
            chown(home.join(path), Some(games.uid), Some(games.gid)).unwrap();
        }
        assert_refused(&home, "in a folder that belongs to daemon");
    }
}

#[test]
#[ignore = "needs root: run make test"]
fn someone_elses_file_or_folder_in_her_folder_is_refused_even_if_it_is_roots() {
    for kind in Kind::ALL {
        for uid in [account("games").uid, 0] {
            let home = Home::of(kind);
            home.write("users.oath", home.token().text());
            chown(home.join("users.oath"), Some(uid), None).unwrap();
            assert_refused(&home, &format!("belongs to uid {uid}, in a folder"));

            let home = Home::of(kind).with_usersfile("sub/users.oath");
            home.make_folder("sub");
            home.write("sub/users.oath", home.token().text());
            chown(home.join("sub"), Some(uid), None).unwrap();
            set_mode(&home.join("sub"), 0o755);
            match (kind, uid) {
                // That folder is not hers to put a new file into.
                (Kind::SecretFile, 0) => {
                    let outcome = home.login().types(home.token().code(0));
                    assert_denied(&outcome, "Permission denied");
                }
                _ => assert_refused(&home, &format!("belongs to uid {uid}, in a folder")),
            }
        }
    }
}

#[test]
#[ignore = "needs root: run make test"]
fn a_folder_that_belongs_to_no_account_is_refused() {
    let home = Home::new();
    home.write("users.oath", LINE);
    chown(&home.folder, Some(54321), Some(54321)).unwrap();
    assert_refused(&home, "belongs to uid 54321, which has no account");
}

#[test]
#[ignore = "needs root: run make test"]
fn in_a_sticky_folder_only_what_its_owner_or_root_put_there_is_used() {
    let scene = Scene::new().usersfile(LINE);
    set_mode(&scene.folder(), 0o1777);
    assert_eq!(scene.login("alice").types(code(0)).rc, "SUCCESS");

    let daemon = account("daemon");
    chown(scene.path(), Some(daemon.uid), None).unwrap();
    let outcome = scene.login("alice").types(code(1));
    assert_denied(
        &outcome,
        "in a folder that others than its owner can write to",
    );

    // A link of hers could lead root anywhere.
    fs::rename(scene.path(), scene.folder().join("elsewhere")).unwrap();
    chown(scene.folder().join("elsewhere"), Some(0), None).unwrap();
    symlink("elsewhere", scene.path()).unwrap();
    std::os::unix::fs::lchown(scene.path(), Some(daemon.uid), None).unwrap();
    let outcome = scene.login("alice").types(code(1));
    assert_denied(
        &outcome,
        "in a folder that others than its owner can write to",
    );

    let home = Home::new();
    home.write("users.oath", LINE);
    set_mode(&home.folder, 0o1777);
    assert_let_in(&home);
}

/// Who may only enrol, in a folder of root's that a group can write, makes no token for root.
#[test]
#[ignore = "needs root: run make test"]
fn in_a_folder_of_roots_that_a_group_can_write_nobody_elses_file_or_folder_is_used() {
    for mode in [0o770, 0o775, 0o1770] {
        let scene = Scene::new().usersfile(LINE);
        chown(scene.path(), Some(account("daemon").uid), None).unwrap();
        set_mode(&scene.folder(), mode);
        let outcome = scene.login("alice").types(code(0));
        assert_eq!(outcome.rc, "AUTH_ERR", "a file, {mode:o}: {outcome:#?}");

        let home = Home::new();
        home.write("users.oath", LINE);
        set_mode(home.folder.parent().unwrap(), mode);
        let outcome = home.login().types(code(0));
        assert_eq!(outcome.rc, "AUTH_ERR", "a folder, {mode:o}: {outcome:#?}");
    }
}

/// What somebody else can put in the new file's place, in a sticky folder, is no file system and no
/// right for `allow_readonly` to look over: every guess would be free, and every code good again.
#[test]
#[ignore = "needs root: run make test"]
fn a_file_with_the_new_files_name_in_a_sticky_folder_makes_no_secret_file_read_only() {
    let mut home = Home::of(Kind::SecretFile);
    home.scene = home.scene.args("allow_readonly");
    home.write("users.oath", home.token().text());
    chown(&home.folder, Some(0), Some(home.owner.gid)).unwrap();
    set_mode(&home.folder, 0o1770);
    let in_the_way = home.join(".users.oath.new");
    fs::write(&in_the_way, "").unwrap();
    chown(&in_the_way, Some(account("games").uid), None).unwrap();
    let code = home.token().code(0);
    let rcs = [0, 1].map(|_| home.login().types(&code).rc);
    let accepted = rcs.iter().filter(|&&rc| rc == "SUCCESS").count();
    assert!(accepted < 2, "one code, {rcs:?}");
}

#[test]
#[ignore = "needs root and libnss-wrapper: run make test"]
fn with_home_in_the_path_it_must_be_the_home_of_who_logs_in() {
    let home = in_her_home("alice", "daemon");
    home.write("users.oath", LINE);
    assert_let_in(&home);

    let home = in_her_home("alice", "games");
    home.write("users.oath", LINE);
    assert_refused(&home, "belongs to daemon, who is not the user logging in");
}

#[test]
#[ignore = "needs root and libnss-wrapper: run make test"]
fn an_account_with_a_long_entry_and_many_groups_is_one_like_any_other() {
    let home = in_her_home("alice", "daemon");
    let [passwd, group] = ["passwd", "group"].map(|name| home.scene.folder().join(name));
    // Longer than the 1 KiB of a first try, hers and that of the home's owner.
    let long = "x".repeat(3000);
    let longer = |line: &str| {
        let mut fields: Vec<&str> = line.split(':').collect();
        fields[4] = &long;
        fields.join(":") + "\n"
    };
    let accounts = fs::read_to_string(&passwd).unwrap();
    fs::write(&passwd, accounts.lines().map(longer).collect::<String>()).unwrap();
    // More than 64 groups.
    let groups = (0..200).map(|n| format!("group{n}:x:{}:alice,daemon\n", 2000 + n));
    let groups = fs::read_to_string(&group).unwrap() + &groups.collect::<String>();
    fs::write(&group, groups).unwrap();
    home.write("users.oath", LINE);
    assert_let_in(&home);
}

/// `${HOME}/users.oath`, where the home of `user`, whose number is that of the account `like`, is
/// the one of `daemon`.
fn in_her_home(user: &str, like: &str) -> Home {
    let mut home = Home::new();
    let folder = home.folder.display();
    let accounts = ["root", "daemon", "games"].map(|name| {
        let account = account(name);
        format!("{name}:x:{}:{}::/:/bin/false\n", account.uid, account.gid)
    });
    let like = account(like);
    let alice = format!("{user}:x:{}:{}::{folder}:/bin/sh\n", like.uid, like.gid);
    let (passwd, group) = (
        home.scene.folder().join("passwd"),
        home.scene.folder().join("group"),
    );
    fs::write(&passwd, accounts.concat() + &alice).unwrap();
    fs::write(&group, "root:x:0:\ndaemon:x:1:\n").unwrap();
    home.scene = home
        .scene
        .usersfile_option("usersfile=${HOME}/users.oath")
        .env("LD_PRELOAD", homes::nss_wrapper())
        .env("NSS_WRAPPER_PASSWD", passwd.to_str().unwrap())
        .env("NSS_WRAPPER_GROUP", group.to_str().unwrap());
    home
}

// --- The name of the temporary file.

#[test]
#[ignore = "needs root: run make test"]
fn whatever_has_the_new_files_name_is_removed_and_never_written_through() {
    for kind in Kind::ALL {
        let symbolic_link = |home: &Home| drop(home.link(".users.oath.new", &home.roots("other")));
        let dangling = |home: &Home| {
            home.link(".users.oath.new", &home.roots("made by the login"));
        };
        let pipe = |home: &Home| {
            let path = home.join(".users.oath.new");
            mknodat(CWD, &path, FileType::Fifo, Mode::from(0o600), 0).unwrap();
        };
        let device = |home: &Home| {
            let path = home.join(".users.oath.new");
            mknodat(
                CWD,
                &path,
                FileType::CharacterDevice,
                Mode::from(0o600),
                makedev(1, 3),
            )
            .unwrap();
        };
        let leftover = |home: &Home| drop(home.write(".users.oath.new", "HOTP\tal"));
        let make: [&dyn Fn(&Home); 5] = [&symbolic_link, &dangling, &pipe, &device, &leftover];
        for make in make {
            let home = Home::of(kind);
            home.write("users.oath", home.token().text());
            make(&home);
            assert_let_in(&home);
            assert!(!home.join(".users.oath.new").exists());
        }

        // Losing a name again shows in a file's time of change.
        let home = Home::of(kind);
        home.write("users.oath", home.token().text());
        let other = home.roots("other");
        fs::hard_link(&other, home.join(".users.oath.new")).unwrap();
        let before = fs::read(&other).unwrap();
        let outcome = home.login().types(home.token().code(0));
        assert_eq!(outcome.rc, "SUCCESS", "{outcome:#?}");
        assert_eq!(fs::read(&other).unwrap(), before);
        assert_eq!(fs::metadata(&other).unwrap().nlink(), 1);
    }
}

#[test]
#[ignore = "needs root: run make test"]
fn a_folder_with_the_new_files_name_is_refused() {
    for kind in Kind::ALL {
        let home = Home::of(kind);
        home.write("users.oath", home.token().text());
        home.make_folder(".users.oath.new");
        let before = home.outside();
        let outcome = home.login().types(home.token().code(0));
        assert_denied(&outcome, ".users.oath.new is in the way; remove it");
        assert_eq!(home.outside(), before);
    }
}

#[test]
#[ignore = "needs root: run make test"]
fn a_locked_file_with_the_new_files_name_in_a_sticky_folder_holds_nobody_up() {
    // Of everybody's, and of a group's.
    for mode in [0o1777, 0o1770] {
        let scene = Scene::new().usersfile(LINE);
        set_mode(&scene.folder(), mode);
        let in_the_way = scene.folder().join(".users.oath.new");
        fs::write(&in_the_way, LINE).unwrap();
        chown(&in_the_way, Some(account("daemon").uid), None).unwrap();
        let hers = File::open(&in_the_way).unwrap();
        flock(&hers, FlockOperation::LockExclusive).unwrap();
        let start = Instant::now();
        let outcome = scene.login("alice").types(code(0));
        assert_eq!(outcome.rc, "SUCCESS", "{mode:o}: {outcome:#?}");
        assert!(start.elapsed() < SOON, "{mode:o}: {:?}", start.elapsed());
        assert_eq!(scene.left_behind(), [""; 0], "{mode:o}");
    }
}

// --- Held up.

#[test]
#[ignore = "needs root: run make test"]
fn a_lock_that_is_never_released_holds_a_login_up_for_ten_seconds_and_no_longer() {
    let held = |kind: Kind, path: &'static str| {
        move || {
            let home = Home::of(kind);
            home.write("users.oath", home.token().text());
            let hers = File::open(home.write(path, home.token().text())).unwrap();
            flock(&hers, FlockOperation::LockExclusive).unwrap();
            let start = Instant::now();
            let outcome = home.login().types(home.token().code(0));
            assert_denied(&outcome, "stayed locked for 10 seconds");
            start.elapsed()
        }
    };
    thread::scope(|scope| {
        let logins = [
            scope.spawn(held(Kind::Usersfile, "users.oath")),
            scope.spawn(held(Kind::Usersfile, ".users.oath.new")),
            scope.spawn(held(Kind::SecretFile, "users.oath")),
            scope.spawn(held(Kind::SecretFile, ".users.oath.new")),
            scope.spawn(a_lock_taken_again_and_again),
        ];
        let limit = 2 * ten_seconds_of_short_sleeps();
        for login in logins {
            let taken = login.join().unwrap();
            assert!(taken < limit, "{taken:?}, and {limit:?} is the limit");
        }
    });
}

/// How long ten seconds take that are slept a little at a time, as one sleeps who waits for a lock:
/// on a busy computer much longer.
fn ten_seconds_of_short_sleeps() -> Duration {
    let start = Instant::now();
    for _ in 0..2000 {
        thread::sleep(Duration::from_millis(5));
    }
    start.elapsed()
}

/// She locks the file for three seconds at a time, and whenever the login has got the lock in
/// between, she has the file open to write on, and its time of change moves. Returns how long that
/// holds the login up.
fn a_lock_taken_again_and_again() -> Duration {
    let home = Home::new();
    let path = home.write("users.oath", LINE);
    let hers = File::options().write(true).open(path).unwrap();
    flock(&hers, FlockOperation::LockExclusive).unwrap();
    let done = Done::default();
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.is_set() {
                hers.set_modified(SystemTime::now()).unwrap();
                thread::sleep(Duration::from_millis(1));
            }
        });
        scope.spawn(|| {
            while !done.is_set() {
                flock(&hers, FlockOperation::LockExclusive).unwrap();
                thread::sleep(Duration::from_secs(3));
                flock(&hers, FlockOperation::Unlock).unwrap();
                thread::sleep(Duration::from_millis(20));
            }
        });
        let logins = done.set_when_dropped();
        let start = Instant::now();
        let outcome = home.login().types(code(0));
        let taken = start.elapsed();
        drop(logins);
        assert_denied(&outcome, "users.oath");
        taken
    })
}

/// Eight tokens with hashed PINs, of which the last fits, in a file that somebody touches all the
/// while: each touch makes a login begin anew.
#[test]
#[ignore = "needs root and strace: run `make test`"]
fn no_hash_is_computed_twice_in_one_login_however_often_the_file_is_touched() {
    const HASH: &str = "$y$j9T$NaGQ5K7F6q7viArcGsqR3/$OOShpijx/yyGeBTTG4AoPpwJGs/Ry3NdP7s.aOfKXV";
    let line = |end: char| format!("HOTP\talice\t{HASH}{end}\t{}\n", "00".repeat(20));
    let lines: String = "ABCDEFG1".chars().map(line).collect();
    let scene = Scene::new()
        .usersfile(&lines)
        .args("digits=6")
        .in_real_time();
    let traced = Traced::new(&scene, &[]);
    let typed = format!("1234{}", Generator::new(&"00".repeat(20)).code(0));
    let (is_over, path) = (AtomicBool::new(false), scene.path());
    let outcome = thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                let now = SystemTime::now();
                let _ = File::open(&path).and_then(|file| file.set_modified(now));
                thread::sleep(Duration::from_millis(20));
            }
        });
        let outcome = traced.scene.login("alice").types(&typed);
        is_over.store(true, Ordering::Relaxed);
        outcome
    });
    assert_eq!(outcome.rc, "SUCCESS", "{}", outcome.log_text());
    let calls = traced.calls();
    // The library is loaded anew for each hash.
    let is_loaded = |text: &str| text.contains("/libcrypt.so") && !text.contains("ENOENT");
    let loaded = calls
        .iter()
        .filter(|call| call.name == "openat" && is_loaded(&call.text));
    assert_eq!(loaded.count(), 8);
}

#[test]
#[ignore = "needs root: run make test"]
fn a_file_full_of_hashes_that_take_long_holds_a_login_up_for_some_seconds_only() {
    let mut home = Home::new();
    let hash = "$6$rounds=1000000$abcdefgh$costly";
    home.write(
        "users.oath",
        format!("HOTP alice {hash} 00\n").repeat(20_000),
    );
    home.scene = home.scene.args("digits=6");
    let outcome = home.login().types(code(0));
    assert_denied(&outcome, "is one hash too many");
    let used = processor_time(home.scene.process_id());
    assert!(used < SOME_SECONDS, "{used:?}");
}

#[test]
#[ignore = "needs root: run make test"]
fn a_file_full_of_tokens_in_a_wide_window_holds_a_login_up_for_some_seconds_only() {
    let home = Home::new();
    // As after logins by clocks far from this one and from each other: with `drift` every token
    // has all its windows.
    let tokens = (0..12_000).map(|n| {
        let step = 1000 * (n + 1);
        let code = Generator::new("00").code(step);
        format!(
            "HOTP/T30 alice - 00 {step} {code} 2026-01-15T11:{:02}:17L\n",
            n % 60
        )
    });
    home.write("users.oath", tokens.collect::<String>());
    let tried = |service: &str, args: &str| {
        let scene = home.scene.twin(service).args(args);
        let outcome = scene.login("alice").types("000000");
        let reason = "has more tokens than a login can try with this window";
        assert_denied(&outcome, reason);
        let log = outcome.log_text();
        let line = log.split("line=").nth(1).unwrap().trim();
        let used = processor_time(scene.process_id());
        assert!(used < SOME_SECONDS, "{used:?}");
        line.parse::<usize>().unwrap() - 1
    };
    // The server's own clock, two that LAST-TIME can mean, and three of other time zones.
    const WINDOWS: usize = 6;
    let with_drift = tried("with-drift", "window=1000 drift");
    assert!(with_drift * WINDOWS <= tried("without", "window=1000"));
}

/// How long the process has computed.
fn processor_time(process: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    // The numbers follow the program's name in parentheses; these two are the 14th and 15th field.
    let (_, numbers) = stat.rsplit_once(") ").unwrap();
    let ticks: u64 = numbers
        .split(' ')
        .skip(11)
        .take(2)
        .map(|field| field.parse::<u64>().unwrap())
        .sum();
    const TICKS_A_SECOND: u64 = 100; // USER_HZ, everywhere
    Duration::from_millis(ticks * 1000 / TICKS_A_SECOND)
}

// --- Swapped underfoot.

#[test]
#[ignore = "needs root: run make test"]
fn folders_swapped_between_check_and_use_lead_none_of_1000_logins_astray() {
    for kind in Kind::ALL {
        let home = Home::of(kind).with_usersfile("sub/users.oath");
        home.make_folder("sub");
        home.write("sub/users.oath", home.token().text());
        let roots = home.roots("users.oath");

        let to_roots_folder = home.link("trap-1", roots.parent().unwrap());
        let with_link = home.make_folder("trap-2");
        home.link("trap-2/users.oath", &roots);
        let with_hard_link = home.make_folder("trap-3");
        fs::hard_link(&roots, home.join("trap-3/users.oath")).unwrap();
        let with_linked_new_file = home.make_folder("trap-4");
        home.write("trap-4/users.oath", home.token().text());
        home.link("trap-4/.users.oath.new", &home.roots("other"));
        let pipe = home.make_folder("trap-5");
        mknodat(
            CWD,
            home.join("trap-5/users.oath"),
            FileType::Fifo,
            Mode::from(0o666),
            0,
        )
        .unwrap();
        let traps = [
            to_roots_folder,
            with_link,
            with_hard_link,
            with_linked_new_file,
            pipe,
        ];

        let before = home.outside();
        let sub = home.join("sub");
        let done = Done::default();
        let swaps = thread::scope(|scope| {
            let swapper = scope.spawn(|| {
                let exchange = |trap| {
                    renameat_with(CWD, &sub, CWD, trap, RenameFlags::EXCHANGE).unwrap();
                };
                let mut swaps = 0u64;
                while !done.is_set() {
                    for trap in &traps {
                        exchange(trap);
                        exchange(trap);
                        swaps += 2;
                    }
                }
                swaps
            });
            let logins = done.set_when_dropped();
            let mut let_in = 0;
            for n in 0..500 {
                let outcome = home.login_by_roots_file();
                assert_eq!(outcome.rc, "AUTH_ERR", "{outcome:#?}");
                // Alice's own code is good, or the login noticed that something was wrong.
                let outcome = home.login().types(home.token().code(let_in));
                match outcome.rc {
                    "SUCCESS" => let_in += 1,
                    rc => assert_eq!(rc, "AUTH_ERR", "login {n}: {outcome:#?}"),
                }
            }
            drop(logins);
            swapper.join().unwrap()
        });
        assert!(swaps > 1000, "only {swaps} swaps");
        assert_eq!(home.outside(), before);
    }
}

// --- What is fine.

#[test]
#[ignore = "needs root: run make test"]
fn links_that_root_made_in_roots_folders_are_followed_to_file_and_folder() {
    let scene = Scene::new().usersfile(LINE);
    let folder = scene.folder();
    fs::create_dir(folder.join("etc")).unwrap();
    symlink("../users.oath", folder.join("etc/relative")).unwrap();
    symlink(scene.path(), folder.join("absolute")).unwrap();
    symlink(&folder, folder.join("etc/folder")).unwrap();
    for (n, path) in ["etc/relative", "absolute", "etc/folder/users.oath"]
        .into_iter()
        .enumerate()
    {
        let option = format!("usersfile={}", folder.join(path).display());
        let scene = scene.twin(&format!("link-{n}")).usersfile_option(&option);
        let outcome = scene.login("alice").types(code(n as u64));
        assert_eq!(outcome.rc, "SUCCESS", "{path}: {outcome:#?}");
    }
    assert!(folder.join("absolute").is_symlink());
    assert_eq!(
        fs::symlink_metadata(scene.path()).unwrap().mode(),
        0o100_600
    );
}

#[test]
#[ignore = "needs root: run make test"]
fn as_many_links_as_the_kernel_follows_are_followed_and_no_more() {
    let scene = Scene::new().usersfile(LINE);
    let link = |n: usize| scene.folder().join(format!("link-{n}"));
    symlink(scene.path(), link(1)).unwrap();
    for n in 2..=41 {
        symlink(link(n - 1), link(n)).unwrap();
    }
    let login = |n: usize| {
        let option = format!("usersfile={}", link(n).display());
        let scene = scene.twin(&format!("links-{n}")).usersfile_option(&option);
        assert_eq!(fs::read(link(n)).is_ok(), n <= 40, "what the kernel does");
        scene.login("alice").types(code(n as u64 / 40))
    };
    let outcome = login(40);
    assert_eq!(outcome.rc, "SUCCESS", "{outcome:#?}");
    assert_denied(&login(41), "leads through too many symbolic links");
}

#[test]
#[ignore = "needs root: run make test"]
fn a_file_for_each_user_in_roots_folder_is_used() {
    let scene = Scene::new();
    let option = format!("usersfile={}/${{USER}}", scene.folder().display());
    let scene = scene.usersfile_option(&option);
    for user in ["alice", "bob"] {
        fs::write(scene.folder().join(user), LINE.replace("alice", user)).unwrap();
        set_mode(&scene.folder().join(user), 0o600);
        assert_eq!(scene.login(user).types(code(0)).rc, "SUCCESS");
        assert_eq!(scene.login(user).types(code(0)).rc, "AUTH_ERR");
    }
    for name in ["..", ".", "", "../users/alice", "alice/"] {
        assert_ne!(scene.login(name).types(code(1)).rc, "SUCCESS", "{name}");
    }
}

#[test]
#[ignore = "needs root and libnss-wrapper: run make test"]
fn a_file_in_a_folder_of_her_home_is_used() {
    let mut home = in_her_home("alice", "daemon");
    home.scene = home
        .scene
        .usersfile_option("usersfile=${HOME}/.config/oath");
    home.make_folder(".config");
    home.write(".config/oath", LINE);
    assert_eq!(home.login().types(code(0)).rc, "SUCCESS");
    let file = fs::metadata(home.join(".config/oath")).unwrap();
    assert_eq!((file.uid(), file.mode()), (home.owner.uid, 0o100_600));
}

#[test]
#[ignore = "needs root: run make test"]
fn a_service_accounts_folder_is_used_with_that_accounts_rights() {
    for kind in Kind::ALL {
        let home = Home::of(kind);
        home.write("users.oath", home.token().text());
        assert_let_in(&home);

        // Root could write here; the account can't.
        let home = Home::of(kind);
        home.write("users.oath", home.token().text());
        set_mode(&home.folder, 0o500);
        let outcome = home.login().types(home.token().code(0));
        assert_denied(&outcome, "Permission denied");
    }
}

#[test]
#[ignore = "needs root: run make test"]
fn while_she_is_asked_the_process_has_its_own_rights_again() {
    for kind in Kind::ALL {
        let home = Home::of(kind);
        home.write("users.oath", home.token().text());
        let note = "grep -hE '^(Uid|Gid):' /proc/$PPID/task/*/status | sort -u > rights";
        let outcome = home.login().while_asked(note).types(home.token().code(0));
        assert_eq!(outcome.rc, "SUCCESS", "{outcome:#?}");
        // Real, effective, saved, and that for files.
        let rights = fs::read_to_string(home.scene.folder().join("rights")).unwrap();
        assert_eq!(rights, "Gid:\t0\t0\t0\t0\nUid:\t0\t0\t0\t0\n");
    }
}

#[test]
#[ignore = "needs root: run make test"]
fn a_link_put_in_the_files_place_while_she_is_asked_is_refused() {
    for kind in Kind::ALL {
        let home = Home::of(kind);
        home.write("users.oath", home.token().text());
        let before = home.outside();
        let outcome = home
            .login()
            .while_asked("ln -sf ../root/users.oath home/users.oath")
            .types(home.token().code(0));
        assert_denied(
            &outcome,
            home.says("is a symbolic link", "belongs to uid 0"),
        );
        assert_eq!(home.outside(), before);
    }
}

#[test]
#[ignore = "needs root: run make test"]
fn a_file_that_root_gave_away_is_used_with_a_warning() {
    let scene = Scene::new().usersfile(LINE);
    let daemon = account("daemon");
    chown(scene.path(), Some(daemon.uid), Some(daemon.gid)).unwrap();
    let outcome = scene.login("alice").types(code(0));
    assert_eq!(outcome.rc, "SUCCESS");
    let warning = format!("belongs to uid {} in a folder that does not", daemon.uid);
    assert!(outcome.log_text().contains(&warning), "{outcome:#?}");
    assert_eq!(fs::metadata(scene.path()).unwrap().uid(), daemon.uid);
}

#[test]
#[ignore = "needs root: run make test"]
fn a_file_that_its_group_can_write_is_used_with_a_warning() {
    let scene = Scene::new().usersfile(LINE);
    set_mode(&scene.path(), 0o660);
    let outcome = scene.login("alice").types(code(0));
    assert_eq!(outcome.rc, "SUCCESS", "{outcome:#?}");
    let warning = "is writable by its group; run chmod 600";
    assert!(outcome.log_text().contains(warning), "{outcome:#?}");
    assert_eq!(fs::metadata(scene.path()).unwrap().mode(), 0o100_660);
}

#[test]
#[ignore = "needs root: run make test"]
fn a_file_of_roots_in_her_home_is_refused_and_a_folder_of_roots_named_first() {
    let home = Home::new();
    let path = home.write("users.oath", LINE);
    chown(&path, Some(0), Some(0)).unwrap();
    let log = home.login().types(code(0)).log_text();
    let place = |text: &str| {
        log.find(text)
            .unwrap_or_else(|| panic!("no {text:?} in {log}"))
    };
    assert!(
        place("keep it in a folder of root's") < place("chown daemon"),
        "{log}"
    );
}

#[test]
#[ignore = "needs root: run `make test`"]
fn a_file_that_root_put_into_a_home_is_used_whatever_group_it_has() {
    let home = Home::new();
    let path = home.write("users.oath", LINE);
    chown(&path, None, Some(0)).unwrap();
    let outcome = home.login().types(code(0));
    assert_eq!(outcome.rc, "SUCCESS", "{outcome:#?}");
    let file = fs::metadata(&path).unwrap();
    assert_eq!((file.uid(), file.mode()), (home.owner.uid, 0o100_600));

    // A group that may read it, though, can't be given up in silence.
    let home = Home::new();
    let path = home.write("users.oath", LINE);
    chown(&path, None, Some(0)).unwrap();
    set_mode(&path, 0o640);
    let outcome = home.login().types(code(0));
    assert_denied(&outcome, "cannot copy owner and rights");
}

#[test]
#[ignore = "needs root: run make test"]
fn a_home_that_cannot_be_read_is_denied_with_the_reason() {
    for kind in Kind::ALL {
        // As on a network file system where root is nobody and the home is closed.
        let home = Home::of(kind);
        home.write("users.oath", home.token().text());
        set_mode(&home.folder, 0);
        assert_refused(&home, "Permission denied");
    }
}

#[test]
#[ignore = "needs root: run make test"]
fn a_process_that_is_not_root_uses_what_it_may_by_the_same_rules() {
    let daemon = account("daemon");
    let mut home = Home::new();
    home.scene = home.scene.application_of(daemon.uid, daemon.gid);
    home.write("users.oath", LINE);
    assert_let_in(&home);

    set_mode(&home.join("users.oath"), 0o666);
    assert_refused(&home, "is writable by others");

    let games = account("games");
    let mut home = Home::new();
    home.scene = home.scene.application_of(games.uid, games.gid);
    home.write("users.oath", LINE);
    assert_refused(&home, "Permission denied");
}

// --- The process afterwards.

/// A folder for each user, `FOLDER/USER`, that belongs to that user's account.
fn folders_of<'a>(users: impl IntoIterator<Item = (&'a str, &'a str)>) -> Scene {
    let scene = Scene::new();
    for (user, owner) in users {
        let owner = account(owner);
        let folder = scene.folder().join(user);
        let file = folder.join("users.oath");
        fs::create_dir(&folder).unwrap();
        fs::write(&file, LINE.replace("alice", user)).unwrap();
        for (path, mode) in [(folder, 0o700), (file, 0o600)] {
            chown(&path, Some(owner.uid), Some(owner.gid)).unwrap();
            set_mode(&path, mode);
        }
    }
    scene
}

const EACH_THEIR_OWN: &str = "usersfile=FOLDER/${USER}/users.oath";

#[test]
#[ignore = "needs root: run make test"]
fn every_way_out_of_a_login_gives_the_credentials_back() {
    let users = [
        ("accepted", 0),
        ("wrong-code", 7),
        ("unknown", 10),
        ("no-file", 7),
        ("no-folder", 7),
        ("two-owners", 7),
        ("a-link", 7),
        ("a-pipe", 7),
        ("unreadable", 7),
        ("read-only", 7),
        ("no-account", 7),
    ];
    let scene = folders_of(users.map(|(user, _)| (user, "daemon")));
    let path = |path: &str| scene.folder().join(path);
    fs::write(path("unknown/users.oath"), LINE).unwrap();
    fs::remove_file(path("no-file/users.oath")).unwrap();
    fs::remove_dir_all(path("no-folder")).unwrap();
    chown(
        path("two-owners/users.oath"),
        Some(account("games").uid),
        None,
    )
    .unwrap();
    for user in ["a-link", "a-pipe"] {
        fs::remove_file(path(user).join("users.oath")).unwrap();
    }
    symlink("/etc/shadow", path("a-link/users.oath")).unwrap();
    mknodat(
        CWD,
        path("a-pipe/users.oath"),
        FileType::Fifo,
        Mode::from(0o600),
        0,
    )
    .unwrap();
    set_mode(&path("unreadable"), 0);
    set_mode(&path("read-only"), 0o500);
    chown(path("no-account"), Some(54321), None).unwrap();

    // Groups that only a process which is given them has.
    let mut bare = Bare::new(scene, EACH_THEIR_OWN)
        .under(&["setpriv", "--groups=4242,4243"])
        .one_by_one();
    for (user, _) in users {
        let typed = if user == "wrong-code" {
            "000000".into()
        } else {
            code(0)
        };
        bare = bare.login(user, &typed);
    }
    let process = bare.start();
    for (user, rc) in users {
        assert_eq!(process.answers[user], rc, "{user}");
    }
    assert_eq!(process.changed_credentials, [""; 0]);
}

#[test]
#[ignore = "needs root and setpriv: run make test"]
fn a_process_that_keeps_its_capabilities_has_no_more_rights_in_her_folder() {
    let setpriv = test_support::program("setpriv", "util-linux");
    let scene = folders_of([("alice", "daemon"), ("carol", "daemon")]);
    set_mode(&scene.folder().join("carol"), 0o500);
    let process = Bare::new(scene, EACH_THEIR_OWN)
        .under(&[setpriv.to_str().unwrap(), "--securebits=+no_setuid_fixup"])
        .login("alice", &code(0))
        .login("carol", &code(0))
        .start();
    assert_eq!(process.answers["alice"], 0);
    assert_eq!(process.answers["carol"], 7, "root could write there");
    assert_eq!(process.changed_credentials, [""; 0]);
}

/// What root may do to files that are not its own, by the numbers of capabilities(7): CAP_CHOWN,
/// CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER, CAP_FSETID, CAP_LINUX_IMMUTABLE, CAP_MKNOD
/// and CAP_MAC_OVERRIDE.
const OVER_FILES: [u32; 8] = [0, 1, 2, 3, 4, 9, 27, 32];

/// What the kernel checks a process's file operations against, as /proc/PID/status has it.
#[derive(Debug, PartialEq)]
struct FsRights {
    uid: u32,
    gid: u32,
    groups: Vec<u32>,
    capabilities: u64,
}

impl FsRights {
    fn of(process: u32) -> FsRights {
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap().trim()
        };
        let numbers = |name: &str| -> Vec<u32> {
            let words = field(name).split_ascii_whitespace();
            words.map(|number| number.parse().unwrap()).collect()
        };
        FsRights {
            // The real, the effective and the saved one stand before that for files.
            uid: numbers("Uid:")[3],
            gid: numbers("Gid:")[3],
            groups: numbers("Groups:"),
            capabilities: u64::from_str_radix(field("CapEff:"), 16).unwrap(),
        }
    }
}

#[test]
#[ignore = "needs root and setpriv: run make test"]
fn in_her_folder_a_login_has_her_user_and_groups_and_no_capability_over_files() {
    let mut home = Home::new();
    // Otherwise the kernel takes most of the capabilities away by itself.
    let securebits = "--securebits=+no_setuid_fixup";
    let setpriv = ["setpriv", "--groups=4242,4243", securebits];
    home.scene = home.scene.started_by(setpriv);
    let path = home.write("users.oath", LINE);
    assert_eq!(home.login().types("000000").rc, "AUTH_ERR");
    let process = home.scene.process_id();
    let before = FsRights::of(process);
    let hers = File::open(&path).unwrap();
    flock(&hers, FlockOperation::LockExclusive).unwrap();
    assert_eq!(before.groups, [4242, 4243]);
    let has = |rights: &FsRights, capability: u32| rights.capabilities >> capability & 1 == 1;
    assert!(
        (0..4).all(|n| has(&before, n)),
        "root has them: {before:x?}"
    );
    let during = thread::scope(|scope| {
        let look = scope.spawn(|| {
            wait_until_open(process, &path);
            let during = FsRights::of(process);
            flock(&hers, FlockOperation::Unlock).unwrap();
            during
        });
        let outcome = home.login().types(code(0));
        assert_eq!(outcome.rc, "SUCCESS", "{outcome:#?}");
        look.join().unwrap()
    });
    let (uid, gid) = (home.owner.uid, home.owner.gid);
    assert_eq!((during.uid, during.gid), (uid, gid));
    assert_eq!(during.groups, [gid]);
    for capability in OVER_FILES {
        assert!(!has(&during, capability), "{capability} in {during:x?}");
    }
    assert_eq!(FsRights::of(process), before);
}

#[test]
#[ignore = "needs root and setpriv: run `make test`"]
fn a_process_that_cannot_take_her_user_or_her_groups_does_not_touch_her_file() {
    for kind in Kind::ALL {
        for lacking in ["-setuid", "-setgid"] {
            let mut home = Home::of(kind);
            home.write("users.oath", home.token().text());
            let setpriv = ["setpriv", "--bounding-set", lacking, "--inh-caps", lacking];
            home.scene = home.scene.started_by(setpriv);
            assert_refused(&home, "cannot take the rights of the owner of");
            let written = fs::read_to_string(home.join("users.oath")).unwrap();
            assert_eq!(written, home.token().text(), "{lacking}");
        }
    }
}

#[test]
#[ignore = "needs root and strace: run `make test`"]
fn a_process_that_cannot_have_its_own_rights_back_ends() {
    let home = Home::new();
    home.write("users.oath", LINE);
    let calls = {
        let traced = Traced::new(&home.scene, &[]);
        assert_eq!(traced.scene.login("alice").types(code(0)).rc, "SUCCESS");
        traced.calls_of_the_login();
        traced.calls()
    };
    // The first walk into her folder takes her groups and her user, and gives them back.
    let nth = |name: &str, n: usize| calls.iter().filter(|call| call.name == name).nth(n);
    let back = [
        nth("setgroups", 1).unwrap().but("error=ENOMEM"),
        nth("capset", 1).unwrap().but("error=EPERM"),
        // To ask what it is, after it was set back.
        nth("setfsuid", 4).unwrap().but("retval=1"),
        nth("setfsgid", 4).unwrap().but("retval=1"),
    ];
    for wrong in back {
        let traced = Traced::new(&home.scene, std::slice::from_ref(&wrong));
        let death = traced.scene.login("alice").typing(code(1)).dies();
        assert_eq!(death.status.signal(), Some(libc::SIGABRT), "{wrong}");
    }
}

#[test]
#[ignore = "needs root: run make test"]
fn logins_in_many_threads_at_once_have_each_the_rights_of_their_own_folder() {
    let owners = ["daemon", "games", "man", "root"];
    let users: Vec<String> = (0..32).map(|n| format!("user-{n}")).collect();
    let owner_of = |n: usize| owners[n % owners.len()];
    let scene = folders_of(
        users
            .iter()
            .enumerate()
            .map(|(n, user)| (user.as_str(), owner_of(n))),
    );
    let mut bare = Bare::new(scene, EACH_THEIR_OWN);
    for user in &users {
        bare = bare.login(user, &code(0));
    }
    let process = bare.start();
    for (n, user) in users.iter().enumerate() {
        assert_eq!(process.answers[user], 0, "{user}");
        let file = process.scene.folder().join(user).join("users.oath");
        let file = fs::metadata(file).unwrap();
        assert_eq!(file.uid(), account(owner_of(n)).uid, "{user}");
    }
    assert_eq!(process.changed_credentials, [""; 0]);
}

// --- A home that is not there.

/// What gives a user without a usersfile the say to other modules, or lets her in.
const WITHOUT_USERSFILE: [&str; 2] = ["nullok", "no_usersfile_okay"];

fn in_her_home_with(args: &str) -> Home {
    let mut home = in_her_home("alice", "daemon");
    home.scene = home.scene.args(args);
    home
}

#[test]
#[ignore = "needs root and libnss-wrapper: run `make test`"]
fn an_empty_folder_of_somebody_elses_is_no_home_without_a_usersfile() {
    for args in WITHOUT_USERSFILE {
        let home = in_her_home_with(args);
        chown(&home.folder, Some(0), Some(0)).unwrap();
        assert_denied(
            &home.login().types(code(0)),
            "is the home directory mounted?",
        );
        // Hers, or with something in it, it is a home.
        for with in ["hers", "root's, with a file"] {
            if with != "hers" {
                fs::write(home.join("README"), "").unwrap();
            }
            let owner = if with == "hers" { home.owner.uid } else { 0 };
            chown(&home.folder, Some(owner), None).unwrap();
            let outcome = home.login().types(code(0));
            assert_ne!(outcome.rc, "AUTH_ERR", "{args}, {with}: {outcome:#?}");
            assert!(outcome.prompts.is_empty(), "{args}, {with}");
            chown(&home.folder, Some(0), None).unwrap();
        }
    }
}

#[test]
#[ignore = "needs root and libnss-wrapper: run `make test`"]
fn a_home_on_a_file_system_of_fstab_that_is_not_mounted_is_none_without_a_usersfile() {
    let fstab = tempfile::NamedTempFile::new().unwrap();
    bind(fstab.path(), "/etc/fstab");
    for args in WITHOUT_USERSFILE {
        let home = in_her_home_with(args);
        let above = home.folder.parent().unwrap().display().to_string();
        let lines = format!("# homes\nserver:/home\t{above} nfs defaults 0 0\n");
        for (lines, is_denied) in [("", false), (lines.as_str(), true)] {
            fs::write(fstab.path(), lines).unwrap();
            let outcome = home.login().types(code(0));
            if is_denied {
                assert_denied(&outcome, "nothing is mounted there");
            } else {
                assert_ne!(outcome.rc, "AUTH_ERR", "{args}: {outcome:#?}");
            }
        }
        let nothing = None::<&str>;
        nix::mount::mount(
            Some(above.as_str()),
            above.as_str(),
            nothing,
            nix::mount::MsFlags::MS_BIND | nix::mount::MsFlags::MS_REC,
            nothing,
        )
        .unwrap();
        // Another process: one that is there already has another view of what is mounted.
        let outcome = home.scene.twin("mounted").login("alice").types(code(0));
        assert_ne!(outcome.rc, "AUTH_ERR", "{args}: {outcome:#?}");
    }
}

#[test]
#[ignore = "needs root, to mount: run `make test`"]
fn a_folder_on_a_file_system_of_fstab_that_is_not_mounted_has_no_usersfile_to_be_without() {
    let fstab = tempfile::NamedTempFile::new().unwrap();
    bind(fstab.path(), "/etc/fstab");
    for args in WITHOUT_USERSFILE {
        for file in ["users.oath", "${USER}.oath"] {
            let scene = Scene::new().args(args);
            let folder = scene.folder().display().to_string();
            // Unknown and passed over alone would be no login.
            let scene = scene
                .usersfile_option(&format!("usersfile=/proc/self/root{folder}/{file}"))
                .control("required pam_permit.so\nauth required");
            for (lines, rc) in [
                ("", "SUCCESS"),
                (
                    &*format!("/dev/sdz1 {folder} ext4 nofail 0 2\n"),
                    "AUTH_ERR",
                ),
                // By another name than the kernel's, and mounted.
                ("/dev/sda1 /proc/self/root ext4 defaults 0 1\n", "SUCCESS"),
                // Nothing to do with it.
                ("/dev/sr0 /media/cdrom udf noauto 0 0\n", "SUCCESS"),
            ] {
                fs::write(fstab.path(), lines).unwrap();
                let outcome = scene.login("root").types(code(0));
                assert_eq!(outcome.rc, rc, "{args}, {file}: {outcome:#?}");
            }
        }
    }
}

#[test]
#[ignore = "needs root and libnss-wrapper: run `make test`"]
fn root_held_down_passes_a_folder_by_the_users_own_group() {
    let mut home = in_her_home("alice", "daemon");
    let above = home.scene.folder().join("staff");
    let hers = above.join("alice");
    fs::create_dir_all(&hers).unwrap();
    fs::write(hers.join("users.oath"), LINE).unwrap();
    home.give(&hers.join("users.oath"), 0o600);
    home.give(&hers, 0o700);
    let passwd = home.scene.folder().join("passwd");
    let accounts = fs::read_to_string(&passwd).unwrap();
    let moved = accounts.replace(home.folder.to_str().unwrap(), hers.to_str().unwrap());
    fs::write(&passwd, moved).unwrap();
    chown(&above, Some(0), Some(home.owner.gid)).unwrap();
    set_mode(&above, 0o050);
    let none = "-dac_override,-dac_read_search";
    home.scene = home
        .scene
        .started_by(["setpriv", "--bounding-set", none, "--inh-caps", none]);
    let outcome = home.login().types(code(0));
    assert_eq!(outcome.rc, "SUCCESS", "{}", outcome.log_text());
}

#[test]
#[ignore = "needs root: run `make test`"]
fn a_usersfile_that_is_mounted_by_itself_is_denied_with_what_helps() {
    let scene = Scene::new().usersfile(LINE);
    let file = scene.folder().join("elsewhere");
    fs::write(&file, LINE).unwrap();
    set_mode(&file, 0o600);
    bind(&file, scene.path().to_str().unwrap());
    assert_denied(
        &scene.login("alice").types(code(0)),
        "mount the folder it is in",
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), LINE);
}

#[test]
#[ignore = "needs root: run `make test`"]
fn a_service_that_may_give_no_file_away_is_denied_with_what_it_lacks() {
    let scene = Scene::new().usersfile(LINE);
    let daemon = account("daemon");
    chown(scene.path(), Some(daemon.uid), Some(daemon.gid)).unwrap();
    let scene = scene.started_by([
        "setpriv",
        "--bounding-set",
        "-chown",
        "--inh-caps",
        "-chown",
    ]);
    assert_denied(&scene.login("alice").types(code(0)), "CAP_CHOWN");
    assert_eq!(fs::read_to_string(scene.path()).unwrap(), LINE);
}
