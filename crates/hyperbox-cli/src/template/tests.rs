// SPDX-License-Identifier: MIT
//! Templates against what Go's engine gives.

use super::{Template, Value};

fn render(template: &str, json: &str) -> Result<String, String> {
    let data: Value = serde_json::from_str(json).unwrap();
    Template::parse(template)
        .and_then(|template| template.render(&data))
        .map_err(|error| error.to_string())
}

const DATA: &str = r#"{"Name":"/web","Id":"abcdef","State":{"Status":"running","Pid":42,"Paused":false,"Health":null},
  "Config":{"Env":["A=1","B=2"],"Labels":{"b":"2","a":"1"},"Cmd":null,"Volumes":null},
  "Ports":{"80/tcp":[{"HostIp":"0.0.0.0","HostPort":"8080"}],"443/tcp":null},"Float":1.5,"Empty":[]}"#;

#[test]
fn what_templates_give() {
    for (template, expected) in [
        ("plain", "plain"),
        ("{{.Name}}", "/web"),
        ("{{ .State.Status }}/{{.State.Pid}}", "running/42"),
        ("{{.State.Paused}} {{.Float}}", "false 1.5"),
        ("{{json .Config.Labels}}", r#"{"b":"2","a":"1"}"#),
        (
            "{{json .Config.Cmd}} {{.Config.Cmd}} {{.Config.Volumes}} {{.State.Health}}",
            "null [] map[] <nil>",
        ),
        ("{{.Config.Labels}} {{.Config.Env}}", "map[a:1 b:2] [A=1 B=2]"),
        (
            r#"{{index .Config.Labels "b"}}{{index .Config.Labels "zz"}}|{{index .Config.Env 1}}"#,
            "2|B=2",
        ),
        (r#"{{(index (index .Ports "80/tcp") 0).HostPort}}"#, "8080"),
        ("{{range .Config.Env}}[{{.}}]{{end}}", "[A=1][B=2]"),
        (
            "{{range $i, $e := .Config.Env}}{{if $i}},{{end}}{{$e}}{{end}}",
            "A=1,B=2",
        ),
        ("{{range $k, $v := .Config.Labels}}{{$k}}={{$v}};{{end}}", "a=1;b=2;"),
        ("{{range .Empty}}x{{else}}none{{end}}", "none"),
        ("{{range .Config.Env}}{{$.Name}}{{break}}{{end}}", "/web"),
        (
            "{{if .State.Paused}}p{{else if eq .State.Status \"running\"}}r{{else}}s{{end}}",
            "r",
        ),
        ("{{with .State}}{{.Pid}}{{end}}", "42"),
        ("{{len .Config.Env}} {{len .Name}}", "2 4"),
        (r#"{{join .Config.Env ", "}}"#, "A=1, B=2"),
        (r#"{{.Name | upper | printf "%-6s|"}}"#, "/WEB  |"),
        (
            r#"{{lower "ABC"}} {{title "ab cd"}} {{truncate .Id 3}} {{pad "x" 1 2}}|"#,
            "abc Ab Cd abc  x  |",
        ),
        (r#"{{split "a:b" ":"}}"#, "[a b]"),
        ("{{println .State.Pid .Name}}x", "42 /web\nx"),
        (
            r#"{{printf "%05d %q %v %.2f" .State.Pid .Id .State.Paused .Float}}"#,
            r#"00042 "abcdef" false 1.50"#,
        ),
        (
            "{{eq .State.Pid 42}} {{ne .Id \"x\"}} {{lt 1 2}} {{ge 1 2}}",
            "true true true false",
        ),
        (
            "{{and .Name .State.Paused}} {{or .State.Paused .Name}} {{not .Empty}}",
            "false /web true",
        ),
        ("{{$x := .Name}}{{$x}}{{$x = .Id}}{{$x}}", "/webabcdef"),
        ("a {{- .Id -}} b", "aabcdefb"),
        ("{{/* note */}}x{{- /* trim */ -}} y", "xy"),
        ("{{.Config.Labels.missing}}", "<no value>"),
        ("{{slice .Id 1 3}}", "bc"),
        ("{{`raw \"x\"`}}", "raw \"x\""),
    ] {
        assert_eq!(render(template, DATA).as_deref(), Ok(expected), "{template}");
    }
}

#[test]
fn what_templates_refuse() {
    for (template, reason) in [
        ("{{.Name", "unclosed action"),
        ("{{if .Name}}x", "unexpected EOF"),
        ("{{end}}", "unexpected {{end}}"),
        ("{{}}", "missing value for command"),
        ("{{.Nope}}", "map has no entry for key \"Nope\""),
        ("{{.Name.Sub}}", "can't evaluate field Sub in type string"),
        ("{{nope .}}", "function \"nope\" not defined"),
        ("{{lower}}", "wrong number of args for lower: 0"),
        ("{{\"abc}}", "unterminated quoted string"),
        ("{{index .Config.Env 9}}", "error calling index: index out of range: 9"),
        ("{{template \"x\"}}", "template is not supported"),
        ("{{$x}}", "undefined variable \"$x\""),
    ] {
        assert_eq!(
            render(template, DATA),
            Err(format!("template parsing error: {reason}")),
            "{template}"
        );
    }
    let deep = format!("{}x{}", "{{if .Name}}".repeat(500), "{{end}}".repeat(500));
    assert!(render(&deep, DATA).is_err());
    assert!(render(&format!("{{{{{}", "(".repeat(5000)), DATA).is_err());
}
