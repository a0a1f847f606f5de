//! vsftpd with the file in `pam.d-examples/`: clients that open further connections with the
//! password that was typed for the first.

use std::fs;

use test_support::example::Example;
use test_support::machine::Machine;
use test_support::oathtool::{SECRET, hotp, totp, wrong_code};

const PASSWORD: &str = "correct horse";

/// What any server has beside the example's lines.
const SERVER: &str = "\
listen=YES
listen_address=127.0.0.1
background=NO
anonymous_enable=NO
secure_chroot_dir=/run/vsftpd/empty
seccomp_sandbox=NO
rsa_cert_file=/etc/vsftpd.pem
rsa_private_key_file=/etc/vsftpd.key
";

/// Logs in over two connections that are open at the same moment, with one password, and prints
/// for each whether it got in.
const TWO_CONNECTIONS: &str = "\
import ftplib, sys, time
def log_in():
    for _ in range(600):
        try:
            client = ftplib.FTP_TLS('127.0.0.1', timeout=60)
            break
        except ConnectionRefusedError:
            time.sleep(0.05)
    try:
        client.login('alice', sys.argv[1])
        client.pwd()
        print('in')
    except ftplib.error_perm as error:
        print(error)
    return client
clients = [log_in(), log_in()]
";

#[test]
#[ignore = "needs root, vsftpd, openssl, python3, oathtool: run make test"]
fn an_ftp_client_opens_its_connections_with_one_code_for_five_minutes() {
    test_support::program("vsftpd", "vsftpd");
    test_support::program("openssl", "openssl");
    test_support::program("python3", "python3-pyotp");
    let example = Example::named("vsftpd");
    let mut machine = Machine::start();
    machine.add_user("alice", PASSWORD);
    machine.install("/etc/pam.d/vsftpd", example.text(), 0o644);
    machine.install("/etc/users.oath", example.usersfile(), 0o600);
    let make_certificate = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
                            -subj /CN=server -days 2 -keyout vsftpd.key -out vsftpd.pem";
    machine.run("sh", ["-ec", &format!("cd /etc && {make_certificate}")]);
    machine.run("mkdir", ["-p", "/run/vsftpd/empty"]);
    let lines = example.shown_after("/etc/vsftpd.conf says:");
    machine.install("/etc/vsftpd.conf", format!("{SERVER}{lines}"), 0o600);
    machine.serve("vsftpd", ["/etc/vsftpd.conf"]);

    let connect = |password: &str| machine.run("python3", ["-c", TWO_CONNECTIONS, password]);
    let in_twice = "in\nin\n";
    let refused_twice = "530 Login incorrect.\n530 Login incorrect.\n";
    let log = || machine.log().join("\n");
    let (earlier, code) = (totp(SECRET, 0), totp(SECRET, 2));

    let wrong = wrong_code(SECRET);
    for wrong in [PASSWORD.to_owned(), format!("{PASSWORD}{wrong}")] {
        assert_eq!(connect(&wrong), refused_twice, "{}", log());
    }
    let both = |code: &str| format!("{PASSWORD}{code}");
    assert_eq!(connect(&both(&earlier)), in_twice, "{}", log());
    assert_eq!(connect(&both(&code)), in_twice, "{}", log());
    assert_eq!(connect(&format!("wrong{code}")), refused_twice);
    assert_eq!(
        connect(&both(&earlier)),
        refused_twice,
        "used before: {}",
        log()
    );

    // What a login so many seconds ago has recorded, and the code it was with.
    let record_login = |seconds_ago: u64| {
        let text = fs::read_to_string(machine.path("/etc/users.oath")).expect("the usersfile");
        let fields: Vec<&str> = text.trim_end().split('\t').collect();
        let past = format!("{seconds_ago} seconds ago");
        let time = machine.run("date", ["--date", &past, "+%s%t%FT%TL"]);
        let (unix_time, last_time) = time.trim_end().split_once('\t').expect("two fields");
        let step = unix_time.parse::<u64>().expect("a number") / 30;
        let code = hotp(SECRET, step);
        let token = fields[..4].join("\t");
        let text = format!("{token}\t{step}\t{code}\t{last_time}\n");
        machine.install("/etc/users.oath", text, 0o600);
        both(&code)
    };
    assert_eq!(connect(&record_login(240)), in_twice, "{}", log());
    assert_eq!(connect(&record_login(301)), refused_twice, "{}", log());
}
