package verify

import (
	"debug/elf"
	"fmt"
	"path"
	"slices"
	"strings"

	"sample-python-arm64-lambda/bundle/target"
)

// machines are ELF's numbers of the target's architectures.
var machines = map[target.Arch]elf.Machine{target.ARM64: elf.EM_AARCH64, target.X8664: elf.EM_X86_64}

// machineName spells a machine as compilers and wheels do.
func machineName(m uint16) string {
	switch elf.Machine(m) {
	case elf.EM_AARCH64:
		return "aarch64"
	case elf.EM_X86_64:
		return "x86-64"
	case elf.EM_386:
		return "i386"
	case elf.EM_ARM:
		return "32-bit arm"
	case elf.EM_PPC64:
		return "ppc64"
	case elf.EM_S390:
		return "s390x"
	case elf.EM_RISCV:
		return "riscv"
	}
	return fmt.Sprintf("machine %d", m)
}

// loadable says that an ELF file is of the target's kind: machine, width and byte order.
func (j *judge) loadable(e *ELF) bool {
	return elf.Machine(e.Machine) == machines[j.t.Arch] && e.Bits == 64 && !e.BigEndian
}

// binaries judges the files that are machine code, in order of their names.
func (j *judge) binaries() {
	j.indexLibraries()
	for i := range j.Files {
		f := &j.Files[i]
		e := j.ELF[f.Name]
		switch {
		case e == nil && (f.Foreign == "" || f.Foreign == "link"):
		case e == nil:
			j.foreign(f, f.Foreign+" binary", "an ELF file for "+machineName(uint16(machines[j.t.Arch])))
		case !j.loadable(e):
			j.foreign(f, describe(e), machineName(uint16(machines[j.t.Arch])))
		case j.abi(f):
			j.libraries(f.Name, e)
		}
	}
}

// describe says what an ELF file is made for.
func describe(e *ELF) string {
	name := machineName(e.Machine)
	if is64 := e.Machine == uint16(elf.EM_AARCH64) || e.Machine == uint16(elf.EM_X86_64); is64 && e.Bits == 32 {
		name += ", 32-bit"
	}
	if e.BigEndian {
		name += ", big-endian"
	}
	return name
}

// foreign judges a binary that the target cannot load. What Python would import is an error unless the module is there
// in a form that it can load. Anything else is an error where it was meant for Linux and its package has nothing for the
// target; packages for every platform carry the programs of all of them.
func (j *judge) foreign(f *FileFact, got, want string) {
	finding := Finding{Code: "ELF-MACHINE", File: f.Name, Got: got, Want: want}
	e := j.ELF[f.Name]
	if e == nil {
		finding.Code = "NOT-ELF"
	}
	module, tag, ok := splitModule(f.Name)
	switch {
	case e == nil && j.forAnyPlatform(f):
		j.unused(f, got, want)
		return
	case ok && (e == nil || e.Init || tag != ""):
		if sibling := j.sibling(f.Name, module); sibling != "" {
			j.remark(Finding{Code: "UNUSED", File: f.Name, Got: got, Want: "nothing: " + sibling + " is imported instead"})
			return
		}
	case e == nil || j.forAnyPlatform(f) || f.Dist > 0 && j.native[f.Dist]: // a program or a library
		j.unused(f, got, want)
		return
	}
	if finding.Cure == "" && f.Dist > 0 {
		d := &j.Dists[f.Dist-1]
		finding.Cure = fmt.Sprintf("install the wheel of %s %s for %s on %s: bundle build does, on any host; pip alone takes the wheel of the host it runs on", d.Name, d.Version, j.t.Runtime.Name, j.t.Machine())
	}
	j.error(finding)
}

// unused remarks on a large file that the target cannot use.
func (j *judge) unused(f *FileFact, got, want string) {
	if f.Size >= noteSize {
		j.remark(Finding{Code: "UNUSED", File: f.Name, Got: fmt.Sprintf("%s, %d bytes", got, f.Size), Want: want})
	}
}

// sibling returns the file that the target's Python imports for a module, or nothing.
func (j *judge) sibling(name, module string) string {
	dir := path.Dir(name)
	if init := path.Join(dir, module, "__init__.py"); j.has(init) {
		return init
	}
	for _, suffix := range suffixes(j.t) {
		candidate := path.Join(dir, module+suffix)
		if e := j.ELF[candidate]; candidate != name && j.has(candidate) && (e == nil && suffix == ".py" || e != nil && j.loadable(e)) {
			return candidate
		}
	}
	return ""
}

func (j *judge) has(name string) bool { _, ok := j.byName[name]; return ok }

// forAnyPlatform says that a file belongs to a wheel that is for every platform.
func (j *judge) forAnyPlatform(f *FileFact) bool {
	return f.Dist > 0 && slices.ContainsFunc(j.Dists[f.Dist-1].Tags, func(tag string) bool { return strings.HasSuffix(tag, "-any") })
}

// abi judges the tag in an extension module's name. It returns false where the file is not loaded, so that nothing it
// needs matters.
func (j *judge) abi(f *FileFact) bool {
	module, tag, ok := splitModule(f.Name)
	if !ok || tag == "" || tag == "abi3" || tag == abiTag(j.t) || !looksLikeABI(tag) {
		return true
	}
	if sibling := j.sibling(f.Name, module); sibling != "" {
		j.remark(Finding{Code: "UNUSED", File: f.Name, Got: tag, Want: "nothing: " + sibling + " is imported instead"})
		return false
	}
	code := "ABI-TAG"
	if strings.HasSuffix(tag, "-musl") {
		code = "MUSL"
	}
	j.error(Finding{Code: code, File: f.Name, Got: tag, Want: abiTag(j.t) + ", abi3 or no tag"})
	return false
}

// looksLikeABI says that a tag is one of a Python, and not part of a library's name such as "1" in "x.1.so".
func looksLikeABI(tag string) bool {
	return strings.HasPrefix(tag, "cpython-") || strings.HasPrefix(tag, "pypy") || strings.HasPrefix(tag, "graalpy") || strings.HasPrefix(tag, "cp3")
}
