// Package verify says whether a bundle can be loaded by a runtime of AWS Lambda, and lists everything that keeps it from
// being so, with what to do about each.
//
// [Scan] reads the files once and notes what they are ([Facts]), of each only as much as is needed and of no more at a
// time than a small buffer. [Facts.Judge] holds those facts against a target: it reads nothing, so the facts of a part
// that does not change can be kept. [Verify] does both for a zip or a folder, whoever made it.
//
// The codes of the findings are explained in docs/verify.md.
package verify

import (
	"context"
	"fmt"
	"io"
	"io/fs"

	"sample-python-arm64-lambda/bundle/target"
)

// File is a file of a bundle, as Scan is handed it.
type File struct {
	// Name is its path in the bundle, with slashes.
	Name string
	// Size is in bytes, uncompressed.
	Size int64
	// Mode says what kind of file it is; permission bits of 0 mean that they are not known.
	Mode fs.FileMode
	// Open returns the content. Of a reader that is an io.ReaderAt only the parts that are needed are read; any other
	// is read from its start, and closed where the last needed part ends.
	Open func() (io.ReadCloser, error)
}

// Options is what a bundle is judged by besides its target.
type Options struct {
	// Handler is Lambda's handler, for instance "main.handler"; it is not checked where it is empty.
	Handler string
	// Ignore waives findings; they are listed in the report all the same.
	Ignore []Waiver
	// ZippedBytes is the size of the zip; 0 where there is none.
	ZippedBytes int64
	// Found are errors that were found otherwise, such as by Syntax.
	Found []Finding
}

// Verify judges a zip file or a folder. The error says that it could not be read; what is wrong with the bundle is in
// the report.
func Verify(ctx context.Context, path string, t target.Target, o Options) (*Report, error) {
	b, err := open(path)
	if err != nil {
		return nil, err
	}
	defer b.Close() //nolint:errcheck // opened for reading
	facts, err := b.scan(ctx, path)
	if err != nil {
		return nil, err
	}
	var sources []File
	for i, f := range facts.Files {
		if f.Dist == 0 {
			sources = append(sources, b.files[i])
		}
	}
	found, err := Syntax(ctx, t, sources)
	if err != nil {
		return nil, err
	}
	o.ZippedBytes, o.Found = b.zipped, append(o.Found, found...)
	return facts.Judge(t, o), nil
}

// ScanPath scans a zip file or a folder, also one that is no bundle, such as a wheel. It returns the size of the zip in
// bytes, 0 for a folder.
func ScanPath(ctx context.Context, path string) (facts *Facts, zippedBytes int64, err error) {
	b, err := open(path)
	if err != nil {
		return nil, 0, err
	}
	defer b.Close() //nolint:errcheck // opened for reading
	facts, err = b.scan(ctx, path)
	return facts, b.zipped, err
}

func (b *bundleFiles) scan(ctx context.Context, path string) (*Facts, error) {
	facts, err := Scan(ctx, b.files)
	if err != nil {
		return nil, fmt.Errorf("scanning bundle %q: %w", path, err)
	}
	facts.Problems = append(facts.Problems, b.problems...)
	return facts, nil
}
