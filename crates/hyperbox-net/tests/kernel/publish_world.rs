// SPDX-License-Identifier: MIT
//! What tests of ports and rules need: networks with containers that serve, and clients in any namespace.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use hyperbox_core::seam::{
    Endpoint, NetworkDriver as _, NetworkSettings, NetworkWish, PortPublisher as _, PortRequest, PublishRequest,
    PublishedPort,
};
use hyperbox_net::{Config, Mechanisms};
use hyperbox_testkit::unique_name;
use hyperbox_types::ContainerId;

use crate::machine::{default_wish, inside, outside, request, run, subnet, wish};

/// Longer than any exchange on one machine; only a dropped packet uses it up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// Long enough for a packet that passes, on a machine that is busy; what is dropped costs a test this long.
pub(crate) const SILENCE: Duration = Duration::from_millis(700);

pub(crate) const HOST4: &str = "203.0.113.1";
pub(crate) const FAR4: &str = "203.0.113.2";
pub(crate) const HOST6: &str = "2001:db8:113::1";
pub(crate) const FAR6: &str = "2001:db8:113::2";

/// The mechanisms of one daemon, and a network with both families.
pub(crate) struct World {
    pub(crate) mechanisms: Mechanisms,
    pub(crate) network: NetworkSettings,
    pub(crate) config: Config,
    run_dir: Arc<tempfile::TempDir>,
}

/// A container: a namespace on a network.
pub(crate) struct Container {
    pub(crate) id: ContainerId,
    pub(crate) name: String,
    pub(crate) network: NetworkSettings,
    pub(crate) namespace: OwnedFd,
    pub(crate) endpoint: Endpoint,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::of("default").await
    }

    pub(crate) async fn of(instance: &str) -> Self {
        Self::beside(instance, Arc::new(tempfile::tempdir().unwrap()), |_| {}).await
    }

    /// One that speaks to firewalld by this message bus.
    pub(crate) async fn with_bus(system_bus: PathBuf) -> Self {
        let run_dir = Arc::new(tempfile::tempdir().unwrap());
        Self::beside("default", run_dir, |config| config.system_bus = system_bus).await
    }

    /// One whose packets are larger than usual.
    pub(crate) async fn with_big_packets() -> Self {
        let run_dir = Arc::new(tempfile::tempdir().unwrap());
        Self::beside("default", run_dir, |config| config.big_packets = true).await
    }

    /// Another instance on the same machine.
    pub(crate) async fn another(&self, instance: &str) -> Self {
        Self::beside(instance, Arc::clone(&self.run_dir), |_| {}).await
    }

    async fn beside(instance: &str, run_dir: Arc<tempfile::TempDir>, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config {
            instance: instance.to_owned(),
            run_dir: run_dir.path().to_owned(),
            system_bus: run_dir.path().join("no-bus"),
            ..Config::default()
        };
        change(&mut config);
        let mechanisms = Mechanisms::open(config.clone()).unwrap();
        let second = if instance == "default" { 1 } else { 2 };
        let mut both = default_wish();
        both.ipv6 = true;
        both.pools.push(subnet(&format!("fd00:30:{second}::/64")));
        let network = mechanisms.bridge.choose(both, &[]).await.unwrap();
        mechanisms.bridge.ensure(&network).await.unwrap();
        Self {
            mechanisms,
            network,
            config,
            run_dir,
        }
    }

    /// Makes one more network, with options.
    pub(crate) async fn network(
        &self,
        name: &str,
        options: &[(&str, &str)],
        change: impl FnOnce(&mut NetworkWish),
    ) -> NetworkSettings {
        let mut wish = wish(name);
        let options = options
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        wish.options = options.collect();
        change(&mut wish);
        let chosen = self
            .mechanisms
            .bridge
            .choose(wish, std::slice::from_ref(&self.network))
            .await;
        let network = chosen.unwrap();
        self.mechanisms.bridge.ensure(&network).await.unwrap();
        network
    }

    pub(crate) async fn container(&self) -> Container {
        self.container_in(&self.network).await
    }

    pub(crate) async fn container_in(&self, network: &NetworkSettings) -> Container {
        let request = request(network);
        let id = request.container.clone();
        let sandbox = self.mechanisms.bridge.open(request).await.unwrap();
        Container {
            id,
            name: unique_name("web"),
            network: network.clone(),
            namespace: sandbox.namespace,
            endpoint: sandbox.endpoint,
        }
    }

    pub(crate) async fn publish(&self, container: &Container, ports: Vec<PortRequest>) -> Vec<PublishedPort> {
        let request = container.wish(ports);
        self.mechanisms.ports.publish(request).await.unwrap()
    }

    /// Publishes one port everywhere under a free number, which it returns.
    pub(crate) async fn publish_free(&self, container: &Container, port: &str) -> u16 {
        let published = self.publish(container, vec![free(port)]).await;
        published[0].host_port
    }

    /// Removes a container and everything of it.
    pub(crate) async fn remove(&self, container: Container) {
        self.mechanisms.ports.withdraw(&container.id).await.unwrap();
        drop(container.namespace);
        let released = self.mechanisms.bridge.release(&container.id, &container.endpoint).await;
        released.unwrap();
    }
}

impl Container {
    pub(crate) fn wish(&self, ports: Vec<PortRequest>) -> PublishRequest {
        PublishRequest {
            container: self.id.clone(),
            name: self.name.clone(),
            network: self.network.clone(),
            endpoint: self.endpoint.clone(),
            ports,
        }
    }

    pub(crate) fn ipv4(&self) -> IpAddr {
        self.endpoint.ipv4.unwrap().addr().into()
    }

    pub(crate) fn ipv6(&self) -> IpAddr {
        self.endpoint.ipv6.unwrap().addr().into()
    }
}

/// A wish for a port under any number, at all addresses.
pub(crate) fn free(port: &str) -> PortRequest {
    PortRequest {
        container: port.parse().unwrap(),
        host_address: None,
        host_ports: None,
    }
}

/// A wish for a port under one number at one address.
pub(crate) fn exact(port: &str, address: &str, number: u16) -> PortRequest {
    PortRequest {
        container: port.parse().unwrap(),
        host_address: Some(address.parse().unwrap()),
        host_ports: Some((number, number)),
    }
}

/// An outside with both families and routes to containers through this machine.
pub(crate) fn outside_with_routes() -> OwnedFd {
    let namespace = outside();
    let both = |address: &'static str, link: &'static str| {
        run(
            "ip",
            &["-6", "addr", "add", &format!("{address}/64"), "dev", link, "nodad"],
        );
    };
    both(HOST6, "uplink");
    inside(&namespace, move || {
        both(FAR6, "far");
        run("ip", &["route", "add", "default", "via", HOST4]);
        run("ip", &["-6", "route", "add", "default", "via", HOST6]);
    });
    namespace
}

/// The namespace of the calling thread.
pub(crate) fn here() -> OwnedFd {
    hyperbox_sys::network_namespace::current().unwrap()
}

/// Something that serves in a namespace until it is dropped.
pub(crate) struct Server {
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end.store(true, Ordering::SeqCst);
        let joined = self.thread.take().map(JoinHandle::join);
        assert!(std::thread::panicking() || joined.is_none_or(|joined| joined.is_ok()));
    }
}

/// Serves TCP at all addresses: a line with the client's address, then everything back.
pub(crate) fn serve_streams(namespace: &OwnedFd, port: u16) -> Server {
    let listener = inside(namespace, move || {
        TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).unwrap()
    });
    listener.set_nonblocking(true).unwrap();
    let end = Arc::new(AtomicBool::new(false));
    let ended = Arc::clone(&end);
    let thread = std::thread::spawn(move || {
        let mut connections = Vec::new();
        while !ended.load(Ordering::SeqCst) {
            match listener.accept() {
                Ok((stream, peer)) => connections.push(std::thread::spawn(move || echo(stream, peer))),
                Err(_) => std::thread::park_timeout(Duration::from_millis(2)),
            }
        }
    });
    Server {
        end,
        thread: Some(thread),
    }
}

fn echo(mut stream: TcpStream, peer: SocketAddr) {
    stream.set_nonblocking(false).unwrap();
    let mut buffer = vec![0; 64 * 1024];
    // The client may go at any time.
    let mut carry = || -> std::io::Result<()> {
        writeln!(stream, "{}", peer.ip().to_canonical())?;
        loop {
            match stream.read(&mut buffer)? {
                0 => return stream.shutdown(Shutdown::Write),
                length => stream.write_all(&buffer[..length])?,
            }
        }
    };
    drop(carry());
}

/// Serves UDP at all addresses of a family: the client's address and the datagram back.
pub(crate) fn serve_datagrams(namespace: &OwnedFd, address: IpAddr, port: u16) -> Server {
    let socket = inside(namespace, move || UdpSocket::bind((address, port)).unwrap());
    socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let end = Arc::new(AtomicBool::new(false));
    let ended = Arc::clone(&end);
    let thread = std::thread::spawn(move || {
        let mut buffer = vec![0; 65535];
        while !ended.load(Ordering::SeqCst) {
            if let Ok((length, peer)) = socket.recv_from(&mut buffer) {
                let mut answer = format!("{} ", peer.ip()).into_bytes();
                answer.extend_from_slice(&buffer[..length]);
                drop(socket.send_to(&answer, peer));
            }
        }
    });
    Server {
        end,
        thread: Some(thread),
    }
}

/// Connects, and returns the address that the server saw and whether all of some bytes came back.
fn exchange(target: SocketAddr, size: usize, patience: Duration) -> std::io::Result<IpAddr> {
    let stream = TcpStream::connect_timeout(&target, patience)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut reader = stream.try_clone()?;
    let mut writer = stream;
    let data = pattern(size);
    let sent = data.clone();
    let sender = std::thread::spawn(move || {
        writer.write_all(&sent)?;
        writer.shutdown(Shutdown::Write)
    });
    let mut received = Vec::new();
    reader.read_to_end(&mut received)?;
    sender.join().unwrap()?;
    let end = received.iter().position(|byte| *byte == b'\n');
    let end = end.ok_or_else(|| std::io::Error::other("the server said nothing"))?;
    assert!(
        received[end + 1..] == data,
        "what came back is not what was sent: {} bytes",
        received.len()
    );
    let seen = String::from_utf8(received[..end].to_vec()).unwrap();
    Ok(seen.parse().unwrap())
}

/// Bytes of which no two places look alike for long.
fn pattern(size: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    let mut bytes: Vec<u8> = words.take(size.div_ceil(8)).flatten().collect();
    bytes.truncate(size);
    bytes
}

/// Asks a TCP server from a namespace (this machine's when none is given); returns the address that it saw.
pub(crate) fn ask(from: Option<&OwnedFd>, target: &str, port: u16) -> std::io::Result<IpAddr> {
    ask_much(from, target, port, 10_000)
}

/// [`ask`] with that many bytes in each direction.
pub(crate) fn ask_much(from: Option<&OwnedFd>, target: &str, port: u16, size: usize) -> std::io::Result<IpAddr> {
    let target = SocketAddr::new(target.parse().unwrap(), port);
    match from {
        Some(namespace) => inside(namespace, move || exchange(target, size, PATIENCE)),
        None => exchange(target, size, PATIENCE),
    }
}

/// Whether a TCP connection is dropped or refused.
pub(crate) fn is_closed(from: Option<&OwnedFd>, target: &str, port: u16) -> bool {
    let target = SocketAddr::new(target.parse().unwrap(), port);
    match from {
        Some(namespace) => inside(namespace, move || exchange(target, 1, SILENCE)).is_err(),
        None => exchange(target, 1, SILENCE).is_err(),
    }
}

/// Sends a datagram from a namespace (this machine's when none is given); returns the address that the server saw.
pub(crate) fn ask_datagram(from: Option<&OwnedFd>, target: &str, port: u16) -> std::io::Result<IpAddr> {
    let target = SocketAddr::new(target.parse().unwrap(), port);
    let body = move || {
        let any: IpAddr = if target.is_ipv4() { "0.0.0.0" } else { "::" }.parse().unwrap();
        let socket = UdpSocket::bind((any, 0))?;
        ask_again(&socket, target)
    };
    match from {
        Some(namespace) => inside(namespace, body),
        None => body(),
    }
}

/// Sends a datagram from a socket that may have been used before.
pub(crate) fn ask_again(socket: &UdpSocket, target: SocketAddr) -> std::io::Result<IpAddr> {
    socket.set_read_timeout(Some(SILENCE))?;
    socket.send_to(b"hello", target)?;
    let mut buffer = [0; 100];
    let (length, peer) = socket.recv_from(&mut buffer)?;
    if peer != target {
        return Err(std::io::Error::other(format!("the answer comes from {peer}")));
    }
    let text = String::from_utf8(buffer[..length].to_vec()).unwrap();
    let (seen, said) = text.split_once(' ').unwrap();
    assert_eq!(said, "hello");
    Ok(seen.parse::<IpAddr>().unwrap().to_canonical())
}
