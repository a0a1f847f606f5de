//! Real services, the examples and guides, and what `make install` and the packages do.

mod ansible;
mod demo;
mod examples;
mod examples_openssh;
mod fail2ban;
mod ftp;
mod install;
mod mail;
mod moving;
mod packaging;
mod selinux;
mod sshd;
mod sshd_google;
mod vpn;
mod web;
