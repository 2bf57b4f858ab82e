// SPDX-License-Identifier: MIT
//! The suite of the seam, with the reference plugins.

use std::sync::Arc;

use hyperbox_core::seam::NetworkDriver;
use hyperbox_testkit::conformance::network::{Traits, check_with};

use crate::machine::{Machine, on_a_machine, settled};

#[test]
fn privileged_a_chain_of_reference_plugins_conforms() {
    on_a_machine(|| async {
        let machine = Machine::new();
        let more = r#", {"type": "portmap", "capabilities": {"portMappings": true}}, {"type": "firewall"},
            {"type": "tuning", "sysctl": {"net.ipv4.conf.IFNAME.arp_filter": "1"}}"#;
        let list = machine.bridge_list("conform", "198.18.0.0/29", more);
        let traits = Traits {
            manages_addresses: true,
            chooses_subnets: true,
            options: [("conflist".to_owned(), list)].into(),
            ..Traits::default()
        };
        let fresh = || Arc::new(machine.driver()) as Arc<dyn NetworkDriver>;
        check_with(fresh, &traits).await;
        settled(&machine).await;
        assert_eq!(machine.addresses("conform"), Vec::<String>::new());
    });
}
