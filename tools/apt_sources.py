#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""apt_sources.py deb|deb-src: prints the system's Debian package sources as stanzas of that type, for a private apt configuration. The
system's files are only read."""
import re
import sys
from pathlib import Path


def codename():
    for line in Path("/etc/os-release").read_text().splitlines():
        if line.startswith("VERSION_CODENAME="):
            return line.split("=", 1)[1].strip('"')
    sys.exit("shoji: /etc/os-release names no VERSION_CODENAME; the build wants Debian 12")


def is_distribution(suite, name):
    return re.fullmatch(re.escape(name) + r"([-/].*)?", suite) is not None


def from_stanzas(text, name, kind):
    """deb822 files: one stanza a source."""
    for stanza in re.split(r"\n\s*\n", text):
        lines = [line for line in stanza.splitlines() if line.strip() and not line.startswith("#")]
        fields = {line.split(":", 1)[0].lower(): line.split(":", 1)[1].strip() for line in lines if not line[0].isspace() and ":" in line}
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() == "no":
            continue
        if any(is_distribution(suite, name) for suite in fields.get("suites", "").split()):
            yield "\n".join(f"Types: {kind}" if line.lower().startswith("types:") else line for line in lines)


def from_lines(text, name, kind):
    """One-line files: `deb [options] URI suite components`."""
    for line in text.splitlines():
        match = re.match(r"deb\s+(\[[^]]*\]\s+)?(\S+)\s+(\S+)\s+(.+)", line.strip())
        if not match or not is_distribution(match[3], name):
            continue
        stanza = [f"Types: {kind}", f"URIs: {match[2]}", f"Suites: {match[3]}", f"Components: {match[4].split('#')[0].strip()}"]
        signed = re.search(r"signed-by=([^\s\]]+)", match[1] or "")
        stanza += [f"Signed-By: {signed[1]}"] if signed else []
        yield "\n".join(stanza)


def main():
    kind, name, apt = sys.argv[1], codename(), Path("/etc/apt")
    stanzas = []
    for path in sorted(apt.glob("sources.list.d/*.sources")):
        stanzas += from_stanzas(path.read_text(), name, kind)
    for path in [apt / "sources.list", *sorted(apt.glob("sources.list.d/*.list"))]:
        if path.exists():
            stanzas += from_lines(path.read_text(), name, kind)
    if not stanzas:
        sys.exit(f"shoji: no Debian source for {name} found under /etc/apt; add the distribution's own to sources.list")
    print("\n\n".join(dict.fromkeys(stanzas)))


if __name__ == "__main__":
    main()
