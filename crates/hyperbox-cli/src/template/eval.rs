// SPDX-License-Identifier: MIT
//! Evaluates a parsed template.

use super::parser::{Base, Node, Operand, Pipeline};
use super::value::{Shape, hidden};
use super::{TemplateError, Value, functions};

/// Why a list of nodes stopped.
#[derive(PartialEq)]
enum Flow {
    Next,
    Break,
    Continue,
}

pub(super) fn render(nodes: &[Node], data: &Value) -> Result<String, TemplateError> {
    let mut evaluator = Evaluator {
        root: data,
        variables: Vec::new(),
        output: String::new(),
    };
    evaluator.nodes(nodes, data)?;
    Ok(evaluator.output)
}

struct Evaluator<'a> {
    root: &'a Value,
    variables: Vec<(String, Value)>,
    output: String,
}

impl Evaluator<'_> {
    fn nodes(&mut self, nodes: &[Node], dot: &Value) -> Result<Flow, TemplateError> {
        for node in nodes {
            let flow = self.node(node, dot)?;
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    /// Evaluates nodes whose variables end with them.
    fn scope(&mut self, nodes: &[Node], dot: &Value, depth: usize) -> Result<Flow, TemplateError> {
        let flow = self.nodes(nodes, dot);
        self.variables.truncate(depth);
        flow
    }

    fn node(&mut self, node: &Node, dot: &Value) -> Result<Flow, TemplateError> {
        let depth = self.variables.len();
        match node {
            Node::Text(text) => self.output.push_str(text),
            Node::Action(pipeline) => {
                let value = self.pipeline(pipeline, dot)?;
                if pipeline.variables.is_empty() {
                    self.output.push_str(&value.to_string());
                }
            }
            Node::If {
                condition,
                body,
                otherwise,
            } => {
                let branch = if self.pipeline(condition, dot)?.is_true() {
                    body
                } else {
                    otherwise
                };
                return self.scope(branch, dot, depth);
            }
            Node::With { value, body, otherwise } => {
                let value = self.pipeline(value, dot)?;
                return if value.is_true() {
                    self.scope(body, &value, depth)
                } else {
                    self.scope(otherwise, dot, depth)
                };
            }
            Node::Range { list, body, otherwise } => return self.range(list, body, otherwise, dot),
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::Next)
    }

    fn range(
        &mut self,
        list: &Pipeline,
        body: &[Node],
        otherwise: &[Node],
        dot: &Value,
    ) -> Result<Flow, TemplateError> {
        let depth = self.variables.len();
        let bare = Pipeline {
            variables: Vec::new(),
            assigns: false,
            commands: list.commands.clone(),
        };
        let items: Vec<(Value, Value)> = match self.pipeline(&bare, dot)? {
            Value::List(items) => items
                .into_iter()
                .enumerate()
                .map(|(index, item)| (Value::from(index), item))
                .collect(),
            Value::Map(fields) => Value::sorted_fields(&fields)
                .into_iter()
                .map(|(name, value)| (Value::from(name.as_str()), value.clone()))
                .collect(),
            Value::Null(_) => Vec::new(),
            other => return Err(TemplateError::new(format!("range can't iterate over {other}"))),
        };
        if items.is_empty() {
            return self.scope(otherwise, dot, depth);
        }
        for (key, item) in items {
            match list.variables.as_slice() {
                [] => {}
                [value] => self.variables.push((value.clone(), item.clone())),
                [index, value, ..] => {
                    self.variables.push((index.clone(), key));
                    self.variables.push((value.clone(), item.clone()));
                }
            }
            if self.scope(body, &item, depth)? == Flow::Break {
                break;
            }
        }
        Ok(Flow::Next)
    }

    fn pipeline(&mut self, pipeline: &Pipeline, dot: &Value) -> Result<Value, TemplateError> {
        let mut last = None;
        for command in &pipeline.commands {
            last = Some(self.command(command, dot, last)?);
        }
        let value = last.unwrap_or(Value::Null(Shape::Nothing));
        if let Some(name) = pipeline.variables.first() {
            if pipeline.assigns {
                let slot = self.variables.iter_mut().rev().find(|(known, _)| known == name);
                let slot = slot.ok_or_else(|| TemplateError::new(format!("undefined variable \"${name}\"")))?;
                slot.1 = value.clone();
            } else {
                self.variables.push((name.clone(), value.clone()));
            }
        }
        Ok(value)
    }

    fn command(&mut self, command: &[Operand], dot: &Value, piped: Option<Value>) -> Result<Value, TemplateError> {
        let Some((first, rest)) = command.split_first() else {
            return Err(TemplateError::new("empty command"));
        };
        if let Base::Function(name) = &first.base {
            if matches!(name.as_str(), "and" | "or") {
                return self.shortcut(name == "and", rest, dot, piped);
            }
            let mut arguments = Vec::with_capacity(rest.len() + 1);
            for operand in rest {
                arguments.push(self.operand(operand, dot)?);
            }
            arguments.extend(piped);
            return fields(&functions::call(name, &arguments)?, &first.fields);
        }
        if rest.is_empty() && piped.is_none() {
            return self.operand(first, dot);
        }
        let mut arguments = Vec::new();
        for operand in rest {
            arguments.push(self.operand(operand, dot)?);
        }
        arguments.extend(piped);
        self.method(first, dot, &arguments)
    }

    /// Evaluates `and` and `or`, which stop at the first operand that decides.
    fn shortcut(
        &mut self,
        all: bool,
        operands: &[Operand],
        dot: &Value,
        piped: Option<Value>,
    ) -> Result<Value, TemplateError> {
        let mut last = None;
        for operand in operands {
            let value = self.operand(operand, dot)?;
            if value.is_true() != all {
                return Ok(value);
            }
            last = Some(value);
        }
        piped
            .or(last)
            .ok_or_else(|| TemplateError::new("wrong number of args: want at least 1 got 0"))
    }

    /// Calls `.Label "name"`, the only methods that rows have: a hidden map answers them.
    fn method(&mut self, operand: &Operand, dot: &Value, arguments: &[Value]) -> Result<Value, TemplateError> {
        if let (Base::Dot, [name], [key]) = (&operand.base, operand.fields.as_slice(), arguments)
            && let Some(answers) = dot.field(&hidden(name))
        {
            return Ok(answers
                .field(&key.to_string())
                .cloned()
                .unwrap_or_else(|| Value::from("")));
        }
        Err(TemplateError::new(format!(
            "{} has arguments but cannot be invoked as function",
            name_of(operand)
        )))
    }

    fn operand(&mut self, operand: &Operand, dot: &Value) -> Result<Value, TemplateError> {
        let computed;
        let base = match &operand.base {
            Base::Dot => dot,
            Base::Variable(name) if name.is_empty() => self.root,
            Base::Variable(name) => match self.variables.iter().rev().find(|(known, _)| known == name) {
                Some((_, value)) => value,
                None => return Err(TemplateError::new(format!("undefined variable \"${name}\""))),
            },
            Base::Literal(value) => value,
            Base::Function(name) => {
                computed = functions::call(name, &[])?;
                &computed
            }
            Base::Nested(pipeline) => {
                computed = self.pipeline(pipeline, dot)?;
                &computed
            }
        };
        fields(base, &operand.fields)
    }
}

fn fields(base: &Value, names: &[String]) -> Result<Value, TemplateError> {
    let mut value = base;
    for name in names {
        let renamed = || {
            value
                .field(&hidden(name))
                .filter(|field| !matches!(field, Value::Map(_)))
        };
        value = match (value.field(name).or_else(renamed), value) {
            (Some(field), _) => field,
            // A missing label is no value; a missing field of an object is a mistake. Only capitals tell them apart in JSON.
            (None, Value::Map(_)) if !name.starts_with(|c: char| c.is_ascii_uppercase()) => {
                return Ok(Value::Null(Shape::Nothing));
            }
            (None, Value::Map(_)) => return Err(TemplateError::new(format!("map has no entry for key {name:?}"))),
            (None, Value::Null(_)) => return Err(TemplateError::new(format!("nil data; no entry for key {name:?}"))),
            (None, other) => {
                let kind = match other {
                    Value::Bool(_) => "bool",
                    Value::Number(_) => "number",
                    Value::String(_) => "string",
                    _ => "list",
                };
                return Err(TemplateError::new(format!(
                    "can't evaluate field {name} in type {kind}"
                )));
            }
        };
    }
    Ok(value.clone())
}

fn name_of(operand: &Operand) -> String {
    match (&operand.base, operand.fields.last()) {
        (_, Some(field)) => field.clone(),
        (Base::Variable(name), None) => format!("${name}"),
        (Base::Literal(value), None) => value.to_string(),
        _ => ".".to_owned(),
    }
}
