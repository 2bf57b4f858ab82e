// SPDX-License-Identifier: MIT
//! Which operations of a plan can be begun. Pure.

use std::collections::BTreeSet;

use crate::plan::{Action, Plan};

/// Where an operation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It waits for this many others.
    Waits(usize),
    Begun,
    Done,
    /// Something that it waits for failed.
    Out,
}

/// What is done of a plan, and what can be begun.
#[derive(Debug)]
pub(crate) struct Schedule<'a> {
    plan: &'a Plan,
    states: Vec<State>,
    dependents: Vec<Vec<usize>>,
    ready: BTreeSet<usize>,
    /// Operations that are being done and count.
    busy: usize,
    limit: usize,
}

impl<'a> Schedule<'a> {
    /// Begins with a plan; at most `limit` operations are done at a time, waiting for states not counted.
    pub(crate) fn new(plan: &'a Plan, limit: usize) -> Self {
        let operations = plan.operations();
        let mut dependents = vec![Vec::new(); operations.len()];
        let mut ready = BTreeSet::new();
        let mut states = Vec::with_capacity(operations.len());
        for (index, operation) in operations.iter().enumerate() {
            for before in &operation.after {
                dependents[before.index()].push(index);
            }
            if operation.after.is_empty() {
                ready.insert(index);
            }
            states.push(State::Waits(operation.after.len()));
        }
        Self {
            plan,
            states,
            dependents,
            ready,
            busy: 0,
            limit,
        }
    }

    /// Takes the next operation that can be begun now.
    pub(crate) fn begin(&mut self) -> Option<usize> {
        let free = self.busy < self.limit;
        let next = self
            .ready
            .iter()
            .copied()
            .find(|index| free || self.only_waits(*index))?;
        self.ready.remove(&next);
        self.states[next] = State::Begun;
        self.busy += usize::from(!self.only_waits(next));
        Some(next)
    }

    /// An operation is done.
    pub(crate) fn done(&mut self, index: usize) {
        self.end(index, State::Done);
        for dependent in self.dependents[index].clone() {
            if let State::Waits(count) = &mut self.states[dependent] {
                *count -= 1;
                if *count == 0 {
                    self.ready.insert(dependent);
                }
            }
        }
    }

    /// An operation failed: what waits for it will not be begun.
    pub(crate) fn failed(&mut self, index: usize) {
        self.end(index, State::Out);
        let mut out = self.dependents[index].clone();
        while let Some(dependent) = out.pop() {
            if self.states[dependent] != State::Out {
                self.states[dependent] = State::Out;
                out.extend(&self.dependents[dependent]);
            }
        }
    }

    /// The operations that were not begun.
    pub(crate) fn left(&self, failed: &BTreeSet<usize>) -> Vec<usize> {
        let not_begun = |state: &State| matches!(state, State::Waits(_) | State::Out);
        (0..self.states.len())
            .filter(|index| not_begun(&self.states[*index]) && !failed.contains(index))
            .collect()
    }

    /// Whether an operation does nothing but wait.
    pub(crate) fn only_waits(&self, index: usize) -> bool {
        matches!(self.plan.operations()[index].action, Action::Await { .. })
    }

    fn end(&mut self, index: usize, state: State) {
        self.busy -= usize::from(!self.only_waits(index));
        self.states[index] = state;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Condition;
    use crate::plan::Cause;

    /// 1 → 2 → 3, a wait, and two that wait for nothing.
    fn plan() -> Plan {
        let start = |name: &str| Action::StartContainer { name: name.to_owned() };
        let mut plan = Plan::default();
        let first = plan.add(start("a"), Cause::Missing, []);
        let second = plan.add(start("b"), Cause::Missing, [first]);
        plan.add(start("c"), Cause::Missing, [second]);
        let wait = Action::Await {
            service: "s".to_owned(),
            condition: Condition::Healthy,
            required: true,
        };
        plan.add(wait, Cause::Missing, []);
        plan.add(start("e"), Cause::Missing, []);
        plan
    }

    fn begun(schedule: &mut Schedule<'_>) -> Vec<usize> {
        std::iter::from_fn(|| schedule.begin()).collect()
    }

    #[test]
    fn order_and_limit() {
        let plan = plan();
        let mut schedule = Schedule::new(&plan, 1);
        assert_eq!(begun(&mut schedule), [0, 3], "one at a time, and waits besides");
        schedule.done(0);
        assert_eq!(begun(&mut schedule), [1]);
        schedule.done(1);
        assert_eq!(begun(&mut schedule), [2]);
        schedule.done(2);
        assert_eq!(begun(&mut schedule), [4]);
        assert!(schedule.left(&BTreeSet::new()).is_empty());
    }

    #[test]
    fn what_waits_for_a_failure_is_left() {
        let plan = plan();
        let mut schedule = Schedule::new(&plan, 8);
        assert_eq!(begun(&mut schedule), [0, 3, 4]);
        schedule.failed(0);
        schedule.done(4);
        assert!(begun(&mut schedule).is_empty());
        assert_eq!(schedule.left(&BTreeSet::from([0])), [1, 2]);
    }
}
