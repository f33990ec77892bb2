// Package verify says whether a bundle loads on a Lambda runtime: what is in it ([Scan], once), held against a target
// ([Facts.Judge], as often as asked).
package verify

// FIRST VERSION, one file, so that package bundle has something to call: to be replaced as a whole by the full package.

import (
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"debug/elf"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/textproto"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"sample-python-arm64-lambda/bundle/target"
)

// Quotas of AWS Lambda in bytes (https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html).
const (
	MaxZippedBytes   = 52_428_800
	MaxUnzippedBytes = 262_144_000
)

// File is one file of a bundle.
type File struct {
	Name string
	Size int64
	Mode fs.FileMode
	Open func() (io.ReadCloser, error)
}

// Facts is what Scan found, whatever the target.
type Facts struct {
	Files []FileFact
	ELFs  []ELF
	Dists []Dist
}

// FileFact is a file's name and size in bytes.
type FileFact struct {
	Name string
	Size int64
}

// ELF is what a native file asks of the machine it is loaded on.
type ELF struct {
	File    string
	Machine string
	Glibc   string
}

// Dist is an installed package.
type Dist struct {
	Name, Version string
	Files         []string
}

// Package is a package of a bundle.
type Package struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Files   int    `json:"files"`
	Bytes   int64  `json:"bytes"`
}

// Finding is one thing that is wrong, or worth a remark.
type Finding struct {
	Code    string `json:"code"`
	File    string `json:"file,omitempty"`
	Package string `json:"package,omitempty"`
	Version string `json:"version,omitempty"`
	Got     string `json:"got"`
	Want    string `json:"want"`
	Cure    string `json:"cure"`
}

func (f Finding) String() string {
	who := f.File
	if f.Package != "" {
		who += " (" + f.Package + " " + f.Version + ")"
	}
	return fmt.Sprintf("%s %s: got %s, want %s\n  cure: %s", f.Code, who, f.Got, f.Want, f.Cure)
}

// Options of a judgement.
type Options struct {
	Handler     string
	ZippedBytes int64
}

// Report is the outcome.
type Report struct {
	Schema        int       `json:"schema"`
	Errors        []Finding `json:"errors"`
	Remarks       []Finding `json:"remarks"`
	Files         int       `json:"files"`
	ZippedBytes   int64     `json:"zippedBytes"`
	UnzippedBytes int64     `json:"unzippedBytes"`
	Packages      []Package `json:"packages"`
}

// Error lists findings.
type Error struct{ Findings []Finding }

func (e *Error) Error() string {
	lines := make([]string, len(e.Findings))
	for i, f := range e.Findings {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}

// Err returns the findings as an error.
func (r *Report) Err() error {
	if len(r.Errors) == 0 {
		return nil
	}
	return &Error{r.Errors}
}

// Names lists the files.
func (f *Facts) Names() []string {
	names := make([]string, len(f.Files))
	for i, file := range f.Files {
		names[i] = file.Name
	}
	return names
}

// Owner names the package of a file.
func (f *Facts) Owner(name string) string {
	if d := f.owner(name); d != nil {
		return d.Name + " " + d.Version
	}
	return "a dependency"
}

func (f *Facts) owner(name string) *Dist {
	for i := range f.Dists {
		if _, ok := slices.BinarySearch(f.Dists[i].Files, name); ok {
			return &f.Dists[i]
		}
	}
	return nil
}

// Merge joins facts.
func Merge(a, b *Facts) *Facts {
	return &Facts{slices.Concat(a.Files, b.Files), slices.Concat(a.ELFs, b.ELFs), slices.Concat(a.Dists, b.Dists)}
}

// Scan reads files.
func Scan(ctx context.Context, files []File) (*Facts, error) {
	f := &Facts{}
	elfs := make([]*ELF, len(files))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i := range files {
		f.Files = append(f.Files, FileFact{files[i].Name, files[i].Size})
		group.Go(func() (err error) {
			if err := ctx.Err(); err != nil {
				return err
			}
			elfs[i], err = scanELF(files[i])
			return err
		})
		if err := f.scanDist(files[i], files); err != nil {
			return nil, errors.Join(err, group.Wait())
		}
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	for _, e := range elfs {
		if e != nil {
			f.ELFs = append(f.ELFs, *e)
		}
	}
	return f, nil
}

func scanELF(file File) (*ELF, error) {
	r, err := file.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close() //nolint:errcheck // opened for reading
	head := make([]byte, 4)
	if n, _ := io.ReadFull(r, head); n < 4 || string(head) != elf.ELFMAG {
		return nil, nil
	}
	at, ok := r.(io.ReaderAt)
	if !ok {
		rest, err := io.ReadAll(r)
		if err != nil {
			return nil, err
		}
		at = bytes.NewReader(append(head, rest...))
	}
	parsed, err := elf.NewFile(at)
	if err != nil {
		return &ELF{File: file.Name, Machine: "unreadable"}, nil
	}
	fact := &ELF{File: file.Name, Machine: strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(parsed.Machine.String(), "EM_")), "_", "-")}
	needs, err := parsed.DynamicVersionNeeds()
	if err == nil {
		var top target.Version
		for _, n := range needs {
			for _, v := range n.Needs {
				var got target.Version
				if _, err := fmt.Sscanf(v.Dep, "GLIBC_%d.%d", &got.Major, &got.Minor); err == nil && top.Less(got) {
					top, fact.Glibc = got, got.String()
				}
			}
		}
	}
	return fact, nil
}

func (f *Facts) scanDist(file File, files []File) error {
	dir, base := path.Split(file.Name)
	if base != "METADATA" || !strings.HasSuffix(dir, ".dist-info/") {
		return nil
	}
	r, err := file.Open()
	if err != nil {
		return err
	}
	defer r.Close() //nolint:errcheck // opened for reading
	h, _ := textproto.NewReader(bufio.NewReader(r)).ReadMIMEHeader()
	d := Dist{Name: h.Get("Name"), Version: h.Get("Version")}
	i := slices.IndexFunc(files, func(o File) bool { return o.Name == dir+"RECORD" })
	if i >= 0 {
		record, err := files[i].Open()
		if err != nil {
			return err
		}
		defer record.Close() //nolint:errcheck // opened for reading
		c := csv.NewReader(record)
		c.FieldsPerRecord = -1
		rows, err := c.ReadAll()
		if err != nil {
			return err
		}
		for _, row := range rows {
			d.Files = append(d.Files, row[0])
		}
		slices.Sort(d.Files)
	}
	f.Dists = append(f.Dists, d)
	return nil
}

var abiTag = regexp.MustCompile(`\.cpython-(\d+)[a-z]*-`)

// Judge holds facts against a target.
func (f *Facts) Judge(t target.Target, o Options) *Report {
	r := &Report{Schema: 1, Files: len(f.Files), ZippedBytes: o.ZippedBytes, Errors: []Finding{}, Remarks: []Finding{}, Packages: []Package{}}
	sizes := map[string]int64{}
	for _, file := range f.Files {
		r.UnzippedBytes += file.Size
		sizes[file.Name] = file.Size
	}
	for _, d := range f.Dists {
		p := Package{Name: strings.ReplaceAll(d.Name, "_", "-"), Version: d.Version}
		for _, file := range d.Files {
			if size, ok := sizes[file]; ok {
				p.Files, p.Bytes = p.Files+1, p.Bytes+size
			}
		}
		r.Packages = append(r.Packages, p)
	}
	add := func(code, file, got, want, cure string) {
		finding := Finding{Code: code, File: file, Got: got, Want: want, Cure: cure}
		if d := f.owner(file); d != nil {
			finding.Package, finding.Version = d.Name, d.Version
		}
		r.Errors = append(r.Errors, finding)
	}
	for _, e := range f.ELFs {
		want := strings.ReplaceAll(t.Machine(), "_", "-")
		if e.Machine != want {
			add("ELF-MACHINE", e.File, e.Machine, want, "build the bundle for "+t.String()+": bundle build, or the docker builder")
		}
		var need target.Version
		if _, err := fmt.Sscanf(e.Glibc, "%d.%d", &need.Major, &need.Minor); err == nil && t.Runtime.OS.Glibc.Less(need) {
			add("GLIBC", e.File, "GLIBC_"+e.Glibc, "at most GLIBC_"+t.Runtime.OS.Glibc.String()+" ("+t.Runtime.OS.Name+")", "choose an older version of the package, or a newer runtime")
		}
		tag := strings.ReplaceAll(t.Runtime.Python, ".", "")
		if m := abiTag.FindStringSubmatch(e.File); m != nil && m[1] != tag {
			add("ABI", e.File, "cpython-"+m[1], "cpython-"+tag, "build the bundle for "+t.Runtime.Name)
		}
	}
	if r.UnzippedBytes > MaxUnzippedBytes {
		add("UNZIPPED-SIZE", "", fmt.Sprint(r.UnzippedBytes, " bytes"), fmt.Sprint("at most ", MaxUnzippedBytes), "leave packages or files out")
	}
	if i := strings.LastIndex(o.Handler, "."); o.Handler != "" {
		module := o.Handler
		if i > 0 {
			module = o.Handler[:i]
		}
		module = strings.ReplaceAll(module, ".", "/")
		_, file := sizes[module+".py"]
		_, pkg := sizes[module+"/__init__.py"]
		if !file && !pkg {
			add("HANDLER", module+".py", "no such file", "the module of handler "+o.Handler, "correct the handler, or add the module to the sources")
		}
	}
	if o.ZippedBytes > MaxZippedBytes {
		r.Remarks = append(r.Remarks, Finding{Code: "ZIPPED-SIZE", Got: fmt.Sprint(o.ZippedBytes, " bytes"), Want: fmt.Sprint("at most ", MaxZippedBytes, " for a direct upload"), Cure: "deploy it through S3"})
	}
	return r
}

// Verify judges a zip or a folder.
func Verify(ctx context.Context, name string, t target.Target, o Options) (*Report, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	var files []File
	if info.IsDir() {
		err = filepath.WalkDir(name, func(file string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			rel, err := filepath.Rel(name, file)
			files = append(files, File{filepath.ToSlash(rel), info.Size(), info.Mode(), func() (io.ReadCloser, error) { return os.Open(file) }})
			return err
		})
		if err != nil {
			return nil, err
		}
	} else {
		z, err := zip.OpenReader(name)
		if err != nil {
			return nil, fmt.Errorf("reading %q: %w", name, err)
		}
		defer z.Close() //nolint:errcheck // opened for reading
		for _, m := range z.File {
			files = append(files, File{m.Name, int64(m.UncompressedSize64), m.Mode(), m.Open})
		}
		o.ZippedBytes = info.Size()
	}
	facts, err := Scan(ctx, files)
	if err != nil {
		return nil, err
	}
	return facts.Judge(t, o), nil
}
