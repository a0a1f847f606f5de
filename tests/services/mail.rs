//! Dovecot with its file in `pam.d-examples/`, over IMAP.

use test_support::example::Example;
use test_support::machine::Machine;
use test_support::oathtool::{SECRET, totp, wrong_code};

const PASSWORD: &str = "correct horse";

/// The machine has no certificate; what comes over loopback counts as safe. And failures from one
/// address are not to slow down the next one.
const FOR_THE_TEST: &str = "\
ssl = no
mail_location = mbox:~/mail
auth_failure_delay = 0
service anvil {
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
";

#[test]
#[ignore = "needs root, dovecot-imapd, curl, oathtool: run make test"]
fn dovecot_lets_webmail_read_on_with_one_code_and_nobody_in_with_half_of_it() {
    test_support::program("dovecot", "dovecot-imapd");
    test_support::program("curl", "curl, built with IMAP");
    let example = Example::named("dovecot");
    let mut machine = Machine::start();
    machine.add_user("alice", PASSWORD);
    machine.install("/etc/pam.d/dovecot", example.text(), 0o644);
    machine.install("/etc/users.oath", example.usersfile(), 0o600);
    let lines = example.shown_after("/etc/dovecot/conf.d/99-oath.conf:");
    let lines = lines + FOR_THE_TEST;
    machine.install("/etc/dovecot/conf.d/99-oath.conf", lines, 0o644);
    machine.scratch("/var/lib/dovecot");
    machine.serve("dovecot", ["-F"]);
    machine.wait_for_log("starting up for");

    let read_mail = |password: &str| {
        let mut curl = machine.command("curl");
        curl.args([
            "--silent",
            "--output",
            "/dev/null",
            "imap://127.0.0.1/",
            "--user",
        ]);
        let status = curl.arg(format!("alice:{password}")).status();
        match status.expect("nsenter starts").code() {
            Some(0) => true,
            // "The remote server denied curl to login."
            Some(67) => false,
            other => panic!("curl says {other:?}: {:#?}", machine.log()),
        }
    };

    let code = totp(SECRET, 0);
    assert!(!read_mail(PASSWORD));
    assert!(!read_mail(&code));
    assert!(!read_mail(&format!("{PASSWORD}{}", wrong_code(SECRET))));
    assert!(!read_mail(&format!("wrong{code}")));
    for _ in 0..5 {
        assert!(read_mail(&format!("{PASSWORD}{code}")));
    }
}
