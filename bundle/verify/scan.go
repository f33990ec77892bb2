package verify

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
)

// Bounds on what is read of files that are text.
const (
	maxMetadata = 8 << 20 // METADATA has the project's description in it, RECORD a line for each file
	maxSource   = 2 << 20
)

// maxScanned is the size of a bundle, in bytes, beyond which its content is not looked at: four times Lambda's limit,
// which is then the finding. It keeps a zip bomb from being unpacked.
const maxScanned = 4 * maxUnzipped

// Scan reads the files, several at a time, and notes what they are.
func Scan(ctx context.Context, files []File) (*Facts, error) {
	s := &scan{facts: &Facts{Files: make([]FileFact, len(files)), ELF: map[string]*ELF{}, Modules: map[string]*Module{}}, files: files}
	var total int64
	for i := range files {
		s.facts.Files[i] = FileFact{Name: files[i].Name, Size: files[i].Size}
		total += min(max(files[i].Size, 0), maxScanned)
	}
	if total > maxScanned {
		return s.facts, nil
	}
	s.dists = map[string]*Dist{}
	if err := s.parallel(ctx, func(f *File) bool { return isDistInfo(f.Name) }, s.distInfo); err != nil {
		return nil, err
	}
	s.own()
	if err := s.parallel(ctx, func(f *File) bool { return !isDistInfo(f.Name) }, s.file); err != nil {
		return nil, err
	}
	slices.SortFunc(s.facts.Problems, compareFindings)
	return s.facts, nil
}

// scan is one run of Scan.
type scan struct {
	files []File
	mu    sync.Mutex // guards what follows
	facts *Facts
	dists map[string]*Dist // by folder
}

// parallel hands the indexes of the chosen files to visit, the biggest first, on all processors. buf is memory that a
// visitor may use and grow.
func (s *scan) parallel(ctx context.Context, choose func(*File) bool, visit func(i int, buf *[]byte) error) error {
	var order []int
	for i := range s.files {
		if choose(&s.files[i]) {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(s.files[b].Size, s.files[a].Size) })
	todo := make(chan int)
	group, ctx := errgroup.WithContext(ctx)
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() error {
			var buf []byte
			for i := range todo {
				if err := visit(i, &buf); err != nil {
					return err
				}
			}
			return nil
		})
	}
	group.Go(func() error {
		defer close(todo)
		for _, i := range order {
			select {
			case todo <- i:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	return group.Wait()
}

// file notes what one file is. A file that cannot be read is an error where it is one of this machine's, and a problem
// of the bundle where its content is damaged.
func (s *scan) file(i int, buf *[]byte) error {
	f := &s.files[i]
	if f.Mode&fs.ModeSymlink != 0 {
		return s.link(i)
	}
	if f.Size < 4 || !f.Mode.IsRegular() {
		return nil
	}
	if isPython(f.Name) {
		return s.module(i)
	}
	c, err := openContent(f, buf)
	if err != nil {
		return s.damaged(f, err)
	}
	err = s.binary(i, c)
	if closeErr := c.close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return s.damaged(f, err)
	}
	return nil
}

// binary notes what a binary file is, by its first bytes.
func (s *scan) binary(i int, c *content) error {
	f := &s.files[i]
	var magic [4]byte
	if err := c.readAt(magic[:], 0); err != nil {
		return err
	}
	switch {
	case string(magic[:]) == "\x7fELF":
		e, err := readELF(c, f.Name)
		if err != nil {
			return err
		}
		if e != nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.facts.ELF[f.Name] = e
		}
	case isMachO(magic, f.Name):
		s.facts.Files[i].Foreign = "macOS"
	case string(magic[:2]) == "MZ" && isWindowsName(f.Name):
		s.facts.Files[i].Foreign = "Windows"
	}
	return nil
}

// isMachO knows Mach-O files of either width and byte order; the magic number of those for several machines is also
// that of Java classes.
func isMachO(magic [4]byte, name string) bool {
	switch string(magic[:]) {
	case "\xcf\xfa\xed\xfe", "\xce\xfa\xed\xfe", "\xfe\xed\xfa\xcf", "\xfe\xed\xfa\xce":
		return true
	case "\xca\xfe\xba\xbe":
		return !strings.HasSuffix(name, ".class")
	}
	return false
}

func isWindowsName(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".pyd", ".dll", ".exe":
		return true
	}
	return false
}

// link notes what a symbolic link leads to.
func (s *scan) link(i int) error {
	f := &s.files[i]
	text, err := readAll(f, maxString)
	if err != nil {
		return s.damaged(f, err)
	}
	to := string(text)
	s.facts.Files[i].Foreign = "link"
	if path.IsAbs(to) || !fs.ValidPath(path.Join(path.Dir(f.Name), to)) {
		s.problem(Finding{Code: "LINK", File: f.Name, Got: "a symbolic link to " + quoted(to), Want: "a link to a file of the bundle"})
		return nil
	}
	s.facts.Files[i].Target = path.Join(path.Dir(f.Name), to)
	return nil
}

// damaged makes a finding of content that cannot be read, and leaves errors of this machine what they are.
func (s *scan) damaged(f *File, err error) error {
	var onDisk *fs.PathError
	if errors.As(err, &onDisk) {
		return fmt.Errorf("reading %q: %w", f.Name, err)
	}
	s.problem(Finding{Code: "DAMAGED", File: f.Name, Got: err.Error(), Want: "a file that can be read to its end"})
	return nil
}

func (s *scan) problem(f Finding) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.facts.Problems = append(s.facts.Problems, f)
}

// readAll returns the content of a file that must not be larger than limit.
func readAll(f *File, limit int64) ([]byte, error) {
	if f.Size > limit {
		return nil, fmt.Errorf("it has %d bytes, more than such a file can need (%d)", f.Size, limit)
	}
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	_, err = io.Copy(&b, io.LimitReader(r, limit))
	return b.Bytes(), errors.Join(err, r.Close())
}
