// SPDX-License-Identifier: MIT
//! What is said when a port cannot be published: Docker's words, and who is in the way. Pure.

use std::io;
use std::net::{IpAddr, SocketAddr};

use hyperbox_core::seam::NetworkError;
use hyperbox_types::{ContainerPort, ErrorKind};
use rustix::io::Errno;

use super::holder::Process;

/// Why a number cannot be used.
#[derive(Debug)]
pub(super) enum Obstacle {
    /// A container of ours has it.
    Container { host: SocketAddr, name: String },
    /// The kernel says no.
    Kernel {
        host: SocketAddr,
        target: IpAddr,
        error: io::Error,
        process: Option<Process>,
    },
}

/// Makes the error of a port for which the last number tried met an obstacle; none was met where there was nothing to try.
pub(super) fn error(
    network: &str,
    port: ContainerPort,
    wished: Option<(u16, u16)>,
    obstacle: Option<Obstacle>,
) -> NetworkError {
    let one = wished.is_some_and(|(first, last)| first == last);
    let (message, kind) = match obstacle {
        Some(Obstacle::Container { host, name }) if one => (
            format!(
                "Bind for {}:{} failed: port is already allocated (by container {name})",
                host.ip(),
                host.port()
            ),
            ErrorKind::Conflict,
        ),
        None | Some(Obstacle::Container { .. }) => ("all ports are allocated".to_owned(), ErrorKind::Conflict),
        Some(Obstacle::Kernel {
            host,
            target,
            error,
            process,
        }) => {
            let by = process.map(|process| format!(" (by process {} {:?})", process.id, process.name));
            let message = format!(
                "failed to bind host port for {host}:{}/{}: {}{}",
                SocketAddr::new(target, port.number),
                port.protocol,
                text(&error),
                by.unwrap_or_default()
            );
            // The message tells the cause; as a source it would be told twice.
            (message, kind(&error))
        }
    };
    NetworkError {
        network: network.to_owned(),
        message,
        kind,
        source: None,
    }
}

/// The C library's text of an error in Go's lower case, which Docker's clients know.
fn text(error: &io::Error) -> String {
    match Errno::from_io_error(error) {
        Some(Errno::ADDRINUSE) => "address already in use".to_owned(),
        Some(Errno::ADDRNOTAVAIL) => "cannot assign requested address".to_owned(),
        Some(Errno::ACCESS) => "permission denied".to_owned(),
        Some(Errno::MFILE | Errno::NFILE) => "too many open files".to_owned(),
        _ => error.to_string(),
    }
}

fn kind(error: &io::Error) -> ErrorKind {
    match Errno::from_io_error(error) {
        Some(Errno::ADDRINUSE) => ErrorKind::Conflict,
        Some(Errno::ACCESS | Errno::PERM) => ErrorKind::PermissionDenied,
        Some(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM) => ErrorKind::ResourceExhausted,
        Some(Errno::AFNOSUPPORT) => ErrorKind::Unsupported,
        _ => ErrorKind::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(wished: Option<(u16, u16)>, obstacle: Option<Obstacle>) -> String {
        error("front", "80/tcp".parse().unwrap(), wished, obstacle).message
    }

    fn container(host: &str) -> Option<Obstacle> {
        Some(Obstacle::Container {
            host: host.parse().unwrap(),
            name: "web".to_owned(),
        })
    }

    #[test]
    fn texts_are_docker_s_with_the_holder_behind() {
        assert_eq!(
            message(Some((5055, 5055)), container("127.0.0.1:5055")),
            "Bind for 127.0.0.1:5055 failed: port is already allocated (by container web)"
        );
        assert_eq!(
            message(Some((7006, 7006)), container("[::]:7006")),
            "Bind for :::7006 failed: port is already allocated (by container web)"
        );
        assert_eq!(message(Some((1, 2)), container("0.0.0.0:2")), "all ports are allocated");
        assert_eq!(message(None, None), "all ports are allocated");
        let obstacle = |process| {
            Some(Obstacle::Kernel {
                host: "127.0.0.1:5055".parse().unwrap(),
                target: "172.28.0.2".parse().unwrap(),
                error: Errno::ADDRINUSE.into(),
                process,
            })
        };
        let expected = "failed to bind host port for 127.0.0.1:5055:172.28.0.2:80/tcp: address already in use";
        assert_eq!(message(Some((5055, 5055)), obstacle(None)), expected);
        let process = Process {
            id: 7,
            name: "nginx".to_owned(),
        };
        assert_eq!(
            message(Some((5055, 5055)), obstacle(Some(process))),
            format!("{expected} (by process 7 \"nginx\")")
        );
    }
}
