// SPDX-License-Identifier: MIT
//! TLS: a `docker-registry` with a certificate of its own authority, which is trusted only when the operator says so.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use hyperbox_core::seam::{Registry as _, RegistryFault};
use hyperbox_registry::{Config, DistributionClient};
use tempfile::TempDir;

use crate::support::{everything, impatient, reference};

struct TlsRegistry {
    child: Child,
    host: String,
    directory: TempDir,
}

impl TlsRegistry {
    fn start() -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let path = directory.path();
        certificates(path);
        let text = |file: &str| path.join(file).display().to_string();
        let config = format!(
            "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp:\n  addr: 127.0.0.1:0\n  \
             secret: x\n  tls: {{certificate: {}, key: {}}}\n",
            text("storage"),
            text("leaf.pem"),
            text("leaf.key")
        );
        fs::write(path.join("config.yml"), config).expect("the registry's configuration");
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "docker-registry", "serve"])
            .arg(path.join("config.yml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("docker-registry starts (packages docker-registry and util-linux)");
        let mut log = BufReader::new(child.stderr.take().expect("a pipe"));
        let mut line = String::new();
        let host = loop {
            line.clear();
            let length = log.read_line(&mut line).expect("the registry's log");
            assert_ne!(length, 0, "docker-registry ended before it listened");
            if let Some(rest) = line.split("listening on ").nth(1) {
                break rest.split([',', '"']).next().unwrap_or_default().to_owned();
            }
        };
        // The pipe must not fill; the thread ends with the registry.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Self { child, host, directory }
    }

    /// Makes a directory like `/etc/docker/certs.d` that trusts this registry's authority.
    fn trust(&self) -> std::path::PathBuf {
        let certificates = self.directory.path().join("certs.d");
        let own = certificates.join(&self.host);
        fs::create_dir_all(&own).expect("a directory");
        fs::copy(self.directory.path().join("ca.pem"), own.join("ca.crt")).expect("a copy");
        certificates
    }
}

impl Drop for TlsRegistry {
    fn drop(&mut self) {
        // Both fail only when it has ended by itself.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Makes an authority and a certificate for 127.0.0.1.
fn certificates(directory: &Path) {
    let openssl = |arguments: &str| {
        let output = Command::new("openssl")
            .args(arguments.split(' '))
            .current_dir(directory)
            .output()
            .expect("openssl runs (package openssl)");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let key = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1";
    openssl(&format!("{key} -subj /CN=authority -keyout ca.key -out ca.pem"));
    openssl(&format!(
        "{key} -subj /CN=leaf -keyout leaf.key -out leaf.pem -CA ca.pem -CAkey ca.key \
         -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE"
    ));
}

async fn fault(config: Config, host: &str) -> (RegistryFault, String) {
    let client = DistributionClient::new(config).expect("a valid configuration");
    let outcome = client.manifest(&reference(host, "no/such:1"), None).await;
    let error = outcome.expect_err("there is no image");
    (error.fault, everything(&error))
}

#[tokio::test]
async fn certificates_are_verified_unless_the_operator_says_otherwise() {
    let registry = TlsRegistry::start();
    let host = &registry.host;
    let (strict, told) = fault(impatient(), host).await;
    assert_eq!(strict, RegistryFault::Unavailable, "{told}");
    assert!(told.contains("certificate"), "{told}");
    let mut trusting = impatient();
    trusting.certificates_dir = Some(registry.trust());
    let (trusted, told) = fault(trusting, host).await;
    assert_eq!(trusted, RegistryFault::NotFound, "{told}");
    let mut careless = impatient();
    careless.insecure_hosts.insert(host.clone());
    let (insecure, told) = fault(careless, host).await;
    assert_eq!(insecure, RegistryFault::NotFound, "{told}");
}
