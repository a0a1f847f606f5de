//! Where this module differs from OATH Toolkit's module, on purpose: for every row of the table in
//! README.md one test that shows what this module does, and one that OATH Toolkit's module does
//! otherwise.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use test_support::codes::Generator;
use test_support::{Module, NOON, Scene, program};

const SECRET: &str = "3132333435363738393031323334353637383930";
const NOW: u64 = NOON as u64 / 30;

/// The code that alice's token shows this many time steps from now.
fn code(offset: i64) -> String {
    Generator::new(SECRET).code_at(NOON, 30, offset)
}

fn totp_line() -> String {
    format!("HOTP/T30/6\talice\t-\t{SECRET}\n")
}

/// That line with what was used on it at noon.
fn used_line(counter: u64, code: &str) -> String {
    format!("HOTP/T30/6\talice\t-\t{SECRET}\t{counter}\t{code}\t2026-01-15T12:00:00L\n")
}

fn scene(module: Module) -> Scene {
    Scene::new().module(module).usersfile(totp_line())
}

mod field_5_of_a_totp_line {
    use super::*;

    #[test]
    fn is_the_time_step_last_used() {
        let scene = scene(Module::This);
        assert_eq!(scene.login("alice").types(code(-2)).rc, "SUCCESS");
        assert_eq!(
            scene.usersfile_now().unwrap(),
            used_line(NOW - 2, &code(-2))
        );
    }

    #[test]
    #[ignore = "needs the package libpam-oath: run `make test`"]
    fn is_a_window_offset_in_oath_toolkits_module() {
        let scene = scene(Module::OathToolkit);
        assert_eq!(scene.login("alice").types(code(-2)).rc, "SUCCESS");
        assert_eq!(scene.usersfile_now().unwrap(), used_line(2, &code(-2)));
    }
}

mod a_lock_file_left_behind {
    use super::*;

    fn login_beside_a_lock_file(module: Module) -> &'static str {
        let scene = scene(module);
        fs::write(scene.folder().join("users.oath.lock"), "").unwrap();
        let rc = scene.login("alice").types(code(0)).rc;
        assert_eq!(scene.left_behind(), ["users.oath.lock"]);
        rc
    }

    #[test]
    fn keeps_nobody_out() {
        assert_eq!(login_beside_a_lock_file(Module::This), "SUCCESS");
    }

    #[test]
    #[ignore = "needs the package libpam-oath: run `make test`"]
    fn keeps_everybody_out_in_oath_toolkits_module() {
        assert_eq!(login_beside_a_lock_file(Module::OathToolkit), "AUTH_ERR");
    }
}

mod without_the_argument_usersfile {
    use super::*;

    #[test]
    fn the_usersfile_is_the_one_in_etc() {
        let scene = Scene::new().usersfile_option("").args("debug");
        let outcome = scene.login("no such user here").types("000000");
        let log = outcome.log_text();
        assert!(log.contains("/etc/users.oath"), "{log}");
    }

    #[test]
    #[ignore = "needs the package libpam-oath: run `make test`"]
    fn oath_toolkits_module_crashes() {
        let scene = Scene::new()
            .module(Module::OathToolkit)
            .usersfile_option("");
        let death = scene.login("alice").typing("000000").dies();
        assert_eq!(death.status.signal(), Some(libc::SIGSEGV), "{death:?}");
    }
}

mod a_usersfile_that_cannot_be_read {
    use super::*;

    fn login(scene: Scene) -> (&'static str, String) {
        let outcome = scene.login("alice").types(code(0));
        (outcome.rc, outcome.log_text())
    }

    fn a_folder_in_its_place(module: Module) -> Scene {
        let scene = Scene::new().module(module);
        fs::create_dir(scene.path()).unwrap();
        scene
    }

    fn a_link_to_itself_in_its_place(module: Module) -> Scene {
        let scene = Scene::new().module(module);
        symlink(scene.path(), scene.path()).unwrap();
        scene
    }

    /// Root's file, and an application that is not root.
    fn a_file_of_somebody_else(module: Module) -> Scene {
        scene(module).application_of(65534, 65534)
    }

    fn denies_and_the_log_says_why(scene: Scene) {
        let path = scene.path();
        let (rc, log) = login(scene);
        assert_eq!(rc, "AUTH_ERR", "{log}");
        assert!(
            log.contains("err: ") && log.contains(path.to_str().unwrap()),
            "{log}"
        );
    }

    #[test]
    fn being_a_folder_denies_and_the_log_says_why() {
        denies_and_the_log_says_why(a_folder_in_its_place(Module::This));
    }

    #[test]
    fn being_a_link_to_itself_denies_and_the_log_says_why() {
        denies_and_the_log_says_why(a_link_to_itself_in_its_place(Module::This));
    }

    #[test]
    #[ignore = "needs root: run `make test`"]
    fn for_lack_of_permission_denies_and_the_log_says_why() {
        denies_and_the_log_says_why(a_file_of_somebody_else(Module::This));
    }

    #[test]
    #[ignore = "needs the package libpam-oath: run `make test`"]
    fn being_a_folder_makes_the_user_unknown_to_oath_toolkits_module() {
        assert_eq!(
            login(a_folder_in_its_place(Module::OathToolkit)).0,
            "USER_UNKNOWN"
        );
    }
}

mod try_first_pass_with_a_stacked_token_that_does_not_satisfy {
    use super::*;

    fn login(module: Module) -> (&'static str, usize) {
        let scene = scene(module).args("try_first_pass");
        let outcome = scene.login("alice").stacked("her password").types(code(0));
        (outcome.rc, outcome.prompts.len())
    }

    #[test]
    fn prompts() {
        assert_eq!(login(Module::This), ("SUCCESS", 1));
    }

    #[test]
    #[ignore = "needs the package libpam-oath: run `make test`"]
    fn is_denied_by_oath_toolkits_module() {
        assert_eq!(login(Module::OathToolkit), ("AUTH_ERR", 0));
    }
}

mod a_usersfile_that_is_a_symbolic_link {
    use super::*;

    /// Whether it still is a link after a login, and what was recorded in the file it leads to.
    fn login(module: Module) -> (bool, String) {
        let scene = Scene::new().module(module);
        let target = scene.folder().join("target");
        fs::write(&target, totp_line()).unwrap();
        fs::set_permissions(&target, Permissions::from_mode(0o600)).unwrap();
        symlink("target", scene.path()).unwrap();
        let outcome = scene.login("alice").types(code(0));
        assert_eq!(outcome.rc, "SUCCESS", "{}", outcome.log_text());
        (
            scene.path().is_symlink(),
            fs::read_to_string(target).unwrap(),
        )
    }

    #[test]
    fn stays_one_and_leads_to_what_was_recorded() {
        assert_eq!(login(Module::This), (true, used_line(NOW, &code(0))));
    }

    #[test]
    #[ignore = "needs the package libpam-oath: run `make test`"]
    fn becomes_a_file_in_oath_toolkits_module() {
        assert_eq!(login(Module::OathToolkit), (false, totp_line()));
    }
}

mod the_mode_of_the_usersfile {
    use super::*;

    fn mode_after_a_login(module: Module, mode: u32) -> u32 {
        let scene = scene(module);
        fs::set_permissions(scene.path(), Permissions::from_mode(mode)).unwrap();
        assert_eq!(scene.login("alice").types(code(0)).rc, "SUCCESS");
        fs::metadata(scene.path()).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn is_kept() {
        // Also the bits that some give a file for its backup or its audit.
        for mode in [0o640, 0o1640, 0o2640] {
            assert_eq!(mode_after_a_login(Module::This, mode), mode);
        }
    }

    #[test]
    #[ignore = "needs the package libpam-oath: run `make test`"]
    fn is_reset_by_oath_toolkits_module() {
        assert_eq!(mode_after_a_login(Module::OathToolkit, 0o640), 0o600);
    }
}

mod the_access_control_list_of_the_usersfile {
    use super::*;

    /// Who may read it after a login, where the user with number 12345 was given leave.
    fn readers_after_a_login(module: Module) -> String {
        let scene = scene(module);
        let setfacl = Command::new(program("setfacl", "acl"))
            .args(["--modify", "user:12345:r"])
            .arg(scene.path())
            .status();
        assert!(setfacl.unwrap().success());
        assert_eq!(scene.login("alice").types(code(0)).rc, "SUCCESS");
        readers(&scene)
    }

    fn readers(scene: &Scene) -> String {
        let getfacl = Command::new(program("getfacl", "acl"))
            .args(["--numeric", "--omit-header", "--absolute-names"])
            .arg(scene.path())
            .output();
        String::from_utf8(getfacl.unwrap().stdout).unwrap()
    }

    #[test]
    #[ignore = "needs the package acl: run `make test`"]
    fn is_kept() {
        let readers = readers_after_a_login(Module::This);
        assert!(readers.contains("user:12345:r--"), "{readers}");
    }

    #[test]
    #[ignore = "needs the package acl: run `make test`"]
    fn is_not_what_the_folder_gives_new_files() {
        let scene = scene(Module::This);
        let setfacl = Command::new(program("setfacl", "acl"))
            .args(["--default", "--modify", "user:12345:r"])
            .arg(scene.folder())
            .status();
        assert!(setfacl.unwrap().success());
        assert_eq!(scene.login("alice").types(code(0)).rc, "SUCCESS");
        let readers = readers(&scene);
        assert!(!readers.contains("12345"), "{readers}");
    }

    #[test]
    #[ignore = "needs the packages libpam-oath and acl: run `make test`"]
    fn is_lost_by_oath_toolkits_module() {
        let readers = readers_after_a_login(Module::OathToolkit);
        assert!(!readers.contains("12345"), "{readers}");
    }
}

mod the_owner_of_the_usersfile {
    use std::os::unix::fs::{MetadataExt, chown};

    use super::*;

    fn owner_after_a_login() -> (u32, u32) {
        let scene = scene(Module::This);
        chown(scene.path(), Some(12345), Some(54321))
            .expect("only root gives a file away: run `make test` as root");
        assert_eq!(scene.login("alice").types(code(0)).rc, "SUCCESS");
        let metadata = fs::metadata(scene.path()).unwrap();
        (metadata.uid(), metadata.gid())
    }

    #[test]
    #[ignore = "needs root: run `make test`"]
    fn is_kept_and_so_is_its_group() {
        assert_eq!(owner_after_a_login(), (12345, 54321));
    }
}

mod a_nul_byte_in_the_usersfile {
    use super::*;

    /// What follows on a line after the NUL byte, and on the line that comes next.
    fn after_a_login(module: Module) -> String {
        let text = format!("# a\0b\n# next line\n{}", totp_line());
        let scene = Scene::new().module(module).usersfile(text);
        assert_eq!(scene.login("alice").types(code(0)).rc, "SUCCESS");
        scene.usersfile_now().unwrap()
    }

    #[test]
    fn is_kept_like_every_other_byte() {
        let expected = format!("# a\0b\n# next line\n{}", used_line(NOW, &code(0)));
        assert_eq!(after_a_login(Module::This), expected);
    }

    #[test]
    #[ignore = "needs the package libpam-oath: run `make test`"]
    fn joins_two_lines_in_oath_toolkits_module() {
        let expected = format!("# a# next line\n{}", used_line(0, &code(0)));
        assert_eq!(after_a_login(Module::OathToolkit), expected);
    }
}

mod the_argument_debug {
    use super::*;

    const PIN: &str = "a_very_private_pin";

    fn login(module: Module, code: &str) -> test_support::Outcome {
        let line = format!("HOTP/T30/6\talice\t{PIN}\t{SECRET}\n");
        let scene = Scene::new()
            .module(module)
            .usersfile(line)
            .args("debug digits=6");
        scene.login("alice").types(format!("{PIN}{code}"))
    }

    /// What nobody may learn from a log or a screen.
    fn given_away<'a>(text: &str, code: &'a str) -> Vec<&'a str> {
        // The secret as it is written, and the bytes it stands for.
        let secrets = [&SECRET[..16], "1234567890", PIN, code];
        secrets
            .into_iter()
            .filter(|secret| text.contains(secret))
            .collect()
    }

    #[test]
    fn logs_more_and_never_a_secret_a_pin_or_a_code() {
        for (code, rc) in [(code(0), "SUCCESS"), ("135790".to_owned(), "AUTH_ERR")] {
            let outcome = login(Module::This, &code);
            assert_eq!(outcome.rc, rc);
            let log = outcome.log_text();
            assert!(log.contains("debug: "), "nothing about debugging in: {log}");
            assert!(given_away(&log, &code).is_empty(), "{log}");
        }
    }

    #[test]
    #[ignore = "needs the package libpam-oath: run `make test`"]
    fn prints_pin_and_code_in_oath_toolkits_module() {
        let outcome = login(Module::OathToolkit, &code(0));
        assert_eq!(outcome.rc, "SUCCESS");
        assert_eq!(given_away(&outcome.printed, &code(0)), [PIN, &code(0)]);
    }
}

mod an_older_code_through_a_service_with_a_smaller_window {
    use super::*;

    fn logins(module: Module) -> [&'static str; 2] {
        let wide = scene(module).args("window=20");
        let narrow = wide.twin("narrow").args("window=2");
        [
            wide.login("alice").types(code(4)).rc,
            narrow.login("alice").types(code(1)).rc,
        ]
    }

    #[test]
    fn is_refused() {
        assert_eq!(logins(Module::This), ["SUCCESS", "AUTH_ERR"]);
    }

    #[test]
    #[ignore = "needs the package libpam-oath: run `make test`"]
    fn is_accepted_by_oath_toolkits_module() {
        assert_eq!(logins(Module::OathToolkit), ["SUCCESS", "SUCCESS"]);
    }
}

mod what_the_one_takes_and_the_other_does_not {
    use super::*;

    /// A login that this module answers with the second value and OATH Toolkit's with the third.
    type Case = (fn(Module) -> &'static str, &'static str, &'static str);

    const CASES: [Case; 6] = [
        (a_window_over_1000, "AUTH_ERR", "SUCCESS"),
        (a_path_without_a_slash_before_it, "AUTH_ERR", "SUCCESS"),
        (a_file_that_everybody_can_write, "AUTH_ERR", "SUCCESS"),
        (a_pin_that_is_a_hash_as_it_stands, "AUTH_ERR", "SUCCESS"),
        (a_step_of_90_seconds, "SUCCESS", "USER_UNKNOWN"),
        (a_secret_of_40_bytes, "SUCCESS", "AUTH_ERR"),
    ];

    fn a_window_over_1000(module: Module) -> &'static str {
        let scene = Scene::new().module(module).args("window=1500");
        let scene = scene.usersfile(format!("HOTP/E\talice\t-\t{SECRET}\n"));
        let code = Generator::new(SECRET).code(1200);
        scene.login("alice").types(code).rc
    }

    fn a_path_without_a_slash_before_it(module: Module) -> &'static str {
        let scene = scene(module).usersfile_option("usersfile=users.oath");
        let script = format!("cd '{}' && exec \"$0\" \"$@\"", scene.folder().display());
        let scene = scene.started_by(["sh", "-c", &script]);
        scene.login("alice").types(code(0)).rc
    }

    fn a_file_that_everybody_can_write(module: Module) -> &'static str {
        let scene = scene(module);
        fs::set_permissions(scene.path(), Permissions::from_mode(0o666)).unwrap();
        scene.login("alice").types(code(0)).rc
    }

    fn a_pin_that_is_a_hash_as_it_stands(module: Module) -> &'static str {
        const HASH: &str = "$6$saltsalt$xyz";
        let line = totp_line().replace("\t-\t", &format!("\t{HASH}\t"));
        let scene = scene(module).usersfile(line).args("digits=6");
        scene.login("alice").types(HASH.to_owned() + &code(0)).rc
    }

    fn a_step_of_90_seconds(module: Module) -> &'static str {
        let scene = scene(module).usersfile(totp_line().replace("T30", "T90"));
        let code = Generator::new(SECRET).code_at(NOON, 90, 0);
        scene.login("alice").types(code).rc
    }

    fn a_secret_of_40_bytes(module: Module) -> &'static str {
        let secret = SECRET.repeat(2);
        let scene = scene(module).usersfile(totp_line().replace(SECRET, &secret));
        let code = Generator::new(&secret).code_at(NOON, 30, 0);
        scene.login("alice").types(code).rc
    }

    #[test]
    fn is_as_the_table_says() {
        let answers = CASES.map(|(login, _, _)| login(Module::This));
        assert_eq!(answers, CASES.map(|(_, ours, _)| ours));
    }

    #[test]
    #[ignore = "needs the package libpam-oath: run `make test`"]
    fn is_as_the_table_says_of_oath_toolkits_module() {
        let answers = CASES.map(|(login, _, _)| login(Module::OathToolkit));
        assert_eq!(answers, CASES.map(|(_, _, theirs)| theirs));
    }
}

mod a_file_of_roots_in_another_users_folder {
    use super::*;

    fn login(module: Module) -> &'static str {
        const NOBODY: Option<u32> = Some(65534);
        let scene = scene(module);
        std::os::unix::fs::chown(scene.folder(), NOBODY, NOBODY).unwrap();
        scene.login("alice").types(code(0)).rc
    }

    #[test]
    #[ignore = "needs root, to give the folder away: run `make test`"]
    fn is_refused() {
        assert_eq!(login(Module::This), "AUTH_ERR");
    }

    #[test]
    #[ignore = "needs root and the package libpam-oath: run `make test`"]
    fn is_used_by_oath_toolkits_module() {
        assert_eq!(login(Module::OathToolkit), "SUCCESS");
    }
}
