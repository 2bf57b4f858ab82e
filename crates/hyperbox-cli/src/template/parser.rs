// SPDX-License-Identifier: MIT
//! Builds the tree of a template from its tokens.

use super::lexer::Token;
use super::{TemplateError, Value};

/// A deeper nesting is refused: the parser and the evaluator recurse.
const MAX_DEPTH: usize = 100;

/// A node of the tree.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Text(String),
    Action(Pipeline),
    If {
        condition: Pipeline,
        body: Vec<Node>,
        otherwise: Vec<Node>,
    },
    With {
        value: Pipeline,
        body: Vec<Node>,
        otherwise: Vec<Node>,
    },
    Range {
        list: Pipeline,
        body: Vec<Node>,
        otherwise: Vec<Node>,
    },
    Break,
    Continue,
}

/// Commands whose results flow from one to the next, perhaps into variables.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pipeline {
    pub(super) variables: Vec<String>,
    pub(super) assigns: bool,
    pub(super) commands: Vec<Vec<Operand>>,
}

/// A word of a command, with the fields that are taken from it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Operand {
    pub(super) base: Base,
    pub(super) fields: Vec<String>,
}

/// Where an operand begins.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Base {
    Dot,
    Variable(String),
    Function(String),
    Literal(Value),
    Nested(Box<Pipeline>),
}

pub(super) fn parse(tokens: &[Token]) -> Result<Vec<Node>, TemplateError> {
    let mut parser = Parser {
        tokens,
        at: 0,
        depth: 0,
    };
    let (nodes, end) = parser.nodes()?;
    match end {
        Stop::Input => Ok(nodes),
        Stop::End => Err(TemplateError::new("unexpected {{end}}")),
        Stop::Else(_) => Err(TemplateError::new("unexpected {{else}}")),
    }
}

/// What ended a list of nodes.
enum Stop {
    Input,
    End,
    /// `else`, perhaps with a condition of its own.
    Else(Option<(String, Pipeline)>),
}

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn next(&mut self) -> Option<&Token> {
        let token = self.tokens.get(self.at);
        self.at += 1;
        token
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn nodes(&mut self) -> Result<(Vec<Node>, Stop), TemplateError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(TemplateError::new("nested too deeply"));
        }
        let mut nodes = Vec::new();
        let end = loop {
            match self.next() {
                None => break Stop::Input,
                Some(Token::Text(text)) => nodes.push(Node::Text(text.clone())),
                Some(_) => {
                    if let Some(end) = self.action(&mut nodes)? {
                        break end;
                    }
                }
            }
        };
        self.depth -= 1;
        Ok((nodes, end))
    }

    fn action(&mut self, nodes: &mut Vec<Node>) -> Result<Option<Stop>, TemplateError> {
        let word = match self.peek() {
            Some(Token::Word(word)) => word.clone(),
            _ => String::new(),
        };
        match word.as_str() {
            "if" | "with" | "range" => {
                self.at += 1;
                let pipeline = self.pipeline_to_close()?;
                nodes.push(self.block(&word, pipeline)?);
            }
            "end" => {
                self.at += 1;
                self.close()?;
                return Ok(Some(Stop::End));
            }
            "else" => {
                self.at += 1;
                if let Some(Token::Word(word)) = self.peek().cloned()
                    && matches!(word.as_str(), "if" | "with")
                {
                    self.at += 1;
                    let pipeline = self.pipeline_to_close()?;
                    return Ok(Some(Stop::Else(Some((word, pipeline)))));
                }
                self.close()?;
                return Ok(Some(Stop::Else(None)));
            }
            "break" | "continue" => {
                self.at += 1;
                self.close()?;
                nodes.push(if word == "break" { Node::Break } else { Node::Continue });
            }
            "define" | "template" | "block" => {
                return Err(TemplateError::new(format!("{word} is not supported")));
            }
            _ => nodes.push(Node::Action(self.pipeline_to_close()?)),
        }
        Ok(None)
    }

    fn block(&mut self, keyword: &str, pipeline: Pipeline) -> Result<Node, TemplateError> {
        let (body, end) = self.nodes()?;
        let otherwise = match end {
            Stop::Input => return Err(TemplateError::new("unexpected EOF")),
            Stop::End => Vec::new(),
            Stop::Else(Some((word, condition))) => vec![self.block(&word, condition)?],
            Stop::Else(None) => match self.nodes()? {
                (nodes, Stop::End) => nodes,
                _ => return Err(TemplateError::new("expected end; found {{else}}")),
            },
        };
        Ok(match keyword {
            "if" => Node::If {
                condition: pipeline,
                body,
                otherwise,
            },
            "with" => Node::With {
                value: pipeline,
                body,
                otherwise,
            },
            _ => Node::Range {
                list: pipeline,
                body,
                otherwise,
            },
        })
    }

    fn close(&mut self) -> Result<(), TemplateError> {
        match self.next() {
            Some(Token::Close) => Ok(()),
            other => Err(TemplateError::new(format!("unexpected {} in action", describe(other)))),
        }
    }

    fn pipeline_to_close(&mut self) -> Result<Pipeline, TemplateError> {
        let pipeline = self.pipeline()?;
        self.close()?;
        Ok(pipeline)
    }

    fn pipeline(&mut self) -> Result<Pipeline, TemplateError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(TemplateError::new("nested too deeply"));
        }
        let (variables, assigns) = self.declaration();
        let mut commands = vec![Vec::new()];
        loop {
            match self.peek() {
                Some(Token::Symbol("|")) => {
                    self.at += 1;
                    commands.push(Vec::new());
                }
                None | Some(Token::Close | Token::Symbol(")")) => break,
                _ => {
                    let operand = self.operand()?;
                    if let Some(command) = commands.last_mut() {
                        command.push(operand);
                    }
                }
            }
        }
        if commands.iter().any(Vec::is_empty) {
            return Err(TemplateError::new("missing value for command"));
        }
        self.depth -= 1;
        Ok(Pipeline {
            variables,
            assigns,
            commands,
        })
    }

    /// Reads `$a :=`, `$a =` or `$a, $b :=` if it stands here.
    fn declaration(&mut self) -> (Vec<String>, bool) {
        let start = self.at;
        let mut variables = Vec::new();
        while let Some(Token::Variable(name)) = self.peek() {
            variables.push(name.clone());
            self.at += 1;
            match self.next() {
                Some(Token::Symbol(":=")) => return (variables, false),
                Some(Token::Symbol("=")) => return (variables, true),
                Some(Token::Symbol(",")) => {}
                _ => break,
            }
        }
        self.at = start;
        (Vec::new(), false)
    }

    fn operand(&mut self) -> Result<Operand, TemplateError> {
        let token = self.next().cloned();
        let mut fields = Vec::new();
        let base = match token {
            Some(Token::Field(name, _)) => {
                if !name.is_empty() {
                    fields.push(name);
                }
                Base::Dot
            }
            Some(Token::Variable(name)) => Base::Variable(name),
            Some(Token::String(text)) => Base::Literal(Value::String(text)),
            Some(Token::Number(digits)) => Base::Literal(Value::Number(digits)),
            Some(Token::Word(word)) => match word.as_str() {
                "true" | "false" => Base::Literal(Value::Bool(word == "true")),
                "nil" => Base::Literal(Value::Null(super::Shape::Pointer)),
                _ => Base::Function(word),
            },
            Some(Token::Symbol("(")) => {
                let pipeline = self.pipeline()?;
                match self.next() {
                    Some(Token::Symbol(")")) => Base::Nested(Box::new(pipeline)),
                    _ => return Err(TemplateError::new("unclosed left paren")),
                }
            }
            other => {
                return Err(TemplateError::new(format!(
                    "unexpected {} in operand",
                    describe(other.as_ref())
                )));
            }
        };
        while let Some(Token::Field(name, true)) = self.peek() {
            if name.is_empty() {
                return Err(TemplateError::new("unexpected . after term"));
            }
            fields.push(name.clone());
            self.at += 1;
        }
        Ok(Operand { base, fields })
    }
}

fn describe(token: Option<&Token>) -> String {
    match token {
        None => "EOF".to_owned(),
        Some(Token::Close) => "\"}}\"".to_owned(),
        Some(Token::Symbol(symbol)) => format!("{symbol:?}"),
        Some(Token::Word(text) | Token::String(text) | Token::Number(text) | Token::Text(text)) => format!("{text:?}"),
        Some(Token::Field(name, _)) => format!("<.{name}>"),
        Some(Token::Variable(name)) => format!("<${name}>"),
        Some(Token::Open) => "\"{{\"".to_owned(),
    }
}
