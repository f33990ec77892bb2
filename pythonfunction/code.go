package pythonfunction

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/pulumi/pulumi-docker/sdk/v4/go/docker"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"sample-python-arm64-lambda/bundle"
)

// maxDirectUpload is AWS Lambda's quota for a zip in a request, in bytes
// (https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html).
const maxDirectUpload = 52_428_800

// code is a function's zip on its way: made at once, or once the image resource that it comes from is known.
type code struct {
	args    *Args
	opts    bundle.Options
	dir     string           // where the zip goes
	tag     string           // names the dependencies; "" where there are none
	made    *bundle.Manifest // nil where a docker image comes first
	context *bundle.Context  // of that image
	warn    func(line string)
	image   pulumi.StringOutput
}

// prepare does what can be done before anything is registered: the whole zip, unless the docker builder is to make the
// dependencies.
func prepare(ctx *pulumi.Context, args *Args) (*code, error) {
	dir := args.OutputDir
	if dir == "" {
		dir = "dist"
	}
	c := &code{args: args, opts: args.Options, dir: dir}
	c.warn = func(line string) { _ = ctx.Log.Warn(line, nil) }
	if c.opts.Progress == nil {
		c.opts.Progress = func(line string) { _ = ctx.Log.Info(line, &pulumi.LogArgs{Ephemeral: true}) }
	}
	spec := args.Bundle
	if spec.Image != "" {
		from := &Registry{Repository: spec.Image}
		if r := args.Registry; r != nil && r.server() == from.server() {
			from = r
		}
		var err error
		if c.opts.Registry, err = from.login(ctx); err != nil {
			return nil, err
		}
	}
	if spec.Image != "" || spec.Builder != bundle.Docker {
		err := c.build(ctx, spec)
		var none *bundle.NoWheelError
		if err == nil || spec.Builder == bundle.Wheels || !errors.As(err, &none) {
			return c, err
		}
		if err := ctx.Log.Info(fmt.Sprintf("auto: %s has no usable wheel for %s, so docker builds the dependencies", none.Requirement, none.Target), nil); err != nil {
			return nil, err
		}
	}
	return c, c.stage(ctx, filepath.Join(dir, "context", args.FunctionName))
}

// build makes the zip without the engine.
func (c *code) build(ctx *pulumi.Context, spec bundle.Spec) error {
	deps, err := bundle.Resolve(ctx.Context(), spec, c.opts)
	if err != nil {
		return err
	}
	if !deps.Empty() {
		c.tag = deps.Tag()
	}
	c.made, err = c.overlay(ctx.Context(), deps)
	return err
}

// stage writes the docker context, and finds out whether the daemon can build it. With a registry the image may be
// there already, so only a daemon is needed.
func (c *code) stage(ctx *pulumi.Context, dir string) (err error) {
	shared := c.args.Registry != nil
	if c.context, err = bundle.Stage(c.args.Bundle, dir, shared, c.opts); err != nil {
		return err
	}
	if !c.context.Empty() {
		c.tag = c.context.Tag
	}
	repository := ""
	if shared {
		repository = c.args.Registry.Repository
		if c.opts.Registry, err = c.args.Registry.login(ctx); err != nil {
			return err
		}
	}
	if c.context.Cached() || ctx.RunningWithMocks() {
		return nil
	}
	err = c.context.Preflight(ctx.Context(), repository, c.opts.Registry)
	if err != nil && shared {
		return ctx.Log.Warn("where the image is not in the registry yet, this is in the way of building it: "+err.Error(), nil)
	}
	return err
}

// overlay lays the sources over the dependencies and writes the zip.
func (c *code) overlay(ctx context.Context, deps *bundle.Dependencies) (*bundle.Manifest, error) {
	spec := c.args.Bundle
	spec.Layer = c.args.layered()
	m, err := deps.Bundle(ctx, spec, filepath.Join(c.dir, c.args.FunctionName+".zip"), c.opts)
	if err != nil {
		return nil, err
	}
	if m.Layer, err = c.args.Shared.layerFile(ctx, deps, c.dir); err != nil {
		return nil, err
	}
	for _, f := range m.Waived {
		c.warn("waived: " + f.String())
	}
	zipped, digest := m.ZippedBytes, m.SHA256
	if m.Layer != nil {
		zipped, digest = max(zipped, m.Layer.ZippedBytes), digest+","+m.Layer.SHA256
	}
	if want := c.args.SHA256; want != "" && want != digest {
		return nil, &bundle.Error{
			What: fmt.Sprintf("the bundle is not the one that is to be promoted: it has SHA-256 %s, want %s", digest, want),
			Cure: "deploy the commit that the other stack was deployed from, with the same bundling settings; or leave the digest out to deploy this bundle",
		}
	}
	if zipped > maxDirectUpload && c.args.ArtifactBucket == nil {
		return nil, tooLarge(m, zipped)
	}
	return m, nil
}

// manifest returns the zip's *bundle.Manifest, registering the image that it comes from where there is one.
func (c *code) manifest(ctx *pulumi.Context, name string, parent pulumi.Resource) (pulumi.Output, error) {
	c.image = pulumi.String(c.args.Bundle.Image).ToStringOutput()
	if c.made != nil {
		return pulumi.ToOutput(pulumi.String(c.made.SHA256)).ApplyT(func(any) *bundle.Manifest { return c.made }), nil
	}
	var image *docker.Image
	var err error
	if c.args.Shared != nil {
		image, c.context, err = c.args.Shared.image(ctx, c)
	} else {
		image, err = newImage(ctx, name+"-image", c, pulumi.Parent(parent))
	}
	if err != nil {
		return nil, err
	}
	c.image = image.RepoDigest
	return image.RepoDigest.ApplyT(func(digest string) (*bundle.Manifest, error) {
		deps, err := c.context.Resolve(ctx.Context(), digest, c.opts)
		if err != nil {
			return nil, err
		}
		return c.overlay(ctx.Context(), deps)
	}), nil
}

// enginePath returns a path as the engine and its providers resolve it, from the project's folder, so that the state
// holds no path of one machine.
func enginePath(ctx *pulumi.Context, file string) (string, error) {
	abs, err := filepath.Abs(file)
	if err != nil {
		return "", err
	}
	root := ctx.RootDirectory()
	if root == "" {
		return abs, nil
	}
	if rel, err := filepath.Rel(root, abs); err == nil {
		return filepath.ToSlash(rel), nil
	}
	return abs, nil // another drive
}

// describe returns the bundle as an output of the component.
func describe(m *bundle.Manifest) map[string]any {
	packages := map[string]any{}
	for _, p := range m.Packages {
		packages[p.Name] = p.Version
	}
	bundle := map[string]any{"sha256": m.SHA256, "zippedBytes": m.ZippedBytes, "unzippedBytes": m.UnzippedBytes, "packages": packages}
	if m.Layer != nil {
		bundle["layerSha256"] = m.Layer.SHA256
	}
	return bundle
}
