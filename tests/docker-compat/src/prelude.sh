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

# Starts a registry on loopback; the file `registry` has its host and port. With `password` it asks for user and secret.
start_registry() {
  auth=
  if [ "$1" = password ]; then
    echo 'user:$2b$04$Qtz7dAZ5iJEAxHkaRQUxa.lnVCKEwcuuqnXyLJDpg9eDLswW1paVy' >"$DIR/.htpasswd"
    auth="{htpasswd: {realm: cases, path: $DIR/.htpasswd}}"
  fi
  cat >"$DIR/.registry.yml" <<CONFIGURATION
version: 0.1
storage: {filesystem: {rootdirectory: $DIR/.registry}, delete: {enabled: true}}
http: {addr: "127.0.0.1:0", secret: cases}
auth: $auth
CONFIGURATION
  setsid docker-registry serve "$DIR/.registry.yml" </dev/null >"$DIR/.registry.log" 2>&1 &
  echo $! >"$DIR/.registry.pid"
  wait_until grep -q 'listening on' "$DIR/.registry.log"
  sed -n 's/.*listening on \([0-9.:]*\).*/\1/p' "$DIR/.registry.log" >registry
}
end_registry() { kill "$(cat "$DIR/.registry.pid")"; }
# Serves the directory `www` by HTTP on loopback; the file `server` has its host and port.
start_server() {
  setsid "$PYTHON" -u -m http.server 0 --bind 127.0.0.1 --directory www </dev/null >"$DIR/.server.log" 2>&1 &
  echo $! >"$DIR/.server.pid"
  wait_until grep -q 'Serving HTTP' "$DIR/.server.log"
  sed -n 's/.* on \([0-9.]*\) port \([0-9]*\) .*/\1:\2/p' "$DIR/.server.log" >server
}
end_server() { kill "$(cat "$DIR/.server.pid")"; }
