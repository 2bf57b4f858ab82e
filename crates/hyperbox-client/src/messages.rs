// SPDX-License-Identifier: MIT
//! Streams of JSON messages: the progress of pull, push and load, statistics, events.

use std::io::{self, BufReader};
use std::marker::PhantomData;

use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::error::{ClientError, Result};
use crate::host::Host;
use crate::http::{Body, Response};

/// Iterates over the JSON values of an answer as they arrive.
pub struct Messages<T> {
    stream: serde_json::StreamDeserializer<
        'static,
        serde_json::de::IoRead<BufReader<Body>>,
        Box<serde_json::value::RawValue>,
    >,
    host: Host,
    path: String,
    item: PhantomData<fn() -> T>,
}

impl<T> std::fmt::Debug for Messages<T> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Messages({})", self.path)
    }
}

impl<T: DeserializeOwned> Messages<T> {
    pub(crate) fn new(response: Response) -> Self {
        let (host, path) = (response.host.clone(), response.path.clone());
        let stream = serde_json::Deserializer::from_reader(BufReader::new(response.into_body())).into_iter();
        Self {
            stream,
            host,
            path,
            item: PhantomData,
        }
    }

    /// A connection that breaks is no answer that is not understood, nor is one that breaks in the middle of a value.
    fn failed(&self, source: serde_json::Error) -> ClientError {
        let source = match source.classify() {
            Category::Io | Category::Eof => io::Error::from(source),
            Category::Syntax | Category::Data => {
                let path = self.path.clone();
                return ClientError::Decode { path, source };
            }
        };
        ClientError::Broken {
            host: self.host.clone(),
            doing: "reading an answer",
            source,
        }
    }
}

impl<T: DeserializeOwned> Iterator for Messages<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Self::Item> {
        let value = self.stream.next()?;
        let decoded = value.and_then(|raw| serde_json::from_str(raw.get()));
        Some(decoded.map_err(|source| self.failed(source)))
    }
}
