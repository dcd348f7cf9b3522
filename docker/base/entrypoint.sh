#!/bin/sh
# Activates the virtual environment, then becomes the program that it is given: signals reach that
# program and its exit code is the container's.
set -eu
# shellcheck source=/dev/null
. /opt/venv/bin/activate
exec "$@"
