// SPDX-License-Identifier: MIT
//! Tables for the life of a container.

use super::*;

const RULES: Rules = Rules {
    restart: RestartPolicy::Never,
    auto_remove: false,
    stop_signal: None,
};

fn exit(code: i32, at_seconds: i64) -> Event {
    Event::Exited(ExitRecord {
        code,
        finished_at_ns: at_seconds * 1_000_000_000,
        out_of_memory: false,
    })
}

fn running(rules: Rules) -> Life {
    let mut life = Life::default();
    step(&mut life, rules, Event::StartRequested).expect("start");
    step(
        &mut life,
        rules,
        Event::Launched {
            pid: 7,
            at: Timestamp(0),
        },
    )
    .expect("launched");
    life
}

#[test]
fn plain_life() {
    let mut life = Life::default();
    assert_eq!(step(&mut life, RULES, Event::StartRequested), Ok(vec![Action::Launch]));
    assert_eq!(step(&mut life, RULES, Event::StartRequested), Err(Refusal::NotModified));
    assert_eq!(
        step(
            &mut life,
            RULES,
            Event::Launched {
                pid: 7,
                at: Timestamp(0)
            }
        ),
        Ok(vec![Action::Persist, Action::Publish("start")])
    );
    assert_eq!((life.state.phase, life.state.pid), (Phase::Running, 7));
    assert_eq!(
        step(&mut life, RULES, exit(3, 1)),
        Ok(vec![
            Action::Disconnected,
            Action::Publish("die"),
            Action::Persist,
            Action::ReleaseRun
        ])
    );
    assert_eq!(
        (life.state.phase, life.state.exit_code, life.state.pid),
        (Phase::Exited, 3, 0)
    );
    assert_eq!(step(&mut life, RULES, Event::StartRequested), Ok(vec![Action::Launch]));
}

#[test]
fn events_that_a_phase_refuses() {
    let at = |phase| Life {
        state: ContainerState {
            phase,
            ..Default::default()
        },
        ..Default::default()
    };
    let stop = || Event::StopRequested {
        signal: None,
        patience: None,
    };
    let kill = || Event::KillRequested { signal: Signal::HUP };
    let remove = || Event::RemoveRequested { force: false };
    for (phase, event, refusal) in [
        (Phase::Running, Event::StartRequested, Refusal::NotModified),
        (Phase::Paused, Event::StartRequested, Refusal::Paused),
        (Phase::Removing, Event::StartRequested, Refusal::Removing),
        (Phase::Dead, Event::StartRequested, Refusal::Dead),
        (Phase::Created, stop(), Refusal::NotModified),
        (Phase::Exited, stop(), Refusal::NotModified),
        (Phase::Created, kill(), Refusal::NotRunning),
        (Phase::Exited, kill(), Refusal::NotRunning),
        (Phase::Running, remove(), Refusal::Running),
        (Phase::Paused, remove(), Refusal::RunningPaused),
        (Phase::Restarting, remove(), Refusal::Running),
    ] {
        let mut life = at(phase);
        let before = life.clone();
        assert_eq!(
            step(&mut life, RULES, event.clone()),
            Err(refusal),
            "{phase:?} {event:?}"
        );
        assert_eq!(life, before, "a refused event changes nothing: {phase:?} {event:?}");
    }
}

#[test]
fn stop_escalates() {
    let mut life = running(RULES);
    let patience = Duration::from_secs(10);
    assert_eq!(
        step(
            &mut life,
            RULES,
            Event::StopRequested {
                signal: None,
                patience: Some(patience)
            }
        ),
        Ok(vec![Action::Signal(Signal::TERM), Action::ArmPatience(patience)])
    );
    assert_eq!(step(&mut life, RULES, Event::PatienceOver), Ok(vec![Action::KillAll]));
    step(&mut life, RULES, exit(137, 1)).expect("exit");
    assert_eq!(step(&mut life, RULES, Event::PatienceOver), Ok(vec![]));
}

#[test]
fn a_stop_without_patience_lets_the_polite_signal_arrive() {
    let mut life = running(RULES);
    let at_once = Event::StopRequested {
        signal: None,
        patience: Some(Duration::ZERO),
    };
    assert_eq!(
        step(&mut life, RULES, at_once),
        Ok(vec![
            Action::Signal(Signal::TERM),
            Action::ArmPatience(SHORTEST_PATIENCE)
        ])
    );
    assert_eq!(step(&mut life, RULES, Event::PatienceOver), Ok(vec![Action::KillAll]));
}

#[test]
fn stop_of_a_frozen_container_thaws_it() {
    let mut life = running(RULES);
    step(&mut life, RULES, Event::Paused).expect("pause");
    let actions = step(
        &mut life,
        RULES,
        Event::StopRequested {
            signal: Some(Signal::INT),
            patience: None,
        },
    )
    .expect("stop");
    assert_eq!(actions, vec![Action::Thaw, Action::Signal(Signal::INT)]);
}

#[test]
fn restart_policy_decides_after_an_exit() {
    let on_failure = |maximum_retries| RestartPolicy::OnFailure { maximum_retries };
    for (policy, code, restarts) in [
        (RestartPolicy::Never, 1, false),
        (RestartPolicy::Always, 0, true),
        (RestartPolicy::UnlessStopped, 0, true),
        (on_failure(0), 0, false),
        (on_failure(0), 1, true),
        (on_failure(3), 1, true),
    ] {
        let rules = Rules {
            restart: policy,
            ..RULES
        };
        let mut life = running(rules);
        let actions = step(&mut life, rules, exit(code, 1)).expect("exit");
        assert_eq!(
            actions.contains(&Action::ArmRestart(FIRST_BACKOFF)),
            restarts,
            "{policy:?} {code}"
        );
        assert_eq!(
            life.state.phase,
            if restarts { Phase::Restarting } else { Phase::Exited }
        );
    }
}

#[test]
fn back_off_doubles_and_a_stable_run_resets_it() {
    let rules = Rules {
        restart: RestartPolicy::Always,
        ..RULES
    };
    let mut life = running(rules);
    let mut pauses = Vec::new();
    for ran_seconds in [1, 1, 1, 20, 1] {
        life.state.started_at = Some(Timestamp(0));
        for action in step(&mut life, rules, exit(1, ran_seconds)).expect("exit") {
            if let Action::ArmRestart(pause) = action {
                pauses.push(pause.as_millis());
            }
        }
        assert_eq!(step(&mut life, rules, Event::RestartDue), Ok(vec![Action::Launch]));
        step(
            &mut life,
            rules,
            Event::Launched {
                pid: 1,
                at: Timestamp(0),
            },
        )
        .expect("launched");
    }
    assert_eq!(pauses, [100, 200, 400, 100, 200]);
    assert_eq!(life.state.restart_count, 5);
}

#[test]
fn on_failure_gives_up() {
    let rules = Rules {
        restart: RestartPolicy::OnFailure { maximum_retries: 2 },
        ..RULES
    };
    let mut life = running(rules);
    for expected in [Phase::Restarting, Phase::Restarting, Phase::Exited] {
        step(&mut life, rules, exit(1, 1)).expect("exit");
        assert_eq!(life.state.phase, expected);
        step(&mut life, rules, Event::RestartDue).expect("due");
        if life.launching {
            step(
                &mut life,
                rules,
                Event::Launched {
                    pid: 1,
                    at: Timestamp(0),
                },
            )
            .expect("launched");
        }
    }
}

#[test]
fn stop_by_hand_beats_the_policy() {
    let rules = Rules {
        restart: RestartPolicy::Always,
        ..RULES
    };
    let mut life = running(rules);
    step(
        &mut life,
        rules,
        Event::StopRequested {
            signal: None,
            patience: None,
        },
    )
    .expect("stop");
    let actions = step(&mut life, rules, exit(143, 1)).expect("exit");
    assert_eq!(
        actions,
        vec![
            Action::Disconnected,
            Action::Publish("stop"),
            Action::Publish("die"),
            Action::Persist,
            Action::ReleaseRun
        ]
    );
    assert!(life.state.manually_stopped);
    let mut waiting = running(rules);
    step(&mut waiting, rules, exit(1, 1)).expect("exit");
    step(
        &mut waiting,
        rules,
        Event::StopRequested {
            signal: None,
            patience: None,
        },
    )
    .expect("stop");
    assert_eq!(waiting.state.phase, Phase::Exited);
    assert_eq!(step(&mut waiting, rules, Event::RestartDue), Ok(vec![]));
}

#[test]
fn restart_launches_again_at_once() {
    let mut life = running(RULES);
    step(
        &mut life,
        RULES,
        Event::RestartRequested {
            signal: None,
            patience: None,
        },
    )
    .expect("restart");
    let actions = step(&mut life, RULES, exit(143, 1)).expect("exit");
    assert_eq!(
        actions,
        vec![
            Action::Disconnected,
            Action::Publish("stop"),
            Action::Publish("die"),
            Action::Persist,
            Action::ReleaseRun,
            Action::Launch
        ]
    );
}

#[test]
fn removal() {
    let rules = Rules {
        auto_remove: true,
        ..RULES
    };
    let mut life = running(rules);
    assert_eq!(
        step(&mut life, rules, exit(0, 1)).expect("exit").last(),
        Some(&Action::AutoRemove)
    );

    let mut forced = running(RULES);
    assert_eq!(
        step(&mut forced, RULES, Event::RemoveRequested { force: true }),
        Ok(vec![Action::KillAll])
    );
    assert_eq!(
        step(&mut forced, RULES, exit(137, 1)).expect("exit").last(),
        Some(&Action::Remove)
    );

    let mut created = Life::default();
    assert_eq!(
        step(&mut created, RULES, Event::RemoveRequested { force: false }),
        Ok(vec![Action::Remove])
    );
}

#[test]
fn failed_launch() {
    let mut life = Life::default();
    step(&mut life, RULES, Event::StartRequested).expect("start");
    let failed = || Event::LaunchFailed {
        exit_code: 127,
        error: "no".to_owned(),
    };
    assert_eq!(
        step(&mut life, RULES, failed()),
        Ok(vec![Action::Disconnected, Action::Persist, Action::ReleaseRun])
    );
    assert_eq!((life.state.phase, life.state.exit_code), (Phase::Created, 127));

    let rules = Rules {
        auto_remove: true,
        ..RULES
    };
    let mut life = Life::default();
    step(&mut life, rules, Event::StartRequested).expect("start");
    assert_eq!(
        step(&mut life, rules, failed()).expect("failed").last(),
        Some(&Action::AutoRemove)
    );
}

#[test]
fn a_restart_that_fails_is_the_last_one() {
    let rules = Rules {
        restart: RestartPolicy::Always,
        ..RULES
    };
    let failed = || Event::LaunchFailed {
        exit_code: 127,
        error: "no".to_owned(),
    };
    let mut life = running(rules);
    step(&mut life, rules, exit(6, 1)).expect("exit");
    step(&mut life, rules, Event::RestartDue).expect("due");
    let actions = step(&mut life, rules, failed()).expect("failed");
    assert_eq!(actions, [Action::Disconnected, Action::Persist, Action::ReleaseRun]);
    let state = &life.state;
    assert_eq!(
        (state.phase, state.exit_code, state.error.as_str()),
        (Phase::Exited, 6, "no")
    );
}

#[test]
fn what_comes_back_with_the_daemon_is_tried_again() {
    let rules = Rules {
        restart: RestartPolicy::OnFailure { maximum_retries: 2 },
        ..RULES
    };
    let mut life = running(rules);
    life.state.phase = Phase::Restarting;
    life.reviving = true;
    for expected in [Phase::Restarting, Phase::Restarting, Phase::Exited] {
        step(&mut life, rules, Event::RestartDue).expect("due");
        let failed = Event::LaunchFailed {
            exit_code: 128,
            error: "no".to_owned(),
        };
        step(&mut life, rules, failed).expect("failed");
        assert_eq!(life.state.phase, expected);
    }
    assert_eq!(life.state.restart_count, 2);
}

#[test]
fn the_way_a_run_ends_decides_what_is_told() {
    let stop = || Event::StopRequested {
        signal: None,
        patience: None,
    };
    let kill = || Event::KillRequested { signal: Signal::KILL };
    let remove = || Event::RemoveRequested { force: true };
    for (event, stopped) in [(stop(), true), (kill(), false), (remove(), false)] {
        let mut life = running(RULES);
        step(&mut life, RULES, event.clone()).expect("accepted");
        let actions = step(&mut life, RULES, exit(137, 1)).expect("exit");
        assert_eq!(actions.contains(&Action::Publish("stop")), stopped, "{event:?}");
        assert!(life.state.manually_stopped, "{event:?}");
    }
}

/// What Docker Engine does: any signal by hand ends the restarts of a container without a stop signal of its own; of one that has
/// one, only that signal and `SIGKILL` do, but a container that is to run unless it was stopped counts as stopped by hand.
#[test]
fn signals_by_hand_and_policies() {
    let own = Some(Signal::TERM);
    let (always, unless) = (RestartPolicy::Always, RestartPolicy::UnlessStopped);
    for (restart, stop_signal, signal, again) in [
        (always, None, Signal::HUP, false),
        (always, None, Signal::KILL, false),
        (always, own, Signal::HUP, true),
        (always, own, Signal::TERM, false),
        (always, own, Signal::KILL, false),
        (unless, own, Signal::HUP, false),
    ] {
        let rules = Rules {
            restart,
            stop_signal,
            ..RULES
        };
        let kill = || Event::KillRequested { signal };
        let mut life = running(rules);
        step(&mut life, rules, kill()).expect("kill");
        assert!(life.state.manually_stopped);
        step(&mut life, rules, exit(1, 1)).expect("exit");
        let phase = if again { Phase::Restarting } else { Phase::Exited };
        assert_eq!(life.state.phase, phase, "{restart:?} {stop_signal:?} {signal}");

        // Between two runs.
        let mut life = running(rules);
        step(&mut life, rules, exit(1, 1)).expect("exit");
        step(&mut life, rules, kill()).expect("kill");
        let waits = !rules.ends_with(signal);
        let phase = if waits { Phase::Restarting } else { Phase::Exited };
        assert_eq!(life.state.phase, phase, "{restart:?} {stop_signal:?} {signal}");

        // A start by hand forgets all of it.
        life.state.phase = Phase::Exited;
        step(&mut life, rules, Event::StartRequested).expect("start");
        assert!(!life.state.manually_stopped && !life.restarts_cancelled);
    }
}

#[test]
fn start_and_restart_between_two_runs() {
    let rules = Rules {
        restart: RestartPolicy::Always,
        ..RULES
    };
    let mut life = running(rules);
    step(&mut life, rules, exit(1, 1)).expect("exit");
    assert_eq!(step(&mut life, rules, Event::StartRequested), Err(Refusal::NotModified));
    let restart = Event::RestartRequested {
        signal: None,
        patience: None,
    };
    let actions = step(&mut life, rules, restart);
    assert_eq!(actions, Ok(vec![Action::Publish("stop"), Action::Launch]));
    assert_eq!((life.state.restart_count, life.launching), (0, true));
}

#[test]
fn kill_hurries_a_restart_and_stop_ends_it() {
    let restart = || Event::RestartRequested {
        signal: None,
        patience: None,
    };
    let mut life = running(RULES);
    step(&mut life, RULES, restart()).expect("restart");
    step(&mut life, RULES, Event::KillRequested { signal: Signal::KILL }).expect("kill");
    let actions = step(&mut life, RULES, exit(137, 1)).expect("exit");
    assert_eq!(actions.last(), Some(&Action::Launch));

    let mut life = running(RULES);
    step(&mut life, RULES, restart()).expect("restart");
    let stop = Event::StopRequested {
        signal: None,
        patience: None,
    };
    step(&mut life, RULES, stop).expect("stop");
    let actions = step(&mut life, RULES, exit(143, 1)).expect("exit");
    assert!(!actions.contains(&Action::Launch));
}

#[test]
fn kills_for_want_of_memory_are_told_when_they_happen_and_once() {
    let tells = || vec![Action::Persist, Action::Publish("oom")];
    let mut life = running(RULES);
    for _ in 0..2 {
        assert_eq!(step(&mut life, RULES, Event::MemoryKilled), Ok(tells()));
        assert!(life.state.out_of_memory && life.state.phase == Phase::Running);
    }
    let end = |out_of_memory| {
        Event::Exited(ExitRecord {
            code: 137,
            finished_at_ns: 1_000_000_000,
            out_of_memory,
        })
    };
    let untold = Action::Publish("oom");
    // The end of the run repeats nothing, and forgets nothing.
    for said in [true, false] {
        let mut life = life.clone();
        let actions = step(&mut life, RULES, end(said)).expect("an end");
        assert!(!actions.contains(&untold) && life.state.out_of_memory);
        assert_eq!(
            step(&mut life, RULES, Event::MemoryKilled),
            Ok(Vec::new()),
            "it is over"
        );
    }
    // One that nobody saw is told by the end.
    let mut life = running(RULES);
    let actions = step(&mut life, RULES, end(true)).expect("an end");
    assert_eq!(actions.first(), Some(&untold));
}

#[test]
fn health_over_pauses_and_runs() {
    let mut life = running(RULES);
    let probe = super::super::HealthProbe {
        started_at: Timestamp(0),
        ended_at: Timestamp(0),
        exit_code: 0,
        output: String::new(),
    };
    life.state.health = Some(super::super::HealthState {
        status: HealthStatus::Healthy,
        failing_streak: 2,
        log: [probe].into(),
    });
    let shown = |life: &Life| {
        let health = life.state.health.as_ref().expect("there is a check");
        (health.status, health.failing_streak, health.log.len())
    };
    step(&mut life, RULES, Event::Paused).expect("pause");
    assert_eq!(shown(&life), (HealthStatus::Unhealthy, 2, 1), "nobody checks it");
    step(&mut life, RULES, Event::Unpaused).expect("unpause");
    step(&mut life, RULES, exit(0, 1)).expect("exit");
    assert_eq!(shown(&life), (HealthStatus::Unhealthy, 2, 1), "nobody checks it");
    step(&mut life, RULES, Event::StartRequested).expect("start");
    let launched = Event::Launched {
        pid: 8,
        at: Timestamp(2),
    };
    step(&mut life, RULES, launched).expect("launched");
    assert_eq!(shown(&life), (HealthStatus::Starting, 0, 1), "the log stays");
}
