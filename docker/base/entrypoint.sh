#!/bin/sh
# Activates the virtual environment and replaces this process with the given program, so that signals
# reach the program and its exit code is the container's.
set -eu
# shellcheck source=/dev/null
. /opt/venv/bin/activate
exec "$@"
