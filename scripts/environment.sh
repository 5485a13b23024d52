# Sourced by the scripts beside it: makes .venv in the checkout and installs the project with its tools.
# Made anew when pyproject.toml changes. Everything it says goes to standard error.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv="$root/.venv"
stamp="$venv/.made-from"
if ! cmp -s "$root/pyproject.toml" "$stamp" 2>/dev/null; then
    python=$(command -v python3.11 || command -v python3) || { echo "Python 3.11 or newer is needed" >&2; exit 1; }
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed" >&2; exit 1; }
    echo "Making the environment in .venv (once, about half a minute) …" >&2
    "$python" -m venv "$venv" >&2 || exit 1
    "$venv/bin/pip" install --quiet --disable-pip-version-check --editable "$root[dev]" >&2 || exit 1
    cp "$root/pyproject.toml" "$stamp"
fi
