package verify

import (
	"cmp"
	"fmt"
	"slices"

	"sample-python-arm64-lambda/bundle/target"
)

// AWS Lambda quotas, in bytes (https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html): of the
// unzipped bundle, and of a zip that is uploaded directly instead of through S3.
const (
	maxUnzipped = 262_144_000
	maxZipped   = 52_428_800
)

// judge is one run of Judge.
type judge struct {
	*Facts
	t      target.Target
	o      Options
	r      *Report
	byName map[string]int      // index into Files
	bySO   map[string][]string // ELF files by soname and by base name
	rpaths map[int][]string    // folders on the RPATHs of a package's files, by FileFact.Dist
	native map[int]bool        // packages that have machine code for the target, likewise
}

// Judge holds the facts against a target. It reads nothing.
func (f *Facts) Judge(t target.Target, o Options) *Report {
	j := &judge{Facts: f, t: t, o: o, byName: make(map[string]int, len(f.Files))}
	j.r = &Report{
		Schema: ReportSchema, Runtime: t.Runtime.Name, Architecture: t.Arch, Files: len(f.Files), ZippedBytes: o.ZippedBytes,
		Errors: []Finding{}, Remarks: []Finding{}, Waived: []Finding{}, Packages: []Package{},
	}
	for i := range f.Files {
		j.byName[f.Files[i].Name] = i
	}
	j.sizes()
	for _, p := range slices.Concat(f.Problems, o.Found) {
		j.error(p)
	}
	j.names()
	j.binaries()
	j.distributions()
	j.handler()
	j.shadows()
	j.ballast()
	for _, list := range [][]Finding{j.r.Errors, j.r.Remarks, j.r.Waived} {
		slices.SortStableFunc(list, compareFindings)
	}
	return j.r
}

// error adds an error, remark a remark; a waived one goes to the waived.
func (j *judge) error(f Finding)  { j.add(&j.r.Errors, f) }
func (j *judge) remark(f Finding) { j.add(&j.r.Remarks, f) }

func (j *judge) add(list *[]Finding, f Finding) {
	if f.Package == "" {
		if d := j.dist(f.File); d != nil {
			f.Package, f.Version = d.Name, d.Version
		}
	}
	if f.Cure == "" {
		f.Cure = cures[f.Code]
	}
	for _, w := range j.o.Ignore {
		if w.matches(f) {
			list = &j.r.Waived
			break
		}
	}
	*list = append(*list, f)
}

// dist returns the package that a file belongs to, or nil.
func (j *judge) dist(file string) *Dist {
	if i, ok := j.byName[file]; ok && j.Files[i].Dist > 0 {
		return &j.Dists[j.Files[i].Dist-1]
	}
	return nil
}

// sizes adds up the packages and checks the limits.
func (j *judge) sizes() {
	packages := make([]Package, len(j.Dists))
	for i, d := range j.Dists {
		packages[i] = Package{Name: d.Name, Version: d.Version}
	}
	for _, f := range j.Files {
		j.r.UnzippedBytes += f.Size
		if f.Dist > 0 {
			packages[f.Dist-1].Files++
			packages[f.Dist-1].Bytes += f.Size
		}
	}
	slices.SortFunc(packages, func(a, b Package) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version))
	})
	j.r.Packages = append(j.r.Packages, packages...)
	if j.r.UnzippedBytes > maxUnzipped {
		j.error(Finding{Code: "SIZE-UNZIPPED", Got: fmt.Sprintf("%d bytes", j.r.UnzippedBytes), Want: fmt.Sprintf("at most %d bytes, all files together", maxUnzipped)})
	}
	if j.r.ZippedBytes > maxZipped {
		j.remark(Finding{Code: "SIZE-ZIPPED", Got: fmt.Sprintf("%d bytes", j.r.ZippedBytes), Want: fmt.Sprintf("at most %d bytes for a direct upload", maxZipped)})
	}
}
