# shellcheck shell=bash
# Sourced by the scripts beside it.

# need PROGRAM PACKAGE [PROGRAM PACKAGE]...
# Installs the Debian packages of programs that are missing, where that is allowed. Ends the script with 69, as
# sysexits.h says for "unavailable", where they cannot be had: nothing was tried then, and nothing is wrong with peerd.
need() {
    local missing=()
    while (($# > 0)); do
        command -v "$1" >/dev/null || missing+=("$2")
        shift 2
    done
    if ((${#missing[@]} == 0)); then return; fi
    if ((EUID != 0)) || ! command -v apt-get >/dev/null; then
        echo "missing; install with: sudo apt-get install --no-install-recommends ${missing[*]}" >&2
        exit 69
    fi
    echo "installing ${missing[*]}" >&2
    # RUNLEVEL: what is installed to be tried is not to be started as a service of this machine.
    if ! { apt-get update -qq &&
        DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -qq -y --no-install-recommends "${missing[@]}"; } >&2; then
        echo "cannot be installed from here: ${missing[*]}" >&2
        exit 69
    fi
}
