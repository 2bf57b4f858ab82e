// SPDX-License-Identifier: MIT
//! What is kept between builds: `DiskUsage` and `Prune`.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use hyperbox_build::{FilterError, Kept, KeptFields, KeptFilter, PruneOptions};
use hyperbox_core::ServiceError;
use hyperbox_types::ByteSize;

use super::Control;
use crate::proto::control::{DiskUsageRequest, DiskUsageResponse, PruneRequest, UsageRecord};
use crate::transport::frame::frame;
use crate::transport::server::{Replies, one};
use crate::transport::status::{Code, Status};

impl Control {
    /// Lists what is kept.
    ///
    /// # Errors
    /// Malformed filters, those of the stores.
    pub(super) async fn disk_usage(&self, request: &DiskUsageRequest) -> Result<Replies, Status> {
        let filter = KeptFilter::parse(&request.filter).map_err(malformed)?;
        let records = self
            .records()
            .await?
            .into_iter()
            .filter(|record| filter.accepts(&fields(record)));
        Ok(one(&DiskUsageResponse {
            record: records.collect(),
        }))
    }

    /// Removes what is kept, and tells what went.
    ///
    /// # Errors
    /// As [`Control::disk_usage`].
    pub(super) async fn prune(&self, request: &PruneRequest) -> Result<Replies, Status> {
        let filter = KeptFilter::parse(&request.filter).map_err(malformed)?;
        let before = self.records().await?;
        let mut ids = Vec::new();
        if !filter.is_empty() {
            let chosen = before.iter().filter(|record| filter.accepts(&fields(record)));
            ids.extend(chosen.map(|record| record.id.clone()));
            // No ids would mean everything.
            if ids.is_empty() {
                return Ok(stream::empty().boxed());
            }
        }
        let options = PruneOptions {
            all: request.all,
            keep: kept(request),
            unused_for: duration(request.keep_duration),
            ids,
        };
        let pruned = self.builder.prune(options).await.map_err(told)?.ids;
        let mut before: HashMap<String, UsageRecord> =
            before.into_iter().map(|record| (record.id.clone(), record)).collect();
        let gone: Vec<_> = pruned.iter().filter_map(|id| before.remove(id)).collect();
        Ok(stream::iter(gone.into_iter().map(|record| Ok(frame(&record)))).boxed())
    }

    async fn records(&self) -> Result<Vec<UsageRecord>, Status> {
        let kept = self.builder.disk_usage().await.map_err(told)?;
        Ok(kept.into_iter().map(record).collect())
    }
}

fn malformed(error: FilterError) -> Status {
    Status::new(Code::InvalidArgument, error.to_string())
}

fn fields(record: &UsageRecord) -> KeptFields<'_> {
    KeptFields {
        id: &record.id,
        kind: &record.record_type,
        description: &record.description,
        in_use: record.in_use,
        shared: record.shared,
        mutable: record.mutable,
    }
}

fn told(error: ServiceError) -> Status {
    Status::new(Code::from(error.kind()), error.to_string())
}

/// Reads how much may stay; what is reserved stays whatever the limit is.
fn kept(request: &PruneRequest) -> Option<ByteSize> {
    let limits = [request.reserved_space, request.max_used_space];
    let limits = limits.iter().filter_map(|bytes| u64::try_from(*bytes).ok());
    limits.filter(|bytes| *bytes > 0).max().map(ByteSize)
}

fn duration(nanoseconds: i64) -> Option<Duration> {
    let nanoseconds = u64::try_from(nanoseconds).ok().filter(|time| *time > 0)?;
    Some(Duration::from_nanos(nanoseconds))
}

fn record(kept: Kept) -> UsageRecord {
    UsageRecord {
        id: kept.id,
        mutable: kept.kind.is_mutable(),
        in_use: kept.in_use,
        size: i64::try_from(kept.size.0).unwrap_or(i64::MAX),
        created_at: Some(kept.created_at.into()),
        last_used_at: kept.used_at.map(Into::into),
        usage_count: i64::try_from(kept.uses).unwrap_or(i64::MAX),
        description: kept.description,
        record_type: kept.kind.name().to_owned(),
        shared: kept.shared,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_pruning() {
        let request = |reserved_space, max_used_space| PruneRequest {
            reserved_space,
            max_used_space,
            ..PruneRequest::default()
        };
        assert_eq!(kept(&request(0, 0)), None);
        assert_eq!(kept(&request(5, 0)), Some(ByteSize(5)));
        assert_eq!(kept(&request(5, 9)), Some(ByteSize(9)));
        assert_eq!(kept(&request(-1, -1)), None);
        assert_eq!(duration(0), None);
        assert_eq!(duration(1_000_000_000), Some(Duration::from_secs(1)));
    }
}
