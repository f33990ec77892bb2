"""List the libraries and the newest symbol versions of a runtime, for bundle/target/libraries.go.

In AWS's image, for each runtime and architecture:
    docker run --rm --platform linux/arm64 -v "$PWD/internal/verifyjudge:/judge" --entrypoint python3 public.ecr.aws/lambda/python:3.11-arm64 /judge/libraries.py
In the managed runtime, whose list is the shorter one and the one that counts: deploy this file as a function with the
handler libraries.handler, and invoke it.
"""

import os
import re

FAMILIES = ("GLIBC", "GLIBCXX", "CXXABI", "GCC", "ZLIB", "XZ")
HAVE_THEM = ("libc.so.6", "libm.so.6", "libstdc++.so.6", "libgcc_s.so.1", "libz.so.1", "liblzma.so.5")


def libraries():
    """The names by which ld.so finds libraries, from LD_LIBRARY_PATH as Lambda sets it, and from its own folders."""
    found = {}
    for folder in os.environ.get("LD_LIBRARY_PATH", "").split(":") + ["/lib64", "/usr/lib64"]:
        if folder and not folder.startswith(("/var/task", "/opt")) and os.path.isdir(folder):
            for name in os.listdir(folder):
                if re.search(r"\.so(\.\d+)?$", name):
                    found.setdefault(name, os.path.join(folder, name))
    return found


def newest(found):
    """The newest version of each family that the libraries define."""
    best = {}
    for name in HAVE_THEM:
        if name in found:
            with open(found[name], "rb") as library:
                for family, number in re.findall(rb"\0([A-Z]+)_(\d+(?:\.\d+)+)(?=\0)", library.read()):
                    family, number = family.decode(), tuple(map(int, number.split(b".")))
                    if family in FAMILIES and number > best.get(family, ()):
                        best[family] = number
    return {family: ".".join(map(str, number)) for family, number in sorted(best.items())}


def handler(event, context):
    found = libraries()
    return {"libraries": " ".join(sorted(found)), "symbols": newest(found)}


if __name__ == "__main__":
    result = handler(None, None)
    print(result["libraries"])
    print(result["symbols"])
