//! An LDAP directory in a machine: slapd with alice in it, and nslcd, which asks it for PAM.

use crate::machine::Machine;
use crate::program;

const SLAPD_CONF: &str = "\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/nis.schema
pidfile /run/slapd.pid
loglevel none
database ldif
suffix dc=example,dc=net
directory /run/directory
";

const NSLCD_CONF: &str = "\
uid nslcd
gid nslcd
uri ldap://127.0.0.1/
base dc=example,dc=net
";

/// Starts a directory in which alice, who has no account on the machine itself, has this password.
pub fn start(machine: &Machine, password: &str) {
    for (name, package) in [
        ("slapd", "slapd"),
        ("nslcd", "nslcd, with libpam-ldapd"),
        ("ldapwhoami", "ldap-utils"),
    ] {
        program(name, package);
    }
    let hash = machine.run("slappasswd", ["-s", password]);
    let people = format!(
        "dn: dc=example,dc=net\n\
         objectClass: domain\n\
         dc: example\n\
         \n\
         dn: uid=alice,dc=example,dc=net\n\
         objectClass: account\n\
         objectClass: posixAccount\n\
         uid: alice\n\
         cn: alice\n\
         uidNumber: 5001\n\
         gidNumber: 5001\n\
         homeDirectory: /home/alice\n\
         userPassword: {hash}"
    );
    machine.install("/etc/ldap/slapd.conf", SLAPD_CONF, 0o644);
    machine.install("/etc/ldap/people.ldif", people, 0o600);
    machine.install("/etc/nslcd.conf", NSLCD_CONF, 0o600);
    machine.run("mkdir", ["/run/directory"]);
    machine.run(
        "install",
        ["-d", "-o", "nslcd", "-g", "nslcd", "/run/nslcd"],
    );
    let slapd_conf = "/etc/ldap/slapd.conf";
    machine.run("slapadd", ["-f", slapd_conf, "-l", "/etc/ldap/people.ldif"]);
    // Both return when they are ready.
    machine.run("slapd", ["-f", slapd_conf, "-h", "ldap://127.0.0.1/"]);
    machine.run("nslcd", []);
    let alice = "uid=alice,dc=example,dc=net";
    let uri = "ldap://127.0.0.1/";
    machine.run("ldapwhoami", ["-x", "-H", uri, "-D", alice, "-w", password]);
}
