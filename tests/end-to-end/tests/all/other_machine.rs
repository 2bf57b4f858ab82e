// SPDX-License-Identifier: MIT
//! A second machine: a network namespace with a cable to the one that the daemon lives in.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use hyperbox_testkit::environment::{Output, PrivateNetwork, TestEnvironment};

/// Addresses of the daemon's machine on the cable.
pub(crate) const NEAR: &str = "192.0.2.1";
pub(crate) const NEAR_IPV6: &str = "2001:db8:7::1";
/// Address of the other machine.
pub(crate) const FAR: &str = "192.0.2.2";

const PATIENCE: Duration = Duration::from_secs(10);

/// The other machine.
#[derive(Debug)]
pub(crate) struct OtherMachine {
    pub(crate) network: PrivateNetwork,
}

impl OtherMachine {
    /// Makes the machine and plugs the cable in. Its default route is the daemon's machine.
    pub(crate) fn connected_to(environment: &TestEnvironment) -> Self {
        let network = PrivateNetwork::new();
        let (near, far) = (environment.network().holder(), network.holder());
        let cable = format!("link add near type veth peer name far netns {far}");
        for (pid, line) in [
            (near, cable.as_str()),
            (near, &format!("addr add {NEAR}/24 dev near")),
            (near, &format!("-6 addr add {NEAR_IPV6}/64 dev near nodad")),
            (near, "link set near up"),
            (far, &format!("addr add {FAR}/24 dev far")),
            (far, "-6 addr add 2001:db8:7::2/64 dev far nodad"),
            (far, "link set far up"),
            (far, &format!("route add default via {NEAR}")),
            (far, &format!("-6 route add default via {NEAR_IPV6}")),
        ] {
            ip(environment, pid, line);
        }
        Self { network }
    }

    /// Pulls the cable, so that nothing of it is left on the daemon's machine.
    pub(crate) fn disconnect(self, environment: &TestEnvironment) {
        ip(environment, environment.network().holder(), "link del near");
    }
}

fn ip(environment: &TestEnvironment, pid: u32, line: &str) {
    let mut command = environment.command(Path::new("nsenter"));
    command.arg(format!("--net=/proc/{pid}/ns/net")).arg("ip");
    Output::of(command.args(line.split(' '))).succeeds();
}

/// Fetches what a web server answers to `/PATH`, from the namespace of the calling thread.
pub(crate) fn fetch(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("GET /{path} HTTP/1.0\r\n\r\n").as_bytes())?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let body = text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    body.ok_or_else(|| io::Error::other(format!("no answer: {text:?}")))
}
