package verify

// FactsVersion is raised when Scan notes something else of the same files: facts that were kept are to be made anew.
const FactsVersion = 1

// Facts is what a bundle, or a part of one, consists of, whatever it is for. It can be kept as JSON.
type Facts struct {
	Files []FileFact `json:"files"`
	Dists []Dist     `json:"dists,omitempty"`
	// ELF is by file name, and so is Modules: the top level of the Python files that no package owns.
	ELF     map[string]*ELF    `json:"elf,omitempty"`
	Modules map[string]*Module `json:"modules,omitempty"`
	// Problems are findings that hold for every target: files that are damaged, or named so that they cannot be unpacked.
	Problems []Finding `json:"problems,omitempty"`
}

// FileFact is a file.
type FileFact struct {
	Name string `json:"n"`
	Size int64  `json:"s"`
	// Dist is the package that owns it: an index into Dists plus one, 0 for none.
	Dist int `json:"d,omitempty"`
	// Foreign is the kind of a binary that Linux does not load, "Windows" or "macOS"; or "link" for a symbolic link.
	Foreign string `json:"f,omitempty"`
	// Target is what a symbolic link leads to, a name in the bundle.
	Target string `json:"t,omitempty"`
}

// Dist is an installed package, as its dist-info folder describes it
// (https://packaging.python.org/en/latest/specifications/recording-installed-packages/).
type Dist struct {
	// Dir is the name of the dist-info folder.
	Dir     string `json:"dir"`
	Name    string `json:"name"`
	Version string `json:"version"`
	// Tags are the wheel's compatibility tags; none where it has no WHEEL file.
	Tags           []string `json:"tags,omitempty"`
	RequiresPython string   `json:"requiresPython,omitempty"`
	// Requires are its requirements as METADATA has them (PEP 508).
	Requires []string `json:"requires,omitempty"`

	topLevel []string
	record   []string
}

// ELF is what the dynamic linker reads of a shared object or an executable.
type ELF struct {
	Machine uint16 `json:"machine"`
	// Bits is 32 or 64.
	Bits      int  `json:"bits"`
	BigEndian bool `json:"bigEndian,omitempty"`
	// Program says that it is an executable, by the interpreter it asks for or by its type.
	Program bool   `json:"program,omitempty"`
	Interp  string `json:"interp,omitempty"`
	// Init says that it defines the function by which Python loads it as the module that its file is named for.
	Init    bool     `json:"init,omitempty"`
	Soname  string   `json:"soname,omitempty"`
	Needed  []string `json:"needed,omitempty"`
	RPath   string   `json:"rpath,omitempty"`
	RunPath string   `json:"runpath,omitempty"`
	// Versions are the symbol versions that it needs.
	Versions []Versions `json:"versions,omitempty"`
	// Defines are the symbol versions that it offers.
	Defines []string `json:"defines,omitempty"`
}

// Versions are the symbol versions needed of one library.
type Versions struct {
	Library string   `json:"library"`
	Names   []string `json:"names"`
	// Weak are those without which it is loaded all the same.
	Weak []string `json:"weak,omitempty"`
}

// Merge lays sources over dependencies: the facts of the bundle that has the files of both. Neither is changed.
func Merge(deps, sources *Facts) *Facts {
	m := &Facts{ELF: map[string]*ELF{}, Modules: map[string]*Module{}}
	for _, f := range []*Facts{deps, sources} {
		base := len(m.Dists)
		m.Dists = append(m.Dists, f.Dists...)
		for _, file := range f.Files {
			if file.Dist > 0 {
				file.Dist += base
			}
			m.Files = append(m.Files, file)
		}
		for name, e := range f.ELF {
			m.ELF[name] = e
		}
		for name, module := range f.Modules {
			m.Modules[name] = module
		}
		m.Problems = append(m.Problems, f.Problems...)
	}
	return m
}

// Names returns the names of the files.
func (f *Facts) Names() []string {
	names := make([]string, len(f.Files))
	for i := range f.Files {
		names[i] = f.Files[i].Name
	}
	return names
}

// Owner returns "NAME VERSION" of the package that a file belongs to, or "the sources" where it belongs to none.
func (f *Facts) Owner(name string) string {
	for i := range f.Files {
		if f.Files[i].Name == name && f.Files[i].Dist > 0 {
			d := &f.Dists[f.Files[i].Dist-1]
			return d.Name + " " + d.Version
		}
	}
	return "the sources"
}
