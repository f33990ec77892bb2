package verify

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"sample-python-arm64-lambda/bundle/target"
)

// ReportSchema is the version of Report's JSON form. A field may be added under the same version, none is taken away.
const ReportSchema = 1

// Report is what was found in a bundle. It is described, with every code, in docs/verify.md.
type Report struct {
	Schema       int         `json:"schema"`
	Runtime      string      `json:"runtime"`
	Architecture target.Arch `json:"architecture"`
	// Errors keep the bundle, or a part of it, from being loaded. Remarks do not. Waived would be errors or remarks, had
	// they not been waived.
	Errors  []Finding `json:"errors"`
	Remarks []Finding `json:"remarks"`
	Waived  []Finding `json:"waived"`
	Files   int       `json:"files"`
	// ZippedBytes is 0 where there is no zip.
	ZippedBytes   int64 `json:"zippedBytes"`
	UnzippedBytes int64 `json:"unzippedBytes"`
	// Packages are the biggest first.
	Packages []Package `json:"packages"`
}

// Package is an installed package, with what it adds to the bundle.
type Package struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Files   int    `json:"files"`
	Bytes   int64  `json:"bytes"`
}

// Finding is one thing that is wrong with a bundle, or worth knowing.
type Finding struct {
	// Code is the stable name of the kind of finding.
	Code string `json:"code"`
	// File is the file's name in the bundle, where the finding is of one file.
	File string `json:"file,omitempty"`
	// Package and Version name the package that the file belongs to, where it belongs to one.
	Package string `json:"package,omitempty"`
	Version string `json:"version,omitempty"`
	Got     string `json:"got"`
	Want    string `json:"want,omitempty"`
	// Cure says what to do about it.
	Cure string `json:"cure,omitempty"`
}

// String returns the finding on one line.
func (f Finding) String() string {
	var b strings.Builder
	b.WriteString(f.Code)
	if f.File != "" {
		b.WriteString(" " + f.File)
	}
	if f.Package != "" {
		fmt.Fprintf(&b, " (%s %s)", f.Package, f.Version)
	}
	fmt.Fprintf(&b, ": got %s", f.Got)
	if f.Want != "" {
		fmt.Fprintf(&b, ", want %s", f.Want)
	}
	if f.Cure != "" {
		fmt.Fprintf(&b, "; %s", f.Cure)
	}
	return printable(b.String())
}

func compareFindings(a, b Finding) int {
	return cmp.Or(cmp.Compare(a.Code, b.Code), cmp.Compare(a.Package, b.Package), cmp.Compare(a.File, b.File), cmp.Compare(a.Got, b.Got))
}

// Err returns an *Error where the report has errors, else nil.
func (r *Report) Err() error {
	if len(r.Errors) == 0 {
		return nil
	}
	return &Error{Report: r}
}

// Error says that a bundle cannot be loaded by its target.
type Error struct {
	// Report has all that was found.
	Report *Report
}

// Error lists every error for a person.
func (e *Error) Error() string {
	var b strings.Builder
	writeFindings(&b, e.Report.Errors)
	return strings.TrimSuffix(printable(b.String()), "\n")
}

// WriteText writes the report for a person: the errors, the remarks, what was waived, and the biggest packages.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	for _, part := range []struct {
		title    string
		findings []Finding
	}{{"error", r.Errors}, {"remark", r.Remarks}, {"waived finding", r.Waived}} {
		if n := len(part.findings); n > 0 {
			fmt.Fprintf(&b, "%s:\n", plural(n, part.title))
			writeFindings(&b, part.findings)
			b.WriteByte('\n')
		}
	}
	fmt.Fprintf(&b, "%s, %d bytes unzipped", plural(r.Files, "file"), r.UnzippedBytes)
	if r.ZippedBytes > 0 {
		fmt.Fprintf(&b, ", %d zipped", r.ZippedBytes)
	}
	fmt.Fprintf(&b, ", for %s on %s\n", r.Runtime, r.Architecture)
	const most = 10
	for _, p := range r.Packages[:min(most, len(r.Packages))] {
		fmt.Fprintf(&b, "%12d  %s %s\n", p.Bytes, p.Name, p.Version)
	}
	_, err := io.WriteString(w, printable(b.String()))
	return err
}

// String returns what WriteText writes.
func (r *Report) String() string {
	var b strings.Builder
	r.WriteText(&b) //nolint:errcheck // a strings.Builder never fails
	return b.String()
}

// shownFiles is how many files of one package and one cause are named; the rest is counted.
const shownFiles = 5

// writeFindings writes findings of one package, one code, one wish and one cure as one paragraph.
func writeFindings(b *strings.Builder, findings []Finding) {
	type group struct{ Code, Package, Version, Want, Cure string }
	var order []group
	members := map[group][]Finding{}
	for _, f := range findings {
		g := group{f.Code, f.Package, f.Version, f.Want, f.Cure}
		if members[g] == nil {
			order = append(order, g)
		}
		members[g] = append(members[g], f)
	}
	for _, g := range order {
		fmt.Fprintf(b, "%s", g.Code)
		if g.Package != "" {
			fmt.Fprintf(b, "  %s %s", g.Package, g.Version)
		}
		b.WriteByte('\n')
		all := members[g]
		for _, f := range all[:min(shownFiles, len(all))] {
			if f.File != "" {
				fmt.Fprintf(b, "    %s: ", quotedName(f.File))
			} else {
				b.WriteString("    ")
			}
			fmt.Fprintf(b, "got %s\n", f.Got)
		}
		if more := len(all) - shownFiles; more > 0 {
			fmt.Fprintf(b, "    and %s more\n", plural(more, "file"))
		}
		if g.Want != "" {
			fmt.Fprintf(b, "  want: %s\n", g.Want)
		}
		if g.Cure != "" {
			fmt.Fprintf(b, "  cure: %s\n", g.Cure)
		}
	}
}

// printable replaces what a terminal would take as more than text: a bundle's names and metadata are anybody's.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && !strconv.IsPrint(r) {
			return utf8.RuneError
		}
		return r
	}, s)
}

// quotedName returns a name as it is where it is plain, else quoted.
func quotedName(name string) string {
	if q := quoted(name); q != `"`+name+`"` {
		return q
	}
	return name
}

func quoted(s string) string { return fmt.Sprintf("%q", s) }

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
