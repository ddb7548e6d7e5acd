#!/usr/bin/env bash
# A group conversation with mosquitto's tools alone: from its creation to the blue ticks.
#
#   examples/group.sh [HOST [PORT]]        against a server in --dev mode, such as `make run`
#
# Every device here comes for a moment and goes again: what it missed waits for it.
set -euo pipefail

host=${1:-127.0.0.1}
port=${2:-1883}
# A name of its own for each run, so that it can be repeated on the same server.
run=${RUN:-$(date +%s)}
anna=anna-$run ben=ben-$run cleo=cleo-$run

as() { # USER TOOL ARGS…: a tool as a user's phone, with a session that is kept
    local user=$1 tool=$2
    shift 2
    "$tool" -h "$host" -p "$port" -V 5 -u "$user" -i "$user-phone" -q 1 "$@"
}

ask() { # USER METHOD JSON: a request and its answer
    as "$1" mosquitto_rr -W 5 -D CONNECT session-expiry-interval 3600 \
        -e me/replies/ask -D PUBLISH correlation-data "$RANDOM$RANDOM" -t "rpc/$2" -m "$3"
}

say() { # USER CHAT TEXT
    as "$1" mosquitto_pub -x 3600 -c -t "chats/$2/send" -m "$3"
}

hear() { # USER FILTER COUNT
    as "$1" mosquitto_sub -x 3600 -c -t "$2" -C "$3" -W 5
}

echo "-- $ben subscribes once, for all chats he will be in"
as "$ben" mosquitto_sub -x 3600 -c -t 'chats/+/messages' -E
as "$anna" mosquitto_sub -x 3600 -c -t 'chats/+/receipts' -E

echo "-- $anna makes a group with $ben"
answer=$(ask "$anna" groups.create "{\"title\":\"Picnic\",\"members\":[\"$ben\"]}")
echo "$answer"
chat=$(sed 's/.*"chat":"\([^"]*\)".*/\1/' <<<"$answer")

echo "-- $anna writes, and $cleo joins"
say "$anna" "$chat" 'Sunday at noon?'
ask "$anna" groups.add "{\"chat\":\"$chat\",\"members\":[\"$cleo\"]}"
say "$anna" "$chat" 'I bring the cake'

echo "-- $ben was away: he gets all of it, in order"
hear "$ben" 'chats/+/messages' 4

echo "-- $cleo gets what was said since she joined"
hear "$cleo" 'chats/+/messages' 2

echo "-- $ben reacts and has read it; so has $cleo"
as "$ben" mosquitto_pub -x 3600 -c -t "chats/$chat/react/4" -m '🍰'
as "$ben" mosquitto_pub -x 3600 -c -t "chats/$chat/read" -m 4
as "$cleo" mosquitto_pub -x 3600 -c -t "chats/$chat/read" -m 4

echo "-- $anna sees the blue ticks"
hear "$anna" 'chats/+/receipts' 2
ask "$anna" chats.info "{\"chat\":\"$chat\"}"
