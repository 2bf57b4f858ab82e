// SPDX-License-Identifier: MIT
//! The vertices of a build: who is told what of them.

use hyperbox_core::time::Timestamp;
use hyperbox_dockerfile::Lines;
use hyperbox_dockerfile::check::Finding;
use hyperbox_types::Digest;

use crate::event::{Vertex, Warning};
use crate::key::KeyWriter;
use crate::plan::PlannedStep;
use crate::{BuildEvent, EventSender, StepReporter};

/// Tells of all vertices of a build.
#[derive(Debug, Clone)]
pub(crate) struct Vertices {
    events: EventSender,
    /// Sets the vertices of this build apart from those of others.
    build: u64,
    file: String,
    labels: Vec<Option<String>>,
}

/// A vertex that has begun and whose end is told, also when nobody says how it ended: then it was stopped.
#[derive(Debug)]
pub(crate) struct Watched {
    vertex: Vertex,
    events: EventSender,
    ended: bool,
}

impl Vertices {
    pub(crate) fn new(events: EventSender, build: u64, file: &str) -> Self {
        Self {
            events,
            build,
            file: file.to_owned(),
            labels: Vec::new(),
        }
    }

    /// Says what stages are called.
    pub(crate) fn set_labels(&mut self, labels: Vec<Option<String>>) {
        self.labels = labels;
    }

    pub(crate) fn events(&self) -> &EventSender {
        &self.events
    }

    fn digest(&self, name: &str, place: Option<(usize, usize)>) -> Digest {
        let mut writer = KeyWriter::new("vertex");
        writer.number(self.build);
        writer.text(name);
        if let Some((stage, position)) = place {
            writer.count(stage);
            writer.count(position);
        }
        writer.finish()
    }

    fn of_step(&self, stage: usize, position: usize, step: &PlannedStep) -> Vertex {
        Vertex {
            digest: self.digest(&step.name, Some((stage, position))),
            name: step.name.clone(),
            stage: self.labels.get(stage).cloned().flatten(),
            inputs: Vec::new(),
            started: None,
            completed: None,
            cached: false,
            error: None,
            lines: Some(step.lines),
        }
    }

    /// Tells which steps there will be.
    pub(crate) fn plan_steps(&self, stage: usize, steps: &[PlannedStep]) {
        for (position, step) in steps.iter().enumerate() {
            self.events
                .send(BuildEvent::Vertex(self.of_step(stage, position, step)));
        }
    }

    /// Begins a step.
    pub(crate) fn begin_step(
        &self,
        (stage, position): (usize, usize),
        step: &PlannedStep,
        input: Option<&Digest>,
    ) -> Watched {
        let mut vertex = self.of_step(stage, position, step);
        vertex.inputs.extend(input.cloned());
        self.begin(vertex)
    }

    /// Begins something that the builder does for itself, or the FROM of a stage.
    pub(crate) fn begin_internal(&self, name: &str, stage: Option<usize>, lines: Option<Lines>) -> Watched {
        self.begin(Vertex {
            digest: self.digest(name, None),
            name: name.to_owned(),
            stage: stage.and_then(|stage| self.labels.get(stage).cloned().flatten()),
            inputs: Vec::new(),
            started: None,
            completed: None,
            cached: false,
            error: None,
            lines,
        })
    }

    fn begin(&self, mut vertex: Vertex) -> Watched {
        vertex.started = Some(Timestamp::now());
        self.events.send(BuildEvent::Vertex(vertex.clone()));
        Watched {
            vertex,
            events: self.events.clone(),
            ended: false,
        }
    }

    /// What reading the Dockerfile is called.
    pub(crate) fn definition(&self) -> String {
        format!("[internal] load build definition from {}", self.file)
    }

    /// Tells that something besides the Dockerfile is not as it should be, and why that may be.
    pub(crate) fn warn_of(&self, vertex: &Watched, short: String, why: &str) {
        self.events.send(BuildEvent::Warning(Warning {
            vertex: vertex.digest().clone(),
            level: 1,
            short,
            detail: vec![why.to_owned()],
            url: None,
            file: self.file.clone(),
            lines: Vec::new(),
        }));
    }

    /// Tells that something in the Dockerfile is not as it should be.
    pub(crate) fn warn(&self, finding: &Finding) {
        self.events.send(BuildEvent::Warning(Warning {
            vertex: self.digest(&self.definition(), None),
            level: 1,
            short: finding.short(),
            detail: vec![finding.rule.description().to_owned()],
            url: Some(finding.rule.url()),
            file: self.file.clone(),
            lines: vec![finding.lines],
        }));
    }
}

impl Watched {
    pub(crate) fn digest(&self) -> &Digest {
        &self.vertex.digest
    }

    pub(crate) fn name(&self) -> &str {
        &self.vertex.name
    }

    /// Makes one who tells what happens in it.
    pub(crate) fn reporter(&self) -> StepReporter {
        StepReporter::new(self.events.clone(), self.vertex.digest.clone())
    }

    /// Ends it well.
    pub(crate) fn done(mut self) {
        self.end(None);
    }

    /// Ends it: what it should make was there.
    pub(crate) fn cached(mut self) {
        self.vertex.cached = true;
        self.end(None);
    }

    /// Ends it badly.
    pub(crate) fn failed(mut self, error: &dyn std::fmt::Display) {
        self.end(Some(error.to_string()));
    }

    fn end(&mut self, error: Option<String>) {
        self.ended = true;
        self.vertex.completed = Some(Timestamp::now());
        self.vertex.error = error;
        self.events.send(BuildEvent::Vertex(self.vertex.clone()));
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if !self.ended {
            self.end(Some("context canceled".to_owned()));
        }
    }
}
