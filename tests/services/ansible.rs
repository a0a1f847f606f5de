//! docs/ansible.md, run by the real ansible-playbook.

use std::fs;

use test_support::machine::Machine;
use test_support::oathtool::SECRET;
use test_support::tool;

#[test]
#[ignore = "needs root, ansible-core: run make test"]
fn the_tasks_for_ansible_enrol_and_change_nothing_the_second_time() {
    test_support::program("ansible-playbook", "ansible-core");
    let guide = fs::read_to_string(test_support::root().join("docs/ansible.md")).unwrap();
    let (_, playbook) = guide.split_once("```yaml\n").expect("a playbook");
    let (playbook, _) = playbook.split_once("```").expect("its end");
    let machine = Machine::start();
    machine.add_user("alice", "correct horse");
    machine.install("/root/playbook.yml", playbook, 0o600);
    let wanted =
        format!("tokens: [{{user: alice, secret: \"{SECRET}\"}}]\nwithout_token: [bob, carol]\n");
    machine.install("/root/wanted.yml", wanted, 0o600);
    machine.install(
        "/etc/users.oath",
        format!("HOTP\tbob\t-\t{SECRET}\n"),
        0o600,
    );
    let su = "@include common-auth\n@include common-account\n";
    machine.install("/etc/pam.d/su", su, 0o644);
    let run = || {
        tool::type_in(
            &machine,
            "ansible-playbook -i localhost, -c local -e @/root/wanted.yml /root/playbook.yml",
        )
    };

    let first = run();
    assert!(
        first.contains("changed=3 ") && first.contains("failed=0"),
        "{first}"
    );
    let usersfile = machine.read("/etc/users.oath");
    assert_eq!(usersfile, format!("HOTP/T30/6\talice\t-\t{SECRET}\n"));
    let second = run();
    assert!(
        second.contains("changed=0 ") && second.contains("failed=0"),
        "{second}"
    );
    assert_eq!(machine.read("/etc/users.oath"), usersfile);
    assert!(!first.contains(SECRET) && !second.contains(SECRET));
    let line = "auth required pam_oath.so";
    assert_eq!(machine.read("/etc/pam.d/su").matches(line).count(), 1);
}
