package main

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sample-python-arm64-lambda/bundle/target"
	"sample-python-arm64-lambda/bundle/verify"
)

// wheels compares what verify reads of each wheel with what readelf and auditwheel read.
func wheels(ctx context.Context, j *judge) error {
	list, err := lines("wheels.txt")
	if err != nil {
		return err
	}
	table := []string{"wheel\tELF files\tas readelf\tas auditwheel\tnewest versions of the runtime's libraries\tlibraries that are not in the wheel\truntimes that accept it"}
	disagree, files := 0, 0
	var missing []error
	for _, line := range list {
		wheel, err := j.wheel(ctx, line)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			missing = append(missing, err)
			continue
		}
		facts, _, err := verify.ScanPath(ctx, wheel)
		if err != nil {
			return err
		}
		wrong, err := compareReadelf(ctx, wheel, facts)
		if err != nil {
			return err
		}
		audit, err := j.compareAuditwheel(ctx, wheel, facts)
		if err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "%3d ELF files  %s\n", len(facts.ELF), filepath.Base(wheel))
		for _, w := range append(wrong, audit...) {
			fmt.Fprintln(os.Stderr, "    ", w)
		}
		disagree, files = disagree+len(wrong)+len(audit), files+len(facts.ELF)
		table = append(table, strings.Join([]string{
			filepath.Base(wheel), fmt.Sprint(len(facts.ELF)), verdict(facts, wrong), verdict(facts, audit),
			newest(facts), strings.Join(external(facts), " "), accepting(facts),
		}, "\t"))
	}
	fmt.Printf("%d wheels, %d ELF files, %d disagreements\n", len(table)-1, files, disagree)
	return errors.Join(write("wheels.tsv", table), disagreement(disagree), errors.Join(missing...))
}

func disagreement(n int) error {
	if n > 0 {
		return fmt.Errorf("verify and its judges disagree in %d places", n)
	}
	return nil
}

func verdict(facts *verify.Facts, wrong []string) string {
	switch {
	case len(facts.ELF) == 0:
		return "-"
	case len(wrong) == 0:
		return "same"
	}
	return fmt.Sprintf("%d differ", len(wrong))
}

// wheel downloads the wheel that a line names, once, with pip.
func (j *judge) wheel(ctx context.Context, line string) (string, error) {
	fields := strings.Fields(line)
	if len(fields) != 3 {
		return "", fmt.Errorf("reading wheels.txt: %q is not REQUIREMENT PYTHON PLATFORM", line)
	}
	dir := filepath.Join(j.tools, "judge", fmt.Sprintf("wheel-%x", sha256.Sum256([]byte(line)))[:len("wheel-")+12])
	if found, err := filepath.Glob(filepath.Join(dir, "*.whl")); err != nil || len(found) == 1 {
		return found[0], err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	partial, err := os.MkdirTemp(filepath.Dir(dir), "partial-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(partial) //nolint:errcheck // gone after the rename
	abi := "cp" + strings.ReplaceAll(fields[1], ".", "")
	_, err = output(ctx, j.python, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:", "--dest", partial,
		"--python-version", fields[1], "--implementation", "cp", "--abi", abi, "--abi", "abi3", "--abi", "none", "--platform", fields[2], fields[0])
	if err != nil {
		return "", err
	}
	if err := os.Rename(partial, dir); err != nil {
		return "", err
	}
	found, err := filepath.Glob(filepath.Join(dir, "*.whl"))
	if err == nil && len(found) != 1 {
		err = fmt.Errorf("downloading %q: got %d wheels", line, len(found))
	}
	if err != nil {
		return "", err
	}
	return found[0], nil
}

// compareReadelf lists where readelf reads something else, over every ELF file of a wheel.
func compareReadelf(ctx context.Context, wheel string, facts *verify.Facts) (wrong []string, err error) {
	r, err := zip.OpenReader(wheel)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	dir, err := os.MkdirTemp("", "judge-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	seen := 0
	for _, m := range r.File {
		file := filepath.Join(dir, "member")
		isELF, err := extractELF(m, file)
		if err != nil {
			return nil, err
		}
		if !isELF {
			continue
		}
		text, err := output(ctx, "readelf", "-hdVW", file)
		if err != nil {
			return nil, err
		}
		want := parseReadelf(text)
		if want.kind != "DYN" && want.kind != "EXEC" {
			continue
		}
		seen++
		if facts.ELF[m.Name] == nil {
			wrong = append(wrong, m.Name+": not seen as ELF")
			continue
		}
		if got := describe(facts.ELF[m.Name]); got != want.String() {
			wrong = append(wrong, fmt.Sprintf("%s\n       readelf %s\n       verify  %s", m.Name, want, got))
		}
	}
	if seen != len(facts.ELF) {
		wrong = append(wrong, fmt.Sprintf("readelf sees %d ELF files, verify %d", seen, len(facts.ELF)))
	}
	return wrong, nil
}

// extractELF writes a member to a file where it is ELF.
func extractELF(m *zip.File, file string) (isELF bool, err error) {
	in, err := m.Open()
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	magic := make([]byte, 4)
	if n, err := io.ReadFull(in, magic); n < 4 {
		if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
			return false, nil
		}
		return false, err
	}
	if string(magic) != "\x7fELF" {
		return false, nil
	}
	out, err := os.Create(file)
	if err != nil {
		return false, err
	}
	_, errMagic := out.Write(magic)
	_, errRest := io.Copy(out, in)
	return true, errors.Join(errMagic, errRest, out.Close())
}

// compareAuditwheel lists where auditwheel sees other symbol versions needed of libraries, over a wheel as a whole.
// auditwheel reads wheels for Linux only, and leaves out what the dynamic linker itself provides.
func (j *judge) compareAuditwheel(ctx context.Context, wheel string, facts *verify.Facts) ([]string, error) {
	if len(facts.ELF) == 0 {
		return nil, nil
	}
	text, err := output(ctx, j.python, "-m", "auditwheel", "show", "--json", "--allow-pure-python-wheel", "--ldpaths", "/nowhere", wheel) // not the libraries of this machine
	if err != nil {
		return nil, err
	}
	var audit struct {
		Versioned map[string][]string `json:"versioned_symbols"`
	}
	if err := json.Unmarshal([]byte(text), &audit); err != nil {
		return nil, fmt.Errorf("reading what auditwheel says of %s: %w", filepath.Base(wheel), err)
	}
	got := map[string]map[string]bool{}
	for _, e := range facts.ELF {
		for _, v := range e.Versions {
			for _, name := range append(v.Names, v.Weak...) {
				if got[v.Library] == nil {
					got[v.Library] = map[string]bool{}
				}
				got[v.Library][name] = true
			}
		}
	}
	var wrong []string
	for _, library := range slices.Sorted(maps.Keys(audit.Versioned)) {
		want := slices.Sorted(slices.Values(audit.Versioned[library]))
		have := slices.Sorted(maps.Keys(got[library]))
		if !slices.Equal(want, have) {
			wrong = append(wrong, fmt.Sprintf("%s: auditwheel %q, verify %q", library, want, have))
		}
		delete(got, library)
	}
	for _, library := range slices.Sorted(maps.Keys(got)) {
		if !strings.HasPrefix(library, "ld-linux") && !strings.HasPrefix(library, "ld64") {
			wrong = append(wrong, library+": not seen by auditwheel")
		}
	}
	return wrong, nil
}

// newest lists the newest version needed of each family that a runtime has, over all files.
func newest(facts *verify.Facts) string {
	best := map[string]string{}
	for _, e := range facts.ELF {
		for _, v := range e.Versions {
			for _, name := range v.Names {
				family, number, ok := strings.Cut(name, "_")
				if ok && target.AmazonLinux2.NewestSymbol(family) != "" && newer(number, best[family]) {
					best[family] = number
				}
			}
		}
	}
	var all []string
	for _, family := range slices.Sorted(maps.Keys(best)) {
		all = append(all, family+"_"+best[family])
	}
	return strings.Join(all, " ")
}

// newer compares dotted numbers; a word is no number.
func newer(a, b string) bool {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(x), len(y)) {
		p, q := fmt.Sprintf("%8s", x[i]), fmt.Sprintf("%8s", y[i])
		if p != q {
			return p > q && x[i][0] <= '9'
		}
	}
	return len(x) > len(y)
}

// external lists the libraries that are needed and not in the wheel.
func external(facts *verify.Facts) []string {
	own, needed := map[string]bool{}, map[string]bool{}
	for name, e := range facts.ELF {
		own[filepath.Base(name)], own[e.Soname] = true, true
	}
	for _, e := range facts.ELF {
		for _, library := range e.Needed {
			if !own[library] {
				needed[library] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(needed))
}

// accepting lists the targets by which a wheel is accepted, what it requires of others left out.
func accepting(facts *verify.Facts) string {
	var all []string
	for _, t := range target.All() {
		r := facts.Judge(t, verify.Options{Ignore: []verify.Waiver{{Code: "REQUIRES", Glob: "*"}}})
		if r.Err() == nil {
			all = append(all, strings.TrimPrefix(t.Runtime.Name, "python")+"/"+string(t.Arch))
		}
	}
	return strings.Join(all, " ")
}
