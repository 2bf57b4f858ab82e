// SPDX-License-Identifier: MIT
//! nftables by nfnetlink: one table for each instance, whose rules do not grow with networks or containers.
//!
//! ```text
//! table ip hyperbox {
//!   set bridges { type ifname; }       the instance's bridges
//!   set masquerade { type ifname; }    those whose packets leave with the machine's address
//!   chain postrouting { type nat hook postrouting priority srcnat; policy accept;
//!     iifname @masquerade oifname != @bridges masquerade }
//!   chain forward { type filter hook forward priority filter; policy accept;
//!     iifname @bridges accept
//!     oifname @bridges ct state established,related accept }
//! }
//! ```
//! A network is one element of each set. `iifname` in postrouting needs Linux 5.7. Nothing is dropped here.
//!
//! # Coexistence
//! An accept ends the evaluation of its own base chain only: a drop in any other table's forward chain still wins. Docker sets the
//! policy of `ip filter FORWARD` to drop and offers `DOCKER-USER` for exceptions; `docker_user` adds ours there. Other firewalls
//! (firewalld, ufw, the legacy iptables interface) are not touched. With `bridge-nf-call-iptables`, packets between two containers of
//! one bridge pass these chains too; `iifname` is the bridge then, so they are accepted and not masqueraded.

mod docker_user;
mod expression;
mod message;
mod table;

pub(crate) use docker_user::{accept_in_docker_user, forget_in_docker_user};
pub(crate) use table::{Bridge, Table};
