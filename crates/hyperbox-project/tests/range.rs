// SPDX-License-Identifier: MIT
//! Ports of projects: what is settled, what stays, what is in the way; and what holds whatever is wished.
#![expect(clippy::unwrap_used, reason = "functions that tests share")]

use std::collections::{BTreeMap, BTreeSet};

use hyperbox_project::model::ServicePort;
use hyperbox_project::range::{
    Allotment, Bound, Conflict, Holder, PortKey, PortWish, Ports, Settled, Wanted, block, settle,
};
use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};

fn key(service: &str, number: u32, target: u16) -> PortKey {
    PortKey {
        service: service.to_owned(),
        number,
        target,
        protocol: "tcp".to_owned(),
        address: String::new(),
        published: String::new(),
    }
}

fn wish(service: &str, number: u32, target: u16, wanted: Wanted) -> PortWish {
    PortWish {
        key: key(service, number, target),
        wanted,
    }
}

fn one_block() -> Allotment {
    Allotment {
        ranges: vec![Ports {
            first: 10_000,
            last: 10_999,
        }],
        ..Allotment::default()
    }
}

fn bound(port: u16, holder: Holder) -> Bound {
    Bound {
        protocol: "tcp".to_owned(),
        address: "0.0.0.0".parse().unwrap(),
        port,
        holder,
    }
}

fn of_project(project: &str) -> Holder {
    Holder::Service {
        project: project.to_owned(),
        service: "web".to_owned(),
        container: format!("{project}-web-1"),
    }
}

fn nothing_more(_: &[Ports]) -> Option<Ports> {
    None
}

fn decide(
    allotment: &Allotment,
    wishes: &[PortWish],
    bound: &[Bound],
    remap: bool,
) -> Result<(Allotment, Settled), Vec<Conflict>> {
    let going = BTreeSet::from(["shop-web-1".to_owned()]);
    settle(&going, allotment, wishes, bound, remap, &mut nothing_more)
}

fn numbers(settled: &Settled) -> Vec<u16> {
    settled.ports.values().copied().collect()
}

/// `start + port % 1000` would give both the same.
#[test]
fn ports_80_and_1080_have_numbers_of_their_own() {
    let wishes = [wish("web", 1, 80, Wanted::Any), wish("web", 1, 1080, Wanted::Any)];
    let (_, settled) = decide(&one_block(), &wishes, &[], false).unwrap();
    assert_eq!(numbers(&settled), [10_000, 10_001]);
}

#[test]
fn numbers_stay_whatever_comes_and_goes() {
    let wishes = [wish("b", 1, 80, Wanted::Any), wish("c", 1, 80, Wanted::Any)];
    let (allotment, first) = decide(&one_block(), &wishes, &[], false).unwrap();
    let more = [
        wish("a", 1, 80, Wanted::Any),
        wishes[1].clone(),
        wish("c", 2, 80, Wanted::Any),
    ];
    // Its own containers run: they are nobody else.
    let own = [bound(10_000, of_project("shop")), bound(10_001, of_project("shop"))];
    let (allotment, second) = decide(&allotment, &more, &own, false).unwrap();
    assert_eq!(second.ports[&wishes[1].key], first.ports[&wishes[1].key]);
    assert_eq!(numbers(&second), [10_002, 10_001, 10_003]);
    let (after, third) = decide(&allotment, &wishes, &[], false).unwrap();
    assert_eq!((after, third), (allotment, first), "b has its number again");
}

#[test]
fn what_somebody_else_has_is_passed_over() {
    let wishes = [wish("web", 1, 80, Wanted::Any)];
    let process = Holder::Process { process: None };
    let (allotment, settled) = decide(&one_block(), &wishes, &[bound(10_000, process.clone())], false).unwrap();
    assert_eq!(numbers(&settled), [10_001]);
    let (_, settled) = decide(&allotment, &wishes, &[bound(10_001, process)], false).unwrap();
    assert_eq!(numbers(&settled), [10_000], "taken meanwhile");
}

#[test]
fn conflicts_name_the_holder_and_what_is_free() {
    let wishes = [
        wish("api", 1, 80, Wanted::One(8080)),
        wish("web", 1, 80, Wanted::Any),
        wish("web", 1, 443, Wanted::One(8443)),
        wish("web", 2, 443, Wanted::One(8443)),
    ];
    let taken = [
        bound(8080, of_project("blog")),
        bound(10_000, Holder::Container { name: "x".to_owned() }),
    ];
    let conflicts = decide(&one_block(), &wishes, &taken, false).unwrap_err();
    let texts: Vec<String> = conflicts.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "port 8080/tcp of the host, which service api wants, is held by project blog (container blog-web-1); 10001 is free",
            "port 8443/tcp of the host, which service web wants, is held by container 1 of service web; 10003 is free",
        ]
    );
    let (allotment, settled) = decide(&one_block(), &wishes, &taken, true).unwrap();
    assert_eq!(numbers(&settled), [10_001, 10_002, 8443, 10_003]);
    assert_eq!(settled.remapped.len(), 2);
    let again = decide(&allotment, &wishes, &taken, false).unwrap();
    assert_eq!(again, (allotment.clone(), settled), "once remapped it needs no leave");
    let (allotment, settled) = decide(&allotment, &wishes[..3], &[], false).unwrap();
    assert_eq!(settled.ports[&wishes[0].key], 8080, "the fixed one is free again");
    assert_eq!(allotment.assigned(&wishes[0].key), None);
}

/// What goes gives its ports up; what stays is in the way, be it the project's own.
#[test]
fn own_containers_that_stay_keep_their_ports() {
    let wishes = [wish("web", 2, 80, Wanted::One(8080))];
    let mine = |container: &str| Holder::Service {
        project: "shop".to_owned(),
        service: "web".to_owned(),
        container: container.to_owned(),
    };
    assert!(decide(&one_block(), &wishes, &[bound(8080, mine("shop-web-1"))], false).is_ok());
    let staying = [bound(8080, mine("shop-web-3"))];
    let conflicts = decide(&one_block(), &wishes, &staying, false).unwrap_err();
    assert_eq!(
        conflicts[0].to_string(),
        "port 8080/tcp of the host, which service web wants, is held by project shop (container shop-web-3); 10000 is free"
    );
    let (_, settled) = decide(&one_block(), &wishes, &staying, true).unwrap();
    assert_eq!(numbers(&settled), [10_000]);
}

fn published(text: &str) -> PortWish {
    let port = ServicePort {
        target: 80,
        published: Some(text.to_owned()).filter(|text| !text.is_empty()),
        ..ServicePort::default()
    };
    PortWish::new("web", 1, &port)
}

#[test]
fn a_port_is_published_more_than_once() {
    let sorted = |wishes: &[PortWish]| -> Vec<(String, u16)> {
        let (_, settled) = decide(&one_block(), wishes, &[], false).unwrap();
        let ports = settled.ports.iter();
        ports.map(|(key, number)| (key.published.clone(), *number)).collect()
    };
    for (texts, expected) in [
        (&["8080", "8081"][..], &[("8080", 8080), ("8081", 8081)][..]),
        (&["", "8080"], &[("", 10_000), ("8080", 8080)]),
        (&["8080", ""], &[("", 10_000), ("8080", 8080)]),
        (&["8000-8001", ""], &[("", 10_000)]),
    ] {
        let wishes: Vec<PortWish> = texts.iter().map(|text| published(text)).collect();
        let expected: Vec<(String, u16)> = expected
            .iter()
            .map(|(text, number)| ((*text).to_owned(), *number))
            .collect();
        assert_eq!(sorted(&wishes), expected, "{texts:?}");
    }
}

/// A record that was written before ports were told apart by what is published.
#[test]
fn an_earlier_record_is_taken_over() {
    let json = r#"{"ranges":[{"first":10000,"last":10999}],
        "ports":[{"service":"web","number":1,"target":80,"protocol":"tcp","host_port":10007}]}"#;
    let record: Allotment = serde_json::from_str(json).unwrap();
    let taken = [bound(8080, of_project("blog"))];
    // It was remapped: it needs no leave now.
    let (after, settled) = decide(&record, &[published("8080")], &taken, false).unwrap();
    assert_eq!(numbers(&settled), [10_007]);
    assert_eq!(after.assigned(&published("8080").key), Some(10_007));
    assert_eq!(after.assigned(&published("").key), None);
    // It was left open: it stays so.
    let (_, settled) = decide(&record, &[published(""), published("8080")], &[], false).unwrap();
    assert_eq!(numbers(&settled), [10_007, 8080]);
    // It is written now and free: nothing is kept for it.
    let (after, settled) = decide(&record, &[published("8081")], &[], false).unwrap();
    assert_eq!((numbers(&settled), after.ports.len()), (vec![8081], 0));
}

#[test]
fn a_range_of_numbers_is_the_engine_s_to_choose_from() {
    let range = Wanted::Among(Ports {
        first: 8000,
        last: 8001,
    });
    let wishes: Vec<PortWish> = (1..=2).map(|number| wish("web", number, 80, range)).collect();
    let (_, settled) = decide(&one_block(), &wishes, &[], false).unwrap();
    assert_eq!(settled, Settled::default());
    let conflicts = decide(&one_block(), &wishes, &[bound(8000, of_project("blog"))], false).unwrap_err();
    assert_eq!(
        conflicts[0].to_string(),
        "each of the ports 8000-8001/tcp of the host, which service web wants, is held by project blog (container blog-web-1); 10000 is free"
    );
}

#[test]
fn addresses_and_protocols_are_apart_where_numbers_are_fixed() {
    let on = |address: &str, protocol: &str| PortWish {
        key: PortKey {
            address: address.to_owned(),
            protocol: protocol.to_owned(),
            ..key("web", 1, 80)
        },
        wanted: Wanted::One(80),
    };
    let wishes = [on("127.0.0.1", "tcp"), on("127.0.0.2", "tcp"), on("", "udp")];
    let (_, settled) = decide(&one_block(), &wishes, &[], false).unwrap();
    assert_eq!(numbers(&settled), [80, 80, 80]);
    let wishes = [on("127.0.0.1", "tcp"), on("", "tcp")];
    assert_eq!(decide(&one_block(), &wishes, &[], false).unwrap_err().len(), 1);
}

#[test]
fn a_full_block_is_followed_by_another_and_then_tidied() {
    let small = Allotment {
        ranges: vec![Ports {
            first: 10_000,
            last: 10_001,
        }],
        ..Allotment::default()
    };
    let [a, b, c] = ["a", "b", "c"].map(|service| wish(service, 1, 80, Wanted::Any));
    let (full, _) = decide(&small, &[a.clone(), b.clone()], &[], false).unwrap();
    let mut more = |has: &[Ports]| {
        assert_eq!(has.len(), 1);
        Some(Ports {
            first: 20_000,
            last: 20_001,
        })
    };
    let (wide, settled) = settle(&BTreeSet::new(), &full, &[b.clone(), c.clone()], &[], false, &mut more).unwrap();
    assert_eq!(numbers(&settled), [10_001, 20_000]);
    assert_eq!((wide.ranges.len(), wide.assigned(&a.key)), (2, Some(10_000)));
    let (tidy, settled) = decide(&full, &[b, c], &[], false).unwrap();
    assert_eq!(
        numbers(&settled),
        [10_001, 10_000],
        "what a had, when there is nothing more"
    );
    assert_eq!(tidy.assigned(&a.key), None);
    // No number left at all: the engine has to find one.
    let (_, settled) = decide(&Allotment::default(), &[a], &[], false).unwrap();
    assert_eq!(settled, Settled::default());
}

#[test]
fn records_read_back() {
    let wishes = [wish("web", 1, 80, Wanted::Any)];
    let (mut allotment, _) = decide(&one_block(), &wishes, &[], false).unwrap();
    allotment
        .subnets
        .insert("default".to_owned(), "10.89.0.0/24".parse().unwrap());
    let json = serde_json::to_string(&allotment).unwrap();
    assert_eq!(serde_json::from_str::<Allotment>(&json).unwrap(), allotment);
    assert!(json.contains(r#""host_port":10000"#), "{json}");
    assert_eq!(serde_json::from_str::<Allotment>("{}").unwrap(), Allotment::default());
}

/// Projects come and go; each wants some ports.
#[derive(Debug, Clone)]
enum Step {
    Open { project: u8 },
    Remove { project: u8 },
    Up { project: u8, targets: Vec<u16> },
}

fn step() -> impl Strategy<Value = Step> {
    let project = any::<u8>();
    prop_oneof![
        3 => project.prop_map(|project| Step::Open { project }),
        1 => project.prop_map(|project| Step::Remove { project }),
        3 => (project, proptest::collection::vec(1..200_u16, 0..40))
            .prop_map(|(project, targets)| Step::Up { project, targets }),
    ]
}

fn blocks(projects: &BTreeMap<u8, Allotment>) -> Vec<Ports> {
    projects
        .values()
        .flat_map(|allotment| allotment.ranges.clone())
        .collect()
}

proptest! {
    /// Whatever projects do, no two have a number in common, no two ports of one have, and what was given stays.
    #[test]
    fn no_number_is_anybody_else_s(steps in proptest::collection::vec(step(), 0..300)) {
        let mut projects: BTreeMap<u8, Allotment> = BTreeMap::new();
        for step in steps {
            match step {
                Step::Open { project } => {
                    if !projects.contains_key(&project) {
                        let ranges = block(&blocks(&projects), None).into_iter().collect();
                        projects.insert(project, Allotment { ranges, ..Allotment::default() });
                    }
                }
                Step::Remove { project } => drop(projects.remove(&project)),
                Step::Up { project, targets } => {
                    let Some(before) = projects.get(&project).cloned() else { continue };
                    let taken = blocks(&projects);
                    let mut more = |own: &[Ports]| block(&[taken.as_slice(), own].concat(), None);
                    let targets: BTreeSet<u16> = targets.into_iter().collect();
                    let wishes: Vec<PortWish> =
                        targets.iter().map(|target| wish("web", 1, *target, Wanted::Any)).collect();
                    let (after, settled) = settle(&BTreeSet::new(), &before, &wishes, &[], false, &mut more).unwrap();
                    let unique: BTreeSet<u16> = settled.ports.values().copied().collect();
                    prop_assert_eq!(unique.len(), targets.len());
                    for (key, number) in &settled.ports {
                        prop_assert!(after.contains(*number));
                        if let Some(given) = before.assigned(key) {
                            prop_assert_eq!(given, *number);
                        }
                    }
                    projects.insert(project, after);
                }
            }
            let mut all = blocks(&projects);
            all.sort_unstable();
            for pair in all.windows(2) {
                prop_assert!(!pair[0].overlaps(pair[1]), "{} and {}", pair[0], pair[1]);
            }
        }
    }

    /// Fixed numbers are as they are written or in conflict, and nobody is given one that is written.
    #[test]
    fn fixed_numbers_are_honoured(
        fixed in proptest::collection::vec(9_990..10_020_u16, 0..12),
        free in 0..30_u16,
        taken in proptest::collection::btree_set(9_990..10_040_u16, 0..20),
    ) {
        let mut wishes: Vec<PortWish> = fixed
            .iter()
            .enumerate()
            .map(|(index, number)| wish("fixed", u32::try_from(index).unwrap() + 1, 80, Wanted::One(*number)))
            .collect();
        wishes.extend((1..=free).map(|target| wish("free", 1, target, Wanted::Any)));
        let bound: Vec<Bound> = taken.iter().map(|port| bound(*port, of_project("blog"))).collect();
        let doubled = fixed.len() - fixed.iter().collect::<BTreeSet<_>>().len();
        let clash = doubled > 0 || fixed.iter().any(|number| taken.contains(number));
        prop_assert_eq!(decide(&one_block(), &wishes, &bound, false).is_err(), clash);
        let (_, settled) = decide(&one_block(), &wishes, &bound, true).unwrap();
        prop_assert_eq!(settled.ports.len(), wishes.len());
        let unique: BTreeSet<u16> = settled.ports.values().copied().collect();
        prop_assert_eq!(unique.len(), wishes.len());
        prop_assert!(unique.is_disjoint(&taken));
        for wish in &wishes {
            if let Wanted::One(number) = wish.wanted {
                let remapped = settled.remapped.iter().any(|remapped| remapped.wish == *wish);
                prop_assert_eq!(settled.ports[&wish.key] == number, !remapped);
            }
        }
    }
}
