#!/bin/sh
# Asks the shop whether it is well and writes the answer as one line of JSON.
#
#   agent once     asks once; the exit code is the answer
#   agent watch    asks every INTERVAL seconds, for ever
set -eu

# connect: how many milliseconds it takes to reach the shop's port, or nothing.
connect() {
    address=${SHOP_URL#*://}
    address=${address%%/*}
    case $address in
    *:*) probe "${address%:*}" "${address##*:}" || : ;;
    *) probe "$address" 80 || : ;;
    esac
}

ask() {
    if code=$(curl --silent --show-error --max-time 5 --output /dev/null \
        --write-out '%{http_code}' "$SHOP_URL/health" 2>/tmp/agent-error); then
        error=
    else
        error=$(cat /tmp/agent-error)
    fi
    jq --null-input --compact-output \
        --arg url "$SHOP_URL" --arg code "$code" --arg error "$error" --arg connect "$(connect)" \
        '{url: $url, code: ($code | tonumber), well: ($code == "200"), error: $error,
          connect_ms: ($connect | tonumber? // null)}'
    [ "$code" = 200 ]
}

case "${1:-}" in
once)
    ask
    ;;
watch)
    # The first process of a container gets no default action for SIGTERM.
    trap 'exit 0' TERM INT
    while :; do
        ask || :
        sleep "$INTERVAL" &
        wait $!
    done
    ;;
*)
    echo "usage: agent once|watch" >&2
    exit 2
    ;;
esac
