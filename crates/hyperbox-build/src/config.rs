// SPDX-License-Identifier: MIT
//! What instructions that make no layer do to an image's configuration, and what its history says of them. Pure.
//!
//! Values arrive evaluated. The texts of the history are BuildKit's, which are Go's ways to print its structures.

mod go;

use hyperbox_core::Result;
use hyperbox_core::container::{HealthCheck, HealthTest};
use hyperbox_core::image::{ImageConfig, change};
use hyperbox_dockerfile::{CommandLine, Healthcheck};

/// Where programs are looked for when nothing else is said (BuildKit's `system.DefaultPathEnv`).
pub(crate) const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// An image in the making, without its layers.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct ImageState {
    /// Defaults for containers.
    pub(crate) config: ImageConfig,
    /// Who made it.
    pub(crate) author: String,
    /// Whether its command is a text for the shell.
    pub(crate) command_is_shell: bool,
    /// Whether this stage has said what the command is: then an entrypoint does not take it back.
    pub(crate) command_given: bool,
}

impl ImageState {
    /// What `FROM scratch` begins with.
    pub(crate) fn scratch() -> Self {
        Self {
            config: ImageConfig {
                env: vec![DEFAULT_PATH.to_owned()],
                working_dir: "/".to_owned(),
                ..ImageConfig::default()
            },
            ..Self::default()
        }
    }

    /// CMD; returns what the history says.
    pub(crate) fn command(&mut self, line: CommandLine) -> String {
        // BuildKit says so of every CMD (`ArgsEscaped`), whichever form it has.
        self.command_is_shell = true;
        self.config.command = change::words(line, &self.config.shell);
        self.command_given = true;
        format!("CMD {}", go::quoted_list(&self.config.command))
    }

    /// ENTRYPOINT; returns what the history says.
    pub(crate) fn entrypoint(&mut self, line: CommandLine) -> String {
        self.config.entrypoint = change::words(line, &self.config.shell);
        if !self.command_given {
            self.config.command.clear();
        }
        format!("ENTRYPOINT {}", go::quoted_list(&self.config.entrypoint))
    }

    /// ENV; returns what the history says.
    pub(crate) fn environment(&mut self, pairs: &[(String, String)]) -> String {
        for (name, value) in pairs {
            change::set_variable(&mut self.config.env, name, value);
        }
        format!("ENV {}", joined(pairs))
    }

    /// LABEL; returns what the history says.
    pub(crate) fn label(&mut self, pairs: &[(String, String)]) -> String {
        self.config.labels.extend(pairs.iter().cloned());
        format!("LABEL {}", joined(pairs))
    }

    /// EXPOSE; returns what the history says.
    ///
    /// # Errors
    /// BuildKit's words for what is no port.
    pub(crate) fn expose(&mut self, texts: &[String]) -> std::result::Result<String, String> {
        let mut named = ImageConfig::default();
        for text in texts {
            change::expose(&mut named, text).map_err(|error| not_a_port(text, error.message()))?;
        }
        named.exposed_ports.sort();
        let told = format!("EXPOSE {}", go::plain_list(&named.exposed_ports));
        let known = &mut self.config.exposed_ports;
        named.exposed_ports.retain(|port| !known.contains(port));
        known.extend(named.exposed_ports);
        Ok(told)
    }

    /// VOLUME; returns what the history says.
    pub(crate) fn volume(&mut self, paths: &[String]) -> String {
        for path in paths {
            if !self.config.volumes.contains(path) {
                self.config.volumes.push(path.clone());
            }
        }
        format!("VOLUME {}", go::plain_list(paths))
    }

    /// HEALTHCHECK; returns what the history says.
    ///
    /// # Errors
    /// `InvalidArgument` for malformed times and counts.
    pub(crate) fn health(&mut self, check: Healthcheck) -> Result<String> {
        let check = change::health_check(check)?;
        let told = health_text(&check);
        self.config.health = Some(check);
        Ok(told)
    }
}

/// BuildKit begins with a small letter what the engine begins with a capital one, and says of which text a protocol is.
fn not_a_port(text: &str, message: &str) -> String {
    let mut letters = message.chars();
    let small: String = letters
        .next()
        .into_iter()
        .flat_map(char::to_lowercase)
        .chain(letters)
        .collect();
    if small.starts_with("invalid proto") {
        return format!("invalid port: {text:?}: {small}");
    }
    small
}

fn joined(pairs: &[(String, String)]) -> String {
    let shown: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    shown.join(" ")
}

fn health_text(check: &HealthCheck) -> String {
    let test = match &check.test {
        HealthTest::Inherit => Vec::new(),
        HealthTest::Disabled => vec!["NONE".to_owned()],
        HealthTest::Command(words) => [&["CMD".to_owned()], words.as_slice()].concat(),
        HealthTest::Shell(text) => vec!["CMD-SHELL".to_owned(), text.clone()],
        HealthTest::Words(words) => words.clone(),
    };
    let time = |time: Option<std::time::Duration>| go::quoted(&go::duration(time.unwrap_or_default()));
    format!(
        "HEALTHCHECK &{{{} {} {} {} {} {}}}",
        go::quoted_list(&test),
        time(check.interval),
        time(check.timeout),
        time(check.start_period),
        time(check.start_interval),
        go::quoted_rune(check.retries.unwrap_or_default()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn histories_are_buildkits() {
        let mut image = ImageState::default();
        assert_eq!(
            image.command(CommandLine::Shell("echo \"hi\"".to_owned())),
            r#"CMD ["/bin/sh" "-c" "echo \"hi\""]"#
        );
        assert!(image.command_is_shell);
        assert_eq!(
            image.entrypoint(CommandLine::Exec(words("/e x"))),
            r#"ENTRYPOINT ["/e" "x"]"#
        );
        assert_eq!(image.config.command.len(), 3, "a command that was given stays");
        assert_eq!(
            image.expose(&words("80 90-91/udp")).unwrap(),
            "EXPOSE [80/tcp 90/udp 91/udp]"
        );
        assert_eq!(image.volume(&words("/a /b")), "VOLUME [/a /b]");
        let pairs = [("a".to_owned(), "b c".to_owned()), ("d".to_owned(), String::new())];
        assert_eq!(image.environment(&pairs), "ENV a=b c d=");
        assert_eq!(image.label(&pairs), "LABEL a=b c d=");
        let check = Healthcheck::Command {
            command: CommandLine::Shell("curl x".to_owned()),
            interval: Some("1m30s".to_owned()),
            timeout: None,
            start_period: Some("1500ms".to_owned()),
            start_interval: None,
            retries: Some("3".to_owned()),
        };
        assert_eq!(
            image.health(check).unwrap(),
            r#"HEALTHCHECK &{["CMD-SHELL" "curl x"] "1m30s" "0s" "1.5s" "0s" '\x03'}"#
        );
        assert_eq!(
            image.health(Healthcheck::None).unwrap(),
            r#"HEALTHCHECK &{["NONE"] "0s" "0s" "0s" "0s" '\x00'}"#
        );
    }

    #[test]
    fn an_entrypoint_takes_an_inherited_command_back() {
        let mut image = ImageState::default();
        image.config.command = words("sh");
        image.entrypoint(CommandLine::Exec(words("/e")));
        assert!(image.config.command.is_empty());
    }
}
