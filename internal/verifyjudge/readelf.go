package main

import (
	"debug/elf"
	"fmt"
	"slices"
	"strings"

	"sample-python-arm64-lambda/bundle/verify"
)

// dump is what readelf prints of a file, as far as verify reads it too.
type dump struct {
	kind, machine, class, data           string
	needed, soname, rpath, runpath, defs []string
	versions                             []string // LIBRARY:VERSION
}

// String has everything on one line, to be compared.
func (d dump) String() string {
	slices.Sort(d.versions)
	return fmt.Sprintf("%s %s %s needed %q soname %q rpath %q runpath %q versions %q defines %q",
		d.machine, d.class, d.data, d.needed, d.soname, d.rpath, d.runpath, d.versions, d.defs)
}

// parseReadelf reads the output of readelf -hdVW.
func parseReadelf(text string) dump {
	var d dump
	section, library, base := "", "", false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "Version symbols section"), strings.HasPrefix(line, "Version definition section"), strings.HasPrefix(line, "Version needs section"):
			section = strings.Fields(line)[1]
		case strings.HasPrefix(line, "Type:") && d.kind == "":
			d.kind = strings.Fields(line)[1]
		case strings.HasPrefix(line, "Machine:") && d.machine == "":
			d.machine = strings.TrimSpace(strings.TrimPrefix(line, "Machine:"))
		case strings.HasPrefix(line, "Class:") && d.class == "":
			d.class = strings.Fields(line)[1]
		case strings.HasPrefix(line, "Data:") && d.data == "":
			_, d.data, _ = strings.Cut(line, ", ")
		case strings.Contains(line, "(NEEDED)"):
			d.needed = append(d.needed, bracketed(line))
		case strings.Contains(line, "(SONAME)"):
			d.soname = append(d.soname, bracketed(line))
		case strings.Contains(line, "(RPATH)"):
			d.rpath = append(d.rpath, bracketed(line))
		case strings.Contains(line, "(RUNPATH)"):
			d.runpath = append(d.runpath, bracketed(line))
		case section == "needs" && strings.Contains(line, "File: "):
			library = field(line, "File:")
		case section == "needs" && strings.Contains(line, "Name: "):
			d.versions = append(d.versions, library+":"+field(line, "Name:"))
		case section == "definition" && strings.Contains(line, "Rev: "):
			if base = strings.Contains(line, "Flags: BASE"); !base {
				d.defs = append(d.defs, field(line, "Name:"))
			}
		}
	}
	return d
}

func bracketed(line string) string {
	_, text, _ := strings.Cut(line, "[")
	return strings.TrimSuffix(text, "]")
}

func field(line, name string) string {
	_, rest, _ := strings.Cut(line, name)
	return strings.Fields(rest)[0]
}

// describe puts what verify read into the same form.
func describe(e *verify.ELF) string {
	machines := map[elf.Machine]string{elf.EM_AARCH64: "AArch64", elf.EM_X86_64: "Advanced Micro Devices X86-64", elf.EM_386: "Intel 80386"}
	d := dump{machine: machines[elf.Machine(e.Machine)], class: fmt.Sprintf("ELF%d", e.Bits), data: "little endian", needed: e.Needed, defs: e.Defines}
	if e.BigEndian {
		d.data = "big endian"
	}
	for text, field := range map[*string]*[]string{&e.Soname: &d.soname, &e.RPath: &d.rpath, &e.RunPath: &d.runpath} {
		if *text != "" {
			*field = []string{*text}
		}
	}
	for _, v := range e.Versions {
		for _, name := range append(slices.Clone(v.Names), v.Weak...) {
			d.versions = append(d.versions, v.Library+":"+name)
		}
	}
	return d.String()
}
