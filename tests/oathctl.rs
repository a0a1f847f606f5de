//! `oathctl` as a person or a script runs it.

mod support;

#[path = "support/oathctl.rs"]
mod oathctl;

use oathctl::Tool;

const ALICE: &str = "HOTP/T30\talice\t-\t3132333435363738393031323334353637383930\n";

#[test]
fn the_usersfile_is_the_one_that_the_pam_configuration_names() {
    let tool = Tool::new().usersfile(ALICE);
    assert_eq!(tool.run(["list", "--json"]).json()[0]["user"], "alice");
}

#[test]
fn of_several_usersfiles_one_must_be_named() {
    let tool = Tool::new().pam_file("su", "auth required pam_oath.so usersfile=/etc/other\n");
    let said = tool.run(["list"]).fails(2);
    assert!(
        said.contains("/etc/other") && said.contains("--usersfile"),
        "{said}"
    );
}
