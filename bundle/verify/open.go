package verify

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/klauspost/compress/flate"
)

// bundleFiles are the files of an open zip or folder.
type bundleFiles struct {
	files    []File
	problems []Finding
	zipped   int64 // bytes of the zip, 0 for a folder
	io.Closer
}

// maxMembers is how many members of a zip are listed. Lambda has no such limit of its own, but no bundle of a size that
// it takes comes near.
const maxMembers = 1 << 20

// open lists a zip's or a folder's files.
func open(path string) (*bundleFiles, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("opening bundle: %w", err)
	}
	if info.IsDir() {
		return openFolder(path)
	}
	r, err := zip.OpenReader(path)
	if err != nil {
		return nil, fmt.Errorf("opening bundle %q: %w (want a zip file or a folder; a damaged zip has to be made again)", path, err)
	}
	r.RegisterDecompressor(zip.Deflate, inflate)
	b := &bundleFiles{zipped: info.Size(), Closer: r}
	if len(r.File) > maxMembers {
		return nil, errors.Join(fmt.Errorf("opening bundle %q: it has %d members, more than are looked at (%d)", path, len(r.File), maxMembers), r.Close())
	}
	for _, m := range r.File {
		if !strings.HasSuffix(m.Name, "/") {
			b.add(m)
		}
	}
	return b, nil
}

// flagEncrypted is bit 0 of a member's flags (PKWARE APPNOTE 6.3.9, section 4.4.4).
const flagEncrypted = 1

// add lists a member. What Lambda cannot unpack is a problem, and so is a file that its user may not read: Lambda runs
// a function as a user of its own (https://docs.aws.amazon.com/lambda/latest/dg/troubleshooting-deployment.html).
func (b *bundleFiles) add(m *zip.File) {
	problem := func(code, got, want string) {
		b.problems = append(b.problems, Finding{Code: code, File: m.Name, Got: got, Want: want})
	}
	if m.Flags&flagEncrypted != 0 {
		problem("ZIP-METHOD", "an encrypted member", "one without a password")
	} else if m.Method != zip.Deflate && m.Method != zip.Store {
		problem("ZIP-METHOD", fmt.Sprintf("compression method %d", m.Method), "deflate or none")
	}
	if perm := m.Mode().Perm(); perm != 0 && perm&0o004 == 0 {
		problem("MODE", fmt.Sprintf("mode %04o", perm), "a file that others may read, mode 0644 or 0755")
	}
	b.files = append(b.files, File{Name: m.Name, Size: int64(min(m.UncompressedSize64, 1<<62)), Mode: m.Mode(), Open: m.Open})
}

// inflate reads deflated data with decompressors that are used again.
func inflate(r io.Reader) io.ReadCloser {
	if pooled, ok := inflaters.Get().(io.ReadCloser); ok {
		if err := pooled.(flate.Resetter).Reset(r, nil); err == nil {
			return &inflater{pooled}
		}
	}
	return &inflater{flate.NewReader(r)}
}

var inflaters sync.Pool

type inflater struct{ io.ReadCloser }

func (i *inflater) Close() error {
	err := i.ReadCloser.Close()
	inflaters.Put(i.ReadCloser)
	return err
}

// openFolder lists a folder's files. The modes of a folder are not those of the zip that is made of it.
func openFolder(root string) (*bundleFiles, error) {
	b := &bundleFiles{Closer: io.NopCloser(nil)}
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		f := File{Name: filepath.ToSlash(rel), Size: info.Size(), Mode: info.Mode().Type(), Open: func() (io.ReadCloser, error) { return os.Open(file) }}
		if f.Mode&fs.ModeSymlink != 0 {
			f.Open = func() (io.ReadCloser, error) {
				to, err := os.Readlink(file)
				return io.NopCloser(strings.NewReader(filepath.ToSlash(to))), err
			}
		}
		b.files = append(b.files, f)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("listing bundle %q: %w", root, err)
	}
	return b, nil
}
