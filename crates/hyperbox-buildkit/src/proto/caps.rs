// SPDX-License-Identifier: MIT
//! `util/apicaps/pb/caps.proto`: what a peer can do.

/// `moby.buildkit.v1.apicaps.APICap`.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ApiCap {
    #[prost(string, tag = "1")]
    pub(crate) id: String,
    #[prost(bool, tag = "2")]
    pub(crate) enabled: bool,
}
