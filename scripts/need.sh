# shellcheck shell=bash
# Sourced by the scripts beside it, whose function `tidy`, if they have one, is called at their end with their exit code.

# need PROGRAM PACKAGE [PROGRAM PACKAGE]...
# Installs the Debian packages of programs that are missing, where that is asked for (PEERD_INSTALL=1, or CI) and allowed.
# Ends the script with 69, as sysexits.h says for "unavailable", where they cannot be had: nothing was tried then, and
# nothing is wrong with peerd.
need() {
    local missing=()
    while (($# > 0)); do
        command -v "$1" >/dev/null || missing+=("$2")
        shift 2
    done
    if ((${#missing[@]} == 0)); then return; fi
    if [[ -z ${PEERD_INSTALL:-}${CI:-} ]]; then
        unavailable "missing: ${missing[*]}; install them, or say PEERD_INSTALL=1 to have that done"
    fi
    if ((EUID != 0)) || ! command -v apt-get >/dev/null; then
        unavailable "missing; install with: sudo apt-get install --no-install-recommends ${missing[*]}"
    fi
    echo "installing ${missing[*]}" >&2
    forbid_services
    # A list that cannot be fetched is no matter as long as another has the packages.
    apt-get update -qq >&2 || true
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" >&2 ||
        unavailable "cannot be installed from here: ${missing[*]}"
    allow_services
}

unavailable() {
    echo "$1" >&2
    nothing_was_tried=1
    exit 69
}

# What is installed to be tried is not to be started as a service of this machine. A policy that is there already is
# somebody's decision, and stays.
forbid_services() {
    if [[ -e $policy || -L $policy ]]; then return; fi
    our_policy=1
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
}

allow_services() {
    if [[ -n $our_policy ]]; then rm -f -- "$policy"; fi
    our_policy=
}

# A program of ours may end with 69 as well; that is a failure like any other.
ending() {
    local code=$?
    if declare -F tidy >/dev/null; then tidy "$code"; fi
    allow_services
    if ((code == 69)) && [[ -z $nothing_was_tried ]]; then
        echo "a command ended with 69 (unavailable)" >&2
        code=1
    fi
    exit "$code"
}

policy=/usr/sbin/policy-rc.d
our_policy=
nothing_was_tried=
trap ending EXIT
