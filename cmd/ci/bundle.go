package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"sample-python-arm64-lambda/bundle"
	"sample-python-arm64-lambda/bundle/verify"
)

// facts is what is compared of two bundles: the stack output `bundle` has this form.
type facts struct {
	SHA256        string            `json:"sha256"`
	LayerSHA256   string            `json:"layerSha256"`
	ZippedBytes   int64             `json:"zippedBytes"`
	UnzippedBytes int64             `json:"unzippedBytes"`
	Packages      map[string]string `json:"packages"`
}

// bundle makes the bundles here and, to compare them, at the base. What is wrong with one is told at the lines of the
// requirements that brought it in.
func (c *ci) bundle([]string) error {
	all, err := loadSettings(".", c.stack)
	if err != nil {
		return err
	}
	changed, err := c.changed()
	if err != nil {
		return err
	}
	base, errBase := c.buildBase()
	if errBase != nil {
		c.annotate("notice", place{}, "bundle", "the base has no bundle to compare with: "+errBase.Error())
	}
	for _, s := range all {
		after, err := c.build(s, "dist/head.zip")
		if err != nil {
			return c.explain(s, err)
		}
		text := "A requirement has no wheel for the target, so the docker builder makes the bundle where the stack is deployed.\n"
		if after != nil {
			text = difference(factsOf(base[s.function]), factsOf(after), "base", sources(s, changed)) + "\n" + verified(after)
		}
		if err := c.summary(s.heading("### Bundle") + text); err != nil {
			return err
		}
	}
	return nil
}

// build makes a bundle with wheels, on any host: the docker builder gives the same bytes. It returns nil where a
// requirement has no wheel and the settings let Docker build it.
func (c *ci) build(s *settings, out string) (*bundle.Manifest, error) {
	spec := s.spec
	spec.Builder = bundle.Wheels
	m, err := bundle.Build(c.ctx, spec, out, bundle.Options{Ignore: s.ignore})
	if none := (*bundle.NoWheelError)(nil); errors.As(err, &none) && s.spec.Builder != bundle.Wheels {
		return nil, nil
	}
	return m, err
}

// factsOf returns what is compared of a bundle, nil where there is none.
func factsOf(m *bundle.Manifest) *facts {
	if m == nil {
		return nil
	}
	return &facts{SHA256: m.SHA256, ZippedBytes: m.ZippedBytes, UnzippedBytes: m.UnzippedBytes, Packages: versions(m.Packages)}
}

// verified tells what the verifier found in a bundle that passed.
func verified(m *bundle.Manifest) string {
	found := ""
	for _, f := range m.Waived {
		found += "waived: " + f.String() + "\n"
	}
	for _, f := range m.Remarks {
		found += f.String() + "\n"
	}
	if found != "" {
		found = "\n" + fence(found)
	}
	return fmt.Sprintf("Verified for %s on %s: files %d, packages %d; errors 0, waived %d, remarks %d\n%s",
		m.Runtime, m.Architecture, m.Files, len(m.Packages), len(m.Waived), len(m.Remarks), found)
}

// buildBase makes the bundles of the base commit, in a checkout of its own.
func (c *ci) buildBase() (made map[string]*bundle.Manifest, err error) {
	dir, err := os.MkdirTemp("", "base")
	if err != nil {
		return nil, err
	}
	if _, err := c.start("git", "worktree", "add", "--quiet", "--force", "--detach", dir, "HEAD^1"); err != nil {
		return nil, err
	}
	defer func() {
		_, removed := c.start("git", "worktree", "remove", "--force", dir)
		err = errors.Join(err, removed)
	}()
	all, err := loadSettings(dir, c.stack)
	if err != nil {
		return nil, err
	}
	made = map[string]*bundle.Manifest{}
	for _, s := range all {
		if made[s.function], err = c.build(s, "dist/base.zip"); err != nil {
			return nil, err
		}
	}
	return made, nil
}

// inspect reads the bundle of a function that the program left in dist.
func (c *ci) inspect(s *settings) (*facts, error) {
	file, err := os.Open(filepath.Join("dist", s.name+".zip"))
	if err != nil {
		return nil, fmt.Errorf("reading the bundle: %w", err)
	}
	defer file.Close() //nolint:errcheck // opened for reading
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return nil, err
	}
	report, err := verify.Verify(c.ctx, file.Name(), s.spec.Target, verify.Options{})
	if err != nil {
		return nil, err
	}
	f := &facts{SHA256: fmt.Sprintf("%x", hash.Sum(nil)), ZippedBytes: report.ZippedBytes, UnzippedBytes: report.UnzippedBytes, Packages: versions(report.Packages)}
	if s.layer { // they are not in the zip
		f.Packages = nil
	}
	return f, nil
}

func versions(packages []verify.Package) map[string]string {
	all := map[string]string{}
	for _, p := range packages {
		all[p.Name] = p.Version
	}
	return all
}

// sources returns the changed files that are in the function's source folder.
func sources(s *settings, changed []string) (files []string) {
	for _, file := range changed {
		if strings.HasPrefix(file, filepath.ToSlash(s.spec.Source)+"/") {
			files = append(files, file)
		}
	}
	return files
}
