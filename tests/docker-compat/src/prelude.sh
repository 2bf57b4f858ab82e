# What every step may use. Conditions are waited for, with the last answer as the reason when they never hold.
wait_until() {
  tries=0
  until "$@" >"$DIR/.wait" 2>&1; do
    tries=$((tries + 1))
    if [ "$tries" -ge 200 ]; then
      echo "never true: $*" >&2
      cat "$DIR/.wait" >&2
      return 99
    fi
    sleep 0.05
  done
}
has_state() { [ "$(docker inspect --format "{{.State.Status}}" "$1")" = "$2" ]; }
has_health() { [ "$(docker inspect --format "{{.State.Health.Status}}" "$1")" = "$2" ]; }
has_logged() { docker logs "$1" 2>&1 | grep -q -e "$2"; }
wait_state() { wait_until has_state "$@"; }
wait_health() { wait_until has_health "$@"; }
wait_log() { wait_until has_logged "$@"; }
