//! OpenVPN's server, its PAM plugin and its client, with the file in `pam.d-examples/`.

use test_support::example::Example;
use test_support::machine::Machine;
use test_support::oathtool::{SECRET, totp, wrong_code};

const PASSWORD: &str = "correct horse";

/// What any server has beside the example's lines.
const SERVER: &str = "\
local 127.0.0.1
dev tun0
topology subnet
server 10.9.0.0 255.255.255.0
ca /etc/openvpn/ca.pem
cert /etc/openvpn/ca.pem
key /etc/openvpn/key.pem
dh none
verify-client-cert none
username-as-common-name
syslog openvpn
";

const CLIENT: &str = "\
client
nobind
remote 127.0.0.1
dev tun1
ca /etc/openvpn/ca.pem
auth-user-pass /etc/openvpn/answers
auth-retry none
connect-retry-max 1
remap-usr1 SIGTERM
script-security 2
route-up /etc/openvpn/hang-up
";

/// Ends the client once it is connected; one that is refused ends by itself.
const HANG_UP: &str = "#!/bin/sh\nkill $PPID\n";

#[test]
#[ignore = "needs root, openvpn, openssl, oathtool: run make test"]
fn openvpn_asks_for_the_password_and_for_a_code() {
    test_support::program("openvpn", "openvpn");
    test_support::program("openssl", "openssl");
    let tun = std::path::Path::new("/dev/net/tun").exists();
    assert!(tun, "no /dev/net/tun: load the kernel's module tun");
    let example = Example::named("openvpn");
    let mut machine = Machine::start();
    machine.add_user("alice", PASSWORD);
    machine.install("/etc/pam.d/openvpn", example.text(), 0o644);
    machine.install("/etc/users.oath", example.usersfile(), 0o600);
    machine.run("mkdir", ["-p", "/dev/net"]);
    machine.run("mknod", ["/dev/net/tun", "c", "10", "200"]);
    let make_certificate = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
                            -subj /CN=server -days 2 -keyout key.pem -out ca.pem";
    machine.run(
        "sh",
        ["-ec", &format!("cd /etc/openvpn && {make_certificate}")],
    );
    let server = format!(
        "{SERVER}{}",
        example.shown_after("to the server's configuration:")
    );
    machine.install("/etc/openvpn/server.conf", server, 0o600);
    machine.install("/etc/openvpn/client.conf", CLIENT, 0o600);
    machine.install("/etc/openvpn/hang-up", HANG_UP, 0o755);
    machine.serve("openvpn", ["--config", "/etc/openvpn/server.conf"]);
    machine.wait_for_log("Initialization Sequence Completed");

    let connect = |password: &str, code: &str| {
        // What a client with static-challenge makes of the two answers.
        let in_base64 = |text: &str| machine.run("sh", ["-c", "printf %s \"$0\" | base64", text]);
        let (password, code) = (in_base64(password), in_base64(code));
        let answer = format!("alice\nSCRV1:{}:{}\n", password.trim(), code.trim());
        machine.install("/etc/openvpn/answers", answer, 0o600);
        let mut client = machine.command("openvpn");
        client.args(["--config", "/etc/openvpn/client.conf"]);
        let output = client.output().expect("nsenter starts");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let connected = "Initialization Sequence Completed";
    let refused = "AUTH_FAILED";
    let code = totp(SECRET, 0);

    for (password, code) in [(PASSWORD, wrong_code(SECRET)), ("wrong", totp(SECRET, 1))] {
        let said = connect(password, &code);
        assert!(
            said.contains(refused) && !said.contains(connected),
            "{said}"
        );
    }
    let said = connect(PASSWORD, &code);
    assert!(said.contains(connected), "{said}\n{:#?}", machine.log());
    let said = connect(PASSWORD, &code);
    assert!(
        said.contains(refused) && !said.contains(connected),
        "{said}"
    );
}
