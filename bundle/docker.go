package bundle

import (
	"context"
	"crypto/rand"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"

	"sample-python-arm64-lambda/bundle/target"
)

// dockerfile is the docker build step. Its bytes are part of the key.
//
//go:embed Dockerfile
var dockerfile []byte

// Context is the staged context of the docker build step: a folder with the Dockerfile, the canonical requirements and
// the local packages, and nothing else, so that it changes only when the dependencies do.
type Context struct {
	// Dir is the folder.
	Dir string
	// Args are the build arguments.
	Args map[string]string
	// Platform is Docker's platform, always said: where it is left out it follows the host.
	Platform string
	// Tag names the dependencies, for the image's name in a registry.
	Tag string

	target target.Target
	key    string
	reqs   *Requirements
	cached *entry // nil where the tree is not in the cache
}

// Stage writes the docker context of spec into dir, whose former content is removed. With a shared registry, where
// every machine finds the image by its digest, the context is the same everywhere; without one, a machine that does not
// have the tree asks for an image of its own by a new build ID, since the provider does not notice that an image is gone.
func Stage(spec Spec, dir string, shared bool, opts Options) (*Context, error) {
	reqs, err := ReadRequirements(spec.Requirements)
	if err != nil {
		return nil, err
	}
	digest, err := reqs.Digest()
	if err != nil {
		return nil, err
	}
	t := spec.Target
	if t == (target.Target{}) {
		t = target.Default
	}
	base := spec.BaseImage
	if base == "" {
		base = t.BuildImage()
	}
	c := &Context{Dir: dir, Platform: t.DockerPlatform(), target: t, reqs: reqs}
	c.key = cacheKey(t, Docker, digest, string(dockerfile), base)
	c.Tag = tagOf(c.key)
	if e, err := opts.cache().load(c.key); err == nil && !opts.Refresh {
		c.cached = e
	}
	c.Args = map[string]string{"BASE": base, "BUILD_ID": c.buildID(shared)}
	if err := c.write(); err != nil {
		return nil, fmt.Errorf("staging the docker context: %w", err)
	}
	return c, nil
}

func (c *Context) buildID(shared bool) string {
	switch {
	case shared:
		return ""
	case c.cached != nil:
		return c.cached.meta.BuildID
	}
	return rand.Text()
}

// Cached says that the tree is in the cache, so that nothing has to be built where the image resource is unchanged.
func (c *Context) Cached() bool { return c.cached != nil }

// write fills the folder.
func (c *Context) write() error {
	if err := os.RemoveAll(c.Dir); err != nil {
		return err
	}
	local := filepath.Join(c.Dir, localFolder)
	if err := os.MkdirAll(local, 0o755); err != nil {
		return err
	}
	// COPY wants something to copy.
	for file, data := range map[string][]byte{filepath.Join(local, ".keep"): nil, filepath.Join(c.Dir, "Dockerfile"): dockerfile} {
		if err := os.WriteFile(file, data, 0o644); err != nil {
			return err
		}
		if err := os.Chmod(file, 0o644); err != nil {
			return err
		}
	}
	return c.reqs.Stage(c.Dir)
}

// Resolve returns the dependency tree of an image that was built from the context: from the cache where it is the same
// image, which takes no call to Docker, else from the daemon (an image ID) or the registry (a digest).
func (c *Context) Resolve(ctx context.Context, image string, opts Options) (*Dependencies, error) {
	if c.cached != nil && c.cached.meta.Image == image {
		return &Dependencies{Builder: Docker, Cached: true, Notes: c.cached.meta.Notes, entry: c.cached}, nil
	}
	// Functions that share the image share the tree.
	e, err, _ := building.Do(opts.CacheDir+c.key+image, func() (any, error) {
		if e, err := opts.cache().load(c.key); err == nil && e.meta.Image == image {
			return e, nil // made since the context was staged
		}
		return resolveImage(ctx, c.key, image, c.Args["BUILD_ID"], c.target, opts)
	})
	if err != nil {
		return nil, err
	}
	return &Dependencies{Builder: Docker, Notes: e.(*entry).meta.Notes, entry: e.(*entry)}, nil
}

// Empty says that nothing is required.
func (c *Context) Empty() bool { return c.reqs.Empty() }

// resolveImage puts the tree of an image into the cache.
func resolveImage(ctx context.Context, key, image, buildID string, t target.Target, opts Options) (*entry, error) {
	return opts.cache().build(ctx, key, opts, func(work string) (tree, error) {
		made := tree{dir: filepath.Join(work, "tree"), image: image, buildID: buildID}
		if err := os.Mkdir(made.dir, 0o755); err != nil {
			return tree{}, err
		}
		opts.progress("taking the dependencies from image %s", image)
		return made, extractImage(ctx, image, t, made.dir, opts)
	})
}
