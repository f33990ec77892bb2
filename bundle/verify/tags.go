package verify

import (
	"path"
	"strings"

	"sample-python-arm64-lambda/bundle/target"
)

// minor returns 11 for python3.11.
func minor(t target.Target) string { return strings.TrimPrefix(t.Runtime.Python, "3.") }

// abiTag returns the tag by which the target's CPython marks extension modules, for instance
// "cpython-311-aarch64-linux-gnu" (PEP 3149).
func abiTag(t target.Target) string { return "cpython-3" + minor(t) + "-" + t.Machine() + "-linux-gnu" }

// splitModule splits the name of an extension module's file into the module and its tag: "_x" and "abi3" of
// "_x.abi3.so", "x" and "" of "x.so". ok is false for names that are none of a module, such as "libx.so.1".
func splitModule(name string) (module, tag string, ok bool) {
	base := path.Base(name)
	stem, isSO := strings.CutSuffix(base, ".so")
	if !isSO {
		if stem, isSO = strings.CutSuffix(base, ".pyd"); !isSO {
			return "", "", false
		}
	}
	module, tag, _ = strings.Cut(stem, ".")
	return module, tag, true
}

// suffixes returns what the target's Python looks for behind a module's name, in its order
// (importlib.machinery.EXTENSION_SUFFIXES, then SOURCE_SUFFIXES).
func suffixes(t target.Target) []string {
	return []string{"." + abiTag(t) + ".so", ".abi3.so", ".so", ".py"}
}
