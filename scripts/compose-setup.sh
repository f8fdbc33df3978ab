#!/usr/bin/env bash
# Makes what compose.yaml needs, once: ./secrets and .env. Never overwrites a secret.
#   scripts/compose-setup.sh auth.example.com
set -euo pipefail
cd "$(dirname "$0")/.."

domain="${1:-}"
case "$domain" in
"" | *[!a-zA-Z0-9.-]* | *..* | .* | -*)
    echo "usage: scripts/compose-setup.sh HOST.NAME   (as in auth.example.com, without https://)" >&2
    exit 2
    ;;
*.*) ;;
*)
    echo "scripts/compose-setup.sh: '$domain' is not a public host name" >&2
    exit 2
    ;;
esac

umask 077
# The folder keeps others on this machine out; the files themselves must be readable for the accounts that the
# containers run as.
mkdir -p secrets
random() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }
write() {
    if [ -e "secrets/$1" ]; then
        echo "kept   secrets/$1"
    else
        printf '%s' "$2" >"secrets/$1"
        chmod 644 "secrets/$1"
        echo "made   secrets/$1"
    fi
}

write postgres_password "$(random)"
write database_url "postgres://portcullis:$(cat secrets/postgres_password)@postgres:5432/portcullis"
write master_key "$(random)"

if [ -e .env ] && grep -q '^DOMAIN=' .env; then
    if ! grep -qx "DOMAIN=$domain" .env; then
        echo "scripts/compose-setup.sh: .env names another host; changing it makes every client connect again, so do it by hand" >&2
        exit 1
    fi
    echo "kept   .env"
else
    echo "DOMAIN=$domain" >>.env
    echo "made   .env"
fi
echo "Back up secrets/master_key and the database, apart from each other. Then: docker compose up --detach --build"
