// SPDX-License-Identifier: MIT
//! All plugins of a list, one after the other (specification, section 3).
//!
//! ADD, whose caller notes every answer, and CHECK stop at the first failure. DEL goes on after one: what the others have made is better gone, and the failure is told at
//! the end. Each future runs to its end or kills the plugin that is running.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyperbox_core::seam::NetworkError;
use hyperbox_types::{ContainerId, ErrorKind};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::failure::{of_plugin, refused};
use crate::invocation::{self, Attachment, Verb, environment, input};
use crate::list::{List, Plugin};
use crate::namespace::Namespace;
use crate::plugin::{self, NoOutput};
use crate::result::Success;
use crate::stand_in;

/// A list that can be run.
#[derive(Debug, Clone)]
pub(crate) struct Chain {
    /// Name of the network; for messages.
    pub(crate) network: String,
    pub(crate) list: Arc<List>,
    pub(crate) plugin_dirs: Vec<PathBuf>,
    pub(crate) search_path: String,
    pub(crate) timeout: Duration,
}

/// Where DEL looks for what ADD has made.
#[derive(Debug)]
pub(crate) enum Place<'a> {
    /// In the namespace that ADD was called for.
    Living(&'a Namespace),
    /// In one that stands in for it, for plugins that need it; all others are told that there is none.
    StandIn(&'a Namespace),
    /// Nowhere any more.
    Gone,
}

impl Place<'_> {
    fn shown_to(&self, plugin: &Plugin) -> Option<String> {
        match self {
            Self::Living(namespace) => Some(namespace.path()),
            Self::StandIn(namespace) => stand_in::is_needed_by(plugin).then(|| namespace.path()),
            Self::Gone => None,
        }
    }
}

/// What is the same for all plugins of one call.
#[derive(Debug, Clone, Copy)]
struct Call<'a> {
    verb: Verb,
    attachment: Option<&'a Attachment>,
    namespace: Option<&'a str>,
}

#[derive(Deserialize)]
struct Supported {
    #[serde(rename = "supportedVersions")]
    versions: Vec<String>,
}

impl Chain {
    /// Runs ADD of one plugin, which is told what the one before it answered. After a failure [`Self::delete`] is to be called.
    pub(crate) async fn add(
        &self,
        plugin: &Plugin,
        attachment: &Attachment,
        namespace: &str,
        last: Option<&Success>,
    ) -> Result<Success, NetworkError> {
        let call = Call {
            verb: Verb::Add,
            attachment: Some(attachment),
            namespace: Some(namespace),
        };
        let previous = last.map(|result| result.for_plugin(self.list.version, None));
        let fields = input(&self.list, plugin, Some(&attachment.capabilities), previous);
        self.result_of(plugin, call, fields).await
    }

    /// Returns whether DEL needs something in place of a namespace that is gone.
    pub(crate) fn needs_stand_in(&self) -> bool {
        self.list.plugins.iter().any(stand_in::is_needed_by)
    }

    /// Removes the attachment; that it is not there is success.
    pub(crate) async fn delete(&self, attachment: &Attachment, place: &Place<'_>) -> Result<(), NetworkError> {
        let mut failure = None;
        for plugin in self.list.plugins.iter().rev() {
            let path = place.shown_to(plugin);
            let call = Call {
                verb: Verb::Delete,
                attachment: Some(attachment),
                namespace: path.as_deref(),
            };
            let previous = self.previous(attachment, path.as_deref());
            let fields = input(&self.list, plugin, Some(&attachment.capabilities), previous);
            if let Err(error) = self.call(plugin, call, fields).await {
                tracing::warn!(network = %self.network, plugin = %plugin.kind, container = %attachment.container, %error, "a plugin cannot remove an attachment");
                failure = failure.or(Some(error));
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// Asks whether the attachment is still as it was made. Lists that do not want it, and versions that do not know it, agree.
    pub(crate) async fn check(&self, attachment: &Attachment, namespace: &str) -> Result<(), NetworkError> {
        if !self.list.version.has_check() || self.list.disable_check {
            return Ok(());
        }
        let call = Call {
            verb: Verb::Check,
            attachment: Some(attachment),
            namespace: Some(namespace),
        };
        let previous = self.previous(attachment, Some(namespace));
        for plugin in &self.list.plugins {
            let fields = input(&self.list, plugin, Some(&attachment.capabilities), previous.clone());
            self.call(plugin, call, fields).await?;
        }
        Ok(())
    }

    /// Asks whether the plugins can make attachments now; only newer ones know that question.
    pub(crate) async fn status(&self) -> Result<(), NetworkError> {
        if !self.list.version.has_gc() {
            return Ok(());
        }
        for plugin in &self.list.plugins {
            let call = Call::without_attachment(Verb::Status);
            self.call(plugin, call, input(&self.list, plugin, None, None)).await?;
        }
        Ok(())
    }

    /// Tells the plugins which attachments live, so that they remove all others; only newer ones know that.
    pub(crate) async fn collect_garbage(&self, valid: &[(ContainerId, String)]) -> Result<(), NetworkError> {
        if !self.list.version.has_gc() || self.list.disable_gc {
            return Ok(());
        }
        let mut failure = None;
        for plugin in &self.list.plugins {
            let fields = invocation::with_valid_attachments(input(&self.list, plugin, None, None), valid);
            let call = Call::without_attachment(Verb::CollectGarbage);
            failure = failure.or(self.call(plugin, call, fields).await.err());
        }
        failure.map_or(Ok(()), Err)
    }

    /// Checks that all programs are there and understand the list's version.
    pub(crate) async fn validate(&self) -> Result<(), NetworkError> {
        for program in self.list.programs() {
            self.find(program)?;
        }
        for plugin in &self.list.plugins {
            let fields = Map::from_iter([("cniVersion".to_owned(), Value::from(self.list.version.as_str()))]);
            let printed = self
                .call(plugin, Call::without_attachment(Verb::Version), fields)
                .await?;
            let supported: Supported = serde_json::from_slice(&printed).map_err(|error| {
                let message = format!(
                    "plugin {:?} does not say which versions it supports: {error}",
                    plugin.kind
                );
                refused(&self.network, ErrorKind::InvalidArgument, message)
            })?;
            if !supported
                .versions
                .iter()
                .any(|version| version == self.list.version.as_str())
            {
                let (kind, version) = (&plugin.kind, self.list.version);
                let message = format!("plugin {kind:?} does not support config version \"{version}\"");
                return Err(refused(&self.network, ErrorKind::InvalidArgument, message));
            }
        }
        Ok(())
    }

    fn previous(&self, attachment: &Attachment, namespace: Option<&str>) -> Option<Value> {
        // Before 0.4.0 there is no result in a DEL.
        let result = attachment.result.clone().filter(|_| self.list.version.has_check())?;
        // It was checked before it was kept; a record that is damaged gives none.
        let result = Success::of(result).ok()?;
        let paths = namespace.map(|now| (attachment.namespace.as_str(), now));
        Some(result.for_plugin(self.list.version, paths))
    }

    async fn result_of(
        &self,
        plugin: &Plugin,
        call: Call<'_>,
        fields: Map<String, Value>,
    ) -> Result<Success, NetworkError> {
        let printed = self.call(plugin, call, fields).await?;
        Success::parse(&printed).map_err(|error| {
            let message = format!(
                "plugin {:?} answered wrongly ({}): {error}",
                plugin.kind,
                call.verb.as_str()
            );
            refused(&self.network, ErrorKind::Internal, message)
        })
    }

    /// Runs one plugin and returns what it printed.
    async fn call(&self, plugin: &Plugin, call: Call<'_>, fields: Map<String, Value>) -> Result<Vec<u8>, NetworkError> {
        let program = self.find(&plugin.kind)?;
        let environment = environment(
            call.verb,
            call.attachment,
            call.namespace,
            &self.plugin_dirs,
            &self.search_path,
        );
        let fields = Value::Object(fields).to_string();
        let output = plugin::run(&program, environment, fields.as_bytes(), self.timeout).await;
        let output = output.map_err(|error| self.no_output(&plugin.kind, call.verb, error))?;
        if output.succeeded {
            return Ok(output.stdout);
        }
        let (kind, verb) = (&plugin.kind, call.verb.as_str());
        Err(of_plugin(&self.network, kind, verb, &output.stdout, &output.stderr))
    }

    fn no_output(&self, plugin: &str, verb: Verb, error: NoOutput) -> NetworkError {
        let message = format!("plugin {plugin:?} failed ({}): {error}", verb.as_str());
        let kind = match error {
            NoOutput::Timeout(_) => ErrorKind::Unavailable,
            NoOutput::Start(_) | NoOutput::Read(_) | NoOutput::TooMuch => ErrorKind::Internal,
        };
        let source = match error {
            NoOutput::Start(source) | NoOutput::Read(source) => Some(source),
            NoOutput::TooMuch | NoOutput::Timeout(_) => None,
        };
        NetworkError {
            source,
            ..refused(&self.network, kind, message)
        }
    }

    fn find(&self, program: &str) -> Result<PathBuf, NetworkError> {
        invocation::find(program, &self.plugin_dirs).ok_or_else(|| {
            let directories: Vec<_> = self.plugin_dirs.iter().map(|path| path.to_string_lossy()).collect();
            let message = format!("failed to find plugin {program:?} in path [{}]", directories.join(" "));
            refused(&self.network, ErrorKind::InvalidArgument, message)
        })
    }
}

impl Call<'_> {
    fn without_attachment(verb: Verb) -> Self {
        Self {
            verb,
            attachment: None,
            namespace: None,
        }
    }
}
