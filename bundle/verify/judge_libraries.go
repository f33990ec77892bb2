package verify

import (
	"cmp"
	"path"
	"slices"
	"strings"
)

// taskRoot is where Lambda unpacks a bundle.
const taskRoot = "/var/task"

// indexLibraries makes libraries findable by base name and by soname.
func (j *judge) indexLibraries() {
	j.bySO = map[string][]string{}
	for name, e := range j.ELF {
		if base := path.Base(name); j.native(e) {
			j.bySO[base] = append(j.bySO[base], name)
			if e.Soname != "" && e.Soname != base {
				j.bySO[e.Soname] = append(j.bySO[e.Soname], name)
			}
		}
	}
	for _, names := range j.bySO {
		slices.Sort(names)
	}
}

// libraries judges what an ELF file of the target's machine needs of others.
func (j *judge) libraries(name string, e *ELF) {
	for _, needed := range e.Needed {
		if strings.HasPrefix(needed, "libc.musl-") || needed == "libc.so" || strings.HasPrefix(needed, "ld-musl-") {
			j.error(Finding{Code: "MUSL", File: name, Got: needed + ", the C library of Alpine Linux", Want: "libc.so.6, that of " + j.t.Runtime.OS.Name})
			return
		}
	}
	for _, needed := range slices.Compact(slices.Sorted(slices.Values(e.Needed))) {
		versions := Versions{Library: needed}
		if i := slices.IndexFunc(e.Versions, func(v Versions) bool { return v.Library == needed }); i >= 0 {
			versions = e.Versions[i]
		}
		j.library(name, e, versions)
	}
}

// library looks for one library as ld.so would, and for the symbol versions that are needed of it.
func (j *judge) library(name string, e *ELF, v Versions) {
	file, ofRuntime := j.resolve(name, e, v.Library)
	switch {
	case ofRuntime:
		j.runtimeVersions(name, v)
	case file != "":
		if missing := j.undefined(file, v.Names); missing != "" {
			j.error(Finding{Code: "SYMBOL-VERSION", File: name, Got: missing + " needed of " + v.Library, Want: "one that " + file + " defines"})
		}
	case len(j.bySO[v.Library]) > 0:
		j.remark(Finding{Code: "LIBRARY-PATH", File: name, Got: v.Library + " needed, which is not on its search path", Want: "what loads it to load " + j.bySO[v.Library][0] + " before"})
	default:
		finding := Finding{Code: "LIBRARY", File: name, Got: v.Library + " needed, which is nowhere", Want: "the library in the bundle, or one of the runtime's"}
		if why := optional(name); why != "" {
			finding.Code, finding.Cure = "OPTIONAL", why
			j.remark(finding)
			return
		}
		if cure := libraryCures[v.Library]; cure != "" {
			finding.Cure = cure
		}
		j.error(finding)
	}
}

// resolve finds a library: the file in the bundle, or that it is the runtime's. The order is that of ld.so (man 8 ld.so)
// with Lambda's LD_LIBRARY_PATH, /lib64 before the bundle's root and its lib folder.
func (j *judge) resolve(name string, e *ELF, library string) (file string, ofRuntime bool) {
	if e.RunPath == "" {
		if file = j.inPath(name, e.RPath, library); file != "" {
			return file, false
		}
	}
	if j.t.HasLibrary(library) {
		return "", true
	}
	return cmp.Or(j.inFolder(".", library), j.inFolder("lib", library), j.inPath(name, e.RunPath, library)), false
}

// inPath looks through a list of folders, in which $ORIGIN is the folder of the file that has the list.
func (j *judge) inPath(name, list, library string) string {
	for _, dir := range strings.Split(list, ":") {
		origin := path.Join(taskRoot, path.Dir(name))
		dir = strings.NewReplacer("$ORIGIN", origin, "${ORIGIN}", origin).Replace(dir)
		if dir = path.Clean(dir); dir != taskRoot && !strings.HasPrefix(dir, taskRoot+"/") {
			continue
		}
		if file := j.inFolder(strings.TrimPrefix(strings.TrimPrefix(dir, taskRoot), "/"), library); file != "" {
			return file
		}
	}
	return ""
}

// inFolder looks for a library that the target can load in one folder, through symbolic links.
func (j *judge) inFolder(dir, library string) string {
	file := path.Join(dir, library)
	for range 8 { // links to links; more would be a loop
		i, ok := j.byName[file]
		if !ok {
			return ""
		}
		if j.Files[i].Target == "" {
			break
		}
		file = j.Files[i].Target
	}
	if e := j.ELF[file]; e == nil || !j.native(e) {
		return ""
	}
	return file
}

// undefined returns the first version that a library of the bundle does not define. One that defines none at all is
// taken by ld.so as it is.
func (j *judge) undefined(file string, versions []string) string {
	defines := j.ELF[file].Defines
	if i := slices.IndexFunc(versions, func(v string) bool { return !slices.Contains(defines, v) }); i >= 0 && len(defines) > 0 {
		return versions[i]
	}
	return ""
}

// symbolCodes are the codes of findings by the family of the symbols, and the libraries' names for a person.
var symbolCodes = map[string]struct{ code, library string }{
	"GLIBC":   {"GLIBC", "the C library"},
	"GLIBCXX": {"LIBSTDCXX", "the C++ library"},
	"CXXABI":  {"LIBSTDCXX", "the C++ library"},
	"GCC":     {"LIBGCC", "libgcc"},
	"ZLIB":    {"SYMBOL-VERSION", "zlib"},
}

// unnumbered are versions that every version of their library has.
var unnumbered = []string{"GLIBC_PRIVATE", "CXXABI_TM_1", "CXXABI_FLOAT128"}

// runtimeVersions holds the versions that are needed of one of the runtime's libraries against what it has: of each
// family the newest is the finding.
func (j *judge) runtimeVersions(name string, v Versions) {
	tooNew := map[string]string{}
	for _, version := range v.Names {
		family, number, ok := strings.Cut(version, "_")
		newest := j.t.Runtime.OS.NewestSymbol(family)
		if !ok || newest == "" || slices.Contains(unnumbered, version) {
			continue
		}
		if newer(number, newest) && newer(number, tooNew[family]) {
			tooNew[family] = number
		}
	}
	for family, number := range tooNew {
		s := symbolCodes[family]
		j.error(Finding{
			Code: s.code, File: name, Got: family + "_" + number + " of " + v.Library,
			Want: "at most " + family + "_" + j.t.Runtime.OS.NewestSymbol(family) + ", " + s.library + " of " + j.t.Runtime.OS.Name + " (" + j.t.Runtime.Name + ")",
		})
	}
}

// newer compares dotted numbers; what is no number is newer than any.
func newer(a, b string) bool {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	for i := range max(len(x), len(y)) {
		if p, q := element(x, i), element(y, i); len(p) != len(q) {
			return len(p) > len(q)
		} else if p != q {
			return p > q
		}
	}
	return false
}

// element returns a number without leading zeros; nothing for 0, and for one that is missing.
func element(numbers []string, i int) string {
	if i >= len(numbers) {
		return ""
	}
	return strings.TrimLeft(numbers[i], "0")
}
