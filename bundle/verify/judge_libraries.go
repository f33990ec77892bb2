package verify

import (
	"cmp"
	"path"
	"slices"
	"strings"
)

// taskRoot is where Lambda unpacks a bundle.
const taskRoot = "/var/task"

// maxFolders bounds how many folders of one list, or of one package's lists, are looked through.
const maxFolders = 64

// indexLibraries makes libraries findable by base name and by soname, and notes what the packages have.
func (j *judge) indexLibraries() {
	j.bySO, j.rpaths, j.native = map[string][]string{}, map[int][]string{}, map[int]bool{}
	for i := range j.Files {
		f := &j.Files[i]
		e := j.ELF[f.Name]
		if e == nil || !j.loadable(e) {
			continue
		}
		j.native[f.Dist] = true
		base := path.Base(f.Name)
		j.bySO[base] = append(j.bySO[base], f.Name)
		if e.Soname != "" && e.Soname != base {
			j.bySO[e.Soname] = append(j.bySO[e.Soname], f.Name)
		}
		if e.RPath == "" || e.RunPath != "" {
			continue
		}
		for _, dir := range expand(f.Name, e.RPath) {
			if known := j.rpaths[f.Dist]; len(known) < maxFolders && !slices.Contains(known, dir) {
				j.rpaths[f.Dist] = append(known, dir)
			}
		}
	}
}

// libraries judges what an ELF file of the target's machine needs of others.
func (j *judge) libraries(name string, e *ELF) {
	for _, needed := range slices.Concat(e.Needed, []string{path.Base(e.Interp)}) {
		if strings.HasPrefix(needed, "libc.musl-") || needed == "libc.so" || strings.HasPrefix(needed, "ld-musl-") {
			j.error(Finding{Code: "MUSL", File: name, Got: needed + ", the C library of Alpine Linux", Want: "libc.so.6, that of " + j.t.Runtime.OS.Name})
			return
		}
	}
	if e.Interp != "" && !j.t.HasLibrary(path.Base(e.Interp)) {
		j.error(Finding{Code: "LIBRARY", File: name, Got: quotedName(e.Interp) + " as its interpreter", Want: "the dynamic linker of the runtime"})
	}
	u := user{name: name, runpath: expand(name, e.RunPath)}
	if e.RunPath == "" {
		u.rpath = expand(name, e.RPath)
		u.inherited = j.rpaths[j.Files[j.byName[name]].Dist]
	}
	tooNew := map[string]symbol{}
	for _, needed := range slices.Compact(slices.Sorted(slices.Values(e.Needed))) {
		versions := Versions{Library: needed}
		if i := slices.IndexFunc(e.Versions, func(v Versions) bool { return v.Library == needed }); i >= 0 {
			versions = e.Versions[i]
		}
		j.library(u, versions, tooNew)
	}
	for family, s := range tooNew {
		is := symbolCodes[family]
		j.error(Finding{
			Code: is.code, File: name, Got: family + "_" + s.number + " of " + s.library,
			Want: "at most " + family + "_" + j.t.Runtime.OS.NewestSymbol(family) + ", " + is.library + " of " + j.t.Runtime.OS.Name + " (" + j.t.Runtime.Name + ")",
		})
	}
}

// symbol is the version of a symbol, and the library that it is needed of.
type symbol struct{ number, library string }

// user is a file that needs libraries, and the folders of the bundle where ld.so looks for them on its behalf.
type user struct {
	name                      string
	rpath, runpath, inherited []string
}

// library looks for one library as ld.so would, and for the symbol versions that are needed of it.
func (j *judge) library(u user, v Versions, tooNew map[string]symbol) {
	name := u.name
	file, ofRuntime := j.resolve(u, v.Library)
	switch {
	case ofRuntime:
		j.runtimeVersions(v, tooNew)
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
// with Lambda's LD_LIBRARY_PATH, /lib64 before the bundle's root and its lib folder. An RPATH holds for what is loaded
// on behalf of its file too, which is taken to be the rest of its package; a RUNPATH does not.
func (j *judge) resolve(u user, library string) (file string, ofRuntime bool) {
	if file = j.inFolders(u.rpath, library); file != "" {
		return file, false
	}
	if j.t.HasLibrary(library) {
		return "", true
	}
	return cmp.Or(j.inFolders([]string{".", "lib"}, library), j.inFolders(u.runpath, library), j.inFolders(u.inherited, library)), false
}

// expand returns the folders of the bundle in a list of folders, in which $ORIGIN is that of the file that has the list.
func expand(name, list string) (folders []string) {
	origin := path.Join(taskRoot, path.Dir(name))
	for _, dir := range strings.SplitN(list, ":", maxFolders+1) {
		dir = path.Clean(strings.NewReplacer("$ORIGIN", origin, "${ORIGIN}", origin).Replace(dir))
		if rest, ok := strings.CutPrefix(dir+"/", taskRoot+"/"); ok {
			folders = append(folders, path.Clean(rest))
		}
	}
	return folders
}

func (j *judge) inFolders(folders []string, library string) string {
	for _, dir := range folders {
		if file := j.inFolder(dir, library); file != "" {
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
	if e := j.ELF[file]; e == nil || !j.loadable(e) {
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
	"XZ":      {"SYMBOL-VERSION", "liblzma"},
}

// unnumbered are versions that every version of their library has.
var unnumbered = []string{"GLIBC_PRIVATE", "CXXABI_TM_1", "CXXABI_FLOAT128"}

// runtimeVersions holds the versions that are needed of one of the runtime's libraries against what it has, and keeps of
// each family the newest that is too new.
func (j *judge) runtimeVersions(v Versions, tooNew map[string]symbol) {
	for _, version := range v.Names {
		family, number, ok := strings.Cut(version, "_")
		newest := j.t.Runtime.OS.NewestSymbol(family)
		if !ok || newest == "" || slices.Contains(unnumbered, version) {
			continue
		}
		if newer(number, newest) && newer(number, tooNew[family].number) {
			tooNew[family] = symbol{number, v.Library}
		}
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
