package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// rows reads a table of results without its head.
func rows(t *testing.T, name string) [][]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("results", name))
	if err != nil {
		t.Fatal(err)
	}
	var all [][]string
	for line := range strings.Lines(string(text)) {
		all = append(all, strings.Split(strings.TrimSuffix(line, "\n"), "\t"))
	}
	return all[1:]
}

// listed reads a list as the commands do from the repository's root.
func listed(t *testing.T, name string) []string {
	t.Helper()
	t.Chdir(filepath.Join("..", ".."))
	list, err := lines(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(folder)
	return list
}

func TestResultsAreOfTheListsAndAgree(t *testing.T) {
	wheels := rows(t, "wheels.tsv")
	if want := len(listed(t, "wheels.txt")); len(wheels) != want || want < 60 {
		t.Errorf("results/wheels.tsv has %d wheels, wheels.txt %d: run verifyjudge wheels", len(wheels), want)
	}
	for _, row := range wheels {
		if row[1] != "0" && (row[2] != "same" || row[3] != "same") {
			t.Errorf("verify and its judges disagree: %q", row)
		}
	}
	expected := map[string]bool{}
	sets := map[string]bool{}
	for _, line := range listed(t, "sets.txt") {
		name, _, _ := strings.Cut(line, ":")
		expected[strings.TrimPrefix(name, "!")] = strings.HasPrefix(name, "!")
		sets[strings.TrimPrefix(name, "!")] = true
	}
	for _, row := range rows(t, "sets.tsv") {
		delete(sets, row[0])
		if row[6] != "accepted" && !expected[row[0]] {
			t.Errorf("a popular package is refused: %q", row)
		}
	}
	if len(sets) > 0 {
		t.Errorf("results/sets.tsv lacks %v: run verifyjudge sets", sets)
	}
	if got, want := len(rows(t, "refused.tsv")), len(listed(t, "refused.txt")); got != want {
		t.Errorf("results/refused.tsv has %d modules, refused.txt %d: run verifyjudge loads", got, want)
	}
}

func TestReadelfIsParsed(t *testing.T) {
	d := parseReadelf(`  Class:                             ELF64
  Data:                              2's complement, little endian
  Type:                              DYN (Shared object file)
  Machine:                           AArch64
 0x0000000000000001 (NEEDED)             Shared library: [libm.so.6]
 0x000000000000000e (SONAME)             Library soname: [libx.so.1]
 0x000000000000001d (RUNPATH)            Library runpath: [$ORIGIN:/opt]
Version definition section '.gnu.version_d' contains 2 entries:
  000000: Rev: 1  Flags: BASE  Index: 1  Cnt: 1  Name: libx.so.1
  0x001c: Rev: 1  Flags: none  Index: 2  Cnt: 1  Name: X_1
Version needs section '.gnu.version_r' contains 1 entry:
  000000: Version: 1  File: libm.so.6  Cnt: 1
  0x0010:   Name: GLIBC_2.17  Flags: none  Version: 2
`)
	want := `AArch64 ELF64 little endian needed ["libm.so.6"] soname ["libx.so.1"] rpath [] runpath ["$ORIGIN:/opt"] versions ["libm.so.6:GLIBC_2.17"] defines ["X_1"]`
	if d.kind != "DYN" || d.String() != want {
		t.Errorf("got %s %s, want %s", d.kind, d, want)
	}
}
