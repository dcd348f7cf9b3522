#!/usr/bin/env bash
# Makes sure that an engine answers: uses the one that is there; else, as root on Debian or Ubuntu,
# installs docker.io and starts it.
#
#   engine.sh           makes sure
#   engine.sh --check   only looks
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

log=${LAYERS_DOCKERD_LOG:-/var/log/layers-dockerd.log}

answers() {
    timeout 20 docker version --format '{{.Server.Version}}' 2>/dev/null
}

# wait_for_engine PID: until it answers, or the process is gone, or a minute has passed. PID is
# empty where something else looks after the process.
wait_for_engine() {
    local deadline=$((SECONDS + 60))
    while [ "$SECONDS" -lt "$deadline" ]; do
        if answers >/dev/null; then
            return 0
        fi
        if [ -n "$1" ] && ! kill -0 "$1" 2>/dev/null; then
            return 1
        fi
        sleep 0.5
    done
    return 1
}

install_docker() {
    apt_install docker.io ca-certificates
    # Debian 13 ships the client apart from the daemon.
    have docker || apt_install docker-cli
    # A machine without systemd may have nobody who mounts the control groups.
    if [ ! -d /run/systemd/system ] && ! mountpoint -q /sys/fs/cgroup; then
        apt_install cgroupfs-mount
        cgroupfs-mount
    fi
}

start_dockerd() {
    if [ -d /run/systemd/system ]; then
        systemctl start docker || fail "\`systemctl start docker\` failed"
        wait_for_engine '' || fail "docker was started but does not answer" "journalctl -u docker"
        return
    fi
    echo "starting dockerd in the background; its log is $log"
    # Its own session, and no open end to this script: it stays when the terminal closes.
    setsid dockerd >"$log" 2>&1 </dev/null &
    if ! wait_for_engine $!; then
        tail -n 15 "$log" >&2
        fail "dockerd does not answer" "its whole log is $log"
    fi
}

if version=$(answers); then
    echo "docker $version answers"
    exit 0
fi

hint="install Docker (https://docs.docker.com/engine/install/) and start it; as root on Debian or Ubuntu \`make demo\` does so by itself"
if have docker && [ -n "${DOCKER_HOST:-}" ]; then
    fail "no engine answers at DOCKER_HOST" "start that engine, or unset DOCKER_HOST"
fi
if [ "${1:-}" = --check ]; then
    fail "no engine answers" "$hint"
fi
can_apt || fail "no engine answers" "$hint"
if ! have dockerd || ! have docker; then
    install_docker
fi
start_dockerd
echo "docker $(answers) answers"
