#!/bin/sh
# Checks the health of the shop and prints the result as one line of JSON.
#
#   agent once     checks once and fails if the shop is not healthy
#   agent watch    checks every INTERVAL seconds until it is stopped
set -eu

# connect: prints how many milliseconds connecting to the shop's port takes, or nothing if it fails.
connect() {
    address=${SHOP_URL#*://}
    address=${address%%/*}
    case $address in
    *:*) probe "${address%:*}" "${address##*:}" || : ;;
    *) probe "$address" 80 || : ;;
    esac
}

check() {
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
    check
    ;;
watch)
    # Without a trap, SIGTERM has no effect on the first process of a container.
    trap 'exit 0' TERM INT
    while :; do
        check || :
        sleep "$INTERVAL" &
        wait $!
    done
    ;;
*)
    echo "usage: agent once|watch" >&2
    exit 2
    ;;
esac
