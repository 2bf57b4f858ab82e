// SPDX-License-Identifier: MIT
//! Bodies of requests, good and bad; the texts are those of Docker Engine 28.5.

use serde_json::json;

use super::*;
use crate::wire::config::CreateBody;
use crate::wire::container::UpdateBody;

fn read(text: &str) -> CreateBody {
    from_slice(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error:?}"))
}

#[test]
fn the_case_of_keys_does_not_matter() {
    let body = read(
        r#"{"image":"x","CMD":["a"],"hostconfig":{"memory":5,"RESTARTPOLICY":{"name":"always"},
            "portbindings":{"80/tcp":[{"hostport":"1"}]},"utsmode":"host"},"labels":{"aB":"c","Ab":"d"},
            "networkingconfig":{"ENDPOINTSCONFIG":{"Net":{"ipamconfig":{"ipv4address":"1.2.3.4"}}}}}"#,
    );
    assert_eq!((body.image.as_str(), body.host_config.resources.memory), ("x", 5));
    assert_eq!(body.cmd.expect("a command").into_vec(), ["a"]);
    assert_eq!(body.host_config.restart_policy.name, "always");
    assert_eq!(body.host_config.uts_mode, "host");
    assert_eq!(
        serde_json::to_value(&body.host_config.port_bindings).expect("JSON"),
        json!({ "80/tcp": [{ "HostIp": "", "HostPort": "1" }] })
    );
    assert_eq!(json!(body.labels), json!({ "aB": "c", "Ab": "d" }));
    let endpoint = body.networking_config.endpoints_config["Net"]
        .as_ref()
        .expect("an endpoint");
    let addresses = endpoint.ipam_config.as_ref().expect("addresses");
    assert_eq!(addresses.ipv4_address, "1.2.3.4");
}

#[test]
fn the_last_value_counts_and_objects_merge() {
    let body = read(
        r#"{"Image":"a","image":"b","Env":["a=b"],"env":["c=d"],"Labels":{"a":"1","b":"1"},"labels":{"b":"2"},
            "HostConfig":{"Memory":5,"Memory":6},"hostconfig":{"NanoCpus":7}}"#,
    );
    assert_eq!((body.image.as_str(), body.env), ("b", vec!["c=d".to_owned()]));
    assert_eq!(json!(body.labels), json!({ "a": "1", "b": "2" }));
    let resources = body.host_config.resources;
    assert_eq!((resources.memory, resources.nano_cpus), (6, 7));
    let reset = read(r#"{"HostConfig":{"Memory":5},"HostConfig":null}"#);
    assert_eq!(reset.host_config.resources.memory, 0);
}

#[test]
fn null_is_absent_or_zero() {
    let body = read(
        r#"{"Image":null,"Env":[null],"Labels":{"a":null},"Volumes":{"/x":null},"Cmd":null,"StopTimeout":null,
            "HostConfig":{"Memory":null,"Binds":null,"Mounts":[null],"PortBindings":{"1":null},"Init":null}}"#,
    );
    assert_eq!((body.image.as_str(), body.env), ("", vec![String::new()]));
    assert_eq!(json!(body.labels), json!({ "a": "" }));
    assert_eq!(body.volumes.keys().collect::<Vec<_>>(), ["/x"]);
    assert_eq!(body.host_config.mounts.len(), 1);
    assert!(body.cmd.is_none() && body.host_config.binds.is_none());
    assert_eq!(read("null").image, "");
}

fn refusal<T: DeserializeOwned + Document + fmt::Debug>(text: &str) -> String {
    document::<T>(text.as_bytes()).expect_err(text).to_string()
}

#[test]
fn what_is_no_such_value_is_refused() {
    for (text, expected) in [
        ("[]", "array into Go value of type container.CreateRequest"),
        (" 5", "number into Go value of type container.CreateRequest"),
        (r#"{"Image":1.5}"#, "number into Go struct field .Image of type string"),
        (r#"{"image":{}}"#, "object into Go struct field .image of type string"),
        (
            r#"{"Tty":"x","image":1}"#,
            "string into Go struct field .Tty of type bool",
        ),
        (r#"{"Env":"a"}"#, "string into Go struct field .Env of type []string"),
        (r#"{"Env":["a",1]}"#, "number into .Env.1 of type string"),
        (r#"{"Cmd":5}"#, "number into Go value of type string"),
        (r#"{"Cmd":["a",5]}"#, "array into Go value of type string"),
        (r#"{"Shell":true}"#, "bool into Go value of type string"),
        (r#"{"Labels":{"5":1}}"#, "number into .Labels.5 of type string"),
        (
            r#"{"Labels":{"a/b~c":1}}"#,
            "number into Go struct field .Labels.a~1b~0c of type string",
        ),
        (
            r#"{"Volumes":{"a":1}}"#,
            "number into Go struct field .Volumes.a of type struct {}",
        ),
        (
            r#"{"ExposedPorts":[]}"#,
            "array into Go struct field .ExposedPorts of type nat.PortSet",
        ),
        (
            r#"{"StopTimeout":1.0}"#,
            "number 1.0 into Go struct field .StopTimeout of type int",
        ),
        (
            r#"{"HostConfig":[]}"#,
            "array into Go struct field .HostConfig of type container.HostConfig",
        ),
        (
            r#"{"HostConfig":{"Memory":"1"}}"#,
            "string into Go struct field .HostConfig.Memory of type int64",
        ),
        (
            r#"{"HostConfig":{"Memory":1e30}}"#,
            "number 1e30 into Go struct field .HostConfig.Memory of type int64",
        ),
        (
            r#"{"HostConfig":{"BlkioWeight":-1}}"#,
            "number -1 into Go struct field .HostConfig.BlkioWeight of type uint16",
        ),
        (
            r#"{"HostConfig":{"ConsoleSize":[1,"a"]}}"#,
            "string into .HostConfig.ConsoleSize.1 of type uint",
        ),
        (
            r#"{"HostConfig":{"Mounts":[1]}}"#,
            "number into .HostConfig.Mounts.0 of type mount.Mount",
        ),
        (
            r#"{"HostConfig":{"PortBindings":{"80/tcp":[{"HostPort":80}]}}}"#,
            "number into Go struct field .HostConfig.PortBindings.80~1tcp.0.HostPort of type string",
        ),
        (
            r#"{"HostConfig":{"Mounts":[{},{"TmpfsOptions":{"Mode":"1"}}]}}"#,
            "string into Go struct field .HostConfig.Mounts.1.TmpfsOptions.Mode of type fs.FileMode",
        ),
        (
            r#"{"NetworkingConfig":{"EndpointsConfig":{"a":1}}}"#,
            "number into Go struct field .NetworkingConfig.EndpointsConfig.a of type network.EndpointSettings",
        ),
    ] {
        assert_eq!(
            refusal::<CreateBody>(text),
            format!("json: cannot unmarshal {expected}"),
            "{text}"
        );
    }
    assert_eq!(
        refusal::<UpdateBody>(r#"{"Devices":[{"PathOnHost":1}]}"#),
        "json: cannot unmarshal number into Go struct field UpdateConfig.Devices.0.PathOnHost of type string"
    );
    let odd = r#"{"Cmd":["a",null],"HostConfig":{"ConsoleSize":[1,2,3],"Memory":-0},"Unknown":1}"#;
    assert_eq!(read(odd).cmd.expect("a command").into_vec(), ["a", ""]);
    assert!(document::<CreateBody>(odd.as_bytes()).is_ok());
}

#[test]
fn what_comes_first_is_told() {
    for (text, expected) in [
        ("", Malformed::Nothing),
        ("{\"Image\":1", Malformed::CutOff),
        ("{} x", Malformed::Trailing('x')),
        ("{},", Malformed::Trailing(',')),
    ] {
        assert_eq!(document::<CreateBody>(text.as_bytes()).expect_err(text), expected);
    }
    assert!(refusal::<CreateBody>("{\"Image\":1} x").contains("of type string"));
    for text in ["{}}", "{}]"] {
        assert!(document::<CreateBody>(text.as_bytes()).is_ok(), "{text}");
        let error = only_document::<CreateBody>(text.as_bytes()).expect_err(text);
        assert!(error.to_string().ends_with("after top-level value"), "{error}");
    }
    assert!(leading_document::<CreateBody>(b"{} x").is_ok());
}
