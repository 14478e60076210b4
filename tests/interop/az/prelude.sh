# What all labs of this folder stand on. To type a lab by hand, in any POSIX shell:
#
#     sealbook cloud exec --as app -- sh
#     . tests/interop/az/prelude.sh
#
# and then the lab's commands, one after the other. The lines that start with `#=` say what must come of the command
# above them; ../az_labs.py explains them, and runs the labs.

# The region of every lab, a suffix for names that must be unique in the world, and a folder for files.
: "${REGION:=italynorth}"
: "${SUFFIX:=$(od -An -N4 -tx1 /dev/urandom | tr -d ' \n')}"
: "${WORK:=$(mktemp -d)}"

# How often a command is tried, a second apart, before it counts as refused.
: "${TRIES:=60}"

# What services say while a role that was given a moment ago has no effect yet, or a principal is not known everywhere.
NOT_YET='ForbiddenByRbac|AuthorizationPermissionMismatch|do not have the required permissions|PrincipalNotFound'
NOT_YET="$NOT_YET|KeyVaultAuthenticationFailure|KeyVaultAccessForbidden|\(Forbidden\)"

# patiently COMMAND...: runs a command, again as long as what it says on stderr is one of the above.
patiently() {
    tried=1
    until "$@" 2>"$WORK/refusal"; do
        code=$?
        if [ "$tried" -ge "$TRIES" ] || ! grep -qE "$NOT_YET" "$WORK/refusal"; then
            cat "$WORK/refusal" >&2
            return "$code"
        fi
        tried=$((tried + 1))
        sleep 1
    done
}

# until_it_says TEXT COMMAND...: runs a command, again until its output has the text.
until_it_says() {
    text=$1
    shift
    tried=1
    until "$@" >"$WORK/said" && grep -qF "$text" "$WORK/said"; do
        if [ "$tried" -ge "$TRIES" ]; then
            cat "$WORK/said"
            echo "after $TRIES tries the output does not have: $text" >&2
            return 1
        fi
        tried=$((tried + 1))
        sleep 1
    done
    cat "$WORK/said"
}
