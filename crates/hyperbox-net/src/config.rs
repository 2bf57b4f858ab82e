// SPDX-License-Identifier: MIT
//! What the drivers are told by whoever wires them.

use std::path::PathBuf;
use std::time::Duration;

use ipnet::{IpNet, Ipv4Net};
use serde::{Deserialize, Serialize};

/// A range of addresses from which networks get their subnets: one of Docker's `default-address-pools`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pool {
    /// The range.
    pub base: IpNet,
    /// Prefix length of the subnets cut from it.
    pub size: u8,
}

/// Configuration of the drivers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Tells the daemons of one machine apart: `default`, or lower-case letters, digits and dashes. The default bridge and the nftables
    /// table are named after it.
    pub instance: String,
    /// Where the daemons of one machine tell each other which subnet they are about to use: the same directory for all of them,
    /// whatever their other directories are. Made if it is missing.
    pub run_dir: PathBuf,
    /// Where subnets come from, in this order. Without an IPv6 pool among them, IPv6 subnets are /64s of a unique local range made
    /// from the machine's id (RFC 4193).
    pub default_pools: Vec<Pool>,
    /// The socket of the machine's message bus, by which firewalld is asked to let containers' packets pass. That there is none is no error.
    pub system_bus: PathBuf,
    /// Maximum transmission unit of new networks.
    pub mtu: u32,
    /// Whether sockets of this machine and of containers send packets beyond 64 KiB to each other. It changes the loopback interface of the
    /// machine and is for machines without another engine's containers.
    pub big_packets: bool,
    /// How many sandboxes are made ahead at most for a network in use, so that a container gets its network at once. Each takes about
    /// 300 KiB of the kernel's memory; none with 0.
    pub spares: usize,
    /// How long a network must be without use until they go.
    pub spares_idle: Duration,
}

impl Config {
    /// Name of the instance whose bridge and table have no suffix.
    pub const DEFAULT_INSTANCE: &str = "default";

    /// Returns the pools used where nothing else is configured: room for more than eight thousand networks.
    ///
    /// They stay clear of Docker's (172.17–29.0.0/16), Podman's (10.88.0.0/16) and the usual home networks as long as there is room;
    /// whatever the machine does use is skipped when a subnet is chosen.
    pub fn standard_pools() -> Vec<Pool> {
        let pool = |address: [u8; 4], prefix_length, size| Pool {
            base: Ipv4Net::new_assert(address.into(), prefix_length).into(),
            size,
        };
        vec![
            pool([172, 30, 0, 0], 15, 16),
            pool([10, 88, 0, 0], 14, 20),
            pool([10, 192, 0, 0], 11, 24),
            pool([192, 168, 128, 0], 17, 24),
        ]
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            instance: Self::DEFAULT_INSTANCE.to_owned(),
            run_dir: PathBuf::from("/run/hyperbox"),
            default_pools: Self::standard_pools(),
            system_bus: PathBuf::from("/run/dbus/system_bus_socket"),
            mtu: 1500,
            big_packets: false,
            spares: 8,
            spares_idle: Duration::from_secs(60),
        }
    }
}
