package sandbox

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// unzip unpacks a deployment package into dir. A name that leads out of dir is an error. Files keep their execute bits;
// they are readable whatever their mode says, as this process has to remove them again.
func unzip(archive, dir string) (err error) {
	r, err := zip.OpenReader(archive)
	if err != nil {
		return fmt.Errorf("opening zip %q: %w", archive, err)
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	for _, f := range r.File {
		if err := unzipFile(f, dir); err != nil {
			return fmt.Errorf("unpacking %q of %q: %w", f.Name, archive, err)
		}
	}
	return nil
}

func unzipFile(f *zip.File, dir string) (err error) {
	if !filepath.IsLocal(filepath.FromSlash(f.Name)) {
		return errors.New("the name leads out of the folder")
	}
	path := filepath.Join(dir, filepath.FromSlash(f.Name))
	if strings.HasSuffix(f.Name, "/") {
		return os.MkdirAll(path, 0o755)
	}
	if !f.Mode().IsRegular() {
		return fmt.Errorf("got %s, want a regular file", f.Mode().Type())
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	in, err := f.Open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, f.Mode().Perm()|0o644) // a layer may replace a file of another
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
