// SPDX-License-Identifier: MIT
//! `google/rpc/status.proto`, `google/protobuf/any.proto`, `google/protobuf/timestamp.proto`.

use hyperbox_core::time::Timestamp as Moment;

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Status {
    #[prost(int32, tag = "1")]
    pub(crate) code: i32,
    #[prost(string, tag = "2")]
    pub(crate) message: String,
    #[prost(message, repeated, tag = "3")]
    pub(crate) details: Vec<Any>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Any {
    #[prost(string, tag = "1")]
    pub(crate) type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) value: Vec<u8>,
}

/// `google.protobuf.Timestamp`.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct Timestamp {
    #[prost(int64, tag = "1")]
    pub(crate) seconds: i64,
    #[prost(int32, tag = "2")]
    pub(crate) nanos: i32,
}

impl From<Moment> for Timestamp {
    fn from(moment: Moment) -> Self {
        Self {
            seconds: moment.seconds(),
            // Always less than 10^9.
            nanos: i32::try_from(moment.0.rem_euclid(1_000_000_000)).unwrap_or_default(),
        }
    }
}
