//! OpenSSH with each of the `sshd` files in `pam.d-examples/`, installed as it stands.

use test_support::example::Example;
use test_support::oathtool::{SECRET, totp, wrong_code};
use test_support::sshd::{CODE_PROMPT, Config, Login, PASSWORD, PASSWORD_PROMPT, Server};
use test_support::tool;

/// sshd as the example's comments describe it.
fn server_of(example: &Example) -> Server {
    Server::start(Config {
        pam: example.text().into(),
        sshd: example.sshd_config(),
        users_oath: example.usersfile(),
    })
}

fn log_in<const N: usize>(server: &Server, answers: [&str; N]) -> Login {
    server.ssh("alice").answers(answers).run("echo hi")
}

#[track_caller]
fn assert_let_in<const N: usize>(login: &Login, prompts: [&str; N]) {
    assert!(login.succeeded(), "{login}");
    assert_eq!(login.stdout, "hi\n", "{login}");
    assert_eq!(login.prompts, prompts, "{login}");
}

#[track_caller]
fn assert_refused<const N: usize>(login: &Login, prompts: [&str; N]) {
    assert!(login.was_refused(), "{login}");
    assert_eq!(login.prompts, prompts, "{login}");
}

/// Password, then code: both are needed, and each code is good once.
fn assert_asks_for_password_and_code(server: &Server) {
    let code = totp(SECRET, 0);
    let both = [PASSWORD_PROMPT, CODE_PROMPT];
    assert_let_in(&log_in(server, [PASSWORD, &code]), both);
    assert_refused(&log_in(server, [PASSWORD, &code]), both);
    assert_refused(&log_in(server, [PASSWORD, &wrong_code(SECRET)]), both);
    let wrong_password = log_in(server, ["wrong", &totp(SECRET, 2)]);
    assert!(wrong_password.was_refused(), "{wrong_password}");
}

#[test]
#[ignore = "needs root, openssh-server, oathtool: run make test"]
fn sshd_asks_for_the_password_and_then_for_a_code() {
    let server = server_of(&Example::named("sshd"));
    assert_asks_for_password_and_code(&server);

    server.add_user("bob", PASSWORD);
    let not_enrolled = server.ssh("bob").answers([PASSWORD]).run("echo hi");
    assert!(not_enrolled.was_refused(), "{not_enrolled}");
}

#[test]
#[ignore = "needs root, openssh-server, oathtool: run make test"]
fn sshd_keeps_root_out_unless_its_own_configuration_permits_root() {
    let example = Example::named("sshd");
    let log_in_as_root = |more: &str| {
        let server = Server::start(Config {
            pam: example.text().into(),
            sshd: example.sshd_config() + more,
            users_oath: example.usersfile().replace("alice", "root"),
        });
        server.set_password("root", PASSWORD);
        server
            .ssh("root")
            .answers([PASSWORD, &totp(SECRET, 0)])
            .run("echo hi")
    };

    let root = log_in_as_root("");
    assert!(root.was_refused(), "{root}");
    let root = log_in_as_root("PermitRootLogin yes\n");
    assert!(root.succeeded(), "{root}");
}

#[test]
#[ignore = "needs root, openssh-server, oathtool: run make test"]
fn sshd_publickey_asks_for_a_key_and_then_for_a_code() {
    let server = server_of(&Example::named("sshd-publickey"));
    let code = totp(SECRET, 0);
    assert_refused(&log_in(&server, [&code]), []);

    server.authorize_key("alice");
    let login = log_in(&server, [&code]);
    assert_let_in(&login, [CODE_PROMPT]);
    let key = "Authenticated using \"publickey\" with partial success.";
    assert!(login.client_log.contains(key), "{login}");

    assert_refused(&log_in(&server, [&code]), [CODE_PROMPT]);
    assert_refused(&log_in(&server, [&wrong_code(SECRET)]), [CODE_PROMPT]);
}

#[test]
#[ignore = "needs root, openssh-server, oathtool: run make test"]
fn sshd_one_answer_takes_the_password_with_the_code_behind_it() {
    let server = server_of(&Example::named("sshd-one-answer"));
    let code = totp(SECRET, 0);
    let by_password = |answer: String| {
        server
            .ssh("alice")
            .option("PreferredAuthentications=password")
            .answers([answer])
            .run("echo hi")
    };

    let wrong_password = by_password(format!("wrong{}", totp(SECRET, 0)));
    assert!(wrong_password.was_refused(), "{wrong_password}");
    let wrong_code = by_password(format!("{PASSWORD}{}", wrong_code(SECRET)));
    assert!(wrong_code.was_refused(), "{wrong_code}");
    let code_alone = by_password(totp(SECRET, 1));
    assert!(code_alone.was_refused(), "{code_alone}");

    let login = by_password(format!("{PASSWORD}{}", totp(SECRET, 2)));
    assert_let_in(&login, ["alice@127.0.0.1's password: "]);
    let replayed = by_password(format!("{PASSWORD}{code}"));
    assert!(replayed.was_refused(), "{replayed}");

    // The same in a client that asks as the server says.
    let login = log_in(&server, [&format!("{PASSWORD}{}", totp(SECRET, 4))]);
    assert_let_in(&login, [CODE_PROMPT]);
}

#[test]
#[ignore = "needs root, openssh-server, oathtool: run make test"]
fn sshd_only_enrolled_asks_the_others_for_nothing_but_the_password() {
    let server = server_of(&Example::named("sshd-only-enrolled"));
    assert_asks_for_password_and_code(&server);

    server.add_user("bob", PASSWORD);
    let bob = |password: &str| server.ssh("bob").answers([password]).run("echo hi");
    assert_let_in(&bob(PASSWORD), ["(bob@127.0.0.1) Password: "]);
    assert_refused(&bob("wrong"), ["(bob@127.0.0.1) Password: "]);

    // A file that can't be used is no reason to believe that somebody is not enrolled.
    server.run("rm", ["/etc/users.oath"]);
    server.run("mkdir", ["/etc/users.oath"]);
    let unknown = bob(PASSWORD);
    assert!(unknown.was_refused(), "{unknown}");
}

#[test]
#[ignore = "needs root, openssh-server, oathtool: run make test"]
fn sshd_except_local_network_asks_for_a_code_from_outside_only() {
    let example = Example::named("sshd-except-local-network");
    let server = server_of(&example);
    let access = example.shown_after("/etc/security/access-oath.conf:");
    let inside = access.replace("192.0.2.0/24", "127.0.0.1");
    assert_ne!(inside, access);
    server.install("/etc/security/access-oath.conf", inside, 0o644);
    let log_in_from = |address: &str, answers: &[&str]| {
        server
            .ssh("alice")
            .option(&format!("BindAddress={address}"))
            .answers(answers.iter().copied())
            .run("echo hi")
    };

    assert_let_in(&log_in_from("127.0.0.1", &[PASSWORD]), [PASSWORD_PROMPT]);
    assert_refused(&log_in_from("127.0.0.1", &["wrong"]), [PASSWORD_PROMPT]);

    let both = [PASSWORD_PROMPT, CODE_PROMPT];
    let (right, wrong) = (totp(SECRET, 0), wrong_code(SECRET));
    assert_refused(&log_in_from("127.0.0.2", &[PASSWORD, &wrong]), both);
    assert_let_in(&log_in_from("127.0.0.2", &[PASSWORD, &right]), both);

    server.run("rm", ["/etc/security/access-oath.conf"]);
    assert_refused(&log_in_from("127.0.0.1", &[PASSWORD, &wrong]), both);
}

#[test]
#[ignore = "needs root, openssh-server, oathtool: run make test"]
fn sshd_faillock_closes_the_account_after_five_wrong_codes() {
    let example = Example::named("sshd-faillock");
    let server = server_of(&example);
    assert_asks_for_password_and_code(&server);

    // Those were three failures since the last success.
    for _ in 0..2 {
        let refused = log_in(&server, [PASSWORD, &wrong_code(SECRET)]);
        assert!(refused.was_refused(), "{refused}");
    }
    let closed = log_in(&server, [PASSWORD, &totp(SECRET, 4)]);
    assert!(closed.was_refused(), "{closed}");

    let commands = example.shown_after("and to let someone in again:");
    let failures = server.run("sh", ["-c", &commands]);
    assert_eq!(failures.matches("127.0.0.1").count(), 5, "{failures}");
    let opened = log_in(&server, [PASSWORD, &totp(SECRET, 6)]);
    assert!(opened.succeeded(), "{opened}");
}

#[test]
#[ignore = "needs root, openssh-server, oathtool: run make test"]
fn sshd_throttle_makes_the_next_code_wait_after_a_wrong_one() {
    let example = Example::named("sshd-throttle");
    let server = server_of(&example);
    let both = [PASSWORD_PROMPT, CODE_PROMPT];
    let code = totp(SECRET, 0);
    assert_refused(&log_in(&server, ["wrong", &code]), [PASSWORD_PROMPT]);
    assert_let_in(&log_in(&server, [PASSWORD, &code]), both);

    let next = totp(SECRET, 2);
    assert_refused(&log_in(&server, [PASSWORD, &wrong_code(SECRET)]), both);
    assert_refused(&log_in(&server, [PASSWORD, &next]), both);
    server.wait_for_log("refused: 1 failures; the next answer is checked in ");

    // Ten seconds pass: the failure was ten seconds earlier.
    let failure = "/run/pam_oath/throttle-alice";
    let earlier = "{ printf \"%d %d\\n\", $1, $2 - 10 }";
    let text = server.run("awk", [earlier, failure]);
    server.install(failure, text, 0o600);
    assert_let_in(&log_in(&server, [PASSWORD, &next]), both);

    assert_refused(&log_in(&server, [PASSWORD, &wrong_code(SECRET)]), both);
    let commands = example.shown_after("and to let someone in at once:");
    let waiting = tool::type_in(&server, &commands);
    assert!(waiting.contains("alice"), "{waiting}");
    assert_let_in(&log_in(&server, [PASSWORD, &totp(SECRET, 4)]), both);
}

#[test]
#[ignore = "needs root, openssh-server, oathtool: run make test"]
fn sshd_rhel_asks_for_the_password_and_then_for_a_code() {
    let example = Example::named("sshd-rhel").with_path("/var/lib/oath/", "/etc/oath/");
    let server = server_of(&example);
    server.run("install", ["-d", "-m", "700", "/etc/oath"]);
    server.run("mv", ["/etc/users.oath", "/etc/oath/users.oath"]);
    // What authselect writes there, as far as Debian has the modules.
    server.install(
        "/etc/pam.d/password-auth",
        "auth        required      pam_env.so\n\
         auth        required      pam_faildelay.so delay=2000000\n\
         auth        sufficient    pam_unix.so nullok\n\
         auth        required      pam_deny.so\n\
         account     required      pam_unix.so\n\
         password    sufficient    pam_unix.so yescrypt shadow nullok use_authtok\n\
         password    required      pam_deny.so\n\
         session     optional      pam_keyinit.so revoke\n\
         session     required      pam_limits.so\n\
         session     required      pam_unix.so\n",
        0o644,
    );
    server.install(
        "/etc/pam.d/postlogin",
        "session     optional      pam_umask.so silent\n\
         session     optional      pam_lastlog.so silent noupdate showfailed\n",
        0o644,
    );
    assert_asks_for_password_and_code(&server);

    server.run("touch", ["/etc/nologin"]);
    let down = log_in(&server, [PASSWORD, &totp(SECRET, 4)]);
    assert!(!down.succeeded(), "{down}");
}

#[test]
#[ignore = "needs root, openssh-server, oathtool: run make test"]
fn sftp_puts_and_gets_files_in_a_chroot_after_password_and_code() {
    let example = Example::named("sshd-sftp-chroot").with_path("/srv/sftp", "/home/sftp");
    let server = server_of(&example);
    server.run(
        "sh",
        ["-ec", &example.shown_after("or sshd refuses to use it:")],
    );
    server.install("/root/letter", "Dear Alice\n", 0o600);
    let transfer = |code: &str| {
        server
            .ssh("alice")
            .answers([PASSWORD, code])
            .sftp("put /root/letter files/letter\nget /files/letter /root/again\n")
    };

    let refused = transfer(&wrong_code(SECRET));
    assert_refused(&refused, [PASSWORD_PROMPT, CODE_PROMPT]);
    let login = transfer(&totp(SECRET, 0));
    assert!(login.succeeded(), "{login}");
    assert_eq!(login.prompts, [PASSWORD_PROMPT, CODE_PROMPT], "{login}");
    assert_eq!(server.read("/home/sftp/alice/files/letter"), "Dear Alice\n");
    assert_eq!(server.read("/root/again"), "Dear Alice\n");

    let shell = log_in(&server, [PASSWORD, &totp(SECRET, 2)]);
    assert!(!shell.succeeded() && !shell.was_refused(), "{shell}");
    assert_eq!(shell.prompts, [PASSWORD_PROMPT, CODE_PROMPT], "{shell}");
}

#[test]
#[ignore = "needs root, openssh-server, oathtool: run make test"]
fn sshd_self_enrolment_asks_who_has_enrolled_herself_and_nobody_else() {
    let example = Example::named("sshd-self-enrolment");
    let server = Server::start(Config {
        pam: example.text().into(),
        sshd: example.sshd_config(),
        users_oath: String::new(),
    });
    // Another service has another usersfile, of root's.
    let of_root = "auth required pam_oath.so usersfile=/etc/users.oath\n";
    server.install("/etc/pam.d/su", of_root, 0o644);
    assert_let_in(&log_in(&server, [PASSWORD]), [PASSWORD_PROMPT]);

    // As alice types it, less the terminal.
    tool::type_in(&server, "chmod 755 /run/tools");
    let typed = example.shown_after("types, as herself:").replace(
        "oathctl add \"$USER\"",
        &format!("/run/tools/oathctl add alice --no-confirm --secret {SECRET}"),
    );
    let enrolled = server
        .command_as("alice", "sh")
        .args(["-ec", &typed])
        .status();
    assert!(enrolled.expect("nsenter starts").success());
    let owner = server.run("stat", ["-c", "%U %a", "/home/alice/.users.oath"]);
    assert_eq!(owner, "alice 600\n");
    assert_asks_for_password_and_code(&server);

    server.add_user("bob", PASSWORD);
    let bob = server.ssh("bob").answers([PASSWORD]).run("echo hi");
    assert!(bob.succeeded(), "{bob}");
    // What others can write is no usersfile, and no reason to let anybody pass.
    server.run("chmod", ["666", "/home/alice/.users.oath"]);
    let refused = log_in(&server, [PASSWORD, &totp(SECRET, 4)]);
    assert!(refused.was_refused(), "{refused}");
}
