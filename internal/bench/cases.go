package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// The tools that are no peers.
const (
	baseline = "uv + zip -6"
	ours     = "bundle"
)

// install is the baseline's first half, into the folder tree of dir; uv chooses how it links.
func (b *bench) install(dir, requirements, uvCache string) command {
	return command{dir, []string{"UV_CACHE_DIR=" + uvCache}, []string{b.uv, "pip", "install", "--target", "tree", "-r", requirements,
		"--python-platform", "aarch64-manylinux2014", "--python-version", "3.11", "--only-binary", ":all:"}}
}

// installAndZip makes out.zip in dir.
func (b *bench) installAndZip(dir, requirements, source, uvCache string) []command {
	return []command{b.install(dir, requirements, uvCache), {dir, nil, []string{"cp", "-r", source + "/.", "tree"}}, zipOf(dir, "tree")}
}

// measureBaseline measures uv pip install and zip -6, which do the same work in every case but the first.
func (b *bench) measureBaseline(w workload, dir string) error {
	c := checkout{dir: filepath.Join(dir, "baseline"), requirements: "requirements.txt", source: "src/main.py"}
	if err := c.write(requirements(w.name)); err != nil {
		return err
	}
	empty := scenario{name: nothingDownloaded, do: commands(b.installAndZip(c.dir, "requirements.txt", "src", "empty")...), zip: filepath.Join(c.dir, "out.zip"),
		prepare: func() error { return remove(c.dir, "tree", "out.zip", "empty") }, budget: b.budget}
	if err := b.add(w.name, baseline, empty); err != nil {
		return err
	}
	shared := scenario{name: cold, do: commands(b.installAndZip(c.dir, "requirements.txt", "src", filepath.Join(dir, "uv"))...), zip: empty.zip, prepare: empty.prepare}
	if err := b.warmUp(shared); err != nil { // fills uv's cache
		return err
	}
	return b.add(w.name, baseline, shared)
}

// warmUp does what add does, once, and adds no row.
func (b *bench) warmUp(s scenario) error {
	if err := s.prepare(); err != nil {
		return err
	}
	return s.do(b.do)
}

// ownBuild is the bundler's command line in the folder of a checkout.
func (b *bench) ownBuild(dir, uvCache string, env ...string) command {
	return command{dir, append([]string{"UV_CACHE_DIR=" + uvCache}, env...), []string{b.bundle, "build", "-cache", "cache", "-o", "dist/bundle.zip"}}
}

// measureOurs measures the bundler in every case.
func (b *bench) measureOurs(w workload, dir string) error {
	c := &checkout{dir: filepath.Join(dir, "ours"), requirements: "requirements.txt", source: "src/main.py"}
	if err := c.write(requirements(w.name)); err != nil {
		return err
	}
	uv := filepath.Join(dir, "uv")
	build := b.ownBuild(c.dir, uv)
	// Where there is nothing to install, no process is needed: none can be started with this PATH.
	alone := b.ownBuild(c.dir, uv, "PATH="+filepath.Join(dir, "nothing-here"))
	empty := b.ownBuild(c.dir, "empty")
	for _, s := range []scenario{
		{name: nothingDownloaded, watch: &empty, budget: b.budget, prepare: func() error { return remove(c.dir, "cache", "dist", "empty") }},
		{name: cold, watch: &build, prepare: func() error { return remove(c.dir, "cache", "dist") }},
		{name: unchanged, watch: &alone, prepare: func() error { return nil }},
		{name: lineChanged, watch: &alone, prepare: c.edit},
		{name: cacheWarm, watch: &alone, prepare: func() error { return errors.Join(remove(c.dir, "dist"), c.edit()) }},
	} {
		s.do, s.zip = commands(*s.watch), filepath.Join(c.dir, "dist", "bundle.zip")
		if err := b.add(w.name, ours, s); err != nil {
			return err
		}
	}
	if err := b.measureFresh(w, c, dir); err != nil {
		return err
	}
	return b.measurePin(w, c, dir)
}

// measureFresh measures another checkout of the same commit elsewhere, with caches that were unpacked there, and holds
// that the zip is the same.
func (b *bench) measureFresh(w workload, c *checkout, dir string) error {
	before, err := digest(filepath.Join(c.dir, "dist", "bundle.zip"))
	if err != nil {
		return err
	}
	there := filepath.Join(dir, "elsewhere", "checkout")
	build := b.ownBuild(there, filepath.Join(dir, "elsewhere", "uv"))
	if err := os.CopyFS(filepath.Join(dir, "elsewhere", "uv"), os.DirFS(filepath.Join(dir, "uv"))); err != nil {
		return err
	}
	err = b.add(w.name, ours, scenario{name: freshRunner, watch: &build, do: commands(build), zip: filepath.Join(there, "dist", "bundle.zip"), prepare: func() error {
		if err := removeAll(there); err != nil {
			return err
		}
		if err := os.CopyFS(there, os.DirFS(c.dir)); err != nil {
			return err
		}
		return remove(there, "dist", "empty")
	}})
	if err != nil {
		return err
	}
	after, err := digest(filepath.Join(there, "dist", "bundle.zip"))
	if err == nil && !bytes.Equal(before, after) {
		err = fmt.Errorf("the zip of %s is another one in another checkout: SHA-256 %x, want %x", w.name, after, before)
	}
	return errors.Join(err, removeAll(filepath.Join(dir, "elsewhere")))
}

// measurePin measures the change of one requirement, whose wheel is downloaded, with a dependency cache that knows only
// what was before; and what uv needs for the same change of a tree, with the deflating of that wheel.
func (b *bench) measurePin(w workload, c *checkout, dir string) error {
	uv, snapshot := filepath.Join(dir, "uv"), filepath.Join(dir, "snapshot")
	if err := os.CopyFS(snapshot, os.DirFS(filepath.Join(c.dir, "cache"))); err != nil {
		return err
	}
	build := b.ownBuild(c.dir, uv)
	prepare := func() error {
		if err := remove(c.dir, "cache"); err != nil {
			return err
		}
		if err := os.CopyFS(filepath.Join(c.dir, "cache"), os.DirFS(snapshot)); err != nil {
			return err
		}
		return c.write(w.requirementsAfter())
	}
	s := scenario{name: pinChanged, watch: &build, do: commands(build), zip: filepath.Join(c.dir, "dist", "bundle.zip"), prepare: prepare}
	if err := b.warmUp(s); err != nil { // downloads the other wheel
		return err
	}
	if err := b.add(w.name, ours, s); err != nil {
		return err
	}
	return errors.Join(b.measureUVPin(w, dir), removeAll(snapshot))
}

// measureUVPin is the least that a change of one requirement takes.
func (b *bench) measureUVPin(w workload, dir string) error {
	at := filepath.Join(dir, "pin")
	install := b.install(at, "requirements.txt", filepath.Join(dir, "uv"))
	var all []sample
	for range b.runs {
		if err := errors.Join(remove(at, "tree"), writeFile(filepath.Join(at, "requirements.txt"), requirements(w.name)), b.do(install)); err != nil {
			return err
		}
		if err := writeFile(filepath.Join(at, "requirements.txt"), w.requirementsAfter()); err != nil {
			return err
		}
		one, err := b.measure(commands(install))
		if err != nil {
			return err
		}
		wheel, err := readFiles(filepath.Join(at, "tree"), w.changed...)
		if err != nil {
			return err
		}
		begun := time.Now()
		if err := deflate(wheel); err != nil {
			return err
		}
		one.wall += time.Since(begun)
		all = append(all, one)
	}
	b.results = append(b.results, result{workload: w.name, tool: uvAndDeflate, scenario: pinChanged, runs: b.runs, median: sample{wall: medianOf(all).wall}})
	return removeAll(at)
}

// uvAndDeflate is what a change of one requirement is held against.
const uvAndDeflate = "uv, and deflating the changed wheel"

func digest(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // opened for reading
	sum := sha256.New()
	_, err = io.Copy(sum, f)
	return sum.Sum(nil), err
}
