#!/usr/bin/env bash
# Makes sure that a Docker engine is running. If there is none, installs docker.io and starts it,
# which requires root on Debian or Ubuntu.
#
#   engine.sh           starts an engine if none is running
#   engine.sh --check   fails if no engine is running
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

log=${LAYERS_DOCKERD_LOG:-/var/log/layers-dockerd.log}

engine_version() {
    timeout 20 docker version --format '{{.Server.Version}}' 2>/dev/null
}

# wait_for_engine PID: waits until the engine responds. Fails if the process ends, or after a minute.
# PID is empty if another program, such as systemd, manages the process.
wait_for_engine() {
    local deadline=$((SECONDS + 60))
    while [ "$SECONDS" -lt "$deadline" ]; do
        if engine_version >/dev/null; then
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
    # Debian 13 has the client in a separate package.
    have docker || apt_install docker-cli
    # Without systemd, the control groups may not be mounted.
    if [ ! -d /run/systemd/system ] && ! mountpoint -q /sys/fs/cgroup; then
        apt_install cgroupfs-mount
        cgroupfs-mount
    fi
}

start_dockerd() {
    if [ -d /run/systemd/system ]; then
        systemctl start docker || fail "\`systemctl start docker\` failed"
        wait_for_engine '' || fail "dockerd was started but does not respond" "journalctl -u docker"
        return
    fi
    echo "starting dockerd in the background; its log is $log"
    # A separate session, without the stdio of this script, so that closing the terminal does not end it.
    setsid dockerd >"$log" 2>&1 </dev/null &
    if ! wait_for_engine $!; then
        tail -n 15 "$log" >&2
        fail "dockerd does not respond" "read its log: $log"
    fi
}

if version=$(engine_version); then
    echo "Docker $version is running"
    exit 0
fi

hint="install and start Docker (https://docs.docker.com/engine/install/); as root on Debian or Ubuntu, \`make demo\` does this for you"
if have docker && [ -n "${DOCKER_HOST:-}" ]; then
    fail "cannot connect to the Docker engine at DOCKER_HOST" "start that engine, or unset DOCKER_HOST"
fi
if [ "${1:-}" = --check ]; then
    fail "cannot connect to a Docker engine" "$hint"
fi
can_apt || fail "cannot connect to a Docker engine" "$hint"
if ! have dockerd || ! have docker; then
    install_docker
fi
start_dockerd
echo "Docker $(engine_version) is running"
