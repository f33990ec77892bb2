package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"github.com/klauspost/compress/flate"
	"golang.org/x/sync/errgroup"
)

// The bundler's parameters (bundle/deflate.go).
const (
	blockSize    = 1 << 20
	deflateLevel = 7
)

// limit is what the machine allows for one workload, in the same run.
type limit struct {
	workload string
	files    int
	unzipped int64         // bytes that have to be read and deflated
	zipped   int64         // bytes that have to be written
	install  time.Duration // uv alone, its cache warm
	deflate  time.Duration // of the content in memory, on all cores
	hash     time.Duration // SHA-256 of the zip in memory, one core
	copy     time.Duration // of the zip to another file, by the kernel, and the removal of an older copy
	line     time.Duration // of the bundle command after one changed line, in turn with the copies
	start    time.Duration // of the bundle command that does nothing
}

// measureLimits measures what no bundler can go below. It needs the bundler's zip and uv's cache.
func (b *bench) measureLimits(w workload, dir string) error {
	l := limit{workload: w.name}
	at := filepath.Join(dir, "limits")
	if err := writeFile(filepath.Join(at, "requirements.txt"), requirements(w.name)); err != nil {
		return err
	}
	install := commands(b.install(at, "requirements.txt", filepath.Join(dir, "uv")))
	var err error
	if l.install, err = b.medianWall(func() error { return remove(at, "tree") }, install); err != nil {
		return err
	}
	if l.start, err = b.medianWall(nil, commands(command{args: []string{b.bundle, "help"}})); err != nil {
		return err
	}
	content, err := readFiles(filepath.Join(at, "tree"), "*")
	if err != nil {
		return err
	}
	zip := filepath.Join(dir, "ours", "dist", "bundle.zip")
	zipped, err := os.ReadFile(zip)
	if err != nil {
		return err
	}
	l.files, l.zipped = len(content), int64(len(zipped))
	for _, c := range content {
		l.unzipped += int64(len(c))
	}
	if l.deflate, err = b.medianWall(nil, func(func(command) error) error { return deflate(content) }); err != nil {
		return err
	}
	if l.hash, err = b.medianWall(nil, func(func(command) error) error { sha256.Sum256(zipped); return nil }); err != nil {
		return err
	}
	if err := b.measureLine(&l, zip, at, dir); err != nil {
		return err
	}
	b.limits = append(b.limits, l)
	return removeAll(at)
}

// measureLine measures the copy of the zip and the bundler after one changed line in turn: some milliseconds each, of which
// a machine gives more and less from one minute to the next.
func (b *bench) measureLine(l *limit, zip, at, dir string) error {
	old, c := filepath.Join(at, "old.zip"), checkout{dir: filepath.Join(dir, "ours"), source: "src/main.py", edits: 1000}
	var copies, lines []sample
	for range 3 * b.runs {
		if err := errors.Join(remove(at, "copy.zip"), copyFile(zip, old)); err != nil {
			return err
		}
		one, err := b.measure(func(func(command) error) error {
			return errors.Join(copyFile(zip, filepath.Join(at, "copy.zip")), os.Remove(old))
		})
		if err != nil {
			return err
		}
		copies = append(copies, one)
		if err := c.edit(); err != nil {
			return err
		}
		if one, err = b.measure(commands(b.ownBuild(c.dir, filepath.Join(dir, "uv")))); err != nil {
			return err
		}
		lines = append(lines, one)
	}
	l.copy, l.line = medianOf(copies).wall, medianOf(lines).wall
	return nil
}

// medianWall is the median duration of a job.
func (b *bench) medianWall(prepare func() error, do job) (time.Duration, error) {
	var all []sample
	for range b.runs {
		if prepare != nil {
			if err := prepare(); err != nil {
				return 0, err
			}
		}
		one, err := b.measure(do)
		if err != nil {
			return 0, err
		}
		all = append(all, one)
	}
	return medianOf(all).wall, nil
}

// deflate compresses contents in blocks on all cores, to nowhere.
func deflate(contents [][]byte) error {
	blocks := make(chan []byte)
	var group errgroup.Group
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() error {
			w, err := flate.NewWriter(io.Discard, deflateLevel)
			for block := range blocks {
				if err == nil {
					w.Reset(io.Discard)
					_, err = w.Write(block)
					err = errors.Join(err, w.Close())
				}
			}
			return err
		})
	}
	for _, c := range contents {
		for block := range slices.Chunk(c, blockSize) {
			blocks <- block
		}
	}
	close(blocks)
	return group.Wait()
}

// readFiles returns the content of the files that the patterns match below dir, and of all below folders they match.
func readFiles(dir string, patterns ...string) ([][]byte, error) {
	var contents [][]byte
	for _, p := range patterns {
		tops, err := filepath.Glob(filepath.Join(dir, p))
		if err != nil {
			return nil, err
		}
		for _, top := range tops {
			err := filepath.WalkDir(top, func(name string, e os.DirEntry, err error) error {
				if err != nil || !e.Type().IsRegular() {
					return err
				}
				content, err := os.ReadFile(name)
				contents = append(contents, content)
				return err
			})
			if err != nil {
				return nil, err
			}
		}
	}
	if len(contents) == 0 {
		return nil, fmt.Errorf("nothing in %q matches %q", dir, patterns)
	}
	return contents, nil
}

// copyFile copies a file by the kernel where the system can (copy_file_range(2)).
func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // opened for reading
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(out, in)
	return err
}
