// SPDX-License-Identifier: MIT
//! Streams of JSON messages: the progress of pull, push and load, statistics, events.

use std::io::BufReader;
use std::marker::PhantomData;

use serde::de::DeserializeOwned;

use crate::error::{ClientError, Result};
use crate::http::{Body, Response};

/// Iterates over the JSON values of an answer as they arrive.
pub struct Messages<T> {
    stream: serde_json::StreamDeserializer<
        'static,
        serde_json::de::IoRead<BufReader<Body>>,
        Box<serde_json::value::RawValue>,
    >,
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
        let path = response.path.clone();
        let stream = serde_json::Deserializer::from_reader(BufReader::new(response.into_body())).into_iter();
        Self {
            stream,
            path,
            item: PhantomData,
        }
    }
}

impl<T: DeserializeOwned> Iterator for Messages<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Self::Item> {
        let value = self.stream.next()?;
        let decoded = value.and_then(|raw| serde_json::from_str(raw.get()));
        Some(decoded.map_err(|source| ClientError::Decode {
            path: self.path.clone(),
            source,
        }))
    }
}
