// SPDX-License-Identifier: MIT
//! Containers of one engine that go with the value, whatever happens.

use crate::contender::{CallError, Contender, Running};

/// The containers.
#[derive(Debug)]
pub struct Containers<'a> {
    engine: &'a Contender,
    image: &'a str,
    ids: Vec<String>,
}

impl<'a> Containers<'a> {
    /// Holds none yet; those to come are of this image, which must have the command `sleep`.
    pub fn of(engine: &'a Contender, image: &'a str) -> Self {
        Self {
            engine,
            image,
            ids: Vec::new(),
        }
    }

    /// Starts `count` idle containers, all at once: each by a client process of its own.
    ///
    /// # Errors
    /// Of those that failed, the last one's. The others are held.
    pub fn start(&mut self, count: usize) -> Result<(), CallError> {
        let one = self.engine.with(&["run", "-d", self.image, "sleep", "6000"]);
        let clients: Vec<_> = (0..count).map(|_| one.spawn()).collect();
        let mut failed = None;
        for client in clients {
            match client.and_then(Running::wait) {
                Ok(id) => self.ids.push(id),
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Returns the id of one of them.
    pub fn any(&self) -> Option<&str> {
        self.ids.first().map(String::as_str)
    }
}

impl Drop for Containers<'_> {
    fn drop(&mut self) {
        if self.ids.is_empty() {
            return;
        }
        let words = ["rm", "-f"].into_iter().map(str::to_owned).chain(self.ids.drain(..));
        // Nobody is left to be told: what stays is seen in the engine's list.
        drop(self.engine.call(&words.collect::<Vec<_>>()));
    }
}
