#!/usr/bin/env bash
# Two people and three ticks, with mosquitto's tools alone. For a group, see group.sh.
#
#   examples/mosquitto.sh [HOST [PORT]]        against a server in --dev mode, such as `make run`
set -euo pipefail

host=${1:-127.0.0.1}
port=${2:-1883}
# Names of their own for each run, so that it can be repeated on the same server.
run=${RUN:-$(date +%s)}
anna=anna-$run ben=ben-$run
chat=$anna~$ben

as() { # USER TOOL ARGS…: a tool as a user's phone
    local user=$1 tool=$2
    shift 2
    "$tool" -h "$host" -p "$port" -u "$user" -i "$user-phone" -q 1 "$@"
}

echo "-- anna's phone subscribes to receipts, with a session that is kept (-c)"
as "$anna" mosquitto_sub -c -t 'chats/+/receipts' -E

echo "-- one tick: the PUBACK. With an id of her own, it can be sent again and is never there twice"
id=$(cat /proc/sys/kernel/random/uuid)
for _ in 1 2; do
    as "$anna" mosquitto_rr -V 311 -W 5 -c -e me/acks -t "users/$ben/send/$id" -m 'are you there?'
done

echo "-- two ticks: ben's phone takes the message, and its PUBACK says so"
as "$ben" mosquitto_sub -c -t 'chats/+/messages' -C 1 -W 5
as "$anna" mosquitto_sub -c -t 'chats/+/receipts' -C 1 -W 5

echo "-- blue ticks: ben says that he has read up to the first"
as "$ben" mosquitto_pub -c -t "chats/$chat/read" -m 1
as "$anna" mosquitto_sub -c -t 'chats/+/receipts' -C 1 -W 5
