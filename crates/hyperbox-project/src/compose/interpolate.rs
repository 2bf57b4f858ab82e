// SPDX-License-Identifier: MIT
//! Variables in all values of a document. Keys are left as they are, and so is what is none of Compose's business (nothing: extensions
//! are interpolated too, as Compose does).

use super::error::{Fault, KeyPath};
use super::template::{self, Variables};
use super::tree::{Node, Value};

/// Replaces the expressions of all texts; `missing` collects variables that are not set.
///
/// # Errors
/// The first expression that is wrong, or a variable that is required and not set.
pub(crate) fn interpolate(
    node: &mut Node,
    variables: &dyn Variables,
    key: &KeyPath,
    missing: &mut Vec<String>,
) -> Result<(), Fault> {
    match &mut node.value {
        Value::Text(text) => {
            if text.contains('$') {
                *text = template::substitute(text, variables, missing)
                    .map_err(|reason| Fault::new(node.at, key, reason))?;
            }
            Ok(())
        }
        Value::List(list) => list
            .iter_mut()
            .enumerate()
            .try_for_each(|(index, node)| interpolate(node, variables, &key.index(index), missing)),
        Value::Map(map) => map
            .iter_mut()
            .try_for_each(|(name, node)| interpolate(node, variables, &key.key(name), missing)),
        Value::Null | Value::Boolean(_) | Value::Integer(_) | Value::Float(_) => Ok(()),
    }
}
