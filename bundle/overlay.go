package bundle

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"sample-python-arm64-lambda/bundle/target"
	"sample-python-arm64-lambda/bundle/verify"
)

// Bundle lays the sources of spec over the dependencies and writes the verified zip to out. Only the sources are read,
// scanned, deflated and hashed: the dependencies' part is copied as it is, or left out where it goes into a layer.
func (d *Dependencies) Bundle(ctx context.Context, spec Spec, out string, opts Options) (*Manifest, error) {
	start := time.Now()
	if spec.Target == (target.Target{}) {
		spec.Target = target.Default
	}
	sources, err := listSources(spec.Source, spec.Exclude)
	if err != nil {
		return nil, err
	}
	m := &Manifest{
		Schema: ManifestSchema, Path: out, Runtime: spec.Target.Runtime.Name, Architecture: string(spec.Target.Arch),
		Handler: spec.Handler, Builder: d.Builder, Cached: d.Cached, Notes: d.Notes,
	}
	err = writeByRename(out, func(f *os.File) error {
		var group errgroup.Group
		if !spec.Layer { // the kernel copies the front while what follows it is made
			group.Go(func() error { return d.entry.copyFront(f) })
		}
		return errors.Join(d.overlay(ctx, f, spec, sources, opts, m), group.Wait())
	})
	if err != nil {
		return nil, err
	}
	m.Seconds = time.Since(start).Seconds()
	return m, nil
}

// overlay writes what follows the dependencies' part, and judges the whole.
func (d *Dependencies) overlay(ctx context.Context, f *os.File, spec Spec, sources []member, opts Options, m *Manifest) error {
	deps, err := d.facts()
	if err != nil {
		return err
	}
	inTheWay := collisions
	if spec.Layer {
		inTheWay = hidden
	}
	if err := inTheWay(sources, deps); err != nil {
		return err
	}
	scanned, err := verify.Scan(ctx, verifyFiles(sources))
	if err != nil {
		return fmt.Errorf("scanning sources: %w", err)
	}
	if err := d.write(ctx, f, spec.Layer, sources, m); err != nil {
		return err
	}
	report := verify.Merge(deps, scanned).Judge(spec.Target, verify.Options{Handler: spec.Handler, Ignore: opts.Ignore, ZippedBytes: m.ZippedBytes})
	m.Files, m.UnzippedBytes, m.Packages = report.Files, report.UnzippedBytes, report.Packages
	m.Remarks, m.Waived = report.Remarks, report.Waived
	return report.Err()
}

func (d *Dependencies) facts() (*verify.Facts, error) {
	data, err := os.ReadFile(d.entry.facts())
	if err != nil {
		return nil, fmt.Errorf("reading cache entry: %w", err)
	}
	facts := &verify.Facts{}
	if err := json.Unmarshal(data, facts); err != nil {
		return nil, fmt.Errorf("reading cache entry %q: %w", d.entry.dir, err)
	}
	var bytes int64
	for _, f := range facts.Files {
		bytes += f.Size
	}
	if len(facts.Files) != d.entry.meta.Members || bytes != d.entry.meta.UnzippedBytes {
		return nil, &Error{
			What: fmt.Sprintf("the cache entry %q is damaged: it has facts about %d files of %d bytes, and %d files of %d bytes",
				d.entry.dir, len(facts.Files), bytes, d.entry.meta.Members, d.entry.meta.UnzippedBytes),
			Cure: "remove the folder, or build with -refresh",
		}
	}
	return facts, nil
}

// collisions refuses sources that would stand in the zip beside a dependency's file of the same name: which of the two
// an unzip leaves is a matter of its order.
func collisions(sources []member, deps *verify.Facts) error {
	taken := map[string]bool{}
	for _, name := range deps.Names() {
		taken[name] = true
	}
	var errs []error
	for _, s := range sources {
		if taken[s.name] {
			errs = append(errs, &Error{
				What: fmt.Sprintf("the source file %q has the name of a file of %s", s.name, deps.Owner(s.name)),
				Cure: "rename it or exclude it",
			})
		}
	}
	return errors.Join(errs...)
}

// write writes the zip, behind the dependencies or without them, and puts its digest and size into m.
func (d *Dependencies) write(ctx context.Context, f *os.File, layer bool, sources []member, m *Manifest) (err error) {
	sum := sha256.New()
	z := &zipWriter{w: io.MultiWriter(f, sum)}
	if !layer {
		if z, sum, err = d.entry.resume(f); err != nil {
			return err
		}
	}
	if err := deflateAll(ctx, z, sources); err != nil {
		return err
	}
	if err := z.finish(); err != nil {
		return err
	}
	m.SHA256, m.ZippedBytes = hex.EncodeToString(sum.Sum(nil)), z.offset
	return nil
}

// writeByRename lets write fill a temporary file beside file, which takes its name only when all went well.
func writeByRename(file string, write func(*os.File) error) (err error) {
	unwritable := func(err error) error {
		return &Error{What: fmt.Sprintf("the output %q cannot be written", file), Cure: "name another one, or give this user the right to write there", Err: err}
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return unwritable(err)
	}
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".*")
	if err != nil {
		return unwritable(err)
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name()) //nolint:errcheck // the error that led here is the one to tell
		}
	}()
	if err := errors.Join(write(f), f.Close()); err != nil {
		return err
	}
	if err := os.Chmod(f.Name(), 0o644); err != nil {
		return unwritable(err)
	}
	if err := replaceFile(f.Name(), file); err != nil {
		return unwritable(err)
	}
	return nil
}
