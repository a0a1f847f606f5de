//! Logins through OpenSSH's own sshd with the module in place of Google's, as the guides set it up.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

use test_support::codes::Generator;
use test_support::oathtool::{SECRET, SECRET_BASE32, totp, wrong_code};
use test_support::sshd::{Config, Login, PASSWORD, Server};
use test_support::{Module, built_oathctl};

const CODE_PROMPT: &str = "(alice@127.0.0.1) Verification code: ";
const KEY_AND_CODE: &str = "KbdInteractiveAuthentication yes\n\
                            AuthenticationMethods publickey,keyboard-interactive\n";
const OPTIONS: &str = "\" RATE_LIMIT 10 30\n\" WINDOW_SIZE 17\n\" DISALLOW_REUSE\n\" TOTP_AUTH\n";

/// A server with this PAM configuration for logging in.
fn server(auth: &str, sshd: Option<&str>) -> Server {
    let default = Config::default();
    let server = Server::start(Config {
        pam: format!("{auth}\naccount required pam_unix.so\nsession required pam_unix.so\n"),
        sshd: sshd.map_or(default.sshd, str::to_owned),
        ..Config::default()
    });
    server.install_module(Module::Google);
    server
}

fn secret_file() -> String {
    format!("{SECRET_BASE32}\n{OPTIONS}12345678\n")
}

/// Gives alice a secret file.
fn enrol(server: &Server) {
    let path = "/home/alice/.google_authenticator";
    server.install(path, secret_file(), 0o400);
    server.run("chown", ["alice:alice", path]);
}

fn log_in(server: &Server, typed: &str) -> Login {
    server.ssh("alice").answers([typed]).run("echo hi")
}

#[track_caller]
fn assert_let_in(login: &Login, prompts: &[&str]) {
    assert!(login.succeeded(), "{login}");
    assert_eq!(login.stdout, "hi\n", "{login}");
    assert_eq!(login.prompts, prompts, "{login}");
}

#[track_caller]
fn assert_refused(login: &Login, prompts: &[&str]) {
    assert!(login.was_refused(), "{login}");
    assert_eq!(login.stdout, "", "{login}");
    assert_eq!(login.prompts, prompts, "{login}");
}

#[test]
#[ignore = "needs root, openssh-server, oathtool: run make test"]
fn ssh_asks_for_the_code_of_the_secret_file_after_the_public_key_and_takes_it_once() {
    let server = server(
        "auth required pam_google_authenticator.so",
        Some(KEY_AND_CODE),
    );
    enrol(&server);
    let code = totp(SECRET, 0);
    let without_key = log_in(&server, &code);
    assert_refused(&without_key, &[]);

    server.authorize_key("alice");
    assert_let_in(&log_in(&server, &code), &[CODE_PROMPT]);
    let again = log_in(&server, &code);
    assert_refused(&again, &[CODE_PROMPT]);
    assert!(
        again.client_log.contains("with partial success."),
        "{again}"
    );
    assert_refused(&log_in(&server, &wrong_code(SECRET)), &[CODE_PROMPT]);
    assert_let_in(&log_in(&server, "12345678"), &[CODE_PROMPT]);
    assert_refused(&log_in(&server, "12345678"), &[CODE_PROMPT]);
}

#[test]
#[ignore = "needs root, openssh-server, oathtool: run make test"]
fn with_nullok_only_who_has_a_secret_file_is_asked_with_the_prompt_of_the_line() {
    let server = server(
        "auth required pam_google_authenticator.so nullok [authtok_prompt=2F-Token: ] \
         echo_verification_code\n\
         auth required pam_permit.so",
        Some(KEY_AND_CODE),
    );
    server.authorize_key("alice");
    assert_let_in(&log_in(&server, ""), &[]);

    enrol(&server);
    let prompt = ["(alice@127.0.0.1) 2F-Token: "];
    assert_refused(&log_in(&server, &wrong_code(SECRET)), &prompt);
    assert_let_in(&log_in(&server, &totp(SECRET, 0)), &prompt);
}

/// As a guide has it in `/etc/profile.d`.
const PROFILE: &str = "if [ ! -e ~/.google_authenticator ]; then\n\
    google-authenticator -t --rate-limit=3 --rate-time=30 --window-size=17 --force \
    --disallow-reuse\n\
    fi\n";

#[test]
#[ignore = "needs root, openssh-server: run make test"]
fn a_profile_script_enrols_at_the_first_login_and_the_second_needs_a_code() {
    let server = server(
        "auth required pam_google_authenticator.so nullok\n\
         auth required pam_permit.so",
        Some(KEY_AND_CODE),
    );
    server.authorize_key("alice");
    server.scratch("/usr/local/bin");
    let tool = Path::new(built_oathctl()).with_file_name("google-authenticator");
    let tool = fs::read(tool).unwrap();
    server.install("/usr/local/bin/google-authenticator", tool, 0o755);
    server.install("/etc/profile.d/google-authenticator.sh", PROFILE, 0o644);

    // She does not prove a code of her phone's.
    let first = server.ssh("alice").run("echo -1 | sh -l -c 'echo hi'");
    assert!(first.succeeded() && first.prompts.is_empty(), "{first}");
    let path = "/home/alice/.google_authenticator";
    let metadata = server.path(path).metadata().unwrap();
    assert_eq!(metadata.mode() & 0o7777, 0o400);
    let file = server.read(path);
    let secret = file.lines().next().unwrap();
    assert!(first.stdout.contains(secret), "{first}");

    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.unwrap().as_secs().try_into().unwrap();
    let code = Generator::of_base32(secret).code_at(now, 30, 0);
    assert_let_in(&log_in(&server, &code), &[CODE_PROMPT]);
    assert_refused(&log_in(&server, &code), &[CODE_PROMPT]);
}

#[test]
#[ignore = "needs root, openssh-server, oathtool: run make test"]
fn secret_files_in_a_folder_of_roots_are_read_and_written_with_its_rights() {
    let server = server(
        "auth required pam_google_authenticator.so user=root \
         secret=/var/lib/google-authenticator/${USER}/.google_authenticator",
        None,
    );
    server.scratch("/var/lib");
    let folder = "/var/lib/google-authenticator/alice";
    server.run("install", ["-d", "-m", "700", folder]);
    let path = format!("{folder}/.google_authenticator");
    server.install(&path, secret_file(), 0o400);

    let code = totp(SECRET, 0);
    assert_let_in(&log_in(&server, &code), &[CODE_PROMPT]);
    assert_refused(&log_in(&server, &code), &[CODE_PROMPT]);
    let metadata = server.path(&path).metadata().unwrap();
    let (mode, owner) = (metadata.mode() & 0o7777, (metadata.uid(), metadata.gid()));
    assert_eq!((mode, owner), (0o400, (0, 0)));
    assert_ne!(server.read(&path), secret_file());
}

#[test]
#[ignore = "needs root, openssh-server, oathtool: run make test"]
fn sftp_puts_files_after_a_code_of_the_secret_file() {
    let server = server("auth required pam_google_authenticator.so", None);
    enrol(&server);
    server.install("/root/letter", "Dear Alice\n", 0o600);
    let put = |code: &str| {
        let client = server.ssh("alice").answers([code]);
        client.sftp("put /root/letter letter\n")
    };
    assert_refused(&put(&wrong_code(SECRET)), &[CODE_PROMPT]);
    assert!(!server.path("/home/alice/letter").exists());
    let login = put(&totp(SECRET, 0));
    assert!(login.succeeded(), "{login}");
    assert_eq!(server.read("/home/alice/letter"), "Dear Alice\n");
}

#[test]
#[ignore = "needs root, openssh-server, oathtool: run make test"]
fn with_forward_pass_the_password_before_the_code_goes_to_pam_unix_and_both_must_be_right() {
    let server = server(
        "auth required pam_google_authenticator.so forward_pass\n\
         auth required pam_unix.so use_first_pass",
        None,
    );
    enrol(&server);
    let log_in = |password: &str, code: &str| log_in(&server, &format!("{password}{code}"));
    let prompt = ["(alice@127.0.0.1) Password & verification code: "];
    assert_refused(&log_in("wrong", &totp(SECRET, 0)), &prompt);
    assert_let_in(&log_in(PASSWORD, &totp(SECRET, 1)), &prompt);
    assert_refused(&log_in(PASSWORD, &totp(SECRET, 1)), &prompt);
    assert_refused(&log_in(PASSWORD, ""), &prompt);
    assert_let_in(&log_in(PASSWORD, "12345678"), &prompt);
}

#[test]
#[ignore = "needs root, openssh-server, oathtool: run make test"]
fn within_the_grace_period_only_the_same_address_gets_in_without_a_code() {
    let server = server(
        "auth required pam_google_authenticator.so grace_period=3600",
        None,
    );
    enrol(&server);
    assert_let_in(&log_in(&server, &totp(SECRET, 0)), &[CODE_PROMPT]);
    assert_let_in(&log_in(&server, ""), &[]);
    let elsewhere = |code: &str| {
        let client = server.ssh("alice").option("BindAddress=127.0.0.2");
        client.answers([code]).run("echo hi")
    };
    assert_refused(&elsewhere(""), &[CODE_PROMPT]);
    assert_let_in(&elsewhere(&totp(SECRET, 1)), &[CODE_PROMPT]);
    assert_let_in(&elsewhere(""), &[]);
    let file = server.read("/home/alice/.google_authenticator");
    for line in ["\" LAST0 127.0.0.1 ", "\" LAST1 127.0.0.2 "] {
        assert!(file.contains(line), "{file}");
    }
}
