package bundle

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sync/singleflight"

	"sample-python-arm64-lambda/bundle/target"
)

// Dependencies is a dependency tree in the cache: normalised, scanned, and deflated as the front of a zip.
type Dependencies struct {
	// Builder is the builder that made the tree.
	Builder Builder
	// Cached says that the tree was found in the cache.
	Cached bool
	// Notes say what of the tree depends on more than the requirements.
	Notes []string

	entry *entry
}

// fromImage returns the tree of spec's image; that of a digest, which never changes, from the cache.
func fromImage(ctx context.Context, spec Spec, opts Options) (*Dependencies, error) {
	key := cacheKey(spec.Target, Docker, spec.Image)
	if e, err := opts.cache().load(key); err == nil && !opts.Refresh && strings.Contains(spec.Image, "sha256:") {
		return &Dependencies{Builder: Docker, Cached: true, Notes: e.meta.Notes, entry: e}, nil
	}
	e, err := resolveImage(ctx, key, spec.Image, "", spec.Target, opts)
	if err != nil {
		return nil, err
	}
	return &Dependencies{Builder: Docker, Notes: e.meta.Notes, entry: e}, nil
}

// Resolve returns the dependency tree of spec, from the cache or from a builder.
func Resolve(ctx context.Context, spec Spec, opts Options) (*Dependencies, error) {
	if spec.Target == (target.Target{}) {
		spec.Target = target.Default
	}
	if spec.Image != "" {
		return fromImage(ctx, spec, opts)
	}
	reqs, err := ReadRequirements(spec.Requirements)
	if err != nil {
		return nil, err
	}
	switch spec.Builder {
	case Auto, Wheels, "":
		return resolveWheels(ctx, spec, reqs, opts)
	}
	return nil, &Error{What: fmt.Sprintf("builder %q is not known here", spec.Builder), Cure: "use auto or wheels"}
}

func resolveWheels(ctx context.Context, spec Spec, reqs *Requirements, opts Options) (*Dependencies, error) {
	digest, err := reqs.Digest()
	if err != nil {
		return nil, err
	}
	c := opts.cache()
	key := cacheKey(spec.Target, Wheels, digest)
	if !opts.Refresh {
		if e, err := c.load(key); err == nil {
			return &Dependencies{Builder: Wheels, Cached: true, Notes: e.meta.Notes, entry: e}, nil
		} else if !errors.Is(err, os.ErrNotExist) {
			opts.progress("building the dependencies anew: %v", err)
		}
	}
	// Functions that are bundled at the same time and require the same share one tree.
	e, err, _ := building.Do(c.dir+key, func() (any, error) {
		return c.build(ctx, key, opts, func(work string) (tree, error) { return installWheels(ctx, work, spec.Target, reqs, opts) })
	})
	if err != nil {
		return nil, err
	}
	return &Dependencies{Builder: Wheels, Notes: e.(*entry).meta.Notes, entry: e.(*entry)}, nil
}

// building keeps a tree from being made twice at the same time.
var building singleflight.Group

// tree is what a builder made.
type tree struct {
	dir       string
	builtHere []string // normalised names of the packages built from source on this host
	notes     []string
	image     string // the image it is from, and the build ID that image was built with
	buildID   string
}

// installWheels makes the tree in the folder work.
func installWheels(ctx context.Context, work string, t target.Target, reqs *Requirements, opts Options) (tree, error) {
	made := tree{dir: filepath.Join(work, "tree")}
	staged := filepath.Join(work, "staged")
	for _, dir := range []string{made.dir, staged} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return tree{}, err
		}
	}
	if reqs.Empty() {
		return made, nil
	}
	if err := reqs.Stage(staged); err != nil {
		return tree{}, err
	}
	opts.progress("installing the wheels of %d requirements for %s with uv", len(reqs.lines), t)
	w := wheelsBuilder{uv: opts.UV, target: t, staged: staged, tree: made.dir, hashed: reqs.Hashed()}
	if w.uv == "" {
		w.uv = "uv"
	}
	var err error
	if made.builtHere, err = w.build(ctx); err != nil {
		return tree{}, err
	}
	for _, name := range made.builtHere {
		made.notes = append(made.notes, name+" was built from source: its METADATA follows the version of its build backend")
	}
	for _, line := range reqs.Unpinned() {
		made.notes = append(made.notes, fmt.Sprintf("%q names no exact version: it stays at what was first installed until -refresh", line))
	}
	return made, nil
}
