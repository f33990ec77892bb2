package verify

// forTarget is the cure of a package that was installed for something else than the target.
const forTarget = "install the package's wheel for the target: bundle build does, on any host; pip alone takes the wheel of the host it runs on"

// cures say what to do about each kind of finding; its keys are the codes. docs/verify.md has more on each.
var cures = map[string]string{
	"ELF-MACHINE":      forTarget,
	"NOT-ELF":          forTarget,
	"MUSL":             "install the package on a system with glibc, or with bundle build: a wheel or a build of Alpine Linux cannot be loaded on Lambda",
	"ABI-TAG":          "install the package for the Python of the runtime, or choose the runtime that it was installed for",
	"GLIBC":            "pin a version of the package with a wheel for an older manylinux, choose a newer runtime, or use the docker builder, which compiles in the runtime's own image",
	"LIBSTDCXX":        "pin a version of the package with a wheel for an older manylinux, choose a newer runtime, or use the docker builder",
	"LIBGCC":           "pin a version of the package with a wheel for an older manylinux, choose a newer runtime, or use the docker builder",
	"SYMBOL-VERSION":   "install the library and what needs it from one source: the package's own wheel brings both",
	"LIBRARY":          "choose a wheel that brings the library, or add it to the sources' lib folder: Lambda looks there",
	"LIBRARY-PATH":     "nothing, where the package loads it by itself; else give what needs it a RUNPATH ($ORIGIN), or move the library to lib/",
	"OPTIONAL":         "nothing: the package does without",
	"WHEEL-TAG":        forTarget,
	"REQUIRES-PYTHON":  "choose a version of the package for the Python of the runtime, or another runtime",
	"REQUIRES":         "add it to the requirements; where a layer brings it, waive the finding",
	"REQUIRES-VERSION": "let one resolver choose the versions: put all requirements into one file",
	"DIST-TWICE":       "install into an empty folder",
	"RUNTIME-HAS":      "leave it out to make the bundle smaller, or keep it to pin its version",
	"HANDLER":          "correct the handler, or add the module to the sources",
	"HANDLER-UNSEEN":   "see that it is there: this is not told without running it",
	"SYNTAX":           "write the sources for the Python of the runtime, or choose a newer runtime",
	"SHADOW":           "rename the file",
	"UNUSED":           "leave it out to make the bundle smaller",
	"TESTS":            "leave them out to make the bundle smaller; some packages import parts of their tests",
	"DUPLICATE":        "leave one out to make the bundle smaller, where nothing needs both",
	"DAMAGED":          "install the package again, or make the zip again",
	"LINK":             "replace the link by the file",
	"MODE":             "make the file readable by others before it is zipped, or make the zip with bundle build",
	"NAME":             "rename the file, or make the zip with another tool: bundle build does",
	"NAME-CASE":        "rename one of them",
	"NAME-TWICE":       "leave one out",
	"ZIP-METHOD":       "make the zip with deflate and no password",
	"SIZE-UNZIPPED":    "leave out what the function does not need, or deploy a container image (up to 10 GB)",
	"SIZE-ZIPPED":      "upload it through S3 (artifactBucket)",
}
